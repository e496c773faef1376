"""The table of markers, what it rests on, and its files."""

from functools import partial

import pandas as pd
import streamlit as st

from pages._columns import MARKER_COLUMNS, in_percent
from pages._markers_asking import Asked
from pages._markers_donors import design_files, missing_words
from pages._markers_figures import EXPLORATORY
from pages._show import TableFile, downloads, provenance
from pages._words import cells_of, count, counted, file_stem, plain
from scfm_core.analyses.choose_markers import Cutoffs
from scfm_core.analyses.compare_donors import DonorComparison
from scfm_core.analyses.find_markers import Markers

_number = st.column_config.NumberColumn
_MOST_ROWS = 5000
_TESTS = {"wilcoxon": "Wilcoxon rank sum", "t-test": "Welch's t-test"}
_DONOR_COLUMNS = {
    "log2_fold_change_error": _number("its error", format="%.2g", help="Standard error of the log2 fold change."),
    "n_donors_in": _number("Donors in"),
    "n_donors_out": _number("Donors out"),
    "base_mean": _number("Mean count", format="%.3g", help="Per sample, scaled to equal depth."),
    "note": st.column_config.TextColumn(
        "Note",
        help="outlier: no p, one donor is far from the others. few counts: "
        "left out by independent filtering, no adjusted p.",
    ),  # fmt: skip
}


def show_table(asked: Asked, found: Markers | DonorComparison, shown: pd.DataFrame, cutoffs: Cutoffs) -> None:
    """Show the genes that pass the cut-offs, with the test beside them, and hand out files."""
    table = found.table
    n_groups = shown["group"].nunique()
    n = cells_of(int(asked.n_cells.sum()))
    st.markdown(f"**{counted(len(shown), 'gene')} of {counted(n_groups, 'group')}, n = {n}**")
    columns = MARKER_COLUMNS if asked.exploratory else _with_donors()
    rows = shown.head(_MOST_ROWS)
    st.dataframe(in_percent(rows), hide_index=True, column_config=columns, column_order=list(columns))
    if len(shown) > len(rows):
        st.caption(f"The first {count(len(rows))} of {count(len(shown))} rows; the file holds all.")
    st.caption(table_words(asked, table))
    about = provenance(asked.dataset, asked.request, **facts(asked, table, cutoffs))
    files = [
        TableFile(label="Shown genes", table=partial(pd.DataFrame, shown), about=about),
        TableFile(label="All genes tested", table=partial(pd.DataFrame, table), about=about, spreadsheet=False),
        *(design_files(asked, found) if isinstance(found, DonorComparison) else []),
    ]
    downloads("marker-table", stem=file_stem(asked.dataset.title, "markers", asked.groups_are), tables=files)


def table_words(asked: Asked, table: pd.DataFrame) -> str:
    """Say which test it is, over what, and how far it carries."""
    n_tested = table["gene_id"].nunique()
    among = f" among {plain(asked.within, longest=120)}" if asked.within else ""
    against = plain(asked.against)
    if asked.exploratory:
        return (
            f"**{EXPLORATORY}** {_TESTS[asked.request.method]} on ln(1 + counts per 10 000), {count(n_tested)} genes "
            f"tested in each group against {against}{among}; p adjusted by Benjamini-Hochberg over the genes of a "
            "group. Cells of one donor are no independent replicates: the p-values rank genes, they do not speak about "
            "people."
        )
    return (
        f"Counts per donor, compared by DESeq2's model (PyDESeq2, Wald's test), {count(n_tested)} genes tested, each "
        f"group against {against}{among}; p adjusted by Benjamini-Hochberg over the genes of a group after independent "
        f"filtering.{missing_words(table)} n in and n out count the cells of the samples."
    )


def facts(asked: Asked, table: pd.DataFrame, cutoffs: Cutoffs) -> dict[str, str]:
    """Return what stands in the header of every file beside the question."""
    return {
        **({"status": "exploratory: cells are not replicates"} if asked.exploratory else {}),
        "compared_with": asked.against,
        "among": asked.within or "all cells",
        "n": f"{int(asked.n_cells.sum()):,} cells in {len(asked.groups)} groups; of each group: columns n_in, n_out",
        "genes_tested": f"{table['gene_id'].nunique():,}",
        "cut_offs_of_shown_genes": cutoffs.words,
    }


def _with_donors() -> dict[str, object]:
    """Return the columns of a comparison between donors, in the order of reading."""
    first = ("group", "symbol", "log2_fold_change", "p_adjusted")
    return {name: MARKER_COLUMNS[name] for name in first} | _DONOR_COLUMNS | MARKER_COLUMNS
