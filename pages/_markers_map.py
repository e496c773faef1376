"""One gene on a map, or two: in which cells they are found together, and how often in each group."""

import numpy as np
import pandas as pd
import streamlit as st

from pages._columns import in_percent
from pages._gene_search import put_gene, search_gene
from pages._map import show_map
from pages._markers_asking import Asked
from pages._models import baseline
from pages._show import TableFile, downloads, provenance, say, two_lines
from pages._views import MapSettings, choose_embedding, settings_key
from pages._waiting import answer
from pages._words import cells_of, count, file_stem, plain, plain_number
from scfm_core.analyses.coexpress_genes import CoexpressGenes, Coexpression
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.analyses.read_expression import log_expression
from scfm_core.dataset import Dataset
from scfm_core.genes import symbol_of
from scfm_core.plots.marker_grid import UNIT

_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
_CAVEAT = (
    "That the two genes act together. A gene that was missed counts as absent, and deep cells hold more of every gene, "
    "so two unrelated genes are found together more often than apart wherever depths differ: compare the odds ratio at "
    "like depth. Cells are not replicates."
)


def gene_on_map(asked: Asked, genes: tuple[str, ...]) -> None:
    """Draw one gene on the map of a model or of the baseline."""
    left, right = st.columns(2)
    with left:
        gene_id = search_gene(asked.dataset, "marker-on-map", "Gene")
    with right:
        projection = _projection(asked.dataset)
    if genes:
        _offer(asked.dataset, genes)
    if gene_id is None:
        return
    symbol = symbol_of(asked.dataset, gene_id)
    colour = pd.Series(log_expression(asked.dataset, gene_id), name=f"{symbol}, {UNIT}")
    colour.attrs["scale"] = "expression"
    figure = show_map(asked.dataset, projection, colour, key="marker-map")
    if figure is not None:
        say(figure)
        downloads("marker-map", stem=file_stem(asked.dataset.title, "map", symbol), figure=figure)


def two_genes(asked: Asked, genes: tuple[str, ...]) -> None:
    """Draw which cells hold the first gene, the second, both, and count them in each group."""
    left, middle, right = st.columns(3)
    _start_with(asked.dataset, genes)
    with left:
        first = search_gene(asked.dataset, "together-1", "First gene")
    with middle:
        second = search_gene(asked.dataset, "together-2", "Second gene")
    with right:
        projection = _projection(asked.dataset)
    if first is None or second is None:
        return
    if first == second:
        st.info("Choose two different genes.", icon=":material/looks_two:")
        return
    request = CoexpressGenes(asked.dataset, asked.cells, first, second)
    found = answer(request, place="together")
    if found is None:
        return
    figure = show_map(asked.dataset, projection, _states(found), key="together-map", title=_title(found))
    one, two = found.symbols
    seen = (
        f"Every cell by whether it holds at least one count of {one}, of {two}, of both or of neither. All cells of "
        "the dataset are drawn; the table counts those of the comparison."
    )
    two_lines(seen, _CAVEAT)
    shown = in_percent(found.table)
    st.dataframe(shown, hide_index=True, column_config=_columns(one, two), column_order=list(_columns(one, two)))
    st.caption(
        f"n = {cells_of(int(found.table['n_cells'].iloc[-1]))} in {plain(asked.groups_are)}. Odds ratio of holding "
        "both: 1 means no more often together than by chance; interval by Woolf over cells, 0.5 added to each count. "
        "At like depth: Mantel-Haenszel over tenths of the total counts. Nothing is tested."
    )
    about = provenance(asked.dataset, request, genes=f"{one} ({first}), {two} ({second})")
    tables = [TableFile(label="Two genes", table=lambda: found.table, about=about)]
    downloads("together", stem=file_stem(asked.dataset.title, one, two), figure=figure, tables=tables)


def _projection(dataset: Dataset) -> ProjectCells:
    """Let the embedding of the map be chosen; the map's settings are those of the page UMAP."""
    settings: MapSettings = st.session_state.get(settings_key(dataset)) or MapSettings()
    return settings.projection(choose_embedding(dataset, "marker-map", baseline()))


def _offer(dataset: Dataset, genes: tuple[str, ...]) -> None:
    """Offer the strongest of the genes in the figures, one click each."""
    with st.container(horizontal=True, gap="small"):
        for gene in genes[:12]:
            st.button(
                plain(symbol_of(dataset, gene)), key=f"on-map:{gene}", type="tertiary", on_click=put_gene,
                args=(dataset, "marker-on-map", gene),
            )  # fmt: skip


def _start_with(dataset: Dataset, genes: tuple[str, ...]) -> None:
    """Start with the two strongest genes, once."""
    started = f"together-started:{dataset.sha256[:10]}"
    if len(genes) > 1 and not st.session_state.get(started):
        st.session_state[started] = True
        put_gene(dataset, "together-1", genes[0])
        put_gene(dataset, "together-2", genes[1])


def _states(found: Coexpression) -> pd.Series:
    """Return which of the two each cell holds; cells with neither are drawn grey."""
    one, two = found.symbols
    states = pd.Categorical.from_codes(np.asarray(found.states) - 1, [f"{one} only", f"{two} only", "both"])
    colour = pd.Series(states, name=f"{one} and {two}")
    colour.attrs["missing"] = "neither"
    return colour


def _title(found: Coexpression) -> str:
    one, two = found.symbols
    row = found.table.iloc[-1]
    return (
        f"{one} and {two}: {plain_number(100 * row['share_both'])} % of n = {count(row['n_cells'])} cells hold both, "
        f"{plain_number(100 * row['share_expected'])} % expected by chance"
    )


def _columns(one: str, two: str) -> dict[str, object]:
    share = "%.3g %%"
    return {
        "group": _text("Group"),
        "n_cells": _number("n cells"),
        "n_neither": _number("Neither"),
        "n_first": _number(f"{one} only"),
        "n_second": _number(f"{two} only"),
        "n_both": _number("Both"),
        "share_first": _number(f"{one} only", format=share),
        "share_second": _number(f"{two} only", format=share),
        "share_both": _number("Both", format=share),
        "share_expected": _number("Both, expected", format=share, help="Were the two independent within the group."),
        "odds_ratio": _number("Odds ratio", format="%.3g"),
        "odds_low": _number("95 % from", format="%.3g", help="Over cells, which are not replicates."),
        "odds_high": _number("to", format="%.3g"),
        "odds_at_like_depth": _number("At like depth", format="%.3g", help="Among cells of like total counts."),
    }
