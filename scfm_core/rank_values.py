"""Rank-value encoding: each cell's genes in the order of how strongly they stand out, at the pace of a sort."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.tokens import Tokens

_BLOCK = 2**16  # numbers sorted at once, so that they stay in the processor's cache
_FILLING = np.uint64(2**64 - 1)  # sorts behind everything


def rank_value_tokens(
    matrix: csr_matrix,
    total_counts: NDArray[np.float64],
    medians: NDArray[np.float64],
    *,
    max_tokens: int,
    columns: NDArray[np.int32] | None = None,
) -> Tokens:
    """Order the genes of each cell by how strongly they stand out.

    Each count is scaled to 10,000 counts per cell and divided by the gene's typical value, so housekeeping genes sink
    and genes that mark the cell's state rise: ``count / total * 10000 / median``, in this order, in double precision.
    Genes with zero counts are left out; ties go to the lower position of the vocabulary.

    Parameters
    ----------
    matrix
        Counts, shape ``(n_cells, n_columns)``, any number type; no column twice in a row.
    total_counts
        Counts of each cell over all measured genes, shape ``(n_cells,)``, positive where a cell has counts.
    medians
        Median non-zero value of each gene over the training cells, after scaling each cell to 10,000 counts,
        shape ``(n_positions,)``, all positive.
    max_tokens
        Context length of the model; the weakest genes beyond it are dropped.
    columns
        Position in the vocabulary of each column, -1 for a column to leave out, shape ``(n_columns,)``; every position
        at most once. The columns are the vocabulary where None.

    References
    ----------
    Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9, Methods, "Rank value encoding".

    Examples
    --------
    >>> matrix = csr_matrix(np.array([[4.0, 0.0, 3.0], [0.0, 0.0, 0.0]]))
    >>> tokens = rank_value_tokens(matrix, np.array([7.0, 0.0]), np.array([8.0, 1.0, 2.0]), max_tokens=2)
    >>> tokens.genes.tolist(), tokens.lengths.tolist()
    ([2, 0], [2, 0])
    """
    columns = np.arange(matrix.shape[1], dtype=np.int32) if columns is None else columns
    typical = np.where(columns < 0, np.inf, medians[columns])  # what is divided by infinity counts as zero
    stored = np.diff(matrix.indptr).astype(np.int64)
    order = np.argsort(stored, kind="stable")[int((stored == 0).sum()) :]  # cells of like length sort together
    n_tokens = np.zeros(len(stored), dtype=np.int64)
    parts = []
    start = 0
    while start < len(order):
        stop = start + _block_size(stored[order[start:]])
        cells = order[start:stop]
        genes, n_tokens[cells] = _ranked(matrix[cells], total_counts[cells], typical, columns, max_tokens)
        parts.append(genes)
        start = stop
    by_length = Tokens(
        np.concatenate(parts) if parts else np.empty(0, dtype=np.int32),
        np.ones(int(n_tokens.sum()), dtype=np.float32),
        np.concatenate([[0], np.cumsum(n_tokens[order])]).astype(np.int64),
    )
    back = np.full(len(stored), len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return _with_an_empty_cell(by_length).take(back)


def _block_size(lengths: NDArray[np.int64]) -> int:
    """Return how many of some cells, shortest first, make one block."""
    size = min(len(lengths), max(1, _BLOCK // int(lengths[0])))
    fits = lengths[:size] * np.arange(1, size + 1) <= _BLOCK
    return max(1, int(fits.sum()))


def _ranked(
    block: csr_matrix,
    total_counts: NDArray[np.float64],
    typical: NDArray[np.float64],
    columns: NDArray[np.int32],
    max_tokens: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the ranked genes of cells that all store some count, one after another, and how many each cell has.

    The bits of a positive float64 sort like the number, so a key of the number's high bits and the place of the entry
    in its cell is sorted as one integer. Entries that agree in the high bits are put in order after.
    """
    lengths = np.diff(block.indptr).astype(np.int64)
    starts = block.indptr[:-1].astype(np.int64)
    strength = block.data / np.repeat(total_counts, lengths)
    strength *= 10_000.0
    strength /= typical[block.indices]
    width = int(lengths[-1])
    low = np.uint64((1 << max(width - 1, 1).bit_length()) - 1)
    places = np.arange(width)
    keys = np.full((len(lengths), width), _FILLING)
    keys[places < lengths[:, None]] = ~strength.view(np.uint64) & ~low
    keys |= places.view(np.uint64)
    keys.sort(axis=1)
    n_genes = np.add.reduceat(strength > 0, starts, dtype=np.int64)
    flat = keys[places < n_genes[:, None]]
    first = np.cumsum(n_genes) - n_genes
    entry = (flat & low).view(np.int64) + np.repeat(starts, n_genes)
    genes = columns[block.indices[entry]]
    alike = (flat[1:] ^ flat[:-1]) <= low
    alike[first[(first > 0) & (first < len(flat))] - 1] = False
    _put_in_order(genes, strength, entry, alike)
    n_tokens = np.minimum(n_genes, max_tokens)
    if n_tokens.sum() < len(genes):
        genes = genes[np.arange(len(genes)) - np.repeat(first, n_genes) < max_tokens]
    return genes, n_tokens


def _put_in_order(
    genes: NDArray[np.int32],
    strength: NDArray[np.float64],
    entry: NDArray[np.int64],
    alike: NDArray[np.bool_],
) -> None:
    """Sort each run of entries that the keys could not tell apart: strongest first, then by position."""
    pairs = np.flatnonzero(alike)
    if not len(pairs):
        return
    members = np.union1d(pairs, pairs + 1)
    new_run = np.ones(len(members), dtype=bool)
    new_run[1:] = ~alike[members[1:] - 1]
    order = np.lexsort((genes[members], -strength[entry[members]], np.cumsum(new_run)))
    genes[members] = genes[members][order]


def _with_an_empty_cell(tokens: Tokens) -> Tokens:
    return Tokens(tokens.genes, tokens.values, np.append(tokens.offsets, tokens.offsets[-1]))
