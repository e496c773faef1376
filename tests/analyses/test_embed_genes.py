"""Gene vectors are means over cells of what the network says of each gene, and its own table before any cell."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.embed_genes import EmbedGenes, StaticGeneVectors, cells_per_piece
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset, NewDataset, write_dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.model import EmbedOptions, ModelSpec
from scfm_core.registry import find_model
from scfm_core.weights import loaded_model
from tests.analyses.planted import dataset_of
from tests.rank_bert_cards import PlainBert, small_rank_bert

N_CELLS, N_GENES = 40, 60
GENES = tuple(f"ENSG{number:011d}" for number in range(N_GENES))
KNOWN = GENES[:50]
RETIRED = {GENES[55]: GENES[3]}  # the model reads the one as the other
EMPTY = 7  # a cell that holds no gene of the model


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    counts = np.random.default_rng(1).poisson(0.6, (N_CELLS, N_GENES))
    counts[:, 48] = 0  # the model knows it, no cell holds it
    counts[EMPTY, :50] = counts[EMPTY, 55] = 0
    counts[EMPTY, 52] = 3
    return dataset_of(tmp_path_factory.mktemp("planted"), counts)


@pytest.fixture(scope="module", params=["v1", "v2"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, PlainBert]:
    folder = tmp_path_factory.mktemp("small") / "weights"
    return small_rank_bert(folder, series=request.param, genes=KNOWN, aliases=RETIRED)


def means_by_hand(
    plain: PlainBert, dataset: Dataset, cells: list[int], n_layers: int
) -> dict[str, tuple[np.ndarray, int]]:
    """The mean of each gene's vector after ``n_layers`` layers, and over how many cells."""
    vectors: dict[str, list[np.ndarray]] = {}
    for cell in cells:
        names = plain.read(dataset, cell)
        if names:
            for name, vector in zip(names, plain.run(names)[0][n_layers], strict=True):
                vectors.setdefault(name, []).append(vector)
    return {name: (np.mean(found, axis=0), len(found)) for name, found in vectors.items() if name in plain.medians}


@pytest.mark.parametrize(("layer", "n_layers"), [(-1, 2), (0, 3), (-3, 0)])
def test_each_gene_is_the_mean_over_the_cells_that_hold_it(dataset, small, engine, layer, n_layers):
    card, plain = small
    expected = means_by_hand(plain, dataset, list(range(N_CELLS)), n_layers)
    assert len(plain.read(dataset, 0)) == 24  # so that cells are cut
    embedding = engine.compute(EmbedGenes(EmbedCells(dataset, card, EmbedOptions(layer=layer, pooling="cell"))))
    assert embedding.gene_ids == tuple(sorted(expected))
    assert embedding.points.dtype == np.float32
    np.testing.assert_allclose(
        embedding.points, np.stack([expected[gene][0] for gene in embedding.gene_ids]), rtol=0, atol=5e-6
    )
    np.testing.assert_array_equal(embedding.n_cells, [expected[gene][1] for gene in embedding.gene_ids])


def test_special_tokens_are_left_out_and_it_is_said(dataset, small, engine):
    card, plain = small
    job = engine.submit(EmbedGenes(EmbedCells(dataset, card)))
    assert not [gene_id for gene_id in job.result().gene_ids if gene_id not in KNOWN]
    said = any("stand for no gene, such as <cls>" in text for _, text in job.log)
    assert said == ("<cls>" in plain.tokens)


def test_rows_lead_from_the_genes_of_the_dataset_to_their_vectors(dataset, small, engine):
    embedding = engine.compute(EmbedGenes(EmbedCells(dataset, small[0])))
    assert embedding.rows.shape == (N_GENES,)
    read = embedding.rows >= 0
    assert not read[48]
    assert not read[[50, 51, 52, 53, 54, 56, 57, 58, 59]].any()
    named = [RETIRED.get(gene, gene) for gene in GENES]
    assert [embedding.gene_ids[row] for row in embedding.rows[read]] == [named[place] for place in np.flatnonzero(read)]
    assert embedding.rows[55] == embedding.rows[3] >= 0
    wide = embedding.of_dataset()
    np.testing.assert_array_equal(np.isnan(wide).all(axis=1), ~read)
    np.testing.assert_array_equal(wide[55], wide[3])


def test_only_the_chosen_cells_count(dataset, small, engine):
    card, plain = small
    cells = [2, 3, EMPTY, 30]
    chosen = CellSet.from_positions("some", cells, N_CELLS)
    embedding = engine.compute(EmbedGenes(EmbedCells(dataset, card), chosen))
    expected = means_by_hand(plain, dataset, cells, 2)
    assert embedding.gene_ids == tuple(sorted(expected))
    np.testing.assert_allclose(embedding.points, [expected[gene][0] for gene in embedding.gene_ids], atol=5e-6)
    assert embedding.n_cells.max() <= 3


def test_the_answer_depends_neither_on_the_pieces_nor_on_the_order(dataset, small, engine, tmp_path):
    card, _ = small
    fine = replace(card, key="fine", n_parameters=10**9)
    assert cells_per_piece(dataset, card, n_cells=N_CELLS) >= N_CELLS
    assert cells_per_piece(dataset, fine, n_cells=N_CELLS) == 8
    one = engine.compute(EmbedGenes(EmbedCells(dataset, card)))
    rng = np.random.default_rng(3)
    cells, genes = rng.permutation(N_CELLS), rng.permutation(N_GENES)
    shuffled = write_dataset(
        tmp_path,
        NewDataset(
            matrix=csr_matrix(dataset.counts(cells).matrix[:, genes]),
            gene_ids=tuple(GENES[gene] for gene in genes),
            gene_symbols=tuple(GENES[gene] for gene in genes),
            cells=dataset.cells().iloc[cells],
            organism="human",
        ),
    )
    for other in (EmbedGenes(EmbedCells(dataset, fine)), EmbedGenes(EmbedCells(shuffled, fine))):
        answer = engine.compute(other)
        assert answer.gene_ids == one.gene_ids
        np.testing.assert_allclose(answer.points, one.points, rtol=0, atol=2e-6)
        np.testing.assert_array_equal(answer.n_cells, one.n_cells)
    np.testing.assert_array_equal(answer.rows, one.rows[genes])


def test_the_bundled_model_agrees_with_its_own_vectors(tiny_dataset: Dataset, engine: Engine):
    mini = find_model("scfm-mini")
    baseline = EmbedCells(tiny_dataset, mini)
    model = loaded_model(mini, {})
    tokens = model.encode(tiny_dataset.counts())
    vectors = model.embed(tokens, replace(baseline.chosen_options, gene_vectors=True)).genes
    assert vectors is not None
    embedding = engine.compute(EmbedGenes(baseline))
    position = {gene_id: place for place, gene_id in enumerate(model.gene_ids)}
    for row in (0, 100, len(embedding.gene_ids) - 1):
        mine = tokens.genes == position[embedding.gene_ids[row]]
        assert mine.sum() == embedding.n_cells[row]
        np.testing.assert_allclose(embedding.points[row], vectors[mine].mean(axis=0, dtype=np.float64), atol=2e-6)
    assert len(embedding.gene_ids) == len(np.unique(tokens.genes))


def test_static_vectors_are_the_rows_of_the_table(dataset, small, engine):
    card, plain = small
    static = engine.compute(StaticGeneVectors(dataset, card))
    assert static.gene_ids == KNOWN
    table = plain.weights["bert.embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(static.points, table[[plain.tokens.index(gene) for gene in KNOWN]].astype(np.float32))
    wide = static.of_dataset()
    np.testing.assert_array_equal(wide[55], wide[3])
    assert np.flatnonzero(np.isnan(wide).any(axis=1)).tolist() == [50, 51, 52, 53, 54, 56, 57, 58, 59]


def test_the_pooling_makes_no_other_question(dataset, small):
    card, _ = small
    asked = [EmbedGenes(EmbedCells(dataset, card, EmbedOptions(layer=-1, pooling=name))) for name in card.poolings]
    assert len({request.identity for request in asked}) == 1
    assert EmbedGenes(EmbedCells(dataset, card, EmbedOptions(layer=0, pooling="cell"))).identity != asked[0].identity


def test_pieces_stay_few_on_disk_for_a_large_model(tiny_dataset):
    large = replace(find_model("scfm-mini"), embedding_size=1152, n_parameters=316_000_000)
    piece_bytes = 4 * 1152 * tiny_dataset.n_genes
    size = cells_per_piece(tiny_dataset, large, n_cells=1_000_000)
    assert -(-1_000_000 // size) * piece_bytes <= 4 * 2**30
    assert cells_per_piece(tiny_dataset, large, n_cells=1000) == 8


def test_what_cannot_be_answered_is_said(dataset: Dataset, small, engine: Engine):
    card, _ = small
    pca = find_model("pca")
    with pytest.raises(RequestError, match="gives cells a vector, not genes") as caught:
        EmbedGenes(EmbedCells(dataset, pca))
    assert caught.value.code == "no-gene-vectors"
    with pytest.raises(RequestError, match="gives cells a vector, not genes"):
        StaticGeneVectors(dataset, pca)
    for cells in (CellSet.from_positions("other", [1], 5), CellSet.from_positions("none", [], N_CELLS)):
        with pytest.raises(RequestError, match="Expected some of the 40 cells") as caught:
            EmbedGenes(EmbedCells(dataset, card), cells)
        assert caught.value.code == "wrong-cells"
    with pytest.raises(RequestError, match="None of the 1 chosen cells holds a gene") as caught:
        engine.compute(EmbedGenes(EmbedCells(dataset, card), CellSet.from_positions("empty", [EMPTY], N_CELLS)))
    assert caught.value.code == "no-tokens"
