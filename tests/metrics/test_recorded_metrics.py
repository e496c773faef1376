"""The published family against what scIB 1.1.7 said, and both libraries' common ground; see tests/analyses/golden."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from scfm_core.analyses.find_neighbors import nearest
from scfm_core.analyses.metric_cells import ScoredCells
from scfm_core.analyses.metric_library import library_scores
from scfm_core.analyses.metric_published import published_scores
from scfm_core.metrics.agreement import RESOLUTIONS
from scfm_core.metrics.batch_effects import ALPHA, batch_test, compared_variance, variance_explained
from scfm_core.metrics.local_diversity import batch_mixing, inverse_simpson, label_purity
from scfm_core.metrics.silhouettes import (
    batch_silhouette,
    isolated_silhouette,
    label_silhouette,
    silhouette_widths,
)
from tests.analyses.golden.scib.record import pbmc68k

GOLDEN = Path(__file__).parents[1] / "analyses" / "golden"
CASES = ("pbmc68k", "planted")
TOLERANCE = 1e-6
NOT_OF_SCIB = ("avg_bio", "avg_batch", "kbet")  # means of others, and what scIB calls R for


def said(library: str) -> dict[str, dict[str, float]]:
    return json.loads((GOLDEN / library / f"{library}.json").read_text())


def cells_of(case: str) -> ScoredCells:
    found = pbmc68k() if case == "pbmc68k" else dict(np.load(GOLDEN / "scib" / "planted.npz"))
    labels, batches = (np.unique(found[name], return_inverse=True)[1] for name in ("labels", "batches"))
    return ScoredCells(found["after"], labels, batches, found["before"])


@pytest.mark.parametrize("case", CASES)
def test_every_metric_is_what_scib_said(case: str) -> None:
    recorded = said("scib")[case]
    table = published_scores(cells_of(case), seed=0).set_index("metric")
    for metric, row in table.drop(index=list(NOT_OF_SCIB)).iterrows():
        assert row["value"] == pytest.approx(recorded[metric], abs=TOLERANCE, nan_ok=True), metric
    assert recorded["resolution"] in RESOLUTIONS
    assert f"resolution {recorded['resolution']:g}," in table.loc["nmi", "note"]
    bio = [recorded[metric] for metric in ("nmi", "ari", "asw_label")]
    assert table.loc["avg_bio", "value"] == pytest.approx(np.mean(bio), abs=TOLERANCE)
    batch = [recorded[metric] for metric in ("asw_batch", "graph_connectivity")]
    assert table.loc["avg_batch", "value"] == pytest.approx(np.mean(batch), abs=TOLERANCE)


def test_another_leiden_moves_the_choice_of_clusters_little() -> None:
    for recorded in said("scib").values():
        assert recorded["nmi"] == pytest.approx(recorded["nmi_with_leiden_of_scanpy"], abs=0.01)


def common_ground(cells: ScoredCells) -> dict[str, float]:
    """Return our values of what scib-metrics defines as we do, or computes of the same neighbours."""
    points, before = cells.points.astype(np.float64), cells.before.astype(np.float64)
    labels, batches = cells.labels, cells.batches
    widths = silhouette_widths(points, labels)
    indices, distances = nearest(points, n_neighbors=91)
    near = indices[:, 1:], distances[:, 1:]
    n_batches = [len(np.unique(batches[labels == label])) for label in range(labels.max() + 1)]
    fewest = np.flatnonzero(np.array(n_batches) == min(n_batches))
    of_pca, explained = variance_explained(before, batches), variance_explained(points, batches)
    return {
        "silhouette_label": label_silhouette(widths),
        "silhouette_batch": batch_silhouette(points, labels, batches)[0],
        "isolated_labels": isolated_silhouette(widths, labels, fewest),
        "pcr": explained,
        "pcr_comparison": compared_variance(of_pca, explained),
        "clisi": label_purity(inverse_simpson(*near, labels), labels.max() + 1),
        "ilisi": batch_mixing(inverse_simpson(*near, batches), batches.max() + 1),
        "kbet": float((batch_test(indices[:, :20], batches) >= ALPHA).mean()),
    }


@pytest.mark.parametrize("case", CASES)
def test_what_scib_metrics_defines_alike_is_equal(case: str) -> None:
    recorded = said("scib_metrics")[case]
    ours = common_ground(cells_of(case))
    assert ours.keys() == recorded.keys()
    for metric, value in ours.items():
        assert value == pytest.approx(recorded[metric], abs=TOLERANCE), metric


@pytest.mark.slow
def test_the_library_itself_says_the_same() -> None:
    if find_spec("scib_metrics") is None:
        pytest.skip("needs scib-metrics: pip install 'scfm-explorer[benchmark]'")
    cells = cells_of("planted")
    theirs = library_scores(cells, seed=0).set_index("metric")["value"]
    ours = common_ground(cells)
    for metric in ("silhouette_label", "silhouette_batch", "isolated_labels", "pcr_comparison"):
        assert theirs[metric] == pytest.approx(ours[metric], abs=1e-5), metric  # the library computes in 32 bits
    recorded = said("scib_metrics")["planted"]
    assert theirs["clisi"] == pytest.approx(recorded["clisi"], abs=0.02)  # of 90 neighbours, the cell among them
    assert theirs["ilisi"] == pytest.approx(recorded["ilisi"], abs=0.02)
    assert theirs.between(0, 1).all()
