"""What a perturbation showed, in words that a reader can repeat; knows rows of the table of effects, no models."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

_REMINDER = "This is a statement about the model's input, not an experiment."

Row = Mapping[Any, Any] | pd.Series


def sentence(row: Row, *, baseline: Row | None = None, baseline_title: str = "PCA") -> str:
    """Say in plain words what one row of `PerturbationEffects.effects` means.

    Parameters
    ----------
    row
        One edit in one group.
    baseline
        The row of the same edit and group under a baseline such as PCA.
    baseline_title
        How the baseline is called.
    """
    parts = [_finding(row)]
    if row["status"] != "not held":
        parts += [_comparison(row), _caution(row)]
    if baseline is not None:
        parts.append(_beside(row, baseline, baseline_title))
    return " ".join(part for part in [*parts, _REMINDER] if part)


def three_digits(value: float) -> str:
    """Write a number with three significant digits; very small ones as 1.23e-05, exactly 0 as 0.

    Examples
    --------
    >>> [three_digits(value) for value in (0.0123456, 0.5, 12345.6, 0.0000123456, 0.0)]
    ['0.0123', '0.500', '12,346', '1.23e-05', '0']
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.0f}" if size >= 100 else f"{value:#.3g}"


def _finding(row: Row) -> str:
    edit, group, n_cells = _genes(row), _group(row), int(row["n_cells"])
    if row["status"] == "not held":
        held = "these genes" if "+" in str(row["edit"]) else "it"
        n_expressing = int(row.get("n_expressing", 0))
        why = f" although {n_expressing:,} of them express it" if n_expressing else ""
        return (
            f"In {group}, the model reads {edit} in none of {_counted(n_cells)}{why}: switching off {held} changes "
            "nothing there, the effect is exactly 0, and there is nothing to test."
        )
    interval = f"{three_digits(row['ci_low'])} to {three_digits(row['ci_high'])}"
    told = f"95 % interval over {row['ci_over']} {interval}; " if row["ci_low"] == row["ci_low"] else ""
    held = "holds" if int(row["n_holding"]) == 1 else "hold"
    what = "at least one of the genes" if "+" in str(row["edit"]) else "the gene"
    return (
        f"Switching off {edit} moves the vectors of {group} by {three_digits(row['effect'])} on average, as 1 - cosine "
        f"({told}{row['n_holding']:,} of {_counted(n_cells)} {held} {what})."
    )


def _comparison(row: Row) -> str:
    n_null = int(row["n_null"])
    if not n_null or row["p_empirical"] != row["p_empirical"]:
        return "It was not compared with random genes, so it cannot be said whether any other gene would do the same."
    n_as_much = round(row["p_empirical"] * (1 + n_null)) - 1
    random, kind = _random(row), "sets of genes" if "+" in str(row["edit"]) else "genes"
    verb = "moves" if n_as_much == 1 else "move"
    n_cells = int(row["null_n_cells"])
    return (
        f"{random} of like abundance moves them by {three_digits(row['null_mean'])} on average; {n_as_much:,} of "
        f"{n_null:,} random {kind} {verb} them as much (p = {three_digits(row['p_empirical'])}, BH-adjusted "
        f"{three_digits(row['p_adjusted'])}; compared on {_counted(n_cells)} that hold the gene)."
    )


def _caution(row: Row) -> str:
    parts = []
    if row["status"] == "rarely held":
        share = f"{100 * row['share_holding']:.2g} %"
        parts.append(f"Only {share} of the cells hold it, which is little to judge by.")
    if row["match_quality"] == "one-sided":
        parts.append("It lies at the edge of what these cells hold, so the random genes lie to one side of it.")
    if row["match_quality"] == "loose":
        parts.append("Few genes of like abundance exist here, so the comparison is loose.")
    if row["ci_over"] == "cells":
        parts.append("Cells are not replicates: without donors the interval and p are exploratory.")
    return " ".join(parts)


def _beside(row: Row, baseline: Row, title: str) -> str:
    if baseline["status"] == "not held":
        return f"{title}, the baseline, does not read the gene in these cells and says nothing about it."
    if baseline["p_empirical"] != baseline["p_empirical"]:
        return f"{title}, the baseline, moves them by {three_digits(baseline['effect'])}, on a scale of its own."
    n_null = int(baseline["n_null"])
    n_as_much = round(baseline["p_empirical"] * (1 + n_null)) - 1
    found = [each["p_empirical"] <= 0.05 for each in (row, baseline)]
    verdict = {
        (True, True): f"{title}, the baseline, finds it too",
        (False, False): f"{title}, the baseline, does not find it either",
        (True, False): f"{title}, the baseline, does not find it",
        (False, True): f"{title}, the baseline, finds what the model does not",
    }[found[0], found[1]]
    return (
        f"{verdict}: there {n_as_much:,} of {n_null:,} random {_plural(row)} move the vectors as much "
        f"(p = {three_digits(baseline['p_empirical'])})."
    )


def _random(row: Row) -> str:
    return "A random set of genes" if "+" in str(row["edit"]) else "A random gene"


def _plural(row: Row) -> str:
    return "sets of genes" if "+" in str(row["edit"]) else "genes"


def _genes(row: Row) -> str:
    *first, last = str(row["edit"]).split("+")
    return f"{', '.join(first)} and {last} together" if first else last


def _group(row: Row) -> str:
    group = str(row["group"])
    return group if group.endswith("s") else f"the cells of {group!r}"


def _counted(n_cells: int) -> str:
    return f"{n_cells:,} cell" if n_cells == 1 else f"{n_cells:,} cells"
