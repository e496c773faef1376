"""How tables are headed and how their numbers are written."""

import pandas as pd
import streamlit as st

_number = st.column_config.NumberColumn
PERCENT = "%.3g %%"
_text = st.column_config.TextColumn

MARKER_COLUMNS = {
    "group": _text("Group"),
    "symbol": _text("Gene"),
    "log2_fold_change": _number(
        "log2 fold change", format="%.3g", help="Of the mean counts per 10,000, with 1 added to both."
    ),
    "share_in": _number("Held in", format=PERCENT, help="Share of the group's cells that hold the gene."),
    "share_out": _number("Held out", format=PERCENT, help="Share of the compared cells that hold the gene."),
    "p_adjusted": _number("Adjusted p", format="%.2g", help="Benjamini-Hochberg over the genes of the group. 0: "
                          "smaller than a computer can write, about 1e-308."),  # fmt: skip
    "score": _number("Score", format="%.3g", help="z of the rank sum, or t: the table is sorted by it."),
    "mean_in": _number("Mean in", format="%.3g", help="Counts per 10,000, mean over the group."),
    "mean_out": _number("Mean out", format="%.3g", help="Counts per 10,000, mean over the compared cells."),
    "n_in": _number("n in", help="Cells of the group."),
    "n_out": _number("n out", help="Cells compared with."),
    "gene_id": _text("Gene id"),
}

EFFECT_COLUMNS = {
    "model": _text("Model"),
    "edit": _text("Switched off"),
    "group": _text("Cells"),
    "verdict": _text("Beside random genes"),
    "effect": _number("Effect", format="%.3g", help="Mean over all cells of the group of 1 - cosine between a cell's "
                      "vector before and after. 0: nothing moves."),  # fmt: skip
    "ci_low": _number("95 % from", format="%.3g", help="Bootstrap interval of the effect."),
    "ci_high": _number("to", format="%.3g"),
    "null_mean": _number("Random genes, mean", format="%.3g", help="The same for random genes that as many of these "
                         "cells hold at a like rank."),  # fmt: skip
    "z": _number("z", format="%.3g", help="How many standard deviations of the random genes it lies above them."),
    "p_empirical": _number("p", format="%.2g", help="Share of the random genes that move the cells as much, the tested "
                           "gene counted in."),  # fmt: skip
    "p_adjusted": _number("Adjusted p", format="%.2g", help="Benjamini-Hochberg over all rows of the run."),
    "n_cells": _number("n cells"),
    "share_holding": _number("Hold the gene", format=PERCENT, help="Share of the cells whose input the deletion "
                             "changes."),  # fmt: skip
    "effect_holding": _number("Effect, holding cells", format="%.3g", help="Mean over the cells that hold the gene."),
    "n_null": _number("Random genes"),
    "null_n_cells": _number("Cells compared", help="On how many cells that hold it each gene was measured."),
    "gene_ids": _text("Gene ids"),
}

GENE_COLUMNS = {
    "symbol": _text("Gene"),
    "mean_shift": _number("Mean shift", format="%.3g", help="Mean of 1 - cosine of the gene's vector in its cell."),
    "n_cells": _number("n cells", help="Cells in which the gene was measured."),
    "edit": _text("Switched off"),
    "group": _text("Cells"),
    "gene_id": _text("Gene id"),
}


def in_percent(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose shares are written as per cent: columns whose names begin with "share", in any case."""
    shares = [name for name in table if str(name).lower().startswith("share")]
    return table.assign(**{name: 100 * table[name] for name in shares})


def percent_columns(table: pd.DataFrame) -> dict[str, object]:
    """Return how the shares of a table without other formats are written."""
    return {str(name): _number(format=PERCENT) for name in table if str(name).lower().startswith("share")}
