"""How strongly is each gene expressed on average? What genes of like expression are is read from it."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import chunks_of
from scfm_core.analyses.read_expression import COUNTS_PER_CELL
from scfm_core.dataset import Dataset
from scfm_core.request import Context, Request

MOST_CELLS = 100_000
_CELLS_PER_CHUNK = 8192


@dataclass(frozen=True)
class MeanExpression:
    """The mean of each gene, in the order of the dataset's genes.

    Attributes
    ----------
    means
        ln(1 + counts per 10,000), mean over the cells read, shape ``(n_genes,)``.
    share_held
        Share of these cells with a count of the gene, shape ``(n_genes,)``.
    n_cells
        Cells read: all, or 100,000 drawn by chance of more.
    """

    means: NDArray[np.float64]
    share_held: NDArray[np.float64]
    n_cells: int


@dataclass(frozen=True)
class MeasureMeanExpression(Request[MeanExpression]):
    """Measure the mean log expression of every gene, over at most 100,000 cells, always the same ones."""

    dataset: Dataset

    result_type: ClassVar[type] = MeanExpression

    def run(self, context: Context) -> MeanExpression:
        """See `Request.run`."""
        cells = _cells_read(self.dataset)
        spans = chunks_of(len(cells), _CELLS_PER_CHUNK)
        items = [cells[start:stop] for start, stop in spans]
        sizes = [len(item) for item in items]
        sums, held = np.zeros(self.dataset.n_genes), np.zeros(self.dataset.n_genes)
        add_up = partial(_sums_of_cells, self.dataset)
        for part in context.map(add_up, items, step="Measuring the mean of each gene", sizes=sizes):
            sums, held = sums + part["sums"], held + part["held"]
        if len(cells) < self.dataset.n_cells:
            context.log(f"Means are taken over {len(cells):,} of {self.dataset.n_cells:,} cells, drawn by chance")
        return MeanExpression(sums / len(cells), held / len(cells), len(cells))


def bins_of_like_expression(means: NDArray[np.float64], genes_per_bin: int) -> NDArray[np.int64]:
    """Return the bin of each gene when genes are cut by the rank of their means, shape ``(n_genes,)``.

    Genes of equal means are in one bin, as in `scanpy.tl.score_genes`.

    Examples
    --------
    >>> bins_of_like_expression(np.array([0.1, 0.9, 0.2, 0.8, 0.0, 0.0]), 2)
    array([1, 3, 2, 2, 0, 0])
    """
    from scipy.stats import rankdata

    return np.asarray(rankdata(means, method="min") // genes_per_bin, dtype=np.int64)


def _cells_read(dataset: Dataset) -> NDArray[np.int64]:
    if dataset.n_cells <= MOST_CELLS:
        return np.arange(dataset.n_cells)
    return np.sort(np.random.default_rng(0).choice(dataset.n_cells, MOST_CELLS, replace=False))


def _sums_of_cells(dataset: Dataset, cells: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    counts = dataset.counts(cells)
    totals = counts.total_counts
    scale = np.divide(COUNTS_PER_CELL, totals, out=np.zeros(len(totals)), where=totals > 0)
    matrix = counts.matrix
    scaled = matrix.data.astype(np.float32) * np.repeat(scale.astype(np.float32), np.diff(matrix.indptr))
    logs = np.log(1 + scaled)  # 20 times as fast as log1p, and a count is never so small that it matters
    return {
        "sums": np.bincount(matrix.indices, weights=logs, minlength=dataset.n_genes).astype(np.float64),
        "held": np.bincount(matrix.indices, minlength=dataset.n_genes).astype(np.float64),
    }
