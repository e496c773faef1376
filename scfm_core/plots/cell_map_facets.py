"""The map of cells in small multiples: one panel for each value of a column, all on the same axes."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.plots.cell_map import (
    MAP_CAVEAT,
    MAX_DRAWN,
    METHOD_NAMES,
    CellColours,
    CellPen,
    check_lengths,
    map_limits,
    read_colours,
    rows_without_nan,
    sample_cells,
    unplaced_sentence,
)
from scfm_core.plots.figure import (
    NO_VALUE,
    UNSELECTED,
    Axis,
    Figure,
    FloatArray,
    Panel,
    Points,
    Solid,
    grouped_number,
    one_line,
)
from scfm_core.plots.groups import named_groups

MAX_PANELS = 12
_MOST_NAMED = 12  # values without a panel that the caption names
_GREY_PART = 0.4  # of the points that may be drawn
_WIDTH_MM, _LEGEND_MM = 183.0, 38.0
_CAVEAT = (
    "Panels with more cells look denser; an empty place may be a matter of n. Whether groups differ is a question for "
    "a test over donors, not for the eye. "
)


def cell_map_facets(
    coordinates: FloatArray,
    colour: "pd.Series[Any]",
    split: "pd.Series[Any]",
    *,
    title: str = "",
    method: Literal["umap", "tsne"] = "umap",
    selected: NDArray[np.bool_] | None = None,
) -> Figure:
    """Draw the cells of each value of a column in a panel of their own, all other cells faintly behind them.

    Parameters
    ----------
    coordinates
        Shape ``(n_cells, 2)``; NaN where a cell has none.
    colour
        As in `scfm_core.plots.cell_map.cell_map`; one legend or one scale for all panels.
    split
        One value per cell, such as the batch; cells without a value stand in no panel. Of more than 12 values those
        with most cells get a panel, and the caption names the others.
    title
        Made from the colour, the column and n where empty.
    selected
        Shape ``(n_cells,)``; only these are coloured.

    Raises
    ------
    RequestError
        If the parts have different numbers of cells, or no cell has a value to split by.
    """
    coordinates = np.asarray(coordinates, dtype=np.float64).reshape(-1, 2)
    check_lengths(len(coordinates), colour=colour, split=split, selected=selected)
    placed = rows_without_nan(coordinates)
    chosen = placed if selected is None else placed & np.asarray(selected, dtype=bool)
    names, codes = named_groups(split)
    shown = _largest(codes, placed, len(names))
    if not shown:
        msg = (
            f"Expected a column that puts the cells into groups, found no value in {one_line(split.name)!r}. "
            "Choose another column to split by."
        )
        raise RequestError(msg, "nothing-to-split")
    colours = read_colours(colour)
    drawn = _drawn(placed, chosen, codes, colours, shown)
    behind = np.flatnonzero(_grey(placed, len(shown)))
    pen = CellPen(coordinates, None, int(drawn.sum()) // len(shown) + len(behind))
    name, limits = METHOD_NAMES[method], map_limits(coordinates[placed])
    columns = _columns(len(shown))
    counted = chosen & np.isin(codes, shown)
    panels = tuple(
        Panel(
            x=Axis(title=f"{name} 1" if place >= len(shown) - columns else "", limits=limits[0], ticks=()),
            y=Axis(title=f"{name} 2" if place % columns == 0 else "", limits=limits[1], ticks=()),
            marks=_marks(pen, behind, drawn & (codes == code), colours, counted),
            title=_panel_title(names[code], placed & (codes == code), chosen, selected is not None),
            equal_aspect=True,
        )
        for place, code in enumerate(shown)
    )
    left_out = [names[code] for code in range(len(names)) if code not in shown]
    shape = (limits[1][1] - limits[1][0]) / (limits[0][1] - limits[0][0])
    rows = -(-len(panels) // columns)
    return Figure(
        panels=panels,
        title=title or _title(name, colours, one_line(split.name), n_cells=int(counted.sum())),
        caption=_caption(placed, counted, drawn, codes, left_out, colours),
        caveat=_CAVEAT + MAP_CAVEAT.format(method=name),
        columns=columns,
        width_mm=_WIDTH_MM,
        height_mm=float(np.clip(rows * ((_WIDTH_MM - _LEGEND_MM) / columns * shape + 8) + 14, 60, 260)),
        legend_title=colours.legend_title,
    )


def _largest(codes: NDArray[np.int64], placed: NDArray[np.bool_], n_names: int) -> list[int]:
    """Return the values that get a panel, in the order of their names; none without a cell on the map."""
    sizes = np.bincount(codes[placed & (codes >= 0)], minlength=n_names)
    first = np.argsort(-sizes, kind="stable")[:MAX_PANELS]
    return sorted(int(code) for code in first if sizes[code])


def _columns(n_panels: int) -> int:
    """Return how many panels stand side by side.

    Examples
    --------
    >>> [_columns(n) for n in (1, 2, 3, 4, 6, 7, 12)]
    [1, 2, 3, 2, 3, 4, 4]
    """
    if n_panels <= 3:
        return n_panels
    return 2 if n_panels == 4 else 3 if n_panels <= 6 else 4


def _drawn(
    placed: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    codes: NDArray[np.int64],
    colours: CellColours,
    shown: list[int],
) -> NDArray[np.bool_]:
    """Choose the cells that are drawn in their own panel, each colour in each panel by its share."""
    mine = chosen & np.isin(codes, shown)
    strata = colours.strata * (codes.max(initial=0) + 2) + codes
    most = MAX_DRAWN - len(shown) * int(_grey(placed, len(shown)).sum())
    return sample_cells(mine, strata, most=most)


def _grey(placed: NDArray[np.bool_], n_panels: int) -> NDArray[np.bool_]:
    """Choose the cells that stand behind those of every panel."""
    return sample_cells(placed, np.zeros(len(placed), dtype=np.int64), most=int(_GREY_PART * MAX_DRAWN) // n_panels)


def _marks(
    pen: CellPen,
    behind: NDArray[np.int64],
    drawn: NDArray[np.bool_],
    colours: CellColours,
    counted: NDArray[np.bool_],
) -> tuple[Points, ...]:
    n_unknown = int((counted & ~colours.known).sum())
    marks = [pen.points(behind[~drawn[behind]], Solid(UNSELECTED), "cells of the other panels")]
    marks.append(pen.grey(drawn & ~colours.known, NO_VALUE, colours.no_value, n=n_unknown))
    shown = colours.in_drawing_order(np.flatnonzero(drawn & colours.known))
    marks.append(pen.points(shown, colours.of(shown, counted)))
    return tuple(mark for mark in marks if len(mark.x))


def _panel_title(name: str, mine: NDArray[np.bool_], chosen: NDArray[np.bool_], some: bool) -> str:
    n = grouped_number(mine.sum())
    if some:
        n = f"{grouped_number((mine & chosen).sum())} of {n}"
    return f"{one_line(name, longest=24)} (n = {n})"


def _title(name: str, colours: CellColours, split: str, *, n_cells: int) -> str:
    return f"{name} split by {split}, coloured by {colours.title or 'group'}, n = {grouped_number(n_cells)} cells"


def _caption(
    placed: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    drawn: NDArray[np.bool_],
    codes: NDArray[np.int64],
    left_out: list[str],
    colours: CellColours,
) -> str:
    sentences = ["Each panel shows the cells of one group in colour and other cells faintly, all on the same axes."]
    sentences.append(colours.sentence())
    if int(drawn.sum()) < int(counted.sum()):
        sentences.append(
            f"{grouped_number(drawn.sum())} of {grouped_number(counted.sum())} cells are drawn in colour, a random "
            "sample in which each colour keeps its share of each panel."
        )
    if left_out:
        named = ", ".join(one_line(name, longest=24) for name in left_out[:_MOST_NAMED])
        more = f" and {len(left_out) - _MOST_NAMED} more" if len(left_out) > _MOST_NAMED else ""
        sentences.append(f"Without a panel, as {MAX_PANELS} are drawn at most or no cell has a place: {named}{more}.")
    n_without = int((placed & (codes < 0)).sum())
    if n_without:
        sentences.append(f"Cells in no group: {grouped_number(n_without)}.")
    sentences.append(unplaced_sentence(placed))
    return " ".join(sentence for sentence in sentences if sentence)
