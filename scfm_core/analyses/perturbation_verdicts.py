"""Sentences that set a perturbation beside random genes, donors and the baseline; `perturbation_doubts` doubts it."""

from typing import TYPE_CHECKING, Literal

import pandas as pd

from scfm_core.analyses.perturbation_phrases import (
    Row,
    counted,
    known,
    percent,
    random_gene,
    random_genes,
    short,
    three_digits,
)

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbationEffects

ALPHA = 0.05
Verdict = Literal["found", "chance", "no more", "not compared"]


def verdict_of(measured: Row) -> Verdict:
    """Return how an effect, or a shift toward a state, stands beside random genes.

    Returns
    -------
    ``"found"``: beyond random genes, also over donors where there are some, also after correction for all rows.
    ``"chance"``: beyond random genes, but not both of the other two. ``"no more"``: not beyond random genes, or a shift
    that is smaller than theirs, see `falls_short`.
    """
    if not known(measured["p_empirical"]):
        return "not compared"
    if measured["p_empirical"] > ALPHA or falls_short(measured):
        return "no more"
    last = measured["p_adjusted"] if known(measured["p_adjusted"]) else measured["p"]
    return "found" if known(last) and last <= ALPHA else "chance"


def falls_short(measured: Row) -> bool:
    """Return whether a shift leads less far its way than random genes do; never for a size.

    The p of a shift is two-sided around random genes, not around 0: where they move cells toward a state too, a gene
    that moves them less far has a small p.
    """
    shift, own, random = (measured.get(name) for name in ("shift", "null_effect", "null_mean"))
    if shift is None or own is None or random is None or not known(shift * own * random):
        return False
    return bool((own - random) * shift < 0)


def too_few(measured: Row) -> bool:
    """Return whether there are too few random genes for any p at the limit."""
    return bool((int(measured["n_null"]) + 1) * ALPHA < 1)


def row_of(table: pd.DataFrame, row: Row) -> Row | None:
    """Return the first row of a table about the edit and group of another row; None where there is none."""
    mine = (table["edit"] == row["edit"]) & (table["group"].astype(str) == str(row["group"]))
    found = table[mine].to_dict("records")
    return found[0] if found else None


def goal_of(row: Row, shifts: pd.DataFrame | None) -> Row | None:
    """Return the shift of an edit toward the goal in its group; None where no goal was asked for or none was held."""
    found = row_of(shifts[shifts["role"] == "goal"], row) if shifts is not None and len(shifts) else None
    return found if found is not None and known(found["shift"]) else None


# --- random genes ----------------------------------------------------------------------------------------------------


def random_clause(row: Row, measured: Row) -> str:
    """Say within the headline how often a random gene does the same."""
    verdict = verdict_of(measured)
    if verdict == "not compared":
        return "it was not compared with random genes, so it cannot be said whether any other gene would do the same"
    if verdict == "no more":
        return ""
    words = f"{random_gene(row)} of like abundance does this in {_trials(row, measured)}"
    if verdict == "found":
        return words
    if measured["evidence"] == "donors" and known(measured["p_donors"]) and measured["p_donors"] > ALPHA:
        return f"{words}, but over donors it may be chance (p = {three_digits(measured['p_donors'])})"
    if _sides_differ(measured):
        return f"{words}, but over donors it lies on the other side of random genes"
    adjusted = three_digits(measured["p_adjusted"])
    return f"{words}, but among all that was tested it may be chance (adjusted p = {adjusted})"


def no_more_clause(row: Row, measured: Row) -> str:
    """Say within the headline that random genes do as much, do more, or are too few to tell; begins behind a blank."""
    p = float(measured["p_empirical"])
    if p <= ALPHA:
        values = f"{three_digits(measured['null_effect'])} against {three_digits(measured['null_mean'])}"
        return (
            f"less far than {random_gene(row)} of like abundance does ({values} on the cells compared, two-sided "
            f"p = {three_digits(p)}, {random_genes(row, int(measured['n_null']))})"
        )
    if too_few(measured):
        n_null = int(measured["n_null"])
        verb = "is" if n_null == 1 else "are"
        least = three_digits(1 / (n_null + 1))
        return f"but {random_genes(row, n_null)} {verb} too few to compare with (no p below {least} is possible)"
    return f"no more than {random_gene(row)} of like abundance, which does as much in {_trials(row, measured)}"


def against_random_genes(row: Row, goal: Row | None) -> str:
    """Say what random genes do, on which cells they were compared, and what other cells would have given."""
    if not known(row["p_empirical"]):
        return "It was not compared with random genes, so it cannot be said whether any other gene would do the same."
    n_null, n_cells = int(row["n_null"]), int(row["null_n_cells"])
    parts = [
        f"On the {counted(n_cells)} compared, the edit moves the vectors by {three_digits(row['null_effect'])} and "
        f"{random_genes(row, n_null)} of like abundance by {three_digits(row['null_mean'])} on average "
        f"(z = {three_digits(row['z'])}, p = {three_digits(row['p_empirical'])}{_adjusted(row)})"
    ]
    if goal is not None and known(goal["p_empirical"]):
        parts.append(
            f"toward {short(goal['state'])}, by {three_digits(goal['null_effect'])} and "
            f"{three_digits(goal['null_mean'])} (z = {three_digits(goal['z'])}, two-sided "
            f"p = {three_digits(goal['p_empirical'])}{_adjusted(goal)})"
        )
    return f"{'; '.join(parts)}.{_other_cells(row)}"


def _trials(row: Row, measured: Row) -> str:
    n_null, p = int(measured["n_null"]), float(measured["p_empirical"])
    none_did = p * (n_null + 1) < 1.5
    often = f"less than {percent(1 / n_null)}" if none_did and n_null else percent(p)
    return f"{often} of trials (p = {three_digits(p)}, {random_genes(row, n_null)})"


def _adjusted(measured: Row) -> str:
    if not known(measured["p_adjusted"]) or measured["p_adjusted"] == measured["p_empirical"]:
        return ""
    which = ""
    if _sides_differ(measured):
        which = "taken as 1, as over donors it lies on the other side of random genes, and "
    elif known(measured["p"]) and measured["p"] > measured["p_empirical"]:
        which = "the larger of this and p over donors, "
    return f"; {which}with Benjamini-Hochberg over all rows {three_digits(measured['p_adjusted'])}"


def _sides_differ(measured: Row) -> bool:
    """Return whether donors contradict the comparison with random genes, for which p is 1 by definition."""
    if not known(measured["p"]) or not known(measured["p_donors"]):
        return False
    return bool(measured["p"] > max(measured["p_empirical"], measured["p_donors"]))


def _other_cells(row: Row) -> str:
    low, high = row.get("p_low"), row.get("p_high")
    n_cells, n_holding = int(row["null_n_cells"]), int(row["n_holding"])
    if low is None or high is None or not known(low) or not known(high) or n_cells >= n_holding:
        return ""
    return (
        f" These are {n_cells:,} of the {counted(n_holding)} it changes: other cells would have given p between "
        f"{three_digits(float(low))} and {three_digits(float(high))}."
    )


# --- donors ----------------------------------------------------------------------------------------------------------


def donors_clause(measured: Row) -> str:
    """Say within the headline how many donors agree; nothing without donors."""
    if measured["evidence"] != "donors" or verdict_of(measured) not in ("found", "chance"):
        return ""
    agree, donors = int(measured["donors_agree"]), int(measured["n_donors"])
    return f"{agree} of {donors} donors {'agrees' if agree == 1 else 'agree'}"


def donors_sentence(row: Row, goal: Row | None) -> str:
    """Say what the donors say; nothing without donors."""
    measured = row if goal is None else goal
    if measured["evidence"] != "donors" or (goal is None and not known(row["p_empirical"])):
        return ""
    agree, donors = int(measured["donors_agree"]), int(measured["n_donors"])
    what = "the edit moves the cells more than the mean random gene does"
    if goal is not None:
        way = "toward" if goal["shift"] > 0 else "away from"
        what = f"the cells shift the same way, {way} {short(goal['state'])}"
    p = measured["p_donors"]
    test = f" (paired t-test of donor means against the mean random gene: p = {three_digits(p)})" if known(p) else ""
    return f"In {agree} of {donors} donors {what}{test}."


# --- baseline --------------------------------------------------------------------------------


def baseline_clause(row: Row, goal: Row | None, baseline: "PerturbationEffects | str | None") -> str:
    """Say within the headline whether the baseline says the same."""
    if baseline is None or isinstance(baseline, str):
        return ""
    measured = row if goal is None else goal
    other = _other(row, goal, baseline)
    if other is None:
        return "PCA does not read it here"
    if "not compared" in (verdict_of(measured), verdict_of(other)) or too_few(measured) or too_few(other):
        return ""
    found = [verdict_of(each) == "found" for each in (measured, other)]
    if all(found) and goal is not None and (other["shift"] > 0) != (goal["shift"] > 0):
        return "PCA says the opposite"
    return {
        (True, True): "PCA says the same",
        (True, False): "PCA does not show it",
        (False, True): "PCA does show it",
        (False, False): "PCA does not show it either",
    }[found[0], found[1]]


def baseline_sentence(row: Row, goal: Row | None, baseline: "PerturbationEffects | str | None") -> str:
    """Say what the same edit does under the baseline, in numbers."""
    if baseline is None or isinstance(baseline, str):
        return baseline or ""
    other = _other(row, goal, baseline)
    if other is None:
        return "PCA, the baseline, does not read the gene in these cells and says nothing about it."
    if goal is None:
        moves = f"moves the cells by {three_digits(other['effect'])}"
    else:
        moves = f"shifts the cells toward {short(goal['state'])} by {three_digits(other['shift'])}"
    start = f"Under PCA, the baseline, the same edit {moves}, on a scale of its own"
    if not known(other["p_empirical"]):
        return f"{start}."
    z, p = three_digits(other["z"]), three_digits(other["p_empirical"])
    return f"{start}; beside {random_genes(row, int(other['n_null']))} there, z = {z} and p = {p}."


def _other(row: Row, goal: Row | None, baseline: "PerturbationEffects") -> Row | None:
    """Return the row of the baseline that answers the same question; None where it reads the gene in no cell."""
    other = row_of(baseline.effects, row)
    if other is None or other["status"] == "not held":
        return None
    return other if goal is None else goal_of(row, baseline.shifts)
