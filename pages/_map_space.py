"""The map in three dimensions, for whoever asks for it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from pages._models import model_words
from pages._show import TableFile, downloads, provenance, theme, two_lines
from pages._state import selection
from pages._views import colour_words, hover_table
from pages._waiting import answer
from pages._words import cells_of, count, file_stem
from scfm_core.analyses.project_cells import ProjectCells, Projection
from scfm_core.dataset import Dataset
from scfm_core.plots.cell_map_3d import cell_map_3d, flat_views
from scfm_core.plots.figure import Space
from scfm_core.plots.screen_3d import space_to_plotly

_CONFIG = {"displaylogo": False, "scrollZoom": True}


def space_view(dataset: Dataset, projection: ProjectCells, colour: "pd.Series", *, key: str = "space") -> Space | None:
    """Show a map with a third dimension, which is computed by itself; None while it is.

    Parameters
    ----------
    projection
        Of the flat map; the same with three dimensions is asked for.
    colour
        As for the flat map.
    """
    request = replace(projection, n_dimensions=3)
    found = answer(request, place=key)
    if found is None:
        return None
    chosen = selection()
    name = "UMAP" if projection.method == "umap" else "t-SNE"
    of_all = "" if chosen is None else f"{count(len(chosen))} of "
    space = cell_map_3d(
        np.asarray(found.coordinates),
        colour,
        title=f"{name} of {model_words(projection.embedding.model)} in three dimensions, {colour_words(colour)}, "
        f"n = {of_all}{cells_of(dataset.n_cells)}",
        method=projection.method,
        hover=hover_table(dataset),
        selected=None if chosen is None else chosen.mask,
    )
    picture = space_to_plotly(space, theme=theme(), width=900)
    st.plotly_chart(picture, key=f"{key}:room:{dataset.sha256[:10]}", theme=None, config=_CONFIG, alt=space.title)
    two_lines(
        f"{space.caption} Cells are selected on the flat maps; those selected keep their colour here.", space.caveat
    )
    about = provenance(dataset, request, map=f"{name}, three dimensions", embedding=projection.embedding.model.title)
    table = partial(_places, dataset, found, colour, name)
    st.caption("As a file the room is seen from three sides, in three flat panels.")
    downloads(
        key, stem=file_stem(dataset.title, name, "3d", projection.embedding.model.key), figure=flat_views(space),
        tables=[TableFile(label="Places", table=table, about=about)],
    )  # fmt: skip
    return space


def _places(dataset: Dataset, found: Projection, colour: "pd.Series", name: str) -> pd.DataFrame:
    places = pd.DataFrame(np.asarray(found.coordinates), columns=[f"{name} {number}" for number in (1, 2, 3)])
    return pd.concat([hover_table(dataset), places, colour.reset_index(drop=True).rename(str(colour.name))], axis=1)
