"""An edit beside its controls: what must move nothing, what may move little, and what should move much."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.edit_words import BLUE, EDIT_CAVEAT, EFFECT_AXIS, GREEN, ORANGE, RED
from scfm_core.plots.figure import (
    INK,
    MUTED,
    Axis,
    Beside,
    Figure,
    Intervals,
    Mark,
    Panel,
    Points,
    Rule,
    Solid,
    Symbol,
    grouped_number,
    one_line,
    plain_number,
)

if TYPE_CHECKING:
    from scfm_core.analyses.run_controls import Controls

_SD_RANGE = 1.96
_VERDICTS: tuple[tuple[bool | None, str, str, Symbol], ...] = (
    (True, "passed", GREEN, "circle"),
    (False, "failed", RED, "cross"),
    (None, "cannot tell", MUTED, "square"),
)


def controls_figure(controls: "Controls", effect: "pd.Series[Any]", group: str) -> Figure:
    """Draw the asked edit and its controls on one axis, each control with its verdict.

    Parameters
    ----------
    controls
        Answer of `RunControls`.
    effect
        The row of ``PerturbationEffects.effects`` of the asked edit.
    group
        Which group.

    Raises
    ------
    RequestError
        If the group has no control.
    """
    table = controls.table
    own = table["edit"].astype(str).isin(["", str(effect["edit"])])
    rows = table[own & (table["group"].astype(str) == str(group))].reset_index(drop=True)
    if rows.empty:
        msg = f"There is no control of {effect['edit']!r} in group {group!r}. Run the controls of this question."
        raise RequestError(msg, "no-controls")
    at = np.arange(1, len(rows) + 1, dtype=np.float64)
    marks: list[Mark] = [Rule(at=0.0, axis="x", dash="dot"), Rule(at=0.5, axis="y", dash="dot")]
    marks += _ranges(pd.concat([effect.to_frame().T, rows], ignore_index=True))
    marks += [*_asked(effect), *_verdict_points(rows, at)]
    texts = (_asked_words(effect), *(_verdict_words(row) for _, row in rows.iterrows()))
    marks.append(Beside(at=np.append(0.0, at), texts=texts, colours=(INK,) * len(texts)))
    ticks = ((0.0, _tick("asked edit", effect["edit"], effect)), *(
        (float(place), _tick(_kind(row), _what(row), row)) for place, (_, row) in zip(at, rows.iterrows(), strict=True)
    ))  # fmt: skip
    return Figure(
        panels=(
            Panel(
                x=Axis(title=EFFECT_AXIS, limits=_limits(effect, rows), grid=True),
                y=Axis(title="Edit", limits=(len(rows) + 0.6, -0.6), ticks=ticks),
                marks=tuple(marks),
            ),
        ),
        title=_title(rows, effect, group),
        caption=_caption(rows),
        caveat=f"{EDIT_CAVEAT} Controls that pass do not make an effect true; one that fails makes it doubtful.",
        width_mm=150.0,
        height_mm=float(np.clip(34 + 10.5 * (len(rows) + 1), 80, 290)),
        legend="below",
    )


def _ranges(rows: pd.DataFrame) -> list[Mark]:
    """Return the random genes of each row that has some: mean and 1.96 standard deviations to both sides."""
    mean, sd = (rows[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in ("null_mean", "null_sd"))
    known = np.isfinite(mean) & np.isfinite(sd)
    if not known.any():
        return []
    return [
        Intervals(
            at=np.arange(len(rows), dtype=np.float64)[known] + 0.2,
            value=mean[known],
            low=np.maximum(mean - _SD_RANGE * sd, 0.0)[known],
            high=(mean + _SD_RANGE * sd)[known],
            colour=ORANGE,
            label="random genes, mean and 1.96 standard deviations",
            hover=tuple(
                f"{grouped_number(row['n_null'])} random genes\nmean {plain_number(row['null_mean'])}, standard "
                f"deviation {plain_number(row['null_sd'])}"
                for _, row in rows[known].iterrows()
            ),
        )
    ]


def _asked(effect: "pd.Series[Any]") -> list[Mark]:
    if pd.isna(effect["effect"]):
        return []
    words = f"{one_line(effect['edit'])}\neffect {plain_number(effect['effect'])}"
    return [
        Points(
            x=np.array([float(effect["effect"])]),
            y=np.array([-0.12]),
            colour=Solid(BLUE),
            size=11.0,
            symbol="diamond",
            hover=(words,),
            label="asked edit",
        )
    ]


def _verdict_points(rows: pd.DataFrame, at: Any) -> list[Mark]:
    marks: list[Mark] = []
    effect = rows["effect"].to_numpy(dtype=np.float64, na_value=np.nan)
    verdicts = [_verdict(passed) for passed in rows["passed"]]
    for verdict, word, colour, symbol in _VERDICTS:
        chosen = np.array([found is verdict for found in verdicts]) & np.isfinite(effect)
        if chosen.any():
            hover = tuple(
                f"{_kind(row)}: {_what(row)}\neffect {plain_number(row['effect'])}\nexpected: "
                f"{one_line(row['expected'], longest=90)}"
                for _, row in rows[chosen].iterrows()
            )
            label = f"control {word} (n = {grouped_number(chosen.sum())})"
            dots = Points(x=effect[chosen], y=at[chosen] - 0.12, colour=Solid(colour), size=11.0, symbol=symbol,
                          hover=hover, label=label)  # fmt: skip
            marks.append(dots)
    return marks


def _verdict(passed: Any) -> bool | None:
    """Return the verdict; a table read from disk may hold numpy's or missing values."""
    return None if pd.isna(passed) else bool(passed)


def _asked_words(effect: "pd.Series[Any]") -> str:
    if pd.isna(effect["effect"]):
        return "not tested:\nno cell holds it"
    if pd.isna(effect["z"]):
        return "asked"
    return f"asked\nz = {plain_number(effect['z'])}"


def _verdict_words(row: "pd.Series[Any]") -> str:
    word = {verdict: word for verdict, word, _, _ in _VERDICTS}[_verdict(row["passed"])]
    if row["kind"] == "silent gene" and row["effect"] == 0:
        return f"{word}\nexactly 0"
    if pd.isna(row["effect"]):
        return f"{word}\nnot measured"
    return f"{word}\nz = {plain_number(row['z'])}" if pd.notna(row["z"]) else word


def _kind(row: "pd.Series[Any]") -> str:
    return one_line(row["kind"], longest=22)


def _what(row: "pd.Series[Any]") -> str:
    return one_line(row["symbol"] or row["edit"] or row["gene_id"], longest=18)


def _tick(kind: str, name: object, row: "pd.Series[Any]") -> str:
    return f"{kind}\n{one_line(name, longest=18)}\nn = {grouped_number(row['n_holding'])}"


def _limits(effect: "pd.Series[Any]", rows: pd.DataFrame) -> tuple[float, float]:
    columns = [[effect.get(name), *rows[name]] for name in ("effect", "null_mean", "null_sd")]
    values, mean, sd = (np.nan_to_num(np.array(column, dtype=np.float64)) for column in columns)
    highest = float(max(values.max(), (mean + _SD_RANGE * sd).max()))
    return -0.04 * highest or -1e-6, 1.08 * highest or 1e-6


def _title(rows: pd.DataFrame, effect: "pd.Series[Any]", group: str) -> str:
    verdicts = [_verdict(passed) for passed in rows["passed"]]
    n_passed, n_failed = verdicts.count(True), verdicts.count(False)
    undecided = f", {verdicts.count(None)} cannot tell" if None in verdicts else ""
    return (
        f"{one_line(effect['edit'], longest=30)} in {one_line(group, longest=30)}: {n_passed} of {len(rows)} controls "
        f"pass, {n_failed} fail{undecided} (n\u00a0=\u00a0{grouped_number(effect['n_holding'])} cells)"
    )


def _caption(rows: pd.DataFrame) -> str:
    reasons = [
        f"{_kind(row)} {_what(row)}: {one_line(row['reason'], longest=160).rstrip('.')}."
        for _, row in rows.iterrows()
        if _verdict(row["passed"]) is not True and row["reason"]
    ]
    silent = "A gene that no cell holds must move nothing, exactly 0. " if (rows["kind"] == "silent gene").any() else ""
    return (
        "Each row is one edit: its mean effect over the n cells that hold the gene, above the range of random genes of "
        "like abundance, or of its own scrambles (orange). Shape and word tell whether a control passed. "
        f"{silent}{' '.join(reasons)}"
    ).strip()
