"""What a perturbation showed, as a card of plain sentences that a reader can repeat; knows tables, no models.

`perturbation_phrases` says names and numbers, `perturbation_verdicts` sets beside random genes, donors and PCA,
`perturbation_doubts` says what speaks against it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from scfm_core.analyses.perturbation_doubts import (
    comparison_sentence,
    control_warnings,
    controls_sentence,
    explained_away,
    explained_sentence,
    failed_controls,
    warnings_of,
)
from scfm_core.analyses.perturbation_phrases import (
    Row,
    counted,
    edit_in_words,
    genes_in_words,
    group_in_words,
    holding_in_words,
    known,
    percent,
    random_gene,
    short,
    three_digits,
)
from scfm_core.analyses.perturbation_verdicts import (
    ALPHA,
    against_random_genes,
    baseline_clause,
    baseline_sentence,
    donors_clause,
    donors_sentence,
    falls_short,
    goal_of,
    no_more_clause,
    random_clause,
    verdict_of,
)

if TYPE_CHECKING:
    from scfm_core.analyses.compare_groups import GroupComparison
    from scfm_core.analyses.explain_by_baselines import BaselineExplanation
    from scfm_core.analyses.perturb_genes import PerturbationEffects
    from scfm_core.analyses.run_controls import Controls

__all__ = ["CANNOT_MAKE_THE_EDIT", "IS_THE_BASELINE", "REMINDER", "Card", "card", "goal_of"]

REMINDER = "This is a statement about an edit of the model's input, not an experiment."
IS_THE_BASELINE = "The model is itself the baseline, so nothing simpler stands beside it."
CANNOT_MAKE_THE_EDIT = "PCA, the baseline, cannot make this edit, so nothing simpler stands beside the model."


@dataclass(frozen=True)
class Card:
    """What one edit did in one group, in words.

    Attributes
    ----------
    headline
        The finding in one sentence, or that there is none.
    sentences
        What was measured, compared and checked; the last one says what it does not prove.
    warnings
        What speaks against taking the finding as it stands.
    believable
        False where nothing could be measured or a control failed: shown greyed, with the reasons.
    reasons
        Why it is not believable, a sentence each.
    """

    headline: str
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    believable: bool = True
    reasons: tuple[str, ...] = ()


def card(
    row: Row,
    *,
    shifts: pd.DataFrame | None = None,
    donors: pd.DataFrame | None = None,
    baseline: "PerturbationEffects | str | None" = None,
    comparison: "GroupComparison | None" = None,
    controls: "Controls | None" = None,
    explained: "BaselineExplanation | None" = None,
) -> Card:
    """Say in plain words what one row of `PerturbationEffects.effects` means.

    Whole results are given; what belongs to the edit and group of ``row`` is looked up in them.

    Parameters
    ----------
    row
        One edit in one group.
    shifts, donors
        The tables of these names of the same answer.
    baseline
        The answer to the same question under PCA; a sentence such as `IS_THE_BASELINE` where there cannot be one; None
        where it was not asked for.
    comparison, controls, explained
        What the other requests about this question found; None where they were not asked.
    """
    if row["status"] == "not held":
        return _refused(row)
    goal = goal_of(row, shifts)
    sentences = [
        _size(row),
        *([] if goal is None else [_shift(row, goal)]),
        *(_shift(row, other) for other in _alternatives(row, shifts)),
        _identity(row),
        against_random_genes(row, goal),
        donors_sentence(row, goal),
        baseline_sentence(row, goal, baseline),
        comparison_sentence(row, comparison),
        explained_sentence(row, explained),
        controls_sentence(row, controls),
        REMINDER,
    ]
    failed = failed_controls(row, goal, controls)
    warned = warnings_of(row, goal, donors)
    if verdict_of(row if goal is None else goal) != "no more":
        warned += explained_away(row, comparison, explained)
    warned += control_warnings(row, goal, controls)
    return Card(
        headline=_headline(row, goal, baseline),
        sentences=tuple(sentence for sentence in sentences if sentence),
        warnings=tuple(warned),
        believable=not failed,
        reasons=tuple(failed),
    )


def _refused(row: Row) -> Card:
    edit, group, n_cells = edit_in_words(row), group_in_words(row), int(row["n_cells"])
    n_expressing = int(row.get("n_expressing", 0) or 0)
    reason = f"The model reads {genes_in_words(row)} in none of the {counted(n_cells)} of this group."
    sentences = [
        f"{reason} The edit changes no input there, so there is nothing to measure: all numbers are left empty."
    ]
    if n_expressing:
        share = percent(n_expressing / n_cells) if n_cells else "0 %"
        sentences.append(
            f"{n_expressing:,} of them ({share}) express it, but the model does not read it there: it knows no such "
            "gene, or the gene stands behind the longest input."
        )
    sentences.append(REMINDER)
    headline = f"{edit} cannot be tested in {group}: the model reads it in no cell."
    return Card(headline, tuple(sentences), (), believable=False, reasons=(reason,))


def _headline(row: Row, goal: Row | None, baseline: "PerturbationEffects | str | None") -> str:
    measured = row if goal is None else goal
    verdict = verdict_of(measured)
    start = f"{edit_in_words(row)} {_does(row, goal, found=verdict != 'no more')}"
    parts = [
        f"{start} {no_more_clause(row, measured)}" if verdict == "no more" else start,
        donors_clause(measured),
        random_clause(row, measured),
        baseline_clause(row, goal, baseline),
    ]
    return "; ".join(part for part in parts if part) + "."


def _does(row: Row, goal: Row | None, *, found: bool) -> str:
    group = group_in_words(row)
    if goal is not None:
        toward, state = goal["shift"] > 0, short(goal["state"])
        direction = f"toward {state}" if toward else f"away from {state}"
        if not found:
            return f"moves {group} {direction}"
        share = goal["share_toward"] if toward else 1 - goal["share_toward"]
        return f"moves {percent(share)} of {_which(row)} {direction}"
    size = f"moves the vectors of {_which(row)} by {three_digits(row['effect'])}"
    if not found:
        return f"{size},"
    switching = row.get("share_switching")
    if not known(switching) or not row.get("n_switching"):
        return size
    most = f", most of these to {short(row['switch_to'])}" if row.get("switch_to") else ""
    return f"{size}, and {percent(float(switching or 0))} of them change their identity{most}"


def _which(row: Row) -> str:
    group = group_in_words(row)
    return group if row["n_holding"] == row["n_cells"] else f"{group} that {holding_in_words(row)}"


def _size(row: Row) -> str:
    n_holding, n_cells = int(row["n_holding"]), int(row["n_cells"])
    interval = _interval(row)
    return (
        f"{n_holding:,} of {counted(n_cells)} ({percent(row['share_holding'])}) {holding_in_words(row)}; their vectors "
        f"move by {three_digits(row['effect'])} on average, as 1 - cosine{interval}."
    )


def _shift(row: Row, shift: Row) -> str:
    state, share = short(shift["state"]), percent(shift["share_toward"])
    words = (
        f"The mean shift toward {state} is {three_digits(shift['shift'])}, as the cosine with its mean vector after "
        f"minus before{_interval(shift)}: {share} of these cells move toward it, the others away or not at all."
    )
    if shift["role"] == "goal":
        return words
    if not known(shift["p"]):
        return f"Beside the goal: {words[0].lower()}{words[1:]}"
    beyond = {"found": "more than", "chance": "not clearly more than", "no more": "no more than"}[verdict_of(shift)]
    if shift["p_empirical"] <= ALPHA and falls_short(shift):
        beyond = "less far than"
    return f"{words[:-1]}; {beyond} {random_gene(row)} does (p = {three_digits(shift['p'])})."


def _interval(row: Row) -> str:
    if not known(row["ci_low"]):
        return ""
    low, high = three_digits(row["ci_low"]), three_digits(row["ci_high"])
    return f" (95 % interval over {row['ci_over']} {low} to {high})"


def _identity(row: Row) -> str:
    share = row.get("share_switching")
    if share is None or not known(share):
        return ""
    n_switching, n_holding = int(row["n_switching"]), int(row["n_holding"])
    most = f", most often to {short(row['switch_to'])}" if n_switching and row.get("switch_to") else ""
    words = (
        f"{n_switching:,} of the {n_holding:,} ({percent(float(share))}) change their identity, the label of most of "
        f"the nearest unperturbed cells{most}"
    )
    if not known(row.get("p_switching")):
        return f"{words}."
    return (
        f"{words}; on the cells compared, {percent(row['null_switching'])} do under random genes on average (p = "
        f"{three_digits(row['p_switching'])})."
    )


def _alternatives(row: Row, shifts: pd.DataFrame | None) -> list[Row]:
    if shifts is None or not len(shifts):
        return []
    mine = (shifts["edit"] == row["edit"]) & (shifts["group"].astype(str) == str(row["group"]))
    others = shifts[mine & (shifts["role"] != "goal")]
    return [other for other in others.to_dict("records") if known(other["shift"])]
