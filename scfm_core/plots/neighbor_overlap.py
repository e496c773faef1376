"""How far two embeddings agree on the neighbours of cells: by group, beside chance."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.colours import CYCLE
from scfm_core.plots.figure import (
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
    grouped_number,
    one_line,
    plain_number,
)

MAX_ROWS = 40
OVERLAP_CAVEAT = (
    "That two embeddings agree does not show that either is right, and where they differ it does not show which one is "
    "wrong: ask labels that no model has seen, or markers. Inside a uniform group the order of neighbours is mostly "
    "noise, so few are kept there. The range is over cells, which are no replicates; no test is made."
)
MIXING_CAVEAT = (
    "Batches that hold other kinds of cells should not be mixed, and well-mixed batches may have lost biology: look at "
    "the same share of the cell types. The range is over cells, which are no replicates; no test is made."
)
_BLUE, _ORANGE = CYCLE[0], CYCLE[1]
_LIMITS = (-2.0, 102.0)


def overlap_by_group(
    table: pd.DataFrame, *, first: str, second: str, n_neighbors: int, donors: pd.DataFrame | None = None
) -> Figure:
    """Draw the share of kept neighbours of each group, beside what chance would keep.

    Parameters
    ----------
    table
        From `scfm_core.analyses.neighbor_tables.kept_by_group`.
    first, second
        What the two embeddings are called, a baseline as such.
    donors
        From `kept_by_donor`: a small point for each donor's mean.

    Raises
    ------
    RequestError
        If no group holds a compared cell.
    """
    rows = _shown(table)
    at = np.arange(len(rows), dtype=np.float64)
    mean, low, high = (100 * rows[name].to_numpy(dtype=np.float64) for name in ("mean", "low", "high"))
    chance = 100 * float(rows["by_chance"].iloc[0])
    within = 100 * rows["by_chance_within"].to_numpy(dtype=np.float64)
    range_ = Intervals(at=at, value=mean, low=low, high=high, colour="#9CC4DE", label="middle half of the cells")
    marks: list[Mark] = [Rule(at=chance, axis="x", text="by chance", dash="dot"), range_]
    if donors is not None and len(donors):
        marks.append(_donor_means(rows, donors))
    marks.append(
        Points(
            x=within, y=at, colour=Solid(_ORANGE), size=9.0, symbol="diamond",
            label="by chance, if both keep the groups of a cell's neighbours",
            hover=tuple(f"expected within groups\n{plain_number(value)} %" for value in within),
        )
    )  # fmt: skip
    words = tuple(_overlap_words(row) for _, row in rows.iterrows())
    marks.append(
        Points(x=mean, y=at, colour=Solid(_BLUE), size=10.0, label="mean over the cells of a group", hover=words)
    )
    marks.append(Beside(at=at, texts=tuple(f"{plain_number(value)} %" for value in mean)))
    n_cells = int(table["n_cells"].sum())
    overall = 100 * float(np.average(table["mean"], weights=table["n_cells"]))
    names = f"{one_line(first, longest=40)} and {one_line(second, longest=40)}"
    return Figure(
        panels=(Panel(x=_share_axis("Neighbours kept (%)"), y=_group_axis(rows), marks=tuple(marks)),),
        title=f"{names} share {plain_number(overall)}\u00a0% of each cell's {n_neighbors} neighbours; "
        f"by chance {plain_number(chance)}\u00a0% (n = {grouped_number(n_cells)} cells)",
        caption=_overlap_caption(table, rows, n_neighbors, donors is not None and len(donors) > 0),
        caveat=OVERLAP_CAVEAT,
        width_mm=150.0,
        height_mm=_height(len(rows)),
        legend="below",
    )


def neighbor_mixing(table: pd.DataFrame, *, first: str, second: str, column: str, within: str = "") -> Figure:
    """Draw how many neighbours of a cell come from its own group, such as its batch, in both embeddings.

    Parameters
    ----------
    table
        From `scfm_core.analyses.neighbor_tables.mixing_by_group`.
    first, second, column
        What the embeddings, and the column of the groups, are called.
    within
        The column whose composition was taken into account; none where empty.

    Raises
    ------
    RequestError
        If no group holds a compared cell.
    """
    name = "by_chance_within" if within else "by_chance"
    sides = [table[table["embedding"] == side].reset_index(drop=True) for side in ("first", "second")]
    shown = _shown(sides[0])
    rows = [side[side["group"].isin(shown["group"])].reset_index(drop=True) for side in sides]
    at = np.arange(len(shown), dtype=np.float64)
    marks: list[Mark] = []
    looks = ((first, _BLUE, "#9CC4DE", -0.17), (second, "#D55E00", "#F0BE9C", 0.17))
    for side, (title, colour, pale, shift) in zip(rows, looks, strict=True):
        mean, low, high = (100 * side[part].to_numpy(dtype=np.float64) for part in ("mean", "low", "high"))
        chance = 100 * side[name].to_numpy(dtype=np.float64)
        place = at + shift
        words = tuple(_mixing_words(row, title) for _, row in side.iterrows())
        marks.append(Intervals(at=place, value=mean, low=low, high=high, colour=pale))
        marks.append(Points(x=chance, y=place, colour=Solid(MUTED), size=8.0, symbol="cross", label="by chance"))
        named = f"{one_line(title, longest=40)}: mean, middle half of the cells"
        marks.append(Points(x=mean, y=place, colour=Solid(colour), size=9.0, label=named, hover=words))
    n_cells = int(sides[0]["n_cells"].sum())
    shares = [100 * float(np.average(side["mean"], weights=side["n_cells"])) for side in sides]
    chance_all = 100 * float(np.average(sides[0]["by_chance"], weights=sides[0]["n_cells"]))
    what = one_line(column, longest=30)
    return Figure(
        panels=(Panel(x=_share_axis(f"Neighbours from the own {what} (%)"), y=_group_axis(shown), marks=tuple(marks)),),
        title=f"Of a cell's neighbours {plain_number(shares[0])}\u00a0% come from its own {what} in "
        f"{one_line(first, longest=30)} and {plain_number(shares[1])}\u00a0% in {one_line(second, longest=30)}; drawn "
        f"from all cells {plain_number(chance_all)}\u00a0% would (n = {grouped_number(n_cells)} cells)",
        caption=_mixing_caption(sides[0], shown, what, within),
        caveat=MIXING_CAVEAT,
        width_mm=150.0,
        height_mm=_height(len(shown), each=9.0),
        legend="below",
    )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that are drawn: all, or the 40 with most cells, in the order of the table."""
    if table.empty:
        msg = "Expected at least one group with a compared cell, found none. Choose another column."
        raise RequestError(msg, "no-groups")
    largest = table["n_cells"].to_numpy().argsort(kind="stable")[::-1][:MAX_ROWS]
    return table.iloc[np.sort(largest)].reset_index(drop=True)


def _donor_means(rows: pd.DataFrame, donors: pd.DataFrame) -> Points:
    places = {group: float(place) for place, group in enumerate(rows["group"])}
    mine = donors[donors["group"].isin(list(places))]
    return Points(
        x=100 * mine["mean"].to_numpy(dtype=np.float64),
        y=np.array([places[group] for group in mine["group"]]),
        colour=Solid(MUTED),
        size=5.0,
        opacity=0.8,
        label="mean of one donor",
        hover=tuple(
            f"{one_line(row['donor'])}: {plain_number(100 * row['mean'])} %\nn = {grouped_number(row['n_cells'])} cells"
            for _, row in mine.iterrows()
        ),
    )


def _share_axis(title: str) -> Axis:
    ticks = tuple((float(place), str(place)) for place in range(0, 101, 20))
    return Axis(title=title, limits=_LIMITS, ticks=ticks, grid=True)


def _group_axis(rows: pd.DataFrame) -> Axis:
    ticks = tuple(
        (float(place), f"{one_line(group, longest=24)} (n = {grouped_number(n_cells)})")
        for place, (group, n_cells) in enumerate(zip(rows["group"], rows["n_cells"], strict=True))
    )
    return Axis(title="", limits=(len(rows) - 0.4, -0.6), ticks=ticks)


def _height(n_rows: int, *, each: float = 6.0) -> float:
    return float(np.clip(42 + each * n_rows, 62, 300))


def _overlap_words(row: "pd.Series[Any]") -> str:
    mean, low, high = (plain_number(100 * row[name]) for name in ("mean", "low", "high"))
    return (
        f"{one_line(row['group'])}\nmean {mean} %, middle half {low} to {high} %\n"
        f"n = {grouped_number(row['n_cells'])} cells"
    )


def _mixing_words(row: "pd.Series[Any]", title: str) -> str:
    chance = f"\nexpected by chance {plain_number(100 * row['by_chance'])} %"
    inside = row["by_chance_within"]
    more = "" if pd.isna(inside) else f", at this composition {plain_number(100 * inside)} %"
    return f"{one_line(title, longest=40)}\n{_overlap_words(row)}{chance}{more}"


def _overlap_caption(table: pd.DataFrame, rows: pd.DataFrame, n_neighbors: int, donors: bool) -> str:
    sentences = [
        f"Of the {n_neighbors} nearest cells of a cell in the first embedding, the share that are among its "
        f"{n_neighbors} nearest in the second one; mean over the cells of each group.",
        "Dotted: neighbours drawn from all cells. Diamonds: if both embeddings kept the groups of a cell's neighbours "
        "and drew the neighbours at random within these groups; what lies beyond them is agreement finer than groups.",
        "Small points are means of single donors." if donors else "",
        _left_out(table, rows),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _mixing_caption(table: pd.DataFrame, rows: pd.DataFrame, what: str, within: str) -> str:
    if within:
        chance = (
            f"Crosses: the share expected if the {what} played no part among the neighbours of each "
            f"{one_line(within, longest=30)}."
        )
    else:
        chance = "Crosses: the share expected if neighbours were drawn from all cells."
    sentences = [
        f"The share of a cell's neighbours that have its own {what}, mean over the cells; at a cross the {what} is "
        "mixed completely, at 100 % it is apart.",
        chance,
        _left_out(table, rows),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _left_out(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    n_left = len(table) - len(rows)
    return f"The {n_left} groups with fewest cells are not drawn; the table holds them." if n_left else ""
