"""Leiden finds planted groups; clusters are numbered by size."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from scfm_core.analyses.cluster_cells import ClusterCells, by_size, leiden_labels
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_neighbors import Neighbors, neighbor_graph
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from tests.analyses.planted import bag_card, dataset_of


def planted_points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), [120, 80, 50, 30])
    points = 6 * rng.standard_normal((4, 10))[groups] + rng.standard_normal((280, 10))
    order = rng.permutation(280)
    return points[order].astype(np.float32), groups[order]


def test_planted_groups_are_found_and_numbered_by_size() -> None:
    points, groups = planted_points()
    points[[7, 20]] = np.nan
    placed = np.isfinite(points).all(axis=1)
    graph = Neighbors(**neighbor_graph(points, n_neighbors=15, metric="euclidean")).graph
    labels = leiden_labels(graph, resolution=0.3, seed=0)
    assert adjusted_rand_score(groups[placed], labels[placed]) > 0.98
    assert labels[~placed].tolist() == [-1, -1]
    sizes = np.bincount(labels[placed])
    assert (np.diff(sizes) <= 0).all()
    assert labels.dtype == np.int32


def test_resolution_sets_the_grain_and_a_seed_the_answer() -> None:
    points, _ = planted_points()
    graph = Neighbors(**neighbor_graph(points, n_neighbors=15, metric="cosine")).graph
    coarse, fine = (leiden_labels(graph, resolution=resolution, seed=1).max() for resolution in (0.2, 4.0))
    assert coarse < fine
    state = random.getstate()
    again = [leiden_labels(graph, resolution=2.0, seed=5) for _ in range(2)]
    np.testing.assert_array_equal(*again)
    assert random.getstate() == state


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_numbers_go_by_size(labels: list[int]) -> None:
    renamed = by_size(np.array(labels))
    pairs = set(zip(labels, renamed.tolist(), strict=True))
    assert len(pairs) == len(set(labels)) == len(set(renamed.tolist()))
    assert (np.diff(np.bincount(renamed)) <= 0).all()


def test_the_whole_question(tmp_path: Path, engine: Engine) -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.1, (90, 100))
    groups = np.repeat([0, 1, 2], 30)
    counts[np.arange(90)[:, None], 10 * groups[:, None] + np.arange(10)] += 30 * np.arange(10, 0, -1)
    embedding = EmbedCells(dataset_of(tmp_path, counts), bag_card())
    answer = engine.compute(ClusterCells(embedding, resolution=0.5))
    assert answer.n_clusters == answer.labels.max() + 1
    assert adjusted_rand_score(groups, answer.labels) > 0.8
    with pytest.raises(RequestError, match="above 0"):
        ClusterCells(embedding, resolution=0)
