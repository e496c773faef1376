"""Two views of the same cells, one selection in both."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages._columns import in_percent, percent_columns
from pages._frame import chosen_dataset, page_head
from pages._models import baseline, second_view_model
from pages._show import HALF, TableFile, downloads, draw, provenance, two_lines
from pages._state import (
    cell_table,
    grouping_columns,
    save_selection,
    saved_selections,
    select_cells,
    selection,
    selection_round,
)
from pages._views import (
    CLUSTERS,
    GENE,
    Colouring,
    MapSettings,
    choose_embedding,
    choose_gene,
    colour_choices,
    colour_values,
    colour_words,
    hover_table,
    map_settings,
)
from pages._waiting import answer, errors_as_text
from pages._words import cells_of, count, file_stem
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec
from scfm_core.plots.cell_map import cell_map, polygon_selection
from scfm_core.plots.figure import Figure


def view(dataset: Dataset, side: str, settings: MapSettings, start: tuple[ModelSpec, str]) -> Figure | None:
    """Show the controls of one view and its map; None while the map is being computed."""
    key = f"{side}:colour:{dataset.sha256[:10]}"
    first, second, *third = st.columns(3 if st.session_state.get(key) == GENE else 2)
    with first:
        embedding = choose_embedding(dataset, side, start[0])
    choices = colour_choices(dataset)
    choice = second.selectbox("Colour", choices, index=choices.index(start[1]), key=key, persist_state="session")
    with third[0] if third else second:
        gene_id = choose_gene(dataset, side) if choice == GENE else ""
    request = settings.projection(embedding)
    projection = answer(request, place=side)
    if projection is None:
        return None
    colour = colour_values(dataset, Colouring(choice, gene_id, settings.clusters(embedding)), place=side)
    if colour is None:
        return None
    chosen = selection()
    name = "UMAP" if settings.method == "umap" else "t-SNE"
    of_all = "" if chosen is None else f"{count(len(chosen))} of "
    figure = cell_map(
        np.asarray(projection.coordinates),
        colour,
        title=f"{name} of {embedding.model.title}, {colour_words(colour)}, n = {of_all}{cells_of(dataset.n_cells)}",
        method=settings.method,
        hover=hover_table(dataset),
        selected=None if chosen is None else chosen.mask,
    )
    take = partial(remember, np.asarray(projection.coordinates), f"drawn on the {name} of {embedding.model.title}")
    draw(figure, f"{side}:{dataset.sha256[:10]}:{selection_round()}", width=HALF, on_select=take)

    def table() -> pd.DataFrame:
        places = pd.DataFrame(np.asarray(projection.coordinates), columns=[f"{name} 1", f"{name} 2"])
        return pd.concat([hover_table(dataset), places, colour.rename(str(colour.name))], axis=1)

    about = provenance(dataset, request, map=name, embedding=embedding.model.title)
    stem = file_stem(dataset.title, name, embedding.model.key, choice)
    downloads(side, stem=stem, figure=figure, tables=[TableFile(label="Places", table=table, about=about)])
    return figure


def remember(coordinates: np.ndarray, label: str, event: Mapping[str, Any]) -> None:
    """Keep the cells inside what was drawn on a map as the selection."""
    mask = polygon_selection(coordinates, event)
    select_cells(CellSet.from_mask(label, mask))


def selected_cells(dataset: Dataset, chosen: CellSet) -> None:
    """Show what the selection is made of, and let it be kept for a comparison."""
    st.subheader(f"The selection: {cells_of(len(chosen))}", anchor=False)
    left, right = st.columns([1, 3], gap="medium")
    columns = grouping_columns(dataset)
    with left:
        column = st.selectbox("Made of", columns, key=f"made-of:{dataset.sha256[:10]}") if columns else None
        saved = saved_selections()
        for name in ("A", "B"):
            kept = f" ({cells_of(len(saved[name]))} now)" if name in saved else ""
            st.button(
                f"Keep as {name}{kept}", key=f"save-{name}", width="stretch",
                on_click=save_selection, args=(name, chosen),
                help="Two selections kept as A and B can be compared on the page Markers.",
            )  # fmt: skip
    with right:
        if column is None:
            st.caption("No column of the cell table tells cells apart into groups.")
            return
        composition = made_of(dataset, column, chosen)
        st.dataframe(in_percent(composition), hide_index=True, column_config=percent_columns(composition))
        names = cell_table(dataset).assign(selected=chosen.mask)
        downloads(
            "selection",
            stem=file_stem(dataset.title, "selection"),
            tables=[
                TableFile(label="Composition", table=lambda: composition),
                TableFile(label="Cells", table=lambda: names[names["selected"]].rename_axis("cell").reset_index()),
            ],
        )


def made_of(dataset: Dataset, column: str, chosen: CellSet) -> pd.DataFrame:
    """Count the selected cells per group."""
    groups = cell_table(dataset)[column].astype(str).to_numpy()
    inside = pd.Series(groups[chosen.mask]).value_counts()
    everywhere = pd.Series(groups).value_counts()
    return pd.DataFrame(
        {
            column: inside.index,
            "Cells selected": inside.to_numpy(),
            "Share of the selection": inside.to_numpy() / len(chosen),
            "Share of the group": inside.to_numpy() / everywhere[inside.index].to_numpy(),
        }
    )


page_head("UMAP", "Which cells lie together, and do two embeddings agree on it?")
current = chosen_dataset()
with st.expander("More: kind of map, clusters, parameters", icon=":material/tune:"):
    chosen_settings = map_settings(current)
colours = colour_choices(current)
other = second_view_model(current)
starts = ((baseline(), colours[0]), (other, colours[0] if not other.is_baseline else CLUSTERS))
st.caption("Draw a lasso or a box around cells in one view: the same cells light up in the other.")
figures = []
for place, (which, begin) in zip(st.columns(2, gap="medium"), zip(("left", "right"), starts, strict=True), strict=True):
    with place, errors_as_text():
        figures.append(view(current, which, chosen_settings, begin))
drawn = [figure for figure in figures if figure is not None]
if drawn:
    two_lines(" ".join(dict.fromkeys(figure.caption for figure in drawn)), drawn[0].caveat)
now = selection()
if now is not None:
    with errors_as_text():
        selected_cells(current, now)
