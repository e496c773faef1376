"""The map of a crowd: every cell counts, none hides another one; a lasso over the picture selects cells."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages._models import model_words
from pages._show import TableFile, downloads, draw, provenance, say
from pages._state import select_cells, selection, selection_round
from pages._waiting import answer
from pages._words import cells_of, file_stem
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.plots.cell_density import cell_density
from scfm_core.plots.cell_map import polygon_selection
from scfm_core.plots.figure import Figure, Raster

NUMBER = "Number of cells"
_HEIGHT = 620


def density_view(
    dataset: Dataset, projection: ProjectCells, colour: "pd.Series", *, key: str = "density"
) -> Figure | None:
    """Show the cells of a map as pixels; return the figure, None while the map is computed.

    Parameters
    ----------
    colour
        As for the map of points; the person may choose the number of cells instead.
    """
    found = answer(projection, place=key)
    if found is None:
        return None
    coordinates = np.asarray(found.coordinates)
    chosen = selection()
    left, right = st.columns([2, 1], gap="medium", vertical_alignment="bottom")
    what = left.segmented_control(
        "Colour of a pixel", [NUMBER, str(colour.name)], default=NUMBER, required=True, key=f"{key}:what",
        help="The number of cells in it; or of a column the value that most of its cells have, of numbers their mean.",
    )  # fmt: skip
    beside = right.toggle(
        "Selection beside all cells", key=f"{key}:beside", disabled=chosen is None,
        help="The same pixels, limits and colours for both.",
    )  # fmt: skip
    mask = chosen.mask if beside and chosen is not None else None
    name = "UMAP" if projection.method == "umap" else "t-SNE"
    figure = cell_density(
        coordinates, None if what == NUMBER else colour, title=_title(name, projection, what, mask),
        method=projection.method, selected=mask,
    )  # fmt: skip
    take = partial(_remember, coordinates, f"drawn on the density of the {name} of {projection.embedding.model.title}")
    height = _HEIGHT if mask is None else _HEIGHT - 120
    draw(figure, f"{key}:{dataset.sha256[:10]}:{selection_round()}", height=height, on_select=take)
    say(figure)
    about = provenance(dataset, projection, map=name, embedding=projection.embedding.model.title)
    downloads(
        key, stem=file_stem(dataset.title, name, projection.embedding.model.key, "density"), figure=figure,
        tables=[TableFile(label="Pixels", table=partial(pixel_table, figure, name), about=about)],
    )  # fmt: skip
    return figure


def pixel_table(figure: Figure, name: str) -> pd.DataFrame:
    """Return one row per pixel that holds a cell: where its middle lies, and how many cells it holds."""
    parts = []
    for panel in figure.panels:
        for mark in panel.marks:
            if isinstance(mark, Raster):
                rows, columns = np.nonzero(mark.counts)
                n_rows, n_columns = mark.counts.shape
                across = mark.x[0] + (columns + 0.5) * (mark.x[1] - mark.x[0]) / n_columns
                up = mark.y[0] + (rows + 0.5) * (mark.y[1] - mark.y[0]) / n_rows
                part = {"cells drawn": panel.title or "All cells", f"{name} 1": across, f"{name} 2": up}
                parts.append(pd.DataFrame({**part, "n_cells": mark.counts[rows, columns]}))
    return pd.concat(parts, ignore_index=True)


def _title(name: str, projection: ProjectCells, what: str, mask: NDArray[np.bool_] | None) -> str:
    n = cells_of(projection.embedding.dataset.n_cells)
    colours = "cells per pixel" if what == NUMBER else f"{what}, pixel by pixel"
    some = "" if mask is None else f"; {cells_of(int(mask.sum()))} selected"
    return f"{name} of {model_words(projection.embedding.model)}, {colours}, n = {n}{some}"


def _remember(coordinates: NDArray[np.float32], label: str, event: Mapping[str, Any]) -> None:
    select_cells(CellSet.from_mask(label, polygon_selection(coordinates, event)))
