"""The map of cells in three dimensions: a room to be turned on the screen, and three flat views of it for print."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.plots.cell_map import (
    MAP_CAVEAT,
    METHOD_NAMES,
    CellPen,
    check_lengths,
    drawn_sentence,
    read_colours,
    rows_without_nan,
    sample_cells,
    unplaced_sentence,
)
from scfm_core.plots.figure import NO_VALUE, UNSELECTED, Axis, Cloud, Figure, FloatArray, Panel, Space, grouped_number

_MARGIN = 0.04
_VIEWS = ((0, 1), (0, 2), (2, 1))  # beside each other they share a side
_CAVEAT = (
    "A room hides what stands behind, and its picture changes with the side it is seen from: a gap that opens on "
    "turning is no more real than one on the flat map. "
)


def cell_map_3d(
    coordinates: FloatArray,
    colour: "pd.Series[Any]",
    *,
    title: str = "",
    method: Literal["umap", "tsne"] = "umap",
    hover: pd.DataFrame | None = None,
    selected: NDArray[np.bool_] | None = None,
) -> Space:
    """Place every cell in a room; at most 100,000 are drawn, each category by its share.

    Parameters
    ----------
    coordinates
        Shape ``(n_cells, 3)``; NaN where a cell has none.
    colour, title, hover, selected
        As in `scfm_core.plots.cell_map.cell_map`.

    Raises
    ------
    RequestError
        If the places have not three coordinates, or the parts have different numbers of cells.
    """
    coordinates = np.asarray(coordinates, dtype=np.float64)
    if coordinates.ndim != 2 or coordinates.shape[1] != 3:
        msg = f"Expected three coordinates for each cell, found {coordinates.shape}. Ask for a map in 3 dimensions."
        raise RequestError(msg, "shape-mismatch")
    check_lengths(len(coordinates), colour=colour, hover=hover, selected=selected)
    placed = rows_without_nan(coordinates)
    chosen = placed if selected is None else placed & np.asarray(selected, dtype=bool)
    colours = read_colours(colour)
    known = colours.known
    drawn = sample_cells(placed, chosen + 2 * colours.strata)
    pen = CellPen(coordinates, hover, int(drawn.sum()))
    shown = np.flatnonzero(drawn & chosen & known)
    points = [
        pen.grey(drawn & ~chosen, UNSELECTED, "not selected", n=int((placed & ~chosen).sum())),
        pen.grey(drawn & chosen & ~known, NO_VALUE, colours.no_value, n=int((chosen & ~known).sum())),
        pen.points(shown, colours.of(shown, chosen)),
    ]
    name = METHOD_NAMES[method]
    n_all, n_chosen = int(placed.sum()), int(chosen.sum())
    n = grouped_number(n_all) if n_chosen == n_all else f"{grouped_number(n_chosen)} of {grouped_number(n_all)}"
    sentences = ["Each point is one cell; turn the room by dragging."]
    sentences += ["" if colours.groups is None else colours.sentence(), drawn_sentence(int(drawn.sum()), n_all)]
    sentences.append(unplaced_sentence(placed))
    return Space(
        axes=_axes(name, coordinates[placed]),
        clouds=tuple(Cloud(points=some, z=coordinates[some.cells, 2]) for some in points if len(some.x)),
        title=title or f"{name} in three dimensions, coloured by {colours.title or 'group'}, n = {n} cells",
        caption=" ".join(sentence for sentence in sentences if sentence),
        caveat=_CAVEAT + MAP_CAVEAT.format(method=name),
        legend_title=colours.legend_title,
    )


def flat_views(space: Space) -> Figure:
    """Return the room seen from three sides, as flat panels with the same unit of length: for print and for files."""
    axes = _equally_long(space.axes)
    panels = tuple(
        Panel(
            x=axes[across],
            y=axes[up],
            marks=tuple(
                replace(cloud.points, x=_coordinate(cloud, across), y=_coordinate(cloud, up)) for cloud in space.clouds
            ),
            equal_aspect=True,
        )
        for across, up in _VIEWS
    )
    return Figure(
        panels=panels,
        title=space.title,
        caption=space.caption.replace("; turn the room by dragging", ", seen from three sides"),
        caveat=space.caveat,
        columns=3,
        width_mm=183.0,
        height_mm=72.0,
        legend="below",
        legend_title=space.legend_title,
    )


def _equally_long(axes: tuple[Axis, Axis, Axis]) -> tuple[Axis, ...]:
    """Widen the shorter axes around their middle, so that one unit is as long in every panel."""
    longest = max(axis.limits[1] - axis.limits[0] for axis in axes)
    middles = [(axis.limits[0] + axis.limits[1]) / 2 for axis in axes]
    ends = [(middle - longest / 2, middle + longest / 2) for middle in middles]
    return tuple(replace(axis, limits=limits) for axis, limits in zip(axes, ends, strict=True))


def _coordinate(cloud: Cloud, number: int) -> FloatArray:
    return (cloud.points.x, cloud.points.y, cloud.z)[number]


def _axes(name: str, points: FloatArray) -> tuple[Axis, Axis, Axis]:
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(3), np.ones(3))
    margin = _MARGIN * max(float((high - low).max()), 1.0)
    ends = [(float(first - margin), float(last + margin)) for first, last in zip(low, high, strict=True)]
    return (
        Axis(title=f"{name} 1", limits=ends[0], ticks=()),
        Axis(title=f"{name} 2", limits=ends[1], ticks=()),
        Axis(title=f"{name} 3", limits=ends[2], ticks=()),
    )
