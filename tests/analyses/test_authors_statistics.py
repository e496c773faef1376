"""The authors' statistics against independent computations, and the faults of their code that are not repeated.

Their recorded table is held against ours in `tests/test_cli_geneformer.py`.
"""

import random
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, kstest, ranksums
from sklearn.mixture import GaussianMixture

from scfm_core.analyses.authors_statistics import (
    IN_WORDS,
    aggregate_data,
    aggregate_gene_shifts,
    goal_state_shift,
    mixture_model,
    statistics_of,
    vs_null,
)
from scfm_core.analyses.perturb_as_authors import AuthorsReadout
from scfm_core.analyses.rank_sums import rank_sum_p, sampled
from scfm_core.errors import RequestError

SIMILARITY = "cosine_similarity"


def readout(
    values: Mapping[str, Mapping[str, list[float]]], *, states: tuple[str, ...] = (), every_gene: bool = True,
    genes: pd.DataFrame | None = None,
) -> AuthorsReadout:
    """A readout with given values: column -> gene -> one value per cell."""
    columns = {
        column: {(f"cell{number}", f"delete:{gene}"): value for gene, row in by_gene.items()
                 for number, value in enumerate(row)}
        for column, by_gene in values.items()
    }  # fmt: skip
    cells = pd.DataFrame(columns).rename_axis(["cell", "edit"]).reset_index()
    counts = {gene: len(row) for gene, row in next(iter(values.values())).items()}
    edits = pd.DataFrame(
        {
            "edit": [f"delete:{gene}" for gene in counts], "kind": "delete", "gene_ids": list(counts),
            "symbols": [gene.lower() for gene in counts],
            "tokens": [str(7 + number) for number in range(len(counts))], "n_cells": list(counts.values()),
        }
    )  # fmt: skip
    none = pd.DataFrame({"cell": [], "edit": [], "gene_id": [], SIMILARITY: []})
    return AuthorsReadout(
        cells=cells, genes=none if genes is None else genes, edits=edits, states=states,
        state_vectors=np.zeros((len(states), 2)), left_out=(), n_passes=0, every_gene=every_gene,
    )  # fmt: skip


def random_values(seed: int, n_genes: int, *, lowest: int = 1, highest: int = 12) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {f"G{g}": rng.normal(0, 1, rng.integers(lowest, highest)).tolist() for g in range(n_genes)}


def similarities(seed: int = 0, n_strong: int = 12, n_weak: int = 60) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    centres = [*rng.normal(0.80, 0.01, n_strong), *rng.normal(0.97, 0.005, n_weak)]
    return {f"G{g}": (centre + rng.normal(0, 0.01, 8)).tolist() for g, centre in enumerate(centres)}


def test_rank_sums_are_those_of_scipy_also_with_ties():
    rng = np.random.default_rng(3)
    values, pool = rng.integers(0, 9, 60).astype(float), rng.integers(0, 9, 200).astype(float)
    groups = np.sort(np.append(rng.integers(0, 7, 53), np.arange(7)))
    expected = [ranksums(pool, values[groups == group]).pvalue for group in range(7)]
    np.testing.assert_allclose(rank_sum_p(values, groups, pool), expected, rtol=1e-10)


def test_shift_toward_a_goal_against_a_plain_computation():
    goal, other = random_values(0, 30), {}
    other = {gene: (np.array(row) * 0.5 + 1).tolist() for gene, row in goal.items()}
    start = {gene: [0.0] * len(row) for gene, row in goal.items()}
    columns = {"shift_to:A": start, "shift_to:B": goal, "shift_to:C": other}
    table = goal_state_shift(readout(columns, states=("A", "B", "C")))
    assert list(table.columns) == [
        "Gene", "Gene_name", "Ensembl_ID", "Shift_to_goal_end", "Shift_to_alt_end_C", "Goal_end_vs_random_pval",
        "Alt_end_vs_random_pval_C", "Goal_end_FDR", "Alt_end_FDR_C", "N_Detections", "Sig",
    ]  # fmt: skip
    table = table.set_index("Ensembl_ID")
    for column, name, values in (("Goal_end", "", goal), ("Alt_end", "_C", other)):
        everything = np.concatenate(list(values.values()))
        p = {gene: ranksums(everything, row).pvalue for gene, row in values.items()}
        np.testing.assert_allclose(table.loc[list(p), f"{column}_vs_random_pval{name}"], list(p.values()), rtol=1e-10)
        fdr = false_discovery_control(list(p.values()))
        np.testing.assert_allclose(table.loc[list(p), f"{column}_FDR{name}"], fdr, rtol=1e-10)
    for gene, row in goal.items():
        assert table.loc[gene, "Shift_to_goal_end"] == pytest.approx(np.mean(row))
        assert table.loc[gene, "N_Detections"] == len(row)


def test_significant_genes_stand_first_then_the_largest_shift():
    values = {gene: [value * 0.01 for value in row] for gene, row in random_values(1, 40, lowest=8).items()}
    values |= {"DOWN": [-5.0 + 0.1 * n for n in range(20)], "FEW": [9.0]}
    columns = {f"shift_to:{state}": values for state in ("A", "B")}
    table = goal_state_shift(readout(columns, states=("A", "B")))
    assert table["Ensembl_ID"][0] == "DOWN"  # significant, and yet away from the goal
    assert table["Sig"].tolist() == [1] + [0] * (len(table) - 1)
    assert table["Ensembl_ID"][1] == "FEW"
    assert table["Shift_to_goal_end"][1:].is_monotonic_decreasing


def test_named_edits_have_means_and_no_test():
    columns = {f"shift_to:{state}": {"X": [1.0, 2.0], "Y": [4.0]} for state in ("A", "B")}
    table = goal_state_shift(readout(columns, states=("A", "B"), every_gene=False))
    assert table["Shift_to_goal_end"].tolist() == [4.0, 1.5]
    assert table["N_Detections"].tolist() == [1, 2]
    assert not [column for column in table if "pval" in column]


def test_p_of_a_screen_is_uniform_where_no_gene_differs():
    """Pooled values contain the gene's own, which makes p a little too large: conservative, never liberal."""
    rng = np.random.default_rng(5)
    p = []
    for _ in range(20):
        values = {f"G{g}": rng.normal(0, 1, 10).tolist() for g in range(60)}
        columns = {f"shift_to:{state}": values for state in ("A", "B")}
        p.append(goal_state_shift(readout(columns, states=("A", "B")))["Goal_end_vs_random_pval"])
    everything = np.concatenate(p)
    assert kstest(everything, "uniform").statistic < 0.05
    assert 0.03 < (everything < 0.05).mean() < 0.06


def test_p_is_too_small_where_cells_of_a_donor_resemble_each_other():
    """What the words warn of: a null without any effect of the gene, but with donors, is called significant."""
    rng = np.random.default_rng(6)
    donor = np.repeat(np.arange(3), 10)
    values = {f"G{g}": (rng.normal(0, 1, 3)[donor] + rng.normal(0, 0.1, 30)).tolist() for g in range(100)}
    columns = {f"shift_to:{state}": values for state in ("A", "B")}
    table = goal_state_shift(readout(columns, states=("A", "B")))
    assert (table["Goal_end_vs_random_pval"] < 0.05).mean() > 0.3
    assert "Cells are not replicates" in IN_WORDS["goal_state_shift"]


def test_against_other_cells():
    test, null = random_values(7, 15, lowest=5), random_values(8, 14, lowest=5)
    test["G3"] = (np.array(test["G3"]) + 9).tolist()
    ours = vs_null(readout({SIMILARITY: test}), readout({SIMILARITY: null})).set_index("Ensembl_ID")
    for gene in null:
        row = ours.loc[gene]
        assert row["Test_avg_shift"] == pytest.approx(np.mean(test[gene]))
        assert row["Test_vs_null_avg_shift"] == pytest.approx(np.mean(test[gene]) - np.mean(null[gene]))
        assert row["Test_vs_null_pval"] == pytest.approx(ranksums(test[gene], null[gene]).pvalue)
        assert (row["N_Detections_test"], row["N_Detections_null"]) == (len(test[gene]), len(null[gene]))
    np.testing.assert_allclose(ours["Test_vs_null_FDR"], false_discovery_control(ours["Test_vs_null_pval"]))
    assert ours.index[0] == "G3"


def test_p_is_one_where_the_edit_was_made_in_one_set_of_cells_only():
    """As the authors set it (NaN becomes 1), so that the gene counts among the tests that FDR adjusts for."""
    ours = vs_null(readout({SIMILARITY: {"X": [0.9, 0.8], "Y": [0.7]}}), readout({SIMILARITY: {"X": [0.5, 0.4]}}))
    lonely = ours.set_index("Ensembl_ID").loc["Y"]
    assert lonely["Test_vs_null_pval"] == 1.0
    assert np.isnan(lonely["Null_avg_shift"])
    assert ours["Test_vs_null_FDR"].notna().all()


def test_p_against_other_cells_is_uniform_where_they_do_not_differ():
    p = []
    for seed in range(30):
        rng = np.random.default_rng(100 + seed)
        one, two = ({f"G{g}": rng.normal(0, 1, 12).tolist() for g in range(40)} for _ in range(2))
        p.append(vs_null(readout({SIMILARITY: one}), readout({SIMILARITY: two}))["Test_vs_null_pval"])
    everything = np.concatenate(p)
    assert kstest(everything, "uniform").statistic < 0.05
    assert 0.035 < (everything < 0.05).mean() < 0.065


def test_the_mixture_finds_genes_with_impact():
    values = similarities()
    table = mixture_model(readout({SIMILARITY: values}))
    assert list(table.columns) == [
        "Gene", "Gene_name", "Ensembl_ID", "Test_avg_shift", "Impact_component", "Impact_component_percent",
        "N_Detections",
    ]  # fmt: skip
    assert set(table.loc[table["Impact_component"] == 1, "Ensembl_ID"]) == {f"G{g}" for g in range(12)}
    assert table["Impact_component"].is_monotonic_decreasing
    assert table["Test_avg_shift"][:12].is_monotonic_increasing
    strong, weak = table["Impact_component_percent"][:12], table["Impact_component_percent"][12:]
    assert strong.min() > 60
    assert weak.max() < 40


def test_fault_components_are_in_the_order_of_their_means_whatever_sklearn_numbers_them():
    """Theirs takes component 0 for the one with impact; sklearn numbers components as they come."""
    swapped = 0
    for seed in range(12):
        values = similarities(seed, n_strong=10 + seed, n_weak=70 - 5 * seed)
        means = np.array([np.mean(row) for row in values.values()])
        fitted = GaussianMixture(n_components=2, random_state=0).fit(means[:, None])
        swapped += fitted.means_[0, 0] > fitted.means_[1, 0]
        table = mixture_model(readout({SIMILARITY: values})).set_index("Ensembl_ID")
        np.testing.assert_array_equal(table.loc[list(values), "Impact_component"], (means < 0.9).astype(int))
    assert 0 < swapped < 12  # both orders did occur


def test_a_mixture_needs_genes_that_differ():
    same = readout({SIMILARITY: {"X": [0.5, 0.5], "Y": [0.5]}})
    with pytest.raises(RequestError, match="genes that differ"):
        mixture_model(same)
    assert [each.name for each in statistics_of(same, symbols={})] == ["aggregate_data"]


def test_fault_sampling_leaves_pythons_random_numbers_alone():
    """Theirs calls random.seed(42), which makes every later draw of the program the same."""
    values = np.arange(150_000, dtype=float)
    random.seed(1)
    state = random.getstate()
    drawn = sampled(values)
    assert random.getstate() == state
    random.seed(42)
    np.testing.assert_array_equal(drawn, random.sample(values.tolist(), k=100_000))  # the numbers are theirs
    assert sampled(values[:100_000]) is not drawn
    np.testing.assert_array_equal(sampled(values[:100_000]), values[:100_000])


def test_genes_that_turn_are_averaged_over_cells():
    rng = np.random.default_rng(2)
    rows = [
        (f"cell{cell}", f"delete:{gene}", other, value)
        for gene in ("X", "Y") for other in ("A", "B", "C") for cell, value in enumerate(rng.uniform(0, 1, 5))
        if not (other == "C" and cell > 1)
    ]  # fmt: skip
    genes = pd.DataFrame(rows, columns=["cell", "edit", "gene_id", SIMILARITY])
    asked = readout({SIMILARITY: {"X": [0.9, 0.8], "Y": [0.7]}}, every_gene=False, genes=genes)
    table = aggregate_gene_shifts(asked, symbols={"A": "alpha"})
    assert table["Affected"].tolist()[:2] == ["cell_emb", "cell_emb"]
    assert table["Cosine_sim_mean"][:2].tolist() == pytest.approx([0.7, 0.85])
    assert table["Cosine_sim_mean"][2:].is_monotonic_increasing
    for (edit, other), group in genes.groupby(["edit", "gene_id"]):
        row = table[(table["Ensembl_ID"] == edit.removeprefix("delete:")) & (table["Affected"] == other)].iloc[0]
        assert row["Cosine_sim_stdev"] == pytest.approx(group[SIMILARITY].std(ddof=0))
        assert row["N_Detections"] == len(group)
    assert set(table["Affected_gene_name"]) == {"cell_emb", "alpha", "B", "C"}
    assert [each.file for each in statistics_of(asked, symbols={})] == ["statistics", "gene_statistics"]


def test_the_flat_table_has_a_row_per_cell():
    table = aggregate_data(readout({SIMILARITY: {"X": [0.9, 0.8], "Y": [0.7]}}, every_gene=False))
    assert table["Cosine_sim"].tolist() == [0.9, 0.8, 0.7]
    assert table["Ensembl_ID"].tolist() == ["X", "X", "Y"]
    assert table["Gene_name"].tolist() == ["x", "x", "y"]


@pytest.mark.parametrize("statistic", [aggregate_data, mixture_model])
def test_shifts_toward_states_are_no_similarities(statistic):
    shifts = readout({f"shift_to:{state}": {"X": [0.1], "Y": [0.2]} for state in ("A", "B")}, states=("A", "B"))
    with pytest.raises(RequestError, match="Ask without states"):
        statistic(shifts)
    with pytest.raises(RequestError, match="need states"):
        goal_state_shift(readout({SIMILARITY: {"X": [0.1]}}))


def test_every_statistic_says_what_it_does_not_prove():
    for name in ("goal_state_shift", "vs_null"):
        assert "not replicates" in IN_WORDS[name]
    assert "no proof" in IN_WORDS["aggregate_gene_shifts"]
    assert "always found" in IN_WORDS["mixture_model"]
