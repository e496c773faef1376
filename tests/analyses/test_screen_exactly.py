"""An exact screen through the real engine: against edits made by hand, its comparison, and what a stop leaves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses import screen_showing
from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturbation_null import adjust_p
from scfm_core.analyses.screen_calibration import NEIGHBOURS
from scfm_core.analyses.screen_cost import estimated_screen_passes
from scfm_core.analyses.screen_exactly import ScreenExactly
from scfm_core.analyses.screen_genes import ScreenGenes
from scfm_core.analyses.screen_words import calibration_in_words
from scfm_core.cell_set import CellSet
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import Cancelled, RequestError
from scfm_core.genes import find_genes
from scfm_core.registry import find_model
from scfm_core.store import Store
from scfm_core.tokens import Activate, Delete, Inhibit, Overexpress
from scfm_core.weights import loaded_model
from tests.analyses.planted import bag_card, dataset_of
from tests.counting_requests import wait_for

GOAL = State("cell_type", "B")
EDIT = {"delete": Delete, "overexpress": Overexpress, "inhibit": Inhibit, "activate": Activate}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """One for all tests of this file: what one computed, the next finds."""
    engine = Engine(Store(tmp_path_factory.mktemp("store")), ThreadExecutor(["cpu"]))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def mini(tiny_dataset):
    return EmbedCells(tiny_dataset, find_model("scfm-mini"))


@pytest.fixture(scope="module")
def pca(tiny_dataset):
    return EmbedCells(tiny_dataset, find_model("pca"))


@pytest.fixture(scope="module")
def some_genes(tiny_dataset):
    return find_genes(tiny_dataset, ["CD74", "NKG7", "LYZ", "CST3", "PPBP"])


def cosine(one, other):
    return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


@pytest.mark.parametrize("kind", ["delete", "overexpress", "inhibit", "activate"])
def test_each_gene_is_edited_exactly_in_cells_that_hold_it(engine, mini, tiny_dataset, some_genes, kind):
    """Against embedding every chosen cell with and without the edit, by hand."""
    cells = CellSet.from_positions("twelve", range(0, 120, 10), 120)
    asked = ScreenExactly(mini, some_genes, kind=kind, cells=cells, goal=GOAL, cells_per_gene=12)
    screen = engine.compute(asked)
    model, options = loaded_model(mini.model, {}), mini.chosen_options
    points = engine.compute(mini).points.astype(np.float64)
    goal = points[GOAL.mask(tiny_dataset)].mean(axis=0)
    tokens = model.encode(tiny_dataset.counts(cells.positions))
    assert screen.edit == kind
    assert set(screen.table["gene_id"]) <= set(some_genes)
    for row in screen.table.itertuples():
        after = model.edit(tokens, [EDIT[kind](row.gene_id)])
        changed = [
            cell
            for cell in range(12)
            if after.take(np.array([cell])).genes.tolist() != tokens.take(np.array([cell])).genes.tolist()
        ]
        assert row.n_exact == len(changed)
        moved = model.embed(after.take(np.array(changed)), options).cells.astype(np.float64)
        before = points[cells.positions[changed]]
        assert row.size_exact == pytest.approx(np.mean(1 - cosine(moved, before)), abs=1e-6)
        assert row.goal_exact == pytest.approx(np.mean(cosine(moved, goal) - cosine(before, goal)), abs=1e-6)
        assert row.method == "exact"
        assert np.isnan(row.size_estimate)
    if kind == "overexpress":
        assert screen.table["n_exact"].min() > screen.table["n_cells"].min()  # also in cells that do not hold it
        assert screen.table["rank"].notna().all()


def test_few_genes_are_compared_with_random_ones_of_like_abundance(engine, pca, some_genes):
    screen = engine.compute(ScreenExactly(pca, some_genes, goal=GOAL))
    assert screen.n_references == NEIGHBOURS
    assert len(screen.table) == 5
    assert screen.n_passes > 5 * 16
    ranked = screen.table["rank"].notna()
    assert ranked.sum() >= 3
    assert screen.table.loc[ranked, ["size_z", "size_p", "goal_z", "goal_p"]].notna().all(axis=None)
    assert (screen.table["n_exact"] <= 16).all()
    np.testing.assert_allclose(
        screen.table.loc[ranked, "size_p_adjusted"], adjust_p(screen.table.loc[ranked, "size_p"].to_numpy())
    )
    assert "100 random genes" in calibration_in_words(screen)


def test_all_held_genes_need_no_random_ones_and_are_ranked_by_what_was_computed(engine, pca):
    screen = engine.compute(ScreenExactly(pca, goal=GOAL, cells_per_gene=4))
    table = screen.table
    assert screen.n_references == 0
    assert len(table) > 500
    ranked = table[table["rank"].notna()]
    assert (ranked["share_holding"] >= 0.1).all()
    assert (np.diff(ranked["size_exact"]) <= 0).all()
    assert (np.diff(ranked.sort_values("goal_rank")["goal_exact"]) <= 0).all()
    assert table["n_exact"].tolist() == np.minimum(table["n_cells"], 4).tolist()
    assert (ranked["size_p"] < 0.05).mean() < 0.1
    assert screen.n_passes == table["n_exact"].sum()


def planted_screen(engine, tmp_path, factor):
    """Counts in which one gene rules the vectors: its own vector is long."""
    rng = np.random.default_rng(1)
    counts = rng.poisson(rng.gamma(1.0, 1.0, 300), (60, 300))
    counts[:, 7] = rng.poisson(0.8, 60)
    dataset = dataset_of(tmp_path, counts)

    def load(folder, device, fitted):
        from tests.analyses.planted import BagModel

        model = BagModel([f"ENSG{number:011d}" for number in range(300)], max_tokens=300)
        model.vectors[7] *= factor
        return model

    card = bag_card(key=f"ruled-{factor}", max_tokens=300, load=load)
    return engine.compute(ScreenExactly(EmbedCells(dataset, card), cells_per_gene=30))


def test_a_planted_gene_is_found_and_without_it_none_is(engine, tmp_path):
    ruled = planted_screen(engine, tmp_path / "a", 30.0).table.set_index("symbol")
    assert ruled["size_p_adjusted"].idxmin() == "G7"
    assert ruled.loc["G7", "size_p_adjusted"] < 0.05
    assert (ruled.drop("G7")["size_p_adjusted"].dropna() > 0.05).all()
    plain = planted_screen(engine, tmp_path / "b", 1.0).table
    assert (plain["size_p_adjusted"].dropna() > 0.05).all()
    assert (plain["size_p"] < 0.05).mean() < 0.12


def test_a_running_screen_shows_the_genes_that_are_done(tmp_path, mini, some_genes, monkeypatch):
    monkeypatch.setattr(screen_showing, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(screen_showing, "_LARGEST_SHARE", 1e9)
    engine = Engine(Store(tmp_path), ThreadExecutor(["cpu"]))
    engine.compute(mini)
    cells = CellSet.from_positions("thirty", range(30), 120)
    asked = ScreenExactly(mini, some_genes, cells=cells, cells_per_gene=10)
    job, shown = engine.submit(asked), []
    while not job.wait(0.02):
        if job.partial is not None and (not shown or job.partial is not shown[-1]):
            shown.append(job.partial)
    whole = job.result()
    engine.close()
    assert len(shown) > 2
    n_done = [len(partial.table) for partial in shown]
    assert n_done == sorted(n_done)
    assert all("genes done" in partial.so_far and "for comparison" in partial.so_far for partial in shown)
    sizes = whole.table.set_index("gene_id")["size_exact"]
    for partial in shown:  # what is shown of a gene is what stands there in the end
        mine = partial.table.set_index("gene_id")["size_exact"]
        np.testing.assert_allclose(mine, sizes[mine.index])
    assert whole.so_far == ""


def test_a_stopped_screen_keeps_what_it_had_and_goes_on_from_there(tmp_path, mini):
    engine = Engine(Store(tmp_path), ThreadExecutor(["cpu"]))
    engine.compute(mini)
    asked = ScreenExactly(mini, cells=CellSet.from_positions("five", range(5), 120), cells_per_gene=2)
    job = engine.submit(asked)
    wait_for(lambda: job.progress.unit == "edits" and job.done >= 300, 120)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(60)
    kept, done = job.partial, job.done
    assert 0 < len(kept.table) < done
    assert "genes done" in kept.so_far
    again = engine.submit(asked)
    wait_for(lambda: again.progress.unit == "edits" and again.done >= 256, 120)
    assert again.progress.done_at_start >= 256  # these lay ready
    again.cancel()
    wait_for(lambda: again.finished, 60)
    sizes = again.partial.table.set_index("gene_id")["size_exact"]
    mine = kept.table.set_index("gene_id")["size_exact"]
    common = mine.index.intersection(sizes.index)
    assert len(common) > 10
    np.testing.assert_allclose(mine[common], sizes[common])
    engine.close()


def test_genes_that_no_cell_holds_are_counted_and_none_at_all_is_refused(engine, pca, some_genes):
    screen = engine.compute(ScreenExactly(pca, (*some_genes, "ENSG00000000000"), cells_per_gene=2))
    assert screen.n_left_out == 1
    with pytest.raises(RequestError) as refused:
        engine.compute(ScreenExactly(pca, ("ENSG00000000000",)))
    assert refused.value.code == "not-held"


def test_questions_that_make_no_sense_are_refused(pca):
    for wrong, code in (
        ({"kind": "scale"}, "unknown-edit"),
        ({"kind": "nonsense"}, "unknown-edit"),
        ({"genes": ()}, "no-genes"),
        ({"cells_per_gene": 0}, "out-of-range"),
        ({"seed": -1}, "out-of-range"),
        ({"cells": CellSet.from_positions("other", [1], 7)}, "no-cells"),
    ):
        with pytest.raises(RequestError) as refused:
            ScreenExactly(pca, **wrong)
        assert refused.value.code == code


def test_the_cost_is_told_beforehand(engine, pca, mini, some_genes):
    asked = ScreenExactly(pca, some_genes, goal=GOAL)
    assert estimated_screen_passes(asked) == pytest.approx(engine.compute(asked).n_passes, rel=0.2)
    raised = ScreenExactly(pca, some_genes, kind="overexpress")
    assert estimated_screen_passes(raised) == (5 + NEIGHBOURS) * 16
    everything = ScreenExactly(pca, goal=GOAL, cells_per_gene=4)
    assert estimated_screen_passes(everything) == pytest.approx(engine.compute(everything).n_passes, rel=0.2)
    screen = ScreenGenes(mini, confirm_top=10, confirm_cells=20, n_axes=4, n_cuts=3)
    assert estimated_screen_passes(screen) == 120 * (3 + 3 + 2 * 4) + 10 * 20
    assert estimated_screen_passes(replace(screen, goal=GOAL)) == 120 * (3 + 3 + 2 * 5) + 2 * 10 * 20


def test_the_answer_survives_the_store(tmp_path, pca, some_genes):
    asked = ScreenExactly(pca, some_genes, goal=GOAL, cells_per_gene=3)
    engine = Engine(Store(tmp_path), ThreadExecutor(["cpu"]))
    first = engine.compute(asked)
    engine.close()
    engine = Engine(Store(tmp_path), ThreadExecutor(["cpu"]))
    second = engine.answer(asked)
    engine.close()
    pd.testing.assert_frame_equal(first.table, second.table)
    assert (first.edit, first.n_references, first.so_far) == (second.edit, second.n_references, second.so_far)
