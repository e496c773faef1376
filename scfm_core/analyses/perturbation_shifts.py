"""What the shifts of random genes toward a state would be at the tested gene's abundance; knows numbers alone."""

import numpy as np
from numpy.typing import NDArray

_MIN_LEVELLED = 10  # below so many random genes a line through them is not worth its noise
_ROUNDS = 8
_TUNING = 1.345  # Huber's constant: 95 % as efficient as least squares where errors are normal
_MAD_TO_SD = 1.4826
_ROUNDING = 1e-6  # of the spread of all values: what a line leaves below it is no sign of outliers
_NO_EIGENVALUE = 1e-10  # of the largest one
_SMALLEST_SPREAD = 1e-3  # of the median one: a residual of almost 0 says little about its scale


def level_shifts(observed: float, null: NDArray[np.float64], abundance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the random genes' shifts would have been at the tested gene's abundance, shape ``(n,)``.

    A shift has a sign, so no logarithm is taken. Two straight lines are fitted by Huber's method, to the tested gene
    and its matches alike: the shift itself against abundance, and the logarithm of what that line leaves, because
    abundant genes move cells further in either direction. Without the second line the p-values of a gene at the edge
    are wrong: in simulations with scale growing by a factor of 2.2 over the matches, p <= 0.05 for 8 to 10 % of random
    genes, with it for 4 to 5 %. Residuals are divided by what their leverage leaves of them.

    Parameters
    ----------
    observed, null
        The mean shift of the tested gene and of the random genes, shape ``(n,)``.
    abundance
        Of the tested gene, then of the random genes, shape ``(n + 1, n_covariates)``, see `Pool.abundance_of`.

    Returns
    -------
    ``null`` itself where there are fewer than ten random genes or nothing is left to level.

    References
    ----------
    Huber 1964, doi:10.1214/aoms/1177703732.
    """
    if len(null) < _MIN_LEVELLED or np.isnan(observed):
        return null
    values = np.concatenate([[observed], null])
    design = np.column_stack([np.ones(len(values)), abundance - abundance[0]])
    fitted, left = _robust_line(design, values)
    residual = (values - fitted) / np.sqrt(left)
    typical = float(np.median(np.abs(residual)))
    if not typical > 0:
        return null
    logs, _ = _robust_line(design, np.log(np.maximum(np.abs(residual), _SMALLEST_SPREAD * typical)))
    levelled: NDArray[np.float64] = fitted[0] + residual * np.exp(logs[0] - logs) * np.sqrt(left[0])
    return levelled[1:]


def two_sided_p(observed: float, null: NDArray[np.float64]) -> float:
    """Return the share of ``null`` and the observation that lies at least as far from the centre as the observation.

    The centre is the median of all of them, the observation included, so that no gene is treated apart. It is not 0:
    where random genes drive cells toward a state too, only a gene that drives them further, or less far, stands out.
    The smallest p is ``1 / (n + 1)``; NaN where there is nothing to compare.

    Examples
    --------
    >>> two_sided_p(-4.0, np.array([1.0, 2.0, 3.0, 1.5]))
    0.2
    """
    if not len(null) or np.isnan(observed):
        return float("nan")
    centre = float(np.median(np.concatenate([[observed], null])))
    return float((1 + np.count_nonzero(np.abs(null - centre) >= abs(observed - centre))) / (1 + len(null)))


def _robust_line(
    design: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the fitted values of Huber's regression, and the share of its variance that each residual keeps."""
    weights = np.ones(len(values))
    rounding = _ROUNDING * float(values.std())
    for _ in range(_ROUNDS):
        weighted = (design * weights[:, None]).T
        solve = _inverse(weighted @ design) @ weighted
        fitted = design @ (solve @ values)
        away = np.abs(values - fitted)
        spread = max(_MAD_TO_SD * float(np.median(away)), rounding)
        if not spread > 0:
            break
        weights = np.minimum(1.0, _TUNING * spread / np.maximum(away, spread * 1e-9))
    leverage = np.einsum("ij,ji->i", design, solve)
    return fitted, np.clip(1 - leverage, 1e-3, 1.0)


def _inverse(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pseudo-inverse of a small matrix without negative eigenvalues, shape ``(n, n)``."""
    values, vectors = np.linalg.eigh(gram)
    there = values > _NO_EIGENVALUE * values[-1]
    inverse: NDArray[np.float64] = (vectors[:, there] / values[there]) @ vectors[:, there].T
    return inverse
