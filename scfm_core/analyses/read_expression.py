"""How strongly does each cell express a gene, on the scale on which figures compare cells?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

COUNTS_PER_CELL = 10_000


@dataclass(frozen=True)
class Expression:
    """Expression of some genes in all cells, in the order of the dataset's cells.

    Attributes
    ----------
    values
        ln(1 + counts per 10,000), shape ``(n_cells, n_chosen_genes)``, float32.
    """

    values: NDArray[np.float32]


@dataclass(frozen=True)
class ReadExpression(Request[Expression]):
    """Read the expression of some genes, given by their ids, in all cells.

    Raises
    ------
    RequestError
        If a gene is not in the dataset.
    """

    dataset: Dataset
    gene_ids: tuple[str, ...]

    result_type: ClassVar[type] = Expression

    def __post_init__(self) -> None:
        gene_positions(self.dataset, self.gene_ids)

    def run(self, context: Context) -> Expression:
        """See `Request.run`."""
        step = f"Reading {len(self.gene_ids):,} genes"
        return Expression(context.call(partial(_dense_expression, self.dataset, self.gene_ids), step=step))


def log_expression(dataset: Dataset, gene_id: str) -> NDArray[np.float32]:
    """Return ln(1 + counts per 10,000) of one gene in all cells, shape ``(n_cells,)``; at once, one column is read.

    The total of a cell is over all measured genes, so a dataset that was cut to few genes keeps its scale.
    """
    counts = dataset.expression(gene_id)
    return np.log1p(counts * scale_to_depth(dataset)).astype(np.float32)


def normalised_genes(dataset: Dataset, positions: NDArray[np.integer[Any]]) -> csc_matrix:
    """Return counts per 10,000 of the genes at some positions, shape ``(n_cells, n_chosen)``, float64."""
    matrix = dataset.counts_of_genes(positions).astype(np.float64)
    matrix.data *= scale_to_depth(dataset)[matrix.indices]
    return matrix


def scale_to_depth(dataset: Dataset) -> NDArray[np.float64]:
    """Return the factor that makes a cell's counts counts per 10,000, shape ``(n_cells,)``; 0 for an empty cell."""
    totals = dataset.total_counts
    return np.divide(COUNTS_PER_CELL, totals, out=np.zeros(len(totals)), where=totals > 0)


def gene_positions(dataset: Dataset, gene_ids: Sequence[str]) -> NDArray[np.int64]:
    """Return where genes stand in a dataset; raise a `RequestError` that names all that are missing."""
    known = {gene_id: position for position, gene_id in enumerate(dataset.gene_ids)}
    missing = [gene_id for gene_id in gene_ids if gene_id not in known]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        msg = (
            f"{', '.join(missing[:5])}{more}: not among the {dataset.n_genes:,} genes of this dataset. "
            "Give genes by an id of the dataset."
        )
        raise RequestError(msg, "unknown-gene")
    return np.array([known[gene_id] for gene_id in gene_ids], dtype=np.int64)


def _dense_expression(dataset: Dataset, gene_ids: tuple[str, ...]) -> NDArray[np.float32]:
    normalised = normalised_genes(dataset, gene_positions(dataset, gene_ids))
    values: NDArray[np.float32] = normalised.log1p().toarray().astype(np.float32)
    return values
