"""Cells of a subset keep their places on the map of their parent."""

from pathlib import Path

import numpy as np
import pytest

from scfm_core.analyses.places_in_parent import places_in_parent
from scfm_core.dataset import parent_of, subset_dataset
from scfm_core.errors import RequestError
from tests.analyses.planted import dataset_of


def test_places_are_those_of_the_same_cells(tmp_path: Path) -> None:
    whole = dataset_of(tmp_path, np.random.default_rng(0).poisson(1.0, (20, 5)) + 1)
    keep = np.arange(20) % 3 == 1
    part = subset_dataset(whole, keep, title="part", note="")
    coordinates = np.random.default_rng(1).normal(size=(20, 3))
    coordinates[4] = np.nan
    parent = parent_of(part)
    assert parent is not None
    found = places_in_parent(part, parent, coordinates)
    np.testing.assert_array_equal(found, coordinates[keep].astype(np.float32))
    back = places_in_parent(whole, part, coordinates[keep])
    np.testing.assert_array_equal(back[keep], coordinates[keep].astype(np.float32))
    assert np.isnan(back[~keep]).all()


def test_other_cells_have_no_places(tmp_path: Path) -> None:
    one = dataset_of(tmp_path, np.ones((4, 3), dtype=int))
    other = dataset_of(tmp_path, np.full((5, 3), 2))
    with pytest.raises(RequestError, match="the parent's 5 cells, found 4"):
        places_in_parent(one, other, np.zeros((4, 2)))
