"""Embedding does not depend on how the cells are cut, and a model is used only where its card allows."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk, chunks_of, embed_tokens
from scfm_core.analyses.fit_model import FitModel
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import ModelError, RequestError
from scfm_core.model import EmbedOptions
from scfm_core.registry import find_model
from scfm_core.tokens import Tokens
from scfm_core.weights import loaded_model
from tests.analyses.planted import SIZE, BagModel, bag_card, dataset_of

GENES = [f"ENSG{number:011d}" for number in range(500)]
OPTIONS = EmbedOptions(gene_vectors=True)


def random_tokens(n_cells: int, seed: int = 0) -> Tokens:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 40, n_cells)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    genes = rng.integers(0, 500, offsets[-1]).astype(np.int32)
    return Tokens(genes, np.ones(len(genes), dtype=np.float32), offsets)


@settings(max_examples=30, deadline=None)
@given(n_cells=st.integers(1, 30), budget=st.integers(1, 400), seed=st.integers(0, 99))
def test_vectors_do_not_depend_on_the_batches(n_cells: int, budget: int, seed: int) -> None:
    tokens = random_tokens(n_cells, seed)
    at_once = BagModel(GENES).embed(tokens, OPTIONS)
    in_batches = embed_tokens(BagModel(GENES), tokens, OPTIONS, token_budget=budget)
    np.testing.assert_array_equal(in_batches.cells, at_once.cells)
    np.testing.assert_array_equal(in_batches.genes, at_once.genes)


def test_a_cell_without_tokens_has_no_vector() -> None:
    tokens = random_tokens(40)
    cells = embed_tokens(BagModel(GENES), tokens, OPTIONS).cells
    np.testing.assert_array_equal(np.isnan(cells).all(axis=1), tokens.lengths == 0)
    assert (tokens.lengths == 0).any()


def test_no_cells_give_no_vectors() -> None:
    assert len(embed_tokens(BagModel(GENES), random_tokens(0), OPTIONS).cells) == 0


def test_batches_shrink_until_they_fit_the_memory() -> None:
    tokens = random_tokens(60)
    small = BagModel(GENES, memory=100)
    cells = embed_tokens(small, tokens, OPTIONS, token_budget=10_000).cells
    np.testing.assert_array_equal(cells, BagModel(GENES).embed(tokens, OPTIONS).cells)
    assert 40 < small.largest_batch <= 100


def test_a_cell_too_large_for_the_device_is_said() -> None:
    with pytest.raises(ModelError, match="does not fit the memory") as caught:
        embed_tokens(BagModel(GENES, memory=5), random_tokens(10), OPTIONS)
    assert caught.value.code == "out-of-memory"


@given(n_cells=st.integers(0, 500), chunk=st.integers(1, 100))
def test_chunks_cover_every_cell_once(n_cells: int, chunk: int) -> None:
    chunks = chunks_of(n_cells, chunk)
    assert [cell for start, stop in chunks for cell in range(start, stop)] == list(range(n_cells))
    assert all(0 < stop - start <= chunk for start, stop in chunks)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    counts = np.random.default_rng(1).poisson(0.2, (100, 600))
    counts[[3, 50], :500] = 0  # they hold genes, but none that the model knows
    return dataset_of(tmp_path_factory.mktemp("planted"), counts)


def test_the_answer_does_not_depend_on_the_chunks(planted: Dataset, engine: Engine) -> None:
    coarse, fine = bag_card(key="coarse"), bag_card(key="fine", n_parameters=10**9)
    assert cells_per_chunk(coarse) == 128
    assert cells_per_chunk(fine) == 8
    one, many = (engine.compute(EmbedCells(planted, card)) for card in (coarse, fine))
    np.testing.assert_array_equal(one.points, many.points)
    assert one.points.shape == (100, SIZE)
    assert one.points.dtype == np.float32
    assert one.n_tokens.dtype == np.int32
    held = np.asarray((planted.counts().matrix[:, :500] > 0).sum(axis=1)).ravel()
    np.testing.assert_array_equal(one.n_tokens, np.minimum(held, 64))


def test_cells_without_known_genes_are_counted_in_the_log(planted: Dataset, engine: Engine) -> None:
    job = engine.submit(EmbedCells(planted, bag_card()))
    points = job.result().points
    assert np.flatnonzero(np.isnan(points).any(axis=1)).tolist() == [3, 50]
    said = " ".join(text for _, text in job.log)
    assert "2 of 100 cells hold no gene of the model" in said
    assert "reads 500 of the 600 genes" in said


def test_the_model_must_know_the_organism(tmp_path: Path, engine: Engine) -> None:
    counts = np.random.default_rng(0).poisson(1.0, (5, 20))
    for organism in ("mouse", "unknown"):
        dataset = dataset_of(tmp_path, counts, organism=organism)
        with pytest.raises(ModelError, match="reads human genes") as caught:
            engine.compute(EmbedCells(dataset, bag_card()))
        assert caught.value.code == "wrong-organism"
        assert np.isfinite(engine.compute(EmbedCells(dataset, find_model("pca"))).points).all()


def test_some_gene_must_be_known(tmp_path: Path, engine: Engine) -> None:
    counts = np.random.default_rng(0).poisson(1.0, (5, 20))
    dataset = dataset_of(tmp_path, counts, gene_ids=tuple(f"probe{number}" for number in range(20)))
    with pytest.raises(ModelError, match="knows none of the 20 genes .* probe0, probe1") as caught:
        engine.compute(EmbedCells(dataset, bag_card()))
    assert caught.value.code == "no-known-genes"


def test_layer_and_pooling_must_be_on_the_card(planted: Dataset) -> None:
    EmbedCells(planted, bag_card(), EmbedOptions(layer=-2, pooling="cls"))
    with pytest.raises(RequestError, match="no pooling 'max'. Choose one of: mean, cls"):
        EmbedCells(planted, bag_card(), EmbedOptions(pooling="max"))
    for layer in (1, -3):
        with pytest.raises(RequestError, match=f"no layer {layer}"):
            EmbedCells(planted, bag_card(), EmbedOptions(layer=layer))


def test_equal_questions_are_one_question(planted: Dataset) -> None:
    card = bag_card()
    default = EmbedCells(planted, card)
    assert default.identity == EmbedCells(planted, card, EmbedOptions(gene_vectors=True)).identity
    assert default.identity != EmbedCells(planted, card, EmbedOptions(layer=-1)).identity
    assert default.options == card.default_options()


def test_a_baseline_is_fitted_and_embeds_as_it_does_alone(planted: Dataset, engine: Engine) -> None:
    pca = find_model("pca")
    fitted = engine.compute(FitModel(planted, pca)).arrays
    model = loaded_model(pca, fitted)
    alone = model.embed(model.encode(planted.counts()), pca.default_options()).cells
    answer = engine.compute(EmbedCells(planted, pca))
    np.testing.assert_array_equal(answer.points, alone)


def test_a_trained_model_is_not_fitted(tiny_dataset: Dataset, engine: Engine) -> None:
    with pytest.raises(ModelError, match="trained already"):
        engine.compute(FitModel(tiny_dataset, bag_card()))
