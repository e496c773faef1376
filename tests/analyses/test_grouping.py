"""Which group a cell belongs to: by a column, by clusters, by selections."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import ByClusters, ByColumn, ByLabels, BySelections, group_codes, group_labels
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.request import recipe
from tests.analyses.planted import bag_card, dataset_of


class Answers:
    """A context that answers nested questions through an engine."""

    def __init__(self, engine: Engine) -> None:
        self.compute = engine.compute


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    counts = np.random.default_rng(0).poisson(0.3, (40, 600))
    counts[11, :500] = 0
    kinds = ["B", "T", None, "T"] * 10
    return dataset_of(tmp_path, counts, {"kind": kinds, "lane": np.arange(40) % 2, "score": [0.5, np.nan] * 20})


def test_by_column(dataset: Dataset, engine: Engine) -> None:
    context = Answers(engine)
    assert group_labels(context, dataset, ByColumn("kind"))[:4].tolist() == ["B", "T", "", "T"]
    assert group_labels(context, dataset, ByColumn("lane"))[:2].tolist() == ["0", "1"]
    assert group_labels(context, dataset, ByColumn("score"))[:2].tolist() == ["0.5", ""]
    with pytest.raises(RequestError, match="no column 'sort'. Its columns: kind, lane, score"):
        group_labels(context, dataset, ByColumn("sort"))


def test_codes_in_reading_order(dataset: Dataset, engine: Engine) -> None:
    names, codes = group_codes(Answers(engine), dataset, ByColumn("kind"))
    assert names == ("B", "T")
    assert codes[:4].tolist() == [0, 1, -1, 1]
    names, codes = group_codes(Answers(engine), dataset, ByColumn("score"))
    assert names == ("0.5",)
    assert codes[:2].tolist() == [0, -1]


def test_by_clusters(dataset: Dataset, engine: Engine, tmp_path: Path) -> None:
    clusters = ClusterCells(EmbedCells(dataset, bag_card()))
    labels = group_labels(Answers(engine), dataset, ByClusters(clusters))
    assert labels[11] == ""
    expected = engine.compute(clusters).labels
    assert [label or "-1" for label in labels] == expected.astype(str).tolist()
    other = dataset_of(tmp_path, np.ones((40, 3), dtype=int))
    with pytest.raises(RequestError, match="another dataset"):
        group_labels(Answers(engine), other, ByClusters(clusters))


def test_by_selections(dataset: Dataset, engine: Engine) -> None:
    left = CellSet.from_positions("left", [0, 1, 5], 40)
    right = CellSet.from_positions("right", [2, 39], 40)
    labels = group_labels(Answers(engine), dataset, BySelections((left, right)))
    assert np.flatnonzero(labels == "left").tolist() == [0, 1, 5]
    assert np.flatnonzero(labels == "right").tolist() == [2, 39]
    assert (labels == "").sum() == 35


def test_selections_that_cannot_be_compared(dataset: Dataset, engine: Engine) -> None:
    left = CellSet.from_positions("left", [0, 1, 5], 40)
    for others, words in {
        (CellSet.from_positions("right", [1, 5, 6], 40),): "2 cells are in 'right' and in another selection",
        (CellSet.from_positions("left", [7], 40),): "a name of its own",
        (CellSet.from_positions("right", [7], 41),): "made among 41 cells, but this dataset has 40",
    }.items():
        with pytest.raises(RequestError, match=words):
            group_labels(Answers(engine), dataset, BySelections((left, *others)))


def test_by_labels(dataset: Dataset, engine: Engine) -> None:
    mine = pd.Series(["naive B", None, "10", "2"] * 10, name="mine")
    grouping = ByLabels.from_series(mine)
    assert grouping.labels == ("2", "10", "naive B")
    assert group_labels(Answers(engine), dataset, grouping)[:4].tolist() == ["naive B", "", "10", "2"]
    as_categories = ByLabels.from_series(mine.astype("category"))
    assert as_categories == grouping
    assert recipe(as_categories) == recipe(grouping)
    assert "sha256" in recipe(grouping)["codes"]
    other = ByLabels.from_series(pd.Series(["naive B", None, "10", "10"] * 10, name="mine"))
    assert recipe(other) != recipe(grouping)
    assert len(repr(grouping)) < 80


def test_labels_for_no_cell(dataset: Dataset, engine: Engine) -> None:
    grouping = ByLabels.from_series(pd.Series([None] * 40, name="mine", dtype=object))
    assert grouping.labels == ()
    assert set(group_labels(Answers(engine), dataset, grouping)) == {""}


@pytest.mark.parametrize(
    ("labels", "codes", "words"),
    [
        (("a", "a"), [0, 1], "a name of its own"),
        (("a", ""), [0, 1], "a name of its own"),
        (("a",), [0, 1], "codes from -1 to 0"),
        (("a",), [-2], "codes from -1 to 0"),
    ],
)
def test_labels_that_are_none(labels: tuple[str, ...], codes: list[int], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        ByLabels("mine", labels, np.array(codes, dtype="<i2").tobytes())
    with pytest.raises(RequestError, match="codes from"):
        ByLabels("mine", ("a",), b"\0\0\0")


def test_labels_of_another_dataset(dataset: Dataset, engine: Engine) -> None:
    with pytest.raises(RequestError, match="given to 3 cells, but this dataset has 40"):
        group_labels(Answers(engine), dataset, ByLabels.from_series(pd.Series(["a", "b", "a"], name="mine")))
