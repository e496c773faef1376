"""Violins of markers: how expression is distributed over the cells of each group."""

from collections.abc import Sequence

import numpy as np

from scfm_core.analyses.sample_expression import SampledExpression
from scfm_core.plots.colours import MAX_CATEGORIES, category_colours
from scfm_core.plots.figure import NO_VALUE, Axis, Figure, Mark, Panel, distribution, grouped_number, one_line
from scfm_core.plots.marker_grid import CAVEAT, group_ticks, groups_title

MAX_VIOLIN_GENES = 12


def marker_violins(sample: SampledExpression, *, groups_are: str = "", title: str = "") -> Figure:
    """Draw a row per gene, the first 12, and a violin per group.

    Parameters
    ----------
    groups_are
        What the groups are, such as the name of a column.
    """
    drawn = list(sample.symbols)[:MAX_VIOLIN_GENES]
    codes, values, n_cells = np.asarray(sample.codes), np.asarray(sample.values), np.asarray(sample.n_cells)
    ticks = group_ticks(sample.groups, n_cells)
    colours = category_colours(sample.groups[:MAX_CATEGORIES])
    members = [codes == place for place in range(len(sample.groups))]
    panels = []
    for number, symbol in enumerate(drawn):
        last = number == len(drawn) - 1
        marks: list[Mark] = [
            distribution(values[cells, number], at=at, colour=colours.get(sample.groups[at], NO_VALUE))
            for at, cells in enumerate(members)
        ]
        top = max(float(values[:, number].max(initial=0.0)), 0.1)
        x = Axis(
            title=groups_title(groups_are) if last else "",
            limits=(-0.6, len(ticks) - 0.4),
            ticks=ticks if last else (),
        )
        name = one_line(symbol, longest=16)
        y = Axis(title=f"{name}\nln(1 + CP10K)", limits=(-0.04 * top, 1.06 * top), grid=True)
        panels.append(Panel(x=x, y=y, marks=tuple(marks)))
    n_all = grouped_number(int(n_cells.sum()))
    sentences = [
        "The width shows how many cells have that value, in ln(1 + counts per 10,000, CP10K); the bar holds the middle "
        "half of the cells, the dot is the median.",
        f"Of {n_all} cells {grouped_number(len(codes))} are drawn, evenly over the groups."
        if len(codes) < n_cells.sum()
        else "",
        f"The first {MAX_VIOLIN_GENES} of {len(sample.symbols)} genes are drawn."
        if len(drawn) < len(sample.symbols)
        else "",
    ]
    return Figure(
        panels=tuple(panels),
        title=title or f"Expression of {_and(drawn)} in {len(ticks)} groups, n = {n_all} cells",
        caption=" ".join(sentence for sentence in sentences if sentence),
        caveat=CAVEAT,
        width_mm=float(np.clip(25 + 11 * len(ticks), 89, 183)),
        height_mm=24.0 * len(drawn) + 26,
    )


def _and(names: Sequence[str]) -> str:
    names = [one_line(name, longest=20) for name in names]
    if len(names) > 3:
        return f"{len(names)} genes"
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), names[-1]])
