"""Figures of a screen of genes: its first genes, its estimates beside exact deletions, and its volcano."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    MUTED,
    NO_VALUE,
    Axis,
    Figure,
    FloatArray,
    Line,
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
from scfm_core.plots.goal_volcano import Volcano

if TYPE_CHECKING:
    from scfm_core.analyses.screen_genes import GeneScreen

Ranking = Literal["size", "goal"]
MAX_ROWS = 40
_ESTIMATED, _EXACT = "#0072B2", "#E69F00"
_RANK = {"size": "rank", "goal": "goal_rank"}
_CAVEAT = (
    "Estimated or exact, this is a movement of the model's vector after an edit of its input, no experiment: no cell "
    "was measured. A gene can stand out because the model reads it strongly, without any role in the cell."
)


def first_genes(screen: "GeneScreen", *, by: Ranking = "size", n_genes: int = 20) -> Figure:
    """Draw the first genes of a ranking: the estimate of each, and the exact value where it was computed.

    Parameters
    ----------
    by
        ``"size"`` of the shift, or shift toward the ``"goal"``.
    n_genes
        How many, at most 40.

    Raises
    ------
    RequestError
        If the screen has no goal and its ranking was asked for, or no gene is ranked.
    """
    _require(screen, by)
    rank = _RANK[by]
    rows = screen.table[screen.table[rank].notna()].sort_values(rank).head(min(n_genes, MAX_ROWS))
    if rows.empty:
        msg = "No gene is held by a tenth of the cells, so none is ranked. Choose more cells, or cells more alike."
        raise RequestError(msg, "no-genes")
    at = np.arange(len(rows), dtype=np.float64)
    estimate, exact = (rows[f"{by}_{kind}"].to_numpy(dtype=np.float64) for kind in ("estimate", "exact"))
    known, estimated = np.isfinite(exact), np.isfinite(estimate)
    marks: list[Mark] = []
    if estimated.any():
        words = "estimated, all cells that hold the gene"
        marks.append(_dots(rows[estimated], estimate[estimated], at[estimated], _ESTIMATED, words))
    if known.any():
        marks.append(_dots(rows[known], exact[known], at[known], _EXACT, "exact, cells drawn", symbol="diamond"))
    if by == "goal":
        marks.insert(0, Rule(at=0.0, axis="x"))
    limits = _limits(np.concatenate([estimate[estimated], exact[known]]))
    ticks = tuple(
        (float(place), f"{one_line(symbol, longest=20)} (n = {grouped_number(n)})")
        for place, symbol, n in zip(at, rows["symbol"], rows["n_cells"], strict=True)
    )
    words = "move the cells most" if by == "size" else f"move the cells most toward {one_line(screen.goal, longest=30)}"
    return Figure(
        panels=(
            Panel(
                x=Axis(title=_title(screen, by), limits=limits, grid=True),
                y=Axis(title="Gene (n: cells that hold it)", limits=(len(rows) - 0.4, -0.6), ticks=ticks),
                marks=tuple(marks),
            ),
        ),
        title=f"{', '.join(one_line(name, longest=16) for name in rows['symbol'][:3])} {words}"
        f"{', by the estimate' if estimated.any() else ''} (n\u00a0=\u00a0{grouped_number(screen.n_cells)} cells)",
        caption=_so_far(screen, "Means over the cells that hold a gene. Blue: estimated, over all of them. Orange: "
        f"edited exactly, in at most {grouped_number(screen.confirm_cells)} of them, drawn at random. Genes that less "
        "than a tenth of the cells hold are not ranked."),
        caveat=_CAVEAT,
        height_mm=float(np.clip(40 + 5.5 * len(rows), 70, 240)),
        legend="below",
    )


def estimate_against_exact(screen: "GeneScreen", *, by: Ranking = "size") -> Figure:
    """Draw the estimate of each confirmed gene against its exact value on the same cells, with the identity line.

    Raises
    ------
    RequestError
        If no gene was confirmed, or the screen has no goal and its shifts were asked for.
    """
    _require(screen, by)
    columns = [f"{by}_exact", f"{by}_estimate_there"]
    rows = screen.table[screen.table["n_exact"] > 0].dropna(subset=columns)
    if rows.empty:
        msg = "No gene of this screen has both an estimate and an exact value. Ask for genes to be confirmed."
        raise RequestError(msg, "not-confirmed")
    exact, estimate = (rows[name].to_numpy(dtype=np.float64) for name in columns)
    limits = _limits(np.concatenate([exact, estimate]))
    ends = np.array(limits)
    noun = "deletion" if screen.edit == "delete" else "edit"
    spearman = screen.size_agreement if by == "size" else screen.goal_agreement
    label = f"confirmed gene (n = {grouped_number(len(rows))})"
    return Figure(
        panels=(
            Panel(
                x=Axis(title=_title(screen, by, "exact"), limits=limits),
                y=Axis(title=_title(screen, by, "estimated"), limits=limits, grid=True),
                marks=(
                    Line(x=ends, y=ends, colour=MUTED, dash="dash", label="estimate = exact"),
                    _dots(rows, exact, estimate, _ESTIMATED, label),
                ),
            ),
        ),
        title=f"Estimate and exact {noun} of {grouped_number(len(rows))} genes: Spearman correlation "
        f"{plain_number(spearman)}",
        caption="Each point is a gene among the first of a ranking, both means taken over the same cells: at most "
        f"{grouped_number(screen.confirm_cells)} that hold it, drawn at random. The first genes lie close together, so "
        "their order agrees less well than that of all genes.",
        caveat=_CAVEAT,
        height_mm=95.0,
        legend="below",
    )


def _require(screen: "GeneScreen", by: Ranking) -> None:
    if by == "goal" and not screen.goal:
        msg = "This screen has no goal state. Ask for one, or draw the size of the shift."
        raise RequestError(msg, "no-goal")


def _dots(
    rows: pd.DataFrame, x: FloatArray, y: FloatArray, colour: str, label: str, *, symbol: Any = "circle"
) -> Points:
    hover = tuple(
        f"{one_line(row['symbol'])} ({one_line(row['gene_id'])})\n"
        f"size: estimated {plain_number(row['size_estimate'])}, exact {plain_number(row['size_exact'])}\n"
        f"toward the goal: estimated {plain_number(row['goal_estimate'])}, exact {plain_number(row['goal_exact'])}\n"
        f"n = {grouped_number(row['n_cells'])} cells hold it, exact on {grouped_number(row['n_exact'])}"
        for _, row in rows.iterrows()
    )
    return Points(x=x, y=y, colour=Solid(colour), size=8.0, symbol=symbol, label=label, hover=hover)


def _so_far(screen: "GeneScreen", caption: str) -> str:
    """Say before all else what a screen that still runs rests on."""
    return f"{screen.so_far.rstrip('.')}. {caption}" if screen.so_far else caption


def _title(screen: "GeneScreen", by: Ranking, kind: str = "") -> str:
    what = "Size of the shift" if by == "size" else f"Shift toward {one_line(screen.goal, longest=24)}"
    measure = "1 - cosine" if by == "size" else "change of cosine"
    return f"{what}{f', {kind}' if kind else ''} ({measure}, no unit)"


def _limits(values: FloatArray) -> tuple[float, float]:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    margin = 0.06 * (high - low) or 1e-6
    return low - margin, high + margin


# --- volcano ---------------------------------------------------------------------------------------------------------

_P = {"size": "size_p", "goal": "goal_p"}


def screen_volcano(screen: "GeneScreen", by: Ranking = "goal") -> Figure:
    """Draw every gene of a screen: what it does against its p among the screened genes of like abundance.

    The place is that of the value that p rests on: the estimate where there is one, else the exact value.

    Raises
    ------
    RequestError
        If the screen has no goal and its shifts were asked for, or no gene has a value.
    """
    _require(screen, by)
    table = screen.table
    estimate, exact = (table[f"{by}_{kind}"].to_numpy(dtype=np.float64) for kind in ("estimate", "exact"))
    values = np.where(np.isfinite(estimate), estimate, exact)  # what p rests on
    rows, values = table[np.isfinite(values)].reset_index(drop=True), values[np.isfinite(values)]
    if rows.empty:
        msg = "No gene of this screen has a value. Choose more cells, or cells more alike."
        raise RequestError(msg, "no-genes")
    p, adjusted = (rows[name].to_numpy(dtype=np.float64) for name in (_P[by], f"{_P[by]}_adjusted"))
    columns = table[[_P[by], f"{_P[by]}_adjusted"]].set_axis(["p", "p_adjusted"], axis=1)
    picture = Volcano(values, p, adjusted, table=columns)
    names = [one_line(symbol, longest=16) for symbol in rows["symbol"]]
    zero = picture.zero_line() if by == "goal" else []
    return Figure(
        panels=(
            Panel(
                x=Axis(title=_title(screen, by), limits=picture.x_limits, grid=True),
                y=Axis(title="p among the screened genes (-log10)", limits=picture.y_limits, grid=True),
                marks=(*zero, *picture.rule(), *_screen_points(rows, picture), *picture.labels(names)),
            ),
        ),
        title=_volcano_title(screen, rows, by, picture),
        caption=_so_far(screen, _volcano_caption(rows, picture)),
        caveat=_CAVEAT,
        height_mm=98.0,
        legend="below",
    )


def _screen_points(rows: pd.DataFrame, picture: Volcano) -> list[Mark]:
    """Return the genes without a p, those above .05, then those below, estimated and exact ones apart."""
    exact = (rows["method"] == "exact").to_numpy()
    also = "confirmed exactly" if rows["size_estimate"].notna().any() else "exact"
    kinds: tuple[tuple[Any, str, str, Symbol], ...] = (
        (~picture.tested, NO_VALUE, "not tested", "cross"),
        (picture.tested & ~picture.passed & ~exact, MUTED, "estimated, not below 0.05", "circle"),
        (picture.tested & ~picture.passed & exact, MUTED, f"{also}, not below 0.05", "diamond"),
        (picture.passed & ~exact, _ESTIMATED, "estimated, adjusted p < 0.05", "circle"),
        (picture.passed & exact, _EXACT, f"{also}, adjusted p < 0.05", "diamond"),
    )
    marks: list[Mark] = []
    for chosen, colour, words, symbol in kinds:
        if chosen.any():
            label = f"{words} (n = {grouped_number(chosen.sum())})"
            dots = _dots(rows[chosen], picture.x[chosen], picture.height[chosen], colour, label, symbol=symbol)
            marks.append(replace(dots, size=8.0 if symbol == "diamond" else 5.0, opacity=0.8))
    return marks


def _volcano_title(screen: "GeneScreen", rows: pd.DataFrame, by: Ranking, picture: Volcano) -> str:
    n_tested, n = grouped_number(picture.tested.sum()), f"n\u00a0=\u00a0{grouped_number(screen.n_cells)} cells"
    if by == "size":
        n_passed = grouped_number(picture.passed.sum())
        return f"{n_passed} of {n_tested} genes move the cells more than genes of like abundance ({n})"
    beyond = picture.passed & (rows["goal_z"] * picture.x > 0).to_numpy()  # p is two-sided: like genes may do more
    n_toward, n_away = (grouped_number((beyond & (picture.x * sign > 0)).sum()) for sign in (1, -1))
    goal = one_line(screen.goal, longest=30)
    return f"{n_toward} of {n_tested} genes shift the cells further toward {goal} than like genes, {n_away} away ({n})"


def _volcano_caption(rows: pd.DataFrame, picture: Volcano) -> str:
    n_untested = int((~picture.tested).sum())
    n_exact, n_estimated = int((rows["method"] == "exact").sum()), int(rows["size_estimate"].notna().sum())
    sentences = [
        "Each point is one gene, its mean over the cells that hold it. p compares it with the screened genes of like "
        "abundance, over cells: exploratory. The line corrects it after Benjamini and Hochberg.",
        f"Places and p of {grouped_number(n_estimated)} genes are first-order estimates; "
        f"{grouped_number(n_exact)} were edited exactly."
        if n_estimated
        else f"All {grouped_number(n_exact)} genes were edited exactly.",
        f"Genes that too few cells hold for a p, drawn at p\u00a0=\u00a01: {grouped_number(n_untested)}."
        if n_untested
        else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)
