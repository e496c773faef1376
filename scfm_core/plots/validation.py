"""Methods side by side on data whose truth is known: how well each finds the genes that a perturbation changes."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.edit_words import BLUE, ORANGE
from scfm_core.plots.figure import (
    NO_VALUE,
    Axis,
    Beside,
    Figure,
    FloatArray,
    Intervals,
    Mark,
    Panel,
    Points,
    Rule,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)

CHANCE = {"auroc": 0.5, "spearman": 0.0}
_NAMES = {"auroc": "AUROC (0.5: chance, 1: perfect)", "spearman": "Spearman correlation (0: chance, 1: perfect)"}
_CAVEAT = (
    "A model that is right on these data need not be right on others, and the truth here is that of a simulation or of "
    "one experiment. The targets share one data set."
)


def validation_bars(
    summary: pd.DataFrame, targets: pd.DataFrame, *, measures: tuple[str, ...] = ("auroc", "spearman")
) -> Figure:
    """Draw the mean of each measure for each method with its bootstrap interval, over a point per target.

    Parameters
    ----------
    summary
        One row per method: ``method``, ``n_targets``, and for each measure ``<measure>``, ``<measure>_low``,
        ``<measure>_high``, its 95 % bootstrap interval: `Validation.summary`.
    targets
        One row per method and target: ``method``, ``target`` and the measures: `Validation.table`.
    measures
        One or two of ``"auroc"`` and ``"spearman"``.

    Raises
    ------
    RequestError
        If there is no method.
    """
    rows = summary[summary[list(measures)].notna().any(axis=1)].reset_index(drop=True)
    if rows.empty:
        msg = "No method could be scored. Choose targets whose knock-outs change at least three of the genes."
        raise RequestError(msg, "no-methods")
    panels = tuple(
        _panel(rows, targets, measure) for measure in measures
    )
    return Figure(
        panels=panels,
        title=_title(rows, measures[0]),
        caption=_caption(measures, len(summary) - len(rows)),
        caveat=_CAVEAT,
        height_mm=float(np.clip((26 + 8 * len(rows)) * len(measures) + 14, 80, 290)),
        legend="below",
    )


def _panel(rows: pd.DataFrame, targets: pd.DataFrame, measure: str) -> Panel:
    at = np.arange(len(rows), dtype=np.float64)
    mean, low, high = (rows[f"{measure}{end}"].to_numpy(dtype=np.float64) for end in ("", "_low", "_high"))
    chance = CHANCE[measure]
    marks: list[Mark] = [Rule(at=chance, axis="x")]
    everything = [mean, low, high, np.array([chance])]
    if len(targets):
        dots = _target_points(rows, targets, measure)
        everything.append(dots.x)
        marks.append(dots)
    known = np.isfinite(mean)
    marks.append(
        Intervals(
            at=at[known],
            value=mean[known],
            low=low[known],
            high=high[known],
            colour=BLUE,
            label="mean over targets, 95 % bootstrap interval",
            hover=tuple(_hover(row, measure) for _, row in rows[known].iterrows()),
        )
    )
    marks.append(
        Points(x=mean[known], y=at[known], colour=Solid(ORANGE), size=9.0, symbol="diamond", label="mean over targets")
    )
    marks.append(Beside(at=at, texts=tuple(_verdict(*ends, chance) for ends in zip(mean, low, high, strict=True))))
    ticks = tuple(
        (float(place), f"{one_line(method, longest=22)}\nn = {grouped_number(n)}")
        for place, method, n in zip(at, rows["method"], rows["n_targets"], strict=True)
    )
    y = Axis(title="Method (n: targets)", limits=(len(rows) - 0.4, -0.6), ticks=ticks)
    return Panel(x=Axis(title=_NAMES[measure], limits=_limits(everything), grid=True), y=y, marks=tuple(marks))


def _target_points(rows: pd.DataFrame, targets: pd.DataFrame, measure: str) -> Points:
    """Return a point per target, spread a little in height by its place in the table, so that none hides another."""
    place = {method: number for number, method in enumerate(rows["method"])}
    known = targets[targets["method"].isin(place) & targets[measure].notna()]
    turn = known.groupby("method").cumcount().to_numpy()
    spread = 0.14 + 0.22 * ((turn * 0.618034) % 1.0)
    return Points(
        x=known[measure].to_numpy(dtype=np.float64),
        y=known["method"].map(place).to_numpy(dtype=np.float64) + spread,
        colour=Solid(NO_VALUE),
        size=5.0,
        opacity=0.8,
        label="one target",
        hover=tuple(
            f"{one_line(target)}\n{one_line(method)}: {plain_number(value)}"
            for target, method, value in known[["target", "method", measure]].itertuples(index=False)
        ),
    )


def _hover(row: "pd.Series[Any]", measure: str) -> str:
    low, high = row[f"{measure}_low"], row[f"{measure}_high"]
    return (
        f"{one_line(row['method'])}\nmean {plain_number(row[measure])}, 95 % interval {plain_number(low)} to "
        f"{plain_number(high)}\nn = {grouped_number(row['n_targets'])} targets"
    )


def _verdict(mean: float, low: float, high: float, chance: float) -> str:
    if np.isnan(mean):
        return "not defined"
    words = "above chance" if low > chance else "below chance" if high < chance else "not told\nfrom chance"
    return f"{plain_number(mean)}\n{words}"


def _limits(values: list[FloatArray]) -> tuple[float, float]:
    everything = np.concatenate(values)
    low, high = float(np.nanmin(everything)), float(np.nanmax(everything))
    margin = 0.06 * (high - low) or 0.05
    return low - margin, high + margin


def _title(rows: pd.DataFrame, measure: str) -> str:
    best = rows.sort_values(measure, ascending=False, kind="stable").iloc[0]
    name = {"auroc": "AUROC", "spearman": "Spearman correlation"}[measure]
    above = int((rows[f"{measure}_low"] > CHANCE[measure]).sum())
    return (
        f"{above} of {len(rows)} methods find the true targets better than chance; best {one_line(best['method'])} "
        f"({name} {plain_number(best[measure])}, n\u00a0=\u00a0{grouped_number(best['n_targets'])} targets)"
    )


def _caption(measures: tuple[str, ...], n_left_out: int) -> str:
    what = {
        "auroc": "AUROC: how often a gene that truly changes is ranked above one that does not.",
        "spearman": "Spearman: how well the order of the genes follows the true size of their changes.",
    }
    missing = f" Methods that could not be scored, not drawn: {n_left_out}." if n_left_out else ""
    return (
        " ".join(what[measure] for measure in measures)
        + " Diamond and bar: mean over targets with its 95 % bootstrap interval. Grey points: single targets. The "
        f"dashed line is chance.{missing}"
    )
