"""The fields above a map: how many maps there are, and of each the embedding and the colours."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages._gene_search import search_gene
from pages._gene_sets import choose_gene_set, score_colour, score_request
from pages._groupings import grouping_choices
from pages._map import PLAIN
from pages._map_state import (
    MOST_VIEWS,
    WHOLE,
    colour_key,
    first_views,
    model_choices,
    model_key,
    number_key,
    side_of,
    split_key,
    start_of,
)
from pages._models import embedding_of, model_words
from pages._served import serve_bundle
from pages._views import CLUSTERS, GENE, GENE_SET, Colouring, MapSettings, colour_choices, colour_values, map_settings
from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.analyses.read_expression import ReadExpression
from scfm_core.dataset import Dataset
from scfm_core.request import Request


@dataclass(frozen=True, eq=False)
class View:
    """One map: the name of its fields, where its cells stand, their colours, and every question behind these."""

    side: str
    projection: ProjectCells
    colour: pd.Series
    requests: tuple[Request[Any], ...]


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
        columns = [WHOLE, *grouping_choices(dataset)]
        split_by = st.selectbox(
            "First map split by", columns, key=split_key(dataset), persist_state="session",
            help="One small map for each value of a column, such as the batch: equal axes, the other cells in grey.",
        )  # fmt: skip
    with right:
        settings = choose_settings(dataset)
    return int(n_views), "" if split_by == WHOLE else split_by, settings


def choose_settings(dataset: Dataset) -> MapSettings:
    """Let the making of the maps be set, behind a button."""
    with st.popover("Map settings", icon=":material/tune:", width="stretch"):
        settings = map_settings(dataset)
        _choose_drawing()
    return settings


def _choose_drawing() -> None:
    if serve_bundle() is None:
        st.caption("The fast map was not built here, which needs Node: at most 100,000 cells are drawn.")
        return
    st.toggle(
        "Plain map", key=PLAIN, persist_state="session",
        help="For a browser without WebGL: at most 100,000 cells are drawn; a lasso still finds all cells.",
    )  # fmt: skip


def choose_view(dataset: Dataset, settings: MapSettings, number: int = 0) -> View | None:
    """Let a view's embedding and colours be chosen; None while what was chosen is not there, which is said."""
    side, start = side_of(number), start_of(dataset, number)
    key, choices = colour_key(dataset, number), colour_choices(dataset)
    if st.session_state.get(key) not in (None, *choices):
        del st.session_state[key]  # a label that was taken back
    standing = st.session_state.get(key, start.colour)
    first, second, *third = st.columns(3 if standing in (GENE, GENE_SET) else 2)
    with first:
        embedding = choose_map_embedding(dataset, number)
    place = choices.index(start.colour) if start.colour in choices else 0
    choice = second.selectbox("Colour", choices, index=place, key=key, persist_state="session")
    clusters = settings.clusters(embedding_of(dataset, embedding.model))
    with third[0] if third else second:
        colour, behind = _colour(dataset, choice, clusters, number)
    projection = settings.projection(embedding)
    return None if colour is None else View(side, projection, colour, (projection, *behind))


def choose_map_embedding(dataset: Dataset, number: int) -> EmbedCells:
    """Let one of the embeddings be chosen, also those of the dataset that a subset was taken from."""
    choices = model_choices(dataset)
    key = model_key(dataset, number)
    if st.session_state.get(key) not in (None, *choices):
        del st.session_state[key]  # a model whose weights were taken away
    chosen = st.selectbox(
        "Embedding", list(choices), index=list(choices).index(start_of(dataset, number).model), key=key,
        format_func=partial(_embedding_words, dataset, choices), persist_state="session",
    )  # fmt: skip
    return choices[chosen]


def _embedding_words(dataset: Dataset, choices: dict[str, EmbedCells], key: str) -> str:
    embedding = choices[key]
    words = model_words(embedding.model)
    return words if embedding.dataset.identity == dataset.identity else f"{words}, before the subset"


def _colour(
    dataset: Dataset, choice: str, clusters: ClusterCells, number: int
) -> "tuple[pd.Series | None, tuple[Request[Any], ...]]":
    """Return the colours, None while they are computed or not chosen, and the questions behind them."""
    side = side_of(number)
    if choice == GENE_SET:
        chosen = choose_gene_set(dataset, side)
        if chosen is None:
            return None, ()
        return score_colour(dataset, chosen, place=side), (score_request(dataset, chosen),)
    gene_id = search_gene(dataset, side) if choice == GENE else ""
    if gene_id is None:
        return None, ()
    colour = colour_values(dataset, Colouring(choice, gene_id, clusters), place=side)
    behind: dict[str, tuple[Request[Any], ...]] = {
        CLUSTERS: (clusters,),
        GENE: (ReadExpression(dataset, (gene_id,)),) if gene_id else (),
    }
    return colour, behind.get(choice, ())
