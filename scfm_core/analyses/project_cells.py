"""How does a model's space look on a flat sheet, or in a room?

For the eye only: neighbours on the sheet tend to be neighbours in the space, distances and sizes of groups mean little.
"""

import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_neighbors import FindNeighbors, Metric, comparable, default_metric, placed_cells
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

Method = Literal["umap", "tsne"]


@dataclass(frozen=True)
class Projection:
    """One point of the sheet, or of the room, per cell, in the order of the dataset's cells.

    Attributes
    ----------
    coordinates
        Shape ``(n_cells, n_dimensions)``, float32, without unit; NaN for a cell without a vector.
    """

    coordinates: NDArray[np.float32]


@dataclass(frozen=True)
class ProjectCells(Request[Projection]):
    """Lay the vectors of a model out in two dimensions, or in three.

    Parameters
    ----------
    n_neighbors, min_dist
        Of UMAP: size of a neighbourhood, and how close two points may come. t-SNE does not read them.
    perplexity
        Of t-SNE: size of a neighbourhood; at most a third of the cells is used. UMAP does not read it.
    metric
        Cosine for pre-trained models, whose vectors are compared by angle; Euclidean for baselines, where None.
    n_dimensions
        2 or 3.

    Raises
    ------
    RequestError
        If a parameter makes no sense, or fewer than 3 cells have a vector.
    """

    embedding: EmbedCells
    method: Method = "umap"
    n_neighbors: int = 15
    min_dist: float = 0.5
    perplexity: float = 30.0
    seed: int = 0
    metric: Metric | None = None
    n_dimensions: int = field(default=2, metadata={"added_later": True})

    result_type: ClassVar[type] = Projection

    def __post_init__(self) -> None:
        unread = {"perplexity": 30.0} if self.method == "umap" else {"n_neighbors": 15, "min_dist": 0.5}
        chosen = {"metric": self.metric or default_metric(self.embedding.model)}
        for name, value in {**unread, **chosen}.items():  # equal maps have equal identities
            object.__setattr__(self, name, value)
        if self.method not in ("umap", "tsne"):
            msg = f"No map is called {self.method!r}. Choose umap or tsne."
            raise RequestError(msg, "unknown-method")
        if self.perplexity <= 0:
            msg = f"Expected a perplexity above 0, found {self.perplexity:g}. Usual values lie between 5 and 50."
            raise RequestError(msg, "bad-perplexity")
        if not 0 <= self.min_dist <= 1:
            msg = f"Expected a smallest distance between 0 and 1, found {self.min_dist:g}."
            raise RequestError(msg, "bad-min-dist")
        if self.n_dimensions not in (2, 3):
            msg = f"A map has 2 or 3 dimensions, found {self.n_dimensions}. Choose one of them."
            raise RequestError(msg, "bad-dimensions")

    def run(self, context: Context) -> Projection:
        """See `Request.run`."""
        points = np.asarray(context.compute(self.embedding).points)
        placed = placed_cells(points)
        vectors = comparable(points[placed], self.metric or "euclidean")
        if self.method == "umap":
            neighbors = context.compute(FindNeighbors(self.embedding, self.n_neighbors, self.metric))
            graph = neighbors.graph[placed][:, placed]
            lay_out = partial(umap_coordinates, graph, vectors, min_dist=self.min_dist)
        else:
            lay_out = partial(tsne_coordinates, vectors, perplexity=self.perplexity)
        lay_out = partial(lay_out, seed=self.seed, n_dimensions=self.n_dimensions)
        name = "UMAP" if self.method == "umap" else "t-SNE"
        coordinates = np.full((len(points), self.n_dimensions), np.nan, dtype=np.float32)
        coordinates[placed] = context.call(lay_out, step=f"Drawing the {name}")
        if len(placed) < len(points):
            n_left_out = len(points) - len(placed)
            context.log(f"{n_left_out:,} of {len(points):,} cells have no vector and no place on the map")
        return Projection(coordinates)


def umap_coordinates(
    graph: csr_matrix, vectors: NDArray[np.float32], *, min_dist: float, seed: int, n_dimensions: int = 2
) -> NDArray[np.float32]:
    """Lay out a neighbour graph by UMAP, from the first principal components on.

    Parameters
    ----------
    graph
        Weights in (0, 1], symmetric, shape ``(n_cells, n_cells)``.
    vectors
        Shape ``(n_cells, embedding_size)``; they give the start alone.

    Returns
    -------
    Shape ``(n_cells, n_dimensions)``.

    References
    ----------
    McInnes, Healy, Melville 2018, arXiv:1802.03426; start as in Kobak and Linderman 2021,
    doi:10.1038/s41587-020-00809-z.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # umap says that it found no TensorFlow
        from umap.umap_ import find_ab_params, simplicial_set_embedding

    spread = 1.0
    a, b = find_ab_params(spread, min_dist)
    coordinates, _ = simplicial_set_embedding(
        vectors,
        graph.tocoo(),
        n_components=n_dimensions,
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=5,
        n_epochs=500 if graph.shape[0] <= 10_000 else 200,  # umap's own choice
        init=starting_coordinates(vectors, seed=seed, n_dimensions=n_dimensions),
        random_state=np.random.RandomState(seed),
        metric="euclidean",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
    )
    return _float32(coordinates)


def tsne_coordinates(
    vectors: NDArray[np.float32], *, perplexity: float, seed: int, n_dimensions: int = 2
) -> NDArray[np.float32]:
    """Lay out vectors, one row per cell, by t-SNE, from the first principal components on.

    Returns
    -------
    Shape ``(n_cells, n_dimensions)``.

    References
    ----------
    van der Maaten 2014, JMLR 15:3221; start and learning rate as in Kobak and Berens 2019,
    doi:10.1038/s41467-019-13056-x.
    """
    from sklearn.manifold import TSNE

    bounded = min(perplexity, max((len(vectors) - 1) / 3, 1.0))
    start = 1e-4 * starting_coordinates(vectors, seed=seed, n_dimensions=n_dimensions)
    tsne = TSNE(n_components=n_dimensions, perplexity=bounded, init=start, random_state=seed)
    return _float32(tsne.fit_transform(vectors))


def starting_coordinates(vectors: NDArray[np.float32], *, seed: int, n_dimensions: int = 2) -> NDArray[np.float32]:
    """Return the first principal components with unit spread, and a little noise that parts copies of a cell."""
    from sklearn.utils.extmath import randomized_svd

    n_components = min(n_dimensions, *vectors.shape)
    left, strength, _ = randomized_svd(vectors - vectors.mean(axis=0), n_components, random_state=seed)
    start = np.zeros((len(vectors), n_dimensions))
    start[:, :n_components] = left * strength
    start /= max(float(start[:, 0].std()), 1e-12)
    return _float32(start + 1e-3 * np.random.default_rng(seed).standard_normal(start.shape))


def _float32(array: Any) -> NDArray[np.float32]:
    return np.asarray(array, dtype=np.float32)
