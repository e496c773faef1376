"""Puts metrics of different kinds on one scale: 0 is a random embedding, 1 is PCA."""

import numpy as np

_NO_DIFFERENCE = 1e-6


def scaled(value: float, *, at_random: float, of_pca: float) -> float:
    """Return where a value lies between that of a random embedding, 0, and that of PCA, 1.

    The direction plays no part: 1.2 is better than PCA whether high or low values are good. Ends of intervals are
    scaled by the same call, and change places where low values are good.

    Returns
    -------
    NaN where a value is missing, or where PCA and the random embedding have the same one: then the metric does not
    tell anything apart on these cells.

    Examples
    --------
    >>> round(scaled(0.55, at_random=0.15, of_pca=0.65), 6)
    0.8
    >>> round(scaled(0.1, at_random=0.0, of_pca=0.2), 6)
    0.5
    """
    span = of_pca - at_random
    if not np.isfinite([value, span]).all() or abs(span) < _NO_DIFFERENCE:
        return float("nan")
    return float((value - at_random) / span)
