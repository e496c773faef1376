"""Genes in each donor: what stands behind a test between donors, one point per donor and side."""

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.figure import INK, MUTED, Axis, Figure, Line, Mark, Panel, Points, Solid, one_line, plain_number

MAX_GENES = 24
_IN, _OUT = "#D55E00", "#0072B2"
_CAVEAT = (
    "Each point is a sum over cells of one donor; how its cells differ among each other is not shown. Few donors tell "
    "little about donors in general."
)


def donor_strips(values: pd.DataFrame, *, inside: str, outside: str, columns: int = 4, notes: str = "") -> Figure:
    """Draw a small panel per gene: each donor's counts on the two sides, joined where it has both.

    Parameters
    ----------
    values
        One row per gene and sample: ``symbol``, ``donor``, ``side`` ("in" or "out"), ``log2_counts`` (of the counts
        scaled by size factor, 1 added). At most 24 genes, in the order of the rows.
    inside, outside
        What the two sides are called.
    notes
        A sentence that the caption ends with.

    Raises
    ------
    RequestError
        If there is no gene, or there are more than 24.
    """
    symbols = list(dict.fromkeys(values["symbol"]))
    if not 1 <= len(symbols) <= MAX_GENES:
        msg = f"Expected 1 to {MAX_GENES} genes in a figure, found {len(symbols)}. Draw them in several figures."
        raise RequestError(msg, "too-many-genes")
    donors = values.groupby("side")["donor"].nunique()
    n_out, n_in = (int(donors.get(side, 0)) for side in ("out", "in"))
    names = (one_line(outside, longest=16), one_line(inside, longest=16))
    panels = tuple(_panel(str(symbol), rows, names) for symbol, rows in values.groupby("symbol", sort=False))
    n_rows = -(-len(panels) // columns)
    words = "1 gene" if len(symbols) == 1 else f"{len(symbols)} genes"
    return Figure(
        panels=panels,
        columns=min(columns, len(panels)),
        title=f"{words} in n = {values['donor'].nunique()} donors: {one_line(inside, longest=40)} (n = {n_in}) against "
        f"{one_line(outside, longest=40)} (n = {n_out})",
        caption="Each point is one donor's cells on one side, added up: log2 of the counts scaled to equal depth, 1 "
        f"added. Lines join the two sides of a donor. {notes}".strip(),
        caveat=_CAVEAT,
        width_mm=183.0 if len(panels) > 1 else 89.0,
        height_mm=18.0 + 42.0 * n_rows,
    )


def _panel(symbol: str, rows: pd.DataFrame, names: tuple[str, ...]) -> Panel:
    marks: list[Mark] = []
    for _, mine in rows.groupby("donor"):
        if mine["side"].nunique() == 2:
            ends = mine.sort_values("side", ascending=False)  # "out" comes first
            y = ends["log2_counts"].to_numpy(dtype=np.float64)
            marks.append(Line(x=np.array([0.0, 1.0]), y=y, colour=MUTED, width=1.0))
    for at, side, colour in ((0.0, "out", _OUT), (1.0, "in", _IN)):
        mine = rows[rows["side"] == side]
        y = mine["log2_counts"].to_numpy(dtype=np.float64)
        words = tuple(
            f"{one_line(donor)}\n{plain_number(value)}" for donor, value in zip(mine["donor"], y, strict=True)
        )
        marks.append(Points(x=np.full(len(y), at), y=y, colour=Solid(colour), size=8.0, outline=INK, hover=words))
    low, high = float(rows["log2_counts"].min()), float(rows["log2_counts"].max())
    edge = 0.1 * max(high - low, 1.0)
    name = one_line(symbol, longest=20)
    return Panel(
        x=Axis(title="", limits=(-0.6, 1.6), ticks=((0.0, names[0]), (1.0, names[1]))),
        y=Axis(title=f"{name}\nScaled counts (log2)", limits=(low - edge, high + edge), grid=True),
        marks=tuple(marks),
    )
