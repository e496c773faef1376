"""Figures of the quality of cells: counts, genes and mitochondrial share, with the thresholds."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.plots.cell_map import drawn_sentence, hover_words, point_size, sample_points
from scfm_core.plots.figure import (
    Axis,
    Continuous,
    Figure,
    FloatArray,
    Mark,
    Panel,
    Points,
    Rule,
    distribution,
    grouped_number,
    log_ticks,
    plain_number,
)
from scfm_core.plots.groups import group_cells

if TYPE_CHECKING:
    from scfm_core.analyses.measure_quality import Thresholds

_TITLES = {
    "total_counts": "Total counts per cell (UMI)",
    "n_genes": "Genes detected per cell",
    "mitochondrial_share": "Mitochondrial share of counts (%)",
    "ribosomal_share": "Ribosomal share of counts (%)",
    "doublet_score": "Doublet score (scrublet, 0 to 1)",
}
_BOUNDS = {
    "total_counts": ("min_counts", "max_counts"),
    "n_genes": ("min_genes", "max_genes"),
    "mitochondrial_share": (None, "max_mitochondrial_share"),
    "doublet_score": (None, "max_doublet_score"),
}
_LOGARITHMIC = ("total_counts", "n_genes")
_SHARES = ("mitochondrial_share", "ribosomal_share")
_CAVEAT = (
    "A threshold cannot tell a dying cell from a cell type that is small, resting or rich in mitochondria. Look at "
    "what would be lost before filtering."
)


def quality_scatter(table: pd.DataFrame, thresholds: "Thresholds") -> Figure:
    """Draw genes over counts, one point a cell, coloured by mitochondrial share, with the thresholds as lines.

    Parameters
    ----------
    table
        As `MeasureQuality` returns it, one row per cell.
    thresholds
        Lines stand where they are finite and positive.
    """
    counts, genes = (table[name].to_numpy(dtype=np.float64) for name in _LOGARITHMIC)
    drawable = np.flatnonzero((counts > 0) & (genes > 0))
    chosen = drawable[sample_points(len(drawable))]
    share = 100 * table["mitochondrial_share"].to_numpy(dtype=np.float64)
    order = chosen[np.argsort(np.nan_to_num(share[chosen]), kind="stable")]
    finite = share[np.isfinite(share)]
    limit = max(float(np.percentile(finite, 99.5)) if len(finite) else 0.0, 1.0)
    points = Points(
        x=counts[order],
        y=genes[order],
        colour=Continuous(
            values=np.nan_to_num(share[order]),
            scale="viridis",
            limits=(0.0, limit),
            title=_TITLES["mitochondrial_share"],
        ),
        size=min(point_size(len(order)), 6.0),
        opacity=0.8,
        cells=order,
        hover=hover_words(_hover_table(table.iloc[order])) if len(order) <= 20_000 else (),
    )
    x, y = _axis("total_counts", counts[drawable], thresholds), _axis("n_genes", genes[drawable], thresholds)
    rules = [*_rules("total_counts", "x", thresholds), *_rules("n_genes", "y", thresholds)]
    n_empty = len(table) - len(drawable)
    caption = [
        "Each point is one cell; the dashed lines are the thresholds.",
        "Broken cells lie low on the left with a large mitochondrial share, doublets high on the right.",
        drawn_sentence(len(order), len(drawable)),
        f"Cells without any count, not drawn: {grouped_number(n_empty)}." if n_empty else "",
    ]
    return Figure(
        panels=(Panel(x=x, y=y, marks=(points, *rules)),),
        title=f"Genes and counts of n = {grouped_number(len(table))} cells",
        caption=" ".join(sentence for sentence in caption if sentence),
        caveat=_CAVEAT,
    )


def quality_violins(table: pd.DataFrame, column: str, thresholds: "Thresholds") -> Figure:
    """Draw one column of the quality table as a violin per sample, with its thresholds as lines.

    Counts and genes stand on a logarithmic scale, and their densities are those of the logarithms.

    Raises
    ------
    RequestError
        If the table has no such column to draw.
    """
    if column not in _TITLES or column not in table:
        msg = f"Expected one of {', '.join(_TITLES)}, found {column!r}."
        raise RequestError(msg, "unknown-column")
    values = table[column].to_numpy(dtype=np.float64) * (100 if column in _SHARES else 1)
    usable = np.isfinite(values) & ((values > 0) if column in _LOGARITHMIC else True)
    groups = group_cells(table["sample"] if "sample" in table else pd.Series(["all cells"] * len(table)))
    marks: list[Mark] = []
    ticks: list[tuple[float, str]] = []
    for at, place in enumerate(groups.present()):
        of_sample = values[usable & (groups.codes == place)]
        marks.append(_violin(of_sample, column, at=at, colour=groups.colours[place]))
        ticks.append((at, f"{groups.labels[place]}\n(n = {grouped_number(len(of_sample))})"))
    n_missing = int((~usable).sum())
    caption = [
        "The width shows how many cells have that value; the bar holds the middle half, the dot is the median.",
        groups.merged_sentence(),
        f"Cells without a value, left out: {grouped_number(n_missing)}." if n_missing else "",
    ]
    name = _TITLES[column].split(" (")[0]
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Sample", limits=(-0.6, 1.15 * max(len(ticks), 1) - 0.4), ticks=tuple(ticks)),
                y=_axis(column, values[usable], thresholds),
                marks=(*marks, *_rules(column, "y", thresholds)),
            ),
        ),
        title=f"{name} in {len(ticks)} sample{'s' * (len(ticks) != 1)}, n = {grouped_number(usable.sum())} cells",
        caption=" ".join(sentence for sentence in caption if sentence),
        caveat=_CAVEAT,
        width_mm=float(np.clip(30 + 18 * len(ticks), 89, 183)),
        height_mm=75.0,
    )


def _violin(values: FloatArray, column: str, *, at: int, colour: str) -> Mark:
    if column not in _LOGARITHMIC:
        return distribution(values, at=at, colour=colour)
    mark = distribution(np.log10(values), at=at, colour=colour)
    return mark.raised_to_ten()


def _bounds(column: str, thresholds: "Thresholds") -> list[tuple[str, float]]:
    found = []
    for side, name in zip(("at least", "at most"), _BOUNDS.get(column, (None, None)), strict=True):
        if name is None:
            continue
        bound = float(getattr(thresholds, name)) * (100 if column in _SHARES else 1)
        if np.isfinite(bound) and bound > 0:
            found.append((side, bound))
    return found


def _rules(column: str, axis: str, thresholds: "Thresholds") -> list[Rule]:
    unit = " %" if column in _SHARES else ""
    return [
        Rule(at=bound, axis="x" if axis == "x" else "y", text=f"{side} {plain_number(bound)}{unit}")
        for side, bound in _bounds(column, thresholds)
    ]


def _axis(column: str, values: FloatArray, thresholds: "Thresholds") -> Axis:
    """Return an axis that shows all values and the thresholds near them."""
    title = _TITLES[column]
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 10.0)
    for _, bound in _bounds(column, thresholds):
        if column in _LOGARITHMIC and low / 3 < bound < high * 3:
            low, high = min(low, bound), max(high, bound)
        elif column not in _LOGARITHMIC:
            high = max(high, bound) if bound <= 2 * high else high
    if column in _LOGARITHMIC:
        limits = (low / 1.25, high * 1.25)
        return Axis(title=title, limits=limits, scale="log", ticks=log_ticks(limits), grid=True)
    return Axis(title=title, limits=(-0.02 * high, 1.08 * high if high > 0 else 1.0), grid=True)


def _hover_table(table: pd.DataFrame) -> pd.DataFrame:
    shown: dict[str, pd.Index | NDArray[np.float64] | pd.Series] = {"cell": table.index}
    if "sample" in table:
        shown["sample"] = table["sample"].to_numpy()
    shown["counts"] = table["total_counts"].to_numpy(dtype=np.float64)
    shown["genes"] = table["n_genes"].to_numpy(dtype=np.float64)
    shown["mitochondrial share, %"] = 100 * table["mitochondrial_share"].to_numpy(dtype=np.float64)
    return pd.DataFrame(shown)
