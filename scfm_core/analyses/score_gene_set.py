"""How strongly does each cell express a set of genes, above other genes of like expression?"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.mean_expression import MeasureMeanExpression, bins_of_like_expression
from scfm_core.analyses.read_expression import gene_positions, scale_to_depth
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

_COUNTS_PER_CHUNK = 10_000_000  # not zero; about a second
_LEAST_GENES_OF_BIN = 10
UNIT = "mean ln(1 + counts per 10,000) above like genes"


@dataclass(frozen=True)
class SetScores:
    """One score per cell, in the order of the dataset's cells.

    Attributes
    ----------
    scores
        Mean ln(1 + counts per 10,000) over the genes of the set less the mean over the reference genes, shape
        ``(n_cells,)``; NaN for a cell without counts. Above 0: more than genes of like expression.
    share_held
        Share of the set's genes that the cell has a count of, 0 to 1, shape ``(n_cells,)``.
    gene_ids
        The genes of the set.
    reference_ids
        The genes that they are compared with.
    """

    scores: NDArray[np.float32]
    share_held: NDArray[np.float32]
    gene_ids: tuple[str, ...]
    reference_ids: tuple[str, ...]


@dataclass(frozen=True)
class ScoreGeneSet(Request[SetScores]):
    """Score every cell by a set of genes, as `scanpy.tl.score_genes` defines it.

    The genes of the dataset are cut into bins by their mean expression. From each bin that holds a gene of the set,
    ``reference_size`` genes are drawn by chance; all that are drawn and not in the set are the reference. With equal
    means the same genes are drawn as scanpy draws. Of a dataset of more than 100,000 cells the means for the bins are
    taken over 100,000 cells; the scores are those of all cells.

    Parameters
    ----------
    gene_ids
        Ids of the dataset's genes, each once.
    reference_size
        Genes drawn per bin.
    n_bins
        Bins of like expression; fewer where a bin would hold fewer than 10 genes.

    Raises
    ------
    RequestError
        If there is no gene, one is not in the dataset or stands twice, or no gene is left as a reference.

    References
    ----------
    Tirosh et al. 2016, doi:10.1126/science.aad0501; Satija et al. 2015, doi:10.1038/nbt.3192.
    """

    dataset: Dataset
    gene_ids: tuple[str, ...]
    reference_size: int = 50
    n_bins: int = 25
    seed: int = 0

    result_type: ClassVar[type] = SetScores

    def __post_init__(self) -> None:
        if not self.gene_ids or len(set(self.gene_ids)) < len(self.gene_ids):
            found = f"{len(self.gene_ids):,} of which {len(set(self.gene_ids)):,} differ"
            msg = f"Expected genes, each once, found {found}. Name at least one gene, and none twice."
            raise RequestError(msg, "no-genes")
        gene_positions(self.dataset, self.gene_ids)
        if self.reference_size < 1 or self.n_bins < 2:
            msg = (
                f"Expected at least 1 reference gene and 2 bins, found {self.reference_size} and {self.n_bins}. "
                "Usual are 50 and 25."
            )
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> SetScores:
        """See `Request.run`."""
        mean = context.compute(MeasureMeanExpression(self.dataset))
        genes = np.sort(gene_positions(self.dataset, self.gene_ids))
        reference = draw_reference(np.asarray(mean.means), genes, self)
        weights = np.zeros(self.dataset.n_genes)
        weights[genes], weights[reference] = 1 / len(genes), -1 / len(reference)
        is_set = np.zeros(self.dataset.n_genes, dtype=bool)
        is_set[genes] = True
        read = np.flatnonzero(weights)
        spans = spans_of_counts(np.asarray(mean.share_held)[read] * self.dataset.n_cells)
        items = [read[start:stop] for start, stop in spans]
        step, sizes = f"Scoring {len(genes):,} genes", [len(item) for item in items]
        scores, held = np.zeros(self.dataset.n_cells), np.zeros(self.dataset.n_cells)
        add_up = partial(_weighted_sums, self.dataset, weights, is_set)
        for part in context.map(add_up, items, step=step, sizes=sizes, unit="genes"):
            scores, held = scores + part["scores"], held + part["held"]
        scores[self.dataset.total_counts <= 0] = np.nan
        names = self.dataset.gene_ids
        return SetScores(
            scores=scores.astype(np.float32),
            share_held=(held / len(genes)).astype(np.float32),
            gene_ids=tuple(names[gene] for gene in genes),
            reference_ids=tuple(names[gene] for gene in reference),
        )


def draw_reference(means: NDArray[np.float64], genes: NDArray[np.int64], asked: ScoreGeneSet) -> NDArray[np.int64]:
    """Return the positions of the reference genes, ascending, as `scanpy.tl.score_genes` draws them.

    Parameters
    ----------
    means
        Mean expression of all genes, shape ``(n_genes,)``.
    genes
        Positions of the set's genes.

    Raises
    ------
    RequestError
        If no gene outside of the set is drawn (code "no-reference").
    """
    random = np.random.RandomState(asked.seed)  # scanpy's generator
    bins = bins_of_like_expression(means, max(round(len(means) / (asked.n_bins - 1)), _LEAST_GENES_OF_BIN))
    drawn: set[int] = set()
    for number in np.unique(bins[genes]):
        alike = np.flatnonzero(bins == number)
        if asked.reference_size < len(alike):
            alike = alike[random.choice(len(alike), size=asked.reference_size, replace=False)]
        drawn.update(alike.tolist())
    reference = np.setdiff1d(np.array(sorted(drawn), dtype=np.int64), genes)
    if not len(reference):
        msg = (
            f"A score compares the {len(genes):,} genes of the set with other genes of like expression, and found none "
            f"among the {len(means):,} genes of this dataset. Use a smaller set, or fewer bins."
        )
        raise RequestError(msg, "no-reference")
    return reference


def spans_of_counts(n_counts: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Cut genes into chunks that hold about as many counts; first and behind the last place of each.

    Parameters
    ----------
    n_counts
        Cells that hold each gene, about, shape ``(n_genes,)``.
    """
    number = (np.cumsum(n_counts) // _COUNTS_PER_CHUNK).astype(np.int64)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(n_counts)], strict=True))


def log_genes(
    dataset: Dataset, genes: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.integer[Any]], NDArray[np.float32]]]:
    """Yield for each gene the cells that hold it and their ln(1 + counts per 10,000)."""
    matrix = dataset.counts_of_genes(genes)
    scale = scale_to_depth(dataset).astype(np.float32)
    for start, stop in pairwise(matrix.indptr):
        cells = matrix.indices[start:stop]
        # ln in single precision is 20 times as fast as log1p, and a count is never so small that it matters
        yield cells, np.log(1 + matrix.data[start:stop].astype(np.float32) * scale[cells])


def _weighted_sums(
    dataset: Dataset, weights: NDArray[np.float64], is_set: NDArray[np.bool_], genes: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return per cell the weighted sum of log expression over some genes, and how many of the set it holds of them."""
    scores, held = np.zeros(dataset.n_cells), np.zeros(dataset.n_cells)
    for gene, (cells, logs) in zip(genes, log_genes(dataset, genes), strict=True):
        scores[cells] += weights[gene] * logs
        held[cells] += is_set[gene]
    return {"scores": scores, "held": held}
