"""One edit over the donors: its effect, or its shift toward a state, in each of them."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.colours import natural_order
from scfm_core.plots.edit_words import BLUE, EDIT_CAVEAT, EFFECT_AXIS, ORANGE, RED, find_row, p_words, row_name, rows_of
from scfm_core.plots.figure import (
    INK,
    MUTED,
    Axis,
    Beside,
    Figure,
    FloatArray,
    Mark,
    Panel,
    Points,
    Rule,
    Segments,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbationEffects

MAX_DONORS = 40


def donor_effects(effects: "PerturbationEffects", edit: str, group: str, *, state: str = "") -> Figure:
    """Draw one row per donor: the effect with the random genes' mean beside it, or the shift beside zero.

    Parameters
    ----------
    effects
        Answer of `PerturbGenes` of a dataset with donors.
    edit, group
        Which row, by the columns ``edit`` and ``group``.
    state
        One of ``effects.states``: draws the shift toward it instead of the size of the effect.

    Raises
    ------
    RequestError
        If there is no such row, no donor, or no such state.
    """
    row = _tested_row(effects, edit, group, state)
    rows = rows_of(effects.donors, edit, group)
    column = f"shift:{state}" if state else "effect"
    if rows.empty or column not in rows:
        msg = f"There are no donors to show for {edit!r} in group {group!r}. Name the column of donors of the dataset."
        raise RequestError(msg, "no-donors")
    order = sorted(range(len(rows)), key=lambda place: natural_order(str(rows["donor"].iloc[place])))
    shown = rows.iloc[order].head(MAX_DONORS).reset_index(drop=True)
    value = shown[column].to_numpy(dtype=np.float64)
    reference = np.zeros(len(shown)) if state else shown["null_mean"].to_numpy(dtype=np.float64)
    at = np.arange(len(shown), dtype=np.float64)
    marks: list[Mark] = _dots(shown, at, value, reference, shift=bool(state))
    marks.append(Beside(at=at, texts=_verdicts(value, reference, shift=bool(state)), colours=_inks(value)))
    title = f"Shift toward {one_line(state, longest=24)} (change of cosine, no unit)" if state else EFFECT_AXIS
    ticks = tuple(
        (float(place), f"{one_line(donor, longest=18)}\nn = {grouped_number(n_holding)} of {grouped_number(n_cells)}")
        for place, donor, n_holding, n_cells in zip(
            at, shown["donor"], shown["n_holding"], shown["n_cells"], strict=True
        )
    )
    y = Axis(title="Donor", limits=(len(shown) - 0.4, -0.6), ticks=ticks)
    x = Axis(title=title, limits=_limits(np.concatenate([value, reference])), grid=True)
    return Figure(
        panels=(Panel(x=x, y=y, marks=tuple(marks)),),
        title=_title(row, value, reference, state),
        caption=_caption(row, state, len(rows) - len(shown), int(np.isnan(value).sum())),
        caveat=EDIT_CAVEAT,
        height_mm=float(np.clip(38 + 7 * len(shown), 70, 290)),
        legend="below",
    )


def _tested_row(effects: "PerturbationEffects", edit: str, group: str, state: str) -> "pd.Series[Any]":
    row = find_row(effects, edit, group)
    if not state:
        return row
    shifts = rows_of(effects.shifts, edit, group)
    found = shifts[shifts["state"].astype(str) == str(state)] if len(shifts) else shifts
    if found.empty:
        known = ", ".join(one_line(name) for name in effects.states) or "none"
        msg = f"There is no shift toward {state!r}. Choose one of the states of this answer: {known}."
        raise RequestError(msg, "unknown-state")
    return found.iloc[0]


def _dots(rows: pd.DataFrame, at: FloatArray, value: FloatArray, reference: FloatArray, *, shift: bool) -> list[Mark]:
    known = np.isfinite(value)
    both = known & np.isfinite(reference)
    thin = np.full(int(both.sum()), 2.0)
    y = at[both]
    marks: list[Mark] = [Segments(x0=reference[both], y0=y, x1=value[both], y1=y, width=thin, colour=MUTED)]
    if shift:
        marks.insert(0, Rule(at=0.0, axis="x", dash="solid"))
    elif both.any():
        marks.append(
            Points(
                x=reference[both],
                y=at[both],
                colour=Solid(ORANGE),
                size=10.0,
                symbol="diamond",
                label="mean of the random genes in this donor",
                hover=tuple(f"random genes in this donor\nmean {plain_number(mean)}" for mean in reference[both]),
            )
        )
    words = tuple(
        f"{one_line(row['donor'])}: {plain_number(number)}\nn = {grouped_number(row['n_holding'])} cells hold the gene"
        for (_, row), number in zip(rows.iterrows(), value, strict=True)
    )
    above = known & (value > np.where(np.isfinite(reference), reference, -np.inf))
    names = ("toward the state", "away from it") if shift else ("the edit, above them", "the edit, not above them")
    kinds: tuple[Any, ...] = ((above, BLUE, names[0], "circle"), (known & ~above, RED, names[1], "square"))
    for chosen, colour, label, symbol in kinds:
        if chosen.any():
            hover = tuple(words[place] for place in np.flatnonzero(chosen))
            entry = f"{label} (n = {grouped_number(chosen.sum())})"
            dots = Points(x=value[chosen], y=at[chosen], colour=Solid(colour), size=10.0, symbol=symbol,
                          label=entry, hover=hover)  # fmt: skip
            marks.append(dots)
    return marks


def _verdicts(value: FloatArray, reference: FloatArray, *, shift: bool) -> tuple[str, ...]:
    words = ("toward", "away") if shift else ("above", "not above")
    out = []
    for own, other in zip(value, reference, strict=True):
        if np.isnan(own):
            out.append("too few cells")
        elif np.isnan(other):
            out.append("not compared")
        else:
            out.append(words[0] if own > other else words[1])
    return tuple(out)


def _inks(value: FloatArray) -> tuple[str, ...]:
    return tuple(MUTED if np.isnan(own) else INK for own in value)


def _limits(values: FloatArray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = min(float(finite.min(initial=0.0)), 0.0), max(float(finite.max(initial=0.0)), 0.0)
    margin = 0.07 * (high - low) or 1e-6
    return (low - margin if low < 0 else -0.3 * margin), high + margin


def _title(row: "pd.Series[Any]", value: FloatArray, reference: FloatArray, state: str) -> str:
    compared = np.isfinite(value) & np.isfinite(reference)
    n_above, n_donors = int((value > reference)[compared].sum()), int(compared.sum())
    start = row_name(row["edit"], row["group"])
    p = f"p over donors\u00a0{p_words(row['p_donors'])}" if pd.notna(row["p_donors"]) else "not tested over donors"
    if state:
        return f"{start} shifts the cells toward {one_line(state, longest=30)} in {n_above} of {n_donors} donors ({p})"
    return f"{start} moves the cells more than the mean random gene in {n_above} of {n_donors} donors ({p})"


def _caption(row: "pd.Series[Any]", state: str, n_left_out: int, n_few: int) -> str:
    what = (
        "the mean effect over the cells that hold it, beside the mean of the random genes in the same donor."
        if not state
        else f"the mean change of the cosine with {one_line(state, longest=40)} over the cells that hold it; right "
        "of 0 they come closer."
    )
    test = "The test is a paired t-test over donors, each less its mean random gene."
    sentences = [
        f"Each row is one donor (n: its cells that hold the gene, of all): {what}",
        test if pd.notna(row["p_donors"]) else "Fewer than three donors hold the gene, so donors are not tested.",
        f"Donors with too few cells that hold the gene: {n_few}." if n_few else "",
        f"{grouped_number(n_left_out)} further donors are not drawn." if n_left_out else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)
