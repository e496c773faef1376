"""How much batches show: variance explained, connected labels, and tests of each cell's neighbours."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

N_COMPONENTS = 50
ALPHA = 0.05
LEAST_CELLS = 10  # of a label whose neighbourhoods are tested
_NEIGHBORS = (10, 70)


def variance_explained(points: NDArray[np.floating], batches: NDArray[np.integer]) -> float:
    """Return the share of variance that batches explain, over at most 50 principal components, 0 to 1.

    Each component's share explained by a regression on the batches is weighted by the component's variance. Over all
    components this is the variance between batches over the whole variance, whatever the axes.

    References
    ----------
    Buettner et al. 2019, doi:10.1038/s41592-018-0254-1, "PC regression"; scIB 1.1.7.

    Examples
    --------
    >>> variance_explained(np.array([[0.0, 1.0], [0.0, -1.0], [1.0, 1.0], [1.0, -1.0]]), np.array([0, 0, 1, 1]))
    0.2
    """
    _, batch = np.unique(batches, return_inverse=True)
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    components = centred @ _leading_axes(centred)
    sizes = np.bincount(batch).astype(np.float64)
    sums = np.stack([np.bincount(batch, weights=column) for column in components.T], axis=1)
    total = float((components**2).sum())
    return float((sums**2 / sizes[:, None]).sum() / total) if total > 0 else np.nan


def compared_variance(before: float, after: float) -> float:
    """Return by what share the variance explained by batches fell, 0 where it grew; NaN where there was none.

    Examples
    --------
    >>> compared_variance(0.5, 0.1), compared_variance(0.1, 0.5)
    (0.8, 0.0)
    """
    return max(0.0, (before - after) / before) if before > 0 else np.nan


def connected_share(graph: csr_matrix, labels: NDArray[np.integer]) -> float:
    """Return the mean over labels of the share of cells in the label's largest connected piece, 0 to 1.

    Parameters
    ----------
    graph
        Symmetric, shape ``(n_cells, n_cells)``.

    References
    ----------
    Luecken et al. 2022, doi:10.1038/s41592-021-01336-8, "Graph connectivity"; scIB 1.1.7.
    """
    from scipy.sparse.csgraph import connected_components

    shares = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        pieces = connected_components(graph[mine][:, mine], connection="strong")[1]
        shares.append(np.bincount(pieces).max() / len(mine))
    return float(np.mean(shares))


def batch_test(neighbors: NDArray[np.integer], batches: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return p for each cell that its neighbours are drawn from all batches in proportion, by the chi-squared test.

    Parameters
    ----------
    neighbors
        Positions, shape ``(n_cells, n_neighbors)``.
    batches
        Shape ``(n_cells,)``.
    """
    from scipy.stats import chi2

    _, batch = np.unique(batches, return_inverse=True)
    expected = np.bincount(batch) / len(batch) * neighbors.shape[1]
    observed = np.stack([(batch[neighbors] == one).sum(axis=1) for one in range(len(expected))], axis=1)
    return np.asarray(chi2.sf(((observed - expected) ** 2 / expected).sum(axis=1), len(expected) - 1))


def accepted_share(
    points: NDArray[np.floating], labels: NDArray[np.integer], batches: NDArray[np.integer]
) -> tuple[float, NDArray[np.int64]]:
    """Return the mean over labels of the share of cells whose neighbours pass as mixed, and the labels that can tell.

    kBET of Buettner et al., label by label and with scIB's neighbourhood sizes (a quarter of the mean batch, 10 to 70,
    the cell itself counted). Ours differs from scIB's call of R: neighbours are the nearest cells of the label by
    Euclidean distance, not by diffusion on a graph, and every cell is tested, not random tenths of them.

    References
    ----------
    Buettner et al. 2019, doi:10.1038/s41592-018-0254-1; Luecken et al. 2022, doi:10.1038/s41592-021-01336-8, "kBET".
    """
    shares, told = [], []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        sizes = np.unique(batches[mine], return_counts=True)[1]
        if len(mine) >= LEAST_CELLS and len(sizes) > 1:
            n_neighbors = min(len(mine), _NEIGHBORS[1], max(_NEIGHBORS[0], int(sizes.mean() / 4)))
            near = _with_itself(points[mine], n_neighbors)
            shares.append(float((batch_test(near, batches[mine]) >= ALPHA).mean()))
            told.append(int(label))
    return (float(np.mean(shares)) if shares else np.nan), np.array(told, dtype=np.int64)


def _with_itself(points: NDArray[np.floating], n_neighbors: int) -> NDArray[np.int64]:
    from sklearn.neighbors import NearestNeighbors

    others = NearestNeighbors(n_neighbors=n_neighbors - 1, algorithm="brute").fit(points)
    found = others.kneighbors(return_distance=False)
    return np.hstack([np.arange(len(points))[:, None], found]).astype(np.int64)


def _leading_axes(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.linalg import eigh, svd

    n_cells, n_dimensions = centred.shape
    if n_dimensions <= N_COMPONENTS:
        return np.eye(n_dimensions)
    if n_cells <= n_dimensions:
        return np.asarray(svd(centred, full_matrices=False)[2][:N_COMPONENTS].T)
    spread = centred.T @ centred
    return np.asarray(eigh(spread, subset_by_index=(n_dimensions - N_COMPONENTS, n_dimensions - 1))[1])
