"""How values are spread over some cells beside others, as two outlines over the same bins."""

from typing import TYPE_CHECKING

import numpy as np

from scfm_core.errors import RequestError
from scfm_core.plots.composition import CHOSEN, OTHERS
from scfm_core.plots.figure import Axis, Figure, Line, Mark, Panel, Rule, grouped_number, one_line, plain_number

if TYPE_CHECKING:
    from scfm_core.analyses.compare_values import Spread

_CAVEAT = (
    "Cells are no replicates: a shift between two sets of cells that were selected by eye is described here, and not "
    "tested."
)


def value_spread(found: "Spread", *, column: str) -> Figure:
    """Draw the share of the cells in each bin of values, for the chosen cells and those beside them.

    Parameters
    ----------
    column
        What the values are; of which unit they are, only the file knows.

    Raises
    ------
    RequestError
        If no chosen cell has a value.
    """
    if found.table["n"].iloc[0] == 0:
        msg = f"No selected cell has a value in {column!r}. Choose another column."
        raise RequestError(msg, "no-values")
    marks: list[Mark] = []
    top = 0.0
    for row, counts, colour in zip(found.table.to_dict("records"), found.counts, (CHOSEN, OTHERS), strict=True):
        if not row["n"]:
            continue
        share = 100 * counts / row["n"]
        label = f"{one_line(row['cells'], longest=40)} (n = {grouped_number(row['n'])})"
        x, y = np.repeat(found.edges, 2), np.concatenate([[0.0], np.repeat(share, 2), [0.0]])
        marks.append(Line(x=x, y=y, colour=colour, width=2.0, label=label))
        marks.append(Rule(at=float(row["median"]), axis="x", colour=colour))
        top = max(top, float(share.max()))
    low, high = float(found.edges[0]), float(found.edges[-1])
    margin = 0.02 * (high - low)
    name = one_line(column, longest=48)
    return Figure(
        panels=(
            Panel(
                x=Axis(title=f"{name} (in the unit of the file)", limits=(low - margin, high + margin)),
                y=Axis(title="Share of the cells (%)", limits=(0.0, 1.06 * top), grid=True),
                marks=tuple(marks),
            ),
        ),
        title=_title(found, name),
        caption=_caption(found),
        caveat=_CAVEAT,
        width_mm=150.0,
        height_mm=85.0,
        legend="below",
    )


def _title(found: "Spread", name: str) -> str:
    medians = [plain_number(float(value)) for value in found.table["median"]]
    beside = f", beside {medians[1]}" if found.table["n"].iloc[1] else ""
    n_in, n_out = (grouped_number(n) for n in found.table["n"])
    return f"{name}: median {medians[0]} in the selection{beside} (n = {n_in} and {n_out} cells)"


def _caption(found: "Spread") -> str:
    missing = int(found.table["n_missing"].sum())
    words = (
        f"The share of each set of cells in {len(found.edges) - 1} bins of equal width; broken lines are the medians."
    )
    return words + (f" {grouped_number(missing)} cells without a value are left out." if missing else "")
