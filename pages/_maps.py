"""Up to four maps side by side, or one split by a column."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages._map import Panel, Places, draw_map, placed_cells, show_map
from pages._map_fields import View, choose_view
from pages._show import LaterFigure, TableFile, downloads, provenance
from pages._state import cell_table, selection
from pages._views import MapSettings, hover_table
from pages._waiting import errors_as_text
from pages._words import cells_of, count, file_stem, plain
from scfm_core.analyses.grouping import in_reading_order
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.plots.cell_map import METHOD_NAMES
from scfm_core.plots.cell_map_facets import cell_map_facets
from scfm_core.plots.figure import Figure
from scfm_core.request import Request

_HEIGHTS = {1: 620, 2: 470, 3: 400, 4: 400}
_MOST_PANELS = 12
_PANELS_A_ROW = 3


def maps_side_by_side(
    dataset: Dataset, settings: MapSettings, n_views: int
) -> tuple[list[LaterFigure], list[Request[Any]]]:
    """Show the maps with their fields; return the figures that are there, and what was asked."""
    figures: list[LaterFigure] = []
    asked: list[Request[Any]] = []
    a_row = 2 if n_views == 4 else n_views
    for first in range(0, n_views, a_row):
        for number, place in zip(range(first, first + a_row), st.columns(a_row, gap="medium"), strict=True):
            with place, errors_as_text():
                figure, requests = _view(dataset, number, settings, height=_HEIGHTS[n_views])
                figures += [] if figure is None else [figure]
                asked += requests
    return figures, asked


def maps_split(
    dataset: Dataset, settings: MapSettings, column: str
) -> tuple[list[LaterFigure], list[Request[Any]]]:
    """Show the first map once for each value of a column, on equal axes that move together."""
    view = choose_view(dataset, settings)
    if view is None:
        return [], []
    places = placed_cells(dataset, view.projection, place="split")
    if places is None:
        return [], list(view.requests)
    values = cell_table(dataset)[column].astype(object).where(cell_table(dataset)[column].notna(), "").astype(str)
    sizes = values[values != ""].value_counts()
    shown = in_reading_order(sizes.index[:_MOST_PANELS])
    if len(sizes) > _MOST_PANELS:
        rest = ", ".join(map(plain, sizes.index[_MOST_PANELS:][:20]))
        st.caption(f"{count(len(sizes))} values; the {_MOST_PANELS} with most cells are drawn. Left out: {rest}.")
    figures = []
    a_row = min(_PANELS_A_ROW, len(shown))
    for first in range(0, len(shown), a_row):
        for name, place in zip(shown[first : first + a_row], st.columns(a_row, gap="medium"), strict=False):
            members = (values == name).to_numpy()
            panel = Panel(
                group=f"{places.name}:{column}", name=f"{dataset.identity}:{column}:{name}", members=members
            )
            with place, errors_as_text():
                title = f"{column}: {name}, n = {cells_of(int(members.sum()))}"
                key = f"split:{file_stem(column)}:{file_stem(name)}"
                figures.append(draw_map(dataset, places, view.colour, key=key, title=title, height=400, panel=panel))
    _split_files(dataset, view, places, column)
    return figures, list(view.requests)


def _split_files(dataset: Dataset, view: View, places: Places, column: str) -> None:
    make = partial(_facets, places, view.colour, cell_table(dataset)[column].reset_index(drop=True), selection())
    figure = LaterFigure(title="", caption="", caveat="", make=make)
    _files(dataset, view, figure, f"split:{file_stem(column)}")


def _facets(places: Places, colour: pd.Series, split: pd.Series, chosen: CellSet | None) -> Figure:
    mask = None if chosen is None else chosen.mask
    return cell_map_facets(places.coordinates, colour, split, method=places.method, selected=mask)


def _view(
    dataset: Dataset, number: int, settings: MapSettings, *, height: int
) -> tuple[LaterFigure | None, Sequence[Request[Any]]]:
    view = choose_view(dataset, settings, number)
    if view is None:
        return None, []
    figure = show_map(dataset, view.projection, view.colour, key=view.side, height=height)
    if figure is not None:
        _files(dataset, view, figure, view.side)
    return figure, view.requests


def _files(dataset: Dataset, view: View, figure: LaterFigure, key: str) -> None:
    name, model = METHOD_NAMES[view.projection.method], view.projection.embedding.model
    about = provenance(dataset, view.projection, map=name, embedding=model.title)
    stem = file_stem(dataset.title, name, model.key, str(view.colour.name))
    table = partial(_table, dataset, view.projection, view.colour, name)
    downloads(key, stem=stem, figure=figure, tables=[TableFile(label="Places", table=table, about=about)])


def _table(dataset: Dataset, projection: ProjectCells, colour: pd.Series, name: str) -> pd.DataFrame:
    places = placed_cells(dataset, projection, place="table")
    found = np.full((dataset.n_cells, 2), np.nan) if places is None else places.coordinates
    table = pd.DataFrame(found, columns=[f"{name} 1", f"{name} 2"])
    return pd.concat([hover_table(dataset), table, colour.reset_index(drop=True).rename(str(colour.name))], axis=1)
