"""The genes that follow an edit, and those that follow any, under a model in which both are known."""

import numpy as np
import pytest

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.follow_genes import FollowGenes, compare_shifts
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes
from scfm_core.registry import find_model
from scfm_core.tokens import Delete, Inhibit
from tests.analyses.acting_genes import ACTING, ACTOR, GENES, ORDINARY, RESPONDER, TARGET, acting_dataset, gene

COLUMNS = [
    "edit", "group", "gene_id", "symbol", "mean_shift", "n_cells", "random_mean", "random_sd", "n_random", "specific_z",
    "p_empirical",
]  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return acting_dataset(tmp_path_factory.mktemp("acting"))


def followers(engine, dataset, *edits, model=ACTING, null_genes=20, **fields):
    question = PerturbGenes(EmbedCells(dataset, model), edits, null_genes=0, **fields)
    return engine.compute(FollowGenes(question, null_genes=null_genes))


def test_the_target_comes_first_and_the_responder_does_not(engine, dataset):
    table = followers(engine, dataset, gene(ACTOR), cells=CellSet.where(dataset, "type", "B")).table
    assert list(table.columns) == COLUMNS
    assert table["gene_id"].iloc[0] == GENES[TARGET]
    assert table["specific_z"].iloc[0] > 10
    assert table["p_empirical"].iloc[0] == 1 / (1 + table["n_random"].iloc[0])
    responder = table.set_index("gene_id").loc[GENES[RESPONDER]]
    others = table[~table["gene_id"].isin([GENES[TARGET], GENES[RESPONDER]])]
    assert responder.mean_shift > 20 * others["mean_shift"].max()  # by size alone it would look like the finding
    assert responder.specific_z < 4
    assert table["specific_z"].dropna().is_monotonic_decreasing


def test_a_shift_equals_a_recomputation_cell_by_cell(engine, dataset):
    table = followers(engine, dataset, gene(ACTOR), cells=CellSet.where(dataset, "type", "B")).table
    model = ACTING.load(None, "cpu", {})
    options = EmbedCells(dataset, ACTING).chosen_options.__class__(gene_vectors=True)
    shifts = []
    for cell in np.flatnonzero(dataset.cells()["type"] == "B"):
        tokens = model.encode(dataset.counts(np.array([cell])))
        if not {TARGET, ACTOR} <= set(tokens.genes.tolist()):
            continue
        after = model.edit(tokens, gene(ACTOR))
        one = model.embed(tokens, options).genes[tokens.genes == TARGET][0].astype(float)
        two = model.embed(after, options).genes[after.genes == TARGET][0].astype(float)
        shifts.append(1 - one @ two / np.linalg.norm(one) / np.linalg.norm(two))
    row = table.set_index("gene_id").loc[GENES[TARGET]]
    assert min(shifts) <= row.mean_shift <= max(shifts)
    assert row.mean_shift == pytest.approx(np.mean(shifts), rel=0.2)  # on 16 of these cells


def test_the_edited_gene_does_not_follow_itself(engine, dataset):
    table = followers(engine, dataset, gene(ACTOR)).table
    assert GENES[ACTOR] not in set(table["gene_id"])
    assert len(table) <= 200


def test_under_random_edits_p_values_are_spread_evenly(engine, dataset):
    held = [number for number in ORDINARY if (dataset.expression(GENES[number]) > 0).mean() > 0.5][:8]
    table = followers(engine, dataset, *(gene(number) for number in held)).table
    common = table[table["n_random"] == 20]
    assert len(common) > 300
    assert (common["p_empirical"] <= 0.05).mean() < 0.2  # the genes of one edit move together: eight, not a thousand
    assert 0.3 < (common["p_empirical"] <= 0.5).mean() < 0.7


def test_groups_are_told_apart_and_few_holders_are_left_out(engine, dataset):
    table = followers(engine, dataset, gene(120), gene(ACTOR), group_by="type").table
    assert set(table.loc[table["edit"] == "S120", "group"]) == {"A"}  # a marker of type A
    assert set(table.loc[table["edit"] == f"S{ACTOR}", "group"]) == {"A", "B", "C", "D"}


def test_an_edit_held_nowhere_gives_an_empty_table_and_a_reason(engine, dataset):
    found = followers(engine, dataset, gene(120), cells=CellSet.where(dataset, "type", "B"))
    assert found.table.empty
    assert list(found.table.columns) == COLUMNS
    assert "No edit is held" in found.reason


def test_a_model_without_gene_vectors_says_so(engine, tiny_dataset):
    edit = (Delete(find_genes(tiny_dataset, ["LYZ"])[0]),)
    found = followers(engine, tiny_dataset, edit, model=find_model("pca"))
    assert found.table.empty
    assert list(found.table.columns) == COLUMNS
    assert found.reason == "PCA gives no vectors of genes, so that no gene can be seen to follow."
    assert found.n_passes == 0


def part(genes, shifts, n_cells):
    return {"genes": np.array(genes), "mean_shift": np.array(shifts, dtype=float), "n_cells": np.array(n_cells)}


def test_the_comparison_is_the_one_described():
    own = part([1, 2, 3, 4], [0.5, 0.2, 0.9, 0.3], [8, 8, 2, 8])
    random = [part([1, 2, 3], [0.1 * k, 0.2, 0.1], [8, 8, 8]) for k in range(1, 7)]
    random.append(part([1, 2], [9.0, 9.0], [2, 2]))  # of too few cells
    table = compare_shifts(own, random, 5).set_index("gene")
    assert table.index.tolist() == [1, 4, 2]  # those without a z last, by shift; gene 3 stands in too few cells
    shifts = 0.1 * np.arange(1, 7)
    assert table.loc[1, "random_mean"] == pytest.approx(shifts.mean())
    assert table.loc[1, "specific_z"] == pytest.approx((0.5 - shifts.mean()) / shifts.std(ddof=1))
    assert table.loc[1, "p_empirical"] == pytest.approx(3 / 7)
    assert np.isnan(table.loc[2, "specific_z"])  # the random ones do not differ
    assert table.loc[4, "n_random"] == 0
    assert np.isnan(table.loc[4, "p_empirical"])


def test_without_random_genes_there_are_shifts_alone(engine, dataset):
    table = followers(engine, dataset, gene(ACTOR), null_genes=0).table
    assert (table["n_random"] == 0).all()
    assert table["specific_z"].isna().all()
    assert table["mean_shift"].is_monotonic_decreasing


def test_the_transformer_that_comes_along(engine, tiny_dataset):
    cells = CellSet.where(tiny_dataset, "cell_type", "CD14+ monocyte")
    edit = (Delete(find_genes(tiny_dataset, ["LYZ"])[0]),)
    question = PerturbGenes(EmbedCells(tiny_dataset, find_model("scfm-mini")), (edit,), cells=cells, null_genes=0)
    found = engine.compute(FollowGenes(question, null_genes=6, null_cells=6))
    assert found.n_passes == 7 * 6 * 2
    assert found.table["specific_z"].notna().any()
    assert (found.table["mean_shift"] > 0).all()


def test_a_gene_that_is_moved_does_not_follow_itself(engine, tiny_dataset):
    lyz = find_genes(tiny_dataset, ["LYZ"])[0]
    cells = CellSet.where(tiny_dataset, "cell_type", "CD14+ monocyte")
    question = PerturbGenes(EmbedCells(tiny_dataset, find_model("scfm-mini")), ((Inhibit(lyz),),), cells=cells)
    table = engine.compute(FollowGenes(question, null_genes=0, null_cells=6)).table
    assert len(table) > 10
    assert lyz not in set(table["gene_id"])


def test_numbers_out_of_range_are_refused(dataset):
    question = PerturbGenes(EmbedCells(dataset, ACTING), (gene(ACTOR),))
    with pytest.raises(RequestError, match="at least 0 random genes"):
        FollowGenes(question, null_genes=-1)
