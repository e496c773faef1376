"""Sets of cells, and sets made from sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError

masks = st.lists(st.booleans(), min_size=13, max_size=13).map(np.array)


@given(masks, masks)
def test_sets_combine_as_masks_do(one: np.ndarray, two: np.ndarray) -> None:
    a, b = CellSet.from_mask("a", one), CellSet.from_mask("b", two)
    np.testing.assert_array_equal((a | b).mask, one | two)
    np.testing.assert_array_equal((a & b).mask, one & two)
    np.testing.assert_array_equal((a - b).mask, one & ~two)
    np.testing.assert_array_equal((~a).mask, ~one)
    assert len(~a) == 13 - len(a)
    assert (a.called("c").label, a.called("c").bits) == ("c", a.bits)


def test_names_say_what_was_done() -> None:
    a, b = CellSet.from_positions("a", [0], 3), CellSet.from_positions("b", [1], 3)
    names = [(a | b).label, (a & b).label, (a - b).label, (~a).label]
    assert names == ["a or b", "a and b", "a without b", "all but a"]


def test_a_set_grows_to_whole_groups() -> None:
    codes = np.array([0, 0, 1, 1, -1, -1, 2])
    grown = CellSet.from_positions("a", [1, 4], 7).grown(codes, "kind")
    assert grown.positions.tolist() == [0, 1, 4]
    assert grown.label == "whole groups of kind around a"


def test_sets_of_other_datasets_do_not_combine() -> None:
    with pytest.raises(RequestError, match="among 3 and 4 cells"):
        CellSet.from_positions("a", [0], 3) | CellSet.from_positions("b", [0], 4)
