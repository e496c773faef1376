"""The volcano as a gene picker: genes clicked or drawn around become a list for figures, files and other pages."""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages._gene_set_making import PICKED_GENES, keep_gene_set
from pages._markers_asking import Asked
from pages._markers_genes import FIGURE_FIELD, PICKED, picked_genes, source_field
from pages._perturb_chosen import take_to_chosen
from pages._show import downloads, say, theme
from pages._waiting import show_error
from pages._words import count, counted, file_stem
from scfm_core.analyses.choose_markers import Cutoffs
from scfm_core.dataset import Dataset
from scfm_core.errors import ScfmError
from scfm_core.genes import symbol_of
from scfm_core.plots.screen import to_plotly
from scfm_core.plots.volcano import genes_of_group, volcano

MOST_PICKED, _MOST_PERTURBED = 500, 25
_WAYS = {"Click": "pan", "Lasso": "lasso", "Box": "select"}  # clicks choose only where dragging does not
_ROUND = "picked-round"  # session: changes when the list is cleared, so that the figure forgets what was drawn on it
_CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["toImage", "autoScale2d", "zoomIn2d", "zoomOut2d"]}


def volcano_picker(asked: Asked, table: pd.DataFrame, cutoffs: Cutoffs) -> None:
    """Draw the genes of one group; what is clicked or drawn around joins the list beneath."""
    left, right = st.columns(2, vertical_alignment="bottom")
    group = left.selectbox("Group", list(dict.fromkeys(table["group"])), key=f"{asked.key}:volcano")
    way = right.segmented_control(
        "Pick genes by", list(_WAYS), default=next(iter(_WAYS)), required=True, key="pick-by", persist_state="session",
        help="What is clicked or drawn around joins the list beneath. The thresholds are those of the cut-offs.",
    )  # fmt: skip
    picked = picked_genes(asked.dataset)
    figure = volcano(
        table, group, max_p_adjusted=cutoffs.max_p_adjusted, min_log2_fold_change=cutoffs.min_log2_fold_change,
        picked=picked,
    )  # fmt: skip
    picture = to_plotly(figure, theme=theme())
    picture.update_layout(dragmode=_WAYS[way], clickmode="event+select", height=520)
    key = f"{asked.key}:volcano:{group}:{way}:{st.session_state.get(_ROUND, 0)}"
    ids = tuple(genes_of_group(table, group)["gene_id"])
    st.plotly_chart(
        picture, key=key, theme=None, config=_CHART, on_select=partial(_take, key, ids, asked.dataset),
        selection_mode=("points", "lasso", "box"), alt=figure.title,
    )  # fmt: skip
    say(figure)
    downloads("marker-volcano", stem=file_stem(asked.dataset.title, "volcano", group), figure=figure)
    _picked_list(asked.dataset, group)


def pick(dataset: Dataset, gene_ids: list[str]) -> None:
    """Add genes to the list."""
    known = [*picked_genes(dataset), *gene_ids]
    st.session_state[PICKED_GENES] = list(dict.fromkeys(known))[:MOST_PICKED]


def _take(key: str, ids: tuple[str, ...], dataset: Dataset) -> None:
    event: Any = st.session_state.get(key)
    points = [] if event is None else event["selection"]["points"]
    rows = [_row(point.get("customdata")) for point in points]
    pick(dataset, [ids[row] for row in rows if row is not None])


def _row(told: Any) -> int | None:
    """Return the row of a point; plotly tells it alone or in a list, and of a ring around a point nothing."""
    value = told[0] if isinstance(told, list) and told else told
    return int(value) if isinstance(value, int | float) else None


def _picked_list(dataset: Dataset, group: str) -> None:
    """Show the picked genes, and hand them on."""
    genes = picked_genes(dataset)
    if not genes:
        st.caption("No gene is picked yet: click genes above, or draw around them.")
        return
    symbols = [symbol_of(dataset, gene) for gene in genes]
    st.markdown(f"**{counted(len(genes), 'gene')} picked**")
    st.code(", ".join(symbols), language=None, wrap_lines=True)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button(
            "To the figures", key="picked-to-figures", icon=":material/grid_on:", on_click=_show_picked, args=(dataset,)
        )
        if st.button(
            "To Perturbation", key="picked-to-perturbation", icon=":material/arrow_forward:",
            help=f"The first {_MOST_PERTURBED} become the chosen genes there.",
        ):  # fmt: skip
            take_to_chosen(dataset, list(genes[:_MOST_PERTURBED]))
            st.switch_page("pages/5_Perturbation.py")
        with st.popover("Keep as gene set", icon=":material/bookmark:"):
            _keep(dataset, symbols, group)
        with st.popover("Take out", icon=":material/backspace:"):
            gone = st.multiselect("Genes", symbols, key=f"picked-out:{len(genes)}")
            if st.button("Take these out", key="picked-drop", disabled=not gone):
                kept = [gene for gene, symbol in zip(genes, symbols, strict=True) if symbol not in gone]
                _start_anew(kept)
                st.rerun()
        if st.button("Clear", key="picked-clear", icon=":material/close:", type="tertiary"):
            _start_anew([])
            st.rerun()


def _keep(dataset: Dataset, symbols: list[str], group: str) -> None:
    name = st.text_input("Name", f"Picked, {group}", key=f"picked-name:{group}", max_chars=80)
    if st.button("Keep it", key="picked-keep", type="primary"):
        try:
            kept = keep_gene_set(name, symbols, f"picked on the volcano of {group}, {dataset.title}")
        except ScfmError as error:
            show_error(error)
        else:
            st.success(f"Kept: {count(len(kept.genes))} genes. Every list of gene sets offers it.")


def _show_picked(dataset: Dataset) -> None:
    """Choose the picked genes and the first figure, before the page is run again."""
    st.session_state[source_field(dataset)] = PICKED
    st.session_state[FIGURE_FIELD] = "Dot plot"


def _start_anew(genes: list[str]) -> None:
    st.session_state[PICKED_GENES] = genes
    st.session_state[_ROUND] = int(st.session_state.get(_ROUND, 0)) + 1
