"""LISI: how many batches, or labels, a cell's neighbours amount to, after scIB: neighbours along paths of a graph.

Import it where it is used: numba is slow to start.
"""

import heapq
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

N_NEIGHBORS = 90
_TOLERANCE = 1e-5
_TRIES = 50
_SMALLEST = 3e-308
_DIGITS = 6  # to which scIB hands lengths on, through a text file
FunctionT = TypeVar("FunctionT")


def _compiled(function: FunctionT) -> FunctionT:
    return cast(FunctionT, numba.njit(nogil=True, cache=True)(function))


def nearest_by_path(
    graph: csr_matrix, *, n_neighbors: int = N_NEIGHBORS
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the nearest other cells of each cell along a graph, where the weight of an edge is its length.

    So does scIB with UMAP's weights, in which cells that belong together have the longest edges; numbers that can be
    compared with published ones have to follow.

    Returns
    -------
    Positions and lengths of paths, nearest first, both of shape ``(n_cells, n_neighbors)``; -1 and NaN where a cell
    reaches fewer.
    """
    lengths = np.maximum(graph.data.astype(np.float64), _SMALLEST)
    offsets, indices = graph.indptr.astype(np.int64), graph.indices.astype(np.int64)
    found, far = _nearest_by_path(offsets, indices, lengths, n_neighbors)
    return found, _rounded(far)


def inverse_simpson(
    neighbors: NDArray[np.integer], distances: NDArray[np.float64], codes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the effective number of groups among the neighbours of each cell, from 1 on.

    Neighbours weigh ``exp(-beta * distance)``, with a beta for each cell that makes the perplexity a third of their
    number. A cell without enough neighbours counts as 1, as in scIB; NaN where the distances leave no weight.

    Parameters
    ----------
    neighbors, distances
        As `nearest_by_path` gives them, the cell itself not among them, shape ``(n_cells, n_neighbors)``.
    codes
        Group of each cell, shape ``(n_cells,)``.

    References
    ----------
    Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0, "LISI"; Luecken et al. 2022,
    doi:10.1038/s41592-021-01336-8, "Graph LISI".
    """
    whole = (neighbors >= 0).all(axis=1)
    weights = _weights(distances[whole], np.log(np.floor(neighbors.shape[1] / 3)))
    simpson = np.zeros(len(weights))
    for group in np.unique(codes):
        simpson += np.where(codes[neighbors[whole]] == group, weights, 0).sum(axis=1) ** 2
    scores = np.ones(len(neighbors))
    scores[whole] = np.divide(1, simpson, out=np.full(len(simpson), np.nan), where=simpson > 0)
    return scores


def label_purity(scores: NDArray[np.float64], n_labels: int) -> float:
    """Return the median score as cLISI, 1 where each neighbourhood holds one label, 0 where it holds all alike."""
    return float((n_labels - np.nanmedian(scores)) / (n_labels - 1)) if n_labels > 1 else np.nan


def batch_mixing(scores: NDArray[np.float64], n_batches: int) -> float:
    """Return the median score as iLISI, 1 where each neighbourhood holds all batches alike, 0 where it holds one."""
    return float((np.nanmedian(scores) - 1) / (n_batches - 1)) if n_batches > 1 else np.nan


def _weights(distances: NDArray[np.float64], log_perplexity: float) -> NDArray[np.float64]:
    """Return weights of each row that sum up to 1, found by bisection; 0 where there are none."""
    beta, low, high = np.ones(len(distances)), np.full(len(distances), -np.inf), np.full(len(distances), np.inf)
    weights, entropy = _at(distances, beta)
    for _ in range(_TRIES):
        off = entropy - log_perplexity
        open_ = np.flatnonzero(np.abs(off) > _TOLERANCE)
        if not len(open_):
            break
        flat = off[open_] > 0
        low[open_[flat]], high[open_[~flat]] = beta[open_[flat]], beta[open_[~flat]]
        doubled, halved, middle = beta[open_] * 2, beta[open_] / 2, (low[open_] + high[open_]) / 2
        beta[open_] = np.where(np.isposinf(high[open_]), doubled, np.where(np.isneginf(low[open_]), halved, middle))
        weights[open_], entropy[open_] = _at(distances[open_], beta[open_])
    weights[entropy == 0] = 0
    return weights


def _at(distances: NDArray[np.float64], beta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weights = np.exp(-distances * beta[:, None])
    total = weights.sum(axis=1)
    some = total > 0
    divisor = np.where(some, total, 1)
    entropy = np.where(some, np.log(divisor) + beta * (distances * weights).sum(axis=1) / divisor, 0)
    return weights / divisor[:, None], entropy


def _rounded(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    unit = 10.0 ** (np.floor(np.log10(np.maximum(lengths, _SMALLEST))) + 1 - _DIGITS)
    return np.where(unit > 0, np.round(lengths / np.where(unit > 0, unit, 1)) * unit, 0)


@_compiled
def _nearest_by_path(
    offsets: NDArray[np.int64], indices: NDArray[np.int64], lengths: NDArray[np.float64], n_neighbors: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    n_cells = len(offsets) - 1
    found = np.full((n_cells, n_neighbors), -1, np.int64)
    far = np.full((n_cells, n_neighbors), np.nan)
    best = np.full(n_cells, np.inf)
    for start in range(n_cells):
        reached = [start]
        best[start] = 0.0
        queue = [(0.0, start)]
        n_found = 0
        while len(queue) > 0 and n_found < n_neighbors:
            way, cell = heapq.heappop(queue)
            if way > best[cell]:
                continue
            if cell != start:
                found[start, n_found], far[start, n_found] = cell, way
                n_found += 1
            for edge in range(offsets[cell], offsets[cell + 1]):
                other, longer = indices[edge], way + lengths[edge]
                if longer < best[other]:
                    if best[other] == np.inf:
                        reached.append(other)
                    best[other] = longer
                    heapq.heappush(queue, (longer, other))
        for cell in reached:
            best[cell] = np.inf
    return found, far
