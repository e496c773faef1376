"""Which genes tell groups of cells apart, as a table and in five figures over the same cells."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from pages._columns import MARKER_COLUMNS, in_percent
from pages._frame import chosen_dataset, page_head
from pages._models import baseline
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._state import cell_table, engine, grouping_columns, saved_selections
from pages._views import GENE as A_GENE
from pages._views import Colouring, MapSettings, choose_embedding, colour_values, hover_table
from pages._waiting import answer, errors_as_text
from pages._words import cells_of, count, counted, file_stem, plain
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_markers import FindMarkers, top_markers
from scfm_core.analyses.grouping import ByClusters, ByColumn, BySelections, Grouping, group_labels, in_reading_order
from scfm_core.analyses.read_expression import ReadExpression
from scfm_core.dataset import Dataset
from scfm_core.plots.cell_map import cell_map
from scfm_core.plots.figure import Figure
from scfm_core.plots.markers import dot_plot, heat_map, marker_violins, volcano

COLUMN, CLUSTERS, SELECTIONS = "A column", "Clusters", "Selections A and B"
REST = "rest"
TESTS = {"wilcoxon": "Wilcoxon rank sum", "t-test": "Welch's t-test"}
FIGURES = ("Dot plot", "Violins", "Heat map", "Volcano", "On the map")
MOST_GENES = {"Dot plot": 20, "Violins": 12, "Heat map": 60}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which of the tested genes are shown."""

    n_per_group: int
    max_p_adjusted: float
    min_log2_fold_change: float
    min_share_in: float


def choose_grouping(dataset: Dataset, key: str) -> Grouping | None:
    """Let the groups be chosen; None with a hint where the choice is not complete."""
    columns = grouping_columns(dataset)
    ways = [COLUMN, CLUSTERS, SELECTIONS] if columns else [CLUSTERS, SELECTIONS]
    way = st.selectbox("Groups by", ways, key=f"{key}:way", persist_state="session")
    if way == COLUMN:
        return ByColumn(st.selectbox("Column", columns, key=f"{key}:column", persist_state="session"))
    if way == CLUSTERS:
        embedding = choose_embedding(dataset, key, baseline())
        resolution = st.slider("Resolution", 0.1, 3.0, 1.0, 0.1, key=f"{key}:resolution", persist_state="session")
        return ByClusters(MapSettings(resolution=resolution).clusters(embedding))
    saved = saved_selections()
    if "A" in saved and "B" in saved:
        st.caption(f"A: {cells_of(len(saved['A']))}. B: {cells_of(len(saved['B']))}.")
        return BySelections((saved["A"], saved["B"]))
    missing = " and ".join(name for name in ("A", "B") if name not in saved)
    st.info(f"Draw around cells on the page UMAP and keep them as {missing}.", icon=":material/lasso_select:")
    return None


def choose_reference(grouping: Grouping, names: list[str], key: str) -> str:
    """Let the cells be chosen that each group is compared with."""
    options = [REST, *names]
    index = len(options) - 1 if isinstance(grouping, BySelections) else 0
    return st.selectbox(
        "Compared with", options, index=index, key=f"{key}:reference:{len(names)}:{index}",
        format_func=lambda name: "all other cells" if name == REST else name,
    )  # fmt: skip


def choose_filters(key: str) -> Filters:
    """Let the number of genes and the cut-offs be set."""
    n_per_group = st.slider("Genes per group, at most", 1, 50, 5, key=f"{key}:n", persist_state="session")
    with st.expander("More: cut-offs"):
        max_p = st.select_slider(
            "Adjusted p, at most", [1e-10, 1e-5, 0.001, 0.01, 0.05, 0.1, 1.0], value=0.05, key=f"{key}:p",
            persist_state="session", help="Benjamini-Hochberg over the genes of a group.",
        )  # fmt: skip
        fold = st.slider(
            "log2 fold change, at least", 0.0, 5.0, 0.25, 0.05, key=f"{key}:fold", persist_state="session",
            help="Of the mean counts per 10,000, with 1 added to both. 1 means twice as much.",
        )  # fmt: skip
        held = st.slider("Cells in the group that hold the gene, at least (%)", 0, 100, 10, key=f"{key}:share",
                         persist_state="session")  # fmt: skip
    return Filters(n_per_group=n_per_group, max_p_adjusted=max_p, min_log2_fold_change=fold, min_share_in=held / 100)


def group_names(dataset: Dataset, grouping: Grouping) -> list[str]:
    """Return the groups that are known without computing anything."""
    match grouping:
        case ByColumn():
            values = cell_table(dataset)[grouping.column].dropna().astype(str).unique()
            return in_reading_order(value for value in values if value)
        case BySelections():
            return [cells.label for cells in grouping.selections]
        case _:
            return []


def marker_figure(
    dataset: Dataset, request: FindMarkers, kind: str, shown: pd.DataFrame, table: pd.DataFrame
) -> Figure | None:
    """Draw one kind of figure; None while its numbers are being read."""
    if kind == "Volcano":
        group = st.selectbox("Group", list(dict.fromkeys(table["group"])), key="volcano-group")
        return volcano(table, group)
    if kind == "On the map":
        return gene_on_map(dataset, shown)
    genes = some_of_each_group(shown, MOST_GENES[kind])
    expression = answer(ReadExpression(dataset, tuple(genes["gene_id"])))
    if expression is None:
        return None
    groups = pd.Series(group_labels(engine(), dataset, request.grouping), name=grouping_words(request.grouping))
    make = {"Dot plot": dot_plot, "Violins": marker_violins, "Heat map": heat_map}[kind]
    return make(np.asarray(expression.values), list(genes["symbol"]), groups)


def some_of_each_group(shown: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return as many genes as a figure can hold, the strongest of every group."""
    n_each = max(1, most // shown["group"].nunique())
    return shown.groupby("group", sort=False).head(n_each).drop_duplicates("gene_id").head(most)


def gene_on_map(dataset: Dataset, shown: pd.DataFrame) -> Figure | None:
    """Draw one of the shown genes on the UMAP of the baseline."""
    names = dict(zip(shown["gene_id"], shown["symbol"], strict=True))
    gene_id = st.selectbox("Gene", list(names), format_func=names.__getitem__, key="marker-on-map")
    settings = MapSettings()
    embedding = EmbedCells(dataset, baseline())
    projection = answer(settings.projection(embedding))
    if projection is None:
        return None
    colour = colour_values(dataset, Colouring(A_GENE, gene_id, settings.clusters(embedding)))
    return cell_map(np.asarray(projection.coordinates), colour, hover=hover_table(dataset))


def grouping_words(grouping: Grouping) -> str:
    """Say what the groups are."""
    match grouping:
        case ByColumn():
            return grouping.column
        case ByClusters():
            return f"Leiden clusters, {grouping.clusters.embedding.model.title}"
        case _:
            return "selection"


def show_markers(dataset: Dataset, request: FindMarkers, table: pd.DataFrame, filters: Filters) -> None:
    """Show one figure, then the table, then the files."""
    shown = top_markers(
        table,
        n_per_group=filters.n_per_group,
        max_p_adjusted=filters.max_p_adjusted,
        min_log2_fold_change=filters.min_log2_fold_change,
        min_share_in=filters.min_share_in,
    )
    if shown.empty:
        st.info("No gene passes the cut-offs. Lower them under More, or choose other groups.")
        return
    kind = st.segmented_control("Figure", FIGURES, default=FIGURES[0], required=True, key="marker-figure",
                                persist_state="session", label_visibility="collapsed")  # fmt: skip
    figure = marker_figure(dataset, request, kind, shown, table)
    stem = file_stem(dataset.title, "markers", grouping_words(request.grouping))
    if figure is not None:
        draw(figure, f"markers:{kind}")
        say(figure)
        downloads("marker-figure", stem=f"{stem}-{file_stem(kind)}", figure=figure)
    n_tested, n_groups = table["gene_id"].nunique(), table["group"].nunique()
    st.markdown(f"**{counted(len(shown), 'gene')} of {counted(n_groups, 'group')}**")
    st.dataframe(in_percent(shown), hide_index=True, column_config=MARKER_COLUMNS, column_order=list(MARKER_COLUMNS))
    st.caption(
        f"{TESTS[request.method]} on ln(1 + counts per 10 000), {count(n_tested)} genes tested in each group against "
        f"{'all other cells' if request.reference == REST else plain(request.reference)}; p adjusted by "
        "Benjamini-Hochberg over the genes of a group. Cells of one donor are no independent replicates: the p-values "
        "rank genes, they do not speak about people."
    )
    about = provenance(
        dataset,
        request,
        test=TESTS[request.method],
        correction="Benjamini-Hochberg over the genes of each group",
        compared_with="all other cells" if request.reference == REST else request.reference,
        genes_tested=str(n_tested),
        cells=str(dataset.n_cells),
    )
    files = [
        TableFile(label="Shown genes", table=partial(pd.DataFrame, shown), about=about),
        TableFile(label="All genes tested", table=partial(pd.DataFrame, table), about=about, spreadsheet=False),
    ]
    downloads("marker-table", stem=stem, tables=files)


def main() -> None:
    """Ask for groups, find their markers, show them."""
    page_head("Markers", "Which genes tell these cells from the others?")
    dataset = chosen_dataset()
    key = f"markers:{dataset.sha256[:10]}"
    controls, picture = st.columns([1, 3], gap="medium")
    with controls, errors_as_text():
        grouping = choose_grouping(dataset, key)
        if grouping is None:
            return
        reference = choose_reference(grouping, group_names(dataset, grouping), key)
        method = st.selectbox("Test", list(TESTS), format_func=TESTS.__getitem__, key=f"{key}:test",
                              persist_state="session")  # fmt: skip
        filters = choose_filters(key)
    with picture, errors_as_text():
        request = FindMarkers(dataset, grouping, method=method, reference=reference)
        markers = answer(request)
        if markers is not None:
            show_markers(dataset, request, markers.table, filters)
            return
    with picture:
        two_lines(
            "The genes that stand out in each group of cells, as soon as they are found.",
            "That these genes make the cells what they are, or that the groups are real.",
        )


main()
