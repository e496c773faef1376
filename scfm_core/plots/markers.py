"""Figures of marker genes: dot plot, violins, heat map and volcano."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    INK,
    NO_VALUE,
    Axis,
    Categories,
    Continuous,
    Figure,
    FloatArray,
    HeatMap,
    Mark,
    Panel,
    Points,
    Rule,
    SizeKey,
    distribution,
    grouped_number,
    one_line,
    plain_number,
)
from scfm_core.plots.groups import Groups, group_cells
from scfm_core.plots.labels import name_points

UNIT = "ln(1 + counts per 10,000)"
MAX_CELL_ROWS = 2000
MAX_VIOLIN_GENES = 12
_LARGEST_DOT = 19.0
_DOT_SHARES = (0.25, 0.5, 0.75, 1.0)
_UP, _DOWN = "#D55E00", "#0072B2"
_CAVEAT = (
    "Groups that were made from the same counts always differ in some genes, so a small p is no proof that a group is "
    "a cell type. Cells of one donor are not independent replicates."
)


def dot_plot(values: FloatArray, symbols: Sequence[str], groups: "pd.Series[Any] | NDArray[np.str_]") -> Figure:
    """Draw, for each group and gene, the share of cells that express it (size) and the mean expression (colour).

    Parameters
    ----------
    values
        ln(1 + counts per 10,000), shape ``(n_cells, n_genes)``.
    symbols
        Names of the genes, length ``n_genes``.
    groups
        Group of each cell, length ``n_cells``; "" is no group. The order of an ordered categorical is kept, other
        groups stand in natural order; pass a categorical with all categories to keep the colours of other figures.

    Raises
    ------
    RequestError
        If the parts do not fit together or no cell has a group.
    """
    shown = _grouped(values, symbols, groups)
    means = np.stack([values[shown.codes == place].mean(axis=0) for place in shown.present()])
    shares = np.stack([(values[shown.codes == place] > 0).mean(axis=0) for place in shown.present()])
    rows, columns = (index.ravel() for index in np.indices(means.shape))
    names = [shown.labels[place] for place in shown.present()]
    words = tuple(
        f"{one_line(symbols[int(column)])} in {names[row]}\nheld by {100 * shares[row, column]:.0f} % of cells\n"
        f"mean {plain_number(means[row, column])}, {UNIT}"
        for row, column in zip(rows, columns, strict=True)
    )
    colour = Continuous(
        values=means[rows, columns],
        scale="expression",
        limits=(0.0, float(max(means.max(), 1e-3))),
        title=f"Mean, {UNIT}",
    )
    dots = Points(
        x=columns.astype(np.float64),
        y=rows.astype(np.float64),
        colour=colour,
        size=_LARGEST_DOT * np.sqrt(shares[rows, columns]),
        hover=words,
        size_key=SizeKey(
            title="Cells that hold it",
            sizes=tuple(_LARGEST_DOT * float(np.sqrt(share)) for share in _DOT_SHARES),
            labels=tuple(f"{100 * share:.0f} %" for share in _DOT_SHARES),
        ),
    )
    return _genes_by_groups(
        shown,
        symbols,
        dots,
        title=f"{len(symbols)} genes in {len(names)} groups, n = {grouped_number(shown.counts().sum())} cells",
        caption="The area of a dot is the share of cells with at least one count, its colour the mean over all cells "
        "of the group, also those without.",
    )


def marker_violins(values: FloatArray, symbols: Sequence[str], groups: "pd.Series[Any] | NDArray[np.str_]") -> Figure:
    """Draw a row per gene, at most 12, and a violin per group; the parameters are those of `dot_plot`."""
    shown = _grouped(values, symbols, groups)
    drawn = list(symbols)[:MAX_VIOLIN_GENES]
    ticks = _group_ticks(shown)
    panels = []
    for number, symbol in enumerate(drawn):
        last = number == len(drawn) - 1
        marks: list[Mark] = []
        for at, place in enumerate(shown.present()):
            marks.append(distribution(values[shown.codes == place, number], at=at, colour=shown.colours[place]))
        top = max(float(values[shown.codes >= 0, number].max()), 0.1)
        x = Axis(
            title=_groups_title(shown) if last else "",
            limits=(-0.6, len(ticks) - 0.4),
            ticks=ticks if last else (),
        )
        name = one_line(symbol, longest=16)
        y = Axis(title=f"{name}\nln(1 + CP10K)", limits=(-0.04 * top, 1.06 * top), grid=True)
        panels.append(Panel(x=x, y=y, marks=tuple(marks)))
    left_out = f" The first {MAX_VIOLIN_GENES} of {len(symbols)} genes are drawn." if len(drawn) < len(symbols) else ""
    return Figure(
        panels=tuple(panels),
        title=f"Expression of {_and(drawn)} in {len(ticks)} groups, n = {grouped_number(shown.counts().sum())} cells",
        caption="The width shows how many cells have that value, in ln(1 + counts per 10,000, CP10K); the bar holds "
        f"the middle half of the cells, the dot is the median. {shown.merged_sentence()}{left_out}".strip(),
        caveat=_CAVEAT,
        width_mm=float(np.clip(25 + 11 * len(ticks), 89, 183)),
        height_mm=24.0 * len(drawn) + 26,
    )


def heat_map(
    values: FloatArray,
    symbols: Sequence[str],
    groups: "pd.Series[Any] | NDArray[np.str_]",
    *,
    rows: Literal["groups", "cells"] = "groups",
    standardise: bool = True,
) -> Figure:
    """Draw genes over groups (means) or over cells sorted by group (at most 2,000, sampled evenly by group).

    With ``standardise`` each gene is shown as z-score (signed colours), else as it is. The other parameters are those
    of `dot_plot`.
    """
    shown = _grouped(values, symbols, groups)
    if rows == "cells":
        return _cells_heat_map(values, symbols, shown, standardise=standardise)
    means = np.stack([values[shown.codes == place].mean(axis=0) for place in shown.present()])
    colour = _heat_colour(means, standardise=standardise, what="group means")
    words = tuple(
        tuple(
            f"{one_line(symbol)} in {shown.labels[place]}\nmean {plain_number(means[row, column])}, {UNIT}"
            for column, symbol in enumerate(symbols)
        )
        for row, place in enumerate(shown.present())
    )
    meaning = (
        "how far the group's mean lies from the mean of all groups, in standard deviations between groups"
        if standardise
        else "the mean over the cells of the group"
    )
    return _genes_by_groups(
        shown,
        symbols,
        HeatMap(colour=colour, hover=words),
        title=f"{len(symbols)} genes in {len(words)} groups, n = {grouped_number(shown.counts().sum())} cells",
        caption=f"The colour is {meaning}.",
    )


def _cells_heat_map(values: FloatArray, symbols: Sequence[str], shown: Groups, *, standardise: bool) -> Figure:
    chosen, borders = _sorted_cells(shown)
    colour = _heat_colour(values[chosen].T, standardise=standardise, what="cells drawn", axis=1)
    counts = shown.counts()
    ticks = tuple(
        ((first + last - 1) / 2, f"{shown.labels[place]} (n = {grouped_number(counts[place])})")
        for place, first, last in borders
    )
    rules = tuple(Rule(at=last - 0.5, axis="x", colour=INK, dash="solid") for _, _, last in borders[:-1])
    n_cells = int(counts.sum())
    part = "" if len(chosen) == n_cells else f" {grouped_number(len(chosen))} of {grouped_number(n_cells)} cells drawn."
    return Figure(
        panels=(
            Panel(
                x=Axis(title=f"Cells by {shown.title or 'group'}", limits=(-0.5, len(chosen) - 0.5), ticks=ticks),
                y=Axis(title="Gene", limits=(len(symbols) - 0.5, -0.5), ticks=_names(symbols)),
                marks=(HeatMap(colour=colour), *rules),
            ),
        ),
        title=f"{len(symbols)} genes in {len(ticks)} groups of cells, n = {grouped_number(n_cells)} cells",
        caption="Each column is one cell, each row one gene; lines part the groups. Large groups are sampled so that "
        f"small ones stay visible.{part} {shown.merged_sentence()}".strip(),
        caveat=_CAVEAT,
        width_mm=183.0,
        height_mm=float(np.clip(45 + 4 * len(symbols), 70, 230)),
    )


def _sorted_cells(shown: Groups) -> tuple[NDArray[np.int64], list[tuple[int, int, int]]]:
    """Return cells sorted by group, and (group, first, last) of each group among them."""
    random = np.random.default_rng(0)
    quota = max(MAX_CELL_ROWS // len(shown.present()), 1)
    chosen: list[NDArray[np.int64]] = []
    borders, first = [], 0
    for place in shown.present():
        cells = np.flatnonzero(shown.codes == place)
        if len(cells) > quota and shown.counts().sum() > MAX_CELL_ROWS:
            cells = np.sort(random.choice(cells, quota, replace=False))
        chosen.append(cells)
        borders.append((place, first, first + len(cells)))
        first += len(cells)
    return np.concatenate(chosen), borders


def _heat_colour(values: FloatArray, *, standardise: bool, what: str, axis: int = 0) -> Continuous:
    values = np.asarray(values, dtype=np.float64)
    if not standardise:
        high = max(float(np.percentile(values, 99.5)), 1e-3)
        return Continuous(values=values, scale="expression", limits=(0.0, high), title=UNIT)
    spread = np.asarray(values.std(axis=axis, keepdims=True))
    scores = (values - values.mean(axis=axis, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    reach = float(np.clip(np.percentile(np.abs(scores), 99.5), 0.5, 3.0))
    return Continuous(values=scores, scale="signed", limits=(-reach, reach), title=f"z-score over {what}")


def _genes_by_groups(shown: Groups, symbols: Sequence[str], mark: Mark, *, title: str, caption: str) -> Figure:
    ticks = _group_ticks(shown)
    n_groups = len(ticks)
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Gene", limits=(-0.6, len(symbols) - 0.4), ticks=_names(symbols)),
                y=Axis(title=_groups_title(shown), limits=(n_groups - 0.4, -0.6), ticks=ticks),
                marks=(mark,),
            ),
        ),
        title=title,
        caption=f"{caption} {shown.merged_sentence()}".strip(),
        caveat=_CAVEAT,
        width_mm=float(np.clip(60 + 6 * len(symbols), 120, 183)),
        height_mm=float(np.clip(42 + 6 * n_groups, 75, 230)),
    )


def _grouped(values: FloatArray, symbols: Sequence[str], groups: "pd.Series[Any] | NDArray[np.str_]") -> Groups:
    if values.ndim != 2 or values.shape[1] != len(symbols) or len(values) != len(groups):
        msg = (
            f"Expected one row per cell and one column per gene, found values of shape {values.shape} for "
            f"{len(groups):,} cells and {len(symbols):,} genes."
        )
        raise RequestError(msg, "shape-mismatch")
    shown = group_cells(groups)
    if not shown.present() or not len(symbols):
        msg = "Expected at least one gene and one group with a cell, found none. Choose other genes or groups."
        raise RequestError(msg, "no-groups")
    return shown


def _group_ticks(shown: Groups) -> tuple[tuple[float, str], ...]:
    counts = shown.counts()
    return tuple(
        (float(at), f"{shown.labels[place]} (n = {grouped_number(counts[place])})")
        for at, place in enumerate(shown.present())
    )


def _groups_title(shown: Groups) -> str:
    return shown.title or "Group of cells"


def _names(symbols: Sequence[str]) -> tuple[tuple[float, str], ...]:
    return tuple((float(place), one_line(symbol, longest=20)) for place, symbol in enumerate(symbols))


def _and(names: Sequence[str]) -> str:
    names = [one_line(name, longest=20) for name in names]
    if len(names) > 3:
        return f"{len(names)} genes"
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), names[-1]])


# --- volcano ---------------------------------------------------------------------------------------------------------


def volcano(
    table: pd.DataFrame,
    group: str,
    *,
    max_p_adjusted: float = 0.05,
    min_log2_fold_change: float = 1.0,
    n_labels: int = 12,
) -> Figure:
    """Draw fold change against adjusted p of every gene tested for one group of a table of `FindMarkers`.

    Parameters
    ----------
    table
        Columns ``group``, ``symbol``, ``log2_fold_change``, ``p_adjusted``, ``n_in``, ``n_out``.
    group
        Which group's genes.
    max_p_adjusted, min_log2_fold_change
        The two thresholds, drawn as lines; genes beyond both are coloured.
    n_labels
        How many genes are named at most, those farthest out first.

    Raises
    ------
    RequestError
        If the table has no such group.
    """
    genes = table[table["group"].astype(str) == str(group)].reset_index(drop=True)
    if genes.empty:
        known = ", ".join(table["group"].astype(str).unique())
        msg = f"The table of markers has no group {group!r}. Choose one of {known}."
        raise RequestError(msg, "unknown-group")
    fold = genes["log2_fold_change"].to_numpy(dtype=np.float64)
    raw = genes["p_adjusted"].to_numpy(dtype=np.float64)
    finite = np.isfinite(fold) & np.isfinite(raw)
    height, cap = _capped_height(raw)
    reach = _capped_reach(fold, raw, max_p_adjusted)
    x = np.clip(np.nan_to_num(fold), -reach, reach)
    passed = finite & (raw <= max_p_adjusted) & (np.abs(fold) >= min_log2_fold_change)
    side = np.where(passed, np.where(fold > 0, 0, 1), 2)
    marks = _volcano_marks(genes, x, height, side, finite)
    limits = ((-1.08 * reach, 1.08 * reach), (-0.02 * cap, 1.12 * cap))
    names = genes["symbol"].map(one_line).tolist()
    labelled = name_points(names, x, height, chosen=passed, limits=limits, n_labels=n_labels)
    words = f"adjusted p = {plain_number(max_p_adjusted)}"
    rules: list[Mark] = [Rule(at=-float(np.log10(max_p_adjusted)), axis="y", text=words)]
    rules += [Rule(at=sign * min_log2_fold_change, axis="x") for sign in (-1, 1)] if min_log2_fold_change > 0 else []
    n_high = int((finite & (-np.log10(np.maximum(raw, 5e-324)) > cap + 1e-6)).sum())
    n_far = int((finite & (np.abs(fold) > reach)).sum())
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Fold change against the other cells (log2)", limits=limits[0], grid=True),
                y=Axis(title="Adjusted p (-log10, Benjamini-Hochberg)", limits=limits[1], grid=True),
                marks=(*marks, *rules, *labelled),
            ),
        ),
        title=_volcano_title(genes, group, side),
        caption=_volcano_caption(n_high, n_far, cap, reach),
        caveat=_CAVEAT,
        height_mm=88.0,
        legend="below",
    )


def _capped_height(p_adjusted: FloatArray) -> tuple[FloatArray, float]:
    """Return -log10 of p, at most 300, and the cap."""
    with np.errstate(divide="ignore"):
        height = -np.log10(np.nan_to_num(p_adjusted, nan=1.0))
    finite = height[np.isfinite(height)]
    cap = float(np.clip(finite.max() if len(finite) else 1.0, 2.0, 300.0))
    return np.clip(height, 0.0, cap), cap


def _capped_reach(fold: FloatArray, p_adjusted: FloatArray, max_p_adjusted: float) -> float:
    """Return where the axis ends: genes seen in two cells have absurd fold changes that would squeeze the rest."""
    sure = np.abs(fold[np.isfinite(fold) & (p_adjusted <= max_p_adjusted)])
    return float(np.clip(1.1 * sure.max(initial=0.0), 1.5, 12.0))


def _volcano_marks(
    genes: pd.DataFrame, x: FloatArray, height: FloatArray, side: NDArray[np.int64], finite: NDArray[np.bool_]
) -> list[Mark]:
    shown = np.flatnonzero(finite)
    shown = shown[np.argsort(-side[shown], kind="stable")]
    names = ("higher in the group", "lower in the group", "below a threshold")
    counts = np.bincount(side[finite], minlength=3)
    columns = (genes.iloc[shown][name].tolist() for name in ("symbol", "log2_fold_change", "p_adjusted"))
    words = tuple(
        f"{one_line(symbol)}\nlog2 fold change {plain_number(fold)}\nadjusted p {plain_number(p_adjusted)}"
        for symbol, fold, p_adjusted in zip(*columns, strict=True)
    )
    colour = Categories(
        codes=side[shown],
        labels=names,
        colours=(_UP, _DOWN, NO_VALUE),
        counts=tuple(int(n) for n in counts),
        title="Genes",
    )
    return [Points(x=x[shown], y=height[shown], colour=colour, size=5.0, opacity=0.75, hover=words)]


def _volcano_title(genes: pd.DataFrame, group: str, side: NDArray[np.int64]) -> str:
    n_up, n_down = int((side == 0).sum()), int((side == 1).sum())
    numbers = ""
    if {"n_in", "n_out"} <= set(genes.columns):
        n_in, n_out = (grouped_number(int(genes[name].iloc[0])) for name in ("n_in", "n_out"))
        numbers = f" (n = {n_in} against {n_out} cells)"
    return f"{one_line(group)}: {grouped_number(n_up)} genes higher, {grouped_number(n_down)} lower{numbers}"


def _volcano_caption(n_high: int, n_far: int, cap: float, reach: float) -> str:
    sentences = ["Each point is one gene; coloured genes pass both thresholds (dashed lines)."]
    if n_high:
        sentences.append(f"Genes with a still smaller p, drawn at {plain_number(cap)}: {grouped_number(n_high)}.")
    if n_far:
        sentences.append(f"Genes beyond {plain_number(reach)}, drawn at the edge: {grouped_number(n_far)}.")
    return " ".join(sentences)
