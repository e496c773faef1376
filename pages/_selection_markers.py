"""Which genes mark the selected cells, against all others or a kept selection; found at once, beneath the map."""

import pandas as pd
import streamlit as st

from pages._columns import MARKER_COLUMNS, in_percent
from pages._selection_made_of import choose_beside
from pages._show import TableFile, downloads, draw, provenance, say
from pages._state import save_selection
from pages._waiting import answer
from pages._words import cells_of, count, file_stem
from scfm_core.analyses.find_markers import FindMarkers, top_markers
from scfm_core.analyses.grouping import BySelections
from scfm_core.analyses.rank_genes import REST
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.plots.volcano import volcano

SELECTION = "Selection"
_SHOWN = 15
_PICTURE = 380  # pixels, in a small window
_TEST = "Wilcoxon rank sum"


def markers_tab(dataset: Dataset, chosen: CellSet) -> None:
    """Find and show the genes that tell the selection from the cells beside it."""
    left, right = st.columns([1, 3], gap="medium")
    with left:
        against = choose_beside(dataset, chosen, "selection-markers")
        n_shown = st.slider("Genes in the table", 5, 100, _SHOWN, 5, key="selection-markers:n")
        _open_markers(dataset, chosen, against)
    with right:
        request = markers_request(dataset, chosen, against)
        found = answer(request, place="selection-markers")
        if found is not None:
            _show(dataset, request, found.table, n_shown)


def markers_request(dataset: Dataset, chosen: CellSet, against: CellSet | None) -> FindMarkers:
    """Return the question for the markers of the selection; cells that are also in ``against`` count as selected.

    Raises
    ------
    RequestError
        If no cell is left to compare with.
    """
    mine = chosen.called(SELECTION)
    if against is None:
        return FindMarkers(dataset, BySelections((mine,)), reference=REST)
    other = (against - chosen).called(against.label)
    if not len(other):
        msg = f"All cells of {against.label} are selected, so none is left to compare with. Choose other cells."
        raise RequestError(msg, "nothing-to-compare")
    return FindMarkers(dataset, BySelections((mine, other)), reference=other.label)


def _show(dataset: Dataset, request: FindMarkers, table: pd.DataFrame, n_shown: int) -> None:
    beside = "all other cells" if request.reference == REST else request.reference
    shown = top_markers(table, n_per_group=n_shown)
    picture, words = st.columns([11, 9], gap="medium")
    with picture:
        figure = volcano(table, SELECTION)
        draw(figure, "selection-volcano", width=_PICTURE)
        say(figure)
    with words:
        columns = ["symbol", "log2_fold_change", "share_in", "share_out", "p_adjusted"]
        st.dataframe(in_percent(shown), hide_index=True, column_config=MARKER_COLUMNS, column_order=columns, height=420)
        n_in, n_out = (cells_of(int(table[name].iloc[0])) for name in ("n_in", "n_out"))
        st.caption(
            f"{_TEST} of {n_in} against {n_out} ({beside}), {count(table['gene_id'].nunique())} genes tested, p "
            "adjusted by Benjamini-Hochberg. Shown: adjusted p at most 0.05, log2 fold change at least 0.25, held by "
            "at least 10 % of the selected cells. The cells were selected from the same counts and are no replicates: "
            "the p-values rank genes and prove nothing about people."
        )
    about = provenance(
        dataset, request, test=_TEST, correction="Benjamini-Hochberg over the genes tested", compared_with=beside,
        n=f"{n_in} against {n_out}", status="exploratory: cells are no replicates",
    )  # fmt: skip
    files = [
        TableFile(label="Shown genes", table=lambda: shown, about=about),
        TableFile(label="All genes tested", table=lambda: table, about=about),
    ]
    downloads("selection-markers", stem=file_stem(dataset.title, "selection-markers"), figure=figure, tables=files)


def _open_markers(dataset: Dataset, chosen: CellSet, against: CellSet | None) -> None:
    if st.button(
        "Open on the Markers page", key="selection-to-markers", width="stretch", icon=":material/arrow_forward:",
        help="Keeps the selection as A, and the cells beside it as B.",
    ):  # fmt: skip
        save_selection("A", chosen)
        save_selection("B", ~chosen if against is None else against - chosen)
        st.session_state[f"markers:{dataset.sha256[:10]}:way"] = "Selections A and B"
        st.switch_page("pages/4_Markers.py")
    st.caption("There: dot plots, heat maps, other tests, and donors as replicates where the dataset has them.")
