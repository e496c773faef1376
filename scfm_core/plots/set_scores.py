"""Scores of a gene set by group: violins of the cells, and the means of donors."""

import numpy as np
import pandas as pd

from scfm_core.plots.figure import (
    INK,
    Axis,
    Figure,
    FloatArray,
    Mark,
    Panel,
    Points,
    Rule,
    Solid,
    distribution,
    grouped_number,
    one_line,
    plain_number,
)
from scfm_core.plots.groups import group_cells

_CAVEAT = (
    "That a group is what the set is named after: the genes of any set that go together stand out more easily than "
    "random ones. Cells of one donor are no replicates; compare the means of donors."
)


def set_score_violins(scores: FloatArray, groups: "pd.Series", donors: pd.DataFrame, *, name: str) -> Figure:
    """Draw a violin of the scores for each group, and a diamond for each donor's mean.

    Parameters
    ----------
    scores
        One per cell, shape ``(n_cells,)``; NaN where a cell has none.
    groups
        One per cell; pass a categorical with all categories to keep the colours of other figures.
    donors
        Columns ``group``, ``donor``, ``n_cells``, ``mean``; may be empty.
    name
        Of the gene set.
    """
    shown = group_cells(groups)
    values = np.asarray(scores, dtype=np.float64)
    usable = np.isfinite(values)
    marks: list[Mark] = [Rule(at=0.0, axis="y")]
    ticks: list[tuple[float, str]] = []
    for at, place in enumerate(shown.present()):
        of_group = values[usable & (shown.codes == place)]
        marks.append(distribution(of_group, at=at, colour=shown.colours[place]))
        ticks.append((at, f"{shown.labels[place]}\n(n = {grouped_number(len(of_group))})"))
        marks.extend(_donor_means(donors[donors["group"].map(one_line) == shown.labels[place]], at, first=at == 0))
    known = values[usable & (shown.codes >= 0)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    margin = 0.06 * max(high - low, 0.1)
    y = Axis(title="Score\n(mean ln(1 + CP10K) above like genes)", limits=(low - margin, high + margin), grid=True)
    x = Axis(title=shown.title or "group", limits=(-0.6, max(len(ticks), 1) - 0.4), ticks=tuple(ticks))
    with_donors = "A diamond is the mean over the cells of one donor. " if len(donors) else ""
    n_missing = int((~usable & (shown.codes >= 0)).sum())
    left_out = f" Cells without counts, left out: {grouped_number(n_missing)}." if n_missing else ""
    return Figure(
        panels=(Panel(x=x, y=y, marks=tuple(marks)),),
        title=f"{one_line(name, longest=50)} in {len(ticks)} group{'s' * (len(ticks) != 1)}, "
        f"n = {grouped_number(len(known))} cells",
        caption="Mean log expression of the set's genes in each cell, less that of reference genes that are expressed "
        "as strongly over all cells (CP10K: counts per 10,000); on the dashed line both are equal. The width shows how "
        "many cells have that score; the bar holds the middle half of the cells, the dot is the median. "
        f"{with_donors}{shown.merged_sentence()}{left_out}".strip(),
        caveat=_CAVEAT,
        width_mm=float(np.clip(30 + 14 * len(ticks), 89, 183)),
        height_mm=85.0,
    )


def _donor_means(rows: pd.DataFrame, at: int, *, first: bool) -> list[Mark]:
    if rows.empty:
        return []
    offsets = np.linspace(-0.25, 0.25, len(rows)) if len(rows) > 1 else np.zeros(1)
    words = tuple(
        f"{one_line(donor)} in {one_line(group)}\nmean {plain_number(mean)}\nn = {grouped_number(n)} cells"
        for donor, group, mean, n in zip(rows["donor"], rows["group"], rows["mean"], rows["n_cells"], strict=True)
    )
    return [
        Points(
            x=at + offsets, y=rows["mean"].to_numpy(dtype=np.float64), colour=Solid(INK), size=8.0, symbol="diamond",
            hover=words, label="mean of a donor" if first else "",
        )
    ]  # fmt: skip
