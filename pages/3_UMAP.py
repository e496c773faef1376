"""Linked maps of the same cells, in several views, one selection in all, and what one asks of it."""

import streamlit as st

from pages._frame import chosen_dataset, page_head
from pages._gates import gates_panel
from pages._gene_sets import gene_sets_panel
from pages._map_fields import View, choose_layout, choose_map_embedding, choose_settings, choose_view
from pages._maps import maps_side_by_side, maps_split
from pages._methods import methods_and_code
from pages._selection import selection_panel
from pages._show import two_lines
from pages._waiting import errors_as_text
from scfm_core.dataset import Dataset
from scfm_core.request import Request

MAPS, COMPARED, DENSITY, SPACE = "Maps", "Model against model", "Density", "Three dimensions"
SELECTION, GATES, GENE_SETS = "Selection", "Gates", "Gene sets"


def maps(dataset: Dataset) -> list[Request]:
    """Show up to four maps, or one split by a column; return what was asked."""
    n_views, split_by, settings = choose_layout(dataset)
    if split_by:
        figures, asked = maps_split(dataset, settings, split_by)
    else:
        figures, asked = maps_side_by_side(dataset, settings, n_views)
    if figures:
        two_lines(" ".join(dict.fromkeys(figure.caption for figure in figures)), figures[0].caveat)
    return asked


def compared(dataset: Dataset) -> list[Request]:
    """Show which cells have other neighbours in one embedding than in another."""
    from pages._map_compare import compare_view

    left, middle, right = st.columns([1, 1, 1], gap="medium", vertical_alignment="bottom")
    with left:
        first = choose_map_embedding(dataset, 0)
    with middle:
        second = choose_map_embedding(dataset, 1)
    with right:
        settings = choose_settings(dataset)
    return compare_view(dataset, first, second, settings)


def one_view(dataset: Dataset) -> View | None:
    """Let the embedding, the colours and the making of one map be chosen."""
    left, right = st.columns([3, 1], gap="medium", vertical_alignment="bottom")
    with right:
        settings = choose_settings(dataset)
    with left:
        return choose_view(dataset, settings)


def density(dataset: Dataset) -> list[Request]:
    """Show the first map as a picture of how many cells lie where."""
    from pages._map_density import density_view

    view = one_view(dataset)
    if view is None:
        return []
    density_view(dataset, view.projection, view.colour)
    return list(view.requests)


def space(dataset: Dataset) -> list[Request]:
    """Show the first map with a third dimension."""
    from pages._map_space import space_view

    view = one_view(dataset)
    if view is None:
        return []
    space_view(dataset, view.projection, view.colour)
    return list(view.requests)


page_head("UMAP", "Which cells lie together, and do embeddings agree on it?")
current = chosen_dataset()
views = {MAPS: maps, COMPARED: compared, DENSITY: density, SPACE: space}
view_name = st.segmented_control(
    "View", list(views), default=MAPS, required=True, key="map-view", persist_state="session",
    label_visibility="collapsed",
)  # fmt: skip
with errors_as_text():
    methods_and_code(current, views[view_name](current), key="umap")
panels = {SELECTION: selection_panel, GATES: gates_panel, GENE_SETS: gene_sets_panel}
panel_name = st.segmented_control(
    "Beneath the maps", list(panels), default=SELECTION, required=True, key="map-panel", persist_state="session",
    label_visibility="collapsed",
)  # fmt: skip
with errors_as_text():
    panels[panel_name](current)
