"""Compiled ranks and moments against scipy and numpy, gene by gene: ties, several groups, cells that take no part."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.sparse import csc_matrix

from scfm_core.analyses.gene_tallies import Rows, rank_columns, spread_of_columns
from scfm_core.analyses.rank_genes import REST, Comparison, compare_genes
from scfm_core.analyses.read_expression import scale_to_depth
from scfm_core.dataset import Dataset

SIZES = st.tuples(st.integers(0, 10**6), st.integers(3, 60), st.integers(0, 5), st.integers(1, 5))


def some_rows(seed: int, n_rows: int, n_slots: int, *, lowest: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    slots = rng.integers(lowest, n_slots, n_rows).astype(np.int16)
    return Rows(1 / rng.integers(1, 4, n_rows), slots, np.bincount(slots[slots >= 0], minlength=n_slots))


def tied_pairs(values: np.ndarray) -> float:
    sizes = np.unique(values, return_counts=True)[1].astype(float)
    return float((sizes**3 - sizes).sum())


@settings(max_examples=60, deadline=None)
@given(SIZES)
def test_ranks_among_all_cells_against_scipy(sizes: tuple[int, int, int, int]) -> None:
    seed, n_rows, largest, n_slots = sizes
    counts = np.random.default_rng(seed).integers(0, largest + 1, (n_rows, 4))
    rows = some_rows(seed, n_rows, n_slots)
    found = rank_columns(csc_matrix(counts), rows, pool=-1)
    values = (counts * rows.scale[:, None]).astype(np.float32)
    for column in range(4):
        ranks = stats.rankdata(values[:, column])
        np.testing.assert_allclose(found["ties"][:, column], tied_pairs(values[:, column]))
        for slot in range(n_slots):
            mine = rows.slots == slot
            assert found["rank_sum"][slot, column] == pytest.approx(ranks[mine].sum())
            assert found["held"][slot, column] == (counts[mine, column] > 0).sum()
            assert found["total"][slot, column] == pytest.approx((counts[:, column] * rows.scale)[mine].sum())


@settings(max_examples=60, deadline=None)
@given(SIZES)
def test_ranks_among_two_groups_against_scipy(sizes: tuple[int, int, int, int]) -> None:
    seed, n_rows, largest, n_slots = sizes
    counts = np.random.default_rng(seed).integers(0, largest + 1, (n_rows, 4))
    rows = some_rows(seed, n_rows, n_slots + 1, lowest=-1)
    found = rank_columns(csc_matrix(counts), rows, pool=n_slots)
    values = (counts * rows.scale[:, None]).astype(np.float32)
    for column in range(4):
        for slot in range(n_slots):
            both = (rows.slots == slot) | (rows.slots == n_slots)
            ranks = stats.rankdata(values[both, column]) if both.any() else np.empty(0)
            assert found["rank_sum"][slot, column] == pytest.approx(ranks[rows.slots[both] == slot].sum())
            assert found["ties"][slot, column] == pytest.approx(tied_pairs(values[both, column]))


@settings(max_examples=60, deadline=None)
@given(SIZES)
def test_moments_against_numpy(sizes: tuple[int, int, int, int]) -> None:
    seed, n_rows, largest, n_slots = sizes
    counts = np.random.default_rng(seed).integers(0, largest + 1, (n_rows, 4))
    rows = some_rows(seed, n_rows, n_slots, lowest=-1)
    found = spread_of_columns(csc_matrix(counts), rows)
    logs = np.log1p(counts * rows.scale[:, None])
    for slot in np.unique(rows.slots[rows.slots >= 0]):
        mine = logs[rows.slots == slot]
        np.testing.assert_allclose(found["mean"][slot], mine.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(found["squares"][slot], mine.var(axis=0) * len(mine), atol=1e-12)
        np.testing.assert_array_equal(found["held"][slot], (mine > 0).sum(axis=0))


@pytest.mark.parametrize("values", [(1, 2**24 - 1), (1, 255, 256, 70_000), (0,), (7,)])
def test_values_far_apart_are_ranked_too(values: tuple[int, ...]) -> None:
    """The sort goes by the digits of the values; few, many, and equal ones are all the same to it."""
    counts = np.random.default_rng(0).choice(values, (5000, 2))
    rows = some_rows(3, 5000, 2)
    found = rank_columns(csc_matrix(counts), rows, pool=-1)
    ranks = stats.rankdata((counts * rows.scale[:, None]).astype(np.float32), axis=0)
    for slot in range(2):
        np.testing.assert_allclose(found["rank_sum"][slot], ranks[rows.slots == slot].sum(axis=0))


@pytest.mark.parametrize("method", ["wilcoxon", "t-test"])
@pytest.mark.parametrize("reference", [REST, "B"])
def test_real_cells_against_scipy(demo_dataset: Dataset, method, reference: str) -> None:
    """Every 40th gene of the demo's 2,700 cells, each of three types against the rest or against B cells."""
    labels = demo_dataset.cell_column("cell_type").astype(str).to_numpy()
    names, codes = np.unique(labels, return_inverse=True)
    groups = ("NK", "Megakaryocyte", "CD14+ monocyte")
    genes = np.flatnonzero(demo_dataset.cells_per_gene >= 3)[::40]
    counts, scale = demo_dataset.counts_of_genes(genes), scale_to_depth(demo_dataset)
    comparison = Comparison.of(tuple(names), codes, groups, reference=reference)
    found = compare_genes(counts, scale, comparison, method=method)
    values = counts.toarray() * scale[:, None]
    logs = np.log1p(values)
    for row, group in enumerate(groups):
        inside, outside = labels == group, labels != group if reference == REST else labels == reference
        assert (comparison.n_in[row], comparison.n_out[row]) == (inside.sum(), outside.sum())
        if method == "wilcoxon":
            one, two = (values[cells].astype(np.float32).astype(float) for cells in (inside, outside))
            expected = stats.mannwhitneyu(one, two, use_continuity=False, method="asymptotic").pvalue
            above = stats.mannwhitneyu(one, two).statistic > inside.sum() * outside.sum() / 2
            tested = ~np.isnan(expected)
            np.testing.assert_array_equal((found["score"][row] > 0)[tested], above[tested])
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                t = stats.ttest_ind(logs[inside], logs[outside], equal_var=False)
            expected = t.pvalue
            np.testing.assert_allclose(found["score"][row], np.nan_to_num(t.statistic), rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(found["p_value"][row], np.nan_to_num(expected, nan=1), rtol=1e-6)
        np.testing.assert_allclose(found["share_out"][row], (values[outside] > 0).mean(axis=0))
        np.testing.assert_allclose(found["mean_in"][row], values[inside].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(found["mean_out"][row], values[outside].mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("method", ["wilcoxon", "t-test"])
def test_a_gene_without_spread_says_nothing(method) -> None:
    """Each cell holds one third of its counts in the gene: the same share, written in different floating numbers."""
    totals = np.random.default_rng(0).integers(1, 1000, 400) * 3
    counts = csc_matrix((totals // 3)[:, None])
    comparison = Comparison.of(("a", "b"), np.arange(400) % 2, ("a", "b"))
    found = compare_genes(counts, 1e4 / totals, comparison, method=method)
    np.testing.assert_array_equal(found["score"], 0)
    np.testing.assert_array_equal(found["p_value"], 1)


def test_ranks_of_a_million_cells_are_exact() -> None:
    """At this size the sum of ranks passes 2**38, and that of the ties 2**59."""
    rng = np.random.default_rng(0)
    n = 1_000_000
    counts = rng.poisson(0.4, n)
    slots = (rng.random(n) < 0.3).astype(np.int16)
    rows = Rows(1 / rng.integers(900, 1100, n), slots, np.bincount(slots))
    found = rank_columns(csc_matrix(counts[:, None]), rows, pool=-1)
    values = (counts * rows.scale).astype(np.float32)
    assert found["rank_sum"][1, 0] == stats.rankdata(values)[slots == 1].sum()
    assert found["ties"][1, 0] == pytest.approx(tied_pairs(values), rel=1e-12)
