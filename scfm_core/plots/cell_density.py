"""The map of a crowd: how many cells lie in each pixel, and of which kind most of them are."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.plots.cell_map import (
    MAP_CAVEAT,
    METHOD_NAMES,
    CellColours,
    check_lengths,
    coloured_groups,
    map_limits,
    read_colours,
    rows_without_nan,
    unplaced_sentence,
)
from scfm_core.plots.figure import (
    Axis,
    Continuous,
    Figure,
    FloatArray,
    Panel,
    Raster,
    grouped_number,
    log_ticks,
    plain_number,
)
from scfm_core.plots.rasters import PixelGrid, count_cells, count_groups, mean_values, pixel_grid

_FAINTEST = 0.3  # opacity of a pixel with one cell
_CAVEAT = (
    "How densely cells lie on a map is a product of the {method} layout and of how many cells of each kind were "
    "sampled, not a measure of how alike they are or how frequent in the tissue. "
)


def cell_density(
    coordinates: FloatArray,
    colour: "pd.Series[Any] | None" = None,
    *,
    title: str = "",
    method: Literal["umap", "tsne"] = "umap",
    selected: NDArray[np.bool_] | None = None,
) -> Figure:
    """Draw the cells of a map as pixels: every cell counts, none hides another one.

    Parameters
    ----------
    coordinates
        Shape ``(n_cells, 2)``; NaN where a cell has none.
    colour
        As in `scfm_core.plots.cell_map.cell_map`. Categories: the colour of a pixel is that of the category with most
        cells in it, the fainter the fewer cells. Numbers: the mean of the cells in it. None: the number of cells.
    title
        Made from the colour and n where empty.
    selected
        Shape ``(n_cells,)``; draws these cells alone in a second panel, with the same pixels, limits and colours.

    Raises
    ------
    RequestError
        If the parts have different numbers of cells.
    """
    coordinates = np.asarray(coordinates, dtype=np.float64).reshape(-1, 2)
    check_lengths(len(coordinates), colour=colour, selected=selected)
    placed = rows_without_nan(coordinates)
    limits = map_limits(coordinates[placed])
    grid = pixel_grid(limits, int(placed.sum()))
    colours = None if colour is None else read_colours(colour)
    shown = {"All cells": placed}
    if selected is not None:
        shown["The selection"] = placed & np.asarray(selected, dtype=bool)
    name = METHOD_NAMES[method]
    counts = {where: count_cells(grid, coordinates[cells]) for where, cells in shown.items()}
    most = max(int(counts["All cells"].max(initial=0)), 1)
    panels = tuple(
        Panel(
            x=Axis(title=f"{name} 1", limits=limits[0], ticks=()),
            y=Axis(title=f"{name} 2", limits=limits[1], ticks=()),
            marks=_pixels(grid, coordinates, (placed, cells), colours, counts[where], most),
            title=f"{where} (n = {grouped_number(cells.sum())})" if len(shown) > 1 else "",
            equal_aspect=True,
        )
        for where, cells in shown.items()
    )
    return Figure(
        panels=panels,
        title=title or _title(name, colours, [int(cells.sum()) for cells in shown.values()]),
        caption=_caption(placed, grid, colours, most),
        caveat=_CAVEAT.format(method=name) + MAP_CAVEAT.format(method=name),
        columns=len(panels),
        width_mm=120.0 if len(panels) == 1 else 183.0,
        height_mm=96.0 if len(panels) == 1 else 84.0,
        legend_title="" if colours is None else colours.legend_title,
    )


def _pixels(
    grid: PixelGrid,
    coordinates: FloatArray,
    both: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    colours: CellColours | None,
    counts: NDArray[np.uint32],
    most: int,
) -> tuple[Raster, ...]:
    """Draw the second of two sets of cells; the legend counts the first, all of them."""
    placed, cells = both
    places = coordinates[cells]
    if colours is None:
        return (Raster(x=grid.x, y=grid.y, colour=_count_scale(counts, most), counts=counts),)
    if colours.groups is None:
        values = mean_values(grid, places, colours.values[cells])
        title = f"Mean of {colours.title or 'value'}"
        scale = Continuous(values=values, scale=colours.scale, limits=colours.limits, title=title)
        return (Raster(x=grid.x, y=grid.y, colour=scale, counts=counts),)
    groups = colours.groups
    per_group = count_groups(grid, places, groups.codes[cells], len(groups.labels))
    known = per_group.sum(axis=2)
    codes = np.where(known > 0, per_group.argmax(axis=2), -1) if len(groups.labels) else np.full(counts.shape, -1)
    return (
        Raster(
            x=grid.x,
            y=grid.y,
            colour=coloured_groups(groups, codes, placed),
            counts=counts,
            opacity=_FAINTEST + (1 - _FAINTEST) * np.log1p(np.maximum(counts, 1) - 1) / max(np.log1p(most - 1), 1e-9),
        ),
    )


def _count_scale(counts: NDArray[np.uint32], most: int) -> Continuous:
    """Put counts on a logarithmic scale that is the same whichever cells are counted."""
    with np.errstate(divide="ignore"):
        logarithms = np.where(counts > 0, np.log10(counts), np.nan)
    high = max(most, 2)
    ticks = tuple((float(np.log10(place)), name) for place, name in log_ticks((1, high)))
    limits = (0.0, float(np.log10(high)))
    return Continuous(values=logarithms, scale="viridis", limits=limits, title="Cells per pixel", ticks=ticks)


def _title(name: str, colours: CellColours | None, n_cells: list[int]) -> str:
    what = "cells per pixel" if colours is None else f"coloured by {colours.title or 'group'}, pixel by pixel"
    n = grouped_number(n_cells[0]) if len(n_cells) == 1 else " and ".join(map(grouped_number, n_cells[::-1]))
    return f"{name}, {what}, n = {n} cells" + (" (selection and all)" if len(n_cells) > 1 else "")


def _caption(placed: NDArray[np.bool_], grid: PixelGrid, colours: CellColours | None, most: int) -> str:
    size = f"{grid.n_columns} x {grid.n_rows} pixels, each {plain_number(grid.pixel)} units of the map wide"
    sentences = [f"The map is cut into {size}; all cells count, none is left out."]
    if colours is None:
        sentences.append(f"The colour is the number of cells in a pixel, on a logarithmic scale (1 to {most:,}).")
    elif colours.groups is None:
        sentences.append(
            "The colour is the mean over the cells in a pixel; a pixel with one cell counts as a full one."
        )
        n_unknown = int((placed & ~colours.known).sum())
        sentences.append(f"Cells without a value: {grouped_number(n_unknown)}." if n_unknown else "")
    else:
        sentences.append("The colour is that of the category with most cells in a pixel, the fainter the fewer cells.")
        sentences.append(f"{colours.sentence()} The legend counts all cells.".strip())
        n_unknown = int((placed & ~colours.known).sum())
        sentences.append(
            f"Cells not assigned, which colour no pixel: {grouped_number(n_unknown)}." if n_unknown else ""
        )
    sentences.append(unplaced_sentence(placed))
    return " ".join(sentence for sentence in sentences if sentence)
