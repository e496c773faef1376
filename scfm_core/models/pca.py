"""Principal components of the dataset itself: the baseline that stands beside every model."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts, Dataset
from scfm_core.errors import DatasetError, ModelError
from scfm_core.model import Arrays, CellStates, EmbedOptions, ModelSpec
from scfm_core.tokens import Activate, Delete, GeneEdit, Inhibit, Overexpress, Scale, Tokens, counts_in_vocabulary

N_VARIABLE_GENES = 2000
N_COMPONENTS = 50
COUNTS_PER_CELL = 10_000.0

_Scaling = Delete | Inhibit | Activate | Scale


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
    if matrix.shape[0] < 2:
        msg = (
            f"Principal components need at least two cells with counts, found {matrix.shape[0]} "
            f"among {dataset.n_cells:,} cells. Choose another dataset or loosen its filter."
        )
        raise DatasetError(msg, "too-few-cells")
    chosen = _variable_genes(matrix)
    matrix = matrix[:, chosen]
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    components = _leading_directions(matrix, mean, min(N_COMPONENTS, matrix.shape[0] - 1, len(chosen)))
    largest = np.abs(components).argmax(axis=0)
    components = components * np.where(components[largest, np.arange(components.shape[1])] < 0, -1.0, 1.0)
    highest = matrix.max(axis=0).toarray().ravel()
    gene_ids = np.array(counts.gene_ids)[chosen]
    return {"gene_ids": gene_ids, "mean": mean, "highest": highest, "components": components}


def log_normalised(matrix: csr_matrix, total_counts: NDArray[np.float64]) -> csr_matrix:
    """Return ``log(1 + counts per 10,000)``, same shape, float64.

    Examples
    --------
    >>> log_normalised(csr_matrix([[1, 3]]), np.array([4.0])).toarray().round(3)
    array([[7.824, 8.923]])
    """
    totals = np.repeat(total_counts, np.diff(matrix.indptr))
    values = np.log1p(matrix.data / totals * COUNTS_PER_CELL)
    return csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)


class PcaModel:
    """Fitted components; a cell's tokens are its chosen genes with their log-normalised values.

    A cell that expresses none of the chosen genes has no tokens, hence no vector, like a cell without counts. An edit
    changes one gene's counts; the other values stay, as the cell's total is held fixed. To delete a gene is to set it
    to zero, to overexpress it is to give it the highest value that a cell of the dataset has. As there are no ranks to
    move in, to inhibit a gene halves its counts for each quartile, and to activate it doubles them.
    """

    def __init__(self, fitted: Arrays) -> None:
        self.gene_ids = tuple(str(gene_id) for gene_id in fitted["gene_ids"])
        self._position = {gene_id: position for position, gene_id in enumerate(self.gene_ids)}
        self._components = np.asarray(fitted["components"], dtype=np.float64)
        self._highest = np.asarray(fitted["highest"], dtype=np.float64)
        self._origin = np.asarray(fitted["mean"], dtype=np.float64) @ self._components

    def encode(self, counts: CellCounts) -> Tokens:
        """See `CellModel.encode`."""
        matrix = counts_in_vocabulary(counts, self._position, size=len(self.gene_ids))
        matrix = log_normalised(matrix, counts.total_counts)
        return Tokens(
            matrix.indices.astype(np.int32), matrix.data.astype(np.float32), matrix.indptr.astype(np.int64)
        )

    def edit(self, tokens: Tokens, edits: Sequence[GeneEdit]) -> Tokens:
        """See `CellModel.edit`; each edit applies to what the one before left."""
        for edit in edits:
            gene = self._position.get(edit.gene_id)
            if gene is not None:
                tokens = self._raised(tokens, gene) if isinstance(edit, Overexpress) else _scaled(tokens, gene, edit)
        return tokens

    def _raised(self, tokens: Tokens, gene: int) -> Tokens:
        """Give a gene its highest value in every cell of which something is known."""
        others = tokens.keep(tokens.genes != gene)
        cells = np.flatnonzero(tokens.lengths)
        genes = np.concatenate([others.genes, np.full(len(cells), gene, dtype=np.int32)])
        values = np.concatenate([others.values, np.full(len(cells), self._highest[gene], dtype=np.float32)])
        cell = np.concatenate([others.cell_of_token(), cells])
        order = np.lexsort((genes, cell))
        offsets = others.offsets + np.concatenate([[0], np.cumsum(tokens.lengths > 0)])
        return Tokens(genes[order], values[order], offsets)

    def embed(self, tokens: Tokens, options: EmbedOptions) -> CellStates:
        """See `CellModel.embed`; there is nothing to choose."""
        shape = (tokens.n_cells, len(self.gene_ids))
        values = csr_matrix((tokens.values.astype(np.float64), tokens.genes, tokens.offsets), shape=shape)
        points = (values @ self._components - self._origin).astype(np.float32)
        points[tokens.lengths == 0] = np.nan
        return CellStates(points)


def _scaled(tokens: Tokens, gene: int, edit: _Scaling) -> Tokens:
    """Multiply the counts of a gene where a cell holds it."""
    factor = _factor(edit)
    mine = tokens.genes == gene
    if factor == 0:
        return tokens.keep(~mine)
    values = tokens.values.copy()
    values[mine] = np.log1p(factor * np.expm1(values[mine]))
    return Tokens(tokens.genes, values, tokens.offsets)


def _factor(edit: _Scaling) -> float:
    match edit:
        case Delete():
            return 0.0
        case Inhibit():
            return float(0.5**edit.quartiles)
        case Activate():
            return float(2.0**edit.quartiles)
        case Scale():
            return edit.factor


def _variable_genes(matrix: csr_matrix) -> NDArray[np.int64]:
    """Return the columns of the highly variable genes of log-normalised values, ascending."""
    import scanpy as sc
    from anndata import AnnData

    expressed = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    if len(expressed) <= N_VARIABLE_GENES:
        return expressed
    data = AnnData(matrix[:, expressed])
    data.uns["log1p"] = {"base": None}
    with warnings.catch_warnings():  # scanpy tells of its own future, and of bins with a single gene
        warnings.simplefilter("ignore")
        table = sc.pp.highly_variable_genes(data, n_top_genes=N_VARIABLE_GENES, flavor="seurat", inplace=False)
    score = np.nan_to_num(table["dispersions_norm"].to_numpy(dtype=np.float64), nan=-np.inf)
    return np.sort(expressed[np.argsort(-score, kind="stable")[:N_VARIABLE_GENES]])


def _leading_directions(matrix: csr_matrix, mean: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the ``n`` directions of largest variance of the centred rows, shape ``(n_columns, n)``, largest first."""
    from scipy.linalg import eigh, svd

    n_rows, n_columns = matrix.shape
    if 4 * n_rows < n_columns:  # then the rows themselves are the smaller problem
        return np.asarray(svd(matrix.toarray() - mean, full_matrices=False)[2][:n].T)
    gram = (matrix.T @ matrix).toarray() / n_rows - np.outer(mean, mean)
    vectors = eigh(gram, subset_by_index=(n_columns - n, n_columns - 1))[1]  # eigenvalues ascend
    return np.asarray(vectors[:, ::-1])


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
