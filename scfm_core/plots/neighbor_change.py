"""Which groups' cells a group gains or loses as neighbours from one embedding to another."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    Axis,
    Continuous,
    Figure,
    HeatMap,
    Panel,
    grouped_number,
    one_line,
    plain_number,
)

MAX_GROUPS = 30
_MANY = 50
_NO_GROUP = "not assigned"
_CAVEAT = (
    "A gain is no proof of kinship: neighbours sum up to 100 % in each row, so that what one group gains others lose, "
    "and large groups gain more easily. Cells are no replicates; no test is made."
)


def neighbor_change(table: pd.DataFrame, *, first: str, second: str, column: str) -> Figure:
    """Draw the change of neighbourhoods as a matrix: rows are the cells' groups, columns those of their neighbours.

    Parameters
    ----------
    table
        From `scfm_core.analyses.neighbor_tables.neighbor_composition`.
    first, second, column
        What the embeddings, and the column of the groups, are called.

    Raises
    ------
    RequestError
        If no group holds a compared cell.
    """
    if table.empty:
        msg = "Expected at least one group with a compared cell, found none. Choose another column."
        raise RequestError(msg, "no-groups")
    sizes = table.groupby("group", sort=False)["n_cells"].first()
    groups = _largest(sizes)
    shares = table.set_index(["group", "neighbor"])
    neighbors = [name for name in dict.fromkeys(table["neighbor"]) if name in groups or not name]
    change = 100 * shares["change"].unstack("neighbor").loc[groups, neighbors].to_numpy(dtype=np.float64)
    reach = max(float(np.abs(change).max(initial=0.0)), 1.0)
    hover = tuple(tuple(_words(shares.loc[(group, other)], group, other) for other in neighbors) for group in groups)
    n_rows, n_columns = change.shape
    title = f"Change of the share of neighbours (percentage points), {one_line(second, longest=24)} minus "
    colour = Continuous(
        values=change, scale="signed", limits=(-reach, reach), title=title + one_line(first, longest=24)
    )
    what = one_line(column, longest=30)
    return Figure(
        panels=(
            Panel(
                x=Axis(
                    title=f"{what} of the neighbours",
                    limits=(-0.5, n_columns - 0.5),
                    ticks=tuple((float(at), _name(name)) for at, name in enumerate(neighbors)),
                ),
                y=Axis(
                    title=f"{what} of the cells",
                    limits=(n_rows - 0.5, -0.5),
                    ticks=tuple(
                        (float(at), f"{_name(name)} (n = {grouped_number(sizes[name])})")
                        for at, name in enumerate(groups)
                    ),
                ),
                marks=(HeatMap(colour=colour, hover=hover),),
            ),
        ),
        title=_title(change, groups, neighbors, sizes),
        caption=_caption(what, len(sizes) - len(groups), first, second),
        caveat=_CAVEAT,
        width_mm=float(np.clip(80 + 7 * n_columns, 120, 183)),
        height_mm=float(np.clip(48 + 6 * n_rows, 80, 200)),
    )


def _largest(sizes: "pd.Series[Any]") -> list[str]:
    largest = sizes.to_numpy().argsort(kind="stable")[::-1][:MAX_GROUPS]
    return [str(sizes.index[place]) for place in np.sort(largest)]


def _name(name: str) -> str:
    return one_line(name, longest=20) if name else _NO_GROUP


def _words(row: "pd.Series[Any]", group: str, other: str) -> str:
    before, after = (plain_number(100 * row[name]) for name in ("share_first", "share_second"))
    return (
        f"neighbours of {_name(group)} that are {_name(other)}\n{before} % in the first, {after} % in the second\n"
        f"n = {grouped_number(row['n_cells'])} cells"
    )


def _title(change: Any, groups: list[str], neighbors: list[str], sizes: "pd.Series[Any]") -> str:
    """Name the largest change, of groups with at least 50 cells where there are any: few change much by chance."""
    n_cells = np.array([int(sizes[group]) for group in groups])
    told = np.abs(change) * (n_cells >= min(_MANY, n_cells.max()))[:, None]
    row, column = np.unravel_index(int(told.argmax()), change.shape)
    largest = float(change[row, column])
    n = f"n = {grouped_number(n_cells[row])} of {grouped_number(sizes.sum())} cells"
    if abs(largest) < 1:
        return f"No neighbourhood changes by one percentage point or more (n = {grouped_number(sizes.sum())} cells)"
    verb = "gain" if largest > 0 else "lose"
    what = "of their own" if groups[row] == neighbors[column] else f"among {_name(neighbors[column])}"
    return (
        f"The largest change: cells of {_name(groups[row])} {verb} {plain_number(abs(largest))} percentage points of "
        f"neighbours {what} ({n})"
    )


def _caption(what: str, n_left_out: int, first: str, second: str) -> str:
    sentences = [
        f"Each row holds the cells of one {what}; its colours say which neighbours they have more (red) or fewer (blue)"
        f" of in {one_line(second, longest=40)} than in {one_line(first, longest=40)}; each row sums up to 0.",
        f"The {n_left_out} groups with fewest cells are not drawn; the table holds them." if n_left_out else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)
