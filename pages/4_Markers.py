"""Which genes tell groups of cells apart: over donors where there are any, in figures over the same cells, as files."""

import streamlit as st

from pages._frame import chosen_dataset, page_head
from pages._markers_asking import Asked, ask
from pages._markers_cutoffs import choose_cutoffs
from pages._markers_donors import show_designs
from pages._markers_enrichment import show_enrichment
from pages._markers_figures import show_figure_of
from pages._markers_genes import FOUND, choose_source, spread_over_groups
from pages._markers_table import show_table
from pages._methods import methods_and_code
from pages._names import name_groups
from pages._show import two_lines
from pages._waiting import answer, errors_as_text
from scfm_core.analyses.choose_markers import Cutoffs, choose_markers
from scfm_core.analyses.compare_donors import DonorComparison
from scfm_core.analyses.find_markers import Markers
from scfm_core.dataset import Dataset


def show_markers(
    asked: Asked, found: Markers | DonorComparison, cutoffs: Cutoffs, source: tuple[str, tuple[str, ...]]
) -> None:
    """Show one figure, then the table, then the files."""
    shown = choose_markers(found.table, cutoffs)
    kind, genes = source
    drawn = spread_over_groups(shown) if kind == FOUND else genes
    with errors_as_text():
        show_figure_of(asked, found, shown, drawn, cutoffs)
    if isinstance(found, DonorComparison):
        show_designs(asked, found)
    if shown.empty:
        st.info("No gene passes the cut-offs. Lower them under More, or choose other groups.")
        return
    show_table(asked, found, shown, cutoffs)


def controls(dataset: Dataset) -> tuple[Asked | None, Cutoffs, tuple[str, tuple[str, ...]]]:
    """Let the comparison, the cut-offs and the genes of the figures be chosen."""
    key = f"markers:{dataset.sha256[:10]}"
    asked = ask(dataset)
    return asked, choose_cutoffs(key), choose_source(dataset, key)


def _suggest_names(asked: Asked) -> None:
    """Suggest names for the groups, once a person asks for them."""
    if st.toggle(
        "Suggest names for these groups", False, key=f"markers:{asked.dataset.sha256[:10]}:names",
        persist_state="session", help="From marker sets, from a reference dataset, or by CellTypist.",
    ):  # fmt: skip
        name_groups(asked.dataset, asked.cells)


def main() -> None:
    """Ask for groups, find their markers, show them."""
    page_head("Markers", "Which genes tell these cells from the others?")
    dataset = chosen_dataset()
    left, right = st.columns([1, 3], gap="medium")
    asked = found = None
    with left, errors_as_text():
        asked, cutoffs, source = controls(dataset)
    if asked is None:
        return
    with right, errors_as_text():
        found = answer(asked.request)
        if found is not None:
            show_markers(asked, found, cutoffs, source)
        else:
            two_lines(
                "The genes that stand out in each group of cells, as soon as they are found.",
                "That these genes make the cells what they are, or that the groups are real.",
            )
    if found is not None:
        with errors_as_text():
            show_enrichment(asked, found.table, cutoffs)
        with errors_as_text():
            methods_and_code(dataset, [asked.request], "markers")
        with errors_as_text():
            _suggest_names(asked)


main()
