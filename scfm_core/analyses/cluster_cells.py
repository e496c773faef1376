"""Which cells form groups in the space of a model?"""

import random
import threading
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, triu

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_neighbors import FindNeighbors, Metric, default_metric
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

igraph_random = threading.Lock()  # igraph has one random number generator per process


@dataclass(frozen=True)
class Clusters:
    """A group for each cell, in the order of the dataset's cells.

    Attributes
    ----------
    labels
        0 for the largest group, 1 for the next, -1 for a cell without a vector; shape ``(n_cells,)``, int32.
    n_clusters
        Number of groups.
    """

    labels: NDArray[np.int32]
    n_clusters: int


@dataclass(frozen=True)
class ClusterCells(Request[Clusters]):
    """Part the cells into communities of the neighbour graph, by the Leiden algorithm.

    Parameters
    ----------
    resolution
        The higher, the more and the smaller groups.
    metric
        Cosine for pre-trained models, whose vectors are compared by angle; Euclidean for baselines, where None.

    Raises
    ------
    RequestError
        If the resolution is not positive, or fewer than 3 cells have a vector.
    """

    embedding: EmbedCells
    resolution: float = 1.0
    n_neighbors: int = 15
    seed: int = 0
    metric: Metric | None = None

    result_type: ClassVar[type] = Clusters

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", self.metric or default_metric(self.embedding.model))
        if self.resolution <= 0:
            msg = f"Expected a resolution above 0, found {self.resolution:g}. Usual values lie between 0.2 and 2."
            raise RequestError(msg, "bad-resolution")

    def run(self, context: Context) -> Clusters:
        """See `Request.run`."""
        neighbors = context.compute(FindNeighbors(self.embedding, self.n_neighbors, self.metric))
        split = partial(leiden_labels, neighbors.graph, resolution=self.resolution, seed=self.seed)
        labels = context.call(split, step="Clustering by Leiden")
        return Clusters(labels=labels, n_clusters=int(labels.max()) + 1)


def leiden_labels(graph: csr_matrix, *, resolution: float, seed: int) -> NDArray[np.int32]:
    """Return the Leiden community of each cell, the largest first; -1 for a cell without a neighbour.

    Two iterations by modularity on the weighted, undirected graph, as scanpy recommends.

    Parameters
    ----------
    graph
        Symmetric weights, shape ``(n_cells, n_cells)``.

    References
    ----------
    Traag, Waltman, van Eck 2019, doi:10.1038/s41598-019-41695-z.
    """
    import igraph

    linked = np.flatnonzero(np.diff(graph.indptr))
    edges = triu(graph[linked][:, linked], k=1).tocoo()
    network = igraph.Graph(n=len(linked), edges=list(zip(edges.row.tolist(), edges.col.tolist(), strict=True)))
    with igraph_random:
        igraph.set_random_number_generator(random.Random(seed))
        try:
            parts = network.community_leiden(
                objective_function="modularity",
                weights=edges.data.astype(float).tolist(),
                resolution=resolution,
                n_iterations=2,
            )
        finally:
            igraph.set_random_number_generator(random)
    labels = np.full(graph.shape[0], -1, dtype=np.int32)
    labels[linked] = by_size(np.asarray(parts.membership))
    return labels


def by_size(labels: NDArray[np.int64]) -> NDArray[np.int32]:
    """Give groups new numbers, from the largest to the smallest; of two equal ones the one that appears first.

    Examples
    --------
    >>> by_size(np.array([4, 7, 7, 0, 0]))
    array([2, 0, 0, 1, 1], dtype=int32)
    """
    _, first, compact, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order))
    renamed: NDArray[np.int32] = rank[compact]
    return renamed
