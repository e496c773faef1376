"""Sentences that doubt a perturbation: other groups, what is known without the model, controls, coverage, donors."""

from typing import TYPE_CHECKING

import pandas as pd

from scfm_core.analyses.perturbation_phrases import Row, counted, known, listed, percent, short
from scfm_core.analyses.perturbation_verdicts import ALPHA, row_of, verdict_of

if TYPE_CHECKING:
    from scfm_core.analyses.compare_groups import GroupComparison
    from scfm_core.analyses.explain_by_baselines import BaselineExplanation
    from scfm_core.analyses.run_controls import Controls

_HOUSEKEEPING, _SCRAMBLED, _MARKER = "housekeeping gene", "scrambled edit", "top marker"  # as `run_controls` names them
_MEANINGS = {
    _MARKER: "Where nothing is found here, that says little.",
    _SCRAMBLED: "It compares the size of the effect, not the shift toward a state.",
}
_AS_A_SENTENCE = {"Moves": "It moves", "Stands": "It stands", "Held": "It is held", "Between": "It lies between"}
_EXPLORATORY = "so the intervals and p are exploratory"


def comparison_sentence(row: Row, comparison: "GroupComparison | None") -> str:
    """Say whether the effect belongs to this group or to the gene."""
    label = None if comparison is None else row_of(comparison.labels, row)
    if label is None:
        return ""
    first, _, rest = str(label["reason"]).partition(" ")
    reason = f"{_AS_A_SENTENCE.get(first, first)} {rest}"
    return f"Beside other groups, the effect is {_called(label['label'])}. {_ended(reason)}"


def explained_sentence(row: Row, explained: "BaselineExplanation | None") -> str:
    """Say how much of the effect is known without the model."""
    account = None if explained is None else row_of(explained.edits, row)
    return "" if account is None else _ended(str(account["in_words"]))


def explained_away(
    row: Row, comparison: "GroupComparison | None", explained: "BaselineExplanation | None"
) -> list[str]:
    """Return what already accounts for the effect, a sentence each."""
    said = []
    label = row_of(comparison.labels, row) if comparison is not None else None
    if label is not None and label["label"] == "generic":
        said.append("The gene moves other groups as much: read it as a property of the gene, not of these cells.")
    account = row_of(explained.edits, row) if explained is not None else None
    if account is not None and account["explained"] is not None and bool(account["explained"]):
        said.append("What is known without the model already explains the size of this effect.")
    return said


def controls_sentence(row: Row, controls: "Controls | None") -> str:
    """Say which controls of the group came out as they should, and which could not be made."""
    if controls is None:
        return ""
    mine = _controls(row, controls)
    failed = set(mine[_passing(mine, False)]["kind"])
    passed = [kind for kind in dict.fromkeys(mine[_passing(mine, True)]["kind"]) if kind not in failed]
    undecided = mine[~mine["kind"].isin([*passed, *failed])].drop_duplicates("kind")
    said = [f"Controls that came out as they should: {listed(passed)}."] if passed else []
    for one in undecided.to_dict("records"):
        said.append(f"No verdict from the control {one['kind']}: {_lower(one['reason'])}")
    return " ".join(said)


def failed_controls(row: Row, goal: Row | None, controls: "Controls | None") -> list[str]:
    """Return why the controls forbid to believe the row, a sentence for each that failed.

    A silent gene that moves cells is a fault of the machinery. A scramble that moves them as far means that any gene at
    this place would do, which speaks against a size that was found. Where most housekeeping genes stand out, standing
    out says nothing.
    """
    if controls is None:
        return []
    mine = _controls(row, controls)
    return [_failure(one) for one in mine[_passing(mine, False) & _forbids(mine, row, goal)].to_dict("records")]


def control_warnings(row: Row, goal: Row | None, controls: "Controls | None") -> list[str]:
    """Return what failed controls say that do not forbid to believe the row, a sentence each."""
    if controls is None:
        return []
    mine = _controls(row, controls)
    said = []
    claimed = verdict_of(row if goal is None else goal) != "no more"
    for one in mine[_passing(mine, False) & ~_forbids(mine, row, goal)].to_dict("records"):
        if claimed or one["kind"] == _MARKER:  # the other controls speak of what is claimed
            said.append(f"{_failure(one)} {_MEANINGS.get(one['kind'], '')}".strip())
    return said


def _forbids(mine: pd.DataFrame, row: Row, goal: Row | None) -> "pd.Series[bool]":
    housekeeping = mine["kind"] == _HOUSEKEEPING
    n_passed = int((_passing(mine, True) & housekeeping).sum())
    most_failed = int((_passing(mine, False) & housekeeping).sum()) > n_passed
    size_found = goal is None and verdict_of(row) != "no more"
    warn_only = [_MARKER, *([] if most_failed else [_HOUSEKEEPING]), *([] if size_found else [_SCRAMBLED])]
    return ~mine["kind"].isin(warn_only)


def _failure(control: Row) -> str:
    symbol = short(control.get("symbol") or "")
    named = f"{control['kind']} ({symbol})" if symbol else str(control["kind"])
    expected, found = _ended(str(control["expected"])), _ended(str(control["reason"]))
    return f"The control {named} failed. Expected: {expected} Found: {found}"


def warnings_of(row: Row, goal: Row | None, donors: pd.DataFrame | None) -> list[str]:
    """Return what speaks against taking the finding as it stands, a sentence each."""
    said = []
    if row["status"] == "rarely held":
        share = percent(row["share_holding"])
        said.append(f"Only {share} of the cells ({int(row['n_holding']):,}) hold it, which is little to judge by.")
    quality = row.get("match_quality")
    if quality == "one-sided":
        said.append("It lies at the edge of what these cells hold, so the random genes lie to one side of it.")
    if quality == "loose":
        said.append("Few genes of like abundance exist here, so the comparison with random genes is loose.")
    low, high = row.get("p_low"), row.get("p_high")
    if low is not None and high is not None and goal is None and low <= ALPHA < high:
        said.append("On other cells the verdict could be the other one: compare on more cells before believing it.")
    return [*said, *_donor_warnings(row, goal, donors)]


def _donor_warnings(row: Row, goal: Row | None, donors: pd.DataFrame | None) -> list[str]:
    measured = row if goal is None else goal
    if measured["evidence"] == "donors":
        if goal is None and not known(row["p_empirical"]):
            return []  # a size agrees where it exceeds random genes, of which there are none
        agree, number = int(measured["donors_agree"]), int(measured["n_donors"])
        if 3 * agree >= 2 * number:
            return []
        return [f"The donors disagree: only {agree} of {number} show it."]
    if donors is None or not len(donors):
        return [
            f"Cells are not replicates: this dataset names no donors, {_EXPLORATORY}. Name the column that holds the "
            "donors on the Dataset page."
        ]
    number = int(row.get("n_donors", 0) or 0)
    return [f"Cells are not replicates: only {counted(number, 'donor')} can be compared, fewer than 3, {_EXPLORATORY}."]


def _controls(row: Row, controls: "Controls") -> pd.DataFrame:
    table = controls.table
    about = table["edit"].fillna("").isin(["", row["edit"]])
    return table[about & (table["group"].astype(str) == str(row["group"]))]


def _passing(table: pd.DataFrame, wanted: bool) -> "pd.Series[bool]":
    """Return where the verdict of a control is known and as wanted."""
    return table["passed"].map(lambda value: known(value) and bool(value) is wanted).astype(bool)


def _called(label: str) -> str:
    return {"cannot tell": "neither clearly specific nor clearly generic"}.get(label, label)


def _lower(sentence: object) -> str:
    """Return a sentence to stand behind a colon."""
    text = str(sentence).strip()
    begins_a_word = len(text) > 1 and text[1].islower()
    return _ended(text[:1].lower() + text[1:] if begins_a_word else text)


def _ended(sentence: str) -> str:
    text = sentence.strip()
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
