"""How far a gene of a screen stands out of the genes of like abundance; knows neither models nor files.

* *Like.* The screened genes lie in a plane: the share of cells that hold each, and how high it ranks in the cells that
  hold it, both replaced by their ranks among the screened genes (as in `scfm_core.analyses.perturbation_null`). A gene
  is compared with the `NEIGHBOURS` nearest ones.
* *Levelling.* What abundance alone explains is taken out by a straight line through the gene and its neighbours: of the
  logarithm of the size, or of the signed shift toward the goal, against the log-odds of the share and the logarithm of
  the rank. Their spread changes with abundance too (shifts grow with it), so the logarithm of the distance from the
  line is levelled too, by a line through the neighbours alone and by a factor of e at most. Each residual is divided by
  what its leverage leaves of it.
* *z.* The levelled value of the gene minus the median of its neighbours', over their standard deviation as the median
  distance from the median tells it: neighbours that stand out themselves hide nothing.
* *p.* A share among a hundred neighbours cannot be smaller than 0.01, which no adjustment for thousands of genes
  survives. So p is the tail of a Student distribution fitted to the z of the genes compared with, see `fit_student`.
  One-sided (larger) for the size, two-sided for the shift toward the goal.
* *Compared with* are all screened genes; where random genes were drawn for the comparison, these alone, so that a list
  of genes that all stand out is not compared with itself.

It asks whether a gene stands out among the screened genes, not whether its deletion does anything: every deletion does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_null import adjust_p

NEIGHBOURS = 100
FEWEST = 20  # screened genes below which there is no comparison
_AT_ONCE = 1000
_SMALLEST = 1e-15  # half a squared distance of unit vectors below it is rounding
_DEGREES = np.array([1000.0, 100, 50, 30, 20, 15, 10, 8, 6, 4, 3, 2])
_USUAL_DEGREES, _PRIOR_WIDTH = 12.0, 1.0
_MOST_LEVELLED = 1.0  # log of the spread; beyond it a line through the neighbours is a guess
_TRIMMED, _N_BINS = 0.01, 100
_MEDIAN_DISTANCE = 0.6745  # of a normal distribution, in standard deviations

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Abundance:
    """How abundant the screened genes are.

    Attributes
    ----------
    share
        Of the cells that hold each gene, shape ``(n_genes,)``.
    log_rank
        Mean over these cells of ``log(1 + rank)``, 0 for the strongest gene of a cell, shape ``(n_genes,)``.
    n_cells
        Of which ``share`` is a share.
    """

    share: FloatArray
    log_rank: FloatArray
    n_cells: int

    def take(self, genes: NDArray[Any]) -> "Abundance":
        """Return the abundance of some of the genes, by a mask or by positions."""
        return Abundance(self.share[genes], self.log_rank[genes], self.n_cells)

    def plane(self) -> FloatArray:
        """Return ranks of both measures among the genes, scaled to (0, 1), shape ``(n_genes, 2)``."""
        from scipy.stats import rankdata

        both = np.column_stack([self.share, self.log_rank])
        return np.asarray((rankdata(both, axis=0) - 0.5) / max(len(both), 1))

    def covariates(self) -> FloatArray:
        """Return log-odds of the share, and the log of the rank, shape ``(n_genes, 2)``."""
        n_holding = self.share * self.n_cells
        odds = (n_holding + 0.5) / (self.n_cells - n_holding + 0.5)
        return np.column_stack([np.log(odds), self.log_rank])


def calibrated(
    table: pd.DataFrame,
    abundance: Abundance,
    *,
    values: str,
    listed: NDArray[np.bool_],
    compared: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return a screen's table with how far each gene stands out of its like.

    Parameters
    ----------
    table
        All screened genes, with ``size_<values>`` and ``goal_<values>`` and, where a gene is ranked, ``rank``.
    abundance
        Of each row.
    values
        ``"estimate"`` or ``"exact"``.
    listed
        The genes that were asked for, shape ``(n_genes,)``; the others serve the comparison alone.
    compared
        The genes to compare with, shape ``(n_genes,)``; all where None.

    Returns
    -------
    The same rows with ``size_z``, ``size_p``, ``size_p_adjusted``, ``goal_z``, ``goal_p`` and ``goal_p_adjusted``; NaN
    where a gene is not ranked, or there are fewer than `FEWEST` to compare with.
    """
    ranked = table["rank"].notna().to_numpy()
    compared = np.ones(len(table), dtype=bool) if compared is None else compared
    columns: dict[str, FloatArray] = {}
    for name, scores in (("size", size_scores), ("goal", shift_scores)):
        z, p = np.full((2, len(table)), np.nan)
        value = table[f"{name}_{values}"].to_numpy(dtype=np.float64)
        known = ranked & np.isfinite(value)
        if (known & compared).sum() >= FEWEST:
            z[known], p[known] = scores(value[known], abundance.take(known), compared[known])
        columns |= {f"{name}_z": z, f"{name}_p": p, f"{name}_p_adjusted": adjust_p(np.where(listed, p, np.nan))}
    return table.assign(**columns)


def size_scores(
    sizes: FloatArray, abundance: Abundance, compared: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Return z and one-sided p of sizes, all of at least 0, each of shape ``(n_genes,)``."""
    from scipy.stats import t

    z = _z_scores(np.log(np.maximum(sizes, _SMALLEST)), abundance, compared)
    centre, scale, degrees = fit_student(z[compared])
    return z, np.asarray(t.sf((z - centre) / scale, degrees))


def shift_scores(
    shifts: FloatArray, abundance: Abundance, compared: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Return z and two-sided p of signed shifts, each of shape ``(n_genes,)``."""
    from scipy.stats import t

    z = _z_scores(shifts, abundance, compared)
    centre, scale, degrees = fit_student(z[compared])
    return z, np.asarray(2 * t.sf(np.abs(z - centre) / scale, degrees))


def fit_student(z: FloatArray) -> tuple[float, float, float]:
    """Return centre, scale and degrees of freedom of the Student distribution behind the middle of ``z``.

    The most likely one given what lies between the first and the last per cent, in 100 bins: the few genes that stand
    out at the ends must not make their own null (Efron 2004, doi:10.1198/016214504000000089). The degrees of freedom
    are one of twelve between 2 and 1000; a weak prior around 12 decides where there are few genes.

    Examples
    --------
    >>> centre, scale, degrees = fit_student(np.random.default_rng(0).standard_normal(5000))
    >>> abs(centre) < 0.1, 0.9 < scale < 1.1, degrees >= 20
    (True, True, True)
    """
    from scipy.optimize import minimize

    low, high = (float(np.percentile(z, 100 * share)) for share in (_TRIMMED, 1 - _TRIMMED))
    edges = np.linspace(low, high, _N_BINS + 1)
    if edges[0] == edges[-1]:  # all equal
        return float(edges[0]), 1.0, float(_DEGREES[-1])
    counts = np.histogram(z, edges)[0]
    place = np.array([float(np.median(z)), np.log(edges[-1] - edges[0]) - np.log(4.6)])
    fits = []
    for degrees in _DEGREES:
        fit = minimize(_surprise, place, (counts, edges, degrees), method="Nelder-Mead", options={"xatol": 1e-3})
        place = fit.x
        prior = 0.5 * (np.log(degrees / _USUAL_DEGREES) / _PRIOR_WIDTH) ** 2
        fits.append((float(fit.fun) + prior, float(fit.x[0]), float(np.exp(fit.x[1])), float(degrees)))
    return min(fits)[1:]


def _surprise(place: FloatArray, counts: NDArray[np.int64], edges: FloatArray, degrees: float) -> float:
    """Return minus the log-likelihood of binned values, given that they lie in the bins."""
    from scipy.special import stdtr

    below = stdtr(degrees, (edges - place[0]) / np.exp(place[1]))
    share = np.diff(below) / max(float(below[-1] - below[0]), _SMALLEST)
    return float(-(counts * np.log(np.maximum(share, 1e-300))).sum())


def _z_scores(values: FloatArray, abundance: Abundance, compared: NDArray[np.bool_]) -> FloatArray:
    """Return how far each gene lies from its neighbours, in their standard deviations, shape ``(n_genes,)``."""
    from scipy.spatial import cKDTree

    plane, covariates, others = abundance.plane(), abundance.covariates(), np.flatnonzero(compared)
    tree, z = cKDTree(plane[others]), np.empty(len(values))
    n_near = min(NEIGHBOURS, len(others) - 1)
    for start in range(0, len(values), _AT_ONCE):
        genes = np.arange(start, min(start + _AT_ONCE, len(values)))
        found = others[tree.query(plane[genes], k=n_near + 1)[1].reshape(len(genes), -1)]
        near = _gene_first(genes, found)
        design = np.concatenate([np.ones((*near.shape, 1)), covariates[near] - covariates[genes][:, None]], axis=2)
        levelled = _residuals(values[near], design)
        spread = _fitted(np.log(np.maximum(np.abs(levelled[:, 1:]), _SMALLEST)), design[:, 1:], design)
        levelled = levelled / np.exp((spread - spread[:, :1]).clip(-_MOST_LEVELLED, _MOST_LEVELLED))
        middle = np.median(levelled[:, 1:], axis=1)
        deviation = np.median(np.abs(levelled[:, 1:] - middle[:, None]), axis=1) / _MEDIAN_DISTANCE
        z[genes] = (levelled[:, 0] - middle) / np.maximum(deviation, _SMALLEST)
    return z


def _gene_first(genes: NDArray[np.int64], near: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each gene and the genes nearest to it, itself not among them, same shape as ``near``."""
    mine = near == genes[:, None]
    mine[~mine.any(axis=1), -1] = True  # not one of those compared with, or hidden by others at the very same place
    return np.column_stack([genes, near[~mine].reshape(len(genes), -1)])


def _residuals(values: FloatArray, design: FloatArray) -> FloatArray:
    """Return what straight lines leave of values, over what its leverage leaves of each, shape ``(n, n_near + 1)``."""
    leverage = np.einsum("nij,nji->ni", design, _inverse(design))
    return np.asarray((values - _fitted(values, design, design)) / np.sqrt(np.clip(1 - leverage, 1e-3, 1.0)))


def _fitted(values: FloatArray, design: FloatArray, there: FloatArray) -> FloatArray:
    """Return straight lines through values at ``design``, read at ``there``."""
    return np.asarray((there @ (_inverse(design) @ values[:, :, None]))[:, :, 0])


def _inverse(design: FloatArray) -> FloatArray:
    across = np.swapaxes(design, 1, 2)
    return np.asarray(np.linalg.pinv(across @ design, hermitian=True) @ across)
