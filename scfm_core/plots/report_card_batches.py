"""Batches in the data itself: how much of the variance each column explains, and what each batch is made of."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.colours import CYCLE
from scfm_core.plots.figure import (
    MUTED,
    Axis,
    Bars,
    Continuous,
    Figure,
    HeatMap,
    Mark,
    Panel,
    Points,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)

MOST_COLUMNS, MOST_LABELS, MOST_BATCHES = 25, 40, 30
_ALL, _WITHIN = CYCLE[0], CYCLE[1]


def variance_by_column(explained: pd.DataFrame, *, model: str, labels: str = "") -> Figure:
    """Draw which share of the variance each column explains, in all and within the labels.

    Parameters
    ----------
    explained
        From `scfm_core.analyses.batch_structure.BatchStructure`.
    model
        Of whose vectors the variance is.
    labels
        What the labels are; nothing is drawn within them where empty.
    """
    shown = explained.head(MOST_COLUMNS).reset_index(drop=True)
    if shown.empty:
        msg = "Expected at least one column of groups, found none. Choose a batch, donor or condition."
        raise RequestError(msg, "no-columns")
    at = np.arange(len(shown), dtype=np.float64)
    share = 100 * shown["explained"].to_numpy(dtype=np.float64)
    within = 100 * shown["explained_within"].to_numpy(dtype=np.float64)
    chance = 100 * shown["by_chance"].to_numpy(dtype=np.float64)
    none = np.full(len(shown), np.nan)
    half = 0.18 if labels else 0.0
    words = tuple(_words(row) for _, row in shown.iterrows())
    marks: list[Mark] = [
        Bars(at=at - half, value=share, low=none, high=none, colours=(_ALL,) * len(shown), hover=words,
             thickness=0.34 if labels else 0.6, label="of all variance"),
    ]  # fmt: skip
    if labels:
        known = np.isfinite(within)
        marks.append(
            Bars(at=(at + half)[known], value=within[known], low=none[known], high=none[known],
                 colours=(_WITHIN,) * int(known.sum()), thickness=0.34, hover=tuple(np.array(words)[known]),
                 label=f"of the variance within {one_line(labels, longest=24)}")
        )  # fmt: skip
    marks.append(Points(x=chance, y=at - half, colour=Solid(MUTED), symbol="cross", size=8.0, label="by chance"))
    reach = float(np.nanmax(np.concatenate([share, within, chance])))
    ticks = tuple(
        (float(place), f"{one_line(row['column'], longest=24)} ({int(row['n_groups'])} groups)")
        for place, row in enumerate(shown.to_dict("records"))
    )
    first = shown.iloc[0]
    left = len(explained) - len(shown)
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Variance explained (%)", limits=(0.0, 1.08 * max(reach, 1.0)), grid=True),
                y=Axis(title="", limits=(len(shown) - 0.4, -0.6), ticks=ticks), marks=tuple(marks),
            ),
        ),
        title=f"{one_line(first['column'], longest=30)} explains {plain_number(100 * first['explained'])} % of the "
        f"variance of {one_line(model, longest=20)} (n = {grouped_number(first['n_cells'])} cells)",
        caption="The share of the variance of the vectors that lies between the groups of each column. Crosses: what "
        "as many random groups explain." + (f" {left} more columns stand in the table." if left else ""),
        caveat="Columns that are confounded explain the same variance twice; the shares do not add up. What a column "
        "explains can be biology: a condition that changes cells is meant to.",
        width_mm=150.0, height_mm=float(np.clip(36 + 9 * len(shown), 60, 250)), legend="below",
    )  # fmt: skip


def batch_composition(composition: pd.DataFrame, *, batches: str, labels: str) -> Figure:
    """Draw which share of each batch each label makes up.

    Parameters
    ----------
    composition
        From `scfm_core.analyses.batch_structure.BatchStructure`.
    batches, labels
        What the two are.
    """
    if composition.empty:
        msg = "Expected batches and labels, found none. Choose a batch column."
        raise RequestError(msg, "no-batches")
    sizes = [composition.groupby(name, sort=False)["n_cells"].sum() for name in ("batch", "label")]
    kept = [
        [name for name in size.index if name in set(size.nlargest(most).index)]
        for size, most in zip(sizes, (MOST_BATCHES, MOST_LABELS), strict=True)
    ]
    shares = composition.pivot_table(index="label", columns="batch", values="share_of_batch", sort=False, observed=True)
    cells = composition.pivot_table(index="label", columns="batch", values="n_cells", sort=False, observed=True)
    values = 100 * shares.loc[kept[1], kept[0]].to_numpy(dtype=np.float64)
    counts = cells.loc[kept[1], kept[0]].to_numpy(dtype=np.float64)
    hover = tuple(
        tuple(
            f"{one_line(label)} in {one_line(batch)}\n{plain_number(values[row, column])} % of the batch\n"
            f"n = {grouped_number(counts[row, column])} cells"
            for column, batch in enumerate(kept[0])
        )
        for row, label in enumerate(kept[1])
    )
    names = [tuple((float(place), _name(name, size)) for place, name in enumerate(shown))
             for shown, size in zip(kept, sizes, strict=True)]  # fmt: skip
    spread = (shares.max(axis=1) - shares.min(axis=1)).sort_values(ascending=False)
    colour = Continuous(values=values, scale="viridis", limits=(0.0, float(max(values.max(), 1.0))),
                        title="Share of the batch (%)")  # fmt: skip
    left = sum(len(size) - len(shown) for size, shown in zip(sizes, kept, strict=True))
    return Figure(
        panels=(
            Panel(
                x=Axis(title=one_line(batches, longest=30), limits=(-0.5, len(kept[0]) - 0.5), ticks=names[0]),
                y=Axis(title="", limits=(len(kept[1]) - 0.5, -0.5), ticks=names[1]),
                marks=(HeatMap(colour=colour, hover=hover),),
            ),
        ),
        title=f"{one_line(spread.index[0], longest=30)} differs most between batches, by "
        f"{plain_number(100 * spread.iloc[0])} points (n = {grouped_number(composition['n_cells'].sum())} cells)",
        caption=f"Each column is a batch, each row one of {one_line(labels, longest=30)}: its share of the batch's "
        "cells." + (f" {left} small groups are not drawn; the table holds them." if left else ""),
        caveat="Where batches hold other kinds of cells, an embedding that mixes them completely has lost biology.",
        width_mm=150.0, height_mm=float(np.clip(44 + 6 * len(kept[1]), 70, 260)),
    )  # fmt: skip


def _name(name: object, sizes: "pd.Series[Any]") -> str:
    return f"{one_line(name, longest=24)} (n = {grouped_number(sizes.to_dict()[name])})"


def _words(row: "pd.Series[Any]") -> str:
    within = row["explained_within"]
    inside = f"\nwithin labels {plain_number(100 * within)} %" if np.isfinite(within) else ""
    return (
        f"{one_line(row['column'])}\n{plain_number(100 * row['explained'])} % of the variance{inside}\n"
        f"by chance {plain_number(100 * row['by_chance'])} %\nn = {grouped_number(row['n_cells'])} cells"
    )
