"""Computes raw counts back from normalised or logarithmic values, where that is exact; refuses otherwise."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

Transform = Literal["ln(1 + x)", "log2(1 + x)", "log10(1 + x)", "x"]

# the way back to x, and how steep the logarithm makes it
_LINEAR: dict[Transform, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "ln(1 + x)": (np.expm1, 1.0),
    "log2(1 + x)": (lambda values: np.exp2(values) - 1, np.log(2)),
    "log10(1 + x)": (lambda values: np.power(10.0, values) - 1, np.log(10)),
    "x": (lambda values: values, 0.0),  # normalised, never put to a logarithm
}
_LARGEST_LOGARITHM = 40.0
_LARGEST_COUNT = 2**31
_MAX_SMALLEST_COUNT = 6  # the smallest count of a cell is 1 nearly always
_CLEAR = 0.5  # how wide the range of a count may be: by chance it holds a whole number as often as that
_MANY_LEVELS = 3
_ROUNDS = 4
_ROUNDING = 1e-9
_TINY = 1e-300
_MIN_INFORMATIVE_SHARE = 0.9
_DECIMALS = range(2, 6)
_SAMPLE_CELLS = 100
_LEVEL_CAP = 64
_BLOCK_VALUES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Counts that were computed back.

    Attributes
    ----------
    counts
        Shape ``(n_cells, n_genes)``, whole numbers, int64.
    scales
        By what each cell's counts had been multiplied, shape ``(n_cells,)``; NaN where a cell has no counts.
    transform
        What had been done to ``x = scale * count``.
    worst_residual
        Largest distance of a computed count from the whole number that it was rounded to.
    """

    counts: csr_matrix
    scales: NDArray[np.float64]
    transform: Transform
    worst_residual: float


@dataclass(frozen=True)
class _Rows:
    """Non-zero values of the cells that have any, cell after cell, each known to lie between two bounds."""

    least: NDArray[np.float64]  # (n_values,)
    most: NDArray[np.float64]  # (n_values,)
    starts: NDArray[np.int64]  # (n_rows,)
    lengths: NDArray[np.int64]  # (n_rows,)

    def spread(self, per_row: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(per_row, self.lengths)

    def smallest(self, per_value: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.minimum.reduceat(per_value, self.starts))

    def largest(self, per_value: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.maximum.reduceat(per_value, self.starts))


@dataclass(frozen=True)
class _Solved:
    counts: csr_matrix
    scales: NDArray[np.float64]
    worst_residual: float
    n_informative: int


def recover_counts(matrix: csr_matrix | NDArray[Any]) -> csr_matrix | None:
    """Return the raw counts behind a matrix, shape ``(n_cells, n_genes)``, or None; see `recover`."""
    recovery = recover(matrix)
    return None if recovery is None else recovery.counts


def recover(matrix: csr_matrix | NDArray[Any]) -> Recovery | None:
    """Compute the raw counts behind a matrix of normalised, perhaps logarithmic values.

    A cell's counts were multiplied by one number, and the cell's smallest non-zero count is nearly always 1. So the
    smallest value shows that number, and every other value divided by it must be whole. The answer is exact: a value is
    accepted only where its distance from a whole number is explained by the precision that the file keeps (32-bit
    floats, or fewer decimals) and where that precision tells neighbouring whole numbers apart. One value that is not
    whole, in any cell, refuses the whole matrix.

    Parameters
    ----------
    matrix
        Non-negative values, zeros where no count is, shape ``(n_cells, n_genes)``, sparse or dense.

    Returns
    -------
    The counts, or None where they cannot be recovered exactly.

    Notes
    -----
    A cell whose counts are all the same number, or all multiples of one number, cannot be told from one with smaller
    counts; the smaller ones are returned. At least nine cells of ten must show three different counts or more.

    Examples
    --------
    >>> counts = csr_matrix([[1, 0, 3, 2, 7], [2, 5, 1, 0, 3]])
    >>> logarithms = np.log1p(counts.multiply(1e4 / counts.sum(axis=1)).toarray())
    >>> recover_counts(logarithms).toarray().tolist()
    [[1, 0, 3, 2, 7], [2, 5, 1, 0, 3]]
    """
    sparse = csr_matrix(matrix, copy=True)
    sparse.sum_duplicates()
    sparse.eliminate_zeros()
    data = np.asarray(sparse.data)
    if not data.size or data.dtype.kind not in "fiu" or not np.isfinite(data).all() or data.min() <= 0:
        return None
    sample = sparse[np.flatnonzero(np.diff(sparse.indptr))[:_SAMPLE_CELLS]]
    for transform in _LINEAR:
        if _try([sample], transform) is not None:
            return _try(_blocks(sparse), transform)
    return None


def _blocks(matrix: csr_matrix) -> Iterator[csr_matrix]:
    """Yield the cells some at a time, so that little memory is needed beside the matrix."""
    ends = np.searchsorted(matrix.indptr, np.arange(_BLOCK_VALUES, matrix.nnz, _BLOCK_VALUES))
    bounds = np.unique(np.concatenate([[0], ends, [matrix.shape[0]]]))
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        yield matrix[start:stop]


def _precision(values: NDArray[np.float64], transform: Transform) -> NDArray[np.float64]:
    """Return how far each value may be off: half a step where decimals were cut, and a few roundings to 32 bits.

    Values are seldom computed in more than 32 bits, even where they are kept in 64. Under a logarithm stood 1 + x.
    """
    roundings = 4 * float(np.finfo(np.float32).eps) * np.maximum(values, 0.0 if transform == "x" else 1.0)
    for decimals in _DECIMALS:
        if (np.abs(np.round(values, decimals) - values) <= roundings).all():
            return roundings + 0.5 * 10.0**-decimals
    return roundings


def _try(blocks: Iterable[csr_matrix], transform: Transform) -> Recovery | None:
    """Return the counts if ``transform`` was what had been done to them."""
    parts: list[_Solved] = []
    for block in blocks:
        part = _solve(block, transform)
        if part is None:
            return None
        parts.append(part)
    scales = np.concatenate([part.scales for part in parts])
    informative = sum(part.n_informative for part in parts)
    if informative < _MIN_INFORMATIVE_SHARE * np.count_nonzero(~np.isnan(scales)):
        return None
    return Recovery(
        counts=vstack([part.counts for part in parts], format="csr"),
        scales=scales,
        transform=transform,
        worst_residual=max(part.worst_residual for part in parts),
    )


def _solve(matrix: csr_matrix, transform: Transform) -> _Solved | None:
    invert, steepness = _LINEAR[transform]
    values = matrix.data.astype(np.float64)
    lengths = np.diff(matrix.indptr).astype(np.int64)
    filled = lengths > 0
    if not filled.any():
        return _Solved(matrix.astype(np.int64), np.full(matrix.shape[0], np.nan), 0.0, 0)
    if values.max() * steepness > _LARGEST_LOGARITHM:
        return None
    error = _precision(values, transform)
    starts = matrix.indptr[:-1][filled].astype(np.int64)
    rows = _Rows(invert(values - error), invert(values + error), starts, lengths[filled])
    solved = _whole_numbers(rows)
    if solved is None:
        return None
    counts, scales = solved
    residual = np.abs(invert(values) / rows.spread(scales) - counts)
    all_scales = np.full(matrix.shape[0], np.nan)
    all_scales[filled] = scales
    whole = csr_matrix((counts, matrix.indices, matrix.indptr), shape=matrix.shape)
    return _Solved(whole, all_scales, float(residual.max()), _n_informative(rows, counts))


def _whole_numbers(rows: _Rows) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Return the count of each value and the scale of each row; None where a row has no scale that fits all values."""
    counts = np.zeros(len(rows.least), dtype=np.int64)
    scales = np.full(len(rows.lengths), np.nan)
    for smallest_count in range(1, _MAX_SMALLEST_COUNT + 1):
        tried, low, high = _narrow(rows, smallest_count)
        fits = np.isnan(scales) & (rows.smallest(tried) > 0)
        scales[fits] = ((low + high) / 2)[fits]
        counts = np.where(rows.spread(fits), tried, counts)
        left = float(np.isnan(scales).mean())
        if left == 0:
            return counts, scales
        if smallest_count == 1 and left > 1 - _MIN_INFORMATIVE_SHARE:  # not a matter of unusual cells
            return None
    return None


def _narrow(rows: _Rows, smallest_count: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the count of each value and the bounds of each row's scale, if the smallest count is as given.

    Each value leaves its count only the whole numbers between its bounds divided by those of the scale; where that is
    one, the count in turn narrows the scale. A count of 0 says that there was none, or more than one.
    """
    low = np.maximum(rows.smallest(rows.least), _TINY) / smallest_count
    high = rows.smallest(rows.most) / smallest_count
    counts = np.zeros(len(rows.least), dtype=np.int64)
    for _ in range(_ROUNDS):
        fewest, greatest = rows.least / rows.spread(high), rows.most / rows.spread(low)
        nearest = np.rint((fewest + greatest) / 2)
        inside = (fewest <= nearest * (1 + _ROUNDING)) & (nearest <= greatest * (1 + _ROUNDING))
        clear = inside & (greatest - fewest < _CLEAR) & (nearest >= 1) & (nearest < _LARGEST_COUNT)
        counts = np.where(clear, nearest, 0).astype(np.int64)
        divisor = np.maximum(counts, 1)
        low = np.maximum(low, rows.largest(np.where(clear, rows.least / divisor, 0)) * (1 - _ROUNDING))
        high = np.minimum(high, rows.smallest(np.where(clear, rows.most / divisor, np.inf)) * (1 + _ROUNDING))
    counts[rows.spread(low > high)] = 0
    return counts, low, high


def _n_informative(rows: _Rows, counts: NDArray[np.int64]) -> int:
    """Return how many cells show several counts; one of ones alone would look whole whatever had been done to it."""
    row = np.repeat(np.arange(len(rows.lengths)), rows.lengths)
    levels = np.unique(row * _LEVEL_CAP + np.minimum(counts, _LEVEL_CAP - 1)) // _LEVEL_CAP
    return int((np.bincount(levels) >= _MANY_LEVELS).sum())
