"""Cells on two axes, to draw a gate around: each axis a gene, a score or a number of the cell table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.gates import GateAxis, Quadrants
from scfm_core.plots.cell_map import CellPen, drawn_sentence, read_colours, rows_without_nan, sample_cells
from scfm_core.plots.figure import (
    INK,
    MUTED,
    NO_VALUE,
    UNSELECTED,
    Anchor,
    Axis,
    Figure,
    FloatArray,
    Line,
    Mark,
    Note,
    Panel,
    Rule,
    Solid,
    grouped_number,
    log_ticks,
    one_line,
    plain_number,
)

_BLUE = "#0072B2"
_MOST_TOLD = 20_000
_CAVEAT = (
    "That a cell at zero lacks the gene: most counts of a cell are lost, so zero often means not caught, and the more "
    "counts a cell has the less it lies at zero. A gate is a choice; look at the groups it cuts through."
)


def gate_scatter(
    x: GateAxis,
    y: GateAxis,
    colour: "pd.Series | None" = None,
    *,
    selected: NDArray[np.bool_] | None = None,
    parted: tuple[tuple[float, float], Quadrants] | None = None,
    outlines: Sequence[FloatArray] = (),
) -> Figure:
    """Draw each cell by two values, at most 100,000 of them, each category by its share.

    Parameters
    ----------
    colour
        One value per cell as in `scfm_core.plots.cell_map.cell_map`; all in one colour where None.
    selected
        Shape ``(n_cells,)``; the other cells stay as grey points. All where None.
    parted
        The values on both axes at which cells are parted, and the quadrants; their counts stand in the corners.
    outlines
        Corners of what was drawn around cells, in drawn positions, shape ``(n_corners, 2)`` each.

    Raises
    ------
    RequestError
        If the axes have different numbers of cells.
    """
    if len(x.values) != len(y.values):
        msg = f"Expected one value per cell on both axes, found {len(x.values):,} and {len(y.values):,}."
        raise RequestError(msg, "shape-mismatch")
    places = np.column_stack([x.positions, y.positions])
    placed = rows_without_nan(places)
    chosen = placed if selected is None else placed & selected
    marks, legend_title, drawn, sentence = _cells(x, y, places, colour, placed=placed, chosen=chosen)
    room = 0.04 if parted is None else 0.1  # for the words in the corners
    (in_x, on_x), (in_y, on_y) = (_axis(axis, places[placed, side], room) for side, axis in enumerate((x, y)))
    if parted is not None:
        at, found = parted
        marks += [Rule(at=x.line_position(at[0]), axis="x"), Rule(at=y.line_position(at[1]), axis="y")]
        marks += _corners(found, in_x, in_y)
    for corners in outlines:
        closed = np.vstack([corners, corners[:1]])
        marks.append(Line(x=closed[:, 0], y=closed[:, 1], colour=INK, dash="dash", width=1.2))
    n_chosen, n_placed = int(chosen.sum()), int(placed.sum())
    n = ("" if n_chosen == n_placed else f"{grouped_number(n_chosen)} of ") + grouped_number(n_placed)
    return Figure(
        panels=(Panel(x=on_x, y=on_y, marks=tuple(marks)),),
        title=f"{one_line(y.name, longest=40)} over {one_line(x.name, longest=40)}, n = {n} cells",
        caption=_caption(x, y, placed, drawn, sentence),
        caveat=_CAVEAT,
        width_mm=130.0,
        height_mm=110.0,
        legend_title=legend_title,
    )


def _cells(
    x: GateAxis,
    y: GateAxis,
    places: FloatArray,
    colour: "pd.Series | None",
    *,
    placed: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
) -> tuple[list[Mark], str, NDArray[np.bool_], str]:
    """Return the points, what heads their legend, which cells are drawn, and a sentence on their colours."""
    if colour is None:
        drawn = sample_cells(placed, chosen.astype(np.int64))
        pen = CellPen(places, _told(x, y, drawn), int(drawn.sum()))
        grey = pen.grey(drawn & ~chosen, UNSELECTED, "not selected", n=int((placed & ~chosen).sum()))
        both = (grey, pen.points(np.flatnonzero(drawn & chosen), Solid(_BLUE)))
        return [mark for mark in both if len(mark.x)], "", drawn, ""
    colours = read_colours(colour)
    drawn = sample_cells(placed, chosen + 2 * colours.strata)
    pen = CellPen(places, _told(x, y, drawn), int(drawn.sum()))
    known = colours.known
    shown = colours.in_drawing_order(np.flatnonzero(drawn & chosen & known))
    points = [
        pen.grey(drawn & ~chosen, UNSELECTED, "not selected", n=int((placed & ~chosen).sum())),
        pen.grey(drawn & chosen & ~known, NO_VALUE, colours.no_value, n=int((chosen & ~known).sum())),
        pen.points(shown, colours.of(shown, chosen)),
    ]
    return [mark for mark in points if len(mark.x)], colours.legend_title, drawn, colours.sentence()


def _told(x: GateAxis, y: GateAxis, drawn: NDArray[np.bool_]) -> pd.DataFrame | None:
    """Return what is said of a cell under the pointer; nothing where there are very many."""
    if drawn.sum() > _MOST_TOLD:
        return None
    names = [one_line(axis.name, longest=30) for axis in (x, y)]
    return pd.DataFrame({names[0]: x.values, names[1] if names[1] != names[0] else f"{names[1]} ": y.values})


def _axis(axis: GateAxis, positions: FloatArray, room: float) -> tuple[tuple[float, float], Axis]:
    """Return the limits of the positions, and the axis."""
    low, high = (float(positions.min()), float(positions.max())) if len(positions) else (0.0, 1.0)
    margin = room * max(high - low, 0.1)
    limits = (low - margin, high + margin)
    title = one_line(axis.title, longest=80)
    if not axis.log:
        return limits, Axis(title=title, limits=limits, grid=True)
    ends = (10 ** max(limits[0], float(np.log10(axis.smallest)) - 0.1), 10 ** limits[1])
    ticks = [(float(np.log10(value)), name) for value, name in log_ticks(ends)]
    zeros = [(axis.zero_position, "0")] if (axis.values == 0).any() else []
    return limits, Axis(title=f"{title} (log scale)", limits=limits, ticks=(*zeros, *ticks), grid=True)


def _corners(found: Quadrants, in_x: tuple[float, float], in_y: tuple[float, float]) -> list[Mark]:
    """Write the number and the share of the cells into the corner of each quadrant."""
    n_known = max(sum(found.counts), 1)
    notes: list[Mark] = []
    for number, n_cells in enumerate(found.counts):
        right, top = number in (0, 1), number in (0, 2)
        anchor: Anchor = "right" if right else "left"
        text = f"{plain_number(100 * n_cells / n_known)} % (n = {grouped_number(n_cells)})"
        place = (in_x[1] if right else in_x[0], in_y[1] if top else in_y[0])
        shift = (-4.0 if right else 4.0, -10.0 if top else 10.0)
        notes.append(Note(x=place[0], y=place[1], text=text, anchor=anchor, shift=shift, colour=MUTED, backed=True))
    return notes


def _caption(
    x: GateAxis, y: GateAxis, placed: NDArray[np.bool_], drawn: NDArray[np.bool_], sentence: str
) -> str:
    n_missing = int((~placed).sum())
    spread = [one_line(axis.name, longest=40) for axis in (x, y) if axis.whole or (axis.values == 0).any()]
    words = [
        "Each point is one cell.",
        f"Equal values of {' and of '.join(dict.fromkeys(spread))} are spread a little, always the same way, so that "
        "cells do not lie on each other; a drawing around cells goes by the places drawn, ranges and quadrants by the "
        "exact values." if spread else "",
        sentence,
        drawn_sentence(int(drawn.sum()), int(placed.sum())),
        f"Cells without a value on an axis, not drawn: {grouped_number(n_missing)}." if n_missing else "",
    ]  # fmt: skip
    return " ".join(word for word in words if word)
