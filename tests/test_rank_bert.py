"""What a BERT of ranked genes encodes, edits and answers, against the same written plainly for one cell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from scfm_core.analyses.embed_cells import EmbedCells, embed_tokens
from scfm_core.dataset import CellCounts, Dataset
from scfm_core.devices import use_device
from scfm_core.engine import Engine
from scfm_core.errors import ModelError, RequestError
from scfm_core.model import EmbedOptions
from scfm_core.rank_bert import RankBert
from scfm_core.tensors import BertShape, GeneBert
from scfm_core.tokens import Activate, Delete, Inhibit, Overexpress, Tokens
from scfm_core.weights import loaded_model
from tests.geneformer_folders import real_gene_ids
from tests.rank_bert_cards import PlainBert, small_rank_bert

CONTEXT = 40
TOLERANCE = 2e-6  # of means over a cell
TOLERANCE_OF_TOKENS = 2e-5  # float32 against float64, weights far larger than trained ones
TOLERANCE_OF_WEIGHTS = 5e-6  # of attention between two tokens
CELLS = 12
GENES = real_gene_ids(900)[::9]  # so few that some cells are cut and others are not

Pair = tuple[RankBert, PlainBert]


@pytest.fixture(scope="module", autouse=True)
def on_the_processor() -> None:
    use_device("cpu")


@pytest.fixture(scope="module", params=["v1", "v2"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("weights") / request.param
    retired, *genes = GENES
    aliases = {retired: genes[0]}  # one column of the demo is summed into another
    card, plain = small_rank_bert(folder, series=request.param, genes=tuple(genes), aliases=aliases, context=CONTEXT)
    model = loaded_model(card, {})
    assert isinstance(model, RankBert)
    return model, plain


@pytest.fixture(scope="module")
def tokens(pair: Pair, demo_dataset: Dataset) -> Tokens:
    return pair[0].encode(demo_dataset.counts(np.arange(CELLS)))


def names(plain: PlainBert, tokens: Tokens, cell: int) -> list[str]:
    return [plain.tokens[gene] for gene in tokens.genes[tokens.offsets[cell] : tokens.offsets[cell + 1]]]


def test_cells_read_as_the_plain_code_reads_them(pair: Pair, tokens: Tokens, demo_dataset: Dataset) -> None:
    model, plain = pair
    expected = [plain.read(demo_dataset, cell) for cell in range(CELLS)]
    assert [names(plain, tokens, cell) for cell in range(CELLS)] == expected
    assert tokens.lengths.max() == CONTEXT  # some cells are cut, and keep their <eos>
    assert tokens.lengths.min() < CONTEXT


def test_ids_are_looked_up_in_upper_case_in_any_order(pair: Pair, tokens: Tokens, demo_dataset: Dataset) -> None:
    counts = demo_dataset.counts(np.arange(CELLS))
    order = np.random.default_rng(0).permutation(len(counts.gene_ids))
    again = CellCounts(
        matrix=csr_matrix(counts.matrix[:, order]),  # columns no longer sorted within a row
        gene_ids=tuple(counts.gene_ids[gene].lower() for gene in order),
        total_counts=counts.total_counts,
    )
    np.testing.assert_array_equal(pair[0].encode(again).genes, tokens.genes)


@pytest.mark.parametrize("layer", [0, -1, -3])
def test_vectors_of_cells_and_genes_equal_the_plain_network(pair: Pair, tokens: Tokens, layer: int) -> None:
    model, plain = pair
    pooled = {pooling: model.embed(tokens, EmbedOptions(layer=layer, pooling=pooling)).cells for pooling in ("cell",)}
    if "<cls>" in plain.tokens:
        pooled["cls"] = model.embed(tokens, EmbedOptions(layer=layer, pooling="cls")).cells
    genes = model.embed(tokens, EmbedOptions(layer=layer, pooling="cell", gene_vectors=True)).genes
    assert genes is not None
    for cell in range(CELLS):
        read = names(plain, tokens, cell)
        states = plain.run(read)[0][layer - 1]
        of_gene = [not name.startswith("<") for name in read]
        np.testing.assert_allclose(pooled["cell"][cell], states[of_gene].mean(axis=0), atol=TOLERANCE)
        own = genes[tokens.offsets[cell] : tokens.offsets[cell + 1]]
        np.testing.assert_allclose(own, states, atol=TOLERANCE_OF_TOKENS)
        if "cls" in pooled:
            np.testing.assert_allclose(pooled["cls"][cell], states[0], atol=TOLERANCE_OF_TOKENS)


def test_the_first_states_equal_those_of_published_code_in_the_last_bit(pair: Pair, tokens: Tokens) -> None:
    """Transformers adds gene and token type, then the position; another order moves the vector of <cls> by 5e-6."""
    embeddings = pair[0].network.bert.embeddings
    ids = torch.from_numpy(tokens.genes[: tokens.offsets[1]].astype(np.int64))
    weight = {name: getattr(embeddings, f"{name}_embeddings").weight for name in ("word", "position", "token_type")}
    published = weight["word"][ids] + weight["token_type"][0] + weight["position"][: len(ids)]
    other = weight["word"][ids] + (weight["token_type"][0] + weight["position"][: len(ids)])
    assert not torch.equal(embeddings.LayerNorm(published), embeddings.LayerNorm(other))
    assert torch.equal(embeddings(ids[None])[0], embeddings.LayerNorm(published))
    assert torch.equal(embeddings(ids, torch.arange(len(ids))), embeddings.LayerNorm(published))


def test_cells_of_one_length_travel_together_and_change_nothing(pair: Pair, tokens: Tokens) -> None:
    model, _ = pair
    longest = int(tokens.lengths.argmax())
    many = tokens.take(np.array([longest] * 5 + [0] + [longest]))
    options = EmbedOptions(layer=-1, pooling="cell", gene_vectors=True)
    together, alone = model.embed(many, options), model.embed(tokens.take(np.array([longest])), options)
    assert together.genes is not None
    assert alone.genes is not None
    np.testing.assert_allclose(together.cells[[0, 4, 6]], alone.cells.repeat(3, axis=0), atol=TOLERANCE)
    np.testing.assert_allclose(together.genes[-len(alone.genes) :], alone.genes, atol=TOLERANCE)


def test_small_batches_give_what_large_ones_give(pair: Pair, tokens: Tokens) -> None:
    options = EmbedOptions(layer=-1, pooling="cell", gene_vectors=True)
    large, small = (embed_tokens(pair[0], tokens, options, token_budget=budget) for budget in (10_000, 50))
    assert large.genes is not None
    assert small.genes is not None
    np.testing.assert_allclose(small.cells, large.cells, atol=TOLERANCE)
    np.testing.assert_allclose(small.genes, large.genes, atol=TOLERANCE)


def test_edits_apply_in_turn_and_neighbours_of_one_kind_as_a_group(pair: Pair, tokens: Tokens) -> None:
    model, plain = pair
    cell = tokens.take(np.array([int(tokens.lengths.argmax())]))
    first, *_, last = [name for name in names(plain, cell, 0) if not name.startswith("<")]
    new = next(gene for gene in plain.medians if gene not in names(plain, cell, 0))
    grouped = model.edit(cell, [Overexpress(last), Overexpress(new)])
    front = model.frame.n_before
    assert names(plain, grouped, 0)[front : front + 3] == [last, new, first]
    assert grouped.lengths[0] == CONTEXT
    assert (names(plain, grouped, 0)[-1] == "<eos>") == (front == 1)
    apart = model.edit(model.edit(cell, [Overexpress(last)]), [Overexpress(new)])
    assert names(plain, apart, 0)[front : front + 3] == [new, last, first]
    mixed = model.edit(cell, [Overexpress(last), Delete(first), Inhibit(last, 3), Activate(last, 3)])
    assert first not in names(plain, mixed, 0)
    assert mixed.lengths[0] == CONTEXT - 1
    n_genes = CONTEXT - 1 - 2 * front  # the gene went to the front, to the last quartile, to the middle of the first
    assert names(plain, mixed, 0)[front + n_genes // 8] == last


@pytest.mark.parametrize("edit", [Delete, Overexpress, Inhibit, Activate])
def test_a_gene_that_the_model_does_not_know_changes_nothing(pair: Pair, tokens: Tokens, edit: type) -> None:
    for gene_id in ("ENSG99999999999", "", "<cls>", "<mask>"):
        edited = pair[0].edit(tokens, [edit(gene_id)])
        np.testing.assert_array_equal(edited.genes, tokens.genes)
        np.testing.assert_array_equal(edited.offsets, tokens.offsets)


def test_an_edit_names_a_gene_by_its_alias_too(pair: Pair, tokens: Tokens) -> None:
    model, plain = pair
    (alias, gene_id) = next(iter(plain.aliases.items()))
    by_alias, by_id = (model.edit(tokens, [Delete(name)]) for name in (alias.lower(), gene_id))
    assert by_id.offsets[-1] < tokens.offsets[-1]
    np.testing.assert_array_equal(by_alias.genes, by_id.genes)


def test_attention_of_one_cell_equals_the_plain_network(pair: Pair, tokens: Tokens) -> None:
    model, plain = pair
    cell = tokens.take(np.array([3]))
    for layer in (0, -1):
        weights = model.attention(cell, layer)
        np.testing.assert_allclose(weights, plain.run(names(plain, cell, 0))[1][layer - 1], atol=TOLERANCE_OF_WEIGHTS)
        np.testing.assert_allclose(weights.sum(axis=2), 1.0, atol=1e-5)
    for wrong in (1, -3):
        with pytest.raises(RequestError, match="ayer"):
            model.attention(cell, wrong)
    with pytest.raises(RequestError, match="one cell at a time"):
        model.attention(tokens, 0)


def test_static_vectors_are_the_rows_of_the_vocabulary(pair: Pair) -> None:
    model, plain = pair
    vectors = model.static_gene_vectors()
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, plain.weights["bert.embeddings.word_embeddings.weight"], rtol=1e-6)


def test_a_pooling_that_the_weights_cannot_give_is_refused(pair: Pair, tokens: Tokens) -> None:
    model, plain = pair
    wrong = ["sum"] if "<cls>" in plain.tokens else ["sum", "cls"]
    for pooling in wrong:
        with pytest.raises(RequestError, match="no vector by the pooling"):
            model.embed(tokens, EmbedOptions(layer=-1, pooling=pooling))


def test_special_tokens_are_not_counted_as_genes(tmp_path: Path, tiny_dataset: Dataset, engine: Engine) -> None:
    card, plain = small_rank_bert(tmp_path / "weights", series="v2", genes=GENES, context=CONTEXT)
    for pooling in ("cls", "cell"):
        options = replace(card.default_options(), pooling=pooling)
        answer = engine.submit(EmbedCells(tiny_dataset, card, options)).result()
        read = [len(plain.read(tiny_dataset, cell)) for cell in range(tiny_dataset.n_cells)]
        assert answer.n_tokens.tolist() == [max(length - 2, 0) for length in read]
        assert np.isnan(answer.points).any(axis=1).tolist() == [length == 0 for length in read]


@pytest.mark.parametrize(
    ("tokens", "medians", "found"),
    [
        (("<pad>", "<mask>", "a"), (None, None, 1.0), "3 tokens"),
        (("<pad>", "<mask>", "a", "b"), (None, None, 1.0), "3 medians"),
        (("<pad>", "<mask>", "a", "b"), (None, None, 1.0, None), "no positive median, 'b'"),
        (("<pad>", "<mask>", "a", "b"), (None, None, 0.0, 1.0), "no positive median, 'a'"),
        (("<pad>", "<mask>", "<cls>", "b"), (None, None, None, 1.0), "but not both"),
        (("<pad>", "<mask>", "a", "a"), (None, None, 1.0, 1.0), "a token twice"),
        (("<pad>", "<mask>", "c", "b"), (None, None, 1.0, 1.0), "stand for 'a', which it lacks"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(
    tokens: tuple[str, ...], medians: tuple[float | None, ...], found: str
) -> None:
    shape = BertShape(
        vocab_size=4,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=8,
    )
    with pytest.raises(ModelError, match=found):
        RankBert(GeneBert(shape), tokens=tokens, medians=medians, aliases={"OLD": "a"} if "c" in tokens else None)
