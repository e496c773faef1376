"""Keeps suggested names as labels of cells, after a person looked at them."""

import pandas as pd
import streamlit as st

from pages._label_store import annotations
from pages._labels import AUTHOR
from pages._state import engine
from pages._words import cells_of, counted, plain
from scfm_core.analyses.group_names import UNKNOWN, names_of_cells
from scfm_core.analyses.grouping import Grouping, group_labels
from scfm_core.cell_names import term_of
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError, ScfmError

COLUMN = "Suggested names"


def keep_names(dataset: Dataset, grouping: Grouping, table: pd.DataFrame, key: str) -> None:
    """Let names be changed and kept as a column of labels.

    Parameters
    ----------
    table
        Columns ``group``, ``name``, ``n_cells``.
    """
    with st.expander("Keep these names as labels", icon=":material/label:"):
        st.caption(
            "Change a name by a double click. Groups that stay unknown get no label. A name that is a term of the Cell "
            "Ontology carries its id."
        )
        shown = table[["group", "name", "n_cells"]].assign(term=table["name"].map(_term))
        stamp = "|".join(table["name"])
        edited = st.data_editor(
            shown, hide_index=True, disabled=["group", "n_cells", "term"], key=f"{key}:edit:{hash(stamp)}",
            column_config={"group": "Group", "name": st.column_config.TextColumn("Name", max_chars=120, required=True),
                           "n_cells": "n cells", "term": "Cell Ontology"},
        )  # fmt: skip
        column = st.text_input("Column of labels", COLUMN, max_chars=120, key=f"{key}:column").strip()
        author = st.text_input(
            "Your name", st.session_state.get(AUTHOR, ""), max_chars=80, key=f"{key}:author",
            help="Stands beside every label that you give.",
        ).strip()  # fmt: skip
        named = edited[(edited["name"].str.strip() != "") & (edited["name"] != UNKNOWN)]
        ready = bool(author and column and len(named))
        if st.button("Keep these names", type="primary", disabled=not ready, key=f"{key}:keep"):
            _keep(dataset, grouping, named, column=column, author=author)
        if not author:
            st.caption("Type your name first.")


def _keep(dataset: Dataset, grouping: Grouping, named: pd.DataFrame, *, column: str, author: str) -> None:
    try:
        n_cells = give_names(dataset, grouping, named, column=column, author=author)
    except ScfmError as error:
        st.error(plain(error, longest=600), icon=":material/error:")
        return
    st.session_state[AUTHOR] = author
    st.success(
        f"{cells_of(n_cells)} carry {counted(named['name'].nunique(), 'name')} in the column {plain(column)}. Undo and "
        "history stand with the labels on the page UMAP.",
        icon=":material/check:",
    )


def give_names(dataset: Dataset, grouping: Grouping, named: pd.DataFrame, *, column: str, author: str) -> int:
    """Give the cells of each group its name as a label; return how many cells have one now."""
    labels = group_labels(engine(), dataset, grouping)
    names = names_of_cells(labels, named.assign(name=named["name"].str.strip()))
    if not (names != "").any():
        msg = "No cell is in a group with a name. Name a group first."
        raise RequestError(msg, "no-cells")
    store = annotations(dataset)
    for name in dict.fromkeys(named["name"].str.strip()):
        cells = CellSet.from_mask(name, names == name)
        if len(cells):
            store.give(column, name, cells, author=author, term=_term(name))
    return int((names != "").sum())


def _term(name: object) -> str:
    return "" if name == UNKNOWN else term_of(str(name))
