"""What a selection is made of, against counts by hand and by pandas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.compare_values import CompareValues
from scfm_core.analyses.compose_cells import NO_GROUP, ComposeCells
from scfm_core.analyses.grouping import ByColumn, ByLabels
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import DatasetError, RequestError
from tests.analyses.planted import dataset_of

N = 200


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(3)
    kinds = rng.choice(["B", "T 2", "T 10"], N).astype(object)
    kinds[::17] = None
    people = rng.choice(["Ada", "Ben", "Cleo"], N).astype(object)
    people[5] = None
    score = rng.normal(size=N)
    score[::20] = np.nan
    columns = {"kind": kinds, "person": people, "score": score, "lane": np.arange(N) % 2}
    return dataset_of(tmp_path, rng.poisson(1.0, (N, 5)) + 1, columns)


def test_counts_and_shares_are_those_of_a_cross_table(dataset: Dataset, engine: Engine) -> None:
    mask = np.random.default_rng(4).random(N) < 0.3
    found = engine.compute(ComposeCells(dataset, CellSet.from_mask("mine", mask), ByColumn("kind"), donors="person"))
    kinds = dataset.cells()["kind"].astype(object).fillna(NO_GROUP).to_numpy()
    table = found.table.set_index("group")
    assert list(table.index) == ["B", "T 2", "T 10", NO_GROUP]
    for name, row in table.iterrows():
        n_in, n_out = (mask & (kinds == name)).sum(), (~mask & (kinds == name)).sum()
        assert (row["n_in"], row["n_out"]) == (n_in, n_out)
        assert row["share_in"] == pytest.approx(n_in / mask.sum())
        assert row["share_out"] == pytest.approx(n_out / (~mask).sum())
        assert row["share_of_group"] == pytest.approx(n_in / (n_in + n_out))
    people = dataset.cells()["person"].astype(object).to_numpy()
    for _, row in found.donors.iterrows():
        of_donor = people == row["donor"]
        assert row["n_in"] == (mask & of_donor & (kinds == row["group"])).sum()
        assert row["n_donor_out"] == (~mask & of_donor).sum()
        assert row["share_out"] == pytest.approx(
            (~mask & of_donor & (kinds == row["group"])).sum() / row["n_donor_out"]
        )
    assert len(found.donors) == 3 * 4
    ranges = found.range_over_donors()
    assert ranges.index.tolist() == table.index.tolist()
    shares = found.donors[found.donors["group"] == "T 10"]["share_in"]
    assert tuple(ranges.loc["T 10", ["low_in", "high_in", "donors_in"]]) == (shares.min(), shares.max(), 3)


def test_against_another_set_without_the_cells_of_both(dataset: Dataset, engine: Engine) -> None:
    mine = CellSet.from_positions("mine", range(10), N)
    other = CellSet.from_positions("other", range(5, 30), N)
    lanes = engine.compute(ComposeCells(dataset, mine, ByColumn("lane"), against=other)).table
    assert lanes["n_in"].tolist() == [5, 5]
    assert lanes["n_out"].tolist() == [10, 10]


def test_groups_of_labels_and_a_donor_without_cells(dataset: Dataset, engine: Engine) -> None:
    people = dataset.cells()["person"].astype(object)
    mine = CellSet.from_mask("mine", (people == "Ada").to_numpy())
    labels = ByLabels.from_series(pd.Series(np.where(np.arange(N) < 100, "low", None), name="mine"))
    found = engine.compute(ComposeCells(dataset, mine, labels, donors="person"))
    assert found.table["group"].tolist() == ["low", NO_GROUP]
    ben = found.donors[found.donors["donor"] == "Ben"]
    assert ben["n_donor_in"].tolist() == [0, 0]
    assert ben["share_in"].isna().all()
    assert found.range_over_donors()["donors_in"].tolist() == [1, 1]
    assert found.range_over_donors()["donors_out"].tolist() == [2, 2]


def test_all_cells_have_no_others_beside_them(dataset: Dataset, engine: Engine) -> None:
    everything = CellSet.from_mask("all", np.ones(N, dtype=bool))
    table = engine.compute(ComposeCells(dataset, everything, ByColumn("lane"))).table
    assert table["n_out"].tolist() == [0, 0]
    assert table["share_out"].isna().all()
    spread = engine.compute(CompareValues(dataset, everything, "lane")).table
    assert spread["n"].tolist() == [N, 0]
    assert np.isnan(spread.loc[1, "median"])


def test_values_are_described_as_pandas_does(dataset: Dataset, engine: Engine) -> None:
    mask = np.arange(N) < 60
    found = engine.compute(CompareValues(dataset, CellSet.from_mask("mine", mask), "score"))
    score = dataset.cells()["score"].reset_index(drop=True)
    for row, part in zip(found.table.to_dict("records"), (score[mask], score[~mask]), strict=True):
        assert (row["n"], row["n_missing"]) == (part.notna().sum(), part.isna().sum())
        assert row["mean"] == pytest.approx(part.mean())
        assert row["sd"] == pytest.approx(part.std())
        assert row["p25"] == pytest.approx(part.quantile(0.25))
        assert (row["minimum"], row["maximum"]) == (part.min(), part.max())
    assert found.table["cells"].tolist() == ["mine", "all other cells"]
    assert found.counts.sum(axis=1).tolist() == found.table["n"].tolist()
    assert found.edges[0] == score.min()
    assert found.edges[-1] == score.max()


def test_what_cannot_be_asked(dataset: Dataset, engine: Engine) -> None:
    mine = CellSet.from_positions("mine", [1], N)
    with pytest.raises(RequestError, match="at least one cell in 'none'"):
        ComposeCells(dataset, CellSet.from_positions("none", [], N), ByColumn("kind"))
    with pytest.raises(RequestError, match="among 7 cells, but this dataset has 200"):
        CompareValues(dataset, mine, "score", against=CellSet.from_positions("old", [1], 7))
    with pytest.raises(RequestError, match="no column 'sort'"):
        engine.compute(ComposeCells(dataset, mine, ByColumn("sort")))
    with pytest.raises(DatasetError, match="no column 'donor'"):
        engine.compute(ComposeCells(dataset, mine, ByColumn("kind"), donors="donor"))
    with pytest.raises(RequestError, match="Expected numbers in column 'kind', found category"):
        engine.compute(CompareValues(dataset, mine, "kind"))
