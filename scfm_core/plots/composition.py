"""What some cells are made of: the share of each group beside that among other cells, with the range over donors."""

from typing import Literal

import numpy as np
import pandas as pd

from scfm_core.analyses.compose_cells import NO_GROUP, Composition
from scfm_core.errors import RequestError
from scfm_core.plots.colours import CYCLE
from scfm_core.plots.figure import (
    INK,
    NO_VALUE,
    Axis,
    Bars,
    Figure,
    FloatArray,
    Mark,
    Panel,
    Points,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)

MOST_GROUPS = 25
CHOSEN, OTHERS = CYCLE[0], CYCLE[1]  # blue, orange: told apart by every eye
_HALF = 0.2
_CAVEAT = (
    "Cells are no replicates: a share among selected cells says what was selected, and not how often a group occurs in "
    "people or tissues."
)


def composition_bars(found: Composition, chosen: str, others: str, *, column: str) -> Figure:
    """Draw two bars for each group: its share of the chosen cells and of those beside them; at most 25 groups.

    Where donors are known, a line spans the smallest and the largest share over donors, and a dot is one donor.

    Parameters
    ----------
    chosen, others
        How the two sets of cells are called.
    column
        What the groups are.

    Raises
    ------
    RequestError
        If there is no group.
    """
    if found.table.empty:
        msg = "Expected at least one group of cells, found none. Choose another column."
        raise RequestError(msg, "no-groups")
    order = found.table["n_in"].sort_values(ascending=False, kind="stable").index[:MOST_GROUPS]
    shown = found.table.loc[sorted(order)].reset_index(drop=True)
    marks: list[Mark] = []
    for side, name, colour, shift in (("in", chosen, CHOSEN, -_HALF), ("out", others, OTHERS, _HALF)):
        marks.append(_bars(found, shown, side, name=name, look=(colour, shift)))
    marks.extend(_donors(found, shown))
    ticks = tuple((float(place), one_line(name, longest=32)) for place, name in enumerate(shown["group"]))
    reach = max([100 * float(np.nanmax(shown[["share_in", "share_out"]].to_numpy())), *[_end(mark) for mark in marks]])
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Share of the cells (%)", limits=(0.0, 1.04 * float(np.nan_to_num(reach))), grid=True),
                y=Axis(title=one_line(column, longest=32), limits=(len(ticks) - 0.4, -0.6), ticks=ticks),
                marks=tuple(marks),
            ),
        ),
        title=_title(found.table, chosen, others),
        caption=_caption(found, len(found.table) - len(shown)),
        caveat=_CAVEAT,
        width_mm=150.0,
        height_mm=float(np.clip(34 + 9 * len(ticks), 60, 250)),
        legend="below",
    )


def _bars(found: Composition, shown: pd.DataFrame, side: str, *, name: str, look: tuple[str, float]) -> Bars:
    colour, shift = look
    value = 100 * shown[f"share_{side}"].to_numpy(dtype=np.float64)
    low, high = (value, value)
    if len(found.donors):
        ranges = found.range_over_donors().loc[shown["group"].tolist()]
        low, high = (100 * ranges[f"{end}_{side}"].to_numpy(dtype=np.float64) for end in ("low", "high"))
    total = found.table[f"n_{side}"].sum()
    words = tuple(
        f"{one_line(group)}\n{grouped_number(n)} of {grouped_number(total)} cells, {plain_number(share)} %"
        for group, n, share in zip(shown["group"], shown[f"n_{side}"], value, strict=True)
    )
    return Bars(
        at=np.arange(len(shown)) + shift,
        value=value,
        low=np.minimum(low, value) if len(found.donors) else np.full(len(value), np.nan),
        high=np.maximum(high, value) if len(found.donors) else np.full(len(value), np.nan),
        colours=(colour,) * len(shown),
        thickness=1.8 * _HALF,
        label=f"{one_line(name, longest=40)} (n = {grouped_number(total)})",
        hover=words,
    )


def _donors(found: Composition, shown: pd.DataFrame) -> list[Mark]:
    """Return one dot for each donor that has cells on a side."""
    if found.donors.empty:
        return []
    place = {name: number for number, name in enumerate(shown["group"])}
    rows = found.donors[found.donors["group"].isin(place)]
    marks: list[Mark] = []
    for side, shift in (("in", -_HALF), ("out", _HALF)):
        known = rows[rows[f"share_{side}"].notna()]
        words = tuple(
            f"{one_line(row['donor'])}: {plain_number(100 * row[f'share_{side}'])} %\n"
            f"{grouped_number(row[f'n_{side}'])} of {grouped_number(row[f'n_donor_{side}'])} cells"
            for _, row in known.iterrows()
        )
        marks.append(
            Points(
                x=100 * known[f"share_{side}"].to_numpy(dtype=np.float64),
                y=known["group"].map(place).to_numpy(dtype=np.float64) + shift,
                colour=Solid(NO_VALUE),
                outline=INK,
                size=5.0,
                hover=words,
                label="one donor" if side == "in" else "",
            )
        )
    return marks


def _end(mark: Mark) -> float:
    ends: FloatArray = np.asarray(mark.high if isinstance(mark, Bars) else np.empty(0), dtype=np.float64)
    return float(np.nanmax(ends)) if np.isfinite(ends).any() else 0.0


def _title(table: pd.DataFrame, chosen: str, others: str) -> str:
    named = np.where(table["group"].astype(str).str.startswith(NO_GROUP), 0, table["n_in"])
    first = table.iloc[int(named.argmax())]
    if not named.any():
        total = table["n_in"].sum()
        return f"No cell of {one_line(chosen, longest=30)} is in a group (n = {grouped_number(total)} cells)"
    n_in, n_out = (grouped_number(table[name].sum()) for name in ("n_in", "n_out"))
    beside = f", {plain_number(100 * first['share_out'])} % of {one_line(others, longest=30)}" if n_out != "0" else ""
    return (
        f"{one_line(first['group'], longest=30)} makes up {plain_number(100 * first['share_in'])} % of "
        f"{one_line(chosen, longest=30)}{beside} (n = {n_in} and {n_out} cells)"
    )


def _caption(found: Composition, n_left_out: int) -> str:
    words = "Each pair of bars is one group: its share of the selected cells, and of the cells beside them."
    if len(found.donors):
        counts = [_donors_with_cells(found, side) for side in ("in", "out")]
        words += (
            f" A dot is the share in one donor, a line spans all donors (of {counts[0]} with cells in the selection, "
            f"{counts[1]} beside it)."
        )
    return words + (f" The {MOST_GROUPS} groups with the most selected cells; {n_left_out} more in the table."
                    if n_left_out else "")  # fmt: skip


def _donors_with_cells(found: Composition, side: Literal["in", "out"]) -> int:
    return int(found.donors.loc[found.donors[f"n_donor_{side}"] > 0, "donor"].nunique())
