"""Metrics as the published benchmarks define them: scIB 1.1.7, recomputed on scikit-learn, scipy and igraph.

Clusters are Leiden's by igraph, two iterations; scIB 1.1.7 takes Leiden by leidenalg, the benchmark of 2023 Louvain.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.cluster_cells import leiden_labels
from scfm_core.analyses.find_neighbors import Neighbors, neighbor_graph
from scfm_core.analyses.metric_cells import ScoredCells
from scfm_core.metrics import agreement, batch_effects, silhouettes
from scfm_core.metrics.catalogue import metrics_of

N_NEIGHBORS = 15
Found = dict[str, tuple[float, str]]


def published_scores(cells: ScoredCells, *, seed: int) -> pd.DataFrame:
    """Return each metric of the family ``published``.

    Returns
    -------
    One row per metric, in the order of the catalogue: ``metric``, ``value``, ``note`` (how it came about, or why there
    is none).

    References
    ----------
    Luecken et al. 2022, doi:10.1038/s41592-021-01336-8; scIB 1.1.7; for the two means Cui et al. 2024,
    doi:10.1038/s41592-024-02201-0, and Kedzierska et al. 2025, doi:10.1186/s13059-025-03574-x.
    """
    from scfm_core.metrics.local_diversity import nearest_by_path

    graph = Neighbors(**neighbor_graph(cells.points, n_neighbors=N_NEIGHBORS, metric="euclidean")).graph
    clusterings = [_codes(leiden_labels(graph, resolution=one, seed=seed)) for one in agreement.RESOLUTIONS]
    widths = silhouettes.silhouette_widths(cells.points, cells.labels)
    paths = nearest_by_path(graph)
    found = _clusters(cells, clusterings) | _widths(cells, widths) | _isolated(cells, widths, clusterings)
    found |= _mixing(cells, paths) | _batches(cells)
    found["graph_connectivity"] = (batch_effects.connected_share(graph, cells.labels), "")
    found["avg_bio"] = _mean(found, ("nmi", "ari", "asw_label"))
    found["avg_batch"] = _mean(found, ("asw_batch", "graph_connectivity"))
    keys = [metric.key for metric in metrics_of("published")]
    values, notes = [found[key][0] for key in keys], [found[key][1] for key in keys]
    return pd.DataFrame({"metric": keys, "value": values, "note": notes})


def one_of(n_groups: int, what: str) -> str:
    """Say why a metric that compares groups has no value."""
    return "" if n_groups > 1 else f"All cells have one {what}: there is nothing to compare."


def no_batches(cells: ScoredCells) -> str:
    """Say why a metric of batches has no value, where it has none."""
    if cells.batches is None:
        return "No batches were chosen."
    return one_of(len(np.unique(cells.batches)), "batch")


def _clusters(cells: ScoredCells, clusterings: Sequence[NDArray[np.int64]]) -> Found:
    missing = one_of(len(np.unique(cells.labels)), "label")
    if missing:
        return {"nmi": (np.nan, missing), "ari": (np.nan, missing)}
    best, shared = agreement.best_clustering(cells.labels, clusterings)
    steps = agreement.RESOLUTIONS
    n_clusters = len(np.unique(clusterings[best]))
    note = (
        f"Leiden at resolution {steps[best]:g}, the best of {len(steps)} from {steps[0]:g} to {steps[-1]:g}: "
        f"{n_clusters} clusters."
    )
    return {"nmi": (shared, note), "ari": (agreement.rand_index(cells.labels, clusterings[best]), note)}


def _widths(cells: ScoredCells, widths: NDArray[np.float64]) -> Found:
    n_labels = len(np.unique(cells.labels))
    missing = one_of(n_labels, "label") or ("Every cell has a label of its own." if n_labels == len(widths) else "")
    return {"asw_label": (np.nan, missing) if missing else (silhouettes.label_silhouette(widths), "")}


def _isolated(cells: ScoredCells, widths: NDArray[np.float64], clusterings: Sequence[NDArray[np.int64]]) -> Found:
    isolated = np.empty(0, dtype=np.int64)
    missing = no_batches(cells)
    if cells.batches is not None and not missing:
        isolated = agreement.isolated_labels(cells.labels, cells.batches)
        missing = "" if len(isolated) else "Every label stands in all batches, so none is isolated."
    if missing:
        return {"isolated_f1": (np.nan, missing), "isolated_asw": (np.nan, missing)}
    sizes = np.bincount(cells.labels)[isolated]
    one = len(isolated) == 1
    note = (
        f"{len(isolated)} isolated {'label' if one else 'labels'}, of {sizes.min():,} cells{'' if one else ' or more'}."
    )
    f1 = float(np.mean([agreement.best_f1(cells.labels, label, clusterings) for label in isolated.tolist()]))
    return {
        "isolated_f1": (f1, note),
        "isolated_asw": (silhouettes.isolated_silhouette(widths, cells.labels, isolated), note),
    }


def _mixing(cells: ScoredCells, paths: tuple[NDArray[np.int64], NDArray[np.float64]]) -> Found:
    """Return both LISI."""
    from scfm_core.metrics.local_diversity import N_NEIGHBORS as N_ON_PATH
    from scfm_core.metrics.local_diversity import batch_mixing, inverse_simpson, label_purity

    few = f"LISI needs more than {N_ON_PATH} cells." if len(cells.labels) <= N_ON_PATH else ""
    lost = int((paths[0] < 0).any(axis=1).sum())
    note = f"{lost:,} cells reach fewer than {N_ON_PATH} others and count as unmixed, as in scIB." if lost else ""
    n_labels = len(np.unique(cells.labels))
    missing = {"clisi": few or one_of(n_labels, "label"), "ilisi": few or no_batches(cells)}
    found: Found = {key: (np.nan, why) for key, why in missing.items() if why}
    if not missing["clisi"]:
        found["clisi"] = (label_purity(inverse_simpson(*paths, cells.labels), n_labels), note)
    if cells.batches is not None and not missing["ilisi"]:
        n_batches = len(np.unique(cells.batches))
        found["ilisi"] = (batch_mixing(inverse_simpson(*paths, cells.batches), n_batches), note)
    return found


def _batches(cells: ScoredCells) -> Found:
    missing = no_batches(cells)
    if cells.batches is None or cells.before is None or missing:
        return dict.fromkeys(("asw_batch", "pcr_batch", "pcr_comparison", "kbet"), (np.nan, missing))
    mixed, told = silhouettes.batch_silhouette(cells.points, cells.labels, cells.batches)
    accepted, tested = batch_effects.accepted_share(cells.points, cells.labels, cells.batches)
    n_labels = len(np.unique(cells.labels))
    explained = batch_effects.variance_explained(cells.points, cells.batches)
    in_pca = np.isfinite(cells.before).all(axis=1)
    of_pca = batch_effects.variance_explained(cells.before[in_pca], cells.batches[in_pca])
    return {
        "asw_batch": (mixed, _told(len(told), n_labels, "stand in more than one batch")),
        "kbet": (accepted, _told(len(tested), n_labels, "have 10 cells or more, in more than one batch")),
        "pcr_batch": (explained, ""),
        "pcr_comparison": (batch_effects.compared_variance(of_pca, explained), f"In PCA batches explain {of_pca:.3g}."),
    }


def _told(n_told: int, n_labels: int, what: str) -> str:
    if n_told == n_labels:
        return ""
    return f"Only {n_told} of {n_labels} labels {what}." if n_told else f"No label can tell: none {what}."


def _mean(found: Found, keys: tuple[str, ...]) -> tuple[float, str]:
    """Return the mean of those that have a value, as the benchmark does, and say which have none."""
    values = [found[key][0] for key in keys if np.isfinite(found[key][0])]
    titles = {metric.key: metric.title for metric in metrics_of("published")}
    lacking = [titles[key] for key in keys if not np.isfinite(found[key][0])]
    note = f"Without {' and '.join(lacking)}, which have no value." if lacking and values else ""
    return (float(np.mean(values)), note) if values else (np.nan, found[keys[0]][1])


def _codes(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)
