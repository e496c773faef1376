"""A set of cells as a plain value, small enough to stand inside a question."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class CellSet:
    """Some cells of one dataset, with the words that name them.

    Attributes
    ----------
    label
        How figures and tables call these cells.
    bits
        One bit per cell of the dataset, packed little-endian.
    n_cells
        Number of cells of the dataset, not of the set.
    """

    label: str
    bits: bytes
    n_cells: int

    @classmethod
    def from_mask(cls, label: str, mask: NDArray[np.bool_]) -> "CellSet":
        """Return the cells where ``mask``, shape ``(n_cells,)``, is true."""
        return cls(label=label, bits=np.packbits(mask, bitorder="little").tobytes(), n_cells=len(mask))

    @classmethod
    def from_positions(cls, label: str, positions: Iterable[int], n_cells: int) -> "CellSet":
        """Return the cells at some positions of the dataset."""
        mask = np.zeros(n_cells, dtype=bool)
        mask[list(positions)] = True
        return cls.from_mask(label, mask)

    @classmethod
    def where(cls, dataset: Dataset, column: str, value: str) -> "CellSet":
        """Return the cells whose entry in a column of the cell table reads ``value``."""
        cells = dataset.cells()
        if column not in cells:
            msg = f"The cell table has no column {column!r}. Its columns: {', '.join(cells.columns) or 'none'}."
            raise RequestError(msg, "unknown-column")
        mask = (cells[column].astype(str) == value).to_numpy()
        if not mask.any():
            found = ", ".join(map(repr, cells[column].astype(str).unique()[:12]))
            msg = f"No cell has {value!r} in column {column!r}. It holds: {found}."
            raise RequestError(msg, "no-cells")
        return cls.from_mask(value, mask)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where a cell belongs to the set, shape ``(n_cells,)``."""
        bits = np.frombuffer(self.bits, dtype=np.uint8)
        return np.unpackbits(bits, count=self.n_cells, bitorder="little").astype(bool)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Positions of the cells in the dataset, ascending, shape ``(len(self),)``."""
        return np.flatnonzero(self.mask)

    def __or__(self, other: "CellSet") -> "CellSet":
        """Return the cells that are in one or in both."""
        return self.from_mask(f"{self.label} or {other.label}", self.mask | self._fitting(other))

    def __and__(self, other: "CellSet") -> "CellSet":
        """Return the cells that are in both."""
        return self.from_mask(f"{self.label} and {other.label}", self.mask & self._fitting(other))

    def __sub__(self, other: "CellSet") -> "CellSet":
        """Return the cells that are not in the other."""
        return self.from_mask(f"{self.label} without {other.label}", self.mask & ~self._fitting(other))

    def __invert__(self) -> "CellSet":
        """Return all other cells of the dataset."""
        return self.from_mask(f"all but {self.label}", ~self.mask)

    def grown(self, codes: NDArray[np.integer[Any]], column: str) -> "CellSet":
        """Return all cells of the groups that hold one of these cells, and these cells.

        Parameters
        ----------
        codes
            Number of each cell's group, -1 for none, shape ``(n_cells,)``.
        column
            What the groups are.
        """
        touched = np.unique(codes[self.mask])
        mask = self.mask | np.isin(codes, touched[touched >= 0])
        return self.from_mask(f"whole groups of {column} around {self.label}", mask)

    def called(self, label: str) -> "CellSet":
        """Return the same cells under another name."""
        return CellSet(label=label, bits=self.bits, n_cells=self.n_cells)

    def _fitting(self, other: "CellSet") -> NDArray[np.bool_]:
        if other.n_cells != self.n_cells:
            msg = f"Expected cells of one dataset, found sets among {self.n_cells:,} and {other.n_cells:,} cells."
            raise RequestError(msg, "other-dataset")
        return other.mask

    def __len__(self) -> int:
        return int(self.mask.sum())

    def __repr__(self) -> str:
        return f"CellSet({self.label!r}, {len(self)} of {self.n_cells} cells)"
