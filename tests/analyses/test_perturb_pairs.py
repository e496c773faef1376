"""Pairs with and without a planted interaction, through the engine, with numbers recomputed here by hand."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import kstest

from scfm_core.analyses import pair_passes, pair_steps
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_pairs import PerturbPairs, estimated_pair_passes, pair_sentence
from scfm_core.cell_set import CellSet
from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes
from scfm_core.model import CellStates, EmbedOptions, ModelSpec
from scfm_core.registry import find_model
from scfm_core.tokens import Delete, Overexpress, Scale, Tokens, counts_in_vocabulary, without_genes

N_GENES, N_CELLS, SIZE = 240, 120, 10
GENES = tuple(f"ENSG{number:011d}" for number in range(N_GENES))
BACKUP, PRODUCT = (100, 101), (110, 111)  # either will do; both are needed
ALONE, OTHER, UNREAD, APART = 120, 121, 239, (130, 131)  # no cell holds both of the last
LABELS = {number: f"S{number}" for number in range(N_GENES)}


@dataclass(frozen=True)
class ProductModel:
    """A bent sum of gene vectors (so that no pair adds up exactly), plus planted terms of two pairs of genes."""

    bend: float
    planted: float

    @property
    def gene_ids(self):
        return GENES[:UNREAD]

    def table(self):
        table = np.random.default_rng(3).normal(size=(N_GENES, SIZE)) + 0.5
        table[[*BACKUP, *PRODUCT]] *= 0.2  # so that the planted terms are most of what these genes do
        return table

    def encode(self, counts):
        matrix = counts_in_vocabulary(counts, {gene: n for n, gene in enumerate(self.gene_ids)}, size=UNREAD)
        values = np.log1p(matrix.data).astype(np.float32)
        return Tokens(matrix.indices.astype(np.int32), values, matrix.indptr.astype(np.int64))

    def edit(self, tokens, edits):
        for edit in edits:
            gene = GENES.index(edit.gene_id)
            if isinstance(edit, Delete):
                tokens = without_genes(tokens, np.array([gene]))
            else:
                tokens = replace(tokens, values=tokens.values * np.where(tokens.genes == gene, edit.factor, 1.0))
        return replace(tokens, values=tokens.values.astype(np.float32))

    def embed(self, tokens, options):
        shape = (tokens.n_cells, N_GENES)
        values = csr_matrix((tokens.values.astype(float), tokens.genes, tokens.offsets), shape=shape).toarray()
        sums = values @ self.table()
        bent = sums + self.bend * sums[:, ::-1] ** 2 / 1000
        one, other = (np.where(np.arange(SIZE) % 3 == third, 1.0, 0.0) for third in range(2))
        bent += self.planted * np.maximum(values[:, BACKUP[0]], values[:, BACKUP[1]])[:, None] * one
        bent += self.planted * (values[:, PRODUCT[0]] * values[:, PRODUCT[1]])[:, None] * other
        points = bent.astype(np.float32)
        points[tokens.lengths == 0] = np.nan
        return CellStates(points)


def load_planted(folder, device, fitted):
    return ProductModel(bend=20.0, planted=3.0)


def load_linear(folder, device, fitted):
    return ProductModel(bend=0.0, planted=0.0)


def load_bent(folder, device, fitted):
    return ProductModel(bend=20.0, planted=0.0)


PLANTED = ModelSpec(
    key="planted-pairs",
    title="Planted pairs",
    revision="1",
    summary="",
    organisms=("human",),
    vocabulary="239 genes",
    embedding_size=SIZE,
    max_tokens=None,
    n_parameters=None,
    licence="",
    citation="",
    doi="",
    training_data="",
    known_limits=(),
    load=load_planted,
    gene_edits=("delete", "scale"),
)
LINEAR = replace(PLANTED, key="linear", load=load_linear)
BENT = replace(PLANTED, key="bent", load=load_bent)


def deleted(*numbers):
    return tuple(Delete(GENES[number]) for number in numbers)


def counts_of_cells():
    rng = np.random.default_rng(4)
    level = np.exp(rng.normal(0.0, 0.8, size=N_GENES))
    level[[*BACKUP, *PRODUCT, ALONE, OTHER]] = 1.5
    counts = rng.poisson(level * rng.gamma(6.0, 1 / 6, size=(N_CELLS, 1)))
    counts[: N_CELLS // 2, APART[0]] = 0
    counts[N_CELLS // 2 :, APART[1]] = 0
    return counts


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    cells = pd.DataFrame({"half": np.repeat(["left", "right"], N_CELLS // 2), "who": list("abcd") * (N_CELLS // 4)})
    cells.index = [f"cell{number}" for number in range(N_CELLS)]
    new = NewDataset(
        matrix=csr_matrix(counts_of_cells()), gene_ids=GENES, gene_symbols=tuple(LABELS.values()), cells=cells,
        organism="human",
    )  # fmt: skip
    return write_dataset(tmp_path_factory.mktemp("datasets"), new)


@pytest.fixture(scope="module")
def with_donors(dataset, tmp_path_factory):
    new = NewDataset(
        matrix=dataset.counts().matrix, gene_ids=dataset.gene_ids, gene_symbols=dataset.gene_symbols,
        cells=dataset.cells(), organism="human", roles={"donor": "who"},
    )  # fmt: skip
    return write_dataset(tmp_path_factory.mktemp("donors"), new)


def rows_of(found):
    return {(row.edit_a, row.edit_b): row for row in found.table.itertuples()}


def by_hand(dataset, cells, edits):
    """Size beyond the sum, what is left over, and the path, one cell at a time, with nothing of the engine."""
    model = load_planted(None, "cpu", {})
    beyond = []
    for cell in cells:
        tokens = model.encode(dataset.counts(np.array([cell])))

        def embedded(edits, tokens=tokens):
            return model.embed(model.edit(tokens, edits), EmbedOptions()).cells[0].astype(float)

        e, a, b, both = (embedded(each) for each in ((), edits[:1], edits[1:], edits))

        def size(vector, e=e):
            return 1 - e @ vector / np.linalg.norm(e) / np.linalg.norm(vector)

        lengths = np.linalg.norm(a - e) + np.linalg.norm(b - e)
        beyond.append([size(both) - size(a + b - e), np.linalg.norm(both - a - b + e), lengths])
    return np.array(beyond)


def test_numbers_equal_a_recomputation_cell_by_cell(engine, dataset):
    edits = (Delete(GENES[PRODUCT[0]]), Scale(GENES[PRODUCT[1]], 0.5))
    found = engine.compute(PerturbPairs(EmbedCells(dataset, PLANTED), edits, null_pairs=0))
    holding = np.flatnonzero((dataset.counts().matrix[:, list(PRODUCT)].toarray() > 0).all(axis=1))
    expected = by_hand(dataset, holding, edits)
    row = found.table.iloc[0]
    assert (row.edit_a, row.edit_b) == ("S110", "scale S111 x0.5")
    assert row.n_holding_both == row.n_measured == len(holding) < N_CELLS
    assert row.size_beyond == pytest.approx(expected[:, 0].mean(), rel=1e-4)
    assert row.vector_beyond == pytest.approx(expected[:, 1].mean() / expected[:, 2].mean(), rel=1e-4)
    assert row.ci_low < row.size_beyond < row.ci_high
    assert row.vector_ci_low < row.vector_beyond < row.vector_ci_high
    assert row.effect_both - row.effect_added == row.size_beyond
    assert row.kind_of == "cannot tell"
    assert "not compared" in row.reason
    assert found.edits == ("S110", "scale S111 x0.5")


def test_planted_pairs_are_shown_and_independent_ones_are_not(engine, dataset):
    genes = (*BACKUP, *PRODUCT, ALONE, OTHER)
    found = engine.compute(PerturbPairs(EmbedCells(dataset, PLANTED), deleted(*genes), null_cells=30))
    kinds = {pair: row.kind_of for pair, row in rows_of(found).items()}
    backup, product = tuple(LABELS[n] for n in BACKUP), tuple(LABELS[n] for n in PRODUCT)
    assert kinds.pop(backup) == "more than the sum"
    assert kinds.pop(product) == "less than the sum"
    assert len(kinds) == 13
    assert not set(kinds.values()) - {"additive", "cannot tell"}
    assert kinds[LABELS[ALONE], LABELS[OTHER]] == "additive"
    assert list(kinds.values()).count("additive") >= 11
    row = rows_of(found)[backup]
    assert row.vector_p_adjusted <= 0.05
    assert row.vector_beyond > 3 * row.vector_null_mean
    assert row.n_null > 30 >= rows_of(found)[LABELS[ALONE], LABELS[OTHER]].n_null  # refined where it matters
    assert row.p_empirical == 1 / (1 + row.n_null)
    assert len(found.null) >= row.n_null + 14 * 25
    said = pair_sentence(found.table.iloc[0].to_dict())
    assert "Deleting S100 and S101 together moves all cells by" in said
    assert "do more than the sum of the two" in said
    assert "0 of " in said
    assert "exploratory" in said
    assert "not an experiment" in said


def test_without_the_planted_terms_nothing_is_called(engine, dataset):
    genes = (*BACKUP, *PRODUCT, ALONE, OTHER)
    found = engine.compute(PerturbPairs(EmbedCells(dataset, BENT), deleted(*genes), null_cells=30)).table
    assert (found.vector_beyond > found.noise).all()
    assert not set(found.kind_of) - {"additive", "cannot tell"}


def test_a_linear_model_adds_up_to_the_noise(engine, tiny_dataset, dataset):
    symbols = ("LYZ", "CD3D", "NKG7", "CD74")
    edits = tuple(Delete(gene_id) for gene_id in find_genes(tiny_dataset, symbols))
    edits = (*edits[:3], Scale(edits[3].gene_id, 2.0))
    questions = [PerturbPairs(EmbedCells(tiny_dataset, find_model("pca")), edits)]
    questions.append(PerturbPairs(EmbedCells(dataset, LINEAR), deleted(*PRODUCT, ALONE)))
    for question in questions:
        found = engine.compute(question)
        held = found.table[found.table.n_measured >= 3]
        assert len(held) >= 3
        assert (held.vector_beyond < 1e-4).all()
        assert (held.vector_beyond <= held.noise).all()
        assert (held.noise < 0.01).all()
        assert (held.effect_both > 1e-6).all()
        assert set(held.kind_of) == {"additive"}
        assert held.p_empirical.isna().all()
        assert found.null.empty
        said = pair_sentence(held.iloc[0].to_dict())
        assert "So the two add up. What is left" in said
        assert "exploratory" not in said


def test_genes_that_no_cell_holds_together_cannot_be_told(engine, dataset):
    found = engine.compute(PerturbPairs(EmbedCells(dataset, PLANTED), deleted(*APART, UNREAD), null_pairs=5))
    row = rows_of(found)[tuple(LABELS[n] for n in APART)]
    assert row.n_holding_both == row.n_measured == 0
    assert row.kind_of == "cannot tell"
    assert "No cell of the group holds both" in row.reason
    numbers = found.table.select_dtypes("float").iloc[0]
    assert numbers.isna().all()
    said = pair_sentence(found.table.iloc[0].to_dict())
    assert "S130 and S131" in said
    assert "nothing can be told" in said
    assert "does not read the gene of S239" in rows_of(found)[LABELS[APART[0]], LABELS[UNREAD]].reason


def test_groups_are_measured_apart_on_at_most_so_many_cells(engine, dataset):
    question = PerturbPairs(
        EmbedCells(dataset, PLANTED), deleted(*PRODUCT), group_by="half", max_cells=10, null_pairs=12, null_cells=5,
        most_null_pairs=0,
    )  # fmt: skip
    found = engine.compute(question).table
    held = (dataset.counts().matrix[:, list(PRODUCT)].toarray() > 0).all(axis=1)
    assert found.group.tolist() == ["left", "right"]
    assert found.n_cells.tolist() == [60, 60]
    assert found.n_holding_both.tolist() == [held[:60].sum(), held[60:].sum()]
    assert found.n_measured.tolist() == [10, 10]
    assert found.null_n_cells.tolist() == [5, 5]
    left = CellSet.where(dataset, "half", "left")
    alone = engine.compute(replace(question, group_by=None, cells=left)).table
    assert alone.group.tolist() == ["left"]
    same = ["size_beyond", "vector_beyond", "ci_low", "null_mean", "z", "p_empirical"]
    pd.testing.assert_frame_equal(alone[same], found[same].iloc[:1])


def test_each_single_edit_is_embedded_once_per_cell(engine, dataset, monkeypatch):
    genes = (*BACKUP, *PRODUCT, ALONE, OTHER)
    monkeypatch.setattr(pair_steps, "cells_per_chunk", lambda model: 60)
    embedded = []
    original = pair_passes.embed_edited

    def counting(apparatus, edits, passes):
        found = original(apparatus, edits, passes)
        embedded.extend(
            (int(passes.cells[cell]), edits[edit])
            for cell, edit in zip(passes.cell_of_pair, passes.edit_of_pair, strict=True)
        )
        return found

    monkeypatch.setattr(pair_passes, "embed_edited", counting)
    question = PerturbPairs(EmbedCells(dataset, PLANTED), deleted(*genes), null_pairs=0, max_cells=500)
    found = engine.compute(question)
    held = dataset.counts().matrix[:, list(genes)].toarray() > 0
    n_pairs = sum(int((held[:, a] & held[:, b]).sum()) for a, b in combinations(range(6), 2))
    n_singles = int(held[held.sum(axis=1) > 1].sum())
    assert len(embedded) == len(set(embedded)) == n_pairs + n_singles
    assert found.n_passes == n_pairs + n_singles + 16
    assert found.n_passes <= estimated_pair_passes(question) <= 1.2 * found.n_passes


def test_the_answer_does_not_depend_on_how_the_work_is_cut(engine, dataset, monkeypatch):
    question = PerturbPairs(EmbedCells(dataset, PLANTED), deleted(*PRODUCT, ALONE), null_pairs=12, null_cells=6)
    found = engine.compute(question)
    monkeypatch.setattr(pair_steps, "cells_per_chunk", lambda model: 150)
    monkeypatch.setattr(pair_passes, "_ROWS_PER_CELL", 70)
    monkeypatch.setattr(pair_steps, "_CELLS_READ_AT_ONCE", 50)
    again = question.run(_Context(engine))
    pd.testing.assert_frame_equal(found.table, again.table, rtol=1e-6)
    pd.testing.assert_frame_equal(found.null, again.null, rtol=1e-6)
    other = engine.compute(replace(question, seed=1))
    assert not found.null.equals(other.null)


class _Context:
    """Runs a request here, without the store."""

    def __init__(self, engine):
        self.compute = engine.compute

    def map(self, function, items, **words):
        return map(function, items)

    def call(self, function, **words):
        return function()

    def log(self, text):
        pass


def test_donors_are_the_replicates_where_there_are_enough(engine, with_donors):
    question = PerturbPairs(EmbedCells(with_donors, PLANTED), deleted(*PRODUCT), null_pairs=0)
    row = engine.compute(question).table.iloc[0]
    assert row.ci_over == "donors"
    assert row.ci_low < row.size_beyond < row.ci_high
    assert "exploratory" not in pair_sentence(row.to_dict())
    few = CellSet.from_mask("few", np.isin(with_donors.cells().who, ["a", "b"]))
    assert engine.compute(replace(question, cells=few)).table.ci_over.tolist() == ["cells"]


def test_p_values_of_random_pairs_are_uniform(engine, dataset):
    """No pair is special, effects differ by orders of magnitude, and no pair adds up exactly."""
    p = {"p_empirical": [], "vector_p_empirical": []}
    for seed in range(14):
        tested = np.random.default_rng(seed).choice(UNREAD, size=5, replace=False)
        question = PerturbPairs(
            EmbedCells(dataset, BENT), deleted(*tested), null_pairs=19, null_cells=8, max_cells=8, most_null_pairs=0,
            seed=seed,
        )  # fmt: skip
        table = engine.compute(question).table
        for name, values in p.items():
            values += table[table.n_null >= 19][name].tolist()
    for values in p.values():
        values = np.array(values)
        assert len(values) > 130
        blurred = values - np.random.default_rng(0).uniform(size=len(values)) / 20  # p has steps of 1/20
        assert kstest(blurred, "uniform").pvalue > 0.01
        assert np.mean(values <= 0.05) <= 0.11


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"genes": deleted(1)}, "out-of-range"),
        ({"genes": deleted(*range(16))}, "out-of-range"),
        ({"genes": (Delete(GENES[1]), Scale(GENES[1], 0.5))}, "repeated-edit"),
        ({"genes": (Delete(GENES[1]), Overexpress(GENES[2]))}, "unsupported-edit"),
        ({"genes": (Delete(GENES[1]), Delete("ENSG99"))}, "unknown-gene"),
        ({"null_cells": 2}, "out-of-range"),
        ({"seed": -1}, "out-of-range"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_at_once(dataset, change, code):
    with pytest.raises(RequestError) as caught:
        PerturbPairs(**{"baseline": EmbedCells(dataset, PLANTED), "genes": deleted(1, 2)} | change)
    assert caught.value.code == code


def test_ranks_are_read_too(engine, tiny_dataset):
    edits = tuple(Delete(gene_id) for gene_id in find_genes(tiny_dataset, ("LYZ", "S100A9", "FTL")))
    edits = (*edits[:2], Overexpress(edits[2].gene_id))
    monocytes = CellSet.where(tiny_dataset, "cell_type", "CD14+ monocyte")
    question = PerturbPairs(
        EmbedCells(tiny_dataset, find_model("scfm-mini")), edits, cells=monocytes, null_pairs=12, null_cells=4,
        max_cells=6, most_null_pairs=0,
    )  # fmt: skip
    found = engine.compute(question)
    assert (found.table.n_measured >= 6).all()
    assert (found.table.vector_beyond > found.table.noise).all()
    assert (found.table.noise < 0.05).all()
    assert (found.table.n_null >= 12).all()
    assert (found.table.null_n_cells == 4).all()
    assert set(found.table.kind_of) <= {"like random pairs", "cannot tell"}
    assert found.table.p_empirical.between(0.01, 1).all()
