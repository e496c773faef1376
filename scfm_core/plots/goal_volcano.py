"""The volcano of a goal: how far each edit shifts the cells toward a state, and how sure that is."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.plots.edit_words import ALPHA, BLUE, EDIT_CAVEAT, RED, edit_noun, evidence_sentence
from scfm_core.plots.figure import (
    MUTED,
    NO_VALUE,
    Axis,
    Categories,
    Figure,
    FloatArray,
    Mark,
    Panel,
    Points,
    Rule,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)
from scfm_core.plots.labels import name_points

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbationEffects

N_LABELS = 14
_SIDES = ("toward, adjusted p < 0.05", "away, adjusted p < 0.05", "not below 0.05")
_COLOURS = (RED, BLUE, MUTED)


def goal_volcano(effects: "PerturbationEffects", state: str) -> Figure:
    """Draw the shift of each edit toward a state against the p of that shift, one point per edit and group.

    Parameters
    ----------
    effects
        Answer of `PerturbGenes` that has a goal.
    state
        One of ``effects.states``.

    Raises
    ------
    RequestError
        If there are no shifts toward that state.
    """
    rows = effects.shifts[effects.shifts["state"].astype(str) == str(state)] if len(effects.shifts) else effects.shifts
    rows = rows[rows["shift"].notna()].reset_index(drop=True) if len(rows) else rows
    if rows.empty:
        known = ", ".join(one_line(name) for name in effects.states) or "none"
        msg = f"There is no shift toward {state!r}. Choose one of the states of this answer: {known}."
        raise RequestError(msg, "unknown-state")
    names, words = _names(rows), tuple(_hover(row) for _, row in rows.iterrows())
    p = rows["p"].to_numpy(dtype=np.float64)
    adjusted = rows["p_adjusted"].to_numpy(dtype=np.float64)
    picture = Volcano(rows["shift"].to_numpy(dtype=np.float64), p, adjusted, table=effects.shifts)
    marks = [*picture.zero_line(), *picture.rule(), *picture.points(words)]
    goal = one_line(state, longest=30)
    return Figure(
        panels=(
            Panel(
                x=Axis(title=f"Shift toward {goal} (change of cosine, no unit)", limits=picture.x_limits, grid=True),
                y=Axis(title="p of the shift (-log10)", limits=picture.y_limits, grid=True),
                marks=(*marks, *picture.labels(names)),
            ),
        ),
        title=_title(rows, picture, edit_noun(effects.effects), goal),
        caption=_caption(rows, len(effects.shifts[effects.shifts["state"].astype(str) == str(state)]) - len(rows)),
        caveat=EDIT_CAVEAT,
        height_mm=92.0,
        legend="below",
    )


class Volcano:
    """Points of a volcano: what is measured against -log10 p; those without a p stand at 0.

    Parameters
    ----------
    x, p, p_adjusted
        Shape ``(n_points,)``; ``x`` is finite.
    table
        Columns ``p`` and ``p_adjusted`` of all rows over which was adjusted.
    """

    def __init__(self, x: FloatArray, p: FloatArray, p_adjusted: FloatArray, *, table: pd.DataFrame) -> None:
        self.x = x
        self.tested: NDArray[np.bool_] = np.isfinite(p)
        self.height: FloatArray = np.where(self.tested, -np.log10(np.clip(np.nan_to_num(p, nan=1.0), 1e-300, 1.0)), 0.0)
        self.passed: NDArray[np.bool_] = self.tested & (np.nan_to_num(p_adjusted, nan=1.0) < ALPHA)
        low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
        margin = 0.12 * (high - low) or 1e-6
        self.x_limits = (low - margin, high + margin)
        self.line = _line(table)
        top = max(float(self.height.max()), 1.5, self.line or 0.0)
        self.y_limits = (-0.04 * top, 1.14 * top)

    def zero_line(self) -> list[Mark]:
        """Return the line where nothing moves."""
        return [Rule(at=0.0, axis="x", dash="dot")]

    def rule(self) -> list[Mark]:
        """Return the line above which the adjusted p lies under .05."""
        return [] if self.line is None else [Rule(at=self.line, axis="y", text=f"adjusted p = {ALPHA:g}")]

    def points(self, words: tuple[str, ...]) -> list[Mark]:
        """Return the tested points in three colours, and the others as grey crosses at p = 1."""
        side = np.where(self.passed, np.where(self.x > 0, 0, 1), 2)
        shown = np.flatnonzero(self.tested)
        shown = shown[np.argsort(-side[shown], kind="stable")]
        marks: list[Mark] = []
        if len(shown):
            counts = np.bincount(side[shown], minlength=3)
            present = np.flatnonzero(counts)
            colour = Categories(
                codes=np.searchsorted(present, side[shown]),
                labels=tuple(_SIDES[kind] for kind in present),
                colours=tuple(_COLOURS[kind] for kind in present),
                counts=tuple(int(counts[kind]) for kind in present),
                title="Edits",
            )
            marks.append(self._points(shown, colour, words))
        rest = np.flatnonzero(~self.tested)
        if len(rest):
            marks.append(self._points(rest, Solid(NO_VALUE), words, f"not tested (n = {grouped_number(len(rest))})"))
        return marks

    def labels(self, names: list[str]) -> list[Mark]:
        """Name the strongest points: those that passed, or, where none did, the tested ones farthest out."""
        chosen = self.passed if self.passed.any() else self.tested
        limits = (self.x_limits, self.y_limits)
        n_labels = N_LABELS if self.passed.any() else 5
        return [*name_points(names, self.x, self.height, chosen=chosen, limits=limits, n_labels=n_labels)]

    def _points(
        self, shown: NDArray[np.int64], colour: Categories | Solid, words: tuple[str, ...], label: str = ""
    ) -> Points:
        return Points(
            x=self.x[shown],
            y=self.height[shown],
            colour=colour,
            size=8.0 if len(self.x) <= 200 else 5.0,
            opacity=0.85,
            symbol="cross" if label else "circle",
            hover=tuple(words[place] for place in shown),
            label=label,
        )


def _line(table: pd.DataFrame) -> float | None:
    """Return the -log10 of the p at which the adjusted p passes .05."""
    p, adjusted = (table[name].dropna().to_numpy(dtype=np.float64) for name in ("p", "p_adjusted"))
    if not len(p):
        return None
    # Benjamini and Hochberg 1995: the largest k with p(k) <= alpha k / m; without one the smallest p must pass
    return -float(np.log10(ALPHA * max(int((adjusted < ALPHA).sum()), 1) / len(p)))


def _names(rows: pd.DataFrame) -> list[str]:
    several = rows["group"].nunique() > 1
    ends = [f", {one_line(group, longest=12)}" if several else "" for group in rows["group"]]
    return [f"{one_line(edit, longest=18)}{end}" for edit, end in zip(rows["edit"], ends, strict=True)]


def _hover(row: "pd.Series[Any]") -> str:
    lines = [
        f"{one_line(row['edit'])} in {one_line(row['group'])}",
        f"shift {plain_number(row['shift'])}, 95 % interval {plain_number(row['ci_low'])} to "
        f"{plain_number(row['ci_high'])}",
        f"n = {grouped_number(row['n_cells'])} cells that hold the gene",
    ]
    if pd.isna(row["p"]):
        return "\n".join([*lines, "not tested"])
    evidence = "donors" if row["evidence"] == "donors" else "cells only, exploratory"
    return "\n".join([*lines, f"p {plain_number(row['p'])}, adjusted {plain_number(row['p_adjusted'])} ({evidence})"])


def _title(rows: pd.DataFrame, picture: Volcano, noun: str, goal: str) -> str:
    n_tested = int(picture.tested.sum())
    if not n_tested:
        return f"Shifts of {grouped_number(len(rows))} {noun} toward {goal}, not tested"
    beyond = picture.passed & ((rows["null_effect"] - rows["null_mean"]) * picture.x >= 0).to_numpy()
    n_toward, n_away = (int((beyond & (picture.x * sign > 0)).sum()) for sign in (1, -1))
    tested = rows[picture.tested]
    exploratory = "" if (tested["evidence"] == "donors").any() else ", exploratory"
    return (
        f"{grouped_number(n_toward)} of {grouped_number(n_tested)} tested {noun} shift the cells further toward {goal} "
        f"than random genes, {grouped_number(n_away)} further away from it (adjusted p\u00a0<\u00a00.05{exploratory})"
    )


def _caption(rows: pd.DataFrame, n_missing: int) -> str:
    n_null = rows["n_null"].max()
    floor = ""
    if n_null and n_null > 0:
        floor = (
            f"With {grouped_number(n_null)} random genes the empirical p cannot fall below "
            f"{plain_number(1 / (n_null + 1))}, so that strong edits stand at one height."
        )
    sentences = [
        "Each point is one edit in one group: the mean change of the cosine with the state's mean vector over the "
        "cells that hold the gene. The p is two-sided, against random genes of like abundance, and over donors where "
        "there are three; the line corrects it after Benjamini and Hochberg.",
        "Random genes shift cells too: an edit that shifts them less far the same way can have a small p, and is not "
        "counted in the title.",
        floor,
        evidence_sentence(rows),
        f"Edits that no cell allows, not drawn: {grouped_number(n_missing)}." if n_missing else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)
