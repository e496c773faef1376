"""Marker statistics against scipy, gene by gene, and under a null in which labels mean nothing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scfm_core.analyses import find_markers
from scfm_core.analyses.find_markers import COLUMNS, FindMarkers, Markers, top_markers
from scfm_core.analyses.grouping import ByColumn, BySelections
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import RequestError
from scfm_core.store import Store
from tests.analyses.planted import dataset_of, grouped_counts


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(Store(tmp_path_factory.mktemp("markers")), ThreadExecutor(["cpu"]))
    yield engine
    engine.close()


def per_ten_thousand(dataset: Dataset) -> np.ndarray:
    counts = dataset.counts()
    return counts.matrix.toarray() * (1e4 / counts.total_counts)[:, None]


def by_scipy(dataset: Dataset, inside: np.ndarray, outside: np.ndarray, method: str) -> pd.DataFrame:
    """Compute the table of one group, one gene at a time, for every ninth gene."""
    linear = per_ten_thousand(dataset)
    logs = np.log1p(linear).astype(np.float32)
    rows = []
    for gene in np.flatnonzero((linear > 0).sum(axis=0) >= 3)[::9]:
        one, two = logs[inside, gene], logs[outside, gene]
        if method == "wilcoxon":
            test = stats.mannwhitneyu(one, two, use_continuity=False, method="asymptotic")
        else:
            test = stats.ttest_ind(one.astype(float), two.astype(float), equal_var=False)
        means = linear[inside, gene].mean(), linear[outside, gene].mean()
        rows.append(
            {
                "gene_id": dataset.gene_ids[gene],
                "p_value": test.pvalue,
                "t": test.statistic,
                "log2_fold_change": np.log2((means[0] + 1) / (means[1] + 1)),
                "share_in": (one > 0).mean(),
                "share_out": (two > 0).mean(),
                "mean_in": means[0],
                "mean_out": means[1],
            }
        )
    return pd.DataFrame(rows).set_index("gene_id")


def adjusted(p_values: pd.Series) -> np.ndarray:
    """Adjust by the words of Benjamini and Hochberg: the smallest n p / rank among this and all larger p."""
    rank = p_values.rank(method="max").to_numpy()
    scaled = len(p_values) * p_values.to_numpy() / rank
    return np.array([scaled[p_values >= p].min() for p in p_values]).clip(max=1)


@pytest.mark.parametrize("method", ["wilcoxon", "t-test"])
def test_every_column_against_scipy(tiny_dataset: Dataset, shared_engine: Engine, method) -> None:
    found = shared_engine.compute(FindMarkers(tiny_dataset, ByColumn("cell_type"), method)).table
    assert tuple(found.columns) == COLUMNS
    labels = tiny_dataset.cells()["cell_type"].astype(str).to_numpy()
    symbols = dict(zip(tiny_dataset.gene_ids, tiny_dataset.gene_symbols, strict=True))
    assert set(found["group"]) == set(labels)
    for group in sorted(set(labels))[:3]:
        whole = found[found["group"] == group].set_index("gene_id")
        expected = by_scipy(tiny_dataset, labels == group, labels != group, method)
        ours = whole.loc[expected.index]
        for column in ("log2_fold_change", "share_in", "share_out", "mean_in", "mean_out"):
            np.testing.assert_allclose(ours[column], expected[column], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ours["p_value"], expected["p_value"].fillna(1), rtol=1e-4, atol=1e-12)
        np.testing.assert_allclose(whole["p_adjusted"], adjusted(whole["p_value"]), rtol=1e-9)
        if method == "t-test":
            np.testing.assert_allclose(ours["score"], expected["t"].fillna(0), rtol=1e-4, atol=1e-6)
        else:
            assert (np.sign(ours["score"]) * ours["log2_fold_change"] >= 0).mean() > 0.7
        assert (np.diff(whole["score"]) <= 0).all()
        assert whole["symbol"].tolist() == [symbols[gene_id] for gene_id in whole.index]
        assert set(ours["n_in"]) == {(labels == group).sum()}
        assert set(ours["n_out"]) == {(labels != group).sum()}


@pytest.mark.parametrize("method", ["wilcoxon", "t-test"])
def test_two_selections_against_each_other(tiny_dataset: Dataset, shared_engine: Engine, method) -> None:
    left, right = np.arange(120) < 30, np.arange(120) >= 85
    chosen = BySelections((CellSet.from_mask("left", left), CellSet.from_mask("right", right)))
    found = shared_engine.compute(FindMarkers(tiny_dataset, chosen, method, reference="right")).table
    assert set(found["group"]) == {"left"}
    expected = by_scipy(tiny_dataset, left, right, method)
    found = found.set_index("gene_id")
    ours = found[found["n_in"] == 30].loc[[gene_id for gene_id in expected.index if gene_id in found.index]]
    expected = expected.loc[ours.index]
    assert len(ours) > 150
    np.testing.assert_allclose(ours["p_value"], expected["p_value"].fillna(1), rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(ours["share_out"], expected["share_out"])
    assert set(ours["n_out"]) == {35}


def test_one_selection_against_all_other_cells(tiny_dataset: Dataset, shared_engine: Engine) -> None:
    chosen = BySelections((CellSet.from_positions("mine", range(20), 120),))
    found = shared_engine.compute(FindMarkers(tiny_dataset, chosen)).table
    assert found[["n_in", "n_out"]].drop_duplicates().to_numpy().tolist() == [[20, 100]]


@pytest.mark.parametrize("method", ["wilcoxon", "t-test"])
def test_the_size_of_the_pieces_changes_nothing(
    tiny_dataset: Dataset, shared_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method
) -> None:
    question = FindMarkers(tiny_dataset, ByColumn("cell_type"), method, reference="B")
    whole = shared_engine.compute(question).table
    monkeypatch.setattr(find_markers, "_COUNTS_PER_PIECE", 5000)
    monkeypatch.setattr(find_markers, "_COUNTS_AT_ONCE", 700)
    engine = Engine(Store(tmp_path), ThreadExecutor(["cpu"]))
    job = engine.submit(question)
    pd.testing.assert_frame_equal(job.result().table, whole)
    assert job.progress.total == whole["gene_id"].nunique()
    engine.close()


def test_more_groups_than_fit_are_refused(tmp_path: Path, shared_engine: Engine) -> None:
    dataset = dataset_of(tmp_path, np.ones((20_002, 3), dtype=int), {"pair": np.arange(20_002) // 2})
    with pytest.raises(RequestError, match="at most 10,000 groups, found 10,001"):
        shared_engine.compute(FindMarkers(dataset, ByColumn("pair")))


def test_p_values_are_uniform_where_labels_mean_nothing(tmp_path: Path, shared_engine: Engine) -> None:
    counts, _ = grouped_counts(300, 400, 3, seed=5)
    shuffled = np.random.default_rng(5).permutation(np.repeat(["a", "b"], 150))
    dataset = dataset_of(tmp_path, counts, {"shuffled": shuffled})
    for method in ("wilcoxon", "t-test"):
        table = shared_engine.compute(FindMarkers(dataset, ByColumn("shuffled"), method)).table
        frequent = table[(table["group"] == "a") & (table["share_in"] + table["share_out"] > 0.6)]
        assert len(frequent) > 150
        assert stats.kstest(frequent["p_value"], "uniform").pvalue > 0.01
        assert (table["p_adjusted"] > 0.05).mean() > 0.99


def test_planted_markers_come_first(tmp_path: Path, shared_engine: Engine) -> None:
    counts, groups = grouped_counts(300, 400, 3, seed=8)
    dataset = dataset_of(tmp_path, counts, {"group": groups})
    table = shared_engine.compute(FindMarkers(dataset, ByColumn("group"))).table
    best = top_markers(table, n_per_group=10)
    for group in range(3):
        found = {int(gene_id[4:]) for gene_id in best.loc[best["group"] == str(group), "gene_id"]}
        assert len(found & set(range(10 * group, 10 * group + 10))) >= 9


def test_cut_offs_hold_and_order_stays(tiny_dataset: Dataset, shared_engine: Engine) -> None:
    table = shared_engine.compute(FindMarkers(tiny_dataset, ByColumn("cell_type"))).table
    best = top_markers(table, n_per_group=5, max_p_adjusted=0.01, min_log2_fold_change=1, min_share_in=0.5)
    assert (best["p_adjusted"] <= 0.01).all()
    assert (best["log2_fold_change"] >= 1).all()
    assert (best["share_in"] >= 0.5).all()
    assert best.groupby("group").size().max() == 5
    for _, rows in best.groupby("group"):
        assert (np.diff(rows["score"]) <= 0).all()
    none = top_markers(table, n_per_group=5, max_p_adjusted=-1)
    assert len(none) == 0
    assert tuple(none.columns) == COLUMNS


def test_known_markers_of_blood_cells(tiny_dataset: Dataset, shared_engine: Engine) -> None:
    table = shared_engine.compute(FindMarkers(tiny_dataset, ByColumn("cell_type"))).table
    best = top_markers(table, n_per_group=15)
    symbols = {group: set(rows["symbol"]) for group, rows in best.groupby("group")}
    assert any({"CD79A", "MS4A1"} & found for found in symbols.values())
    assert any({"LYZ", "S100A9", "FCN1"} & found for found in symbols.values())
    assert any({"NKG7", "GNLY", "PRF1"} & found for found in symbols.values())


def test_groups_too_small_are_left_out_and_named(tmp_path: Path, shared_engine: Engine) -> None:
    counts, _ = grouped_counts(40, 60, 2, seed=1)
    dataset = dataset_of(tmp_path, counts, {"kind": ["alone"] + ["a"] * 20 + ["b"] * 17 + [None, None]})
    job = shared_engine.submit(FindMarkers(dataset, ByColumn("kind")))
    table = job.result().table
    assert table["group"].unique().tolist() == ["a", "b"]
    assert table[["n_in", "n_out"]].drop_duplicates().to_numpy().tolist() == [[20, 20], [17, 23]]
    assert any("Left out" in text and "alone" in text for _, text in job.log)


def test_genes_of_few_cells_are_not_tested(tmp_path: Path, shared_engine: Engine) -> None:
    counts = np.zeros((20, 4), dtype=int)
    counts[:, 0], counts[:2, 1], counts[:3, 2] = 1, 7, 7
    dataset = dataset_of(tmp_path, counts, {"kind": np.repeat(["a", "b"], 10)})
    table: Markers = shared_engine.compute(FindMarkers(dataset, ByColumn("kind")))
    assert sorted(table.table["gene_id"].unique()) == ["ENSG00000000000", "ENSG00000000002"]
    assert np.isfinite(table.table[["score", "p_value", "p_adjusted"]]).all(axis=None)


@pytest.mark.parametrize(
    ("kinds", "reference", "words"),
    [
        (["a"] * 20, "rest", "found 'a' \\(20\\)"),
        ([None] * 20, "rest", "found no group at all"),
        (["a"] * 10 + ["b"] * 10, "c", "No group is called 'c'. Compare with 'rest' or one of: a, b"),
        (["a"] * 19 + ["b"], "b", "at least 2 cells"),
    ],
)
def test_nothing_to_compare(tmp_path: Path, shared_engine: Engine, kinds: list, reference: str, words: str) -> None:
    counts, _ = grouped_counts(20, 60, 2, seed=1)
    dataset = dataset_of(tmp_path, counts, {"kind": pd.Series(kinds, dtype=object).to_numpy()})
    with pytest.raises(RequestError, match=words):
        shared_engine.compute(FindMarkers(dataset, ByColumn("kind"), reference=reference))


def test_an_unknown_test_is_refused(tiny_dataset: Dataset) -> None:
    with pytest.raises(RequestError, match="wilcoxon or t-test"):
        FindMarkers(tiny_dataset, ByColumn("cell_type"), "anova")
