"""Highly variable genes: their log values as they are, the plainest baseline of the published benchmark."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.dataset import CellCounts, Dataset
from scfm_core.errors import ModelError
from scfm_core.log_values import LogValues
from scfm_core.model import Arrays, CellStates, EmbedOptions, ModelSpec
from scfm_core.tokens import Tokens, counts_in_vocabulary
from scfm_core.variable_genes import N_VARIABLE_GENES, log_normalised, require_two_cells, variable_genes

MIN_GENES, MIN_CELLS = 10, 10  # Kedzierska 2025: cells with fewer genes, then genes in fewer cells, are left out


def fit_hvg(dataset: Dataset) -> dict[str, NDArray[Any]]:
    """Choose the variable genes of a dataset as the published benchmark does.

    Cells with fewer than 10 genes are left out, then genes expressed in fewer than 10 of the others; counts are scaled
    to 10,000 per cell over the genes that are left, ``log(1 + x)`` is taken, and up to 2,000 highly variable genes are
    chosen (scanpy's flavour "seurat"; all that are left where there are no more).

    Returns
    -------
    ``gene_ids`` of the chosen genes and their ``highest`` value in a cell, shape ``(n_chosen,)``; ``left_out``, the ids
    of the genes expressed in too few cells, which do not count towards the 10,000.

    Raises
    ------
    DatasetError
        If fewer than two cells express 10 genes that are in turn expressed by 10 cells.

    References
    ----------
    Kedzierska et al. 2025, doi:10.1186/s13059-025-03574-x; Satija et al. 2015, doi:10.1038/nbt.3192.
    """
    counts = dataset.counts()
    kept = np.diff(counts.matrix.indptr) >= MIN_GENES
    matrix = counts.matrix[kept].astype(np.float64)
    common = np.bincount(matrix.indices, minlength=dataset.n_genes) >= MIN_CELLS
    totals = counts.total_counts[kept] - np.asarray(matrix[:, ~common].sum(axis=1)).ravel()
    matrix = matrix[:, common]
    require_two_cells(
        dataset, int((np.diff(matrix.indptr) > 0).sum()),
        needed_by=f"Variable genes need {MIN_GENES} genes per cell, {MIN_CELLS} cells per gene, and",
    )  # fmt: skip
    values = log_normalised(matrix, totals)
    chosen = variable_genes(values)
    gene_ids = np.array(counts.gene_ids)
    return {
        "gene_ids": gene_ids[common][chosen],
        "highest": values[:, chosen].max(axis=0).toarray().ravel(),
        "left_out": gene_ids[~common],
    }


class HvgModel(LogValues):
    """Chosen genes; the log value of each is one number of the vector."""

    def __init__(self, fitted: Arrays) -> None:
        super().__init__(fitted["gene_ids"], fitted["highest"])
        self._left_out = {str(gene_id): 0 for gene_id in fitted["left_out"]}

    def encode(self, counts: CellCounts) -> Tokens:
        """See `CellModel.encode`; the genes that were left out of the fit do not count towards a cell's total."""
        rare = counts_in_vocabulary(counts, self._left_out, size=1).toarray().ravel()
        return self._tokens(counts, counts.total_counts - rare)

    def embed(self, tokens: Tokens, options: EmbedOptions) -> CellStates:
        """See `CellModel.embed`; there is nothing to choose."""
        points = self.values(tokens).toarray().astype(np.float32)
        points[tokens.lengths == 0] = np.nan
        return CellStates(points)


def _load(folder: Path | None, device: str, fitted: Arrays) -> HvgModel:
    if "left_out" not in fitted:
        msg = "Variable genes are chosen for each dataset before it is embedded; none were given. Use EmbedCells."
        raise ModelError(msg, "not-fitted")
    return HvgModel(fitted)


SPECS = (
    ModelSpec(
        key="hvg",
        title="Highly variable genes",
        revision="1",
        summary=(
            f"The {N_VARIABLE_GENES:,} genes that vary most among the cells of this dataset, each as one number, its "
            "log value: nothing is learned and nothing is compressed."
        ),
        organisms=("human", "mouse", "unknown"),
        vocabulary=f"the {N_VARIABLE_GENES:,} most variable genes among those that at least {MIN_CELLS} cells express",
        embedding_size=N_VARIABLE_GENES,
        max_tokens=None,
        n_parameters=None,
        licence="BSD-3-Clause",
        citation="Kedzierska et al. 2025, Zero-shot evaluation reveals limitations of single-cell foundation models",
        doi="10.1186/s13059-025-03574-x",
        training_data="none; the genes are chosen in the dataset, with the parameters of the published benchmark",
        known_limits=(
            "The noise of every single gene stands in it: with 2,000 numbers per cell, distances are flatter than in "
            "50 principal components.",
            "Batches differ in it as much as the counts do.",
            "Takes 8 kB per cell: 800 MB for 100,000 cells, 8 GB for a million.",
            "Knows nothing beyond this dataset; vectors of two datasets cannot be compared.",
            "Deleting a gene sets its one number to zero and changes no other: the effect is the gene's own value.",
            f"Cells with fewer than {MIN_GENES} genes take no part in choosing the genes, but get a vector where they "
            "express one of them; the published benchmark leaves such cells out.",
        ),
        load=_load,
        fit=fit_hvg,
        gene_edits=("delete", "overexpress", "inhibit", "activate", "scale"),
        poolings=("values",),
        is_baseline=True,
    ),
)
