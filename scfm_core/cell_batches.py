"""The batch of each cell, read from a column of the cell table; refuses what no batch correction can use."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError

_FEWEST_CELLS_PER_BATCH = 2  # on average; below, a column names cells, not batches
_SHOWN = 6


@dataclass(frozen=True)
class CellBatches:
    """Which batch each cell belongs to.

    Attributes
    ----------
    column
        Of the cell table.
    codes
        Position of each cell's batch in ``names``, shape ``(n_cells,)``.
    names
        The batches that occur, in alphabetical order; at least two.
    """

    column: str
    codes: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def labels(self) -> NDArray[np.str_]:
        """Name of each cell's batch, shape ``(n_cells,)``."""
        return np.array(self.names)[self.codes]

    def __str__(self) -> str:
        return f"{len(self.names):,} batches of {self.column!r}"


def read_batches(dataset: Dataset, column: str, *, needed_by: str) -> CellBatches:
    """Return the batch of each cell.

    Parameters
    ----------
    column
        Empty where neither the dataset nor a person named one.
    needed_by
        Title of the model that corrects for batches, for the message.

    Raises
    ------
    RequestError
        If there is no such column (code "no-batch-column"), it holds one value ("one-batch"), a cell has none
        ("cells-without-batch"), or nearly each cell has its own ("too-many-batches").
    """
    if not column or column not in dataset.cell_columns:
        raise RequestError(_no_column(dataset, column, needed_by), "no-batch-column")
    values = dataset.cell_column(column)
    n_missing = int(values.isna().sum())
    if n_missing:
        msg = (
            f"{needed_by} needs the batch of every cell; {n_missing:,} of {len(values):,} cells have none in "
            f"{column!r}. Choose another column, or keep only the cells that have a batch."
        )
        raise RequestError(msg, "cells-without-batch")
    names, codes = np.unique(values.astype(str).to_numpy(dtype=np.str_), return_inverse=True)
    if len(names) < 2:
        msg = (
            f"{needed_by} removes differences between batches, so it needs at least two; the column {column!r} holds "
            f"one, {str(names[0])!r}. Choose another batch column, or a model that needs none, such as PCA."
        )
        raise RequestError(msg, "one-batch")
    if len(names) * _FEWEST_CELLS_PER_BATCH > len(values):
        msg = (
            f"The column {column!r} holds {len(names):,} values for {len(values):,} cells, so nearly each cell would "
            f"be a batch of its own. Choose the column that names the batches for {needed_by}."
        )
        raise RequestError(msg, "too-many-batches")
    return CellBatches(column, codes.astype(np.int64), tuple(map(str, names)))


def _no_column(dataset: Dataset, column: str, needed_by: str) -> str:
    columns = list(dataset.cell_columns)
    shown = ", ".join(columns[:_SHOWN]) + (" and more" if len(columns) > _SHOWN else "")
    there = f"Its columns: {shown}." if columns else "Its cell table has no columns at all."
    if column:
        return f"{needed_by} was to correct for the column {column!r}, which this dataset does not have. {there}"
    todo = "Name the column with --batch or on the Embedding page, " if columns else ""
    return (
        f"{needed_by} removes differences between batches, but no column of this dataset is known to hold its batches. "
        f"{there} {todo}{'or' if todo else 'Add the file with such a column, or'} choose a model that needs none, such "
        "as PCA."
    )


def batch_column(dataset: Dataset, named: str = "") -> str:
    """Return the column that a person named, else the one known to hold the dataset's batches, else nothing."""
    roles: dict[Any, str] = dict(dataset.roles) if not named else {}
    return named or roles.get("batch", "")
