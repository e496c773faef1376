"""One figure of markers at a time, all over the same cells."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import streamlit as st

from pages._markers_asking import Asked
from pages._markers_donors import donors_figure
from pages._markers_genes import FIGURE_FIELD, in_order_of_groups, turn_pages
from pages._markers_map import gene_on_map, two_genes
from pages._markers_volcano import volcano_picker
from pages._show import downloads, draw, say
from pages._waiting import answer
from pages._words import file_stem
from scfm_core.analyses.choose_markers import Cutoffs
from scfm_core.analyses.compare_donors import CompareDonors, DonorComparison
from scfm_core.analyses.find_markers import Markers
from scfm_core.analyses.sample_expression import MOST_CELLS, SampleExpression
from scfm_core.analyses.summarise_groups import SummariseGroups
from scfm_core.plots.donor_strips import MAX_GENES as MOST_STRIPS
from scfm_core.plots.dot_plot import dot_plot
from scfm_core.plots.figure import Figure
from scfm_core.plots.marker_grid import MAX_GENES
from scfm_core.plots.marker_heat_map import marker_heat_map
from scfm_core.plots.marker_violins import MAX_VIOLIN_GENES, marker_violins
from scfm_core.plots.matrix_plot import matrix_plot

DOTS, MATRIX, VIOLINS, HEAT, DONORS, VOLCANO, ON_MAP, TOGETHER = (
    "Dot plot", "Matrix", "Violins", "Heat map", "Donors", "Volcano", "Map", "Two genes",
)  # fmt: skip
EXPLORATORY = "Exploratory: cells are not replicates."
_MOST_SAMPLED = 12_000  # cells of a heat map and violins read at once; the figures say how many they draw
_SCALES = {
    "mean": "Means as they are",
    "per gene": "Each gene from 0 to 1",
    "z-score": "z-scores over the groups",
}


def show_figure_of(
    asked: Asked, found: Markers | DonorComparison, shown: pd.DataFrame, genes: tuple[str, ...], cutoffs: Cutoffs
) -> None:
    """Let a kind of figure be chosen, and show it with its words and files.

    Parameters
    ----------
    shown
        The rows of the table that pass the cut-offs.
    genes
        Ids of the genes to draw.
    """
    kinds = (DOTS, MATRIX, VIOLINS, HEAT, *(() if asked.exploratory else (DONORS,)), VOLCANO, ON_MAP, TOGETHER)
    kind = st.segmented_control("Figure", kinds, default=kinds[0], required=True, key=FIGURE_FIELD,
                                persist_state="session", label_visibility="collapsed")  # fmt: skip
    if asked.exploratory:
        st.badge(EXPLORATORY.rstrip("."), icon=":material/science:", color="orange")
    if kind == VOLCANO:
        volcano_picker(asked, found.table, cutoffs)
        return
    if kind == TOGETHER:
        two_genes(asked, genes)
        return
    if kind == ON_MAP:
        gene_on_map(asked, genes)
        return
    if not genes:
        st.info("No gene to draw. Loosen the cut-offs, or name genes of your own.", icon=":material/search_off:")
        return
    if kind == DONORS and isinstance(asked.request, CompareDonors) and isinstance(found, DonorComparison):
        figure = donors_figure(asked, asked.request, found, genes, MOST_STRIPS)
    else:
        figure = _grid(asked, kind, genes, shown)
    if figure is not None:
        draw(figure, f"markers:{kind}")
        say(figure)
        stem = file_stem(asked.dataset.title, "markers", asked.groups_are, kind)
        downloads("marker-figure", stem=stem, figure=_marked(figure, asked))


def _grid(asked: Asked, kind: str, genes: tuple[str, ...], shown: pd.DataFrame) -> Figure | None:
    """Return a figure of genes over groups of cells; None while its numbers are being read."""
    drawing = _DRAW[kind]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        most = MAX_VIOLIN_GENES if kind == VIOLINS else _genes_per_figure()
        page = in_order_of_groups(turn_pages(genes, most, f"{asked.key}:{kind}"), shown)
    figure = drawing(asked, page)
    if figure is None:
        return None
    cells = f" The cells are those of {asked.within}." if asked.within else ""
    return replace(figure, caption=f"{figure.caption}{cells}")


def _genes_per_figure() -> int:
    n_genes = st.number_input(
        "Genes per figure", 5, MAX_GENES, 50, 5, key="marker-genes-per-figure", persist_state="session", width=160,
        help=f"Up to 20 stand side by side, more beneath each other; at most {MAX_GENES}.",
    )  # fmt: skip
    return int(n_genes)


def _dots(asked: Asked, genes: tuple[str, ...]) -> Figure | None:
    summary = answer(SummariseGroups(asked.dataset, asked.cells, genes))
    return None if summary is None else dot_plot(summary, groups_are=asked.groups_are)


def _matrix(asked: Asked, genes: tuple[str, ...]) -> Figure | None:
    scale = st.segmented_control(
        "Scale", list(_SCALES), format_func=_SCALES.__getitem__, default="mean", required=True, key="marker-scale",
        persist_state="session",
    )  # fmt: skip
    summary = answer(SummariseGroups(asked.dataset, asked.cells, genes))
    return None if summary is None else matrix_plot(summary, scale=scale, groups_are=asked.groups_are)


def _violins(asked: Asked, genes: tuple[str, ...]) -> Figure | None:
    sample = answer(SampleExpression(asked.dataset, asked.cells, genes, n_cells=MOST_CELLS))
    return None if sample is None else marker_violins(sample, groups_are=asked.groups_are)


def _heat(asked: Asked, genes: tuple[str, ...]) -> Figure | None:
    scores = st.toggle("Each gene as z-score", True, key="marker-heat-scores", persist_state="session")
    sample = answer(SampleExpression(asked.dataset, asked.cells, genes, n_cells=_MOST_SAMPLED))
    return None if sample is None else marker_heat_map(sample, standardise=scores, groups_are=asked.groups_are)


def _marked(figure: Figure, asked: Asked) -> Figure:
    """Return a figure whose file says that it is exploratory, where it is."""
    return replace(figure, title=f"{figure.title} (markers over cells: exploratory)") if asked.exploratory else figure


_DRAW: dict[str, Callable[[Asked, tuple[str, ...]], Figure | None]] = {
    DOTS: _dots, MATRIX: _matrix, VIOLINS: _violins, HEAT: _heat,
}  # fmt: skip
