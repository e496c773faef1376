"""Maps keep who is next to whom, give cells without a vector no place, and work on tiny datasets."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_neighbors import Neighbors, neighbor_graph
from scfm_core.analyses.project_cells import ProjectCells, tsne_coordinates, umap_coordinates
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.registry import find_model
from scfm_core.request import recipe
from tests.analyses.planted import bag_card, dataset_of


def purity(points: NDArray, labels: NDArray, n_neighbors: int = 15) -> float:
    """Return the share of nearest neighbours that carry the cell's own label."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argpartition(apart, n_neighbors, axis=1)[:, :n_neighbors]
    return float((labels[nearest] == labels[:, None]).mean())


def umap_of(points: NDArray, *, seed: int = 0, n_neighbors: int = 15, n_dimensions: int = 2) -> NDArray[np.float32]:
    graph = Neighbors(**neighbor_graph(points, n_neighbors=n_neighbors, metric="euclidean")).graph
    return umap_coordinates(graph, points, min_dist=0.5, seed=seed, n_dimensions=n_dimensions)


def blobs(n_cells: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, n_cells)
    return (8 * rng.standard_normal((5, 10))[labels] + rng.standard_normal((n_cells, 10))).astype(np.float32), labels


def test_umap_of_the_demo_keeps_cell_types_together(demo_dataset: Dataset, engine: Engine) -> None:
    question = EmbedCells(demo_dataset, find_model("pca"))
    labels = demo_dataset.cells()["cell_type"].astype(str).to_numpy()
    sheet = engine.compute(ProjectCells(question)).coordinates
    assert sheet.dtype == np.float32
    assert sheet.shape == (demo_dataset.n_cells, 2)
    some = np.random.default_rng(0).choice(len(labels), 900, replace=False)
    in_space = purity(engine.compute(question).points[some], labels[some])
    on_sheet = purity(sheet[some], labels[some])
    by_chance = (np.unique(labels, return_counts=True)[1] ** 2).sum() / len(labels) ** 2
    assert on_sheet > in_space - 0.05 > by_chance + 0.3


@pytest.mark.parametrize("lay_out", [umap_of, lambda points: tsne_coordinates(points, perplexity=30, seed=0)])
def test_separate_groups_stay_separate(lay_out) -> None:
    points, labels = blobs(200)
    sheet = lay_out(points)
    assert np.isfinite(sheet).all()
    assert purity(sheet, labels, n_neighbors=10) > 0.98


def test_a_seed_fixes_the_map() -> None:
    points, _ = blobs(60)
    np.testing.assert_array_equal(umap_of(points, seed=3), umap_of(points, seed=3))
    assert not np.allclose(umap_of(points, seed=3), umap_of(points, seed=4))


@pytest.mark.parametrize("n_cells", [3, 4, 16])
def test_few_cells_and_copies_have_a_map(n_cells: int) -> None:
    points, _ = blobs(n_cells)
    points[1] = points[0]
    for some in (points, np.ones_like(points)):
        for sheet in (umap_of(some), tsne_coordinates(some, perplexity=30, seed=0)):
            assert sheet.shape == (n_cells, 2)
            assert np.isfinite(sheet).all()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    counts = np.random.default_rng(2).poisson(0.3, (50, 600))
    counts[[4, 9], :500] = 0
    return dataset_of(tmp_path_factory.mktemp("planted"), counts)


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_cells_without_a_vector_have_no_place(planted: Dataset, engine: Engine, method) -> None:
    job = engine.submit(ProjectCells(EmbedCells(planted, bag_card()), method))
    assert np.flatnonzero(np.isnan(job.result().coordinates).any(axis=1)).tolist() == [4, 9]
    assert any("2 of 50 cells have no vector" in text for _, text in job.log)


def test_two_cells_are_refused(tmp_path: Path, engine: Engine) -> None:
    dataset = dataset_of(tmp_path, np.ones((2, 10), dtype=int))
    with pytest.raises(RequestError, match="at least 3 cells with a vector, found 2 of 2"):
        engine.compute(ProjectCells(EmbedCells(dataset, bag_card())))


def test_parameters_that_a_map_does_not_read_make_no_new_question(planted: Dataset) -> None:
    embedding = EmbedCells(planted, bag_card())
    assert ProjectCells(embedding, perplexity=5.0).identity == ProjectCells(embedding).identity
    assert ProjectCells(embedding, "tsne", min_dist=0.1).identity == ProjectCells(embedding, "tsne").identity
    assert ProjectCells(embedding, min_dist=0.1).identity != ProjectCells(embedding).identity
    assert ProjectCells(embedding).metric == "cosine"


@pytest.mark.parametrize(
    "wrong", [{"method": "pacmap"}, {"method": "tsne", "perplexity": 0.0}, {"min_dist": 2.0}, {"n_dimensions": 4}]
)
def test_parameters_without_sense_are_refused(planted: Dataset, wrong: dict) -> None:
    with pytest.raises(RequestError):
        ProjectCells(EmbedCells(planted, bag_card()), **wrong)


@pytest.mark.parametrize(
    "lay_out", [umap_of, lambda points, **how: tsne_coordinates(points, perplexity=30, seed=0, **how)]
)
def test_three_dimensions_keep_groups_apart(lay_out) -> None:
    points, labels = blobs(150)
    room = lay_out(points, n_dimensions=3)
    assert room.shape == (150, 3)
    assert purity(room, labels, n_neighbors=10) > 0.98
    assert (room.std(axis=0) > 0.05 * room.std()).all()


def test_a_third_dimension_is_asked_for_and_leaves_flat_maps_as_they_were(planted: Dataset, engine: Engine) -> None:
    embedding = EmbedCells(planted, bag_card())
    assert "n_dimensions" not in recipe(ProjectCells(embedding))
    assert recipe(ProjectCells(embedding, n_dimensions=3))["n_dimensions"] == 3
    room = engine.compute(ProjectCells(embedding, n_dimensions=3)).coordinates
    assert room.shape == (50, 3)
    assert np.flatnonzero(np.isnan(room).any(axis=1)).tolist() == [4, 9]
    assert np.ptp(room[:, 2][np.isfinite(room[:, 2])]) > 1
