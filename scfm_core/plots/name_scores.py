"""How well each set of marker genes fits each group of cells, as a heat map with the names marked."""

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scfm_core.analyses.group_names import UNKNOWN
from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    INK,
    Axis,
    Continuous,
    Figure,
    HeatMap,
    Panel,
    Points,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)

if TYPE_CHECKING:
    import pandas as pd

    from scfm_core.analyses.name_by_markers import MarkerNames

MOST_GROUPS, MOST_SETS = 40, 24
HIGHEST = 10.0
_CAVEAT = (
    "That the cells are of that type: a set of markers fits whatever holds its genes, and a type without a set here is "
    "never named. Cells of one donor are no independent replicates."
)


def name_score_map(names: "MarkerNames") -> Figure:
    """Draw the z of the sets that stand highest in some group, at most 24, for at most 40 groups.

    Raises
    ------
    RequestError
        If no group was tested.
    """
    scores = names.scores
    if scores.empty:
        msg = "No group has enough cells to be scored, so there is nothing to draw. Choose larger groups."
        raise RequestError(msg, "nothing-to-draw")
    tested = list(dict.fromkeys(scores["group"]))
    groups, sets = tested[:MOST_GROUPS], highest_sets(scores, tested[:MOST_GROUPS])
    table = scores.pivot(index="group", columns="set", values="z").loc[groups, sets].to_numpy(dtype=np.float64)
    rows = scores.set_index(["group", "set"])
    hover = tuple(tuple(_words(rows.loc[(group, one)], group, one) for group in groups) for one in sets)
    reach = float(np.clip(np.abs(table).max(), 3.0, HIGHEST))
    words = "z above random genes" + (f" (colour ends at {HIGHEST:g})" if np.abs(table).max() > HIGHEST else "")
    colour = Continuous(values=table.T, scale="signed", limits=(-reach, reach), title=words)
    found = names.groups.set_index("group")
    sizes = dict(zip(names.groups["group"], names.groups["n_cells"], strict=True))
    called = [found["name"][group] for group in groups]
    marked = [(column, sets.index(name)) for column, name in enumerate(called) if name in sets]
    dots = Points(
        x=np.array([column for column, _ in marked], dtype=np.float64),
        y=np.array([row for _, row in marked], dtype=np.float64),
        colour=Solid(INK),
        size=7.0,
        label="the name of the group",
    )
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Group of cells", limits=(-0.5, len(groups) - 0.5), ticks=group_ticks(groups, sizes)),
                y=Axis(title="Set of marker genes", limits=(len(sets) - 0.5, -0.5), ticks=ticks(sets)),
                marks=(HeatMap(colour=colour, hover=hover), *([dots] if marked else [])),
            ),
        ),
        title=title(names.groups, "markers"),
        caption=_caption(names, len(groups), len(tested), len(sets)),
        caveat=_CAVEAT,
        width_mm=183.0,
        height_mm=float(np.clip(60 + 6 * len(sets), 90, 230)),
        legend="below",
    )


def highest_sets(scores: "pd.DataFrame", groups: list[str]) -> list[str]:
    """Return the sets that stand among the first two of some group, in the order of the groups, at most 24."""
    chosen: list[str] = []
    for place in (1, 2):
        for group in groups:
            mine = scores[scores["group"] == group].nlargest(place, "z")["set"].tolist()
            chosen += [one for one in mine if one not in chosen]
    return chosen[:MOST_SETS]


def title(groups: "pd.DataFrame", by: str) -> str:
    """Say how many groups got a name."""
    n_named, n = int((groups["name"] != UNKNOWN).sum()), len(groups)
    n_cells = grouped_number(groups["n_cells"].sum())
    return f"{grouped_number(n_named)} of {grouped_number(n)} groups named by {by}, n = {n_cells} cells"


def ticks(names: list[str]) -> tuple[tuple[float, str], ...]:
    """Return one tick for each name, in at most two lines."""
    lines = (textwrap.wrap(one_line(name, longest=60), 32, max_lines=2, placeholder="\u2026") for name in names)
    return tuple((float(place), "\n".join(words)) for place, words in enumerate(lines))


def group_ticks(groups: list[str], sizes: Mapping[str, int]) -> tuple[tuple[float, str], ...]:
    """Return one tick for each group with its number of cells."""
    names = [f"{one_line(group, longest=22)}\nn = {grouped_number(sizes[group])}" for group in groups]
    return tuple((float(place), name) for place, name in enumerate(names))


def _words(row: "pd.Series[float]", group: str, one: str) -> str:
    return (
        f"{one_line(one)} in {one_line(group, longest=40)}\nz {plain_number(row['z'])}, adjusted p "
        f"{plain_number(row['p_adjusted'])}\nfirst in {100 * row['support']:.0f} % of resamples of the genes\n"
        f"{row['n_raised']:.0f} of {row['n_expressed']:.0f} expressed genes among the highest 5 %"
    )


def _caption(names: "MarkerNames", n_groups: int, n_tested: int, n_sets: int) -> str:
    n_scored = names.scores["set"].nunique()
    sentences = [
        "Columns are groups, rows the sets that stand first or second in some group "
        f"({n_sets:,} of {n_scored:,} scored). Colour: how many standard deviations the mean rank of the set's genes "
        "lies above random genes of like abundance. A dot marks the name; where types of one lineage are not told "
        "apart the name is the lineage and has no dot.",
        f"The first {n_groups:,} of {n_tested:,} groups are drawn." if n_groups < n_tested else "",
        *(f"{one_line(remark, longest=200).rstrip('.')}." for remark in names.remarks),
    ]
    return " ".join(sentence for sentence in sentences if sentence)
