"""The switch diagram: which label the cells that hold a gene lie nearest to, before and after an edit."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.plots.colours import OTHER, category_colours, natural_order
from scfm_core.plots.edit_words import EDIT_CAVEAT, find_row, p_words, row_name, rows_of
from scfm_core.plots.figure import (
    INK,
    MUTED,
    NO_VALUE,
    Anchor,
    Axis,
    Figure,
    FloatArray,
    Mark,
    Note,
    Panel,
    Ribbons,
    grouped_number,
    one_line,
)

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbationEffects

MAX_LABELS = 12
_CAVEAT = (
    f"{EDIT_CAVEAT} A cell's label here is that of most of its 15 nearest unedited cells; a cell between two groups "
    "changes it easily."
)
_LINE_MM = 2.9  # height of a line of a label
_AROUND_MM = 12.0  # of the figure that are not the diagram
_GAP = 0.015
_MM_PER_LABEL = 11.0
_BLOCK = 0.04  # width of the blocks at both ends


def switch_diagram(
    effects: "PerturbationEffects", edit: str, group: str, *, categories: Sequence[object] = ()
) -> Figure:
    """Draw bands from the labels before an edit to those after it, as wide as the number of cells.

    Parameters
    ----------
    effects
        Answer of `PerturbGenes` with ``identity_by``.
    edit, group
        Which row, by the columns ``edit`` and ``group``.
    categories
        All values of the column, so that a label has the colour that it has elsewhere; those drawn where empty.

    Raises
    ------
    RequestError
        If there is no such row, or no label of its cells is known.
    """
    row = find_row(effects, edit, group)
    flows = rows_of(effects.switches, edit, group)
    flows = flows[flows["n_cells"] > 0] if len(flows) else flows
    if flows.empty:
        msg = f"No label is known before and after {edit!r} in group {group!r}. Choose a column that names the cells."
        raise RequestError(msg, "no-labels")
    flows, n_merged = _merged(flows)
    names = sorted({*flows["label_before"], *flows["label_after"]} - {OTHER}, key=natural_order)
    known = category_colours(categories or names)
    colours = {name: known.get(name, NO_VALUE) for name in names} | {OTHER: NO_VALUE}
    order = [*names, *([OTHER] if OTHER in {*flows["label_before"], *flows["label_after"]} else [])]
    n_labels = int(flows[["label_before", "label_after"]].nunique().max())
    height_mm = float(np.clip(20 + _MM_PER_LABEL * n_labels, 70, 160))
    sides = ("label_before", "label_after")
    scale = min(_scale(flows.groupby(side)["n_cells"].sum(), height_mm) for side in sides)
    before, after = (_Side(flows, side, order, (scale, height_mm)) for side in sides)
    y = Axis(title="", limits=(1.02, -8.5 / height_mm), ticks=(), visible=False)
    n = grouped_number(flows["n_cells"].sum())
    heads = [
        Note(x=at, y=-0.5 / height_mm, shift=(0.0, 18.0), text=f"{when} (n = {n})", colour=MUTED)
        for at, when in ((0.0, "before"), (1.0, "after"))
    ]
    marks: list[Mark] = [*_bands(flows, before, after, colours), *_blocks(before, 0.0, colours)]
    marks += [*_blocks(after, 1.0, colours), *_names(before, after), *heads]
    return Figure(
        panels=(Panel(x=Axis(title="", limits=(-0.85, 1.85), ticks=(), visible=False), y=y, marks=tuple(marks)),),
        title=_title(row),
        caption=_caption(row, effects.identity_by, n_merged),
        caveat=_CAVEAT,
        height_mm=height_mm,
        legend="below",
    )


@dataclass(frozen=True)
class _Stack:
    """Where one label's block stands: from ``low`` to ``high`` of the height 0 to 1."""

    label: str
    n_cells: int
    n_changed: int
    low: float
    high: float
    middle: float


class _Side:
    """The blocks of one side, one over the other, each in a slot that holds its name."""

    def __init__(self, flows: pd.DataFrame, column: str, order: list[str], scale: tuple[float, float]) -> None:
        per_cell, height_mm = scale
        self.column = column
        self.labels = [label for label in order if (flows[column] == label).any()]
        counts = np.array([int(flows.loc[flows[column] == label, "n_cells"].sum()) for label in self.labels])
        changed = flows[flows["label_before"] != flows["label_after"]]
        moved = [int(changed.loc[changed[column] == label, "n_cells"].sum()) for label in self.labels]
        heights = counts * per_cell
        slots = np.maximum(heights + _GAP, _least_slots(self.labels, height_mm))
        slots += max(1 - slots.sum(), 0.0) / len(slots)
        ends = np.cumsum(slots)
        self.per_cell = per_cell
        self.stacks: dict[str, _Stack] = {}
        for place, label in enumerate(self.labels):
            middle = float(ends[place] - slots[place] / 2)
            low, high = (middle + sign * heights[place] / 2 for sign in (-1, 1))
            self.stacks[label] = _Stack(label, int(counts[place]), moved[place], float(low), float(high), middle)


def _least_slots(labels: Sequence[object], height_mm: float) -> FloatArray:
    """Return the share of the height that the name of each label needs."""
    lines = np.array([len(_name_lines(str(label))) + 1 for label in labels], dtype=np.float64)
    least = (_LINE_MM * lines + 0.8) / (height_mm - _AROUND_MM)
    return np.asarray(least / max(float(least.sum()), 1.0))


def _scale(counts: "pd.Series[Any]", height_mm: float) -> float:
    """Return the height of one cell at which all blocks of a side and their names fit."""
    scale, least = 1.0 / float(counts.sum()), _least_slots(list(counts.index), height_mm)
    for _ in range(80):
        if np.maximum(counts.to_numpy() * scale + _GAP, least).sum() <= 1:
            break
        scale *= 0.95
    return scale


def _merged(flows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Put labels with few cells together as "other" where there are more than twelve."""
    flows = flows.assign(
        label_before=flows["label_before"].astype(str), label_after=flows["label_after"].astype(str)
    )
    changed = flows["label_before"] != flows["label_after"]
    weights = pd.concat([flows.set_index(side)["n_cells"] * (1 + 9 * changed.to_numpy()) for side in
                         ("label_before", "label_after")]).groupby(level=0).sum()  # fmt: skip
    if len(weights) <= MAX_LABELS:
        return flows, 0
    kept = set(weights.sort_values(ascending=False, kind="stable").index[: MAX_LABELS - 1])
    # a cell that goes from one merged label to another one is still told as a switch in the title
    for side in ("label_before", "label_after"):
        flows[side] = flows[side].where(flows[side].isin(kept), OTHER)
    sums = flows.groupby(["label_before", "label_after"], sort=False)["n_cells"].sum()
    return sums.reset_index(), len(weights) - len(kept)


def _bands(flows: pd.DataFrame, before: _Side, after: _Side, colours: dict[str, str]) -> list[Mark]:
    """Return a pale band for cells that keep their label and a strong one, with its count, for each switch."""
    low0, low1 = _places(flows, before, after), _places(flows, after, before)
    heights = flows["n_cells"].to_numpy(dtype=np.float64) * before.per_cell
    switched = (flows["label_before"] != flows["label_after"]).to_numpy()
    words = [
        f"{one_line(start)} to {one_line(end)}\n{grouped_number(n)} cells"
        for start, end, n in flows[["label_before", "label_after", "n_cells"]].itertuples(index=False)
    ]
    marks: list[Mark] = []
    for chosen, opacity in ((~switched, 0.3), (switched, 0.75)):
        if chosen.any():
            marks.append(
                Ribbons(
                    x0=_BLOCK,
                    x1=1 - _BLOCK,
                    low0=low0[chosen],
                    high0=(low0 + heights)[chosen],
                    low1=low1[chosen],
                    high1=(low1 + heights)[chosen],
                    colours=tuple(colours[label] for label in flows.loc[chosen, "label_before"]),
                    opacity=opacity,
                    hover=tuple(words[place] for place in np.flatnonzero(chosen)),
                )
            )
    return [*marks, *_counts(flows, switched, low0 + heights / 2, low1 + heights / 2)]


def _places(flows: pd.DataFrame, side: _Side, other: _Side) -> FloatArray:
    """Return where each band begins in its block, in the order of the blocks on the other side."""
    rank = {label: place for place, label in enumerate(other.labels)}
    out = np.zeros(len(flows))
    for label, stack in side.stacks.items():
        mine = np.flatnonzero((flows[side.column] == label).to_numpy())
        mine = mine[np.argsort([rank[name] for name in flows[other.column].iloc[mine]], kind="stable")]
        heights = flows["n_cells"].to_numpy(dtype=np.float64)[mine] * side.per_cell
        out[mine] = stack.middle - heights.sum() / 2 + np.cumsum(heights) - heights
    return out


def _counts(flows: pd.DataFrame, switched: NDArray[np.bool_], y0: FloatArray, y1: FloatArray) -> list[Mark]:
    """Write the number of cells on each switching band, largest first, where it covers no other number."""
    taken: list[tuple[float, float]] = []
    marks: list[Mark] = []
    n_cells = flows["n_cells"].to_numpy()
    for place in sorted(np.flatnonzero(switched), key=lambda place: -n_cells[place]):
        for part in (0.5, 0.35, 0.65, 0.22, 0.78):
            height = y0[place] + (y1[place] - y0[place]) * part**2 * (3 - 2 * part)
            if all(abs(part - x) > 0.12 or abs(height - y) > 0.05 for x, y in taken):
                taken.append((part, height))
                x = _BLOCK + part * (1 - 2 * _BLOCK)
                marks.append(Note(x=x, y=float(height), text=grouped_number(n_cells[place]), backed=True))
                break
    return marks


def _blocks(side: _Side, at: float, colours: dict[str, str]) -> list[Mark]:
    stacks = list(side.stacks.values())
    low, high = (np.array([getattr(stack, end) for stack in stacks]) for end in ("low", "high"))
    shades = tuple(colours[stack.label] for stack in stacks)
    left = 0.0 if at == 0 else 1.0 - _BLOCK
    return [Ribbons(x0=left, x1=left + _BLOCK, low0=low, high0=high, low1=low, high1=high, colours=shades, opacity=1.0)]


def _names(before: _Side, after: _Side) -> list[Mark]:
    sides: tuple[tuple[_Side, float, Anchor, float, str], ...] = (
        (before, 0.0, "right", -6.0, "leave"),
        (after, 1.0, "left", 6.0, "come"),
    )
    return [
        Note(x=at, y=stack.middle, text=_label(stack, verb), anchor=anchor, shift=(shift, 0.0), colour=INK)
        for side, at, anchor, shift, verb in sides
        for stack in side.stacks.values()
    ]


def _label(stack: _Stack, verb: str) -> str:
    numbers = f"n = {grouped_number(stack.n_cells)}"
    if stack.n_changed:
        numbers += f", {grouped_number(stack.n_changed)} {verb}"
    return "\n".join([*_name_lines(stack.label), numbers])


def _name_lines(label: str) -> list[str]:
    return textwrap.wrap(one_line(label, longest=38), 20)[:2]


def _title(row: "pd.Series[Any]") -> str:
    start = row_name(row["edit"], row["group"])
    n_switching = grouped_number(row["n_switching"])
    words = f"{start}: {n_switching} of {grouped_number(row['n_holding'])} cells that hold the gene switch"
    if row["n_switching"] > 0:
        words += f" ({100 * row['share_switching']:.3g}\u00a0%), most often to {one_line(row['switch_to'], longest=30)}"
    if pd.notna(row.get("null_switching")):
        words += f"; with random genes {100 * row['null_switching']:.3g}\u00a0%, p\u00a0{p_words(row['p_switching'])}"
    return words


def _caption(row: "pd.Series[Any]", identity_by: str, n_merged: int) -> str:
    column = one_line(identity_by) or "label"
    sentences = [
        f"Left: {column} of each cell before the edit, right: after it, each the label of most of the 15 nearest "
        "unedited cells. Bands are as wide as the number of cells; strong ones change the label and carry their "
        "number, pale ones keep it.",
        f"Random genes of like abundance move {100 * row['null_switching']:.3g} % of the cells to another label on "
        f"average (one-sided empirical p\u00a0{p_words(row['p_switching'])})."
        if pd.notna(row.get("null_switching"))
        else "There are no random genes to compare with.",
        f"{n_merged} labels with few cells stand together as {OTHER!r}." if n_merged else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)
