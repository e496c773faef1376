"""Figures of a perturbation read out as the authors of a model do: similarities, or shifts toward a state."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    INK,
    Axis,
    Figure,
    FloatArray,
    Histogram,
    Mark,
    Note,
    Panel,
    Rule,
    distribution,
    grouped_number,
    one_line,
    plain_number,
)

MAX_VIOLINS = 12
SIMILARITY = "cosine_similarity"
SHIFT = "shift_to:"
_BLUE, _ORANGE = "#0072B2", "#D55E00"
_N_NAMED = 3
_CAVEAT = (
    "The numbers compare vectors of the model before and after its input was changed; no cell was measured. Any gene "
    "that a model reads strongly moves them, and cells of one donor are not independent replicates."
)


def readout_figure(cells: pd.DataFrame, column: str, *, labels: Mapping[str, str], doing: str = "") -> Figure:
    """Draw one number of the readout over the cells, for each edit; over the edits, where there are more than 12.

    Parameters
    ----------
    cells
        One row per edit and cell: ``edit``, and the number.
    column
        ``"cosine_similarity"``, or ``"shift_to:"`` and a state.
    labels
        How each edit is called.
    doing
        What was done, as a title begins: ``"Deleting"``.

    Raises
    ------
    RequestError
        If no cell has a number.
    """
    table = cells.loc[np.isfinite(cells[column].to_numpy(dtype=np.float64)), ["edit", column]]
    if table.empty:
        msg = "No cell holds what was edited, so there is nothing to draw. Choose other genes or other cells."
        raise RequestError(msg, "nothing-to-draw")
    order = table.groupby("edit", sort=False)[column].mean().sort_values(ascending=column == SIMILARITY, kind="stable")
    names = [one_line(labels.get(str(edit), str(edit)), longest=28) for edit in order.index]
    if len(order) > MAX_VIOLINS:
        return _over_edits(order.to_numpy(dtype=np.float64), names, column, doing)
    values = [table.loc[table["edit"] == edit, column].to_numpy(dtype=np.float64) for edit in order.index]
    return _over_cells(values, names, column, doing)


def axis_words(column: str) -> str:
    """Say what a number of the readout is.

    Examples
    --------
    >>> axis_words("shift_to:healthy")
    'Shift toward healthy (difference of cosines, no unit)'
    """
    if column == SIMILARITY:
        return "Cosine similarity before and after (1: nothing moves)"
    return f"Shift toward {one_line(column.removeprefix(SHIFT), longest=30)} (difference of cosines, no unit)"


def similarity_words(value: float) -> str:
    """Write a similarity with as many digits as tell it from 1.

    Examples
    --------
    >>> similarity_words(0.9123), similarity_words(0.9999712), similarity_words(1.0)
    ('0.9123', '0.9999712', '1')
    """
    left = 1.0 - value
    if left <= 1e-12:
        return plain_number(value)
    return f"{value:.{int(np.clip(np.ceil(-np.log10(left)) + 2, 3, 9))}f}"


def _over_cells(values: list[FloatArray], names: list[str], column: str, doing: str) -> Figure:
    still = _still(column)
    everything = np.concatenate(values)
    marks: list[Mark] = [Rule(at=still, axis="y", text="nothing moves")]
    marks += [distribution(part, at=place, colour=_BLUE) for place, part in enumerate(values)]
    ticks = tuple(
        (float(place), f"{name}\nn = {grouped_number(len(part))}")
        for place, (name, part) in enumerate(zip(names, values, strict=True))
    )
    first = float(values[0].mean())
    margin = 0.6 + max(3 - len(values), 0) / 2  # a single violin would fill the whole width
    return Figure(
        panels=(
            Panel(
                x=Axis(title="What was edited, n cells", limits=(-margin, len(values) - 1 + margin), ticks=ticks),
                y=Axis(title=axis_words(column), limits=_limits(everything, still), grid=True),
                marks=tuple(marks),
            ),
        ),
        title=_title(f"{doing} {names[0]}".strip(), first, column, len(names)),
        caption="The width shows how many cells have that value; the bar holds the middle half of the cells, the dot "
        "is the median. " + _meaning(column),
        caveat=_CAVEAT,
        width_mm=float(np.clip(40 + 18 * len(values), 89, 183)),
        height_mm=95.0,
    )


def _over_edits(means: FloatArray, names: list[str], column: str, doing: str) -> Figure:
    still = _still(column)
    low, high = _limits(means, still)
    edges = np.linspace(low, high, int(np.clip(2 * np.sqrt(len(means)), 12, 60)) + 1)
    counts = np.histogram(means, bins=edges)[0]
    highest = max(int(counts.max()), 1)
    n = grouped_number(len(means))
    marks: list[Mark] = [Histogram(edges=edges, counts=counts, colour=_BLUE, label=f"mean over cells, n = {n}")]
    marks.append(Rule(at=still, axis="x", text="nothing moves"))
    right = column != SIMILARITY
    for place, (mean, name) in enumerate(zip(means[:_N_NAMED], names[:_N_NAMED], strict=True)):
        marks.append(
            Note(
                x=float(mean), y=(1.4 - 0.12 * place) * highest, text=f"{name} \u25be" if right else f"\u25be {name}",
                anchor="right" if right else "left", colour=INK,
            )
        )  # fmt: skip
    return Figure(
        panels=(
            Panel(
                x=Axis(title=axis_words(column), limits=(low, high)),
                y=Axis(title="Edits (number)", limits=(0.0, 1.5 * highest), grid=True),
                marks=tuple(marks),
            ),
        ),
        title=_title(f"{doing} {names[0]}".strip(), float(means[0]), column, len(means)),
        caption=f"Each of the {n} edits counts once, with its mean over the cells in which it was made. Named "
        f"are the {_N_NAMED} edits with the strongest means; each triangle points at its mean. " + _meaning(column),
        caveat=_CAVEAT,
        height_mm=85.0,
        legend="below",
    )


def _title(name: str, mean: float, column: str, n_edits: int) -> str:
    strongest = "" if n_edits == 1 else f" most among n = {grouped_number(n_edits)} edits"
    if column == SIMILARITY:
        return f"{name} moves the cells{strongest}: mean cosine similarity {similarity_words(mean)}"
    state = one_line(column.removeprefix(SHIFT), longest=30)
    if mean < 0:  # then all are
        strongest = strongest.replace("most", "least")
        return f"{name} shifts the cells away from {state}{strongest}: by {plain_number(-mean)} on average"
    return f"{name} shifts the cells toward {state}{strongest}: by {plain_number(mean)} on average"


def _meaning(column: str) -> str:
    if column == SIMILARITY:
        return "1: nothing moves; the lower, the more the vectors turn."
    return "Above 0 the cells come closer to the state, below 0 they go away from it."


def _still(column: str) -> float:
    return 1.0 if column == SIMILARITY else 0.0


def _limits(values: FloatArray, still: float) -> tuple[float, float]:
    low, high = min(float(values.min()), still), max(float(values.max()), still)
    margin = 0.08 * (high - low) or 1e-6
    return low - margin, high + margin
