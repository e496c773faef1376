"""What a row of pair interactions says, in words; knows no models."""

from collections.abc import Mapping
from typing import Any

from scfm_core.analyses.perturbation_phrases import counted, edit_in_words, group_in_words, three_digits

MORE, LESS, OTHER = "more than the sum", "less than the sum", "other than the sum"
ADDITIVE, USUAL, CANNOT_TELL = "additive", "like random pairs", "cannot tell"
ALPHA = 0.05
_ADDS_UP_BELOW = 0.1  # of the lengths of the two shifts
_MIN_CELLS = 3
_REMINDER = "This is a statement about the model's input, not an experiment."

Row = Mapping[Any, Any]


def kind_and_reason(row: Row, unread: frozenset[str] = frozenset()) -> tuple[str, str]:
    """Return what a pair does, and why where this cannot be told.

    Parameters
    ----------
    row
        With the adjusted p-values.
    unread
        Labels of the edits of genes that the model does not read.
    """
    why_not = _why_not(row, unread)
    if why_not:
        return CANNOT_TELL, why_not
    if _adds_up_exactly(row):
        return ADDITIVE, "What is left beyond the sum is within the error of the arithmetic."
    if not row["n_null"] or not row["vector_n_null"]:
        return CANNOT_TELL, "It was not compared with random pairs, or none of like abundance is held together."
    if row["p_empirical"] != row["p_empirical"] and row["vector_p_empirical"] != row["vector_p_empirical"]:
        return CANNOT_TELL, "Neither edit alone moves the cells, so that there is no sum to compare with."
    beyond, usual = row["size_beyond"], row["null_effect"] - row["null_mean"]
    if row["p_adjusted"] <= ALPHA and beyond * usual > 0:
        return (MORE if beyond > 0 else LESS), ""
    if row["vector_p_adjusted"] <= ALPHA:
        return OTHER, ""
    if 1 / (1 + min(row["n_null"], row["vector_n_null"])) > ALPHA:
        return CANNOT_TELL, f"Only {int(row['n_null']):,} random pairs are too few to tell."
    if row["p_empirical"] <= ALPHA < row["p_adjusted"] or row["vector_p_empirical"] <= ALPHA:
        return CANNOT_TELL, (
            "It lies further out than most random pairs, but not far enough for so many pairs tested at once: test "
            "fewer pairs, or compare with more random ones."
        )
    return (ADDITIVE if row["vector_beyond"] <= _ADDS_UP_BELOW else USUAL), ""


def pair_sentence(row: Row) -> str:
    """Say in plain words what one row of `PairInteractions.table` means.

    Parameters
    ----------
    row
        One pair in one group.
    """
    if not row["n_measured"]:
        return f"For {_pair(row)} in {group_in_words(row)} nothing can be told. {row['reason']} {_REMINDER}"
    parts = [_finding(row), _comparison(row), _verdict(row), _caution(row), _REMINDER]
    return " ".join(part for part in parts if part)


def _why_not(row: Row, unread: frozenset[str]) -> str:
    strange = [str(row[name]) for name in ("edit_a", "edit_b") if row[name] in unread]
    if strange:
        return f"The model does not read the gene of {' and of '.join(strange)}."
    if not row["n_holding_both"]:
        return "No cell of the group holds both genes, so that the two can never be edited together."
    if row["n_measured"] < _MIN_CELLS:
        return f"Only {counted(int(row['n_measured']))} could be measured under both; at least {_MIN_CELLS} are needed."
    return ""


def _pair(row: Row) -> str:
    return f"{row['edit_a']} and {row['edit_b']}"


def _finding(row: Row) -> str:
    words = edit_in_words({"edit": f"{row['edit_a']}+{row['edit_b']}"}).rstrip(",")
    n_measured, n_both = int(row["n_measured"]), int(row["n_holding_both"])
    where = f"mean over {counted(n_measured)}" + (f" of the {n_both:,}" if n_both > n_measured else "")
    beyond = row["size_beyond"]
    both = (
        f"{words} moves {group_in_words(row)} by {three_digits(row['effect_both'])} as 1 - cosine, {where} that hold "
        f"both; each alone moves them by {three_digits(row['effect_a'])} and {three_digits(row['effect_b'])}, and the "
        f"two shifts added by {three_digits(row['effect_added'])}"
    )
    if _adds_up_exactly(row):
        return f"{both}."
    interval = ""
    if row["ci_low"] == row["ci_low"]:
        low, high = three_digits(row["ci_low"]), three_digits(row["ci_high"])
        interval = f" (95 % interval over {row['ci_over']} {low} to {high})"
    more = "more" if beyond > 0 else "less"
    return f"{both}: the pair does {three_digits(abs(beyond))} {more} than the sum{interval}."


def _comparison(row: Row) -> str:
    if not row["n_null"] or row["p_empirical"] != row["p_empirical"]:
        return ""
    usual = row["null_mean"]
    return (
        f"Random pairs of like abundance, brought to the same sum, do {three_digits(abs(usual))} "
        f"{'more' if usual > 0 else 'less'} on average; {_reached(row, '')}. What is left when both shifts are taken "
        f"away is {three_digits(row['vector_beyond'])} of their lengths, for random pairs "
        f"{three_digits(row['vector_null_mean'])}; {_reached(row, 'vector_')}."
    )


def _reached(row: Row, prefix: str) -> str:
    n_null = int(row[f"{prefix}n_null"])
    if not n_null or row[f"{prefix}p_empirical"] != row[f"{prefix}p_empirical"]:
        return "there was nothing to compare it with"
    n_as_far = round(row[f"{prefix}p_empirical"] * (1 + n_null)) - 1
    lie = "lies" if n_as_far == 1 else "lie"
    return (
        f"{n_as_far:,} of {n_null:,} random pairs {lie} as far out (p = {three_digits(row[f'{prefix}p_empirical'])}, "
        f"BH-adjusted {three_digits(row[f'{prefix}p_adjusted'])})"
    )


def _verdict(row: Row) -> str:
    said = {
        MORE: "So the two together do more than the sum of the two.",
        LESS: "So the two together do less than the sum of the two.",
        OTHER: "So the two together move the cells elsewhere than the sum of the two, though not further.",
        ADDITIVE: "So the two add up." if _adds_up_exactly(row) else "So the two about add up.",
        USUAL: "So the two do not add up, but no more or less than two random genes do.",
        CANNOT_TELL: "Whether the two add up cannot be told.",
    }
    return " ".join(part for part in (said[str(row["kind_of"])], str(row["reason"])) if part)


def _caution(row: Row) -> str:
    parts = []
    if row["match_quality"] == "loose":
        parts.append("Few genes of like abundance exist here, so the comparison is loose.")
    if row["match_quality"] == "one-sided":
        parts.append("A gene lies at the edge of what these cells hold, so the random genes lie to one side of it.")
    if row["ci_over"] == "cells" and not _adds_up_exactly(row):
        parts.append("Cells are not replicates: without at least three donors the interval and p are exploratory.")
    return " ".join(parts)


def _adds_up_exactly(row: Row) -> bool:
    return bool(row["vector_beyond"] <= row["noise"])
