"""Scores of genes between groups of cells, by scanpy; knows matrices and labels, no dataset."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

Test = Literal["wilcoxon", "t-test"]
REST = "rest"


@dataclass(frozen=True)
class Comparison:
    """Which cells are compared with which.

    Attributes
    ----------
    labels
        Name of each cell's group, empty where in none, shape ``(n_cells,)``.
    groups
        Names of the groups to test.
    reference
        ``"rest"``, or the name of the group that all are compared with.
    """

    labels: NDArray[np.str_]
    groups: tuple[str, ...]
    reference: str

    def inside(self) -> NDArray[np.bool_]:
        """Return which cells are in each group, shape ``(n_groups, n_cells)``."""
        return np.array([self.labels == group for group in self.groups])

    def outside(self) -> NDArray[np.bool_]:
        """Return which cells each group is compared with, shape ``(n_groups, n_cells)``."""
        if self.reference == REST:
            return ~self.inside()
        return np.repeat((self.labels == self.reference)[None], len(self.groups), axis=0)


def rank_scores(
    expression: csc_matrix, comparison: Comparison, method: Test
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores and two-sided p-values of scanpy, each of shape ``(n_groups, n_genes)``.

    scanpy would compute the correction for ties anew for each group, by sorting; it is the same for all groups that
    are compared with the rest, so it is applied here to scanpy's uncorrected scores.
    """
    from scipy.stats import norm

    scores, p_values = _rank_with_scanpy(expression, comparison, method)
    if method == "t-test":
        return scores, p_values
    if comparison.reference == REST:
        factor = ties_factor(expression)[None]
    else:
        both = comparison.inside() | comparison.outside()
        factor = np.array([ties_factor(expression[np.flatnonzero(cells)]) for cells in both])
    scores = np.divide(scores, np.sqrt(factor), out=np.zeros_like(scores), where=factor > 0)
    return scores, 2 * norm.sf(np.abs(scores))


def ties_factor(values: csc_matrix) -> NDArray[np.float64]:
    """Return by how much ties shrink the variance of a rank sum, for each column of a non-negative matrix.

    Equal values share a rank: ``1 - sum(t**3 - t) / (n**3 - n)`` over the sizes ``t`` of the ties; the zeros are one.

    Returns
    -------
    Shape ``(n_columns,)``; 0 for a constant column.

    References
    ----------
    Hollander, Wolfe, Chicken 2014, Nonparametric Statistical Methods, Section 4.1.
    """
    n_rows, n_columns = values.shape
    column = np.repeat(np.arange(n_columns), np.diff(values.indptr))
    order = np.lexsort((values.data, column))
    column, data = column[order], values.data[order]
    is_new = np.ones(len(data), dtype=bool)
    is_new[1:] = (column[1:] != column[:-1]) | (data[1:] != data[:-1])
    starts = np.flatnonzero(is_new)
    sizes = np.diff(np.append(starts, len(data))).astype(np.float64)
    ties = np.bincount(column[starts], sizes**3 - sizes, n_columns)
    zeros = n_rows - np.diff(values.indptr).astype(np.float64)
    return np.asarray(1 - (ties + zeros**3 - zeros) / (float(n_rows) ** 3 - n_rows))


def _rank_with_scanpy(
    expression: csc_matrix, comparison: Comparison, method: Test
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Run scanpy on a dense matrix, which costs half of what it takes over a sparse one of the size of a chunk."""
    names = [str(position) for position in range(expression.shape[1])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scanpy and what it imports, on pandas and on threads
        import anndata
        import scanpy

        cells = pd.DataFrame({"group": pd.Categorical(_coded(comparison))})
        cells.index = cells.index.astype(str)
        data = anndata.AnnData(expression.toarray(), obs=cells, var=pd.DataFrame(index=pd.Index(names)))
        data.uns["log1p"] = {"base": None}
        reference = REST if comparison.reference == REST else "reference"
        coded_groups = [f"group {position}" for position in range(len(comparison.groups))]
        scanpy.tl.rank_genes_groups(
            data, "group", groups=coded_groups, reference=reference, method=method, use_raw=False
        )
    found = data.uns["rank_genes_groups"]
    shape = (len(coded_groups), expression.shape[1])
    scores, p_values = np.zeros(shape), np.ones(shape)
    for row, group in enumerate(coded_groups):
        order = found["names"][group].astype(np.int64)
        scores[row, order] = found["scores"][group]
        p_values[row, order] = found["pvals"][group]
    return scores, p_values


def _coded(comparison: Comparison) -> NDArray[np.str_]:
    """Name the groups anew, so that no name of a user's means something to scanpy."""
    codes = np.full(len(comparison.labels), "other", dtype=object)
    codes[comparison.labels == comparison.reference] = "reference"
    for position, group in enumerate(comparison.groups):
        codes[comparison.labels == group] = f"group {position}"
    return codes.astype(np.str_)
