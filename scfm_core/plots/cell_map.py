"""The map of cells: one point a cell, coloured by a column or a value, with selections and arrows."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.plots.figure import Figure, FloatArray

MAX_DRAWN = 100_000


def cell_map(
    coordinates: FloatArray,
    colour: pd.Series,
    *,
    title: str = "",
    method: Literal["umap", "tsne"] = "umap",
    hover: pd.DataFrame | None = None,
    selected: NDArray[np.bool_] | None = None,
) -> Figure:
    """Draw every cell at its place on the map.

    Parameters
    ----------
    coordinates
        Shape ``(n_cells, 2)``; NaN where a cell has none.
    colour
        One value per cell in the order of the dataset; its ``name`` heads the legend. Text, booleans, categories and
        whole numbers with few values are categories (pass a categorical with all categories, so that colours stay
        the same everywhere; "" and missing values are drawn grey); other numbers are a continuous scale, of
        expression where none is negative and ``colour.attrs["scale"]`` (a name of a scale) says nothing else.
    title
        The finding; made from the colour and n where empty.
    hover
        What a cell is, one row per cell; its column names are shown. Text is shown as it stands, never as HTML.
    selected
        Shape ``(n_cells,)``; the other cells stay as grey points. All where None.
    """
    raise NotImplementedError


def with_arrows(figure: Figure, start: FloatArray, end: FloatArray) -> Figure:
    """Add arrows to a cell map, from ``start`` to ``end``, shape ``(n_arrows, 2)`` each, in the units of the map.

    More than 150 arrows are averaged over the squares of a grid, and the caption says it.
    """
    raise NotImplementedError


def polygon_selection(coordinates: FloatArray, event_selection: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Find the cells inside the lassos and boxes of a selection event, over all cells, drawn or not.

    Parameters
    ----------
    coordinates
        Shape ``(n_cells, 2)``; NaN lies in no polygon.
    event_selection
        The ``selection`` of what ``st.plotly_chart(on_select="rerun")`` returns; several polygons are united.

    Returns
    -------
    True where a cell lies in one, shape ``(n_cells,)``.
    """
    raise NotImplementedError
