"""The cells behind the figures of markers: group means over all cells, samples of cells, genes found together."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import contingency

from scfm_core.analyses.choose_markers import Cutoffs, choose_markers
from scfm_core.analyses.coexpress_genes import CoexpressGenes, odds_at_like_depth, odds_ratio
from scfm_core.analyses.compared_cells import IN_NO_GROUP, compared_cells
from scfm_core.analyses.find_markers import FindMarkers, top_markers
from scfm_core.analyses.grouping import ByColumn, ByLabels, BySelections
from scfm_core.analyses.read_expression import ReadExpression
from scfm_core.analyses.sample_expression import SampleExpression
from scfm_core.analyses.summarise_groups import SummariseGroups
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from tests.analyses.planted import dataset_of, grouped_counts

TYPES = ByColumn("cell_type")


def some_genes(dataset, n=7):
    return tuple(dataset.gene_ids[place] for place in range(0, dataset.n_genes, dataset.n_genes // n))


def test_group_means_are_over_all_cells(engine, tiny_dataset):
    genes = some_genes(tiny_dataset)
    found = engine.compute(SummariseGroups(tiny_dataset, TYPES, genes))
    values = pd.DataFrame(np.asarray(engine.compute(ReadExpression(tiny_dataset, genes)).values))
    by_type = values.groupby(tiny_dataset.cells()["cell_type"].astype(str).to_numpy())
    order = list(found.groups)
    np.testing.assert_allclose(found.means, by_type.mean().loc[order], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.shares, by_type.agg(lambda column: (column > 0).mean()).loc[order])
    assert found.n_cells.tolist() == by_type.size().loc[order].tolist()


def test_shares_of_figures_equal_those_of_the_table(engine, tiny_dataset):
    genes = some_genes(tiny_dataset)
    table = engine.compute(FindMarkers(tiny_dataset, TYPES)).table.set_index(["group", "gene_id"])
    found = engine.compute(SummariseGroups(tiny_dataset, TYPES, genes))
    for row, group in enumerate(found.groups):
        for column, gene in enumerate(genes):
            if (group, gene) in table.index:
                assert table.loc[(group, gene), "share_in"] == pytest.approx(found.shares[row, column])
                assert table.loc[(group, gene), "n_in"] == found.n_cells[row]


def test_a_sample_keeps_small_groups_whole_and_says_how_many_there_are(engine, tmp_path):
    counts, _ = grouped_counts(300, 40, 2, seed=1)
    kinds = np.repeat(["many", "some", "few"], [200, 80, 20])
    dataset = dataset_of(tmp_path, counts, {"kind": kinds})
    genes = dataset.gene_ids[:3]
    drawn = engine.compute(SampleExpression(dataset, ByColumn("kind"), genes, n_cells=100))
    assert drawn.groups == ("few", "many", "some")
    assert drawn.n_cells.tolist() == [20, 200, 80]
    assert np.bincount(drawn.codes).tolist() == [20, 40, 40]
    every = np.asarray(engine.compute(ReadExpression(dataset, genes)).values)
    np.testing.assert_allclose(drawn.values, every[drawn.cells], rtol=1e-6)
    assert (kinds[drawn.cells] == np.array(drawn.groups)[drawn.codes]).all()
    whole = engine.compute(SampleExpression(dataset, ByColumn("kind"), genes))
    assert len(whole.cells) == 300


def test_the_cells_compared_are_those_of_the_test(engine, tmp_path):
    counts, _ = grouped_counts(60, 40, 2, seed=1)
    kinds = ["a"] * 20 + ["b"] * 30 + [None] * 10
    dataset = dataset_of(tmp_path, counts, {"kind": kinds, "donor": ["x", "y", None] * 20})
    asked = ByColumn("kind")
    table = engine.compute(FindMarkers(dataset, asked)).table
    summary = engine.compute(SummariseGroups(dataset, compared_cells(engine, dataset, asked), dataset.gene_ids[:2]))
    assert summary.groups == ("a", "b", IN_NO_GROUP)
    assert set(table["n_in"] + table["n_out"]) == {summary.n_cells.sum()} == {60}
    table = engine.compute(FindMarkers(dataset, asked, reference="b")).table
    against = compared_cells(engine, dataset, asked, reference="b")
    assert against == asked
    assert set(table["n_in"] + table["n_out"]) == {50}
    within = CellSet.from_mask("half", np.arange(60) % 2 == 0)
    chosen = compared_cells(engine, dataset, asked, reference="b", within=within, columns=("donor",))
    assert isinstance(chosen, ByLabels)
    assert chosen.name == "kind"
    there = (np.arange(60) % 2 == 0) & (np.arange(60) % 3 < 2) & (np.arange(60) < 50)
    np.testing.assert_array_equal(chosen.positions >= 0, there)
    rest = compared_cells(engine, dataset, asked, within=within)
    assert rest.labels == ("a", "b", IN_NO_GROUP)
    assert (rest.positions >= 0).sum() == 30
    mine = BySelections((CellSet.from_positions("mine", range(5), 60),))
    assert compared_cells(engine, dataset, mine).name == "selection"


def test_genes_found_together(engine, tiny_dataset):
    first, second = (tiny_dataset.gene_ids[tiny_dataset.gene_symbols.index(name)] for name in ("CD3D", "CD3E"))
    found = engine.compute(CoexpressGenes(tiny_dataset, TYPES, first, second))
    one, two = (tiny_dataset.expression(gene) > 0 for gene in (first, second))
    np.testing.assert_array_equal(found.states, one + 2 * two.astype(int))
    labels = tiny_dataset.cells()["cell_type"].astype(str).to_numpy()
    assert found.table["group"].tolist()[:-1] == sorted(set(labels), key=found.table["group"].tolist().index)
    total = found.table.iloc[-1]
    assert (total["group"], total["n_cells"], total["n_both"]) == ("all of them", 120, (one & two).sum())
    for _, row in found.table.iloc[:-1].iterrows():
        here = labels == row["group"]
        assert row["n_first"] == (one & ~two & here).sum()
        assert row["n_neither"] + row["n_first"] + row["n_second"] + row["n_both"] == here.sum() == row["n_cells"]
        assert row["share_expected"] == pytest.approx(one[here].mean() * two[here].mean())


def test_odds_ratios_against_scipy():
    counts = np.array([40, 15, 12, 33])
    middle, low, high = odds_ratio(counts)
    table = np.array([[33.5, 15.5], [12.5, 40.5]])
    reference = contingency.odds_ratio(np.rint(table).astype(int), kind="sample")
    assert middle == pytest.approx(table[0, 0] * table[1, 1] / (table[0, 1] * table[1, 0]))
    assert low < reference.statistic < high


def test_depth_alone_makes_genes_seem_to_go_together():
    random = np.random.default_rng(0)
    depth = random.lognormal(0, 1.2, 6000)
    found = [random.random(6000) < 1 - np.exp(-0.7 * depth) for _ in range(2)]
    states = found[0] + 2 * found[1].astype(int)
    assert odds_ratio(np.bincount(states, minlength=4))[1] > 2.5
    assert odds_at_like_depth(states, depth) < 1.25
    truly = np.where(random.random(6000) < 0.5, found[0] * 3, states)
    assert odds_at_like_depth(truly, depth) > 3


def test_two_equal_genes_and_unknown_ones_are_refused(engine, tiny_dataset):
    gene = tiny_dataset.gene_ids[0]
    with pytest.raises(RequestError, match="two different genes"):
        CoexpressGenes(tiny_dataset, TYPES, gene, gene)
    with pytest.raises(RequestError, match="nonsense is not among"):
        engine.compute(CoexpressGenes(tiny_dataset, TYPES, gene, "nonsense"))
    with pytest.raises(RequestError, match="not among the 2,000 genes"):
        SummariseGroups(tiny_dataset, TYPES, ("nonsense",))
    with pytest.raises(RequestError, match="found none"):
        engine.compute(SampleExpression(tiny_dataset, TYPES, ()))


def test_cut_offs_choose_the_same_as_before(engine, tiny_dataset):
    table = engine.compute(FindMarkers(tiny_dataset, TYPES)).table
    ours = choose_markers(table, Cutoffs(n_per_group=5, max_p_adjusted=0.01, min_log2_fold_change=1, min_share=0.5))
    before = top_markers(table, n_per_group=5, max_p_adjusted=0.01, min_log2_fold_change=1, min_share_in=0.5)
    pd.testing.assert_frame_equal(ours, before)
    everything = Cutoffs(max_p_adjusted=1, min_log2_fold_change=0, min_share=0, direction="both")
    assert len(choose_markers(table, everything)) == len(table)
    rare = choose_markers(table, Cutoffs(max_share_other=0.05))
    assert len(rare)
    assert (rare["share_out"] <= 0.05).all()


def test_lower_genes_are_those_that_the_others_hold(engine, tiny_dataset):
    table = engine.compute(FindMarkers(tiny_dataset, TYPES)).table
    lower = choose_markers(table, Cutoffs(direction="lower", min_share=0.6, max_share_other=0.5, n_per_group=4))
    assert len(lower)
    assert (lower["log2_fold_change"] < 0).all()
    assert (lower["share_out"] >= 0.6).all()
    assert (lower["share_in"] <= 0.5).all()
    assert lower.groupby("group").size().max() <= 4
    for _, rows in lower.groupby("group"):
        assert (np.diff(rows["score"]) >= 0).all()


def test_genes_without_an_adjusted_p_pass_only_at_one():
    table = pd.DataFrame({"group": "a", "p_adjusted": [np.nan, 0.01], "log2_fold_change": 2.0, "score": [9.0, 3.0],
                          "share_in": 0.9, "share_out": 0.1})  # fmt: skip
    assert choose_markers(table, Cutoffs())["score"].tolist() == [3.0]
    assert choose_markers(table, Cutoffs(max_p_adjusted=1.0))["score"].tolist() == [9.0, 3.0]


@pytest.mark.parametrize(
    ("field", "value"), [("max_p_adjusted", -0.1), ("min_share", 1.5), ("min_log2_fold_change", -1), ("n_per_group", 0)]
)
def test_cut_offs_out_of_range_are_refused(field, value):
    with pytest.raises(RequestError, match="Change the cut-offs"):
        Cutoffs(**{field: value})
