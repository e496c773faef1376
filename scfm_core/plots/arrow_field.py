"""Mean movements of cells on a map, as a field of arrows on a grid."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.plots.figure import Arrows, Figure, FloatArray, Points, grouped_number, plain_number

N_BINS = 25
MIN_CELLS = 3
_LONGEST = 1.6  # squares that the long arrows may reach over
_CAVEAT = (
    "A map distorts distances and directions: an arrow says where on the picture cells land that look like these after "
    "the edit, not along which way they would get there. The means hide cells that move otherwise."
)


def with_arrow_field(figure: Figure, start: FloatArray, end: FloatArray, *, n_bins: int = N_BINS) -> Figure:
    """Add the mean displacement of the cells in each square of a grid to a cell map.

    Squares with fewer than 3 cells get no arrow. All arrows are drawn longer or shorter by one factor, told in the
    legend and the caption, so that the long ones reach over about one and a half squares.

    Parameters
    ----------
    figure
        A `cell_map`.
    start, end
        Where each cell stands before and after, in the units of the map, shape ``(n_cells, 2)`` each; rows with NaN
        are left out and counted.
    n_bins
        Squares along the longer side of the map.

    Raises
    ------
    RequestError
        If ``start`` and ``end`` have different shapes.
    """
    start, end = (np.asarray(place, dtype=np.float64).reshape(-1, 2) for place in (start, end))
    if start.shape != end.shape:
        msg = f"Every arrow needs a start and an end, found {len(start):,} starts and {len(end):,} ends."
        raise RequestError(msg, "shape-mismatch")
    panel = figure.panels[0]
    placed = np.isfinite(np.hstack([start, end])).all(axis=1)
    low = np.array([panel.x.limits[0], panel.y.limits[0]])
    side = float(max(panel.x.limits[1] - low[0], panel.y.limits[1] - low[1]) / n_bins)
    middle, moved, sizes = _means(start[placed], end[placed], low, side)
    if not len(sizes):
        words = f"No square of the map has {MIN_CELLS} cells that were moved, so no arrow is drawn."
        return replace(figure, caption=f"{figure.caption} {words}")
    factor = _factor(np.hypot(*moved.T), side)
    few, many = int(sizes.min()), int(sizes.max())
    n_each = grouped_number(few) if few == many else f"{grouped_number(few)} to {grouped_number(many)}"
    tip = middle + factor * moved
    arrows = Arrows(
        x0=middle[:, 0],
        y0=middle[:, 1],
        x1=tip[:, 0],
        y1=tip[:, 1],
        label=f"mean movement\nof n = {n_each} cells,\n{_times(factor)}",
        head=7.0,
        width=1.4,
    )
    caption = [
        figure.caption,
        f"Each arrow is the mean over the cells that start in one square of the map: {grouped_number(sizes.sum())} of "
        f"{grouped_number(placed.sum())} moved cells in {grouped_number(len(sizes))} squares with at least {MIN_CELLS} "
        f"cells. Arrows are {_times(factor)}: one as long as a square ({plain_number(side)} units of the map) stands "
        f"for a mean movement of {plain_number(side / factor)} units.",
    ]
    if not placed.all():
        caption.append(f"Cells without a movement, because one end has no place: {grouped_number((~placed).sum())}.")
    faint = [replace(mark, opacity=0.45 * mark.opacity) if isinstance(mark, Points) else mark for mark in panel.marks]
    return replace(
        figure,
        panels=(replace(panel, marks=(*faint, arrows)), *figure.panels[1:]),
        caption=" ".join(caption),
        caveat=f"{_CAVEAT} {figure.caveat}",
    )


def _means(
    start: FloatArray, end: FloatArray, low: FloatArray, side: float
) -> tuple[FloatArray, FloatArray, NDArray[np.signedinteger[Any]]]:
    """Return mean start, mean displacement and number of cells of each square that has enough of them."""
    square = np.floor((start - low) / side).astype(np.int64)
    _, codes, sizes = np.unique(square, axis=0, return_inverse=True, return_counts=True)
    kept = sizes >= MIN_CELLS
    sums = [
        np.column_stack([np.bincount(codes.ravel(), weights=part[:, axis], minlength=len(sizes)) for axis in (0, 1)])
        for part in (start, end - start)
    ]
    middle, moved = ((total / np.maximum(sizes, 1)[:, None])[kept] for total in sums)
    return middle, moved, sizes[kept]


def _factor(lengths: FloatArray, side: float) -> float:
    """Return the 1, 2 or 5 times a power of ten by which the long arrows get a readable length."""
    longest = float(np.percentile(lengths, 95))
    if longest <= 0:
        return 1.0
    wanted = np.log10(_LONGEST * side / longest)
    steps = [(step, power) for power in range(-6, 7) for step in (1.0, 2.0, 5.0)]
    fitting = [step * 10.0**power for step, power in steps if np.log10(step) + power <= wanted]
    return fitting[-1] if fitting else 1e-6


def _times(factor: float) -> str:
    if factor == 1:
        return "drawn at true length"
    if factor > 1:
        return f"drawn {plain_number(factor)} times as long"
    return f"drawn {plain_number(1 / factor)} times shorter"
