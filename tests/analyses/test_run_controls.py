"""Controls whose outcome is known, under a model whose every gene is known, and under those that come along."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.checked_cells import HeldGenes
from scfm_core.analyses.control_edits import equal_bits, housekeeping_genes, scrambled_edits, silent_genes
from scfm_core.analyses.control_steps import _compared
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.run_controls import RunControls
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes
from scfm_core.registry import find_model
from scfm_core.tokens import Delete, Overexpress
from tests.analyses.acting_genes import (
    ACTING,
    GENES,
    HUB,
    MARKERS,
    ORDINARY,
    SILENT,
    SLOPPY,
    STEADY,
    acting_dataset,
    gene,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return acting_dataset(tmp_path_factory.mktemp("acting"))


def controls(engine, dataset, *edits, model=ACTING, **fields):
    question = PerturbGenes(EmbedCells(dataset, model), edits, null_genes=0, **fields)
    return engine.compute(RunControls(question)).table


def of_kind(table, kind):
    return table[table["kind"] == kind].reset_index(drop=True)


def test_a_silent_gene_changes_no_bit(engine, dataset):
    row = of_kind(controls(engine, dataset, gene(HUB)), "silent gene").iloc[0]
    assert row.passed is True
    assert row.effect == 0.0
    assert row.n_holding == 0
    assert row.gene_id == GENES[SILENT]  # the only one
    assert np.isnan(row.p_empirical)


def test_a_model_that_changes_what_it_should_not_fails(engine, dataset):
    row = of_kind(controls(engine, dataset, gene(HUB), model=SLOPPY), "silent gene").iloc[0]
    assert row.passed is False
    assert row.effect > 0
    assert row.n_holding == row.n_cells == 32
    assert "not the same bits" in row.reason


def test_the_same_numbers_are_not_the_same_bits():
    one = np.array([0.0, 1.0, np.nan], dtype=np.float32)
    assert equal_bits(one, one.copy())
    assert not equal_bits(one, np.array([-0.0, 1.0, np.nan], dtype=np.float32))
    assert not equal_bits(one, np.nextafter(one, np.float32(2)))
    assert not equal_bits(one, one.astype(np.float64))


def test_a_gene_is_not_silent_while_another_name_of_it_is_expressed():
    token_of_gene = np.array([7, 7, 8, -1], dtype=np.int32)
    assert silent_genes(token_of_gene, np.array([True, False, False, False])).tolist() == [2]


def test_each_group_has_its_own_silent_gene(engine, dataset):
    rows = of_kind(controls(engine, dataset, gene(HUB), group_by="type"), "silent gene")
    assert rows["group"].tolist() == ["A", "B", "C", "D"]
    assert all(verdict is True for verdict in rows["passed"])
    for row in rows.itertuples():
        mine = (dataset.cells()["type"] == row.group).to_numpy()
        assert dataset.expression(row.gene_id)[mine].sum() == 0


def test_where_every_gene_is_expressed_it_says_so(engine, tiny_dataset):
    edit = (Delete(find_genes(tiny_dataset, ["LYZ"])[0]),)
    row = of_kind(controls(engine, tiny_dataset, edit, model=find_model("pca")), "silent gene").iloc[0]
    assert row.passed is None
    assert "Every gene that PCA reads is expressed" in row.reason


def test_housekeeping_genes_move_cells_no_more_than_others(engine, dataset):
    rows = of_kind(controls(engine, dataset, gene(HUB)), "housekeeping gene")
    assert rows["symbol"].tolist() == ["Actb", "GAPDH", "B2M", "TBP"]  # four, in the order of the list
    assert (rows["n_null"] == 20).all()
    assert (rows["passed"] == (rows["p_empirical"] > 0.05)).all()
    assert rows["passed"].sum() >= 3
    asked = of_kind(controls(engine, dataset, gene(111)), "housekeeping gene")
    assert asked["symbol"].tolist() == ["Actb", "B2M", "TBP", "PPIA"]  # what is asked about is no control


def test_housekeeping_genes_are_chosen_among_those_allowed(dataset):
    allowed = np.zeros(dataset.n_genes, dtype=bool)
    allowed[[110, 113, 5]] = True
    assert housekeeping_genes(dataset, allowed, most=4) == [110, 113]
    assert housekeeping_genes(dataset, np.zeros(dataset.n_genes, dtype=bool), most=4) == []
    assert set(STEADY) >= set(housekeeping_genes(dataset, np.ones(dataset.n_genes, dtype=bool), most=9))


def test_the_hub_beats_its_scrambles_and_ordinary_genes_lie_among_theirs(engine, dataset):
    hub = of_kind(controls(engine, dataset, gene(HUB)), "scrambled edit").iloc[0]
    assert hub.edit == f"S{HUB}"
    assert hub.passed is True
    assert hub.p_empirical == 1 / 21
    assert hub.effect > 3 * hub.null_mean
    ordinary = [gene(number) for number in ORDINARY if dataset.expression(GENES[number]).astype(bool).mean() > 0.3]
    rows = of_kind(controls(engine, dataset, *ordinary[:60]), "scrambled edit")
    assert len(rows) == 60
    assert 0.3 < (rows["p_empirical"] <= 0.5).mean() < 0.7
    assert hub.z > rows["z"].quantile(0.95)


@pytest.mark.parametrize(
    ("n_as_large", "more", "passed"),
    [(0, True, True), (1, True, None), (9, True, None), (10, True, False), (0, False, False), (1, False, True)],
)
def test_a_control_has_failed_where_most_random_edits_do_as_much(n_as_large, more, passed):
    null = np.concatenate([np.full(n_as_large, 2.0), np.linspace(0.1, 0.9, 20 - n_as_large)])
    found = _compared(1.0, null, more=more)
    assert found["passed"] is passed
    assert "20 random edits" in found["reason"]


def test_a_scramble_is_measured_as_the_edit_is(engine, dataset):
    question = PerturbGenes(EmbedCells(dataset, ACTING), (gene(HUB),), null_genes=0)
    row = of_kind(engine.compute(RunControls(question, null_cells=5)).table, "scrambled edit").iloc[0]
    exact = engine.compute(question.exact)
    means = np.sort(exact.distance[0][exact.holds[0]])
    assert means[:5].mean() <= row.effect <= means[-5:].mean()
    assert row.z == pytest.approx((row.effect - row.null_mean) / row.null_sd)


def ranked(*cells):
    genes = [np.array(cell) for cell in cells]
    return HeldGenes(
        cells=np.arange(len(cells)),
        genes=np.concatenate(genes),
        ranks=np.concatenate([np.arange(len(cell), dtype=float) for cell in genes]),
        offsets=np.concatenate([[0], np.cumsum([len(cell) for cell in genes])]),
    )


def test_a_scramble_stands_at_the_same_place_and_differs_from_cell_to_cell():
    rng = np.random.default_rng(0)
    cells = [rng.permutation(N) for N in (120, 120, 120)]
    made = scrambled_edits(ranked(*cells), (Delete(GENES[7]),), GENES, n_draws=10, rng=rng)
    for cell, edits in zip(cells, made, strict=True):
        place = int(np.flatnonzero(cell == 7)[0])
        drawn = [GENES.index(edit[0].gene_id) for edit in edits]
        assert len(set(drawn)) == 10
        assert 7 not in drawn
        assert max(abs(int(np.flatnonzero(cell == other)[0]) - place) for other in drawn) <= 10
    firsts = {edits[0] for edits in made}
    assert len(firsts) > 1


def test_a_scramble_of_a_gene_that_a_cell_lacks():
    held = ranked([1, 2, 3], [2, 3, 4, 5], [4, 9])
    rng = np.random.default_rng(0)
    deleted = scrambled_edits(held, (Delete(GENES[9]),), GENES, n_draws=4, rng=rng)
    assert [len(edits) for edits in deleted] == [0, 0, 1]  # nothing is deleted where it is not held
    raised = scrambled_edits(held, (Overexpress(GENES[9]),), GENES, n_draws=2, rng=rng)
    first = {edit[0].gene_id for edit in raised[0]}
    assert first <= {GENES[4], GENES[5]}
    assert all(isinstance(edit[0], Overexpress) for edits in raised for edit in edits)


def test_a_scramble_of_a_set_names_no_gene_twice():
    held = ranked(np.arange(30))
    edit = (Delete(GENES[4]), Delete(GENES[6]))
    made = scrambled_edits(held, edit, GENES, n_draws=8, rng=np.random.default_rng(1))[0]
    assert made
    for pair in made:
        assert len({single.gene_id for single in pair}) == 2
        assert not {GENES[4], GENES[6]} & {single.gene_id for single in pair}


def test_the_top_marker_is_that_of_the_group(engine, dataset):
    table = controls(engine, dataset, gene(HUB), group_by="type")
    for group, rows in of_kind(table, "top marker").groupby("group"):
        assert rows["gene_id"].tolist() in ([GENES[MARKERS[group]]], [GENES[105]])
    cells = CellSet.where(dataset, "type", "B")
    row = of_kind(controls(engine, dataset, gene(HUB), cells=cells), "top marker").iloc[0]
    assert row.gene_id == GENES[MARKERS["B"]]
    assert row.passed is (True if row.p_empirical <= 0.05 else None if row.p_empirical <= 0.5 else False)
    everyone = of_kind(controls(engine, dataset, gene(HUB)), "top marker").iloc[0]
    assert everyone.passed is None
    assert "no others" in everyone.reason


def test_a_marker_that_is_asked_about_is_no_control(engine, dataset):
    cells = CellSet.where(dataset, "type", "B")
    row = of_kind(controls(engine, dataset, gene(MARKERS["B"]), cells=cells), "top marker").iloc[0]
    assert row.gene_id != GENES[MARKERS["B"]]


def test_too_few_random_genes_give_no_verdict(engine, dataset):
    question = PerturbGenes(EmbedCells(dataset, ACTING), (gene(HUB),), null_genes=0)
    table = engine.compute(RunControls(question, null_genes=10)).table
    rows = table[table["kind"].isin(["housekeeping gene", "scrambled edit"])]
    assert rows["passed"].map(lambda value: value is None).all()
    assert rows["reason"].str.startswith("Too little to compare with").all()


def test_an_edit_that_nothing_holds_says_so(engine, dataset):
    cells = CellSet.where(dataset, "type", "B")
    rows = of_kind(controls(engine, dataset, gene(105), gene(HUB), cells=cells), "scrambled edit")
    assert rows["n_holding"].tolist()[0] == 0
    assert rows["passed"].tolist()[0] is None
    assert "holds it" in rows["reason"][0]
    assert rows["passed"].tolist()[1] is True


def test_one_group_costs_at_most_fifteen_hundred_passes(engine, dataset):
    question = PerturbGenes(EmbedCells(dataset, ACTING), (gene(HUB),), cells=CellSet.where(dataset, "type", "C"))
    found = engine.compute(RunControls(question))
    assert 0 < found.n_passes <= 1500
    assert list(found.table.columns)[:4] == ["group", "kind", "edit", "gene_id"]


def test_the_seed_decides(engine, dataset):
    cells = CellSet.where(dataset, "type", "A")
    base = PerturbGenes(EmbedCells(dataset, ACTING), (gene(HUB),), null_genes=0, cells=cells)
    one = RunControls(base)
    again = engine.compute(RunControls(replace(base, null_genes=3))).table  # another question, the same checks
    pd.testing.assert_frame_equal(engine.compute(one).table, again)
    other = engine.compute(RunControls(replace(base, seed=1))).table
    assert not of_kind(other, "scrambled edit").equals(of_kind(again, "scrambled edit"))


def test_numbers_out_of_range_are_refused(dataset):
    question = PerturbGenes(EmbedCells(dataset, ACTING), (gene(HUB),))
    with pytest.raises(RequestError, match="at least 1 random gene"):
        RunControls(question, null_genes=0)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["pca", "scfm-mini"])
def test_the_models_that_come_along(engine, tiny_dataset, key):
    cells = CellSet.where(tiny_dataset, "cell_type", "CD14+ monocyte")
    edit = (Delete(find_genes(tiny_dataset, ["LYZ"])[0]),)
    question = PerturbGenes(EmbedCells(tiny_dataset, find_model(key)), (edit,), cells=cells, null_genes=0)
    table = engine.compute(RunControls(question, null_genes=19, null_cells=2)).table
    silent = of_kind(table, "silent gene").iloc[0]
    assert silent.passed is True
    assert silent.effect == 0.0
    assert of_kind(table, "scrambled edit")["p_empirical"].between(0.05, 1).all()
    assert set(table["kind"]) == {"silent gene", "housekeeping gene", "scrambled edit", "top marker"}
