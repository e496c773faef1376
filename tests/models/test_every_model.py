"""What every registered model owes; a new model file is tested by being there."""

import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts, Dataset
from scfm_core.devices import use_device
from scfm_core.errors import ModelError
from scfm_core.model import CellModel, ModelSpec
from scfm_core.rank_bert import RankBert
from scfm_core.registry import all_models, find_model
from scfm_core.tensors import available_devices
from scfm_core.tokens import Activate, Delete, Inhibit, Overexpress, Scale, Tokens, concatenate
from scfm_core.weights import loaded_model, weights_here, with_weights
from tests.geneformer_folders import model_folder, write_published

TOLERANCE = 1e-5  # of a vector's values, float32
N_CELLS = 24
EDITS = {
    "delete": Delete,
    "overexpress": Overexpress,
    "inhibit": Inhibit,
    "activate": Activate,
    "scale": partial(Scale, factor=0.5),
}

Loaded = tuple[ModelSpec, CellModel]


@pytest.fixture(scope="module", autouse=True)
def on_the_processor() -> None:
    use_device("cpu")


# Published weights do not come with the application; each kind of them is built small, in the authors' own layout.
SMALL = {"geneformer-v1-10m": "v1", "geneformer-12l-95m": "95m", "geneformer-v2-104m": "v2"}
# A model that places the cells of one dataset all together has no network for single cells: what follows here about
# tokens and edits does not apply to it. What it owes instead stands in test_placing_models.py.
LOADED = [spec.key for spec in all_models() if spec.place is None and (spec.published is None or spec.key in SMALL)]


@pytest.fixture(scope="module", params=LOADED)
def loaded(
    request: pytest.FixtureRequest, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Loaded:
    spec = find_model(request.param)
    if spec.published is not None:
        series, layout = SMALL[spec.key], "2024" if SMALL[spec.key] == "95m" else "current"
        folder = tmp_path_factory.mktemp(spec.key)
        write_published(folder / "published", series=series, layout=layout, context=128)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SCFM_WORKSPACE", str(folder / "workspace"))
            spec = with_weights(spec, model_folder(folder / "published", series, layout))
    if not weights_here(spec):
        pytest.skip(f"the weights of {spec.title} are not here: {spec.how_to_get}")
    fitted = {} if spec.fit is None else spec.fit(tiny_dataset)
    started = time.perf_counter()
    model = loaded_model(spec, fitted)
    print(f"{spec.key} loaded in {time.perf_counter() - started:.2f} s")
    return spec, model


@pytest.fixture(scope="module")
def counts(tiny_dataset: Dataset) -> CellCounts:
    return tiny_dataset.counts(np.arange(N_CELLS))


def vectors(loaded: Loaded, tokens: Tokens) -> np.ndarray:
    spec, model = loaded
    return model.embed(tokens, spec.default_options()).cells


@pytest.mark.parametrize("spec", all_models(), ids=lambda spec: spec.key)
def test_the_card_says_what_a_reader_needs(spec: ModelSpec) -> None:
    words = (spec.title, spec.summary, spec.vocabulary, spec.licence, spec.citation, spec.doi, spec.training_data)
    assert all(words)
    assert spec.known_limits
    assert not spec.needs_weights or spec.how_to_get
    assert spec.organisms
    assert len(spec.gene_edits) == len(set(spec.gene_edits) & EDITS.keys())
    assert bool(spec.gene_edits) == (spec.place is None)
    assert not spec.needs_packages or spec.how_to_get


def test_each_gene_has_one_place_in_the_vocabulary(loaded: Loaded) -> None:
    known = [gene_id for gene_id in loaded[1].gene_ids if gene_id]
    assert len(set(known)) == len(known) > 0


def test_vectors_have_the_shape_of_the_card_and_are_finite(loaded: Loaded, counts: CellCounts) -> None:
    points = vectors(loaded, loaded[1].encode(counts))
    size = min(loaded[0].embedding_size, len(loaded[1].gene_ids)) if loaded[0].fit else loaded[0].embedding_size
    assert points.shape == (N_CELLS, size)  # a dataset may have fewer variable genes than the card says
    assert points.dtype == np.float32
    assert np.isfinite(points).all()
    assert np.unique(points, axis=0).shape[0] == N_CELLS


def test_a_cell_does_not_depend_on_its_batch(loaded: Loaded, counts: CellCounts) -> None:
    tokens = loaded[1].encode(counts)
    together = vectors(loaded, tokens)
    alone = np.concatenate([vectors(loaded, tokens.take(np.array([cell]))) for cell in range(N_CELLS)])
    np.testing.assert_allclose(alone, together, atol=TOLERANCE, rtol=TOLERANCE)


def test_equal_input_gives_equal_vectors(loaded: Loaded, counts: CellCounts) -> None:
    tokens = loaded[1].encode(counts)
    np.testing.assert_array_equal(vectors(loaded, tokens), vectors(loaded, loaded[1].encode(counts)))


def test_the_order_of_the_cells_is_kept(loaded: Loaded, counts: CellCounts) -> None:
    tokens = loaded[1].encode(counts)
    order = np.random.default_rng(0).permutation(N_CELLS)
    shuffled = CellCounts(
        matrix=counts.matrix[order], gene_ids=counts.gene_ids, total_counts=counts.total_counts[order]
    )
    expected = vectors(loaded, tokens)[order]
    np.testing.assert_allclose(
        vectors(loaded, loaded[1].encode(shuffled)), expected, atol=TOLERANCE, rtol=TOLERANCE
    )


def test_the_order_of_the_genes_leaves_no_trace(loaded: Loaded, counts: CellCounts) -> None:
    order = np.random.default_rng(0).permutation(len(counts.gene_ids))
    shuffled = CellCounts(
        matrix=csr_matrix(counts.matrix[:, order]),
        gene_ids=tuple(counts.gene_ids[gene] for gene in order),
        total_counts=counts.total_counts,
    )
    tokens, again = loaded[1].encode(counts), loaded[1].encode(shuffled)
    np.testing.assert_array_equal(again.genes, tokens.genes)
    np.testing.assert_array_equal(vectors(loaded, again), vectors(loaded, tokens))


def test_unknown_genes_are_ignored(loaded: Loaded, counts: CellCounts) -> None:
    strange = csr_matrix(np.full((N_CELLS, 3), 7, dtype=np.uint8))
    more = CellCounts(
        matrix=csr_matrix(np.hstack([strange.toarray(), counts.matrix.toarray()])),
        gene_ids=("ENSG99999999999", "not a gene", "", *counts.gene_ids),
        total_counts=counts.total_counts,
    )
    np.testing.assert_array_equal(
        vectors(loaded, loaded[1].encode(more)), vectors(loaded, loaded[1].encode(counts))
    )


def test_a_cell_without_known_genes_has_no_vector_and_disturbs_no_other(loaded: Loaded, counts: CellCounts) -> None:
    matrix = counts.matrix.toarray()
    matrix[3] = 0
    totals = counts.total_counts.copy()
    totals[3] = 0.0
    emptied = CellCounts(matrix=csr_matrix(matrix), gene_ids=counts.gene_ids, total_counts=totals)
    tokens = loaded[1].encode(emptied)
    assert tokens.lengths[3] == 0
    points = vectors(loaded, tokens)
    assert np.isnan(points[3]).all()
    others = np.arange(N_CELLS) != 3
    np.testing.assert_allclose(
        points[others], vectors(loaded, loaded[1].encode(counts))[others], atol=TOLERANCE, rtol=TOLERANCE
    )
    only_empty = tokens.take(np.array([3, 3]))
    assert np.isnan(vectors(loaded, only_empty)).all()


def test_deleting_a_gene_changes_exactly_the_cells_that_hold_it(loaded: Loaded, counts: CellCounts) -> None:
    tokens = loaded[1].encode(counts)
    share = np.array([tokens.holds(gene).mean() for gene in range(len(loaded[1].gene_ids))])
    gene = int(np.flatnonzero((share > 0.2) & (share < 0.8))[0])
    edited = loaded[1].edit(tokens, [Delete(loaded[1].gene_ids[gene])])
    held = tokens.holds(gene)
    assert 0 < held.sum() < N_CELLS
    assert not edited.holds(gene).any()
    np.testing.assert_array_equal(tokens.lengths - edited.lengths, held.astype(int))
    before, after = (
        np.concatenate([vectors(loaded, some.take(np.array([cell]))) for cell in range(N_CELLS)])
        for some in (tokens, edited)
    )
    np.testing.assert_array_equal((before != after).any(axis=1), held)  # exactly 0 where the gene is not


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_made_or_refused_as_the_card_says(loaded: Loaded, counts: CellCounts, name: str) -> None:
    spec, model = loaded
    tokens = model.encode(counts)
    gene = int(tokens.genes[tokens.offsets[1] - model_frame_end(model)])  # the weakest gene of the first cell
    edit = EDITS[name](model.gene_ids[gene])
    if name not in spec.gene_edits:
        with pytest.raises(ModelError, match=name) as caught:
            model.edit(tokens, [edit])
        assert caught.value.code == "unsupported-edit"
        return
    first, edited = (some.take(np.array([0])) for some in (tokens, model.edit(tokens, [edit])))
    changed = first.genes.tolist() != edited.genes.tolist() or first.values.tolist() != edited.values.tolist()
    assert (vectors(loaded, first) != vectors(loaded, edited)).any() == changed
    if name != "inhibit":  # the weakest gene has no lower rank
        assert changed
    if name != "delete":
        assert sorted(first.genes.tolist()) == sorted(edited.genes.tolist())


def model_frame_end(model: CellModel) -> int:
    """How far before the end of a cell its last gene stands."""
    return 1 + (model.frame.n_after if isinstance(model, RankBert) else 0)


@pytest.mark.parametrize("gene_id", ["ENSG99999999999", "", "<mask>"])
def test_deleting_what_no_cell_holds_moves_nothing(loaded: Loaded, counts: CellCounts, gene_id: str) -> None:
    tokens = loaded[1].encode(counts)
    edited = loaded[1].edit(tokens, [Delete(gene_id)])
    np.testing.assert_array_equal(vectors(loaded, edited), vectors(loaded, tokens))


def test_edits_apply_together_and_leave_their_input_alone(loaded: Loaded, counts: CellCounts) -> None:
    tokens = loaded[1].encode(counts)
    copy = Tokens(tokens.genes.copy(), tokens.values.copy(), tokens.offsets.copy())
    first, second = (loaded[1].gene_ids[int(gene)] for gene in np.unique(tokens.genes)[[0, -1]])
    at_once = loaded[1].edit(tokens, [Delete(first), Delete(second)])
    in_turn = loaded[1].edit(loaded[1].edit(tokens, [Delete(second)]), [Delete(first)])
    np.testing.assert_array_equal(at_once.genes, in_turn.genes)
    np.testing.assert_array_equal(tokens.genes, copy.genes)
    np.testing.assert_array_equal(tokens.offsets, copy.offsets)


def test_gene_vectors_stand_in_the_order_of_the_tokens(loaded: Loaded, counts: CellCounts) -> None:
    spec, model = loaded
    tokens = model.encode(counts)
    states = model.embed(tokens, replace(spec.default_options(), gene_vectors=True))
    if not spec.has_gene_vectors:
        assert states.genes is None
        return
    assert states.genes is not None
    assert states.genes.shape == (len(tokens.genes), spec.embedding_size)
    alone = model.embed(tokens.take(np.array([5])), replace(spec.default_options(), gene_vectors=True)).genes
    own = states.genes[tokens.offsets[5] : tokens.offsets[6]]
    np.testing.assert_allclose(own, alone, atol=TOLERANCE, rtol=TOLERANCE)


def test_every_layer_pooling_and_precision_of_the_card_works(loaded: Loaded, counts: CellCounts) -> None:
    spec, model = loaded
    tokens = model.encode(counts).take(np.arange(4))
    usual = vectors(loaded, tokens)
    for layer in range(-spec.n_layers, 1):
        points = model.embed(tokens, replace(spec.default_options(), layer=layer)).cells
        assert np.isfinite(points).all()
        assert (layer == spec.default_layer) == np.array_equal(points, usual)
    for pooling in spec.poolings[1:]:
        points = model.embed(tokens, replace(spec.default_options(), pooling=pooling)).cells
        assert np.isfinite(points).all()
        assert (points != usual).any()
    low = model.embed(tokens, replace(spec.default_options(), precision="bfloat16")).cells
    assert low.dtype == np.float32
    np.testing.assert_allclose(low, usual, atol=0.05 * np.abs(usual).max())


def test_tokens_of_parts_are_those_of_the_whole(loaded: Loaded, counts: CellCounts, tiny_dataset: Dataset) -> None:
    parts = [loaded[1].encode(tiny_dataset.counts(slice(start, start + 8))) for start in range(0, N_CELLS, 8)]
    whole, joined = loaded[1].encode(counts), concatenate(parts)
    for ours, theirs in ((joined.genes, whole.genes), (joined.values, whole.values), (joined.offsets, whole.offsets)):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.gpu
def test_the_accelerator_agrees_with_the_processor(loaded: Loaded, counts: CellCounts, tiny_dataset: Dataset) -> None:
    device = available_devices()[0]
    if device == "cpu":
        pytest.skip("no accelerator here")
    spec, model = loaded
    fitted = {} if spec.fit is None else spec.fit(tiny_dataset)
    use_device(device)
    try:
        points = loaded_model(spec, fitted).embed(model.encode(counts), spec.default_options()).cells
    finally:
        use_device("cpu")
    np.testing.assert_allclose(points, vectors(loaded, model.encode(counts)), atol=1e-4, rtol=1e-4)


def test_an_unknown_key_suggests_the_nearest() -> None:
    with pytest.raises(ModelError, match="Did you mean 'scfm-mini'"):
        find_model("scfm-minni")
