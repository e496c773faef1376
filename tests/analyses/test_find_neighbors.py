"""The neighbour graph against umap-learn's own, and nearest cells against all distances."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_neighbors import FindNeighbors, Neighbors, comparable, nearest, neighbor_graph
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.registry import find_model
from tests.analyses.planted import bag_card, dataset_of


def points_of(n_cells: int, n_dimensions: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 3 * rng.standard_normal((4, n_dimensions))
    return (centres[rng.integers(0, 4, n_cells)] + rng.standard_normal((n_cells, n_dimensions))).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_nearest_cells_against_all_distances(metric: str) -> None:
    points = points_of(80)
    if metric == "cosine":
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        apart = 1 - unit @ unit.T
    else:
        apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, -1)
    found, _ = nearest(comparable(points, metric), n_neighbors=7)
    assert (found[:, 0] == np.arange(80)).all()
    expected = np.sort(np.take_along_axis(apart, np.argsort(apart, axis=1)[:, :7], axis=1))
    np.testing.assert_allclose(np.take_along_axis(apart, found, axis=1), expected, atol=1e-5)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_graph_is_that_of_umap(metric: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap.umap_ import fuzzy_simplicial_set
    points = points_of(150)
    graph = Neighbors(**neighbor_graph(points, n_neighbors=10, metric=metric)).graph
    indices, distances = nearest(comparable(points, metric), n_neighbors=10)
    if metric == "cosine":
        distances = distances**2 / 2
    theirs, _, _ = fuzzy_simplicial_set(
        points, 10, np.random.RandomState(0), metric, knn_indices=indices, knn_dists=distances.astype(np.float32)
    )
    np.testing.assert_allclose(graph.toarray(), theirs.toarray(), atol=1e-3)
    assert (graph != graph.T).nnz == 0


def test_copies_of_a_cell_and_cells_without_vector() -> None:
    points = points_of(30)
    points[10:20] = points[0]
    points[5] = np.nan
    graph = Neighbors(**neighbor_graph(points, n_neighbors=6, metric="euclidean")).graph
    assert np.isfinite(graph.data).all()
    assert graph.data.max() <= 1
    assert graph[5].nnz == 0
    assert graph[:, 5].nnz == 0
    identical = Neighbors(**neighbor_graph(np.ones((6, 3), np.float32), n_neighbors=4, metric="cosine")).graph
    assert np.isfinite(identical.data).all()


def test_too_few_cells_are_refused() -> None:
    points = points_of(4)
    points[:2] = np.nan
    with pytest.raises(RequestError, match="at least 3 cells with a vector, found 2 of 4"):
        neighbor_graph(points, n_neighbors=15, metric="euclidean")


def test_a_neighbourhood_larger_than_the_dataset_is_said(tmp_path: Path, engine: Engine) -> None:
    planted = dataset_of(tmp_path, np.random.default_rng(0).poisson(0.3, (40, 100)))
    job = engine.submit(FindNeighbors(EmbedCells(planted, bag_card()), n_neighbors=500))
    assert job.result().graph.shape == (40, 40)
    assert any("Only 40 cells have a vector" in text for _, text in job.log)


def test_the_metric_follows_from_the_card(tiny_dataset: Dataset) -> None:
    assert FindNeighbors(EmbedCells(tiny_dataset, find_model("pca"))).metric == "euclidean"
    assert FindNeighbors(EmbedCells(tiny_dataset, bag_card())).metric == "cosine"


def test_one_neighbour_is_none(tiny_dataset: Dataset) -> None:
    with pytest.raises(RequestError, match="at least 2"):
        FindNeighbors(EmbedCells(tiny_dataset, find_model("pca")), n_neighbors=1)
