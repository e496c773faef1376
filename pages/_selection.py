"""Everything that one asks of the selected cells: what they are, by which genes, a label, a dataset, a perturbation."""

import streamlit as st

from pages._labels import label_tab, labels_without_selection
from pages._perturb_selection import take_selection
from pages._selection_made_of import made_of_tab
from pages._selection_markers import markers_tab
from pages._selection_sets import change_selection, keep_buttons, select_groups
from pages._state import selection
from pages._subset import subset_tab
from pages._waiting import errors_as_text
from pages._words import cells_of, count, plain, share
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset

MADE_OF, MARKERS, LABEL, SUBSET, PERTURB = "Made of", "Markers", "Label", "New dataset", "Perturb"


@st.fragment
def selection_panel(dataset: Dataset) -> None:
    """Show the selection and what can be asked of it, for beneath the maps; it runs by itself, without the maps."""
    chosen = selection()
    with errors_as_text():
        if chosen is None:
            _nothing_selected(dataset)
        else:
            _panel(dataset, chosen)


def _nothing_selected(dataset: Dataset) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "Draw around cells on a map, or select whole groups. Then ask here what they are made of and which genes "
            "mark them, label them, or make them a dataset of their own.",
            width="stretch",
        )
        select_groups(dataset)
    labels_without_selection(dataset)


def _panel(dataset: Dataset, chosen: CellSet) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="selection-head"):
        st.subheader(f"The selection: {cells_of(len(chosen))}", anchor=False, width="content")
        st.caption(
            f"{share(len(chosen) / dataset.n_cells)} of {count(dataset.n_cells)}, {plain(chosen.label, longest=120)}",
            width="stretch",
        )
        keep_buttons(chosen)
        change_selection(dataset, chosen)
    tabs = {MADE_OF: made_of_tab, MARKERS: markers_tab, LABEL: label_tab, SUBSET: subset_tab, PERTURB: _perturb_tab}
    tab = st.segmented_control(
        "Ask of the selection", list(tabs), default=MADE_OF, required=True, key="selection:tab",
        persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    with errors_as_text():
        tabs[tab](dataset, chosen)


def _perturb_tab(dataset: Dataset, chosen: CellSet) -> None:
    st.markdown(
        f"Change genes in the input of a model for these {cells_of(len(chosen))} alone, and see where they move. The "
        "page Perturbation opens with the selection as its cells; any other kind of question there can take it too."
    )
    if st.button("Perturb these cells", key="perturb-selection", type="primary", icon=":material/arrow_forward:"):
        take_selection(dataset)
        st.switch_page("pages/5_Perturbation.py")
    st.caption(
        "What moves in a model's input space is the model's answer, beside random genes and PCA. It is no experiment."
    )
