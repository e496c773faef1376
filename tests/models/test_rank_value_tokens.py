"""Rank-value tokens against a reference written for a single cell."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts
from scfm_core.tokens import Tokens, counts_in_vocabulary, rank_value_tokens
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
