"""Up to four maps side by side, or one split by a column: the fields above each map, and the map."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages._gene_search import search_gene
from pages._map import PLAIN, Panel, draw_map, places_of, show_map
from pages._map_state import (
    MOST_VIEWS,
    WHOLE,
    colour_key,
    first_views,
    number_key,
    side_of,
    split_key,
    start_of,
)
from pages._models import usable_models
from pages._served import serve_bundle
from pages._show import LaterFigure, TableFile, downloads, provenance
from pages._state import cell_table, grouping_columns
from pages._views import (
    GENE,
    Colouring,
    MapSettings,
    choose_embedding,
    colour_choices,
    colour_values,
    hover_table,
    map_settings,
)
from pages._waiting import answer, errors_as_text
from pages._words import cells_of, count, file_stem, plain
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import in_reading_order
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.dataset import Dataset
from scfm_core.request import Request

_HEIGHTS = {1: 620, 2: 470, 3: 400, 4: 400}
_MOST_PANELS = 12
_PANELS_A_ROW = 3


def choose_layout(dataset: Dataset) -> tuple[int, str, MapSettings]:
    """Let the number of maps, the column by which the first is split ("" for none), and their making be chosen."""
    left, middle, right = st.columns([1, 1.3, 1], gap="medium", vertical_alignment="bottom")
    with left:
        split = st.session_state.get(split_key(dataset), WHOLE) != WHOLE
        n_views = st.segmented_control(
            "Maps side by side", range(1, MOST_VIEWS + 1), default=len(first_views(dataset)), required=True,
            key=number_key(dataset), persist_state="session", disabled=split,
            help="Each map has its own embedding and its own colours. Cells selected on one light up on all.",
        )  # fmt: skip
    with middle:
        columns = [WHOLE, *grouping_columns(dataset)]
        split_by = st.selectbox(
            "First map split by", columns, key=split_key(dataset), persist_state="session",
            help="One small map for each value of a column, such as the batch: equal axes, the other cells in grey.",
        )  # fmt: skip
    with right, st.popover("Map settings", icon=":material/tune:", width="stretch"):
        settings = map_settings(dataset)
        _choose_drawing()
    return int(n_views), "" if split_by == WHOLE else split_by, settings


def _choose_drawing() -> None:
    if serve_bundle() is None:
        st.caption("The fast map was not built here, which needs Node: at most 100,000 cells are drawn.")
        return
    st.toggle(
        "Plain map", key=PLAIN, persist_state="session",
        help="For a browser without WebGL: at most 100,000 cells are drawn; a lasso still finds all cells.",
    )  # fmt: skip


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


def maps_split(dataset: Dataset, settings: MapSettings, column: str) -> tuple[list[LaterFigure], list[Request[Any]]]:
    """Show the first map once for each value of a column, on equal axes that move together."""
    embedding, choice, gene_id = _fields(dataset, 0)
    projection = settings.projection(embedding)
    if gene_id is None:
        return [], [projection]
    found = answer(projection, place="split")
    colour = colour_values(dataset, Colouring(choice, gene_id, settings.clusters(embedding)), place="split")
    if found is None or colour is None:
        return [], [projection]
    places = places_of(projection, found)
    values = cell_table(dataset)[column].astype(str).to_numpy()
    names = in_reading_order(cell_table(dataset)[column].dropna().astype(str).unique())
    if len(names) > _MOST_PANELS:
        rest = ", ".join(map(plain, names[_MOST_PANELS:][:20]))
        st.caption(f"{count(len(names))} values; the first {_MOST_PANELS} are drawn. Left out: {rest}.")
    figures = []
    shown = names[:_MOST_PANELS]
    a_row = min(_PANELS_A_ROW, len(shown))
    for first in range(0, len(shown), a_row):
        row = shown[first : first + a_row]
        for name, place in zip(row, st.columns(a_row, gap="medium"), strict=False):
            members = values == name
            panel = Panel(
                group=f"{projection.identity}:{column}", name=f"{dataset.identity}:{column}:{name}", members=members
            )
            with place, errors_as_text():
                title = f"{column}: {name}, n = {cells_of(int(members.sum()))}"
                key = f"split:{file_stem(column)}:{file_stem(name)}"
                figures.append(draw_map(dataset, places, colour, key=key, title=title, height=400, panel=panel))
    return figures, [projection]


def _fields(dataset: Dataset, number: int) -> tuple[EmbedCells, str, str | None]:
    """Let a view's embedding and colours be chosen; the gene is "" where there is none, None while it is not found."""
    side, start = side_of(number), start_of(dataset, number)
    key, choices = colour_key(dataset, number), colour_choices(dataset)
    if st.session_state.get(key) not in (None, *choices):
        del st.session_state[key]  # a label that was taken back
    first, second, *third = st.columns(3 if st.session_state.get(key, start.colour) == GENE else 2)
    specs = {spec.key: spec for spec in usable_models()}
    with first:
        embedding = choose_embedding(dataset, side, specs[start.model])
    place = choices.index(start.colour) if start.colour in choices else 0
    choice = second.selectbox("Colour", choices, index=place, key=key, persist_state="session")
    with third[0] if third else second:
        gene_id = search_gene(dataset, side) if choice == GENE else ""
    return embedding, choice, gene_id


def _view(
    dataset: Dataset, number: int, settings: MapSettings, *, height: int
) -> tuple[LaterFigure | None, Sequence[Request[Any]]]:
    side = side_of(number)
    embedding, choice, gene_id = _fields(dataset, number)
    projection = settings.projection(embedding)
    if gene_id is None:
        return None, [projection]
    colouring = Colouring(choice, gene_id, settings.clusters(embedding))
    colour = colour_values(dataset, colouring, place=side)
    if colour is None:
        return None, [projection]
    figure = show_map(dataset, projection, colour, key=side, height=height)
    if figure is not None:
        _files(dataset, projection, colour, figure, side)
    return figure, [projection]


def _files(dataset: Dataset, projection: ProjectCells, colour: pd.Series, figure: LaterFigure, side: str) -> None:
    name = "UMAP" if projection.method == "umap" else "t-SNE"
    about = provenance(dataset, projection, map=name, embedding=projection.embedding.model.title)
    stem = file_stem(dataset.title, name, projection.embedding.model.key, str(colour.name))
    table = partial(_table, dataset, projection, colour, name)
    downloads(side, stem=stem, figure=figure, tables=[TableFile(label="Places", table=table, about=about)])


def _table(dataset: Dataset, projection: ProjectCells, colour: pd.Series, name: str) -> pd.DataFrame:
    found = answer(projection)
    places = pd.DataFrame(np.asarray(found.coordinates), columns=[f"{name} 1", f"{name} 2"])
    return pd.concat([hover_table(dataset), places, colour.reset_index(drop=True).rename(str(colour.name))], axis=1)
