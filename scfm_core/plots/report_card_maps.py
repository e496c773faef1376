"""Small maps of all candidates on equal footing: the same cells, settings, colours and size."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.cell_map import (
    MAP_CAVEAT,
    MAX_DRAWN,
    METHOD_NAMES,
    CellPen,
    check_lengths,
    map_limits,
    read_colours,
    rows_without_nan,
    sample_cells,
)
from scfm_core.plots.figure import NO_VALUE, Axis, Figure, FloatArray, Panel, grouped_number, one_line

MOST_MAPS = 12
_WIDTH_MM = 183.0


def candidate_maps(
    maps: Sequence[tuple[str, FloatArray]], colour: "pd.Series[Any]", *, method: Literal["umap", "tsne"] = "umap"
) -> Figure:
    """Draw one small map per candidate; at most 12.

    Parameters
    ----------
    maps
        Title of each candidate, and the places of the cells, shape ``(n_cells, 2)``; NaN where a cell has none.
    colour
        One value per cell, as in `scfm_core.plots.cell_map.cell_map`.

    Raises
    ------
    RequestError
        If there is no map, or maps and colour have different numbers of cells.
    """
    if not maps:
        msg = "Expected at least one map, found none. Wait for the first one."
        raise RequestError(msg, "no-maps")
    shown = [(title, np.asarray(places, dtype=np.float64).reshape(-1, 2)) for title, places in maps[:MOST_MAPS]]
    n_cells = len(shown[0][1])
    check_lengths(n_cells, colour=colour)
    for _, places in shown[1:]:
        check_lengths(n_cells, places=places)
    colours = read_colours(colour)
    name, columns = METHOD_NAMES[method], _columns(len(shown))
    everywhere = np.ones(n_cells, dtype=bool)
    drawn = sample_cells(everywhere, colours.strata, most=MAX_DRAWN // len(shown))
    n_drawn = int(drawn.sum())
    panels = []
    for title, places in shown:
        placed = rows_without_nan(places)
        pen = CellPen(places, None, len(shown) * n_drawn)
        mine = drawn & placed
        marks = [pen.grey(mine & ~colours.known, NO_VALUE, colours.no_value, n=int((~colours.known).sum()))]
        cells = colours.in_drawing_order(np.flatnonzero(mine & colours.known))
        marks.append(pen.points(cells, colours.of(cells, everywhere)))
        x, y = map_limits(places[placed]) if placed.any() else ((-1.0, 1.0), (-1.0, 1.0))
        side = max(x[1] - x[0], y[1] - y[0]) / 2
        (x0, x1), (y0, y1) = ((sum(axis) / 2 - side, sum(axis) / 2 + side) for axis in (x, y))
        panels.append(
            Panel(
                x=Axis(title="", limits=(x0, x1), ticks=()), y=Axis(title="", limits=(y0, y1), ticks=()),
                marks=tuple(mark for mark in marks if len(mark.x)), title=one_line(title, longest=28),
                equal_aspect=True,
            )
        )  # fmt: skip
    n_rows = -(-len(panels) // columns)
    return Figure(
        panels=tuple(panels),
        columns=columns,
        title=f"{name} of {len(panels)} candidates, coloured by {colours.title or 'group'} "
        f"(n = {grouped_number(n_cells)} cells)",
        caption=_caption(name, n_drawn, n_cells, len(maps) - len(shown)),
        caveat=f"{MAP_CAVEAT.format(method=name)} Judge by the scores: they are taken in the vectors, not on the maps.",
        width_mm=_WIDTH_MM,
        height_mm=float(np.clip(n_rows * (_WIDTH_MM / columns + 4) + 30, 60, 290)),
        legend="below",
        legend_title=colours.legend_title,
    )


def _columns(n_maps: int) -> int:
    if n_maps <= 3:
        return n_maps
    return 2 if n_maps == 4 else 3 if n_maps <= 9 else 4


def _caption(name: str, n_drawn: int, n_cells: int, n_left: int) -> str:
    sentences = [
        f"Each panel is the {name} of one candidate: the same cells, the same settings and seed, the same colours."
    ]
    if n_drawn < n_cells:
        sentences.append(
            f"{grouped_number(n_drawn)} of {grouped_number(n_cells)} cells are drawn, the same ones in each panel."
        )
    if n_left:
        sentences.append(f"{n_left} more candidates are not drawn.")
    return " ".join(sentences)
