import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scfm_core.tokens import Tokens, batches_by_length, concatenate, genes_only, places_in_cells, without_genes

rows = st.lists(st.lists(st.integers(0, 9), max_size=6, unique=True), min_size=1, max_size=6)


def tokens_of(cells: list[list[int]]) -> Tokens:
    genes = np.array([gene for cell in cells for gene in cell], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(cell) for cell in cells])]).astype(np.int64)
    return Tokens(genes, genes.astype(np.float32) / 2, offsets)


def cells_of(tokens: Tokens) -> list[list[int]]:
    np.testing.assert_array_equal(tokens.values, tokens.genes / 2)  # the values travel with their genes
    assert tokens.genes.dtype == np.int32
    assert tokens.offsets.dtype == np.int64
    return [tokens.genes[start:stop].tolist() for start, stop in zip(tokens.offsets, tokens.offsets[1:], strict=False)]


@given(rows)
def test_lengths_and_cells(cells):
    tokens = tokens_of(cells)
    assert tokens.n_cells == len(cells)
    assert tokens.lengths.tolist() == [len(cell) for cell in cells]
    assert tokens.cell_of_token().tolist() == [number for number, cell in enumerate(cells) for _ in cell]


@given(rows, st.data())
def test_take_gives_cells_in_the_order_asked_for(cells, data):
    chosen = data.draw(st.lists(st.integers(0, len(cells) - 1), max_size=8))
    taken = tokens_of(cells).take(np.array(chosen, dtype=np.int64))
    assert cells_of(taken) == [cells[number] for number in chosen]


@given(rows, st.integers(0, 9))
def test_holds(cells, gene):
    assert tokens_of(cells).holds(gene).tolist() == [gene in cell for cell in cells]


@given(rows, st.sets(st.integers(0, 9)))
def test_without_genes_moves_the_others_up(cells, genes):
    edited = without_genes(tokens_of(cells), np.array(sorted(genes), dtype=np.int64))
    assert cells_of(edited) == [[gene for gene in cell if gene not in genes] for cell in cells]


@given(rows, st.sets(st.integers(0, 9)))
def test_genes_only_leaves_special_tokens_out(cells, special):
    gene_ids = ["" if position in special else f"g{position}" for position in range(10)]
    left = genes_only(tokens_of(cells), gene_ids)
    assert cells_of(left) == [[gene for gene in cell if gene not in special] for cell in cells]


@given(rows)
def test_places_count_from_the_start_of_each_cell(cells):
    assert places_in_cells(tokens_of(cells)).tolist() == [place for cell in cells for place in range(len(cell))]


@given(st.lists(rows, min_size=1, max_size=4))
def test_concatenate(parts):
    assert cells_of(concatenate([tokens_of(part) for part in parts])) == [cell for part in parts for cell in part]


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 120))
def test_batches_hold_every_cell_once_and_keep_to_the_budget(lengths, budget):
    batches = list(batches_by_length(np.array(lengths, dtype=np.int64), token_budget=budget))
    assert sorted(number for batch in batches for number in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[number] for number in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
    order = [lengths[number] for batch in batches for number in batch]
    assert order == sorted(order, reverse=True)
