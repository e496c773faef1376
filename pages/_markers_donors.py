"""What stands behind a comparison between donors: its samples, its model, and genes in each donor."""

import pandas as pd
import streamlit as st

from pages._markers_asking import Asked
from pages._markers_genes import turn_pages
from pages._show import TableFile, provenance
from pages._waiting import answer
from pages._words import counted, plain
from scfm_core.analyses.compare_donors import CompareDonors, DonorComparison
from scfm_core.analyses.donor_values import donor_values
from scfm_core.plots.donor_strips import donor_strips
from scfm_core.plots.figure import Figure

_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
_DESIGN_COLUMNS = {
    "group": _text("Group"),
    "tested": st.column_config.CheckboxColumn("Tested"),
    "formula": _text("Model", help="donor + side: sides are compared within donors."),
    "n_donors_in": _number("Donors in"),
    "n_donors_out": _number("Donors out"),
    "n_in": _number("Cells in"),
    "n_out": _number("Cells out"),
    "n_genes": _number("Genes tested"),
    "remarks": _text("Remarks", width="large"),
}


def donors_figure(
    asked: Asked, request: CompareDonors, found: DonorComparison, genes: tuple[str, ...], most: int
) -> Figure | None:
    """Return the genes in each donor, of one group's comparison; None while the sums are being made."""
    groups = list(dict.fromkeys(found.table["group"]))
    group = st.selectbox("Group", groups, key=f"{asked.key}:donors-of")
    mine = found.table[found.table["group"] == group]
    tested = tuple(gene for gene in genes if gene in set(mine["gene_id"]))
    if not tested:
        st.info("None of these genes was tested in this group: too few counts. Choose others.")
        return None
    sums = answer(request.sums)
    if sums is None:
        return None
    page = turn_pages(tested, most // 2, f"{asked.key}:donor-pages")
    values = donor_values(request, found, sums, group=group, gene_ids=page)
    left_out = len(genes) - len(tested)
    notes = f"Genes that were not tested in this group, not drawn: {left_out}." if left_out else ""
    return donor_strips(values, inside=str(group), outside=asked.against, notes=notes)


def show_designs(asked: Asked, found: DonorComparison) -> None:
    """Show which donors stand behind each group, and why a group was not tested."""
    designs = found.designs
    n_refused = int((~designs["tested"]).sum())
    words = f"{counted(len(designs), 'comparison')}" + (f", {n_refused} of them not tested" if n_refused else "")
    with st.expander(f"Donors and models: {words}", expanded=bool(n_refused)):
        st.dataframe(designs, hide_index=True, column_config=_DESIGN_COLUMNS, column_order=list(_DESIGN_COLUMNS))
        st.caption(
            "Counts of a donor's cells on one side are added up to one sample, and samples are compared by DESeq2's "
            f"model. n in and out are the cells of the samples. Donors: {plain(_donor_column(asked))}."
        )


def design_files(asked: Asked, found: DonorComparison) -> list[TableFile]:
    """Return the samples and the models as files."""
    about = provenance(asked.dataset, asked.request)
    return [
        TableFile(label="Samples", table=lambda: found.samples, about=about),
        TableFile(label="Models", table=lambda: found.designs, about=about),
    ]


def missing_words(table: pd.DataFrame) -> str:
    """Say how many genes have no p or no adjusted p, and why."""
    notes = table["note"].value_counts()
    said = []
    if notes.get("outlier", 0):
        said.append(f"{notes['outlier']:,} rows have no p: one donor is far from the others (Cook's distance)")
    if notes.get("few counts", 0):
        said.append(f"{notes['few counts']:,} have no adjusted p: too few counts to be found (independent filtering)")
    return f" {'; '.join(said)}." if said else ""


def _donor_column(asked: Asked) -> str:
    return asked.request.donor_column if isinstance(asked.request, CompareDonors) else ""
