"""Cells counted per pixel of a map, by datashader: a crowd is seen as it is, whatever is drawn on top of what."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.plots.figure import FloatArray

_MOST_PIXELS, _FEWEST_PIXELS = 400, 48  # along the longer side
_CELLS_A_PIXEL = 2.0  # of the smallest square around all cells, where there are few


@dataclass(frozen=True, kw_only=True)
class PixelGrid:
    """Square pixels over a map.

    Attributes
    ----------
    x, y
        Where the grid begins and ends, in units of the map.
    n_columns, n_rows
        Number of pixels.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    n_columns: int
    n_rows: int

    @property
    def pixel(self) -> float:
        """The side of a pixel in units of the map."""
        return (self.x[1] - self.x[0]) / self.n_columns


def pixel_grid(limits: tuple[tuple[float, float], tuple[float, float]], n_cells: int) -> PixelGrid:
    """Return a grid for that many cells: at most 400 pixels along the longer side, fewer for few cells.

    Parameters
    ----------
    limits
        Of the two axes.

    Examples
    --------
    >>> grid = pixel_grid(((0.0, 2.0), (0.0, 1.0)), 1_000_000)
    >>> (grid.n_columns, grid.n_rows, grid.pixel)
    (400, 200, 0.005)
    """
    (x0, x1), (y0, y1) = limits
    longer = max(x1 - x0, y1 - y0)
    wanted = np.sqrt(n_cells * _CELLS_A_PIXEL)
    pixel = longer / float(np.clip(wanted, _FEWEST_PIXELS, _MOST_PIXELS))
    n_columns, n_rows = (max(1, int(np.ceil(round(side / pixel, 6)))) for side in (x1 - x0, y1 - y0))
    return PixelGrid(x=(x0, x0 + n_columns * pixel), y=(y0, y0 + n_rows * pixel), n_columns=n_columns, n_rows=n_rows)


def count_cells(grid: PixelGrid, places: FloatArray) -> NDArray[np.uint32]:
    """Return the cells in each pixel, the lowest row first.

    Parameters
    ----------
    places
        Shape ``(n_cells, 2)``; NaN lies in no pixel.

    Returns
    -------
    Shape ``(n_rows, n_columns)``.
    """
    from datashader.reductions import count

    return np.asarray(_aggregate(grid, places, {}, count()), dtype=np.uint32)


def count_groups(grid: PixelGrid, places: FloatArray, codes: NDArray[np.integer[Any]], n_groups: int) -> NDArray[Any]:
    """Return the cells of each group in each pixel.

    Parameters
    ----------
    codes
        Group of each cell, -1 for none, which is not counted, shape ``(n_cells,)``.

    Returns
    -------
    Shape ``(n_rows, n_columns, n_groups)``, uint32.
    """
    from datashader.reductions import by, count

    if not n_groups:
        return np.zeros((grid.n_rows, grid.n_columns, 0), dtype=np.uint32)
    known = np.asarray(codes) >= 0
    names = [str(number) for number in range(n_groups)]
    groups = pd.Categorical.from_codes(np.asarray(codes, dtype=np.int64)[known], categories=pd.Index(names))
    return np.asarray(_aggregate(grid, places[known], {"group": groups}, by("group", count())), dtype=np.uint32)


def mean_values(grid: PixelGrid, places: FloatArray, values: FloatArray) -> NDArray[np.float64]:
    """Return the mean value of the cells in each pixel, NaN where there is none with a value.

    Parameters
    ----------
    values
        Of each cell, NaN where it has none, shape ``(n_cells,)``.

    Returns
    -------
    Shape ``(n_rows, n_columns)``.
    """
    from datashader.reductions import mean

    known = np.isfinite(values)
    return np.asarray(_aggregate(grid, places[known], {"value": values[known]}, mean("value")), dtype=np.float64)


def _aggregate(grid: PixelGrid, places: FloatArray, columns: dict[str, Any], reduction: Any) -> Any:
    from datashader import Canvas

    canvas = Canvas(plot_width=grid.n_columns, plot_height=grid.n_rows, x_range=grid.x, y_range=grid.y)
    table = pd.DataFrame({"x": places[:, 0], "y": places[:, 1], **columns})
    return canvas.points(table, "x", "y", reduction).to_numpy()
