"""Rank sum tests of many groups against one pool; knows no genes and no cells."""

import random

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAX_POOLED = 100_000


def rank_sum_p(
    values: NDArray[np.float64], groups: NDArray[np.int64], pool: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compare each group of values with one pool by a two-sided rank sum test.

    Equal to ``scipy.stats.ranksums(pool, group)`` for each group, but the pool is sorted once.

    Parameters
    ----------
    values, groups
        Values, and the number of the group of each, shape ``(n,)``; no group is empty.
    pool
        Shape ``(n_pool,)``.

    Returns
    -------
    p of each group, shape ``(n_groups,)``.
    """
    from scipy.stats import norm

    ordered = np.sort(pool)
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    own = pd.Series(values).groupby(groups).rank(method="average").to_numpy()
    rank_sums = np.bincount(groups, weights=own + (below + up_to) / 2)
    n_pool, n_own = float(len(pool)), np.bincount(groups).astype(np.float64)
    n_all = n_pool + n_own
    of_pool = n_all * (n_all + 1) / 2 - rank_sums
    z = (of_pool - n_pool * (n_all + 1) / 2) / np.sqrt(n_pool * n_own * (n_all + 1) / 12)
    return np.asarray(2 * norm.sf(np.abs(z)))


def sampled(values: NDArray[np.float64], *, most: int = MAX_POOLED) -> NDArray[np.float64]:
    """Draw as the authors do where there are more than 100,000 values: without replacement, seed 42.

    The generator is our own, so that Python's random numbers elsewhere stay as they were.
    """
    if len(values) <= most:
        return values
    return np.array(random.Random(42).sample(values.tolist(), k=most))
