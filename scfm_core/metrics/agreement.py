"""Clusters against labels: mutual information, Rand index, the best of several clusterings, isolated labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESOLUTIONS = tuple(round(0.2 * step, 1) for step in range(1, 11))  # of scIB 1.1.7: 0.2 to 2.0


def mutual_information(labels: NDArray[np.integer], clusters: NDArray[np.integer]) -> float:
    """Return the mutual information over the mean of both entropies, 0 to 1."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(labels, clusters, average_method="arithmetic"))


def rand_index(labels: NDArray[np.integer], clusters: NDArray[np.integer]) -> float:
    """Return the share of pairs on which both agree, less what chance gives; 1 is all, 0 is chance.

    References
    ----------
    Hubert and Arabie 1985, doi:10.1007/BF01908075.
    """
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(labels, clusters))


def best_clustering(labels: NDArray[np.integer], clusterings: Sequence[NDArray[np.integer]]) -> tuple[int, float]:
    """Return the place of the clustering with most mutual information, and how much: of equal ones the first.

    Examples
    --------
    >>> labels = np.array([0, 0, 1, 1])
    >>> best_clustering(labels, [np.array([0, 0, 0, 0]), labels, 1 - labels])
    (1, 1.0)
    """
    scores = [mutual_information(labels, clusters) for clusters in clusterings]
    best = int(np.argmax(scores))
    return best, scores[best]


def isolated_labels(labels: NDArray[np.integer], batches: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the labels that stand in the fewest batches; none where that is all batches.

    Examples
    --------
    >>> isolated_labels(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    array([1])
    """
    pairs = np.unique(np.stack([labels, batches]), axis=1)
    found, n_batches = np.unique(pairs[0], return_counts=True)
    fewest = n_batches.min()
    if fewest == len(np.unique(batches)):
        return np.empty(0, dtype=np.int64)
    return np.asarray(found[n_batches == fewest], dtype=np.int64)


def best_f1(labels: NDArray[np.integer], label: int, clusterings: Sequence[NDArray[np.integer]]) -> float:
    """Return the largest F1 with which any cluster of any clustering picks out a label.

    Examples
    --------
    >>> best_f1(np.array([0, 0, 1]), 1, [np.array([0, 0, 0]), np.array([0, 1, 1])])
    0.6666666666666666
    """
    mine = labels == label
    best = 0.0
    for clusters in clusterings:
        shared, sizes = np.bincount(clusters[mine], minlength=int(clusters.max()) + 1), np.bincount(clusters)
        best = max(best, float((2 * shared / (sizes + mine.sum())).max()))
    return best
