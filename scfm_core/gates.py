"""Gates: which cells lie in a range, in a quadrant or inside a drawing on two axes, and the words for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError

Combination = Literal["new", "add", "keep", "take"]
_WHOLE_SPREAD = 0.35  # of one count
_ZERO_SPREAD = 0.03  # of the length of the axis
_ZERO_GAP, _ZERO_HALF = 0.5, 0.12  # decades between the zeros of a log axis and the rest, and half the zeros' width
_LONGEST_LABEL = 300


@dataclass(frozen=True, kw_only=True, eq=False)
class GateAxis:
    """One axis of a gate.

    Attributes
    ----------
    name
        As the words of a gate call it: "CD3E".
    title
        With the unit: "CD3E, ln(1 + counts per 10,000)".
    values
        One per cell, shape ``(n_cells,)``; NaN where a cell has none.
    log
        Whether the axis is logarithmic; zeros then stand in a strip of their own, values below it nowhere.
    seed
        Spreads equal values; another one for each axis.
    """

    name: str
    title: str
    values: NDArray[np.float64]
    log: bool = False
    seed: int = 0

    @cached_property
    def whole(self) -> bool:
        """Whether all values are whole numbers, so that cells lie on each other."""
        known = self.values[np.isfinite(self.values)]
        return bool(len(known)) and bool(np.array_equal(known, np.rint(known)))

    @cached_property
    def smallest(self) -> float:
        """The smallest positive value; 1 where there is none."""
        positive = self.values[self.values > 0]
        return float(positive.min()) if len(positive) else 1.0

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """Where each cell is drawn, shape ``(n_cells,)``: spread where values are equal, always the same way.

        On a logarithmic axis these are decimal logarithms, and zeros stand half a decade below the smallest value.
        """
        spread = np.random.default_rng(self.seed).uniform(-1.0, 1.0, len(self.values))
        zero = self.values == 0
        if not self.log:
            width = _WHOLE_SPREAD if self.whole else np.where(zero, _ZERO_SPREAD * self._length, 0.0)
            return np.asarray(self.values + spread * width, dtype=np.float64)
        moved = self.values + (spread * _WHOLE_SPREAD if self.whole else 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(self.values > 0, np.log10(np.where(self.values > 0, moved, 1.0)), np.nan)
        return np.where(zero, self.zero_position + spread * _ZERO_HALF, logs)

    @property
    def zero_position(self) -> float:
        """Where zeros stand on a logarithmic axis."""
        return float(np.log10(self.smallest)) - _ZERO_GAP

    def line_position(self, at: float) -> float:
        """Return where a line is drawn that parts the values above ``at`` from the others."""
        if self.log and at < self.smallest:
            return self.zero_position + _ZERO_GAP / 2
        edge = np.floor(at) + 0.5 if self.whole else at
        if self.log:
            return float(np.log10(edge))
        return 1.4 * _ZERO_SPREAD * self._length if at == 0 and not self.whole else float(edge)

    @property
    def _length(self) -> float:
        known = self.values[np.isfinite(self.values)]
        return float(np.ptp(known)) if len(known) else 1.0


@dataclass(frozen=True)
class AxisRange:
    """A range of values, exact; None where it has no end on that side.

    Examples
    --------
    >>> AxisRange(0, None, above=True).words("CD3E"), AxisRange(200, 2500).words("genes")
    ('CD3E > 0', 'genes from 200 to 2,500')
    """

    low: float | None = None
    high: float | None = None
    above: bool = False

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low > self.high:
            msg = f"A range ends above its beginning, found {self.low:g} to {self.high:g}. Swap them."
            raise RequestError(msg, "out-of-range")

    @property
    def open(self) -> bool:
        """Whether every value lies in it."""
        return self.low is None and self.high is None

    def mask(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which values lie in it, the ends counted in; a missing value lies in none that has an end."""
        inside = np.ones(len(values), dtype=bool)
        if self.low is not None:
            inside &= values > self.low if self.above else values >= self.low
        if self.high is not None:
            inside &= values <= self.high
        return inside

    def words(self, name: str) -> str:
        """Say which values lie in it."""
        low, high = ("" if end is None else f"{end:,.10g}" for end in (self.low, self.high))
        if self.open:
            return f"any {name}"
        if self.low == self.high:
            return f"{name} = {low}"
        if not high:
            return f"{name} > {low}" if self.above else f"{name} at least {low}"
        if not low:
            return f"{name} at most {high}"
        return f"{name} above {low} to {high}" if self.above else f"{name} from {low} to {high}"


def range_gate(x: GateAxis, in_x: AxisRange, y: GateAxis, in_y: AxisRange) -> CellSet:
    """Return the cells whose values lie in both ranges, under words for them."""
    words = [one.words(axis.name) for axis, one in ((x, in_x), (y, in_y)) if not one.open]
    return CellSet.from_mask(" and ".join(words) or "all cells", in_x.mask(x.values) & in_y.mask(y.values))


@dataclass(frozen=True)
class Quadrants:
    """Cells parted by one value on each axis: those above it, and the others.

    Attributes
    ----------
    labels
        In words, length 4: both above, only x, only y, none.
    counts
        Cells in each, length 4.
    codes
        Quadrant of each cell, -1 where a value is missing, shape ``(n_cells,)``.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    codes: NDArray[np.int8]

    @property
    def table(self) -> pd.DataFrame:
        """One row per quadrant: ``quadrant``, ``n_cells``, ``share`` of the cells that have both values."""
        n_known = max(sum(self.counts), 1)
        shares = [n_cells / n_known for n_cells in self.counts]
        return pd.DataFrame({"quadrant": self.labels, "n_cells": self.counts, "share": shares})

    def cells(self, number: int) -> CellSet:
        """Return the cells of one quadrant."""
        return CellSet.from_mask(self.labels[number], self.codes == number)


def quadrants(x: GateAxis, y: GateAxis, at: tuple[float, float]) -> Quadrants:
    """Part cells into four by whether they lie above a value on each axis.

    Examples
    --------
    >>> x, y = (GateAxis(name=name, title=name, values=np.array([0.0, 2.0, np.nan])) for name in ("A", "B"))
    >>> quadrants(x, y, (0, 0)).counts
    (1, 0, 0, 1)
    """
    known = np.isfinite(x.values) & np.isfinite(y.values)
    codes = np.where(x.values > at[0], 0, 2) + np.where(y.values > at[1], 0, 1)
    placed = np.where(known, codes, -1).astype(np.int8)
    sides = [[f"{axis.name} {sign} {end:,.10g}" for sign in (">", _not_above(axis, end))]
             for axis, end in ((x, at[0]), (y, at[1]))]  # fmt: skip
    labels = tuple(f"{sides[0][first]} and {sides[1][second]}" for first in (0, 1) for second in (0, 1))
    counts = np.bincount(placed[placed >= 0], minlength=4)
    return Quadrants(labels, tuple(int(n) for n in counts), placed)


def outlines_of(drawing: Mapping[str, Any]) -> tuple[NDArray[np.float64], ...]:
    """Return the corners of the lassos and boxes of a drawing, in drawn positions, shape ``(n_corners, 2)`` each.

    Parameters
    ----------
    drawing
        As `scfm_core.plots.cell_map.polygon_selection` takes it.
    """
    lassos = [np.column_stack([lasso["x"], lasso["y"]]) for lasso in drawing.get("lasso") or ()]
    boxes = []
    for box in drawing.get("box") or ():
        (x0, x1), (y0, y1) = sorted(box["x"]), sorted(box["y"])
        boxes.append(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))
    return tuple(np.asarray(corners, dtype=np.float64) for corners in (*lassos, *boxes))


def combine(old: CellSet | None, new: CellSet, how: Combination) -> CellSet:
    """Return the selection that follows from the one that stands and new cells, with words for both.

    Parameters
    ----------
    how
        "new": the new cells alone; "add": those of both; "keep": those in both; "take": the old without the new.
    """
    if how == "new" or (old is None and how == "add"):
        return new
    if old is None:
        old = CellSet.from_mask("all cells", np.ones(new.n_cells, dtype=bool))
    if old.n_cells != new.n_cells:
        msg = f"The selection was made among {old.n_cells:,} cells, the gate among {new.n_cells:,}. Select cells again."
        raise RequestError(msg, "other-dataset")
    if how == "add":
        return CellSet.from_mask(_short(f"{old.label}, or {new.label}"), old.mask | new.mask)
    if how == "keep":
        return CellSet.from_mask(_short(f"{old.label}, and {new.label}"), old.mask & new.mask)
    return CellSet.from_mask(_short(f"{old.label}, but not {new.label}"), old.mask & ~new.mask)


def _not_above(axis: GateAxis, at: float) -> str:
    return "=" if at == 0 and not (axis.values < 0).any() else "at most"


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
