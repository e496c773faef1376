"""Cells sorted into the groups that a figure shows, with their names, colours and numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.plots.colours import MAX_CATEGORIES, OTHER, category_colours, natural_order
from scfm_core.plots.figure import NO_VALUE, grouped_number, one_line


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """Which group each cell belongs to.

    Attributes
    ----------
    codes
        Place of the cell's group in ``labels``, -1 where it has none, shape ``(n_cells,)``.
    labels, colours
        One per group, in the order of the legend, also for groups without a cell.
    title
        What the groups are; may be empty.
    n_merged
        Number of small groups that stand together as "other".
    """

    codes: NDArray[np.int64]
    labels: tuple[str, ...]
    colours: tuple[str, ...]
    title: str
    n_merged: int = 0

    def counts(self, cells: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Count the cells of each group, among all or among those where ``cells`` is true, shape ``(n_groups,)``."""
        codes = self.codes if cells is None else self.codes[cells]
        return np.bincount(codes[codes >= 0], minlength=len(self.labels))

    def present(self) -> list[int]:
        """Return the places of the groups that have a cell."""
        return [int(place) for place in np.flatnonzero(self.counts())]

    def merged_sentence(self) -> str:
        """Say what stands as "other"; empty where nothing does."""
        if not self.n_merged:
            return ""
        return f"The {grouped_number(self.n_merged)} smallest groups stand together as {OTHER!r}."


def group_cells(values: "pd.Series[Any] | NDArray[Any]") -> Groups:
    """Sort cells into groups by their value.

    Groups stand in natural order of their names, those of an ordered categorical in its order. "", missing values and
    negative cluster numbers are no group. Of more than 30 groups the 29 largest stay and the others become "other".

    Parameters
    ----------
    values
        One per cell, shape ``(n_cells,)``. A categorical's unused categories count for the colours.
    """
    series = values if isinstance(values, pd.Series) else pd.Series(values)
    names, codes = named_groups(series)
    if len(names) <= MAX_CATEGORIES:
        colours = category_colours(names)
        shown = tuple(one_line(name, longest=40) for name in names)
        return Groups(codes=codes, labels=shown, colours=tuple(colours[name] for name in names), title=_title(series))
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    kept = np.sort(np.argsort(-sizes, kind="stable")[: MAX_CATEGORIES - 1])
    places = np.full(len(names) + 1, len(kept))  # the last one stands for code -1
    places[kept], places[-1] = np.arange(len(kept)), -1
    colours = category_colours(names[place] for place in kept)
    return Groups(
        codes=places[codes],
        labels=(*(one_line(names[place], longest=40) for place in kept), OTHER),
        colours=(*(colours[names[place]] for place in kept), NO_VALUE),
        title=_title(series),
        n_merged=len(names) - len(kept),
    )


def _title(series: "pd.Series[Any]") -> str:
    return "" if series.name is None else one_line(series.name)


def named_groups(series: "pd.Series[Any]") -> tuple[list[str], NDArray[np.int64]]:
    """Return the sorted names of the groups and the place of each cell's group among them, -1 for none."""
    if pd.api.types.is_integer_dtype(series.dtype):
        series = series.mask(series < 0)
        series = series.astype("Int64")
    category = series.astype("category").cat
    names = [str(name) for name in category.categories]
    ordered = category.ordered and len(set(names)) == len(names)
    order = list(dict.fromkeys(names)) if ordered else sorted(set(names), key=natural_order)
    order = [name for name in order if name]
    place = {name: number for number, name in enumerate(order)}
    lookup = np.array([*(place.get(name, -1) for name in names), -1], dtype=np.int64)
    return order, lookup[category.codes.to_numpy()]
