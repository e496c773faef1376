"""What every model owes that places the cells of one dataset all together; a new one is tested by being there."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.dataset import Dataset, NewDataset, write_dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import DatasetError, ModelError, RequestError, ScfmError
from scfm_core.model import EmbedOptions, ModelSpec
from scfm_core.registry import all_models, find_model
from scfm_core.request import recipe
from scfm_core.store import Store
from scfm_core.tokens import Delete
from scfm_core.weights import check_weights, loaded_model, missing_packages, weights_here
from tests.models.batched_cells import mixing, planted, purity

PLACING = [spec.key for spec in all_models() if spec.place is not None]
BATCHED = [spec.key for spec in all_models() if spec.needs_batch]
N_CELLS, EMPTY = 120, 7


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """120 cells, one of which has no counts."""
    return planted(tmp_path_factory.mktemp("planted"), n_cells=N_CELLS, empty=(EMPTY,))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine whose answers the tests of this file share."""
    engine = Engine(Store(tmp_path_factory.mktemp("kept")), ThreadExecutor(["cpu"]))
    yield engine
    engine.close()


@pytest.fixture(params=PLACING)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    spec = find_model(request.param)
    if missing_packages(spec):
        pytest.skip(f"{spec.title} needs packages: {spec.how_to_get}")
    return spec


def test_there_are_models_that_place_cells() -> None:
    assert PLACING == ["combat", "harmony", "random", "scvi"]
    assert BATCHED == ["combat", "harmony", "scvi"]


def test_vectors_have_the_size_of_the_card_and_are_missing_where_nothing_is_known(
    kept: Engine, cells: Dataset, spec: ModelSpec
) -> None:
    found = kept.compute(EmbedCells(cells, spec))
    assert found.points.shape == (N_CELLS, spec.embedding_size)
    assert found.points.dtype == np.float32
    known = np.arange(N_CELLS) != EMPTY
    assert np.isfinite(found.points[known]).all()
    assert np.unique(found.points[known], axis=0).shape[0] == N_CELLS - 1
    reads_cells = spec.key != "random"
    assert np.isnan(found.points[EMPTY]).all() == reads_cells
    assert found.n_tokens.shape == (N_CELLS,)
    np.testing.assert_array_equal(found.n_tokens > 0, known if reads_cells else np.zeros(N_CELLS, dtype=bool))


def test_asked_again_elsewhere_the_vectors_are_the_same(
    kept: Engine, engine: Engine, cells: Dataset, spec: ModelSpec
) -> None:
    request = EmbedCells(cells, spec)
    np.testing.assert_array_equal(kept.compute(request).points, engine.compute(request).points)


def test_a_seed_counts_where_the_card_says_so(kept: Engine, cells: Dataset, spec: ModelSpec) -> None:
    usual, other = (EmbedCells(cells, spec, replace(spec.default_options(), seed=seed)) for seed in (0, 3))
    assert (usual.identity != other.identity) == spec.draws
    same = np.array_equal(kept.compute(usual).points, kept.compute(other).points, equal_nan=True)
    assert same == (not spec.draws)


def test_it_has_no_vector_for_an_edited_cell(cells: Dataset, spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="places the cells of one dataset") as caught:
        loaded_model(spec, {})
    assert caught.value.code == "no-network"
    with pytest.raises(ModelError, match="all together"):
        spec.load(None, "cpu", {})
    with pytest.raises(RequestError, match="cannot delete a gene. It can: edit none") as refused:
        PerturbGenes(EmbedCells(cells, spec), ((Delete(cells.gene_ids[0]),),))
    assert refused.value.code == "unsupported-edit"


@pytest.mark.parametrize(
    ("key", "code"), [("combat", "batch-too-small"), ("harmony", "too-few-cells"), ("scvi", "too-few-cells")]
)
def test_a_handful_of_cells_is_refused_in_words(engine: Engine, tmp_path, key: str, code: str) -> None:
    dataset = planted(tmp_path, n_cells=4)
    with pytest.raises(ScfmError, match="at least") as caught:
        engine.compute(EmbedCells(dataset, find_model(key)))
    assert caught.value.code == code
    assert "4 cells" in str(caught.value) or "has 1" in str(caught.value)


def test_too_many_cells_for_combat_are_told_at_once(
    engine: Engine, cells: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scfm_core.models.combat.MOST_CELLS", 100)
    with pytest.raises(DatasetError, match="100 cells are the most, this dataset has 120"):
        engine.compute(EmbedCells(cells, find_model("combat")))


def test_a_model_without_its_package_is_refused_and_says_what_to_install(cells: Dataset, engine: Engine) -> None:
    card = replace(find_model("harmony"), needs_packages=("a_package_that_nobody_made",))
    assert not weights_here(card)
    assert missing_packages(card) == ("a_package_that_nobody_made",)
    for ask in (lambda: check_weights(card), lambda: engine.compute(EmbedCells(cells, card))):
        with pytest.raises(ModelError, match=r"a_package_that_nobody_made.*pip install 'scfm-explorer\[int") as caught:
            ask()
        assert caught.value.code == "no-package"


# Batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", BATCHED)
def test_the_batch_column_is_part_of_the_question(cells: Dataset, key: str) -> None:
    usual = EmbedCells(cells, find_model(key))
    assert usual.chosen_options.batch == "lane"  # the column that the dataset knows for its batches
    named, other = (EmbedCells(cells, find_model(key), _options(key, batch=name)) for name in ("lane", "kind"))
    assert named.identity == usual.identity != other.identity
    assert recipe(usual)["options"]["batch"] == "lane"


@pytest.mark.parametrize("key", ["pca", "hvg", "random", "scfm-mini"])
def test_models_that_need_no_batch_ignore_it_and_keep_their_identity(cells: Dataset, key: str) -> None:
    usual = EmbedCells(cells, find_model(key))
    assert EmbedCells(cells, find_model(key), _options(key, batch="kind")).identity == usual.identity
    assert not {"batch", "seed"} & recipe(usual)["options"].keys()


@pytest.mark.parametrize("key", BATCHED)
@pytest.mark.parametrize(
    ("column", "code", "words"),
    [
        ("one", "one-batch", "holds one, 'same'"),
        ("some", "cells-without-batch", "5 of 120 cells have none"),
        ("barcode", "too-many-batches", "a batch of its own"),
    ],
)
def test_what_are_no_batches_is_refused_in_words(
    engine: Engine, cells: Dataset, key: str, column: str, code: str, words: str
) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        engine.compute(EmbedCells(cells, find_model(key), _options(key, batch=column)))
    assert caught.value.code == code
    assert find_model(key).title in str(caught.value)
    assert "Choose" in str(caught.value)


@pytest.mark.parametrize("key", BATCHED)
@pytest.mark.parametrize("columns", [("kind",), ()])
def test_no_batch_column_is_refused_with_what_to_do(
    engine: Engine, cells: Dataset, tmp_path, key: str, columns: tuple[str, ...]
) -> None:
    counts = cells.counts()
    new = NewDataset(
        matrix=counts.matrix, gene_ids=counts.gene_ids, gene_symbols=counts.gene_ids, organism="human",
        cells=cells.cells()[list(columns)] if columns else pd.DataFrame(index=cells.cells().index),
    )  # fmt: skip
    with pytest.raises(RequestError, match="no column of this dataset is known to hold its batches") as caught:
        engine.compute(EmbedCells(write_dataset(tmp_path, new), find_model(key)))
    assert caught.value.code == "no-batch-column"
    assert ("--batch" if columns else "Add the file with such a column") in str(caught.value)


@pytest.mark.parametrize("key", BATCHED)
def test_a_column_that_is_not_there_is_told_before_anything_runs(cells: Dataset, key: str) -> None:
    with pytest.raises(RequestError, match="no column of this dataset. Choose one of: kind, lane") as caught:
        EmbedCells(cells, find_model(key), _options(key, batch="lame"))
    assert caught.value.code == "unknown-column"


@pytest.mark.parametrize("key", ["combat", "harmony"])
def test_planted_batches_are_mixed_and_planted_types_kept(engine: Engine, tmp_path, key: str) -> None:
    dataset = planted(tmp_path)
    table = dataset.cells().astype(str)
    before, after = (engine.compute(EmbedCells(dataset, find_model(name))).points for name in ("pca", key))
    assert mixing(before, table["lane"].to_numpy()) < 0.7
    assert mixing(after, table["lane"].to_numpy()) > 0.9
    assert purity(after, table["kind"].to_numpy()) > 0.95


def test_random_vectors_know_nothing(engine: Engine, tmp_path) -> None:
    dataset = planted(tmp_path)
    table = dataset.cells().astype(str)
    found = engine.compute(EmbedCells(dataset, find_model("random")))
    assert mixing(found.points, table["lane"].to_numpy()) == pytest.approx(1.0, abs=0.06)
    assert purity(found.points, table["kind"].to_numpy()) == pytest.approx(1 / 3, abs=0.03)
    assert abs(found.points.mean()) < 0.03
    assert found.points.std() == pytest.approx(1.0, abs=0.03)


# Against the tools, called by hand -----------------------------------------------------------------------------------


def test_harmony_is_harmonypy_on_the_vectors_of_pca(engine: Engine, tmp_path) -> None:
    harmonypy = pytest.importorskip("harmonypy")
    dataset = planted(tmp_path)
    points = engine.compute(EmbedCells(dataset, find_model("pca"))).points
    theirs = harmonypy.run_harmony(np.asarray(points), dataset.cells(), "lane", verbose=False, random_state=0).Z_corr
    ours = engine.compute(EmbedCells(dataset, find_model("harmony"))).points
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_combat_is_scanpys_before_pca(engine: Engine, tmp_path) -> None:
    import scanpy as sc
    from anndata import AnnData
    from sklearn.decomposition import PCA

    dataset = planted(tmp_path)
    data = AnnData(dataset.counts().matrix.astype(np.float64), obs=dataset.cells())
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    sc.pp.combat(data, key="lane")
    theirs = PCA(n_components=50, svd_solver="full").fit_transform(data.X)
    ours = engine.compute(EmbedCells(dataset, find_model("combat"))).points
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs * signs, atol=2e-3)


def _options(key: str, **chosen: str) -> EmbedOptions:
    return replace(find_model(key).default_options(), **chosen)
