"""Harmony: the vectors of PCA, moved until clusters of cells hold all batches."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from scfm_core.cell_batches import read_batches
from scfm_core.errors import DatasetError, ModelError
from scfm_core.model import CellsToPlace, ModelSpec, PlacedCells
from scfm_core.workers import Workers

TITLE = "Harmony"
N_COMPONENTS = 50
MIN_CELLS = 16  # harmonypy makes one cluster per 30 cells, rounded, and needs one


def harmonised(points: NDArray[np.float32], labels: NDArray[np.str_], seed: int) -> NDArray[np.float32]:
    """Return the vectors after Harmony, with harmonypy's defaults, shape as given.

    Parameters
    ----------
    points
        Shape ``(n_cells, n_components)``, finite.
    labels
        Batch of each cell, shape ``(n_cells,)``.

    References
    ----------
    Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0.
    """
    import harmonypy
    import pandas as pd

    cells = pd.DataFrame({"batch": labels})
    found = harmonypy.run_harmony(points.T, cells, "batch", verbose=False, random_state=seed)  # one column per cell
    moved = np.asarray(found.Z_corr, dtype=np.float32)
    if moved.shape != points.shape:  # releases before 2 return one column per cell
        msg = f"harmonypy returned {moved.shape} for {points.shape}. Install harmonypy 2.1 or newer."
        raise ModelError(msg, "other-harmonypy")
    return moved


def _place(task: CellsToPlace, workers: Workers) -> PlacedCells:
    batches = read_batches(task.dataset, task.options.batch, needed_by=TITLE)
    if task.start is None:
        msg = f"{TITLE} moves the vectors of PCA, and none were given. Embed through EmbedCells."
        raise ModelError(msg, "no-start")
    start = np.asarray(task.start.points)
    cells = np.flatnonzero(np.isfinite(start).all(axis=1))
    if len(cells) < MIN_CELLS:
        msg = (
            f"{TITLE} needs at least {MIN_CELLS} cells with a vector of PCA, found {len(cells)} among "
            f"{task.dataset.n_cells:,} cells. Choose another dataset, or PCA itself."
        )
        raise DatasetError(msg, "too-few-cells")
    move = partial(harmonised, start[cells], batches.labels[cells], task.options.seed)
    points = np.full(start.shape, np.nan, dtype=np.float32)
    points[cells] = workers.call(move, step=f"Mixing {batches} with {TITLE}")
    return PlacedCells(points, task.start.n_genes)


SPECS = (
    ModelSpec(
        key="harmony",
        title=TITLE,
        revision="1",
        summary=(
            "PCA, then the cells of each batch are moved until every cluster of cells holds all batches: the usual "
            "correction, and one of the best in published comparisons."
        ),
        organisms=("human", "mouse", "unknown"),
        vocabulary="the vectors of PCA, and with them the genes that PCA reads",
        embedding_size=N_COMPONENTS,
        max_tokens=None,
        n_parameters=None,
        licence="GPL-3.0 (harmonypy)",
        citation="Korsunsky et al. 2019, Fast, sensitive and accurate integration of single-cell data with Harmony",
        doi="10.1038/s41592-019-0619-0",
        training_data="none; fitted to the chosen dataset and its batches by harmonypy",
        known_limits=(
            "Moves cells of different batches together whether they are of one type or not: where batches hold other "
            "cell types, it can merge them.",
            "Where batch and condition go together, it removes the effect of the condition.",
            "Starts from PCA and cannot bring back what PCA did not see.",
            "Gives vectors, no counts: no gene can be edited in it, and a new cell cannot be placed.",
            "Another seed gives slightly other vectors.",
        ),
        how_to_get="Install it beside scFM Explorer: pip install 'scfm-explorer[integration]'. harmonypy is GPL-3.0.",
        place=_place,
        starts_from="pca",
        needs_batch=True,
        draws=True,
        needs_packages=("harmonypy",),
        gene_edits=(),
        poolings=("projection",),
        is_baseline=True,
    ),
)
