"""Which cells lie next to each cell in the space of a model?

Maps and clusters are drawn from the same graph of neighbours, so it is computed once.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.errors import RequestError
from scfm_core.model import ModelSpec
from scfm_core.request import Context, Request

Metric = Literal["cosine", "euclidean"]
MIN_CELLS = 3
_EXACT_UP_TO = 30_000  # cells; 15 s for 512 dimensions on two cores
_SEARCH_STEPS = 64
_TOLERANCE = 1e-5
_MIN_BANDWIDTH = 1e-3  # of the mean distance


@dataclass(frozen=True)
class Neighbors:
    """A weighted graph over the cells, as the three arrays of a CSR matrix of shape ``(n_cells, n_cells)``.

    Attributes
    ----------
    weights
        How strongly two cells belong together, in (0, 1], symmetric, shape ``(n_edges,)``, float32.
    indices
        The neighbour at the other end of each edge, shape ``(n_edges,)``, int32.
    offsets
        Cell ``i`` holds the edges ``offsets[i]:offsets[i + 1]``, shape ``(n_cells + 1,)``; none where it has no vector.
    """

    weights: NDArray[np.float32]
    indices: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @property
    def graph(self) -> csr_matrix:
        """The graph as a matrix, shape ``(n_cells, n_cells)``."""
        n_cells = len(self.offsets) - 1
        return csr_matrix((self.weights, self.indices, self.offsets), shape=(n_cells, n_cells))


@dataclass(frozen=True)
class FindNeighbors(Request[Neighbors]):
    """Link each cell with its nearest neighbours in the space of a model.

    Parameters
    ----------
    n_neighbors
        How many cells make up a neighbourhood, the cell itself counted as scanpy and UMAP do; fewer where there are
        fewer cells.
    metric
        Cosine for pre-trained models, whose vectors are compared by angle; Euclidean for baselines, where None.

    Raises
    ------
    RequestError
        If fewer than 3 cells have a vector.
    """

    embedding: EmbedCells
    n_neighbors: int = 15
    metric: Metric | None = None

    result_type: ClassVar[type] = Neighbors

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", self.metric or default_metric(self.embedding.model))
        if self.n_neighbors < 2:
            msg = f"A neighbourhood needs at least 2 cells, the cell itself counted; found {self.n_neighbors}."
            raise RequestError(msg, "too-few-neighbors")

    def run(self, context: Context) -> Neighbors:
        """See `Request.run`."""
        points = context.compute(self.embedding).points
        n_placed = len(placed_cells(points))
        if n_placed < self.n_neighbors:
            context.log(f"Only {n_placed:,} cells have a vector: all of them are neighbours")
        metric = self.metric or default_metric(self.embedding.model)
        link = partial(neighbor_graph, np.asarray(points), n_neighbors=self.n_neighbors, metric=metric)
        return Neighbors(**context.call(link, step="Finding the neighbours of each cell"))


def default_metric(model: ModelSpec) -> Metric:
    """Return how the vectors of a model are compared where nobody chose."""
    return "euclidean" if model.is_baseline else "cosine"


def placed_cells(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the positions of the cells that have a vector; raise a `RequestError` where they are too few."""
    placed = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(placed) < MIN_CELLS:
        msg = (
            f"Expected at least {MIN_CELLS} cells with a vector, found {len(placed)} of {len(points):,}. "
            "Choose a model that reads more of this dataset's genes, or a dataset with more cells."
        )
        raise RequestError(msg, "too-few-cells")
    return placed


def comparable(points: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """Return vectors whose Euclidean order is that of the metric: scaled to length one where it is the cosine."""
    if metric == "euclidean":
        return points
    lengths = np.sqrt(np.sum(points**2, axis=1, keepdims=True, dtype=np.float64))
    return (points / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def neighbor_graph(points: NDArray[np.float32], *, n_neighbors: int, metric: Metric) -> dict[str, NDArray[Any]]:
    """Return the fuzzy neighbour graph of UMAP over the cells that have a vector, as the fields of `Neighbors`.

    References
    ----------
    McInnes, Healy, Melville 2018, arXiv:1802.03426, Section 3.1 and Algorithms 2 and 3.
    """
    placed = placed_cells(points)
    vectors = comparable(points[placed], metric)
    indices, distances = nearest(vectors, n_neighbors=min(n_neighbors, len(placed)))
    if metric == "cosine":
        distances = distances**2 / 2  # of vectors of length one
    n_linked, n_cells = indices.shape[1], len(points)
    rows, columns = np.repeat(placed, n_linked), placed[indices.ravel()]
    one_way = csr_matrix((fuzzy_weights(distances).ravel(), (rows, columns)), shape=(n_cells, n_cells))
    back = one_way.T.tocsr()
    both: csr_matrix = (one_way + back - one_way.multiply(back)).tocsr()
    both.eliminate_zeros()
    both.sort_indices()
    return {
        "weights": both.data.astype(np.float32),
        "indices": both.indices.astype(np.int32),
        "offsets": both.indptr.astype(np.int64),
    }


def nearest(vectors: NDArray[np.float32], *, n_neighbors: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the nearest cells of each cell by Euclidean distance, itself first, and how far they are.

    Exact up to 30,000 cells; beyond, by nearest-neighbour descent (Dong 2011) with a fixed seed.

    Returns
    -------
    Positions and distances, both of shape ``(n_cells, n_neighbors)``.
    """
    n_cells = len(vectors)
    own = np.arange(n_cells)[:, None]
    if n_cells <= _EXACT_UP_TO:
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=n_neighbors - 1, algorithm="brute").fit(vectors)
        distances, indices = search.kneighbors()  # without the cell itself
    else:
        from pynndescent import NNDescent

        indices, distances = NNDescent(vectors, n_neighbors=n_neighbors + 1, random_state=0).neighbor_graph
        others = np.argsort(indices == own, axis=1, kind="stable")[:, : n_neighbors - 1]  # the cell itself last
        indices, distances = np.take_along_axis(indices, others, 1), np.take_along_axis(distances, others, 1)
    return np.hstack([own, indices]), np.hstack([np.zeros((n_cells, 1)), distances]).astype(np.float64)


def fuzzy_weights(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the distances to the nearest cells into degrees of membership of each cell's neighbourhood.

    The nearest other cell belongs to it fully; the others fade with distance, at a rate chosen for each cell so that
    the degrees sum up to the logarithm of their number.

    Parameters
    ----------
    distances
        Ascending, the cell itself first, shape ``(n_cells, n_neighbors)``.

    References
    ----------
    McInnes, Healy, Melville 2018, arXiv:1802.03426, Algorithm 3.
    """
    target = np.log2(distances.shape[1])
    to_nearest = np.where(distances > 0, distances, np.inf).min(axis=1)
    to_nearest[~np.isfinite(to_nearest)] = 0  # nothing but copies of the cell
    beyond = np.maximum(distances[:, 1:] - to_nearest[:, None], 0)
    low, high, width = np.zeros(len(distances)), np.full(len(distances), np.inf), np.ones(len(distances))
    for _ in range(_SEARCH_STEPS):
        total = np.exp(-beyond / width[:, None]).sum(axis=1)
        open_, too_wide = np.abs(total - target) >= _TOLERANCE, total > target
        high = np.where(open_ & too_wide, width, high)
        low = np.where(open_ & ~too_wide, width, low)
        middle = np.where(np.isfinite(high), (low + high) / 2, width * 2)
        width = np.where(open_, middle, width)
    mean = np.where(to_nearest > 0, distances.mean(axis=1), distances.mean())
    width = np.maximum(width, _MIN_BANDWIDTH * mean)
    weights = np.zeros_like(distances)
    weights[:, 1:] = np.exp(-beyond / np.maximum(width, np.finfo(np.float64).tiny)[:, None])
    return weights
