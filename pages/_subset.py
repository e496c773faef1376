"""The selected cells as a dataset of their own, with their labels, and with what it was taken from."""

import numpy as np
import streamlit as st

from pages._label_store import annotations
from pages._state import use_dataset
from pages._waiting import errors_as_text
from pages._words import cells_of, count, plain
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset, subset_dataset
from scfm_core.errors import ScfmError

_FEW = 50


def subset_tab(dataset: Dataset, chosen: CellSet) -> None:
    """Let the selected cells become a dataset, which is then open on the page Embedding."""
    name = f"{dataset.title}, {count(len(chosen))} selected cells"
    title = st.text_input(
        "Name of the new dataset", value=name, key=f"subset:{dataset.sha256[:10]}:{len(chosen)}", max_chars=200
    )
    st.caption(
        "The counts, the columns and the labels of these cells are copied; this dataset stays as it is. Embed the new "
        "one again, and its map can be compared with where the cells stood before. A map of few alike cells shows "
        "differences that the whole map has no room for, and noise too."
    )
    if len(chosen) < _FEW:
        st.caption(f"{cells_of(len(chosen))} are few: maps and clusters of fewer than {_FEW} cells mean little.")
    whole = len(chosen) == dataset.n_cells
    if whole:
        st.caption("All cells are selected; this is the dataset that is open.")
    if st.button(
        f"Make a dataset of {cells_of(len(chosen))}", key="make-subset", type="primary", disabled=whole or not title
    ):
        with errors_as_text(), st.spinner("Writing the new dataset"):
            use_dataset(make_subset(dataset, chosen, title))
            st.switch_page("pages/2_Embedding.py")


def make_subset(dataset: Dataset, chosen: CellSet, title: str) -> Dataset:
    """Write the dataset of some cells, with their labels."""
    note = f"{len(chosen):,} of {dataset.n_cells:,} cells of {dataset.title!r} were selected: {chosen.label}."
    part = subset_dataset(dataset, np.asarray(chosen.mask), title=title, note=note)
    try:
        annotations(dataset).copy_to(annotations(part), chosen)
    except ScfmError as error:
        st.toast(f"The labels were not copied. {plain(error, longest=300)}", icon=":material/error:", duration="long")
    if part.title != title:
        st.toast(f"These cells are a dataset already, called {plain(part.title)}. It is open now.")
    return part
