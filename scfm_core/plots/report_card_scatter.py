"""Biology against batches: each candidate as a point with its intervals, PCA and random numbers among them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    MUTED,
    Axis,
    Figure,
    FloatArray,
    Mark,
    Panel,
    Points,
    Rule,
    Segments,
    Solid,
    Symbol,
    grouped_number,
    one_line,
    plain_number,
)
from scfm_core.plots.labels import name_points
from scfm_core.plots.report_card import CARD_CAVEAT, PCA, model_colours

_ABOVE_LINE = 9.0  # pixels, so that an interval does not strike a name out
_SYMBOLS: tuple[Symbol, ...] = ("circle", "diamond", "square", "triangle")


def biology_against_batch(table: pd.DataFrame, biology: str, batch: str) -> Figure:
    """Draw one point per candidate: how well it keeps cell types apart, against how well it mixes batches.

    Parameters
    ----------
    table
        Scores of one family, from `scfm_core.analyses.compare_models.ModelComparison`.
    biology, batch
        Keys of the two metrics; both are better the higher they are.

    Raises
    ------
    RequestError
        If no candidate has both.
    """
    sides = [table[table["metric"] == name].set_index("model") for name in (biology, batch)]
    both = [name for name in sides[0].index if name in sides[1].index and _has_values(sides, name)]
    if not both:
        msg = "Expected an embedding with a score of biology and one of batches, found none. Choose a batch column."
        raise RequestError(msg, "no-scores")
    up, across = (side.loc[both] for side in sides)
    limits = (_limits(across), _limits(up))
    colours = model_colours(list(dict.fromkeys(table["title"])))
    marks: list[Mark] = []
    x, y = across["value"].to_numpy(dtype=np.float64), up["value"].to_numpy(dtype=np.float64)
    if PCA in both:
        place = both.index(PCA)
        marks += [Rule(at=float(x[place]), axis="x"), Rule(at=float(y[place]), axis="y")]
    for place, name in enumerate(both):
        marks += _candidate(across.loc[name], up.loc[name], colours, symbol=_SYMBOLS[place % len(_SYMBOLS)])
    names = [one_line(title, longest=24) for title in up["title"]]
    every = np.ones(len(both), dtype=bool)
    notes = name_points(names, x, y, chosen=every, limits=limits, n_labels=len(both))
    marks += [replace(note, shift=(note.shift[0], note.shift[1] or _ABOVE_LINE)) for note in notes]
    titles = [one_line(side["metric_title"].iloc[0]) for side in (up, across)]
    n_cells = grouped_number(up["n_cells"].max())
    return Figure(
        panels=(
            Panel(
                x=Axis(title=f"{titles[1]} (0 to 1; \u2192 batches mixed better)", limits=limits[0], grid=True),
                y=Axis(title=f"{titles[0]} (0 to 1; \u2191 cell types apart)", limits=limits[1], grid=True),
                marks=tuple(marks),
            ),
        ),
        title=f"{titles[0]} against {titles[1]} for {len(both)} candidates (n = {n_cells} cells)",
        caption="Each point is one candidate; lines are its 95 % intervals over random halves of the cells. "
        "Dashed lines pass through PCA: up and to the right of them is better at both. Random numbers know of no cell "
        "type and of no batch: they are the honest zero of both scores.",
        caveat=CARD_CAVEAT,
        width_mm=130.0,
        height_mm=105.0,
        legend="below",
    )


def _candidate(
    across: "pd.Series[float]", up: "pd.Series[float]", colours: dict[str, str], *, symbol: Symbol
) -> list[Mark]:
    title = str(up["title"])
    x, y, colour = float(across["value"]), float(up["value"]), colours[title]
    ends = [(float(row["ci_low"]), float(row["ci_high"])) for row in (across, up)]
    (x0, x1), (y0, y1) = (tuple(np.nan_to_num(end, nan=at)) for end, at in zip(ends, (x, y), strict=True))
    lines = Segments(
        x0=np.array([x0, x]), x1=np.array([x1, x]), y0=np.array([y, y0]), y1=np.array([y, y1]),
        width=np.array([2.0, 2.0]), colour=colour, opacity=0.6,
    )  # fmt: skip
    words = "\n".join(
        f"{one_line(row['metric_title'])} {plain_number(row['value'])} "
        f"(95 % {plain_number(low)} to {plain_number(high)})"
        for row, (low, high) in zip((up, across), reversed(ends), strict=True)
    )
    point = Points(
        x=np.array([x]), y=np.array([y]), colour=Solid(colour), size=12.0, symbol=symbol, outline=MUTED,
        hover=(f"{one_line(title, longest=40)}\n{words}",), label=one_line(title, longest=30),
    )  # fmt: skip
    return [lines, point]


def _has_values(sides: list[pd.DataFrame], name: str) -> bool:
    return all(bool(side["value"].notna().loc[name]) for side in sides)


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    ends: FloatArray = rows[["value", "ci_low", "ci_high"]].to_numpy(dtype=np.float64)
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    margin = max(0.08 * (high - low), 0.02)
    return low - margin, high + margin
