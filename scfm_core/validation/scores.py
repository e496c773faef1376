"""AUROC and rank correlation with bootstrap intervals; knows no genes and no models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

LEAST_POSITIVES = 3  # changed genes, and others, without which an AUROC says nothing
N_RESAMPLES = 400
INTERVAL = (2.5, 97.5)
_NO_VARIANCE = 1e-9


@dataclass(frozen=True)
class Draws:
    """A number, and what it becomes when the cases are drawn again with replacement; all NaN where it has no value.

    Attributes
    ----------
    resampled
        Shape ``(n_resamples,)``.
    """

    value: float
    resampled: NDArray[np.float64]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        known = self.resampled[~np.isnan(self.resampled)]
        if np.isnan(self.value) or not len(known):
            return np.nan, np.nan
        low, high = np.percentile(known, INTERVAL)
        return float(low), float(high)


def resampling_weights(n: int, seed: int, *, n_resamples: int = N_RESAMPLES) -> NDArray[np.float64]:
    """Return how often each of ``n`` cases is drawn in each resample, shape ``(n_resamples, n)``."""
    random = np.random.default_rng(seed)
    return random.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64]) -> Draws:
    """Return the chance that a positive case scores above another one, ties counted half.

    Parameters
    ----------
    scores, positive
        Shape ``(n,)``.
    weights
        Resamples as `resampling_weights` gives them; all methods that are compared are given the same.

    Examples
    --------
    >>> weights = np.ones((1, 4))
    >>> auroc(np.array([1.0, 2.0, 3.0, 3.0]), np.array([False, True, False, True]), weights).value
    nan
    >>> many = np.arange(8.0)
    >>> auroc(many, many > 3, np.ones((1, 8))).value
    1.0
    """
    n_resamples = len(weights)
    if min(positive.sum(), (~positive).sum()) < LEAST_POSITIVES:
        return Draws(np.nan, np.full(n_resamples, np.nan))
    _, place = np.unique(scores, return_inverse=True)
    every = np.concatenate([np.ones((1, len(scores))), weights])
    n_levels = int(place.max()) + 1
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(n_levels))
    of_positive = np.add.reduceat((every * positive)[:, order], starts, axis=1)
    of_others = np.add.reduceat((every * ~positive)[:, order], starts, axis=1)
    below = np.cumsum(of_others, axis=1) - of_others / 2
    total = of_positive.sum(axis=1) * of_others.sum(axis=1)
    wins = (of_positive * below).sum(axis=1)
    values = np.divide(wins, total, out=np.full(len(total), np.nan), where=total > 0)
    return Draws(float(values[0]), values[1:])


def spearman(scores: NDArray[np.float64], truth: NDArray[np.float64], weights: NDArray[np.float64]) -> Draws:
    """Return the rank correlation of two measures of the same cases; NaN where one is the same for all.

    Ranks are taken once, before cases are drawn again.
    """
    n_resamples = len(weights)
    if len(scores) < 2 * LEAST_POSITIVES or np.ptp(scores) == 0 or np.ptp(truth) == 0:
        return Draws(np.nan, np.full(n_resamples, np.nan))
    every = np.concatenate([np.ones((1, len(scores))), weights])
    every /= every.sum(axis=1, keepdims=True)
    x, y = (rankdata(values) - (len(values) + 1) / 2 for values in (scores, truth))
    mean_x, mean_y = every @ x, every @ y
    covariance = every @ (x * y) - mean_x * mean_y
    variance = np.maximum(every @ x**2 - mean_x**2, 0) * np.maximum(every @ y**2 - mean_y**2, 0)
    some = variance > _NO_VARIANCE * np.mean(x**2) * np.mean(y**2)  # a resample may hold but one value many times
    values = np.divide(covariance, np.sqrt(variance), out=np.full(len(every), np.nan), where=some)
    return Draws(float(values[0]), values[1:])


def mean_over(targets: list[Draws], seed: int) -> Draws:
    """Return the mean over targets, with resamples over the targets and over the genes within each.

    Targets without a value play no part.
    """
    known = [draws for draws in targets if not np.isnan(draws.value)]
    if not known:
        return Draws(np.nan, np.full(1, np.nan))
    inner = np.stack([draws.resampled for draws in known])
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(known), (inner.shape[1], len(known)))
    drawn = inner[chosen, np.arange(inner.shape[1])[:, None]]
    n_known = (~np.isnan(drawn)).sum(axis=1)
    sums = np.nansum(drawn, axis=1)
    means = np.divide(sums, n_known, out=np.full(len(sums), np.nan), where=n_known > 0)
    return Draws(float(np.mean([draws.value for draws in known])), means)


def difference(one: list[Draws], other: list[Draws], seed: int) -> Draws:
    """Return the mean over targets of one method less another, both resampled alike; intervals as in `mean_over`."""
    pairs = [Draws(a.value - b.value, a.resampled - b.resampled) for a, b in zip(one, other, strict=True)]
    return mean_over(pairs, seed)
