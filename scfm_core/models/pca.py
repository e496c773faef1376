"""Principal components of the dataset itself: the baseline that stands beside every model."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.dataset import Dataset
from scfm_core.errors import ModelError
from scfm_core.log_values import LogValues
from scfm_core.model import Arrays, CellStates, EmbedOptions, ModelSpec
from scfm_core.tokens import Tokens
from scfm_core.variable_genes import (
    N_VARIABLE_GENES,
    log_normalised,
    principal_axes,
    require_two_cells,
    variable_genes,
)

N_COMPONENTS = 50


def fit_pca(dataset: Dataset) -> dict[str, NDArray[Any]]:
    """Choose the variable genes of a dataset and find the directions in which its cells differ most.

    Counts are scaled to 10,000 per cell and ``log(1 + x)`` is taken; up to 2,000 highly variable genes are chosen (all
    expressed genes where there are no more), centred, not scaled; cells without counts play no part. The components
    are the directions of largest variance, exact and with a fixed sign: the largest loading is positive.

    Returns
    -------
    ``gene_ids`` of the chosen genes, shape ``(n_chosen,)``; their ``mean`` and their ``highest`` value in a cell, same
    shape; ``components``, shape ``(n_chosen, n_components)``, with 50 components, or fewer where there are few cells or
    genes.

    Raises
    ------
    DatasetError
        If fewer than two cells have counts.

    References
    ----------
    Satija et al. 2015, doi:10.1038/nbt.3192, for the choice of genes; Luecken & Theis 2019, doi:10.15252/msb.20188746.
    """
    counts = dataset.counts()
    matrix = log_normalised(counts.matrix, counts.total_counts)
    matrix = matrix[np.diff(matrix.indptr) > 0]
    require_two_cells(dataset, matrix.shape[0], needed_by="Principal components need")
    chosen = variable_genes(matrix)
    matrix = matrix[:, chosen]
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    components = principal_axes(matrix, mean, min(N_COMPONENTS, matrix.shape[0] - 1, len(chosen)))
    highest = matrix.max(axis=0).toarray().ravel()
    gene_ids = np.array(counts.gene_ids)[chosen]
    return {"gene_ids": gene_ids, "mean": mean, "highest": highest, "components": components}


class PcaModel(LogValues):
    """Fitted components; a cell is projected from the log-normalised values of its chosen genes."""

    def __init__(self, fitted: Arrays) -> None:
        super().__init__(fitted["gene_ids"], fitted["highest"])
        self._components = np.asarray(fitted["components"], dtype=np.float64)
        self._origin = np.asarray(fitted["mean"], dtype=np.float64) @ self._components

    def embed(self, tokens: Tokens, options: EmbedOptions) -> CellStates:
        """See `CellModel.embed`; there is nothing to choose."""
        points = (self.values(tokens) @ self._components - self._origin).astype(np.float32)
        points[tokens.lengths == 0] = np.nan
        return CellStates(points)


def _load(folder: Path | None, device: str, fitted: Arrays) -> PcaModel:
    if "components" not in fitted:
        msg = "PCA is fitted to each dataset before it embeds; none were given. Embed through EmbedCells."
        raise ModelError(msg, "not-fitted")
    return PcaModel(fitted)


SPECS = (
    ModelSpec(
        key="pca",
        title="PCA",
        revision="1",
        summary=(
            "The directions in which the cells of this dataset differ most, found in the dataset itself: "
            "no pre-training, and the yardstick for every model that has one."
        ),
        organisms=("human", "mouse", "unknown"),
        vocabulary=f"the {N_VARIABLE_GENES:,} most variable genes of the dataset",
        embedding_size=N_COMPONENTS,
        max_tokens=None,
        n_parameters=None,
        licence="BSD-3-Clause",
        citation="Pearson, On lines and planes of closest fit to systems of points in space, 1901",
        doi="10.1080/14786440109462720",
        training_data="none; fitted to the chosen dataset",
        known_limits=(
            "Linear: it cannot tell apart what only a combination of genes shows.",
            "Knows nothing beyond this dataset; vectors of two datasets cannot be compared.",
            "Batches differ in it as much as the counts do.",
            "Deleting a gene takes its own share out of the vector and changes no other gene: "
            "the effect says how much the gene varies, not what it does.",
            "A cell that expresses none of the variable genes gets no vector.",
        ),
        load=_load,
        fit=fit_pca,
        gene_edits=("delete", "overexpress", "inhibit", "activate", "scale"),
        poolings=("projection",),
        is_baseline=True,
    ),
)
