"""Which names the cells of each group get, as a heat map of shares."""

from typing import TYPE_CHECKING

import numpy as np

from scfm_core.analyses.group_names import UNKNOWN
from scfm_core.errors import RequestError
from scfm_core.plots.figure import Axis, Continuous, Figure, HeatMap, Panel, grouped_number, one_line
from scfm_core.plots.name_scores import MOST_GROUPS, group_ticks, ticks, title

if TYPE_CHECKING:
    import pandas as pd

    from scfm_core.analyses.name_by_celltypist import CelltypistNames
    from scfm_core.analyses.name_by_reference import ReferenceNames

MOST_NAMES = 30


def reference_share_map(names: "ReferenceNames") -> Figure:
    """Draw how many cells of each group are matched to each label of the reference.

    Raises
    ------
    RequestError
        If no cell is matched.
    """
    return _share_map(
        names.groups,
        names.shares,
        by="a reference",
        caption="Colour: share of the group's cells that are matched to the label. What is missing to 100 % lies too "
        "far from the reference, or among neighbours that do not agree.",
        caveat="That the cells are of that type: the labels are those of the reference, right or wrong, and a shift "
        "between batches moves cells as a new type would.",
    )


def celltypist_share_map(names: "CelltypistNames") -> Figure:
    """Draw how many cells of each group have each type as best match with a probability of at least 0.5.

    Raises
    ------
    RequestError
        If no cell is classified.
    """
    shares = names.shares.drop(columns="share").rename(columns={"passing_share": "share"})
    return _share_map(
        names.groups,
        shares[shares["share"] > 0],
        by="a CellTypist model",
        caption="Colour: share of the group's cells whose best match is the type with a probability of at least 0.5.",
        caveat="That the cells are of that type: a model knows the types that it was trained on and calls others by "
        "the nearest of them, at times with a high probability.",
    )


def _share_map(groups: "pd.DataFrame", shares: "pd.DataFrame", *, by: str, caption: str, caveat: str) -> Figure:
    if shares.empty:
        msg = "No cell of any group has a name, so there is nothing to draw."
        raise RequestError(msg, "nothing-to-draw")
    columns = groups["group"].tolist()[:MOST_GROUPS]
    totals = shares.groupby("name", sort=False)["share"].max().sort_values(ascending=False, kind="stable")
    kept = set(totals.index[:MOST_NAMES])
    names = [name for name in dict.fromkeys(shares["name"]) if name in kept]
    found = dict(zip(zip(shares["group"], shares["name"], strict=True), shares["share"], strict=True))
    values = np.array([[100.0 * found.get((group, name), 0.0) for group in columns] for name in names])
    sizes, called = (dict(zip(groups["group"], groups[column], strict=True)) for column in ("n_cells", "name"))
    hover = tuple(
        tuple(
            f"{values[row, column]:.0f} % of {grouped_number(sizes[group])} cells of {one_line(group, longest=40)}\n"
            f"are {one_line(name)}"
            for column, group in enumerate(columns)
        )
        for row, name in enumerate(names)
    )
    colour = Continuous(values=values, scale="expression", limits=(0.0, 100.0), title="Cells of the group (%)")
    n_unknown = sum(called[group] == UNKNOWN for group in columns)
    left_out = [
        f"The first {len(columns):,} of {len(groups):,} groups are drawn." if len(columns) < len(groups) else "",
        f"{len(totals) - len(names):,} rarer names are not drawn." if len(names) < len(totals) else "",
        f"Groups that stay unknown: {n_unknown:,}." if n_unknown else "",
    ]
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Group of cells", limits=(-0.5, len(columns) - 0.5), ticks=group_ticks(columns, sizes)),
                y=Axis(title="Name", limits=(len(names) - 0.5, -0.5), ticks=ticks(names)),
                marks=(HeatMap(colour=colour, hover=hover),),
            ),
        ),
        title=title(groups, by),
        caption=" ".join([f"Columns are groups, rows names. {caption}", *filter(None, left_out)]),
        caveat=caveat,
        width_mm=183.0,
        height_mm=float(np.clip(60 + 6 * len(names), 90, 230)),
    )
