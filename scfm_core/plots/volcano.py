"""Volcano: fold change against adjusted p of every gene tested for one group."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    INK,
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
from scfm_core.plots.marker_grid import CAVEAT

_UP, _DOWN, _PICKED = "#D55E00", "#0072B2", "#F0E442"
_MOST_NAMED = 40  # of the picked genes
_HIGHEST = 300.0  # -log10 of p
_DONOR_CAVEAT = (
    "Donors are the replicates here, so p speaks about other donors like these. Groups that were made from the same "
    "counts differ in some genes by construction, and a difference is no cause."
)


def volcano(
    table: pd.DataFrame,
    group: str,
    *,
    max_p_adjusted: float = 0.05,
    min_log2_fold_change: float = 1.0,
    picked: Sequence[str] = (),
    n_labels: int = 12,
) -> Figure:
    """Draw fold change against adjusted p of every gene tested for one group.

    Parameters
    ----------
    table
        Of `scfm_core.analyses.find_markers.Markers` or `scfm_core.analyses.compare_donors.DonorComparison`: columns
        ``group``, ``symbol``, ``log2_fold_change``, ``p_adjusted``, ``n_in``, ``n_out``, and the donors where they are
        the replicates. Each point carries the place of its gene among the rows of the group.
    max_p_adjusted, min_log2_fold_change
        The two thresholds, drawn as lines; genes beyond both are coloured.
    picked
        Gene ids that are ringed and named; the genes farthest out are named where empty.
    n_labels
        How many genes are named at most, where none is picked.

    Raises
    ------
    RequestError
        If the table has no such group.
    """
    genes = genes_of_group(table, group)
    fold = genes["log2_fold_change"].to_numpy(dtype=np.float64)
    raw = genes["p_adjusted"].to_numpy(dtype=np.float64)
    finite = np.isfinite(fold) & np.isfinite(raw)
    height, cap = _capped_height(raw)
    reach = _capped_reach(fold, raw, max_p_adjusted)
    x = np.clip(np.nan_to_num(fold), -reach, reach)
    passed = finite & (raw <= max_p_adjusted) & (np.abs(fold) >= min_log2_fold_change)
    side = np.where(passed, np.where(fold > 0, 0, 1), 2)
    limits = ((-1.08 * reach, 1.08 * reach), (-0.02 * cap, 1.12 * cap))
    names = genes["symbol"].map(one_line).tolist()
    marks: list[Mark] = [_points(genes, x, height, side, finite), *_rules(max_p_adjusted, min_log2_fold_change, cap)]
    if picked:
        marks += _picked(names, x, height, np.flatnonzero(genes["gene_id"].isin(picked) & finite), limits)
    else:
        marks += name_points(names, x, height, chosen=passed, limits=limits, n_labels=n_labels)
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Fold change against the compared cells (log2)", limits=limits[0], grid=True),
                y=Axis(title="Adjusted p (-log10, Benjamini-Hochberg)", limits=limits[1], grid=True),
                marks=tuple(marks),
            ),
        ),
        title=_title(genes, group, side),
        caption=_caption(finite, fold, raw, cap, reach),
        caveat=_DONOR_CAVEAT if "n_donors_in" in genes else CAVEAT,
        height_mm=88.0,
        legend="below",
    )


def genes_of_group(table: pd.DataFrame, group: str) -> pd.DataFrame:
    """Return the rows of a group, numbered from 0 as the points of its volcano are."""
    genes = table[table["group"].astype(str) == str(group)].reset_index(drop=True)
    if genes.empty:
        known = ", ".join(table["group"].astype(str).unique())
        msg = f"The table of markers has no group {group!r}. Choose one of {known}."
        raise RequestError(msg, "unknown-group")
    return genes


def _rules(max_p_adjusted: float, min_log2_fold_change: float, cap: float) -> list[Mark]:
    rules: list[Mark] = []
    if max_p_adjusted > 0 and -float(np.log10(max_p_adjusted)) <= cap:
        words = f"adjusted p = {plain_number(max_p_adjusted)}"
        rules.append(Rule(at=-float(np.log10(max_p_adjusted)), axis="y", text=words))
    if min_log2_fold_change > 0:
        rules += [Rule(at=sign * min_log2_fold_change, axis="x") for sign in (-1, 1)]
    return rules


def _picked(
    names: list[str],
    x: FloatArray,
    height: FloatArray,
    places: NDArray[np.int64],
    limits: tuple[tuple[float, float], tuple[float, float]],
) -> list[Mark]:
    """Ring the picked genes and name as many as find room, over the crowd of the others."""
    x, height = x[places], height[places]
    ring = Points(
        x=x, y=height, colour=Solid(_PICKED), size=8.0, outline=INK, label=f"picked (n = {grouped_number(len(places))})"
    )
    chosen = np.ones(len(places), dtype=bool)
    notes = name_points(
        [names[place] for place in places], x, height, chosen=chosen, limits=limits, n_labels=_MOST_NAMED
    )
    return [ring, *(replace(note, backed=True) for note in notes)]


def _capped_height(p_adjusted: FloatArray) -> tuple[FloatArray, float]:
    """Return -log10 of p, at most 300, and the cap."""
    with np.errstate(divide="ignore"):
        height = -np.log10(np.nan_to_num(p_adjusted, nan=1.0))
    finite = height[np.isfinite(height)]
    cap = float(np.clip(finite.max() if len(finite) else 1.0, 2.0, _HIGHEST))
    return np.clip(height, 0.0, cap), cap


def _capped_reach(fold: FloatArray, p_adjusted: FloatArray, max_p_adjusted: float) -> float:
    """Return where the axis ends: genes seen in two cells have absurd fold changes that would squeeze the rest."""
    sure = np.abs(fold[np.isfinite(fold) & (p_adjusted <= max_p_adjusted)])
    return float(np.clip(1.1 * sure.max(initial=0.0), 1.5, 12.0))


def _points(
    genes: pd.DataFrame, x: FloatArray, height: FloatArray, side: NDArray[np.int64], finite: NDArray[np.bool_]
) -> Points:
    shown = np.flatnonzero(finite)
    shown = shown[np.argsort(-side[shown], kind="stable")]
    counts = np.bincount(side[finite], minlength=3)
    columns = (genes.iloc[shown][name].tolist() for name in ("symbol", "log2_fold_change", "p_adjusted"))
    words = tuple(
        f"{one_line(symbol)}\nlog2 fold change {plain_number(fold)}\nadjusted p {plain_number(p_adjusted)}"
        for symbol, fold, p_adjusted in zip(*columns, strict=True)
    )
    colour = Categories(
        codes=side[shown],
        labels=("higher in the group", "lower in the group", "below a threshold"),
        colours=(_UP, _DOWN, NO_VALUE),
        counts=tuple(int(n) for n in counts),
        title="Genes",
    )
    return Points(x=x[shown], y=height[shown], colour=colour, size=5.0, opacity=0.75, hover=words, cells=shown)


def _title(genes: pd.DataFrame, group: str, side: NDArray[np.int64]) -> str:
    n_up, n_down = int((side == 0).sum()), int((side == 1).sum())
    return f"{one_line(group)}: {grouped_number(n_up)} genes higher, {grouped_number(n_down)} lower{n_words(genes)}"


def n_words(genes: pd.DataFrame) -> str:
    """Say on how many donors and cells the rows of one group rest, in brackets; empty where the table does not say."""
    if not {"n_in", "n_out"} <= set(genes.columns):
        return ""
    n_in, n_out = (grouped_number(int(genes[name].iloc[0])) for name in ("n_in", "n_out"))
    if "n_donors_in" not in genes:
        return f" (n = {n_in} against {n_out} cells)"
    d_in, d_out = (int(genes[name].iloc[0]) for name in ("n_donors_in", "n_donors_out"))
    return f" (n = {d_in} against {d_out} donors, {n_in} against {n_out} cells)"


def _caption(finite: NDArray[np.bool_], fold: FloatArray, raw: FloatArray, cap: float, reach: float) -> str:
    n_high = int((finite & (-np.log10(np.maximum(np.nan_to_num(raw, nan=1.0), 5e-324)) > cap + 1e-6)).sum())
    n_far = int((finite & (np.abs(fold) > reach)).sum())
    sentences = ["Each point is one gene; coloured genes pass both thresholds (dashed lines)."]
    if n_high:
        sentences.append(f"Genes with a still smaller p, drawn at {plain_number(cap)}: {grouped_number(n_high)}.")
    if n_far:
        sentences.append(f"Genes beyond {plain_number(reach)}, drawn at the edge: {grouped_number(n_far)}.")
    if not finite.all():
        sentences.append(f"Genes without an adjusted p, not drawn: {grouped_number(int((~finite).sum()))}.")
    return " ".join(sentences)
