"""Which cells take part in a comparison: the one denominator of all its tables, figures and titles."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.group_sums import present_groups
from scfm_core.analyses.grouping import ByColumn, ByLabels, Grouping
from scfm_core.analyses.rank_genes import REST
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.request import Context

IN_NO_GROUP = "in no group"


def compared_cells(
    context: Context,
    dataset: Dataset,
    grouping: Grouping,
    *,
    reference: str = REST,
    within: CellSet | None = None,
    columns: Iterable[str] = (),
) -> Grouping:
    """Return a grouping in which exactly the cells of a comparison have a group.

    Where groups are compared with the rest, the rest holds the cells in no group too: they become a group of their
    own, called "in no group". Where groups are compared with a group, those cells take no part.

    Parameters
    ----------
    reference
        ``"rest"``, or the name of a group.
    within
        Only these cells take part; all where None.
    columns
        Only cells that have a value in these columns take part, such as the donor's.

    Returns
    -------
    The same grouping where all its cells take part, and no others.
    """
    names, codes = present_groups(context, dataset, grouping)
    part = np.ones(dataset.n_cells, dtype=bool) if within is None else within.mask
    for column in columns:
        part = part & (present_groups(context, dataset, ByColumn(column))[1] >= 0)
    lost = reference == REST and bool((part & (codes < 0)).any())
    if not lost and part[codes >= 0].all():
        return grouping
    label = _free(IN_NO_GROUP, names)
    known = np.where(codes < 0, len(names) if lost else -1, codes)
    return _labelled(grouping, (*names, label), np.where(part, known, -1))


def words_of(grouping: Grouping) -> str:
    """Say what the groups are: the column, the clusters, the labels."""
    match grouping:
        case ByColumn():
            return grouping.column
        case ByLabels():
            return grouping.name
        case _:
            return "cluster" if hasattr(grouping, "clusters") else "selection"


def _labelled(grouping: Grouping, names: tuple[str, ...], codes: NDArray[np.integer[Any]]) -> ByLabels:
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(names)))
    lookup = np.full(len(names) + 1, -1, dtype="<i2")
    lookup[used] = np.arange(len(used))
    return ByLabels(words_of(grouping), tuple(names[place] for place in used), lookup[codes].tobytes())


def _free(name: str, names: tuple[str, ...]) -> str:
    """Return a name that no group has."""
    while name in names:
        name = f"{name}*"
    return name
