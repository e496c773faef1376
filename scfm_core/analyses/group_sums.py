"""Sums over the cells of each group, gene by gene, from sparse columns: no dense matrix of cells and genes is made."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from scfm_core.analyses.grouping import Grouping, group_codes, in_reading_order
from scfm_core.dataset import Dataset
from scfm_core.request import Context

_VALUES_PER_CHUNK = 60_000_000  # cells x genes; a tenth of them are no zeros, about a second


def sums_by_code(matrix: csc_matrix, codes: NDArray[np.integer[Any]], n_codes: int) -> NDArray[np.float64]:
    """Sum a matrix over the rows of each code.

    Parameters
    ----------
    matrix
        Shape ``(n_cells, n_genes)``.
    codes
        Of each row, 0 to ``n_codes - 1``; a row with -1 counts nowhere. Shape ``(n_cells,)``.

    Returns
    -------
    Shape ``(n_codes, n_genes)``; exact for whole numbers.

    Examples
    --------
    >>> sums_by_code(csc_matrix([[1, 0], [2, 5], [4, 1]]), np.array([0, 1, 1]), 2).tolist()
    [[1.0, 0.0], [6.0, 6.0]]
    """
    sums = np.empty((n_codes, matrix.shape[1]))
    for gene, (rows, values) in enumerate(_columns(matrix, codes)):
        sums[:, gene] = np.bincount(rows, weights=values, minlength=n_codes + 1)[1:]
    return sums


def holding_by_code(matrix: csc_matrix, codes: NDArray[np.integer[Any]], n_codes: int) -> NDArray[np.int64]:
    """Count the rows of each code that hold a column, shape ``(n_codes, n_genes)``; no zero may be stored."""
    counts = np.empty((n_codes, matrix.shape[1]), dtype=np.int64)
    for gene, (rows, _) in enumerate(_columns(matrix, codes)):
        counts[:, gene] = np.bincount(rows, minlength=n_codes + 1)[1:]
    return counts


def _columns(
    matrix: csc_matrix, codes: NDArray[np.integer[Any]]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.number[Any]]]]:
    """Yield for each column the codes of its rows, raised by 1 so that none is negative, and its values."""
    raised = codes.astype(np.int64) + 1
    for first, last in pairwise(matrix.indptr):
        yield raised[matrix.indices[first:last]], matrix.data[first:last]


def spans_of_genes(n_cells: int, n_genes: int) -> list[tuple[int, int]]:
    """Cut genes into chunks of about a second's work each: first and behind the last position."""
    size = int(np.clip(_VALUES_PER_CHUNK // max(n_cells, 1), 1, 2000))
    return [(start, min(start + size, n_genes)) for start in range(0, n_genes, size)]


def present_groups(
    context: Context, dataset: Dataset, grouping: Grouping
) -> tuple[tuple[str, ...], NDArray[np.integer[Any]]]:
    """Return the names of the groups that have a cell, in reading order, and each cell's place among them.

    The places have shape ``(n_cells,)``; -1 for a cell in no group.

    Raises
    ------
    RequestError
        If the grouping does not belong to this dataset.
    """
    names, codes = group_codes(context, dataset, grouping)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    position = {name: place for place, name in enumerate(names) if counts[place]}
    order = in_reading_order(position)
    lookup = np.full(len(names) + 1, -1, dtype=np.int64)  # the last one stands for code -1
    lookup[[position[name] for name in order]] = np.arange(len(order))
    return tuple(order), lookup[codes]
