"""Ranks and moments of each gene in groups of cells, compiled; knows compressed columns and the group of each cell.

Import it where it is used: numba is slow to start. Only entries above zero are looked at, so the time follows the
number of stored counts. The functions let other threads run.
"""

from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

_config: Any = numba.config  # has no types
N_THREADS: int = _config.NUMBA_NUM_THREADS
_SLOT_BITS = 16  # of a key; above them stands the value
_SLOT = (1 << _SLOT_BITS) - 1
_DIGIT_BITS = 11  # at most: 2,048 counters fit the fastest cache

FunctionT = TypeVar("FunctionT")


def _compiled(function: FunctionT) -> FunctionT:
    return cast(FunctionT, numba.njit(nogil=True, cache=True)(function))


class Rows(NamedTuple):
    """What is known of the rows of a matrix.

    Attributes
    ----------
    scale
        What the counts of each row are multiplied with, shape ``(n_rows,)``.
    slots
        Where each row belongs, from 0 on; -1 for a row that takes no part; shape ``(n_rows,)``.
    sizes
        How many rows belong to each slot, shape ``(n_slots,)``.
    """

    scale: NDArray[np.float64]
    slots: NDArray[np.int16]
    sizes: NDArray[np.int64]


def rank_columns(counts: csc_matrix, rows: Rows, *, pool: int) -> dict[str, NDArray[np.float64]]:
    """Return what rank sum tests need of each column.

    Parameters
    ----------
    counts
        None negative, shape ``(n_rows, n_columns)``; scaled, they are compared as float32.
    pool
        -1: each slot's rows are ranked among all rows. A slot: each other one's are ranked among both.

    Returns
    -------
    Each of shape ``(n_slots, n_columns)``: ``held`` (rows above zero), ``total`` (sum of the scaled counts),
    ``rank_sum`` (of the rows of a slot, equal values sharing their mean rank) and ``ties`` (``sum(t**3 - t)`` over the
    sizes ``t`` of sets of equal values among the rows that a slot is ranked with).
    """
    columns, sizes = _arrays(counts), rows.sizes.astype(np.float64)
    shape = (counts.shape[1], len(sizes))
    held, total, rank_sum, ties = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    _rank(columns, rows.scale, rows.slots, sizes, pool, held, total, rank_sum, ties)
    return {"held": held.T, "total": total.T, "rank_sum": rank_sum.T, "ties": ties.T}


def spread_of_columns(counts: csc_matrix, rows: Rows) -> dict[str, NDArray[np.float64]]:
    """Return what t tests need of each column; parameters as in `rank_columns`.

    Returns
    -------
    Each of shape ``(n_slots, n_columns)``: ``held`` and ``total`` as in `rank_columns`; ``mean`` of ln(1 + scaled
    count) over the rows of a slot, and ``squares``, the sum of squared distances from it.
    """
    columns, sizes = _arrays(counts), rows.sizes.astype(np.float64)
    shape = (counts.shape[1], len(sizes))
    held, total, mean, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    scaled = columns[0] * rows.scale[columns[1]]
    _spread((scaled, *columns[1:]), np.log1p(scaled), rows.slots, sizes, held, total, mean, squares)
    return {"held": held.T, "total": total.T, "mean": mean.T, "squares": squares.T}


def _arrays(counts: csc_matrix) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.int64]]:
    """Return the arrays of a matrix in types that the functions below are compiled for: nearly always the same ones."""
    narrow = np.can_cast(counts.dtype, np.uint16)
    return (
        counts.data.astype(np.uint16 if narrow else np.float64, copy=False),
        counts.indices.astype(np.int32, copy=False),
        counts.indptr.astype(np.int64, copy=False),
    )


@_compiled
def _sorted(keys: Any, spare: Any, n: int) -> Any:
    """Sort the first ``n`` keys by value, digit by digit; returns that of the two arrays that holds them."""
    smallest = largest = keys[0]
    for entry in range(1, n):
        smallest = min(smallest, keys[entry])
        largest = max(largest, keys[entry])
    smallest, n_bits = smallest >> _SLOT_BITS, 0
    while ((largest >> _SLOT_BITS) - smallest) >> n_bits:
        n_bits += 1
    if n_bits == 0:
        return keys
    n_passes = (n_bits + _DIGIT_BITS - 1) // _DIGIT_BITS
    digit_bits = (n_bits + n_passes - 1) // n_passes
    places = _places_of_digits(keys, n, smallest, n_passes, digit_bits)
    for number in range(n_passes):
        place, shift, mask = places[number], number * digit_bits, (1 << digit_bits) - 1
        for entry in range(n):
            digit = (((keys[entry] >> _SLOT_BITS) - smallest) >> shift) & mask
            spare[place[digit]] = keys[entry]
            place[digit] += 1
        keys, spare = spare, keys
    return keys


@_compiled
def _places_of_digits(keys: Any, n: int, smallest: int, n_passes: int, digit_bits: int) -> Any:
    """Return where the first key with each digit goes in each pass, shape ``(n_passes, n_digits)``."""
    places = np.zeros((n_passes, 1 << digit_bits), dtype=np.int64)
    mask = (1 << digit_bits) - 1
    for entry in range(n):
        value = (keys[entry] >> _SLOT_BITS) - smallest
        for number in range(n_passes):
            places[number, (value >> (number * digit_bits)) & mask] += 1
    for number in range(n_passes):
        before = 0
        for digit in range(mask + 1):
            count = places[number, digit]
            places[number, digit] = before
            before += count
    return places


@_compiled
def _keys_of(counts: Any, rows: Any, scale: Any, slots: Any, narrow: Any, keys: Any, held: Any, total: Any) -> int:
    """Write value and slot of each entry into a key, add it to what its slot holds; returns how many take part."""
    n = 0
    for entry in range(len(counts)):
        slot = slots[rows[entry]]
        if slot >= 0:
            value = counts[entry] * scale[rows[entry]]
            held[slot] += 1
            total[slot] += value
            narrow[n] = value
            keys[n] = slot
            n += 1
    bits = narrow.view(np.int32)  # of positive numbers: in the order of the numbers
    for entry in range(n):
        keys[entry] |= np.int64(bits[entry]) << _SLOT_BITS
    return n


@_compiled
def _rank_among_all(keys: Any, n: int, n_rows: Any, held: Any, rank_sum: Any, ties: Any) -> None:
    below = n_rows.sum() - n  # the zeros
    tied = below**3 - below
    for slot in range(len(n_rows)):
        rank_sum[slot] = (n_rows[slot] - held[slot]) * (below + 1) / 2
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and keys[stop] >> _SLOT_BITS == keys[start] >> _SLOT_BITS:
            stop += 1
        size = float(stop - start)
        for entry in range(start, stop):
            rank_sum[keys[entry] & _SLOT] += below + (size + 1) / 2
        tied += size**3 - size
        below += size
        start = stop
    ties[:] = tied


@_compiled
def _rank_among_two(keys: Any, n: int, n_rows: Any, held: Any, pool: int, rank_sum: Any, ties: Any) -> None:
    here, below = np.zeros(len(n_rows)), np.empty(len(n_rows))
    for slot in range(len(n_rows)):  # the zeros
        below[slot] = n_rows[slot] - held[slot]
    for slot in range(len(n_rows)):
        with_pool = below[slot] + below[pool]
        rank_sum[slot] = below[slot] * (with_pool + 1) / 2
        ties[slot] = with_pool**3 - with_pool
    of_pool = 0.0
    start = 0
    while start < n:
        stop = start
        while stop < n and keys[stop] >> _SLOT_BITS == keys[start] >> _SLOT_BITS:
            here[keys[stop] & _SLOT] += 1
            stop += 1
        alone = here[pool]
        of_pool += alone**3 - alone
        here[pool] = 0
        for entry in range(start, stop):
            slot = keys[entry] & _SLOT
            own = here[slot]
            if own > 0:
                rank_sum[slot] += own * (below[slot] + below[pool] + (own + alone + 1) / 2)
                ties[slot] += (own + alone) ** 3 - own - (alone**3)
                below[slot] += own
                here[slot] = 0
        below[pool] += alone
        start = stop
    for slot in range(len(n_rows)):
        ties[slot] += of_pool


@_compiled
def _rank(
    columns: Any, scale: Any, slots: Any, n_rows: Any, pool: int, held: Any, total: Any, rank_sum: Any, ties: Any
) -> None:
    counts, rows, indptr = columns
    longest = 0
    for column in range(len(indptr) - 1):
        longest = max(longest, indptr[column + 1] - indptr[column])
    narrow = np.empty(longest, dtype=np.float32)
    keys, spare = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    for column in range(len(indptr) - 1):
        entries = slice(indptr[column], indptr[column + 1])
        n = _keys_of(counts[entries], rows[entries], scale, slots, narrow, keys, held[column], total[column])
        ordered = _sorted(keys, spare, n) if n > 0 else keys
        if pool < 0:
            _rank_among_all(ordered, n, n_rows, held[column], rank_sum[column], ties[column])
        else:
            _rank_among_two(ordered, n, n_rows, held[column], pool, rank_sum[column], ties[column])


@_compiled
def _spread(columns: Any, logs: Any, slots: Any, n_rows: Any, held: Any, total: Any, mean: Any, squares: Any) -> None:
    values, rows, indptr = columns
    for column in range(len(indptr) - 1):
        for entry in range(indptr[column], indptr[column + 1]):
            slot = slots[rows[entry]]
            if slot >= 0:
                held[column, slot] += 1
                total[column, slot] += values[entry]
                mean[column, slot] += logs[entry]
        for slot in range(len(n_rows)):
            mean[column, slot] /= max(n_rows[slot], 1.0)
            squares[column, slot] = (n_rows[slot] - held[column, slot]) * mean[column, slot] ** 2
        for entry in range(indptr[column], indptr[column + 1]):
            slot = slots[rows[entry]]
            if slot >= 0:
                squares[column, slot] += (logs[entry] - mean[column, slot]) ** 2
