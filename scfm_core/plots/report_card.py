"""The summary scores of all candidates as bars, the best first, with intervals, beside PCA."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.colours import category_colours
from scfm_core.plots.figure import (
    MUTED,
    NO_VALUE,
    Axis,
    Bars,
    Figure,
    Mark,
    Panel,
    Rule,
    grouped_number,
    one_line,
    plain_number,
)

RANDOM, PCA = "random", "pca"
CARD_CAVEAT = (
    "Intervals are over the cells, or from six on the donors, of this dataset, not over seeds or samples: new ones may "
    "order the candidates otherwise. A score is no biology: it asks for labels that somebody gave."
)


def report_card(table: pd.DataFrame, metrics: tuple[str, ...]) -> Figure:
    """Draw summary scores of all candidates, a panel for each metric, sorted by the first one.

    Parameters
    ----------
    table
        Scores of one family, from `scfm_core.analyses.compare_models.ModelComparison`.
    metrics
        Keys of the metrics, such as AvgBIO and AvgBATCH; those without a value are left out.

    Raises
    ------
    RequestError
        If no candidate has a value.
    """
    shown = [name for name in metrics if table.loc[table["metric"] == name, "value"].notna().any()]
    if not shown:
        msg = "Expected at least one embedding with a score, found none. Wait for the first, or choose other labels."
        raise RequestError(msg, "no-scores")
    first = of_metric(table, shown[0])
    models = list(first["model"])
    panels = tuple(_panel(table, name, models, place=place) for place, name in enumerate(shown))
    n_cells = grouped_number(first["n_cells"].max())
    of_pca = first.loc[first["model"] == PCA, "value"]
    beside = f"; PCA has {plain_number(of_pca.iloc[0])}" if len(of_pca) else ""
    return Figure(
        panels=panels,
        columns=len(panels),
        title=f"{one_line(first['metric_title'].iloc[0])} of {len(models)} candidates, from "
        f"{plain_number(first['value'].max())} to {plain_number(first['value'].min())}{beside} (n = {n_cells} cells)",
        caption="One bar for each candidate, the best first; lines are 95 % intervals over random halves of the "
        "cells. Dashed: PCA, the yardstick. Random numbers are the honest zero. Baselines stand beside the models at "
        "equal size.",
        caveat=CARD_CAVEAT,
        width_mm=183.0 if len(panels) > 1 else 130.0,
        height_mm=float(np.clip(34 + 8 * len(models), 60, 220)),
        legend="below",
    )


def of_metric(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of a metric that have a value, the best first."""
    rows = table[(table["metric"] == metric) & table["value"].notna()]
    ascending = bool(len(rows)) and not bool(rows["higher_is_better"].iloc[0])
    return rows.sort_values("value", ascending=ascending, kind="stable").reset_index(drop=True)


def model_colours(titles: list[str]) -> dict[str, str]:
    """Give each candidate a colour by its title; random numbers are grey.

    Examples
    --------
    >>> model_colours(["Random", "PCA"])
    {'PCA': '#0072B2', 'Random': '#8C8C8C'}
    """
    return {
        title: NO_VALUE if title.casefold().startswith(RANDOM) else colour
        for title, colour in category_colours(titles).items()
    }


def arrow(higher_is_better: bool) -> str:
    """Return the arrow that points to the good end."""
    return "\u2191 higher is better" if higher_is_better else "\u2193 lower is better"


def score_words(row: "pd.Series[Any]") -> str:
    """Say what one score is, in lines."""
    interval = ""
    if np.isfinite(row["ci_low"]) and np.isfinite(row["ci_high"]):
        interval = f"\n95 % {plain_number(row['ci_low'])} to {plain_number(row['ci_high'])}"
    return (
        f"{one_line(row['title'], longest=40)}\n{one_line(row['metric_title'])}: {plain_number(row['value'])}{interval}"
        f"\nn = {grouped_number(row['n_cells'])} cells"
    )


def _panel(table: pd.DataFrame, metric: str, models: list[str], *, place: int) -> Panel:
    rows = table[table["metric"] == metric].set_index("model")
    rows = rows[rows["value"].notna()]
    at = np.array([models.index(name) for name in rows.index if name in models], dtype=np.float64)
    rows = rows.loc[[name for name in rows.index if name in models]]
    colours = model_colours(list(dict.fromkeys(table["title"])))
    value, low, high = (rows[name].to_numpy(dtype=np.float64) for name in ("value", "ci_low", "ci_high"))
    marks: list[Mark] = [
        Bars(
            at=at, value=value, low=low, high=high, colours=tuple(colours[title] for title in rows["title"]),
            hover=tuple(score_words(row) for _, row in rows.iterrows()),
        )
    ]  # fmt: skip
    if PCA in rows.index:
        marks.append(Rule(at=float(value[list(rows.index).index(PCA)]), axis="x", text="PCA", colour=MUTED))
    titles = dict(zip(table["model"], table["title"], strict=True))
    ticks = tuple((float(row), one_line(titles[name], longest=26)) for row, name in enumerate(models))
    reach = np.nanmax(np.append(high, value)) if len(value) else 1.0
    name = one_line(rows["metric_title"].iloc[0])
    return Panel(
        x=Axis(
            title=f"{name} (0 to 1; {arrow(bool(rows['higher_is_better'].iloc[0]))})",
            limits=(min(0.0, float(np.nanmin(np.append(low, value)))), max(1.0, 1.02 * float(reach))), grid=True,
        ),
        y=Axis(title="", limits=(len(models) - 0.4, -0.6), ticks=ticks if place == 0 else ()),
        marks=tuple(marks),
    )  # fmt: skip
