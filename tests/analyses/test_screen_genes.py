"""A screen of genes through the real engine and the trained network that comes with the application."""

from dataclasses import replace

import numpy as np
import pytest

from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.screen_genes import ScreenGenes
from scfm_core.analyses.screen_words import quality_in_words
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.plots.gene_screen import estimate_against_exact, first_genes
from scfm_core.registry import find_model
from scfm_core.tokens import Delete
from scfm_core.weights import loaded_model

GOAL = State("cell_type", "B")


@pytest.fixture(scope="module")
def mini():
    return find_model("scfm-mini")


@pytest.fixture
def request_of(tiny_dataset, mini):
    cells = CellSet.from_positions("ten", range(0, 120, 12), 120)
    return ScreenGenes(EmbedCells(tiny_dataset, mini), cells=cells, goal=GOAL, confirm_top=6, confirm_cells=4)


@pytest.fixture
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
