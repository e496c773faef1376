"""Attention weights equal a plain softmax of queries and keys, and what is shown of them says what it leaves out."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import entropy

from scfm_core.analyses import read_attention
from scfm_core.analyses.attention_tables import attention_table, head_summary, most_attended
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.read_attention import ReadAttention, cell_position
from scfm_core.dataset import Dataset, NewDataset, write_dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.model import EmbedOptions, ModelSpec
from scfm_core.registry import find_model
from tests.analyses.planted import dataset_of
from tests.geneformer_folders import N_HEADS, N_LAYERS
from tests.rank_bert_cards import PlainBert, small_rank_bert

N_CELLS, N_GENES = 6, 40
GENES = tuple(f"ENSG{number:011d}" for number in range(N_GENES))
EMPTY, SINGLE = 4, 5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    counts = np.random.default_rng(2).poisson(2.0, (N_CELLS, N_GENES))
    counts[[EMPTY, SINGLE], :36] = 0
    counts[EMPTY, 38] = counts[SINGLE, 1] = 2
    return dataset_of(tmp_path_factory.mktemp("planted"), counts)


@pytest.fixture(scope="module", params=["v1", "v2"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, PlainBert]:
    folder = tmp_path_factory.mktemp("small") / "weights"
    return small_rank_bert(folder, series=request.param, genes=GENES[:36])


@pytest.mark.parametrize("layer", range(1, N_LAYERS + 1))
def test_weights_equal_a_plain_softmax(dataset, small, engine, layer):
    card, plain = small
    names = plain.read(dataset, 1)
    expected = plain.run(names)[1][layer - 1]
    attention = engine.compute(ReadAttention(EmbedCells(dataset, card), 1, layer))
    assert attention.weights.shape == (N_HEADS, len(names), len(names))
    assert attention.weights.dtype == np.float32
    np.testing.assert_allclose(attention.weights, expected, rtol=0, atol=1e-5)  # float32 against float64
    np.testing.assert_allclose(attention.weights.sum(axis=2), 1, atol=1e-6)
    np.testing.assert_allclose(attention.shown_share, 1, atol=1e-6)
    assert attention.n_tokens == len(names) == 24
    assert attention.positions.tolist() == list(range(24))
    assert attention.gene_ids == tuple("" if name.startswith("<") else name for name in names)
    symbols = dict(zip(dataset.gene_ids, dataset.gene_symbols, strict=True))
    assert attention.symbols == tuple(symbols.get(name, name) for name in names)
    if "<cls>" in plain.tokens:
        assert (attention.symbols[0], attention.symbols[-1]) == ("<cls>", "<eos>")


def test_some_tokens_keep_their_weights_in_the_whole_cell(dataset, small, engine):
    card, _ = small
    baseline = EmbedCells(dataset, card)
    whole = engine.compute(ReadAttention(baseline, 2, 2, top=None))
    part = engine.compute(ReadAttention(baseline, 2, 2, top=8))
    assert len(part.symbols) == 8
    assert part.n_tokens == whole.n_tokens
    chosen = part.positions
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(part.weights, whole.weights[:, chosen][:, :, chosen])
    by_hand = np.asarray(whole.weights, dtype=np.float64).mean(axis=1)
    np.testing.assert_allclose(part.received, by_hand[:, chosen], rtol=1e-12)
    np.testing.assert_allclose(part.shown_share, by_hand[:, chosen].sum(axis=1), rtol=1e-12)
    assert (part.shown_share < 1).all()
    np.testing.assert_array_equal(part.entropy_bits, whole.entropy_bits)
    first = {int(row.argmax()) for row in [*by_hand, by_hand.mean(axis=0)]}
    assert first <= set(chosen.tolist())  # what a head looks at most is never left out
    assert int(by_hand.mean(axis=0).argmin()) not in chosen


def test_entropy_says_how_widely_a_head_looks(dataset, small, engine):
    attention = engine.compute(ReadAttention(EmbedCells(dataset, small[0]), 0, 1, top=None))
    expected = entropy(attention.weights.astype(np.float64), base=2, axis=2).mean(axis=1)
    np.testing.assert_allclose(attention.entropy_bits, expected, rtol=1e-5)
    assert (attention.entropy_bits <= np.log2(attention.n_tokens)).all()


def test_a_cell_of_one_gene(dataset, small, engine):
    card, plain = small
    attention = engine.compute(ReadAttention(EmbedCells(dataset, card), SINGLE, 1))
    assert attention.n_tokens == len(plain.read(dataset, SINGLE)) == (3 if "<cls>" in plain.tokens else 1)
    np.testing.assert_allclose(attention.weights.sum(axis=2), 1, atol=1e-6)


def test_the_order_of_the_genes_in_the_file_plays_no_part(dataset, small, engine, tmp_path):
    genes = np.random.default_rng(4).permutation(N_GENES)
    shuffled = write_dataset(
        tmp_path,
        NewDataset(
            matrix=csr_matrix(dataset.counts().matrix[:, genes]),
            gene_ids=tuple(GENES[gene] for gene in genes),
            gene_symbols=tuple(dataset.gene_symbols[gene] for gene in genes),
            cells=dataset.cells(),
            organism="human",
        ),
    )
    one, other = (engine.compute(ReadAttention(EmbedCells(data, small[0]), 3, 2)) for data in (dataset, shuffled))
    assert one.symbols == other.symbols
    np.testing.assert_array_equal(one.weights, other.weights)


def test_options_of_the_embedding_make_no_other_question(dataset, small):
    card, _ = small
    plain = ReadAttention(EmbedCells(dataset, card), 0, 1)
    options = EmbedOptions(layer=0, pooling="cell", precision="bfloat16")
    assert ReadAttention(EmbedCells(dataset, card, options), 0, 1).identity == plain.identity
    assert ReadAttention(EmbedCells(dataset, card), 0, 2).identity != plain.identity


def test_the_bundled_model_can_be_read(tiny_dataset: Dataset, engine: Engine):
    attention = engine.compute(ReadAttention(EmbedCells(tiny_dataset, find_model("scfm-mini")), 3, 4))
    assert len(attention.symbols) == 50
    assert set(attention.symbols) <= set(tiny_dataset.gene_symbols)
    assert (attention.weights.sum(axis=2) <= 1 + 1e-6).all()


def test_heads_count_from_one_and_can_be_averaged(dataset, small, engine):
    attention = engine.compute(ReadAttention(EmbedCells(dataset, small[0]), 1, 3))
    np.testing.assert_array_equal(attention.of_head(2), attention.weights[1])
    np.testing.assert_allclose(attention.of_head(None), sum(attention.weights) / N_HEADS, atol=1e-7)
    np.testing.assert_allclose(attention.received_by(None), attention.received.mean(axis=0))
    np.testing.assert_array_equal(attention.received_by(N_HEADS), attention.received[-1])
    for head in (0, N_HEADS + 1):
        with pytest.raises(RequestError, match="Heads count from 1: choose one between 1 and 4") as caught:
            attention.of_head(head)
        assert caught.value.code == "unknown-head"


def test_the_long_table_holds_every_weight(dataset, small, engine):
    attention = engine.compute(ReadAttention(EmbedCells(dataset, small[0]), 1, 3, top=5))
    table = attention_table(attention)
    assert len(table) == N_HEADS * 25
    for row in table.sample(20, random_state=0).itertuples():
        looks, at = attention.positions.tolist().index(row.from_position), attention.symbols.index(row.to_symbol)
        assert row.weight == attention.weights[row.head - 1, looks, at]
        assert row.from_gene_id == attention.gene_ids[looks]
        assert row.to_position == attention.positions[at]


def test_the_strongest_of_each_gene_and_each_head(dataset, small, engine):
    attention = engine.compute(ReadAttention(EmbedCells(dataset, small[0]), 1, 3))
    strongest = most_attended(attention, head=1, n=3)
    first = strongest[strongest["rank"] == 1]
    assert first["symbol"].tolist() == list(attention.symbols)
    expected = attention.weights[0].argmax(axis=1)
    assert first["attended"].tolist() == [attention.symbols[place] for place in expected]
    np.testing.assert_array_equal(first["weight"], attention.weights[0].max(axis=1))
    assert (strongest.groupby("symbol")["weight"].agg(lambda weights: weights.is_monotonic_decreasing)).all()
    heads = head_summary(attention, n_genes=2)
    assert heads["head"].tolist() == [1, 2, 3, 4]
    best = np.argsort(-attention.received[2])[:2]
    assert heads["most_attended"][2] == ", ".join(attention.symbols[place] for place in best)


def test_a_cell_by_name(dataset: Dataset):
    assert cell_position(dataset, "cell3") == 3
    with pytest.raises(RequestError, match="No cell is called 'cell99'.*such as cell0, cell1, cell2") as caught:
        cell_position(dataset, "cell99")
    assert caught.value.code == "unknown-cell"


@pytest.mark.parametrize(
    ("cell", "layer", "top", "code"),
    [
        (0, 0, 50, "unknown-layer"),
        (0, N_LAYERS + 1, 50, "unknown-layer"),
        (0, -1, 50, "unknown-layer"),
        (-1, 1, 50, "unknown-cell"),
        (N_CELLS, 1, 50, "unknown-cell"),
        (0, 1, 0, "bad-top"),
    ],
)
def test_what_is_not_there_cannot_be_asked(dataset, small, cell, layer, top, code):
    with pytest.raises(RequestError) as caught:
        ReadAttention(EmbedCells(dataset, small[0]), cell, layer, top)
    assert caught.value.code == code


def test_a_model_without_attention_is_refused(dataset, small):
    card = replace(small[0], has_attention=False)
    for model in (find_model("pca"), card):
        with pytest.raises(RequestError, match="has no attention weights") as caught:
            ReadAttention(EmbedCells(dataset, model), 0, 1)
        assert caught.value.code == "no-attention"


def test_a_cell_without_tokens_is_told(dataset, small, engine):
    with pytest.raises(RequestError, match="holds no gene that Small") as caught:
        engine.compute(ReadAttention(EmbedCells(dataset, small[0]), EMPTY, 1))
    assert caught.value.code == "no-tokens"


def test_too_many_weights_are_refused_with_a_way_out(dataset, small, engine, monkeypatch):
    n_bytes = 4 * N_HEADS * 24 * 24
    baseline = EmbedCells(dataset, small[0])
    monkeypatch.setattr(read_attention, "MOST_BYTES", n_bytes - 1)
    with pytest.raises(RequestError, match="between all 24 tokens .* Show fewer genes") as caught:
        engine.compute(ReadAttention(baseline, 0, 1, top=None))
    assert caught.value.code == "too-large"
    assert len(engine.compute(ReadAttention(baseline, 0, 1, top=10)).symbols) == 10
    monkeypatch.setattr(read_attention, "MOST_BYTES", n_bytes)
    assert len(engine.compute(ReadAttention(baseline, 0, 1, top=None)).symbols) == 24
