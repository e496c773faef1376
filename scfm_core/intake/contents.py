"""What a reader hands over: the cell table, and every matrix that may hold counts, read in blocks of cells.

Knows no file format; a matrix is anything that gives back arrays when it is sliced.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, vstack

from scfm_core.errors import DatasetError
from scfm_core.intake.findings import Finding
from scfm_core.intake.limits import Limits, check_declared

_MOST_CELLS, _MOST_GENES = 20_000_000, 2_000_000
_BLOCK_VALUES = 16_000_000


class Matrix(ABC):
    """Values by cell and gene, shape ``(n_cells, n_genes)``, still in the file."""

    def __init__(self, shape: tuple[int, int], limits: Limits) -> None:
        check_shape(shape)
        self.shape, self.limits = shape, limits

    @abstractmethod
    def rows(self, start: int, stop: int) -> csr_matrix:
        """Read the cells from ``start`` to ``stop``, shape ``(stop - start, n_genes)``."""

    def load(self) -> csr_matrix:
        """Read all cells, block by block."""
        return _stack(self._blocks(), self.limits)

    def sample(self, n_cells: int = 1500) -> csr_matrix:
        """Read at most ``n_cells`` cells, in blocks spread evenly over the file."""
        wanted = min(n_cells, max(100, _BLOCK_VALUES // max(self.shape[1], 1)))
        if self.shape[0] <= wanted:
            return self.rows(0, self.shape[0])
        n_blocks = 6
        block = wanted // n_blocks
        starts = np.linspace(0, self.shape[0] - block, n_blocks).astype(int)
        return _stack((self.rows(int(start), int(start) + block) for start in starts), self.limits)

    def _blocks(self) -> Iterator[csr_matrix]:
        step = max(1, _BLOCK_VALUES // max(self.shape[1], 1))
        for start in range(0, self.shape[0], step):
            yield self.rows(start, min(start + step, self.shape[0]))


class InMemory(Matrix):
    """A matrix that had to be read as a whole."""

    def __init__(self, matrix: csr_matrix, limits: Limits) -> None:
        super().__init__(matrix.shape, limits)
        self._matrix = matrix

    def rows(self, start: int, stop: int) -> csr_matrix:
        """Return some cells."""
        return self._matrix[start:stop]

    def load(self) -> csr_matrix:
        """Return all cells."""
        return self._matrix


class Dense(Matrix):
    """A two-dimensional array in a file, cells in rows or, ``by_gene``, in columns."""

    def __init__(self, array: Any, limits: Limits, *, by_gene: bool = False) -> None:
        if len(array.shape) != 2:
            msg = f"Expected a matrix of cells and genes, found an array of shape {tuple(array.shape)}."
            raise DatasetError(msg, "broken-matrix")
        n_rows, n_columns = (int(n) for n in array.shape)
        super().__init__((n_columns, n_rows) if by_gene else (n_rows, n_columns), limits)
        check_numbers(array.dtype, "The matrix")
        check_declared("The matrix", n_rows * n_columns * array.dtype.itemsize, 8 * limits.memory_bytes)
        check_chunks(array, limits)
        self._array, self._by_gene = array, by_gene

    def rows(self, start: int, stop: int) -> csr_matrix:
        """Read some cells, all values, and keep those that are not zero."""
        block = self._array[:, start:stop].T if self._by_gene else self._array[start:stop]
        return csr_matrix(np.asarray(block))


class Sparse(Matrix):
    """Compressed rows (CSR) or, ``by_gene``, compressed columns (CSC) in a file."""

    def __init__(self, parts: Any, shape: tuple[int, int], limits: Limits, *, by_gene: bool = False) -> None:
        super().__init__(shape, limits)
        self._data, self._indices = parts["data"], parts["indices"]
        self._by_gene = by_gene
        self._whole: csr_matrix | None = None
        check_numbers(self._data.dtype, "The matrix")
        for part in ("data", "indices", "indptr"):
            check_chunks(parts[part], limits)
        check_declared("The list of row ends", parts["indptr"].shape[0] * 8, limits.array_bytes)
        nnz = int(self._data.shape[0])
        check_declared("The list of values", nnz * (self._data.dtype.itemsize + 4), limits.array_bytes)
        self._indptr = np.asarray(parts["indptr"][:])
        check_pointers(self._indptr, n_lines=shape[1 if by_gene else 0], nnz=nnz, n_indices=self._indices.shape[0])

    def rows(self, start: int, stop: int) -> csr_matrix:
        """Read some cells; of a matrix kept by gene, all cells once."""
        if self._by_gene:
            return self.load()[start:stop]
        return csr_matrix(self._lines(start, stop), shape=(stop - start, self.shape[1]))

    def load(self) -> csr_matrix:
        """Read all cells."""
        if not self._by_gene:
            return self.rows(0, self.shape[0])
        if self._whole is None:
            self._whole = csc_matrix(self._lines(0, self.shape[1]), shape=self.shape).tocsr()
        return self._whole

    def _lines(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        pointers = self._indptr[start : stop + 1].astype(np.int64)
        first, last = int(pointers[0]), int(pointers[-1])
        indices = np.asarray(self._indices[first:last])
        check_indices(indices, line_length=self.shape[0 if self._by_gene else 1])
        wide = np.int32 if last - first < 2**31 else np.int64
        return np.asarray(self._data[first:last]), indices.astype(wide), (pointers - first).astype(wide)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One matrix that may hold the counts.

    Attributes
    ----------
    name
        As `Choices.counts_from` names it.
    genes
        One row per gene, indexed by the gene's name as it stands in the file, shape ``(n_genes, n_columns)``.
    """

    name: str
    values: Matrix
    genes: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that is read of a file.

    Attributes
    ----------
    file_format
        In words, such as ``"AnnData (.h5ad)"``.
    cells
        One row per cell, indexed by the cell's name, shape ``(n_cells, n_columns)``.
    candidates
        Matrices with the same cells, the main one first.
    findings
        What the reader has to say already.
    """

    file_format: str
    cells: pd.DataFrame
    candidates: tuple[Candidate, ...]
    findings: tuple[Finding, ...] = ()


def check_shape(shape: tuple[int, int]) -> None:
    """Refuse a matrix with more cells or genes than any experiment has; code ``"too-large"``."""
    if shape[0] < 0 or shape[1] < 0 or shape[0] > _MOST_CELLS or shape[1] > _MOST_GENES:
        msg = (
            f"The file declares {shape[0]:,} cells and {shape[1]:,} genes; at most {_MOST_CELLS:,} cells and "
            f"{_MOST_GENES:,} genes are read. Check that the file is what you meant to bring."
        )
        raise DatasetError(msg, "too-large")


def check_numbers(dtype: np.dtype[Any], what: str) -> None:
    """Refuse an array that holds no real numbers; code ``"unsafe-dtype"``."""
    if np.dtype(dtype).kind not in "biuf":
        msg = f"{what} should hold numbers, but holds values of type {dtype}. Save the counts as integers or floats."
        raise DatasetError(msg, "unsafe-dtype")


def check_chunks(array: Any, limits: Limits) -> None:
    """Refuse an array whose single chunks would fill the memory; code ``"too-large"``."""
    chunks = getattr(array, "chunks", None)
    if chunks:
        n_values = int(np.prod([int(n) for n in chunks], dtype=object))
        check_declared("One chunk of an array", n_values * np.dtype(array.dtype).itemsize, limits.array_bytes)


def check_column(what: str, array: Any, limits: Limits) -> None:
    """Refuse a column of a table, or its chunks, by its declared size; code ``"too-large"``."""
    n_values = int(np.prod([int(n) for n in array.shape], dtype=object))
    check_declared(what, n_values * max(np.dtype(array.dtype).itemsize, 8), limits.array_bytes)
    check_chunks(array, limits)


def check_pointers(indptr: NDArray[Any], *, n_lines: int, nnz: int, n_indices: int) -> None:
    """Refuse a compressed matrix whose parts contradict each other; code ``"broken-matrix"``."""
    wrong = ""
    if indptr.dtype.kind not in "iu" or len(indptr) != n_lines + 1:
        wrong = f"{len(indptr):,} row ends for {n_lines:,} rows"
    elif n_indices != nnz:
        wrong = f"{nnz:,} values but {n_indices:,} positions"
    elif int(indptr[0]) != 0 or int(indptr[-1]) != nnz:
        wrong = f"row ends from {int(indptr[0]):,} to {int(indptr[-1]):,} for {nnz:,} values"
    elif np.any(indptr[1:] < indptr[:-1]):
        wrong = "row ends that run backwards"
    if wrong:
        msg = f"The sparse matrix is broken: it has {wrong}. Write the file again from where it came."
        raise DatasetError(msg, "broken-matrix")


def check_indices(indices: NDArray[Any], *, line_length: int) -> None:
    """Refuse positions outside the matrix; code ``"broken-matrix"``."""
    if indices.dtype.kind not in "iu" or (indices.size and (indices.min() < 0 or int(indices.max()) >= line_length)):
        msg = (
            f"The sparse matrix is broken: it names positions outside its {line_length:,} columns. "
            "Write the file again from where it came."
        )
        raise DatasetError(msg, "broken-matrix")


def _stack(blocks: Iterator[csr_matrix], limits: Limits) -> csr_matrix:
    kept: list[csr_matrix] = []
    n_bytes = 0
    for block in blocks:
        n_bytes += block.data.nbytes + block.indices.nbytes
        check_declared("The matrix", n_bytes, limits.array_bytes)
        kept.append(block)
    return kept[0] if len(kept) == 1 else vstack(kept, format="csr")
