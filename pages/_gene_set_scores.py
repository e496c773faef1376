"""The score of a gene set in every cell: as colours of a map, and by group."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages._groupings import grouping_choices, grouping_of
from pages._show import TableFile, downloads, draw, provenance, say
from pages._state import cell_table
from pages._waiting import answer, errors_as_text
from pages._words import count, counted, file_stem
from scfm_core.analyses.compare_set_scores import CompareSetScores, SetScoresOfGroups
from scfm_core.analyses.score_gene_set import UNIT, ScoreGeneSet, SetScores
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.gene_sets import GeneSet
from scfm_core.genes import known_genes, symbol_of
from scfm_core.plots.set_scores import set_score_violins

_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
GROUP_COLUMNS = {
    "group": _text("Group"),
    "n_cells": _number("n cells"),
    "mean": _number("Mean score", format="%.3f", help="Mean ln(1 + counts per 10,000) of the set less that of "
                    "reference genes: 0 is as genes of like expression."),  # fmt: skip
    "median": _number("Median", format="%.3f"),
    "share_held": _number("Genes held (%)", format="%.1f", help="Share of the set's genes that a cell has a count of; "
                          "mean over the group."),  # fmt: skip
    "n_donors": _number("n donors", help="Donors with at least 5 cells in the group."),
    "donor_mean": _number("Mean of donors", format="%.3f"),
    "donor_sd": _number("SD of donors", format="%.3f"),
    "n_as_high": _number("Random sets as high", help="Random sets of genes of like expression whose mean in this group "
                         "is as high or higher."),  # fmt: skip
    "p_value": _number("p", format="%.2g", help="The share of such sets, the set itself counted in."),
    "p_adjusted": _number("Adjusted p", format="%.2g", help="Benjamini-Hochberg over the groups."),
}


def score_request(dataset: Dataset, gene_set: GeneSet) -> ScoreGeneSet:
    """Return the question for the score of a set; raises `RequestError` where the dataset holds none of its genes."""
    gene_ids = tuple(sorted(set(known_genes(dataset, gene_set.genes).values())))
    if not gene_ids:
        msg = f"None of the {len(gene_set.genes):,} genes of {gene_set.name!r} is in this dataset. Choose another set."
        raise RequestError(msg, "no-genes")
    return ScoreGeneSet(dataset, gene_ids)


def score_colour(dataset: Dataset, gene_set: GeneSet, *, place: str = "") -> "pd.Series | None":
    """Return the score of each cell, named for the legend; None while it is computed."""
    with errors_as_text():
        found = answer(score_request(dataset, gene_set), place=f"{place}:score")
        return None if found is None else score_series(gene_set, found)
    return None


def score_series(gene_set: GeneSet, found: SetScores) -> "pd.Series":
    """Return scores as the colour of a map: signed, with the unit in the name."""
    colour = pd.Series(found.scores, name=f"{gene_set.name}, {UNIT}")
    colour.attrs["scale"] = "signed"
    return colour


def show_scores(dataset: Dataset, gene_set: GeneSet, key: str) -> None:
    """Show the scores of a set by group."""
    request = score_request(dataset, gene_set)
    columns = grouping_choices(dataset)
    if not columns:
        found = answer(request, place=f"{key}:score")
        if found is not None:
            st.caption("The cell table has no column that tells groups apart; the score colours the maps.")
            _score_files(dataset, gene_set, request, found)
        return
    column = st.selectbox("By group", columns, key=f"{key}:by", persist_state="session")
    asked = CompareSetScores(request, grouping_of(dataset, column))
    by_group, found = answer(asked, place=f"{key}:groups"), answer(request, place=f"{key}:score")
    if by_group is None or found is None:
        return
    groups = cell_table(dataset)[column].reset_index(drop=True)
    figure = set_score_violins(found.scores, groups, by_group.donors, name=gene_set.name)
    draw(figure, f"{key}:violins")
    say(figure)
    _group_table(by_group)
    about = provenance(dataset, asked, gene_set=f"{gene_set.name}: {', '.join(_symbols(dataset, found.gene_ids))}")
    tables = [TableFile(label="By group", table=lambda: by_group.table, about=about)]
    if len(by_group.donors):
        tables.append(TableFile(label="By donor", table=lambda: by_group.donors, about=about))
    tables.append(_cell_file(dataset, gene_set, request, found))
    downloads(f"{key}:files", stem=file_stem(dataset.title, "gene_set", gene_set.name), figure=figure, tables=tables)


def _group_table(by_group: SetScoresOfGroups) -> None:
    shown = by_group.table.assign(share_held=100 * by_group.table["share_held"])
    columns = [name for name in GROUP_COLUMNS if by_group.donors.size or "donor" not in name]
    st.dataframe(shown, hide_index=True, column_config=GROUP_COLUMNS, column_order=columns)
    donors = (
        "Cells are no replicates: compare the means of donors."
        if by_group.donors.size
        else "No column is marked as the donor, so nothing here speaks about people."
    )
    st.caption(
        f"{count(by_group.n_random)} random sets of genes of like expression; one-sided, Benjamini-Hochberg over "
        f"{counted(len(by_group.table), 'group')}. p says that these genes stand out in these cells. {donors}"
    )


def _score_files(dataset: Dataset, gene_set: GeneSet, request: ScoreGeneSet, found: SetScores) -> None:
    stem = file_stem(dataset.title, "gene_set", gene_set.name)
    downloads("gene-set-scores", stem=stem, tables=[_cell_file(dataset, gene_set, request, found)])


def _cell_file(dataset: Dataset, gene_set: GeneSet, request: ScoreGeneSet, found: SetScores) -> TableFile:
    def table() -> pd.DataFrame:
        scores = {"score": found.scores, "share_of_genes_held": found.share_held}
        return pd.DataFrame(scores, index=cell_table(dataset).index).rename_axis("cell").reset_index()

    names = ", ".join(_symbols(dataset, found.gene_ids))
    about = provenance(dataset, request, score=UNIT, gene_set=f"{gene_set.name}: {names}")
    return TableFile(label="Per cell", table=table, about=about, spreadsheet=dataset.n_cells <= 1_000_000)


def _symbols(dataset: Dataset, gene_ids: Sequence[str]) -> list[str]:
    return [symbol_of(dataset, gene_id) for gene_id in gene_ids]
