"""Every metric of a family in a small panel of its own: all candidates with their intervals, beside PCA."""

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    MUTED,
    Axis,
    Figure,
    Intervals,
    Mark,
    Panel,
    Points,
    Rule,
    Solid,
    grouped_number,
    one_line,
)
from scfm_core.plots.report_card import CARD_CAVEAT, PCA, model_colours, score_words

_COLUMNS = 2
_WIDTH_MM = 183.0
_PALE = "#BDBDBD"


def metric_panels(table: pd.DataFrame, about: str) -> Figure:
    """Draw a panel per metric, each with one point and interval per candidate.

    Parameters
    ----------
    table
        Scores of one family, from `scfm_core.analyses.compare_models.ModelComparison`.
    about
        ``"biology"`` or ``"batch"``.

    Raises
    ------
    RequestError
        If no metric of this kind has a value.
    """
    rows = table[(table["about"] == about) & table["value"].notna()]
    metrics = list(dict.fromkeys(rows["metric"]))
    if not metrics:
        msg = f"Expected metrics about {about} with a value, found none. Choose labels and batches of several groups."
        raise RequestError(msg, "no-scores")
    models = list(dict.fromkeys(table["model"]))
    columns = min(_COLUMNS, len(metrics))
    panels = tuple(_panel(table, rows, name, models, first=place % columns == 0) for place, name in enumerate(metrics))
    n_rows = -(-len(metrics) // columns)
    what = {"biology": "cell types are kept apart", "batch": "batches are mixed"}.get(about, about)
    return Figure(
        panels=panels,
        columns=columns,
        title=f"How well {what}: {len(metrics)} metrics of {len(models)} candidates "
        f"(n = {grouped_number(rows['n_cells'].max())} cells)",
        caption="Each panel is one metric, a score between 0 and 1 with an arrow to its good end; points are "
        "candidates, lines their 95 % intervals over random halves of the cells. Dashed: PCA. Panels have axes of "
        "their own, so that small differences show.",
        caveat=CARD_CAVEAT,
        width_mm=_WIDTH_MM,
        height_mm=float(np.clip(24 + n_rows * (18 + 5.4 * len(models)), 60, 290)),
    )


def _panel(table: pd.DataFrame, rows: pd.DataFrame, metric: str, models: list[str], *, first: bool) -> Panel:
    mine = rows[rows["metric"] == metric].drop_duplicates("model").set_index("model")
    colours = model_colours(list(dict.fromkeys(table["title"])))
    titles = dict(zip(table["model"], table["title"], strict=True))
    at = np.array([models.index(name) for name in mine.index], dtype=np.float64)
    value, low, high = (mine[name].to_numpy(dtype=np.float64) for name in ("value", "ci_low", "ci_high"))
    low, high = np.where(np.isfinite(low), low, value), np.where(np.isfinite(high), high, value)
    marks: list[Mark] = []
    if PCA in mine.index:
        marks.append(Rule(at=float(value[list(mine.index).index(PCA)]), axis="x", colour=MUTED))
    marks.append(Intervals(at=at, value=value, low=low, high=high, colour=_PALE))
    for place, (name, row) in enumerate(mine.iterrows()):
        marks.append(
            Points(
                x=value[place : place + 1], y=at[place : place + 1], colour=Solid(colours[titles[str(name)]]), size=9.0,
                hover=(score_words(row),),
            )
        )  # fmt: skip
    ends = np.concatenate([value, low, high])
    margin = max(0.08 * float(np.ptp(ends)), 0.01)
    ticks = tuple((float(place), one_line(titles[name], longest=22)) for place, name in enumerate(models))
    up = bool(mine["higher_is_better"].iloc[0])
    return Panel(
        x=Axis(title="score (0 to 1)", limits=(float(ends.min()) - margin, float(ends.max()) + margin), grid=True),
        y=Axis(title="", limits=(len(models) - 0.4, -0.6), ticks=ticks if first else ()),
        marks=tuple(marks),
        title=f"{one_line(mine['metric_title'].iloc[0], longest=32)} {'→' if up else '←'}",
    )
