"""Tables of results as HTML: titles in words, numbers with three significant digits; knows columns, no questions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scfm_core.analyses.perturbation_phrases import known, percent, short, three_digits
from scfm_core.report.markup import Markup, joined, tag

TITLES = {
    "edit": "Edit",
    "edit_a": "First edit",
    "edit_b": "Second edit",
    "group": "Cells",
    "kind": "Kind",
    "n_cells": "Number of cells",
    "n_holding": "Cells that hold it",
    "n_holding_both": "Cells that hold both",
    "share_holding": "Share",
    "n_expressing": "Cells that express it",
    "status": "Status",
    "effect": "Effect (1 - cosine)",
    "effect_a": "First alone",
    "effect_b": "Second alone",
    "effect_both": "Both",
    "interval": "95 % interval",
    "ci_over": "Interval over",
    "null_effect": "On the cells compared",
    "null_mean": "Random genes, mean",
    "null_sd": "Random genes, SD",
    "n_null": "Random genes",
    "null_n_cells": "Cells compared",
    "z": "z",
    "p_empirical": "p, random genes",
    "p_donors": "p, donors",
    "p": "p",
    "p_adjusted": "p, BH-adjusted",
    "evidence": "Evidence",
    "n_donors": "Donors",
    "donors_agree": "Donors that agree",
    "match_quality": "Match",
    "share_switching": "Share that changes type",
    "switch_to": "Most often to",
    "n_switching": "Cells that change type",
    "null_switching": "Under random genes",
    "p_switching": "p, type",
    "state": "State",
    "role": "Role",
    "shift": "Shift (difference of cosines)",
    "share_toward": "Share toward",
    "donor": "Donor",
    "above": "Above random genes",
    "label_before": "Type before",
    "label_after": "Type after",
    "symbol": "Gene",
    "gene_id": "Ensembl id",
    "expected": "Expected",
    "passed": "As expected",
    "reason": "Why",
    "typical": "Typical random gene",
    "times_typical": "Times typical",
    "asked": "Asked about",
    "label": "Verdict",
    "ratio": "Ratio to other groups",
    "n_other_groups": "Other groups",
    "n_genes": "Genes",
    "explained_identity": "Explained by detection and mean",
    "explained_pca": "Explained by PCA",
    "explained_together": "Explained together",
    "model_percentile": "Percentile in the model",
    "expected_percentile": "Expected percentile",
    "residual_z": "z beyond expected",
    "explained": "Explained",
    "in_words": "In words",
    "mean_shift": "Mean shift (1 - cosine)",
    "random_mean": "Under random genes",
    "random_sd": "SD",
    "n_random": "Random genes",
    "specific_z": "z beyond random genes",
    "effect_added": "Sum of the two",
    "vector_p_adjusted": "p of the vector, BH-adjusted",
    "size_beyond": "Size beyond the sum",
    "vector_beyond": "Vector beyond the sum",
    "kind_of": "Kind of interaction",
    "term": "Gene set",
    "overlap": "Hits in it",
    "n_set": "Tested genes in it",
    "odds_ratio": "Odds ratio",
    "genes": "Hits",
    "sets": "Collection",
}
_LONGEST_TEXT = 400
_SHARES = ("share_holding", "share_switching", "null_switching", "share_toward")
_IN_WORDS = ("reason", "in_words", "expected", "genes")
_EXPLAINED = ("explained_identity", "explained_pca", "explained_together")
_PERCENTILES = ("model_percentile", "expected_percentile")


def table_of(table: pd.DataFrame, columns: Sequence[str], *, most: int = 60) -> Markup:
    """Return the columns of a table that are there, with a line that says how many rows were left out.

    ``interval`` stands for ``ci_low`` and ``ci_high``. A column without a single value is left out, and so is the group
    where there is only one: it stands above the table then.
    """
    shown = [name for name in columns if _is_there(table, name)]
    group = ""
    if "group" in shown and table["group"].nunique() == 1:
        shown.remove("group")
        group = f"All rows: {short(table['group'].iloc[0])}."
    kinds = {name: _kind(table, name) for name in shown}
    head = [tag("th", title_of(name), class_=kinds[name]) for name in shown]
    rows = [
        tag("tr", *(tag("td", _cell(row, name), class_=kinds[name]) for name in shown))
        for row in table.iloc[:most].to_dict("records")
    ]
    left_out = len(table) - most
    note = f"The first {most:,} of {len(table):,} rows; the tables beside this report hold all." if left_out > 0 else ""
    body = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows))
    return joined(
        [
            tag("p", group, class_="note") if group else "",
            tag("div", body, class_="scroll"),
            tag("p", note, class_="note") if note else "",
        ]
    )


def title_of(name: str) -> str:
    """Return what a column is called."""
    if name.startswith("shift:"):
        return f"Shift to {short(name.removeprefix('shift:'))}"
    return TITLES.get(name, name.replace("_", " "))


def _cell(row: dict[Any, Any], name: str) -> str:
    if name == "interval":
        low, high = row["ci_low"], row["ci_high"]
        return f"{three_digits(low)} to {three_digits(high)}" if known(low) and known(high) else ""
    value = row[name].replace(";", ", ") if name == "genes" else row[name]
    if not known(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if name in _SHARES:
        return percent(float(value))
    if name in _EXPLAINED:
        return percent(max(0.0, float(value)))
    if name in _PERCENTILES:
        return f"{float(value):.3g}"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return three_digits(float(value)) if isinstance(value, float | np.floating) else short(value, most=_LONGEST_TEXT)


def _is_there(table: pd.DataFrame, name: str) -> bool:
    """Return whether a column holds a value in any row."""
    source = "ci_low" if name == "interval" else name
    return source in table and bool(table[source].map(lambda value: known(value) and value != "").any())


def _kind(table: pd.DataFrame, name: str) -> str:
    """Return how a column is set: a number, a name, or words that need room."""
    if name == "interval" or (pd.api.types.is_numeric_dtype(table[name]) and table[name].dtype != bool):
        return "number"
    return "words" if name in _IN_WORDS else "text"
