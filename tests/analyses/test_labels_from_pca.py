"""Labels that were cut out of the PCA are seen; labels that were not are left alone."""

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.analyses.embed_cells import EmbedCells, Embedding
from scfm_core.analyses.grouping import ByClusters, ByLabels
from scfm_core.analyses.labels_from_pca import TraceLabelsToPca, label_signs, named_as_clusters
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.registry import find_model
from tests.analyses.planted import dataset_of

N_CELLS = 900


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("planted"), np.random.default_rng(0).poisson(0.5, (N_CELLS, 30)))


@pytest.fixture
def asked(planted: Dataset, engine: Engine):
    """Ask about labels of cells whose vectors in PCA are given."""

    def ask(points: np.ndarray, labels):
        pca = EmbedCells(planted, find_model("pca"))
        n_tokens = np.zeros(N_CELLS, dtype=np.int32)
        engine.store.put(pca.identity, Embedding(points=points.astype(np.float32), n_tokens=n_tokens))
        grouping = labels if isinstance(labels, ByClusters) else ByLabels.from_series(pd.Series(labels, name="type"))
        return engine.compute(TraceLabelsToPca(planted, grouping))

    return ask


def cloud(distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Four types whose clouds overlap, the truth known."""
    rng = np.random.default_rng(1)
    types = rng.integers(0, 4, N_CELLS)
    return distance * np.eye(4, 6)[types] + rng.standard_normal((N_CELLS, 6)), types


def named(codes: np.ndarray) -> list[str]:
    return [f"type {code}" for code in codes]


def test_clusters_of_the_pca_under_other_names_are_likely(asked, planted: Dataset, engine: Engine) -> None:
    points, types = cloud(2.5)
    asked(points, named(types))
    clusters = engine.compute(ClusterCells(EmbedCells(planted, find_model("pca")), resolution=0.8)).labels
    answer = asked(points, named(clusters))
    assert answer.verdict == "likely"
    assert "favours PCA" in answer.consequence
    assert answer.table.set_index("evidence").loc["closest clustering", "value"] == pytest.approx(1)


def test_true_types_that_overlap_are_not_suspected(asked) -> None:
    points, types = cloud(2.5)
    answer = asked(points, named(types))
    assert answer.verdict == "not seen"
    assert "does not say" in answer.reason
    assert abs(answer.table.set_index("evidence").loc["sharpness", "value"]) < 4


def test_types_far_apart_cannot_be_judged(asked) -> None:
    points, types = cloud(40.0)
    answer = asked(points, named(types))
    assert answer.verdict == "possible"
    assert "any good embedding" in answer.reason


def test_clusters_asked_for_as_such_are_certain(asked, planted: Dataset) -> None:
    points, _ = cloud(2.5)
    clusters = ByClusters(ClusterCells(EmbedCells(planted, find_model("pca"))))
    answer = asked(points, clusters)
    assert answer.verdict == "yes"
    assert "clusters of the vectors of PCA" in answer.reason


def test_numbers_and_names_of_clusterings_are_a_hint(asked) -> None:
    points, types = cloud(1.5)
    assert asked(points, [str(code) for code in types]).verdict == "possible"
    assert "clustering" in named_as_clusters("RNA_snn_res.0.8", ["B"])
    assert "clustering" in named_as_clusters("seurat_clusters", ["B"])
    assert named_as_clusters("celltype", ["CD4", "CD8"]) == ""


def test_mixed_labels_are_as_sharp_as_their_neighbours_say() -> None:
    """The null of the sign: labels drawn from what each place holds, over many data sets."""
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        points = rng.standard_normal((400, 3)).astype(np.float32)
        labels = (rng.random(400) < 1 / (1 + np.exp(-points[:, 0]))).astype(np.int64)
        found.append(label_signs(points, labels, seed=0)["sharpness"])
    assert np.mean(np.array(found) > 4) == 0
    many = np.random.default_rng(0).standard_normal((3_000, 3)).astype(np.float32)
    assert label_signs(many, (many[:, 0] > 0).astype(np.int64), seed=0)["sharpness"] > 8


def test_cells_without_label_or_vector_are_left_out_and_too_few_are_refused(asked) -> None:
    points, types = cloud(2.5)
    points[:10] = np.nan
    labels = np.array(named(types), dtype=object)
    labels[10:20] = None
    assert np.isfinite(asked(points, labels).table["value"]).all()
    labels[22:] = None
    with pytest.raises(RequestError, match="found 2 of 900"):
        asked(points, labels)
