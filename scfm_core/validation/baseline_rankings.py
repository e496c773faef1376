"""Rankings of downstream genes that need no foundation model: gene identity, co-expression, principal components."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

from scfm_core.analyses.read_expression import normalised_genes
from scfm_core.dataset import Dataset

_GENES_AT_ONCE = 2000
_PCA_GENES, _PCA_COMPONENTS, _GENES_PER_COMPONENT = 2000, 50, 5


def gene_statistics(dataset: Dataset, cells: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return what is known of each gene alone, over some cells.

    Returns
    -------
    ``mean`` and ``sd`` of ln(1 + counts per 10,000), and ``detection``, the share of the cells that hold the gene, each
    of shape ``(n_genes,)``.
    """
    parts = [_log_values(dataset, cells, genes) for genes in _spans(dataset.n_genes)]
    mean = np.concatenate([np.asarray(part.mean(axis=0)).ravel() for part in parts])
    square = np.concatenate([np.asarray(part.multiply(part).mean(axis=0)).ravel() for part in parts])
    detection = np.concatenate([np.diff(part.indptr) / len(cells) for part in parts])
    return {"mean": mean, "sd": np.sqrt(np.maximum(square - mean**2, 0)), "detection": detection}


def coexpression(dataset: Dataset, cells: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the absolute Pearson correlation of each gene with each target over some cells, of log-normalised values.

    Returns
    -------
    Shape ``(n_targets, n_genes)``; 0 for a gene, or a target, that is the same in all cells.
    """
    own = _log_values(dataset, cells, targets).toarray()
    own = own - own.mean(axis=0)
    spread = np.sqrt((own**2).sum(axis=0))
    own = np.divide(own, spread, out=np.zeros_like(own), where=spread > 0)
    parts = []
    for genes in _spans(dataset.n_genes):
        values = _log_values(dataset, cells, genes)
        mean = np.asarray(values.mean(axis=0)).ravel()
        variance = np.asarray(values.multiply(values).sum(axis=0)).ravel() - len(cells) * mean**2
        scale = np.sqrt(np.maximum(variance, 0))
        product = np.asarray((values.T @ own).T)  # the mean of `own` is 0, so that of `values` falls out
        parts.append(np.divide(product, scale, out=np.zeros_like(product), where=scale > 1e-9))
    return np.asarray(np.abs(np.concatenate(parts, axis=1)))


def pca_change(dataset: Dataset, cells: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how far the value of each gene, rebuilt from components, moves when a target's value is set to 0.

    The components are the 50 directions of largest variance of some cells, over their 2,000 most variable genes and the
    targets; at most one for five genes. To take a value away moves a cell along the target's loadings, and the rebuilt
    value of another gene by the product of the loadings of both: the order of the genes is the same in every cell that
    holds the target.

    Returns
    -------
    Shape ``(n_targets, n_genes)``, per unit of the target's value; 0 for a gene that is not among those taken.
    """
    from scipy.linalg import eigh

    parts = [_log_values(dataset, cells, genes) for genes in _spans(dataset.n_genes)]
    square = np.concatenate([np.asarray(part.multiply(part).mean(axis=0)).ravel() for part in parts])
    mean = np.concatenate([np.asarray(part.mean(axis=0)).ravel() for part in parts])
    taken = np.union1d(np.argsort(mean**2 - square, kind="stable")[:_PCA_GENES], targets)
    values = _log_values(dataset, cells, taken)
    covariance = (values.T @ values).toarray() / len(cells) - np.outer(mean[taken], mean[taken])
    n_components = max(1, min(_PCA_COMPONENTS, len(taken) // _GENES_PER_COMPONENT))  # more would rebuild the noise
    first = len(taken) - n_components
    components = eigh(covariance, subset_by_index=(first, len(taken) - 1))[1]
    loadings = np.zeros((dataset.n_genes, components.shape[1]))
    loadings[taken] = components
    return np.asarray(np.abs(loadings[targets] @ loadings.T))


def gene_identity(
    statistics: dict[str, NDArray[np.float64]], changes: NDArray[np.float64], *, leave_out: int
) -> NDArray[np.float64]:
    """Predict the change of each gene from its own mean expression and detection, whichever target is knocked out.

    How change depends on the two is learned from the other targets: least squares on the ranks of both and their
    squares. With a single target there is nothing to learn from, and genes are ordered by their mean expression.

    Parameters
    ----------
    changes
        Measured absolute log2 fold changes, shape ``(n_targets, n_genes)``, NaN where not measured.
    leave_out
        Number of the target for which is predicted; its own changes are not read.

    Returns
    -------
    Shape ``(n_genes,)``.
    """
    from scipy.stats import rankdata

    n_genes = len(statistics["mean"])
    ranks = [rankdata(statistics[name]) / n_genes for name in ("mean", "detection")]
    design = np.stack([np.ones(n_genes), *ranks, *(rank**2 for rank in ranks)], axis=1)
    others = [row for number, row in enumerate(changes) if number != leave_out]
    measured = [(design[~np.isnan(row)], row[~np.isnan(row)]) for row in others]
    usable = [(x, rankdata(y) / len(y)) for x, y in measured if len(y) > design.shape[1]]
    if not usable:
        return np.asarray(ranks[0])
    x, y = (np.concatenate(parts) for parts in zip(*usable, strict=True))
    return np.asarray(design @ np.linalg.lstsq(x, y, rcond=None)[0])


def _log_values(dataset: Dataset, cells: NDArray[np.int64], genes: NDArray[np.int64]) -> csc_matrix:
    return csc_matrix(csr_matrix(normalised_genes(dataset, genes))[cells].log1p())


def _spans(n_genes: int) -> list[NDArray[np.int64]]:
    return [np.arange(start, min(start + _GENES_AT_ONCE, n_genes)) for start in range(0, n_genes, _GENES_AT_ONCE)]
