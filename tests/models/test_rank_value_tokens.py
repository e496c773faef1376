"""Rank-value tokens against a reference written for a single cell."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts
from scfm_core.rank_values import rank_value_tokens
from scfm_core.tokens import Tokens, counts_in_vocabulary
from tests.models.plain_ranks import plain_tokens


def counts_of(matrix: np.ndarray, gene_ids: tuple[str, ...], totals: np.ndarray | None = None) -> CellCounts:
    totals = matrix.sum(axis=1).astype(np.float64) if totals is None else totals
    return CellCounts(matrix=csr_matrix(matrix), gene_ids=gene_ids, total_counts=totals)


def encode(counts: CellCounts, medians: dict[str, float], max_tokens: int) -> Tokens:
    vocabulary = {gene: position for position, gene in enumerate(medians)}
    matrix = counts_in_vocabulary(counts, vocabulary, size=len(medians))
    return rank_value_tokens(matrix, counts.total_counts, np.array(list(medians.values())), max_tokens=max_tokens)


def genes_of(tokens: Tokens, cell: int, medians: dict[str, float]) -> list[str]:
    names = list(medians)
    return [names[gene] for gene in tokens.genes[tokens.offsets[cell] : tokens.offsets[cell + 1]]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 30), st.integers(1, 12))
def test_tokens_equal_a_plain_reference(seed: int, n_cells: int, n_genes: int, max_tokens: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.poisson(0.8, (n_cells, n_genes)).astype(np.uint8)
    names = tuple(f"g{number}" for number in rng.permutation(n_genes))
    known = sorted(rng.choice(names, size=rng.integers(1, n_genes + 1), replace=False))
    medians = {str(gene): float(rng.choice([0.5, 1.0, 3.7])) for gene in known}  # few values, hence ties
    totals = matrix.sum(axis=1) + rng.integers(0, 5, n_cells).astype(np.float64)
    tokens = encode(counts_of(matrix, names, totals), medians, max_tokens)
    for cell in range(n_cells):
        counts = dict(zip(names, matrix[cell].tolist(), strict=True))
        assert genes_of(tokens, cell, medians) == plain_tokens(counts, totals[cell], medians, max_tokens)


def test_columns_of_one_gene_are_summed() -> None:
    matrix = np.array([[200, 3, 100]], dtype=np.uint8)  # 300 does not fit the type of the counts
    summed = counts_in_vocabulary(counts_of(matrix, ("a", "b", "a")), {"a": 0, "b": 1}, size=2)
    np.testing.assert_array_equal(summed.toarray(), [[300.0, 3.0]])


def test_the_total_over_all_genes_counts_and_an_empty_cell_has_no_tokens() -> None:
    matrix = np.array([[4, 0, 3], [0, 0, 0]])
    tokens = encode(counts_of(matrix, ("a", "b", "c")), {"a": 8.0, "b": 1.0, "c": 2.0}, 2)
    assert tokens.lengths.tolist() == [2, 0]
    assert tokens.genes.tolist() == [2, 0]


def sorted_plainly(
    matrix: csr_matrix, totals: np.ndarray, medians: np.ndarray, max_tokens: int, columns: np.ndarray
) -> list[list[int]]:
    """Every cell by one stable sort of the exact values, genes in the order of the vocabulary before."""
    cells = []
    for cell, row in enumerate(matrix.toarray().astype(np.float64)):
        known = np.flatnonzero((row > 0) & (columns >= 0))
        known = known[np.argsort(columns[known])]
        strength = row[known] / totals[cell] * 10_000.0 / medians[columns[known]]
        cells.append(columns[known[np.argsort(-strength, kind="stable")]][:max_tokens].tolist())
    return cells


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 70), st.integers(1, 80), st.booleans())
def test_values_that_differ_in_their_last_bits_keep_their_order(
    seed: int, n_cells: int, n_genes: int, max_tokens: int, zeros: bool
) -> None:
    rng = np.random.default_rng(seed)
    size = n_genes + 5
    columns = rng.permutation(size)[:n_genes].astype(np.int32)
    columns[rng.random(n_genes) < 0.2] = -1
    ulps = rng.integers(0, 40, size)  # medians so near each other that their values share all but the last bits
    medians = rng.choice([0.7, 3.0]) + ulps * np.spacing(1.0)
    held = rng.random((n_cells, n_genes)) < rng.random((n_cells, 1))
    matrix = csr_matrix(np.where(held, rng.integers(1, 3, (n_cells, n_genes)), 0).astype(np.uint16))
    totals = np.asarray(matrix.sum(axis=1)).ravel() + rng.integers(1, 5, n_cells).astype(np.float64)
    if zeros:
        matrix.data[rng.random(matrix.nnz) < 0.3] = 0  # stored, and yet no count
    tokens = rank_value_tokens(matrix, totals, medians, max_tokens=max_tokens, columns=columns)
    expected = sorted_plainly(matrix, totals, medians, max_tokens, columns)
    assert tokens.lengths.tolist() == [len(cell) for cell in expected]
    assert tokens.genes.tolist() == [gene for cell in expected for gene in cell]


def test_many_cells_of_all_lengths_are_sorted_in_more_than_one_block() -> None:
    rng = np.random.default_rng(0)
    n_cells, n_genes = 90, 3000
    held = rng.random((n_cells, n_genes)) < np.linspace(0, 1, n_cells)[rng.permutation(n_cells), None]
    matrix = csr_matrix(np.where(held, rng.integers(1, 6, (n_cells, n_genes)), 0))
    totals = np.full(n_cells, 5000.0)
    medians = rng.choice(np.linspace(0.5, 4.0, 200), n_genes)  # shared by genes, so that many values are equal
    columns = rng.permutation(n_genes).astype(np.int32)
    tokens = rank_value_tokens(matrix, totals, medians, max_tokens=2048, columns=columns)
    expected = sorted_plainly(matrix, totals, medians, 2048, columns)
    assert tokens.genes.tolist() == [gene for cell in expected for gene in cell]
    assert tokens.offsets.tolist() == np.concatenate([[0], np.cumsum([len(cell) for cell in expected])]).tolist()
