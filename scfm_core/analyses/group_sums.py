"""Sums over the cells of each group, gene by gene, from sparse columns: no dense matrix of cells and genes is made."""

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
    n_genes = matrix.shape[1]
    of_row = codes[matrix.indices]
    column = np.repeat(np.arange(n_genes), np.diff(matrix.indptr))
    there = of_row >= 0
    place = of_row[there].astype(np.int64) * n_genes + column[there]
    weights = matrix.data[there].astype(np.float64)
    sums: NDArray[np.float64] = np.bincount(place, weights=weights, minlength=n_codes * n_genes).astype(np.float64)
    return sums.reshape(n_codes, n_genes)


def holding_by_code(matrix: csc_matrix, codes: NDArray[np.integer[Any]], n_codes: int) -> NDArray[np.int64]:
    """Count the rows of each code in which a column is not zero, shape ``(n_codes, n_genes)``."""
    is_held = csc_matrix(((matrix.data > 0).astype(np.float64), matrix.indices, matrix.indptr), shape=matrix.shape)
    return sums_by_code(is_held, codes, n_codes).astype(np.int64)


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
