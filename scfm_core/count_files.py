"""Compressed sparse matrices on disk, read and written some lines at a time; knows no cells and no genes.

A matrix is three plain arrays, ``data``, ``indices`` and ``indptr`` of scipy's compressed formats, each in a ``.npy``
file. A line is a row where the matrix is kept by row, and a column where it is kept by column. Counts are read, not
mapped: pages of a mapped file stay in the memory of the process that looked at them.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import csc_matrix, csr_matrix

PARTS = ("data", "indices", "indptr")
_COUNTS_AT_ONCE = 2**25  # stored counts held in memory while a matrix is written
_VALUES_AT_ONCE = 2**22
_GAP_BYTES = 2**16  # lines that lie closer than this are read together with what lies between them
_SPAN_BYTES = 2**24  # and at most so much at once


class Lines(NamedTuple):
    """Some lines of a matrix, as scipy's constructors take them."""

    data: NDArray[Any]
    indices: NDArray[Any]
    indptr: NDArray[Any]


class _Header(NamedTuple):
    dtype: np.dtype[Any]
    offset: int


def read_lines(stem: Path, chosen: NDArray[np.integer[Any]], line_length: int) -> Lines:
    """Read some lines of the matrix whose files are named ``<stem>_data.npy`` and so on, in the order asked for.

    Parameters
    ----------
    chosen
        Positions of lines, none negative, shape ``(n_chosen,)``.
    line_length
        Of one line; says how wide the indices must be.
    """
    indptr = mapped_array(_part(stem, "indptr"))
    starts, stops = np.asarray(indptr[chosen]), np.asarray(indptr[chosen + 1])
    lengths = stops - starts
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    index_dtype = np.dtype(np.int32 if line_length < 2**31 and pointers[-1] < 2**31 else np.int64)
    data, indices = (_read_pieces(_part(stem, part), starts, lengths, pointers) for part in PARTS[:2])
    if indices.dtype.itemsize == index_dtype.itemsize:
        return Lines(data, indices.view(index_dtype), pointers.astype(index_dtype))
    return Lines(data, indices.astype(index_dtype), pointers.astype(index_dtype))


def read_values(path: Path, start: int, stop: int) -> NDArray[Any]:
    """Read the values at ``start`` up to ``stop`` of a one-dimensional array on disk."""
    header = _header(path)
    with path.open("rb") as file:
        file.seek(header.offset + start * header.dtype.itemsize)
        return np.fromfile(file, dtype=header.dtype, count=stop - start)


def pieces_of_values(path: Path) -> Iterator[NDArray[Any]]:
    """Yield a one-dimensional array on disk, some million values at a time."""
    n = len(np.load(path, mmap_mode="r", allow_pickle=False))
    for start in range(0, n, _VALUES_AT_ONCE):
        yield read_values(path, start, min(start + _VALUES_AT_ONCE, n))


@lru_cache(maxsize=256)
def mapped_array(path: Path) -> NDArray[Any]:
    """Return an array on disk, mapped into memory; for arrays with a value or two per cell or gene."""
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def cut_lines(indptr: NDArray[np.integer[Any]], most_values: int) -> list[tuple[int, int]]:
    """Cut lines into spans of at most ``most_values`` stored values; a longer line stands alone.

    Examples
    --------
    >>> cut_lines(np.array([0, 3, 5, 6, 6]), 4)
    [(0, 1), (1, 4)]
    """
    spans: list[tuple[int, int]] = []
    start, n_lines = 0, len(indptr) - 1
    while start < n_lines:
        stop = int(np.searchsorted(indptr, indptr[start] + most_values, side="right")) - 1
        stop = min(max(stop, start + 1), n_lines)
        spans.append((start, stop))
        start = stop
    return spans


class LineWriter:
    """Writes a matrix line after line; its values keep the smallest unsigned type that holds all of them."""

    def __init__(self, stem: Path, line_length: int) -> None:
        self._stem = stem
        self._data = _GrowingArray(_part(stem, "data"), np.uint8)
        self._indices = _GrowingArray(_part(stem, "indices"), np.min_scalar_type(max(line_length - 1, 0)))
        self._lengths: list[NDArray[np.int64]] = []

    def append(self, lines: csr_matrix | csc_matrix) -> None:
        """Add lines of a canonical matrix of unsigned whole numbers."""
        if lines.data.dtype.itemsize > self._data.dtype.itemsize:
            self._data.widen(lines.data.dtype)
        self._data.append(lines.data)
        self._indices.append(lines.indices)
        self._lengths.append(np.diff(lines.indptr).astype(np.int64))

    def close(self) -> None:
        """Finish the files."""
        self._data.close()
        self._indices.close()
        np.save(_part(self._stem, "indptr"), np.concatenate([[0], *self._lengths]).cumsum().astype(np.int64))


def write_transposed(stem: Path, by_other: Path, shape: tuple[int, int]) -> None:
    """Write a matrix that is kept by row, at ``stem``, once more by column, at ``by_other``.

    Some rows at a time are turned in memory and laid aside; then some columns at a time are gathered from what was
    laid aside. Memory and the number of files depend on the size of these pieces.

    Parameters
    ----------
    shape
        Of the matrix, ``(n_rows, n_columns)``.
    """
    n_rows, n_columns = shape
    runs: list[tuple[Path, NDArray[np.int64]]] = []
    for number, (start, stop) in enumerate(cut_lines(np.load(_part(stem, "indptr")), _COUNTS_AT_ONCE)):
        lines = read_lines(stem, np.arange(start, stop), n_columns)
        turned = csc_matrix(csr_matrix(lines, shape=(stop - start, n_columns)))
        run = by_other.with_name(f"{by_other.name}-run-{number}")
        np.save(_part(run, "data"), turned.data)
        np.save(_part(run, "indices"), (turned.indices + start).astype(np.min_scalar_type(n_rows)))
        runs.append((run, turned.indptr.astype(np.int64)))
    pointers = np.sum([indptr for _, indptr in runs], axis=0)
    writer = LineWriter(by_other, n_rows)
    for start, stop in cut_lines(pointers, _COUNTS_AT_ONCE):
        writer.append(_gathered(runs, (start, stop), n_rows))
    writer.close()
    for run, _ in runs:
        for part in PARTS[:2]:
            _part(run, part).unlink()


def _gathered(runs: list[tuple[Path, NDArray[np.int64]]], span: tuple[int, int], n_rows: int) -> csc_matrix:
    """Return some columns, whose entries lie in all runs one after the other."""
    start, stop = span
    lengths = np.array([np.diff(indptr[start : stop + 1]) for _, indptr in runs])
    pointers = np.concatenate([[0], np.cumsum(lengths.sum(axis=0))])
    places = pointers[:-1] + np.cumsum(lengths, axis=0) - lengths  # where each run's share of each column begins
    parts = [_part(runs[0][0], part) for part in PARTS[:2]]
    data, indices = (np.empty(pointers[-1], dtype=_header(path).dtype) for path in parts)
    for (run, indptr), length, place in zip(runs, lengths, places, strict=True):
        first = int(indptr[start])
        where = np.repeat(place - (indptr[start:stop] - first), length) + np.arange(int(indptr[stop]) - first)
        for out, part in ((data, "data"), (indices, "indices")):
            out[where] = read_values(_part(run, part), first, int(indptr[stop]))
    return csc_matrix((data, indices, pointers), shape=(n_rows, stop - start))


class _GrowingArray:
    """A one-dimensional array on disk that is written piece by piece; its header is written again at the end."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._path = path
        self._n = 0
        path.touch()
        self.close()

    def append(self, values: NDArray[Any]) -> None:
        with self._path.open("ab") as file:
            for start in range(0, len(values), _VALUES_AT_ONCE):
                values[start : start + _VALUES_AT_ONCE].astype(self.dtype, copy=False).tofile(file)
        self._n += len(values)

    def widen(self, dtype: np.dtype[Any]) -> None:
        """Keep what is written so far in a wider type."""
        self.close()
        narrow = self._path.with_name(f"{self.dtype}-{self._path.name}")
        self._path.rename(narrow)
        wide = _GrowingArray(self._path, dtype)
        for piece in pieces_of_values(narrow):
            wide.append(piece)
        narrow.unlink()
        self.dtype = wide.dtype

    def close(self) -> None:
        """Write the header, which leaves room for a longer shape."""
        header = {"descr": npy_format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self._n,)}
        with self._path.open("r+b") as file:
            npy_format.write_array_header_1_0(file, header)


def _read_pieces(
    path: Path, starts: NDArray[np.int64], lengths: NDArray[np.int64], pointers: NDArray[np.int64]
) -> NDArray[Any]:
    """Read pieces of an array on disk and lay them one after the other; pieces that lie close are read together."""
    if len(starts) and np.array_equal(starts[1:], (starts + lengths)[:-1]):
        return read_values(path, int(starts[0]), int(starts[0] + pointers[-1]))
    out = np.empty(pointers[-1], dtype=_header(path).dtype)
    order = np.flatnonzero(lengths)
    order = order[np.argsort(starts[order], kind="stable")]
    header = _header(path)
    with path.open("rb", buffering=0) as file:
        for chosen in _close_together(order, starts, lengths, header.dtype.itemsize):
            start, stop = int(starts[chosen[0]]), int((starts[chosen] + lengths[chosen]).max())
            alone = len(chosen) == 1
            values = out[pointers[chosen[0]] :][: stop - start] if alone else np.empty(stop - start, header.dtype)
            file.seek(header.offset + start * header.dtype.itemsize)
            file.readinto(values.data.cast("B"))
            if not alone:
                n, before = lengths[chosen], np.cumsum(lengths[chosen]) - lengths[chosen]
                inner = np.arange(n.sum())
                where = np.repeat(starts[chosen] - start - before, n) + inner
                out[np.repeat(pointers[chosen] - before, n) + inner] = values[where]
    return out


def _close_together(
    order: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64], itemsize: int
) -> list[NDArray[np.int64]]:
    """Part pieces, given in the order in which they lie on disk, into those that one look at the disk reads."""
    if len(order) == 0:
        return []
    first, stop = starts[order] * itemsize, (starts + lengths)[order] * itemsize
    is_far = first[1:] - stop[:-1] > _GAP_BYTES
    is_new = is_far | (first[1:] // _SPAN_BYTES != first[:-1] // _SPAN_BYTES)
    return np.split(order, np.flatnonzero(is_new) + 1)


def _part(stem: Path, part: str) -> Path:
    return stem.with_name(f"{stem.name}_{part}.npy")


@lru_cache(maxsize=256)
def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        version = npy_format.read_magic(file)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        _, _, dtype = read(file)
        return _Header(dtype, file.tell())
