"""A screen of genes through the real engine and the trained network that comes with the application."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses import screen_showing
from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturbation_null import adjust_p
from scfm_core.analyses.screen_genes import ScreenGenes
from scfm_core.analyses.screen_words import (
    calibration_in_words,
    left_out_in_words,
    quality_in_words,
    treatment_in_words,
)
from scfm_core.cell_set import CellSet
from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.engine import Engine, ThreadExecutor, _Running
from scfm_core.errors import Cancelled, RequestError
from scfm_core.plots.gene_screen import estimate_against_exact, first_genes
from scfm_core.registry import find_model
from scfm_core.store import Store
from scfm_core.tokens import Delete
from scfm_core.weights import loaded_model
from tests.counting_requests import wait_for

GOAL = State("cell_type", "B")


@pytest.fixture(scope="module")
def mini():
    return find_model("scfm-mini")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """One for all tests of this file: what one computed, the next finds."""
    engine = Engine(Store(tmp_path_factory.mktemp("store")), ThreadExecutor(["cpu"]))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def request_of(tiny_dataset, mini):
    cells = CellSet.from_positions("ten", range(0, 120, 12), 120)
    return ScreenGenes(EmbedCells(tiny_dataset, mini), cells=cells, goal=GOAL, confirm_top=6, confirm_cells=4)


@pytest.fixture(scope="module")
def screen(engine, request_of):
    return engine.compute(request_of)


def test_the_confirmed_genes_are_deleted_exactly(engine, request_of, screen, tiny_dataset, mini):
    """Exact values against embedding each cell without the gene, by hand."""
    table = screen.table
    confirmed = table[table["n_exact"] > 0]
    assert set(table.loc[(table["rank"] <= 6) | (table["goal_rank"] <= 6), "gene_id"]) == set(confirmed["gene_id"])
    model, options = loaded_model(mini, {}), request_of.baseline.chosen_options
    points = engine.compute(request_of.baseline).points.astype(np.float64)
    goal = points[GOAL.mask(tiny_dataset)].mean(axis=0)
    chosen = request_of.cells.positions
    tokens = model.encode(tiny_dataset.counts(chosen))
    some = confirmed[confirmed["n_cells"] <= 4]  # of which all cells are confirmed
    assert len(some) > 3
    assert (confirmed["n_exact"] == np.minimum(confirmed["n_cells"], 4)).all()
    for row in some.itertuples():
        after = model.edit(tokens, [Delete(row.gene_id)])
        holding = np.flatnonzero(after.lengths < tokens.lengths)
        assert row.n_exact == row.n_cells == len(holding)
        moved = model.embed(after.take(holding), options).cells.astype(np.float64)
        before = points[chosen[holding]]
        assert row.size_exact == pytest.approx(np.mean(1 - cosine(moved, before)), abs=1e-6)
        assert row.goal_exact == pytest.approx(np.mean(cosine(moved, goal) - cosine(before, goal)), abs=1e-6)


def cosine(one, other):
    return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


def test_estimates_agree_with_exact_values_and_are_means_over_the_cells_that_hold_a_gene(screen, tiny_dataset, mini):
    table, model = screen.table, loaded_model(mini, {})
    confirmed = table[table["n_exact"] > 0]
    assert np.corrcoef(confirmed["goal_estimate_there"], confirmed["goal_exact"])[0, 1] > 0.98
    assert np.corrcoef(confirmed["size_estimate_there"], confirmed["size_exact"])[0, 1] > 0.8
    assert screen.goal_agreement > 0.8
    tokens = model.encode(tiny_dataset.counts(np.arange(0, 120, 12)))
    held = np.bincount(tokens.genes, minlength=len(model.gene_ids))
    assert dict(zip(table["gene_id"], table["n_cells"], strict=True)) == {
        model.gene_ids[gene]: held[gene] for gene in np.flatnonzero(held)
    }
    assert screen.n_estimated == len(tokens.genes)
    assert screen.n_cells == 10
    assert screen.n_passes == 10 * (3 + ScreenGenes.n_cuts) + confirmed["n_exact"].sum()
    assert screen.n_backward_passes == 10 * (ScreenGenes.n_axes + 1)


def test_ranks_follow_the_estimates_of_genes_that_a_tenth_of_the_cells_hold(screen):
    table = screen.table
    ranked = table[table["rank"].notna()]
    assert (ranked["share_holding"] >= 0.1).all()
    assert ranked["rank"].tolist() == list(range(1, len(ranked) + 1))
    assert (np.diff(ranked["size_estimate"]) <= 0).all()
    by_goal = ranked.sort_values("goal_rank")
    assert (np.diff(by_goal["goal_estimate"]) <= 0).all()
    assert (table.loc[table["n_exact"] == 0, "size_exact"].isna()).all()


def test_the_answer_survives_the_store_and_the_size_does_not_depend_on_a_goal(engine, request_of, screen):
    again = engine.compute(request_of)
    np.testing.assert_array_equal(again.table["size_estimate"], screen.table["size_estimate"])
    assert again.size_agreement == screen.size_agreement
    without = engine.compute(replace(request_of, goal=None, confirm_top=0))
    mine = screen.table.set_index("gene_id")["size_estimate"]
    other = without.table.set_index("gene_id")["size_estimate"]
    np.testing.assert_allclose(other[mine.index], mine, rtol=1e-5)
    assert without.table["goal_estimate"].isna().all()
    assert without.table["goal_rank"].isna().all()
    assert (without.table["n_exact"] == 0).all()
    assert np.isnan(without.size_agreement)


def test_a_list_restricts_the_table_and_the_confirmation_but_not_the_comparison(engine, request_of, screen):
    listed = tuple(screen.table.sort_values("rank")["gene_id"].iloc[[0, 7, 30, 31, 200]]) + ("ENSG00000000000",)
    some = engine.compute(replace(request_of, genes=listed, confirm_top=2))
    assert set(some.table["gene_id"]) == set(listed[:5])
    assert some.n_left_out == 1
    assert some.table["rank"].dropna().tolist() == [1, 2, 3, 4, 5][: some.table["rank"].notna().sum()]
    first = some.table[(some.table["rank"] <= 2) | (some.table["goal_rank"] <= 2)]
    assert (first["n_exact"] > 0).all()
    assert set(some.table.loc[some.table["n_exact"] > 0, "gene_id"]) == set(first["gene_id"])
    mine, whole = some.table.set_index("gene_id"), screen.table.set_index("gene_id").loc[list(some.table["gene_id"])]
    columns = ["size_estimate", "goal_estimate", "size_z", "size_p", "goal_z", "goal_p"]
    np.testing.assert_allclose(mine[columns], whole[columns], rtol=1e-6)
    known = mine["size_p"].notna()
    np.testing.assert_allclose(mine.loc[known, "size_p_adjusted"], adjust_p(mine.loc[known, "size_p"].to_numpy()))


def test_a_list_in_another_order_is_the_same_question(request_of):
    one = replace(request_of, genes=("ENSG00000167286", "ENSG00000105374"))
    assert one.identity == replace(request_of, genes=("ENSG00000105374", "ENSG00000167286") * 2).identity
    assert one.identity != request_of.identity


def test_a_list_that_no_cell_holds_and_an_empty_one_are_refused(engine, request_of):
    for genes, code in ((("ENSG00000000000",), "not-held"), ((), "no-genes")):
        with pytest.raises(RequestError) as refused:
            engine.compute(replace(request_of, genes=genes))
        assert refused.value.code == code


def test_ranked_genes_are_compared_with_their_like(screen):
    table = screen.table
    ranked = table["rank"].notna()
    columns = [f"{name}_{what}" for name in ("size", "goal") for what in ("z", "p", "p_adjusted")]
    assert table.loc[ranked, columns].notna().all(axis=None)
    assert table.loc[~ranked, columns].isna().all(axis=None)
    for name in ("size", "goal"):
        p = table.loc[ranked, f"{name}_p"].to_numpy()
        assert ((p > 0) & (p <= 1)).all()
        assert 0.35 < np.median(p) < 0.65
        assert 0.01 < (p < 0.05).mean() < 0.1
        np.testing.assert_allclose(table.loc[ranked, f"{name}_p_adjusted"], adjust_p(p))
    assert set(table["method"]) == {"estimated", "exact"}
    assert ((table["method"] == "exact") == (table["n_exact"] > 0)).all()


def test_a_running_screen_shows_estimates_first_and_confirmations_as_they_come(
    engine, request_of, screen, monkeypatch, tmp_path
):
    monkeypatch.setattr(screen_showing, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(screen_showing, "_LARGEST_SHARE", 1e9)
    shown = []
    monkeypatch.setattr(_Running, "show", lambda self, partial: shown.append(partial))
    cells = CellSet.from_positions("sixty", range(60), 120)
    again = Engine(Store(tmp_path / "another"), ThreadExecutor(["cpu"]))
    whole = again.compute(replace(request_of, cells=cells, confirm_top=60, confirm_cells=4))
    again.close()
    n_cells = [partial.n_cells for partial in shown]
    assert n_cells == sorted(n_cells)
    assert n_cells[0] < 60 == n_cells[-1]
    assert "of 60 cells" in shown[0].so_far
    assert (shown[0].table["n_exact"] == 0).all()
    assert shown[0].table["rank"].dropna().is_monotonic_increasing
    n_exact = [int((partial.table["n_exact"] > 0).sum()) for partial in shown]
    assert n_exact == sorted(n_exact)
    assert any(0 < n < n_exact[-1] for n in n_exact)
    assert n_exact[-1] == (whole.table["n_exact"] > 0).sum()
    assert "confirmed" in shown[-1].so_far
    assert whole.so_far == ""
    last = shown[-1].table.drop(columns=["method"])
    pd.testing.assert_frame_equal(last, whole.table.drop(columns=["method"]), check_dtype=False)


def test_a_stopped_screen_keeps_what_it_had(engine, request_of):
    engine.compute(request_of.baseline)
    slow = replace(request_of, cells=None, n_axes=8, seed=3)
    job = engine.submit(slow)
    wait_for(lambda: job.partial is not None, 120)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(60)
    assert 0 < job.partial.n_cells <= 120
    assert job.partial.so_far
    assert len(job.partial.table)


def test_donors_are_told_where_there_are_three(engine, mini, tiny_dataset, tmp_path):
    rng = np.random.default_rng(0)
    counts = tiny_dataset.counts()
    cells = tiny_dataset.cells().assign(donor=rng.choice(["a", "b", "c", "d"], 120))
    new = NewDataset(
        matrix=counts.matrix, gene_ids=tiny_dataset.gene_ids, gene_symbols=tiny_dataset.gene_symbols, cells=cells,
        organism="human", total_counts=counts.total_counts, roles={"cell_type": "cell_type", "donor": "donor"},
    )  # fmt: skip
    dataset = write_dataset(tmp_path, new)
    cells_asked = CellSet.from_positions("forty", range(40), 120)
    asked = ScreenGenes(EmbedCells(dataset, mini), cells=cells_asked, goal=GOAL, confirm_top=3, confirm_cells=40)
    table = engine.compute(asked).table
    exact = table[table["n_exact"] > 0]
    assert exact["n_donors"].max() >= 3
    assert (exact["donors_agree"] <= exact["n_donors"]).all()
    assert (table.loc[table["n_exact"] == 0, ["n_donors", "donors_agree"]] == 0).all(axis=None)
    model, options = loaded_model(mini, {}), asked.baseline.chosen_options
    points = engine.compute(asked.baseline).points.astype(np.float64)
    goal = points[GOAL.mask(dataset)].mean(axis=0)
    tokens = model.encode(dataset.counts(np.arange(40)))
    row = exact.sort_values("n_donors").iloc[-1]
    after = model.edit(tokens, [Delete(row["gene_id"])])
    holding = np.flatnonzero(after.lengths < tokens.lengths)
    moved = model.embed(after.take(holding), options).cells.astype(np.float64)
    shift = pd.Series(cosine(moved, goal) - cosine(points[holding], goal))
    by_donor = shift.groupby(dataset.cells()["donor"].to_numpy()[holding]).agg(["mean", "size"])
    by_donor = by_donor[by_donor["size"] >= 3]
    assert row["n_donors"] == len(by_donor)
    assert row["donors_agree"] == (np.sign(by_donor["mean"]) == np.sign(shift.mean())).sum()


def test_no_donor_columns_below_three_donors(screen):
    assert "n_donors" not in screen.table


def test_the_words_name_genes_toward_the_goal_and_what_they_are_worth(screen):
    words = treatment_in_words([screen], start="the cells", n_genes=2)
    assert len(words) == 3
    assert all("toward cell_type=B" in sentence for sentence in words)
    assert words[0].startswith("Deleting ")
    assert "no treatment" in words[-1]
    table = screen.table.assign(goal_p_adjusted=0.5)
    table.loc[4, ["goal_p_adjusted", "goal_z", "goal_estimate", "goal_exact"]] = 0.001, 6.0, 0.002, 0.002
    table.loc[5, ["goal_estimate", "goal_exact"]] = 0.5
    planted = replace(screen, table=table, edit="overexpress")
    words = treatment_in_words([screen, planted], start="the cells")
    assert words[0].startswith(f"Raising {table['symbol'][4]} moves the cells toward")
    assert "beyond what like genes do" in words[0]
    assert f"1 of {2 * len(table):,} screened edits move" in words[-1]
    behind = replace(planted, table=table.assign(goal_z=-6.0).head(6))  # p is two-sided
    (first,) = [text for text in treatment_in_words([behind], start="the cells", n_genes=6) if "p = 0.001" in text]
    assert "less far than like genes do" in first
    assert "0 of 6 screened edits" in treatment_in_words([behind], start="the cells")[-1]
    assert "No goal" in treatment_in_words([replace(screen, goal="")], start="the cells")[0]
    away = replace(screen, table=screen.table.assign(goal_estimate=-1.0, goal_exact=np.nan))
    assert "None of" in treatment_in_words([away], start="the cells")[0]
    assert "Benjamini" in calibration_in_words(screen)
    assert left_out_in_words(screen) == ""
    assert "2 genes of the list are" in left_out_in_words(replace(screen, n_left_out=2))


def test_a_model_without_a_measured_screen_is_refused(tiny_dataset, mini):
    with pytest.raises(RequestError) as refused:
        ScreenGenes(EmbedCells(tiny_dataset, find_model("pca")))
    assert refused.value.code == "no-screen"
    assert "not measured" in quality_in_words(find_model("pca"))
    other_layer = replace(mini.default_options(), layer=0)
    with pytest.raises(RequestError) as refused:
        ScreenGenes(EmbedCells(tiny_dataset, mini, other_layer))
    assert refused.value.code == "no-screen"


@pytest.mark.parametrize("wrong", [{"confirm_top": -1}, {"confirm_cells": 0}, {"n_axes": -1}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(tiny_dataset, mini, wrong):
    with pytest.raises(RequestError) as refused:
        ScreenGenes(EmbedCells(tiny_dataset, mini), **wrong)
    assert refused.value.code == "out-of-range"


def test_the_figures_show_the_table(screen):
    figure = estimate_against_exact(screen)
    confirmed = screen.table[screen.table["n_exact"] > 0]
    points = figure.panels[0].marks[-1]
    np.testing.assert_array_equal(points.x, confirmed["size_exact"])
    np.testing.assert_array_equal(points.y, confirmed["size_estimate_there"])
    first = first_genes(screen, by="goal", n_genes=5)
    best = screen.table.nsmallest(5, "goal_rank")
    drawn = next(mark for mark in first.panels[0].marks if getattr(mark, "label", "").startswith("estimated"))
    np.testing.assert_array_equal(drawn.x, best["goal_estimate"])
    with pytest.raises(RequestError):
        first_genes(replace(screen, goal=""), by="goal")
    with pytest.raises(RequestError):
        estimate_against_exact(replace(screen, table=screen.table.assign(n_exact=0)))
