"""What the ways of naming groups of cells have in common: the table of names, and names as one label per cell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.grouping import in_reading_order
from scfm_core.errors import RequestError

UNKNOWN = "unknown"
GROUP_COLUMNS = (
    "group", "n_cells", "name", "confidence", "runner_up", "runner_up_confidence", "evidence", "reason",
)  # fmt: skip


def groups_of(labels: NDArray[np.str_]) -> dict[str, int]:
    """Return the number of cells of each group in reading order; raises `RequestError` where there is none."""
    names, counts = np.unique(labels[labels != ""], return_counts=True)
    if len(names) == 0:
        msg = f"Expected groups of cells to name, found none among {len(labels):,} cells. Choose another column."
        raise RequestError(msg, "no-groups")
    sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return {name: sizes[name] for name in in_reading_order(sizes)}


def group_table(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Return one row per group: the columns of `GROUP_COLUMNS`, then what else the rows hold."""
    more = [name for name in (rows[0] if rows else {}) if name not in GROUP_COLUMNS]
    return pd.DataFrame(list(rows), columns=[*GROUP_COLUMNS, *more])


def names_of_cells(labels: NDArray[np.str_], groups: pd.DataFrame) -> NDArray[np.str_]:
    """Return the name of each cell's group, shape ``(n_cells,)``; empty for a cell in no group.

    Examples
    --------
    >>> table = pd.DataFrame({"group": ["1"], "name": ["B cell"]})
    >>> names_of_cells(np.array(["1", "", "1"]), table).tolist()
    ['B cell', '', 'B cell']
    """
    names = dict(zip(groups["group"], groups["name"], strict=True))
    return np.array([names.get(label, "") for label in labels.tolist()], dtype=np.str_)


def share_words(share: float) -> str:
    """Write a share as whole per cent.

    Examples
    --------
    >>> share_words(0.873), share_words(0.004)
    ('87 %', '0.4 %')
    """
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 1 or percent == 0 else f"{percent:.1g} %"
