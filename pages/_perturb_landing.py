"""Where edited cells land on the map, and which of them change their type."""

import numpy as np
import pandas as pd
import streamlit as st

from pages._perturb_standing import Part, Standing
from pages._show import HALF, downloads, draw, say
from pages._state import cell_table, grouping_columns
from pages._views import MapSettings, hover_table
from pages._waiting import answer, errors_as_text
from pages._words import cells_of, file_stem, plain
from scfm_core.analyses.perturb_genes import landing_arrows
from scfm_core.plots.cell_map import cell_map, with_arrows
from scfm_core.plots.figure import Figure


def show_landing(standing: Standing, row: pd.Series) -> None:
    """Show the map of each model with its arrows, and the switches between types."""
    figure = None
    for place, part in zip(st.columns(len(standing.parts), gap="medium"), standing.parts, strict=True):
        with place, errors_as_text():
            st.markdown(f"**{plain(part.title)}**")
            drawn = _map(standing, part, row)
            figure = figure or drawn
    if figure is not None:
        say(figure)


def _map(standing: Standing, part: Part, row: pd.Series) -> Figure | None:
    """Draw where the edited cells of the line land among their unperturbed neighbours."""
    dataset, request, effects = standing.dataset, part.request, part.effects
    projection = answer(MapSettings().projection(request.baseline), place=part.title)
    if projection is None:
        return None
    coordinates = np.asarray(projection.coordinates)
    arrows = landing_arrows(effects, coordinates)
    edit = list(effects.edits).index(row["edit"])
    mine = effects.cells[effects.cells["edit"] == row["edit"]]
    moved = ((mine["group"].astype(str) == str(row["group"])) & mine["holds"]).to_numpy()
    title = f"{row['edit']} in {row['group']}: n = {cells_of(int(moved.sum()))}"
    figure = cell_map(coordinates, _colour(standing, request.group_by), title=title, hover=hover_table(dataset))
    figure = with_arrows(figure, arrows.start[edit][moved], arrows.end[edit][moved])
    key = f"{standing.key}:map:{part.title}"
    draw(figure, key, width=HALF)
    stem = file_stem(dataset.title, "landing", row["edit"], request.baseline.model.key)
    downloads(key, stem=stem, figure=figure)
    return figure


def _colour(standing: Standing, group_by: str | None) -> pd.Series:
    columns = grouping_columns(standing.dataset)
    column = group_by or standing.effects.identity_by or (columns[0] if columns else None)
    if column is None:
        return pd.Series(pd.Categorical(["cell"] * standing.dataset.n_cells), name="Cells")
    return cell_table(standing.dataset)[column].reset_index(drop=True)
