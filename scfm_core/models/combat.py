"""ComBat: the log values of the variable genes, corrected for the batch gene by gene, then principal components."""

import contextlib
import io
import warnings
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scfm_core.cell_batches import read_batches
from scfm_core.dataset import Dataset
from scfm_core.errors import DatasetError, RequestError
from scfm_core.model import CellsToPlace, ModelSpec, PlacedCells
from scfm_core.variable_genes import N_VARIABLE_GENES, find_variable_genes, principal_axes
from scfm_core.workers import Workers

TITLE = "ComBat"
N_COMPONENTS = 50
MOST_CELLS = 100_000  # a dense table of 2,000 genes, several times over: about 100 kB per cell, as measured


def embed_corrected(dataset: Dataset, column: str) -> dict[str, NDArray[np.generic]]:
    """Correct the values of the variable genes for the batch, and project the cells on their principal components.

    The genes and their values are those that PCA takes; the correction is scanpy's, without covariates.

    Returns
    -------
    ``points``, shape ``(n_cells, n_components)``, float32, NaN for a cell that expresses none of the genes, and
    ``n_genes`` of each cell, int32.

    Raises
    ------
    RequestError, DatasetError
        If there are no batches, a batch has one cell, or there are too many cells.

    References
    ----------
    Johnson et al. 2007, doi:10.1093/biostatistics/kxj037; applied before PCA as in Luecken et al. 2022,
    doi:10.1038/s41592-021-01336-8.
    """
    batches = read_batches(dataset, column, needed_by=TITLE)
    if dataset.n_cells > MOST_CELLS:
        msg = (
            f"{TITLE} holds the values of all cells in memory several times, about 100 kB per cell; {MOST_CELLS:,} "
            f"cells are the most, this dataset has {dataset.n_cells:,}. Choose a part of the cells, or Harmony or scVI."
        )
        raise DatasetError(msg, "too-many-cells")
    found = find_variable_genes(dataset, needed_by=f"{TITLE} needs")
    sizes = np.bincount(batches.codes[found.cells], minlength=len(batches.names))
    if sizes.min() < 2:
        msg = (
            f"{TITLE} estimates how much each gene varies within each batch, so every batch needs at least two cells "
            f"that express variable genes; {batches.names[sizes.argmin()]!r} of {column!r} has {sizes.min()}. Choose "
            "another column, or leave the small batches out."
        )
        raise RequestError(msg, "batch-too-small")
    values = corrected(found.values.toarray(), batches.labels[found.cells])
    mean = values.mean(axis=0)
    axes = principal_axes(values, mean, min(N_COMPONENTS, len(values) - 1, values.shape[1]))
    points = np.full((dataset.n_cells, axes.shape[1]), np.nan, dtype=np.float32)
    points[found.cells] = (values - mean) @ axes
    n_genes = np.zeros(dataset.n_cells, dtype=np.int32)
    n_genes[found.cells] = np.diff(found.values.indptr)
    return {"points": points, "n_genes": n_genes}


def corrected(values: NDArray[np.float64], labels: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return log values of genes without what differs between the batches in mean and spread, shape as given."""
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData

    names = list(map(str, range(len(values))))
    data = AnnData(values, obs=pd.DataFrame({"batch": pd.Categorical(labels)}, index=names))
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it prints genes that do not vary
        warnings.simplefilter("ignore")
        return np.asarray(sc.pp.combat(data, key="batch", inplace=False), dtype=np.float64)


def _place(task: CellsToPlace, workers: Workers) -> PlacedCells:
    batches = read_batches(task.dataset, task.options.batch, needed_by=TITLE)
    found = workers.call(
        partial(embed_corrected, task.dataset, task.options.batch), step=f"Correcting for {batches} with {TITLE}"
    )
    return PlacedCells(found["points"].astype(np.float32, copy=False), found["n_genes"].astype(np.int32, copy=False))


SPECS = (
    ModelSpec(
        key="combat",
        title=TITLE,
        revision="1",
        summary=(
            "PCA after every gene was brought to the same mean and spread in every batch: the oldest correction for "
            "batches, made for microarrays."
        ),
        organisms=("human", "mouse", "unknown"),
        vocabulary=f"the {N_VARIABLE_GENES:,} most variable genes of the dataset, the same that PCA reads",
        embedding_size=N_COMPONENTS,
        max_tokens=None,
        n_parameters=None,
        licence="BSD-3-Clause",
        citation=(
            "Johnson et al. 2007, Adjusting batch effects in microarray expression data using empirical Bayes methods"
        ),
        doi="10.1093/biostatistics/kxj037",
        training_data="none; fitted to the chosen dataset and its batches by scanpy",
        known_limits=(
            "Takes the batches as if they held the same cells: where a cell type is in one batch only, it is pulled "
            "towards the others and biology is lost.",
            "Where batch and condition go together, it removes the effect of the condition.",
            "One shift and one scale per gene and batch; what differs from cell type to cell type stays.",
            f"Holds about 100 kB per cell in memory; refused above {MOST_CELLS:,} cells.",
            "Knows nothing beyond this dataset, and no gene can be edited in it.",
        ),
        place=_place,
        needs_batch=True,
        gene_edits=(),
        poolings=("projection",),
        is_baseline=True,
    ),
)
