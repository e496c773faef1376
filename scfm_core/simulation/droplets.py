"""Counts as a droplet machine draws them from transcripts; zeros come from sampling alone."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


def draw_counts(
    transcripts: NDArray[np.float64], *, median_total: float, spread: float, dispersion: float, seed: int
) -> csr_matrix:
    """Draw the counts of each cell.

    A cell's expected total is log-normal; a gene's expected count is its share of the transcripts of the cell, and the
    count is gamma-Poisson around it: its variance is ``mean + dispersion * mean ** 2``.

    Parameters
    ----------
    transcripts
        Relative numbers of transcripts, shape ``(n_cells, n_genes)``, some above 0 in every cell.
    median_total, spread
        Median of a cell's expected total, and standard deviation of its natural logarithm.

    References
    ----------
    Zappia et al. 2017, doi:10.1186/s13059-017-1305-0, for log-normal totals and gamma-Poisson counts.
    """
    random = np.random.default_rng([seed, 3])
    totals = median_total * np.exp(random.normal(0.0, spread, len(transcripts)))
    means = transcripts / transcripts.sum(axis=1, keepdims=True) * totals[:, None]
    counts = random.poisson(means * random.gamma(1.0 / dispersion, dispersion, means.shape))
    return csr_matrix(counts)
