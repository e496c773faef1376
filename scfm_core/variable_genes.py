"""Log-normalised values, the genes that vary most among the cells, and the directions in which the cells differ most.

What the models that are fitted to a dataset share; knows no model.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

from scfm_core.dataset import Dataset
from scfm_core.errors import DatasetError

N_VARIABLE_GENES = 2000
COUNTS_PER_CELL = 10_000.0


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


@dataclass(frozen=True)
class VariableGenes:
    """The genes of a dataset that vary most, with their values.

    Attributes
    ----------
    genes
        Positions in the dataset's genes, ascending, shape ``(n_chosen,)``.
    cells
        Positions of the cells that express one of them, ascending, shape ``(n_expressing,)``.
    values
        Log-normalised, shape ``(n_expressing, n_chosen)``, float64.
    """

    genes: NDArray[np.int64]
    cells: NDArray[np.int64]
    values: csr_matrix


def find_variable_genes(dataset: Dataset, *, needed_by: str) -> VariableGenes:
    """Return the genes that vary most, up to 2,000, and the values of the cells that express one of them.

    The same genes and values as PCA takes: counts scaled to 10,000 per cell, ``log(1 + x)``, highly variable genes.

    Raises
    ------
    DatasetError
        If fewer than two cells have counts (code "too-few-cells"); ``needed_by`` is who needs them, in the message.
    """
    counts = dataset.counts()
    matrix = log_normalised(counts.matrix, counts.total_counts)
    rows = np.flatnonzero(np.diff(matrix.indptr))
    require_two_cells(dataset, len(rows), needed_by=needed_by)
    matrix = matrix[rows]
    chosen = variable_genes(matrix)
    values = matrix[:, chosen]
    some = np.flatnonzero(np.diff(values.indptr))
    return VariableGenes(chosen, rows[some], values[some])


def require_two_cells(dataset: Dataset, n_with_counts: int, *, needed_by: str) -> None:
    """Raise a `DatasetError` where fewer than two cells have counts."""
    if n_with_counts < 2:
        msg = (
            f"{needed_by} at least two cells with counts, found {n_with_counts} "
            f"among {dataset.n_cells:,} cells. Choose another dataset or loosen its filter."
        )
        raise DatasetError(msg, "too-few-cells")


def principal_axes(matrix: Any, mean: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the directions of largest variance, exact and with a fixed sign: the largest loading is positive.

    Parameters
    ----------
    matrix, mean
        Rows, sparse or dense, shape ``(n_rows, n_columns)``, and the mean of each column.
    n
        Number of directions.

    Returns
    -------
    Shape ``(n_columns, n)``, largest variance first.
    """
    axes = leading_directions(matrix, mean, n)
    largest = np.abs(axes).argmax(axis=0)
    return np.asarray(axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0))


def variable_genes(matrix: csr_matrix) -> NDArray[np.int64]:
    """Return the columns of the highly variable genes of log-normalised values, ascending; all expressed if few."""
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


def leading_directions(matrix: Any, mean: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the ``n`` directions of largest variance of the centred rows, shape ``(n_columns, n)``, largest first."""
    from scipy.linalg import eigh, svd

    n_rows, n_columns = matrix.shape
    if 4 * n_rows < n_columns:  # then the rows themselves are the smaller problem
        return np.asarray(svd(_dense(matrix) - mean, full_matrices=False)[2][:n].T)
    gram = _dense(matrix.T @ matrix) / n_rows - np.outer(mean, mean)
    vectors = eigh(gram, subset_by_index=(n_columns - n, n_columns - 1))[1]  # eigenvalues ascend
    return np.asarray(vectors[:, ::-1])


def _dense(matrix: Any) -> NDArray[np.float64]:
    return np.asarray(matrix.toarray() if issparse(matrix) else matrix)
