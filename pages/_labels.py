"""Labels that a person gives to the selected cells: the form, what there is, who did what, and undo."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from pages._label_store import annotations, label_columns, label_details
from pages._show import TableFile, downloads, plain_provenance
from pages._waiting import errors_as_text
from pages._words import cells_of, count, counted, file_stem, plain
from scfm_core.annotations import FIRST_COLUMN, Annotations, LabelColumn
from scfm_core.cell_set import CellSet
from scfm_core.cell_types import ADDRESS, RELEASE, cell_type, is_called, search_cell_types
from scfm_core.dataset import Dataset
from scfm_core.label_acts import redoable, undoable

NO_TERM = ""
AUTHOR = "author"  # session: the name that a person typed
_COLUMN = "label-column"
_MOST_TERMS = 12
_ACTS = {
    "column": "made the column",
    "rename": "renamed the column",
    "delete": "deleted the column",
    "give": "gave",
    "clear": "took the labels of",
    "undo": "undid",
    "redo": "did again",
}

__all__ = ["AUTHOR", "label_columns", "label_tab", "labels_without_selection"]


def label_tab(dataset: Dataset, chosen: CellSet) -> None:
    """Let the selected cells be given a label, and show all labels of the column."""
    left, right = st.columns([1, 2], gap="medium")
    with left, errors_as_text():
        author = _author()
        column = _choose_column(dataset, author)
        _give(dataset, chosen, column, author)
    with right, errors_as_text():
        _labels_of(dataset, column)
        _undo_and_history(dataset, author)


def labels_without_selection(dataset: Dataset) -> None:
    """Show what was labelled, and undo, where no cell is selected; nothing where there are no labels."""
    if not annotations(dataset).log.read():
        return
    with st.expander("Labels", icon=":material/label:"), errors_as_text():
        author = _author()
        _labels_of(dataset, _choose_column(dataset, author))
        _undo_and_history(dataset, author)


def _author() -> str:
    """Return the name of who is logged in, or one that the person types once."""
    user = st.user.to_dict()
    name = str(user.get("name") or user.get("email") or "")
    if name and user.get("is_logged_in"):
        st.caption(f"Labels are kept under the name {plain(name)}.")
        return name
    typed = st.text_input(
        "Your name", value=st.session_state.get(AUTHOR, ""), key="label-author", max_chars=80,
        help="Stands beside every label that you give, so that others know whom to ask.",
    )  # fmt: skip
    st.session_state[AUTHOR] = typed
    return typed.strip()


def _choose_column(dataset: Dataset, author: str) -> str:
    names = list(label_details(dataset)) or [FIRST_COLUMN]
    key = f"{_COLUMN}:{dataset.sha256[:10]}"
    if st.session_state.get(key) not in names:
        st.session_state[key] = names[-1]
    place, more = st.columns([3, 1], vertical_alignment="bottom")
    column = place.selectbox("Column of labels", names, key=key)
    with more.popover("", icon=":material/more_horiz:", help="New column, rename, delete"):
        _change_columns(dataset, column, author, key)
    return column


def _change_columns(dataset: Dataset, column: str, author: str, key: str) -> None:
    found, stem = annotations(dataset), f"{key}:{column}"
    there = column in label_details(dataset)
    new = st.text_input("New column", key=f"{stem}:new", placeholder="Its name")
    if st.button("Make it", key=f"{stem}:make", disabled=not (new and author)):
        _do(lambda: found.add_column(new, author=author), f"Made {new}.")
    name = st.text_input(f"Rename {plain(column)}", key=f"{stem}:name", placeholder="New name", disabled=not there)
    if st.button("Rename", key=f"{stem}:rename", disabled=not (name and author and there)):
        _do(lambda: found.rename_column(column, name, author=author), f"{column} is now {name}.")
    if st.button("Delete this column", key=f"{stem}:delete", disabled=not (author and there)):
        _do(lambda: found.delete_column(column, author=author), f"Deleted {column}. Undo brings it back.")
    if not author:
        st.caption("Type your name first.")


def _give(dataset: Dataset, chosen: CellSet, column: str, author: str) -> None:
    """Let a label and a term be chosen, and give or take it."""
    details = label_details(dataset).get(column)
    key = f"label-text:{dataset.sha256[:10]}"
    used = [] if details is None else list(details.values.cat.categories)
    label = st.text_input(
        "Label", key=key, max_chars=120, placeholder="Such as NK, CD14 mono, or your own words",
    ).strip()  # fmt: skip
    if used:
        st.pills(
            "Used before", used, key=f"{key}:used:{column}", on_change=_take_used, args=(key, f"{key}:used:{column}"),
        )  # fmt: skip
    term = _choose_term(label, details) if label else NO_TERM
    st.caption(_what_changes(chosen, details, label))
    words = f"Give it to {cells_of(len(chosen))}"
    if st.button(words, key="give-label", type="primary", width="stretch", disabled=not (label and author)):
        give = annotations(dataset).give
        _do(lambda: give(column, label, chosen, author=author, term=term), f"{cells_of(len(chosen))}: {label}.")
    if not author:
        st.caption("Type your name first.")
    n_labelled = 0 if details is None else int(details.values[chosen.mask].notna().sum())
    if n_labelled and st.button(
        f"Take the label from {cells_of(n_labelled)}", key="clear-label", width="stretch", disabled=not author
    ):
        _do(lambda: annotations(dataset).clear(column, chosen, author=author), "The labels are taken.")


def _take_used(key: str, pills: str) -> None:
    if st.session_state.get(pills):
        st.session_state[key] = st.session_state[pills]
        st.session_state[pills] = None


def _choose_term(label: str, details: LabelColumn | None) -> str:
    """Offer terms of the Cell Ontology for a label; the one that has this very name is chosen at the start."""
    found = search_cell_types(label, most=_MOST_TERMS)
    given = "" if details is None else details.terms.get(label, "")
    terms = {term.id: term for term in found} | ({given: cell_type(given)} if given else {})
    start = given or (found[0].id if found and is_called(found[0], label) else NO_TERM)
    options = [NO_TERM, *terms]
    term = st.selectbox(
        "Cell Ontology term", options, index=options.index(start), key=f"label-term:{label}:{given}",
        format_func=lambda name: f"{terms[name].label} ({name})" if name else "None: my own words",
        help=f"The Cell Ontology, release {RELEASE}, names cell types for all data sets alike. The term travels with "
        "the label when the dataset is exported.",
    )  # fmt: skip
    if term:
        synonyms = ", ".join(terms[term].synonyms[:6])
        also = f" Also called {plain(synonyms, longest=160)}." if synonyms else ""
        st.caption(f"[{term}]({ADDRESS}{term.replace(':', '_')}): {plain(terms[term].label)}.{also}")
    elif found:
        n_terms = counted(len(found), "term")
        st.caption(f"The list holds {n_terms} with such words, first {plain(found[0].label)}. Choose the one you mean.")
    else:
        st.caption("The Cell Ontology has no term with these words. The label is kept as you typed it.")
    return term


def _what_changes(chosen: CellSet, details: LabelColumn | None, label: str) -> str:
    """Say which of the selected cells have a label already."""
    if details is None:
        return "None of the selected cells has a label in this column."
    now = details.values[chosen.mask].value_counts()
    others = now[(now > 0) & (now.index != label)]
    words = [f"{count(number)} {plain(name)}" for name, number in others.head(4).items()]
    if not words:
        return "None of the selected cells has another label in this column."
    more = f", and {counted(len(others) - 4, 'more label')}" if len(others) > 4 else ""
    return f"Selected cells with another label now: {', '.join(words)}{more}. They change."


def _labels_of(dataset: Dataset, column: str) -> None:
    """Show the labels of a column."""
    details = label_details(dataset).get(column)
    st.markdown(f"**{plain(column)}**")
    if details is None or not len(details.values.cat.categories):
        st.caption("No cell has a label in this column yet.")
        return
    counts = details.values.value_counts()
    terms = [details.terms.get(name, "") for name in counts.index]
    names = [cell_type(term).label if term else "" for term in terms]
    table = pd.DataFrame(
        {"Label": counts.index.astype(str), "n cells": counts.to_numpy(), "Term": terms, "Cell type": names}
    )
    st.dataframe(table, hide_index=True, height=min(38 * (len(table) + 1), 300))
    n_without = int(details.values.isna().sum())
    st.caption(
        f"{counted(len(table), 'label')}, {cells_of(len(details.values) - n_without)} with one, {count(n_without)} "
        f"without. By {plain(', '.join(details.authors), longest=200)}. Maps can be coloured, and cells grouped, by "
        "this column. A label is somebody's reading of the data, and no measurement."
    )


def _undo_and_history(dataset: Dataset, author: str) -> None:
    """Offer undo and redo, and show who did what."""
    found = annotations(dataset)
    acts = found.log.read()
    last, undone = (find(acts, author) if author else None for find in (undoable, redoable))
    with st.container(horizontal=True):
        if st.button(
            "Undo", key="undo-label", icon=":material/undo:", disabled=last is None,
            help=None if last is None else f"Undoes what you did last: {_ACTS[last.act]} {plain(last.label)}",
        ):  # fmt: skip
            _do(lambda: found.undo(author=author), "Undone.")
        if st.button("Do again", key="redo-label", icon=":material/redo:", disabled=undone is None):
            _do(lambda: found.redo(author=author), "Done again.")
    if not acts:
        return
    if not author:
        st.caption("Undo is for what you did yourself: type your name first.")
    with st.expander(f"History: {counted(len(acts), 'act')}", icon=":material/history:"):
        table = _history_table(found)
        st.dataframe(table, hide_index=True, height=min(38 * (len(table) + 1), 320))
        downloads("label-history", stem=file_stem(dataset.title, "labels"), tables=_files(dataset, found))


def _history_table(found: Annotations) -> pd.DataFrame:
    history = found.history()
    return pd.DataFrame(
        {
            "When (UTC)": history["time"].str.slice(0, 19).str.replace("T", " "),
            "Who": history["author"],
            "Did": history["act"].map(_ACTS) + history["stands"].map({True: "", False: " (undone since)"}),
            "Label": history["label"],
            "n cells": history["n_cells"],
            "Column": history["column"],
            "Term": history["term"],
        }
    )


def _files(dataset: Dataset, found: Annotations) -> list[TableFile]:
    about = plain_provenance(dataset, ontology=f"Cell Ontology {RELEASE}", labels="given by people, see History")

    def of_cells() -> pd.DataFrame:
        table = pd.DataFrame({"cell": dataset.cells().index})
        for name, column in label_details(dataset).items():
            table[name] = column.values.array
            table[f"{name}, term"] = column.values.map(column.terms).array
        return table

    return [
        TableFile(label="Labels of the cells", table=of_cells, about=about, spreadsheet=dataset.n_cells <= 200_000),
        TableFile(label="History", table=found.history, about=about),
    ]


def _do(act: Callable[[], None], words: str) -> None:
    """Do something to the labels and show the page as it is then; what is wrong is said here."""
    with errors_as_text():
        act()
        st.toast(plain(words, longest=160), icon=":material/label:")
        st.rerun()
