"""Selections kept for a comparison, and selections made from others: united, cut, inverted, grown to whole groups."""

import pandas as pd
import streamlit as st

from pages._groupings import cells_of_groups, group_names_of, grouping_choices
from pages._state import cell_table, clear_selection, save_selection, saved_selections, select_cells
from pages._words import cells_of, plain
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset

_OPERATIONS = {"Add": "in either", "Cut to": "in both", "Take away": "without"}


def keep_buttons(chosen: CellSet) -> None:
    """Let the selection be kept as A or B."""
    saved = saved_selections()
    for name in ("A", "B"):
        kept = f" ({cells_of(len(saved[name]))} now)" if name in saved else ""
        st.button(
            f"Keep as {name}{kept}", key=f"save-{name}", on_click=save_selection, args=(name, chosen),
            help="Two selections kept as A and B can be compared here and on the page Markers.",
        )  # fmt: skip


def change_selection(dataset: Dataset, chosen: CellSet) -> None:
    """Let the selection be combined with kept ones, inverted, or grown to whole groups."""
    with st.popover("Change", icon=":material/join:"):
        for name, kept in saved_selections().items():
            st.caption(f"With {name}, {cells_of(len(kept))}")
            with st.container(horizontal=True):
                for operation, words in _OPERATIONS.items():
                    made = _combined(operation, chosen, kept)
                    _offer(f"{operation} {name}", made, f"{words}: {cells_of(len(made))}", key=f"{operation}-{name}")
                _offer(f"Select {name}", kept, f"{cells_of(len(kept))}", key=f"select-{name}")
        if not saved_selections():
            st.caption("Keep a selection as A or B to combine others with it.")
        _offer("Invert", ~chosen, f"the other {cells_of(dataset.n_cells - len(chosen))}", key="invert")
        _grow(dataset, chosen)
        _choose_groups(dataset)


def select_groups(dataset: Dataset) -> None:
    """Let whole groups, or kept selections, become the selection."""
    with st.popover("Select groups", icon=":material/select_all:"):
        for name, kept in saved_selections().items():
            _offer(f"Select {name}", kept, cells_of(len(kept)), key=f"select-{name}")
        _choose_groups(dataset)


def _combined(operation: str, chosen: CellSet, kept: CellSet) -> CellSet:
    if operation == "Add":
        return chosen | kept
    return chosen & kept if operation == "Cut to" else chosen - kept


def _grow(dataset: Dataset, chosen: CellSet) -> None:
    columns = grouping_choices(dataset)
    if not columns:
        return
    column = st.selectbox("Grow to whole groups of", columns, key=f"grow:{dataset.sha256[:10]}")
    codes, _ = pd.factorize(cell_table(dataset)[column])
    grown = chosen.grown(codes, column)
    _offer("Grow", grown, f"all {cells_of(len(grown))} of the groups that hold a selected cell", key="grow")


def _choose_groups(dataset: Dataset) -> None:
    columns = grouping_choices(dataset)
    if not columns:
        st.caption("No column of the cell table tells cells apart into groups.")
        return
    column = st.selectbox("Whole groups of", columns, key=f"groups-of:{dataset.sha256[:10]}")
    names = st.multiselect(
        "Groups", group_names_of(dataset, column), key=f"groups:{dataset.sha256[:10]}:{column}", wrap=True,
        select_all=False, placeholder="Choose groups",
    )  # fmt: skip
    if names:
        made = cells_of_groups(dataset, column, names)
        _offer("Select these groups", made, cells_of(len(made)), key="select-groups")


def _offer(label: str, made: CellSet, words: str, *, key: str) -> None:
    """Offer a set of cells as the selection."""
    if st.button(label, key=f"sets:{key}", disabled=not len(made), help=plain(words, longest=160)):
        clear_selection()  # the maps forget what was drawn
        select_cells(made)
        st.rerun()
