"""Metrics as the library scib-metrics computes them, called as its own benchmark calls them; neighbours are exact.

The library is large, as it brings JAX, and stands in the extra ``benchmark``.
"""

import logging
import random
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.cluster_cells import igraph_random
from scfm_core.analyses.find_neighbors import nearest
from scfm_core.analyses.metric_cells import ScoredCells
from scfm_core.analyses.metric_published import no_batches, one_of
from scfm_core.errors import RequestError
from scfm_core.metrics.catalogue import metrics_of

N_NEIGHBORS = (15, 50, 90)  # of graphs and clusters, of kBET, of LISI
_Calls = dict[str, Callable[[], float]]


def library_scores(cells: ScoredCells, *, seed: int) -> pd.DataFrame:
    """Return each metric of the family ``scib-metrics``.

    Returns
    -------
    One row per metric, in the order of the catalogue: ``metric``, ``value``, ``note``.

    Raises
    ------
    RequestError
        If the library is not installed.

    References
    ----------
    scib-metrics 0.5, https://scib-metrics.readthedocs.io; Luecken et al. 2022, doi:10.1038/s41592-021-01336-8; BRAS:
    Rautenstrauch and Ohler 2025, doi:10.1038/s41587-025-02743-4.
    """
    require_library()
    missing = {"biology": one_of(len(np.unique(cells.labels)), "label"), "batch": no_batches(cells)}
    values, notes = [], []
    with warnings.catch_warnings(), igraph_random:
        warnings.simplefilter("ignore")  # of JAX and umap about themselves, and of PCR where it grew
        calls = _calls(cells, seed)
        for metric in metrics_of("scib-metrics"):
            about = "batch" if metric.key == "isolated_labels" else metric.about
            why = "" if metric.key == "graph_connectivity" else missing[about]
            values.append(np.nan if why else float(calls[metric.key]()))
            notes.append(why)
        _restore_random()
    return pd.DataFrame(
        {"metric": [metric.key for metric in metrics_of("scib-metrics")], "value": values, "note": notes}
    )


def require_library() -> None:
    """Raise a `RequestError` where scib-metrics is not installed."""
    from importlib.util import find_spec

    if find_spec("scib_metrics") is None or find_spec("jax") is None:
        msg = (
            "Expected the library scib-metrics, found none. Install it with: pip install 'scfm-explorer[benchmark]'. "
            "The published family of metrics needs nothing more."
        )
        raise RequestError(msg, "not-installed")


def _calls(cells: ScoredCells, seed: int) -> _Calls:
    import scib_metrics as library

    library.settings.verbosity = logging.WARNING  # it writes to the terminal which labels it skips
    points, labels = cells.points, cells.labels
    near = _neighbors(points)
    graph, tested, mixed = (near.subset_neighbors(min(n, near.n_neighbors)) for n in N_NEIGHBORS)
    leiden = cache(lambda: library.nmi_ari_cluster_labels_leiden(graph, labels, seed=seed))
    kmeans = cache(lambda: library.nmi_ari_cluster_labels_kmeans(points, labels))
    return {
        "silhouette_label": lambda: library.silhouette_label(points, labels),
        "leiden_nmi": lambda: leiden()["nmi"],
        "leiden_ari": lambda: leiden()["ari"],
        "kmeans_nmi": lambda: kmeans()["nmi"],
        "kmeans_ari": lambda: kmeans()["ari"],
        "clisi": lambda: library.clisi_knn(mixed, labels),
        "graph_connectivity": lambda: library.graph_connectivity(graph, labels),
        **_of_batches(cells, tested=tested, mixed=mixed),
    }


def _of_batches(cells: ScoredCells, *, tested: Any, mixed: Any) -> _Calls:
    import scib_metrics as library

    points, labels, batches, before = cells.points, cells.labels, cells.batches, cells.before
    if batches is None or before is None:
        return {}

    def explained() -> float:
        in_pca = np.isfinite(before).all(axis=1)
        asked = before[in_pca], points[in_pca], batches[in_pca]
        return float(library.pcr_comparison(*asked, categorical=True))

    return {
        "isolated_labels": lambda: library.isolated_labels(points, labels, batches),
        "silhouette_batch": lambda: _where_told(library.silhouette_batch, points, labels, batches),
        "bras": lambda: _where_told(library.bras, points, labels, batches),
        "ilisi": lambda: library.ilisi_knn(mixed, batches),
        "kbet": lambda: library.kbet_per_label(tested, batches, labels),
        "pcr_comparison": explained,
    }


def _where_told(metric: Callable[..., float], *asked: Any) -> float:
    """Return NaN where no label stands in two batches: the library then has nothing to put together, and says so."""
    try:
        return float(metric(*asked))
    except ValueError:
        return np.nan


def _neighbors(points: NDArray[np.float32]) -> Any:
    from scib_metrics.nearest_neighbors import NeighborsResults

    indices, distances = nearest(points, n_neighbors=min(N_NEIGHBORS[-1], len(points)))
    return NeighborsResults(indices=indices, distances=distances)


def _restore_random() -> None:
    """Give igraph Python's own random numbers back, which the library took from it."""
    import igraph

    igraph.set_random_number_generator(random)
