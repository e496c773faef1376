"""Words that the figures of edits share: what an edit is, what a row's evidence is, and what it does not prove."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.figure import grouped_number, one_line, plain_number

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbationEffects

EFFECT_AXIS = "Effect: 1 - cosine before and after (no unit)"
EDIT_CAVEAT = (
    "This is a movement of the model's vector after an edit of its input, no experiment: no cell was measured. A gene "
    "can stand out because the model reads it strongly, without any role in the cell."
)
BLUE, ORANGE, RED, GREEN = "#0072B2", "#E69F00", "#D55E00", "#009E73"
ALPHA = 0.05


def edit_noun(table: pd.DataFrame) -> str:
    """Return what the rows of a table are called: deletions where all are.

    Examples
    --------
    >>> edit_noun(pd.DataFrame({"kind": ["delete", "delete"]})), edit_noun(pd.DataFrame({"kind": ["scale"]}))
    ('deletions', 'edits')
    """
    return "deletions" if "kind" in table and (table["kind"] == "delete").all() else "edits"


def find_row(effects: "PerturbationEffects", edit: str, group: str) -> "pd.Series[Any]":
    """Return the row of one edit in one group.

    Raises
    ------
    RequestError
        If there is none.
    """
    table = effects.effects
    found = table[(table["edit"] == edit) & (table["group"].astype(str) == str(group))]
    if found.empty:
        msg = f"The answer has no edit {edit!r} in group {group!r}. Choose a row of its table."
        raise RequestError(msg, "unknown-row")
    return found.iloc[0]


def rows_of(table: pd.DataFrame, edit: str, group: str) -> pd.DataFrame:
    """Return the rows of one edit in one group of any table of a perturbation."""
    if table.empty:
        return table
    return table[(table["edit"] == edit) & (table["group"].astype(str) == str(group))].reset_index(drop=True)


def evidence_words(row: "pd.Series[Any]") -> str:
    """Say in a few words what the test rests on: donors, or cells only.

    Examples
    --------
    >>> evidence_words(pd.Series({"evidence": "cells"}))
    'exploratory: cells'
    >>> evidence_words(pd.Series({"evidence": "donors", "donors_agree": 4, "n_donors": 5}))
    '4 of 5 donors agree'
    """
    if row.get("evidence") == "donors":
        return f"{grouped_number(row['donors_agree'])} of {grouped_number(row['n_donors'])} donors agree"
    return "exploratory: cells"


def evidence_sentence(rows: pd.DataFrame) -> str:
    """Explain the word exploratory where a row needs it; empty where none does."""
    tested = rows[rows["p"].notna()] if "p" in rows else rows
    if tested.empty or not (tested["evidence"] != "donors").any():
        return ""
    return (
        "Exploratory: p compares the gene with random genes over cells; without at least three donors nothing is "
        "known of other donors."
    )


def n_cells_words(row: "pd.Series[Any]") -> str:
    """Say in how many cells of the group the edit could be made.

    Examples
    --------
    >>> n_cells_words(pd.Series({"n_holding": 145, "n_cells": 161}))
    'n = 145 of 161'
    """
    return f"n = {grouped_number(row['n_holding'])} of {grouped_number(row['n_cells'])}"


def p_words(p: float) -> str:
    """Write a p value for the middle of a sentence, with its sign.

    Examples
    --------
    >>> p_words(0.012345).split(), p_words(float("nan"))
    (['=', '0.0123'], 'not defined')
    """
    words = plain_number(p)
    return words if words == "not defined" else f"=\u00a0{words}"


def row_name(edit: object, group: object) -> str:
    """Name a row in a title.

    Examples
    --------
    >>> row_name("LYZ", "NK")
    'LYZ in NK'
    """
    return f"{one_line(edit, longest=30)} in {one_line(group, longest=30)}"
