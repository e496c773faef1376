"""Where edited cells land on the map, and which of them change their type."""

import numpy as np
import pandas as pd
import streamlit as st

from pages._columns import SWITCH_COLUMNS
from pages._perturb_effects import NO_TEST, facts_of
from pages._perturb_standing import Part, Standing, name_of
from pages._show import HALF, TableFile, downloads, draw, say
from pages._state import cell_table, grouping_columns
from pages._views import MapSettings, hover_table
from pages._waiting import answer, errors_as_text
from pages._words import cells_of, count, file_stem, plain, plain_number, share
from scfm_core.analyses.perturb_genes import landing_arrows
from scfm_core.plots.arrow_field import with_arrow_field
from scfm_core.plots.cell_map import cell_map, with_arrows
from scfm_core.plots.figure import Figure
from scfm_core.plots.switches import switch_diagram

FIELD, CELLS = "Mean movement", "Single cells"


def show_landing(standing: Standing, row: pd.Series) -> None:
    """Show the map of each model with its arrows, and the switches between types."""
    way = st.segmented_control(
        "Arrows", [FIELD, CELLS], default=FIELD, required=True, key=f"{standing.key}:arrows", persist_state="session",
        help="Mean movement: one arrow for each square of the map, longer where cells move farther. Single cells: a "
        "sample of the cells themselves.",
    )  # fmt: skip
    figure = None
    for place, part in zip(st.columns(len(standing.parts), gap="medium"), standing.parts, strict=True):
        with place, errors_as_text():
            st.markdown(f"**{plain(part.title)}**")
            drawn = _map(standing, part, row, way)
            figure = figure or drawn
    if figure is not None:
        say(figure)
    st.subheader("Which cells change their type?", anchor=False)
    with errors_as_text():
        _switches(standing, row)


def _map(standing: Standing, part: Part, row: pd.Series, way: str) -> Figure | None:
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
    title = f"Where {row['group']} lands, {row['edit']}: n = {cells_of(int(moved.sum()))}"
    figure = cell_map(coordinates, _colour(standing, request.group_by), title=title, hover=hover_table(dataset))
    add = with_arrow_field if way == FIELD else with_arrows
    figure = add(figure, arrows.start[edit][moved], arrows.end[edit][moved])
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


def _switches(standing: Standing, row: pd.Series) -> None:
    """Show how many cells have other neighbours than before."""
    effects = standing.effects
    if not effects.identity_by:
        st.caption("No column tells what a cell is. Choose one under More, Identity told by.")
        return
    if not row["n_holding"]:
        st.caption("No cell holds the gene, so none can change.")
        return
    types = cell_table(standing.dataset)[effects.identity_by].dropna().astype(str).unique()
    figure = switch_diagram(effects, row["edit"], row["group"], categories=tuple(types))  # the colours of the map
    left, right = st.columns([3, 2], gap="medium")
    with left:
        draw(figure, f"{standing.key}:switches:{row['edit']}:{row['group']}")
        say(figure)
    with right:
        st.markdown(f"**{name_of(row)}**  \n{_switching_words(row)}")
        table = effects.switches
        mine = table[(table["edit"] == row["edit"]) & (table["group"].astype(str) == str(row["group"]))]
        mine = mine.sort_values("n_cells", ascending=False, kind="stable")
        columns = [name for name in SWITCH_COLUMNS if name in mine]
        st.dataframe(mine[columns], hide_index=True, column_config=SWITCH_COLUMNS, column_order=columns)
    identity = {"identity": f"most of the 15 nearest cells, {effects.identity_by}"}
    about = facts_of(standing, standing.parts[0]) | NO_TEST | identity
    stem = file_stem(standing.dataset.title, "switches", row["edit"], row["group"])
    tables = [TableFile(label="Switches", table=lambda: table, about=about)]
    downloads("switches", stem=stem, figure=figure, tables=tables)


def _switching_words(row: pd.Series) -> str:
    words = f"{count(row['n_switching'])} of {cells_of(int(row['n_holding']))} ({share(row['share_switching'])}) have "
    words += "neighbours of another type than before"
    if np.isfinite(row["p_switching"]):
        words += (
            f"; under random genes {share(row['null_switching'])} have, on average "
            f"(one-sided empirical p = {plain_number(row['p_switching'])})"
        )
    return plain(f"{words}.", longest=400)
