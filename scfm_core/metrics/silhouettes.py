"""Silhouette widths of labels and of batches within labels; distances are made in pieces, never all at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_MEGABYTES = 256  # of distances at a time


def silhouette_widths(points: NDArray[np.floating], codes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return how much nearer each cell lies to its own group than to the next one, -1 to 1.

    Returns
    -------
    Shape ``(n_cells,)``; 0 for a cell that is alone in its group; NaN for all where there is one group, or as many as
    cells.

    References
    ----------
    Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7; Euclidean distance, by scikit-learn.

    Examples
    --------
    >>> points = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> silhouette_widths(points, np.array([0, 0, 1, 1])).round(3)
    array([0.905, 0.895, 0.895, 0.905])
    """
    from sklearn import config_context
    from sklearn.metrics import silhouette_samples

    if not 2 <= len(np.unique(codes)) < len(codes):
        return np.full(len(codes), np.nan)
    with config_context(working_memory=_MEGABYTES):
        return np.asarray(silhouette_samples(points, codes), dtype=np.float64)


def label_silhouette(widths: NDArray[np.float64]) -> float:
    """Return the mean width on the scale from 0 to 1, as scIB does."""
    return float((widths.mean() + 1) / 2) if len(widths) else np.nan


def isolated_silhouette(widths: NDArray[np.float64], labels: NDArray[np.integer], isolated: NDArray[np.int64]) -> float:
    """Return the mean over some labels of their mean width, on the scale from 0 to 1; NaN where there is no label."""
    if not len(isolated):
        return np.nan
    return float(np.mean([(widths[labels == label].mean() + 1) / 2 for label in isolated]))


def batch_silhouette(
    points: NDArray[np.floating], labels: NDArray[np.integer], batches: NDArray[np.integer]
) -> tuple[float, NDArray[np.int64]]:
    """Return how well batches mix within labels, 0 to 1, and the labels that can tell.

    Within each label the widths by batch are taken; ``1 - |width|`` is averaged over its cells, then over labels. A
    label that stands in one batch, or has as many batches as cells, plays no part.

    References
    ----------
    Luecken et al. 2022, doi:10.1038/s41592-021-01336-8, "Batch ASW"; scIB 1.1.7.
    """
    means, told = [], []
    for label, mine in _by_label(labels):
        widths = silhouette_widths(points[mine], batches[mine])
        if np.isfinite(widths).all():
            means.append(float((1 - np.abs(widths)).mean()))
            told.append(label)
    return (float(np.mean(means)) if means else np.nan), np.array(told, dtype=np.int64)


def _by_label(labels: NDArray[np.integer]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    for label in np.unique(labels):
        yield int(label), np.flatnonzero(labels == label)
