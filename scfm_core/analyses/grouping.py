"""Which group each cell belongs to, as a value that stands inside a question."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context


@dataclass(frozen=True)
class ByColumn:
    """A group for each value in a column of the cell table; a cell without a value is in none."""

    column: str


@dataclass(frozen=True)
class ByClusters:
    """A group for each cluster, named by its number; a cell without a vector is in none."""

    clusters: ClusterCells


@dataclass(frozen=True)
class BySelections:
    """A group for each of some sets of cells, named by its label; all other cells are in none."""

    selections: tuple[CellSet, ...]


@dataclass(frozen=True)
class ByLabels:
    """A group for each of some labels that are no column of the file, such as those that a person gave.

    Attributes
    ----------
    name
        What the labels are, as the name of a column.
    labels
        The groups, each with a name of its own.
    codes
        Position in ``labels`` for each cell of the dataset as signed little-endian int16; -1 for a cell in no group.

    Raises
    ------
    RequestError
        If a label is empty or stands twice, or a code is no position in ``labels``.

    Examples
    --------
    >>> ByLabels.from_series(pd.Series(["B", None, "T"], name="mine"))
    ByLabels('mine', 2 labels, 3 cells)
    """

    name: str
    labels: tuple[str, ...]
    codes: bytes

    def __post_init__(self) -> None:
        if len(set(self.labels)) < len(self.labels) or not all(self.labels):
            msg = f"Each label needs a name of its own, found {', '.join(map(repr, self.labels[:12]))}. Rename them."
            raise RequestError(msg, "same-names")
        positions = self.positions if len(self.codes) % 2 == 0 else np.array([-2])
        if positions.size and not -1 <= positions.min() <= positions.max() < max(len(self.labels), 1):
            msg = f"Expected codes from -1 to {len(self.labels) - 1} as int16, found others. Make the labels anew."
            raise RequestError(msg, "bad-labels")

    @classmethod
    def from_series(cls, labels: "pd.Series[Any]") -> "ByLabels":
        """Return the labels of a series, one value per cell in the order of the dataset; missing values are none."""
        names, codes = _named_codes(labels)
        if len(names) > np.iinfo(np.int16).max:
            msg = f"Expected at most {np.iinfo(np.int16).max:,} labels, found {len(names):,}. Choose another column."
            raise RequestError(msg, "too-many-groups")
        return cls(str(labels.name), names, codes.astype("<i2").tobytes())

    @property
    def positions(self) -> NDArray[np.int16]:
        """Position in ``labels`` of each cell, -1 for none, shape ``(n_cells,)``."""
        return np.frombuffer(self.codes, dtype="<i2")

    def __repr__(self) -> str:
        return f"ByLabels({self.name!r}, {len(self.labels)} labels, {len(self.codes) // 2} cells)"


Grouping = ByColumn | ByClusters | BySelections | ByLabels


def group_labels(context: Context, dataset: Dataset, grouping: Grouping) -> NDArray[np.str_]:
    """Return the name of each cell's group, shape ``(n_cells,)``; empty for a cell in no group.

    Raises
    ------
    RequestError
        If the grouping does not belong to this dataset, or two of its groups share a cell or a name.
    """
    names, codes = group_codes(context, dataset, grouping)
    labels: NDArray[np.str_] = np.array([*names, ""], dtype=np.str_)[codes]
    return labels


def group_codes(
    context: Context, dataset: Dataset, grouping: Grouping
) -> tuple[tuple[str, ...], NDArray[np.integer[Any]]]:
    """Return the names of the groups that can be told apart, and the place among them of each cell's group.

    The places have shape ``(n_cells,)``, -1 for a cell in no group; a million of them is a hundredth of a second's
    work, where as many names are a second's. See `group_labels` for the errors.
    """
    match grouping:
        case ByColumn():
            return _codes_of_column(dataset, grouping.column)
        case ByClusters():
            if grouping.clusters.embedding.dataset.identity != dataset.identity:
                msg = "The clusters were made from another dataset. Cluster the cells of this dataset first."
                raise RequestError(msg, "other-dataset")
            labels = np.asarray(context.compute(grouping.clusters).labels)
            return tuple(map(str, range(int(labels.max(initial=-1)) + 1))), np.maximum(labels, -1)
        case BySelections():
            return _codes_of_selections(dataset, grouping.selections)
        case ByLabels():
            if len(grouping.codes) != 2 * dataset.n_cells:
                msg = (
                    f"The labels {grouping.name!r} were given to {len(grouping.codes) // 2:,} cells, but this dataset "
                    f"has {dataset.n_cells:,}. Take the labels of this dataset."
                )
                raise RequestError(msg, "other-dataset")
            return grouping.labels, grouping.positions


def in_reading_order(names: Iterable[str]) -> list[str]:
    """Sort names as a reader expects them, numbers inside them by value.

    Examples
    --------
    >>> in_reading_order(["10", "B cells", "2", "b10", "b9"])
    ['2', '10', 'b9', 'b10', 'B cells']
    """
    return sorted(names, key=_reading_key)


def _reading_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    pieces = re.findall(r"\d+|\D+", name.casefold())
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces], name


def _codes_of_column(dataset: Dataset, column: str) -> tuple[tuple[str, ...], NDArray[np.integer[Any]]]:
    if column not in dataset.cell_columns:
        msg = f"The cell table has no column {column!r}. Its columns: {', '.join(dataset.cell_columns) or 'none'}."
        raise RequestError(msg, "unknown-column")
    return _named_codes(dataset.cell_column(column))


def _named_codes(values: "pd.Series[Any]") -> tuple[tuple[str, ...], NDArray[np.integer[Any]]]:
    """Return the values as names in reading order, and the place of each; -1 for a missing or an empty value."""
    codes, found = pd.factorize(values)
    names = [str(value) for value in pd.Series(found).astype(object)]
    order = in_reading_order({name for name in names if name})
    place = {"": -1} | {name: position for position, name in enumerate(order)}
    places = np.array([*map(place.__getitem__, names), -1], dtype=np.int32)  # the last for a missing value
    return tuple(order), places[codes]


def _codes_of_selections(
    dataset: Dataset, selections: tuple[CellSet, ...]
) -> tuple[tuple[str, ...], NDArray[np.integer[Any]]]:
    names = [selection.label for selection in selections]
    if len(set(names)) < len(names) or not all(names):
        msg = f"Each selection needs a name of its own, found {', '.join(map(repr, names))}. Rename them."
        raise RequestError(msg, "same-names")
    codes = np.full(dataset.n_cells, -1, dtype=np.int32)
    for number, selection in enumerate(selections):
        if selection.n_cells != dataset.n_cells:
            msg = (
                f"The selection {selection.label!r} was made among {selection.n_cells:,} cells, but this dataset has "
                f"{dataset.n_cells:,}. Select the cells again."
            )
            raise RequestError(msg, "other-dataset")
        shared = (codes >= 0) & selection.mask
        if shared.any():
            other = names[codes[shared][0]]
            msg = (
                f"{int(shared.sum()):,} cells are in {selection.label!r} and in another selection ({other!r}). "
                "A cell cannot stand on both sides of a comparison: make selections that share no cell."
            )
            raise RequestError(msg, "shared-cells")
        codes[selection.mask] = number
    return tuple(names), codes
