"""Up to four linked maps of the same cells, one selection in all, and what one asks of it."""

import pandas as pd
import streamlit as st

from pages._columns import in_percent, percent_columns
from pages._frame import chosen_dataset, page_head
from pages._maps import choose_layout, maps_side_by_side, maps_split
from pages._show import TableFile, downloads, two_lines
from pages._state import cell_table, grouping_columns, save_selection, saved_selections, selection
from pages._waiting import errors_as_text
from pages._words import cells_of, file_stem
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset


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


page_head("UMAP", "Which cells lie together, and do embeddings agree on it?")
current = chosen_dataset()
n_views, split_by, chosen_settings = choose_layout(current)
if split_by:
    figures, asked = maps_split(current, chosen_settings, split_by)
else:
    figures, asked = maps_side_by_side(current, chosen_settings, n_views)
if figures:
    two_lines(" ".join(dict.fromkeys(figure.caption for figure in figures)), figures[0].caveat)
now = selection()
if now is not None:
    with errors_as_text():
        selected_cells(current, now)
