"""The cells that metrics are computed on, and the random halves of them that give the intervals.

A bootstrap with copies would make copies of a cell its own nearest neighbours, so halves are drawn without replacement
and everything is computed anew on each: neighbours, clusters, the best resolution.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_RESAMPLED = 2_500  # cells of a half; a few seconds each for all metrics
LEAST_DONORS = 6  # halves of fewer donors are too few and too alike
_CONFIDENCE = 0.95
_LEAST_VALUES = 5


@dataclass(frozen=True)
class ScoredCells:
    """Cells with what metrics read of them; one row each.

    Attributes
    ----------
    points
        Vectors, none missing, shape ``(n_cells, n_dimensions)``, float32.
    labels
        Codes from 0 on, shape ``(n_cells,)``.
    batches
        The same for batches; None where none were chosen.
    before
        Vectors of the cells in PCA, NaN where one has none; None without batches.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    batches: NDArray[np.int64] | None = None
    before: NDArray[np.float32] | None = None

    def take(self, rows: NDArray[np.int64]) -> "ScoredCells":
        """Return some of the cells."""
        batches = None if self.batches is None else self.batches[rows]
        before = None if self.before is None else self.before[rows]
        return ScoredCells(self.points[rows], self.labels[rows], batches, before)


@dataclass(frozen=True)
class Resamples:
    """Random parts of some cells.

    Attributes
    ----------
    rows
        Of each part, ascending.
    scale
        What the spread of a metric over the parts is multiplied with, to be its spread over samples of all cells.
    steady_scale
        The same for metrics whose spread does not fall with the number of cells, see `Metric.narrows`.
    unit
        What was drawn, in words.
    """

    rows: tuple[NDArray[np.int64], ...]
    scale: float
    steady_scale: float
    unit: str


def stratified(strata: NDArray[np.int64], most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return about so many rows, ascending, drawn from each stratum in proportion, one at least from each.

    Examples
    --------
    >>> rows = stratified(np.array([0] * 90 + [1] * 10), 50, np.random.default_rng(0))
    >>> len(rows), int((rows >= 90).sum())
    (50, 5)
    """
    if len(strata) <= most:
        return np.arange(len(strata))
    shuffled = random.permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    sizes = np.unique(strata, return_counts=True)[1]
    within = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    wanted = np.ceil(sizes * (most / len(strata)) - 1e-9)
    return np.sort(order[within < np.repeat(wanted, sizes)])


def strata_of(labels: NDArray[np.int64], batches: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return a code for each pair of label and batch, shape ``(n_cells,)``."""
    return labels if batches is None else labels * (int(batches.max(initial=0)) + 1) + batches


def random_halves(cells: ScoredCells, donors: NDArray[np.int64] | None, *, n_resamples: int, seed: int) -> Resamples:
    """Draw halves of the donors where there are six or more, else halves of the cells within labels and batches.

    A half has at most 2,500 cells. The spread of a statistic over halves drawn without replacement is that over samples
    of all cells; over smaller parts it is larger, and `Resamples.scale` shrinks it by the square root of the numbers.

    Parameters
    ----------
    donors
        Code of each cell's donor, shape ``(n_cells,)``; None where nothing is known of donors.

    References
    ----------
    Politis and Romano 1994, doi:10.1214/aos/1176325770.
    """
    random = np.random.default_rng(seed)
    n_donors = 0 if donors is None else len(np.unique(donors))
    strata = strata_of(cells.labels, cells.batches)
    if donors is not None and n_donors >= LEAST_DONORS:
        n_drawn = n_donors // 2
        parts = tuple(_of_donors(donors, strata, n_drawn, random) for _ in range(n_resamples))
        of_donors = float(np.sqrt(n_drawn / (n_donors - n_drawn)))
        return Resamples(parts, of_donors, of_donors, f"halves of {n_donors} donors")
    n_drawn = min(len(strata) // 2, MOST_RESAMPLED)
    parts = tuple(stratified(strata, n_drawn, random) for _ in range(n_resamples))
    n_all = len(strata)
    drawn = len(parts[0]) if parts else n_drawn
    scale = np.sqrt(drawn / (n_all - drawn)) if drawn < n_all else np.nan
    within = "label" if cells.batches is None else "label and batch"
    part = "halves" if n_drawn == n_all // 2 else f"parts of {drawn:,}"
    unit = f"{part} of the cells, drawn within {within}{_few_donors(n_donors)}"
    return Resamples(parts, float(scale), float(max(scale, 1.0)), unit)


def interval(value: float, resampled: NDArray[np.float64], scale: float) -> tuple[float, float]:
    """Return the 95 % interval of a value: it, and Student's t times the spread over resamples, to both sides.

    Returns
    -------
    NaN where the value is, or where fewer than 5 resamples, or fewer than half, have one.
    """
    from scipy.stats import t

    known = resampled[np.isfinite(resampled)]
    if not np.isfinite([value, scale]).all() or len(known) < max(_LEAST_VALUES, len(resampled) / 2):
        return np.nan, np.nan
    half = float(t.ppf((1 + _CONFIDENCE) / 2, len(known) - 1) * known.std(ddof=1) * scale)
    return value - half, value + half


def _of_donors(
    donors: NDArray[np.int64], strata: NDArray[np.int64], n_drawn: int, random: np.random.Generator
) -> NDArray[np.int64]:
    drawn = random.choice(np.unique(donors), n_drawn, replace=False)
    mine = np.flatnonzero(np.isin(donors, drawn))
    return mine[stratified(strata[mine], MOST_RESAMPLED, random)]


def _few_donors(n_donors: int) -> str:
    if n_donors < 2:
        return ""
    return f"; other donors may differ by more than these intervals say, as there are only {n_donors}"
