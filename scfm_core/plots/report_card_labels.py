"""How often the neighbours of a cell tell its label: every label on a line of its own, the rare ones first."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    Axis,
    Figure,
    Mark,
    Panel,
    Points,
    Segments,
    Solid,
    Symbol,
    grouped_number,
    one_line,
    plain_number,
)
from scfm_core.plots.report_card import model_colours

MOST_LABELS = 40
_ALL = "all"
_SPREAD = 0.7  # of a line, over which the candidates are parted
_SYMBOLS: tuple[Symbol, ...] = ("circle", "diamond", "square", "triangle")


def labels_told(transfer: pd.DataFrame, *, folds: str) -> Figure:
    """Draw the share of each label's cells that get it from their neighbours, a point per candidate.

    Parameters
    ----------
    transfer
        From `scfm_core.analyses.compare_models.ModelComparison`.
    folds
        What the neighbours are sought in, such as the other batches.

    Raises
    ------
    RequestError
        If nothing was transferred.
    """
    rows = transfer[transfer["label"] != _ALL]
    if rows.empty:
        msg = "Expected labels that were transferred, found none. Choose labels and batches of several groups."
        raise RequestError(msg, "no-labels")
    sizes = rows.drop_duplicates("label").set_index("label")[["n_cells", "rare"]]
    order = sizes.sort_values(["rare", "n_cells"], ascending=[False, True], kind="stable").index[:MOST_LABELS]
    lines = [_ALL, *order]
    titles = list(dict.fromkeys(transfer["title"]))
    colours = model_colours(titles)
    marks: list[Mark] = []
    for place, title in enumerate(titles):
        shift = _SPREAD * ((place + 0.5) / len(titles) - 0.5)
        mine = transfer[(transfer["title"] == title) & transfer["label"].isin(lines) & transfer["recall"].notna()]
        at = np.array([lines.index(label) for label in mine["label"]], dtype=np.float64) + shift
        marks += _candidate(mine, at, colours[title], _SYMBOLS[place % len(_SYMBOLS)])
    ticks = tuple((float(place), _name(label, sizes, transfer)) for place, label in enumerate(lines))
    n_rare = int(sizes["rare"].sum())
    n_cells = int(transfer.loc[transfer["label"] == _ALL, "n_cells"].max())
    left = len(sizes) - len(order)
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Cells that get their own label (%)", limits=(-2.0, 102.0), grid=True),
                y=Axis(title="", limits=(len(lines) - 0.4, -0.6), ticks=ticks), marks=tuple(marks),
            ),
        ),
        title=f"{n_rare} rare and {len(sizes) - n_rare} other labels, told by a cell's neighbours in "
        f"{one_line(folds, longest=30)} (n = {grouped_number(n_cells)} cells)",
        caption="Each line is one label, the rare ones (below 2 % of the cells) first; each point one candidate: the "
        "share of the label's cells whose nearest cells vote for it, with 95 % interval. The others get another label, "
        "or none where the votes do not agree. A label that stands nowhere else cannot be told."
        + (f" The {left} largest labels are not drawn." if left else ""),
        caveat="Few cells make wide intervals: a rare label says little about a candidate. A label that is told in "
        "these cells need not be told in new ones.",
        width_mm=150.0, height_mm=float(np.clip(40 + (4 + 2.2 * len(titles)) * len(lines), 80, 290)), legend="below",
    )  # fmt: skip


def _candidate(rows: pd.DataFrame, at: "np.ndarray[Any, Any]", colour: str, symbol: Symbol) -> list[Mark]:
    if rows.empty:
        return []
    value, low, high = (100 * rows[name].to_numpy(dtype=np.float64) for name in ("recall", "ci_low", "ci_high"))
    low, high = np.where(np.isfinite(low), low, value), np.where(np.isfinite(high), high, value)
    spread = Segments(x0=low, x1=high, y0=at, y1=at, width=np.full(len(at), 1.5), colour=colour, opacity=0.5)
    points = Points(
        x=value, y=at, colour=Solid(colour), size=7.0, symbol=symbol, label=one_line(rows["title"].iloc[0], longest=30),
        hover=tuple(_words(row) for _, row in rows.iterrows()),
    )  # fmt: skip
    return [spread, points]


def _name(label: str, sizes: pd.DataFrame, transfer: pd.DataFrame) -> str:
    if label == _ALL:
        return f"all (n = {grouped_number(transfer.loc[transfer['label'] == _ALL, 'n_cells'].max())})"
    rare = "rare: " if sizes.loc[label, "rare"] else ""
    alone = ", nowhere else" if transfer.loc[transfer["label"] == label, "recall"].isna().all() else ""
    return f"{rare}{one_line(label, longest=24)} (n = {grouped_number(sizes['n_cells'].to_dict()[label])}{alone})"


def _words(row: "pd.Series[Any]") -> str:
    return (
        f"{one_line(row['title'], longest=40)}: {one_line(row['label'])}\n"
        f"{plain_number(100 * row['recall'])} % get it (95 % {plain_number(100 * row['ci_low'])} to "
        f"{plain_number(100 * row['ci_high'])})\n{plain_number(100 * row['wrong'])} % another, "
        f"{plain_number(100 * row['unknown'])} % none\nn = {grouped_number(row['n_reference'])} cells"
    )
