"""Cells as log-normalised values of some genes: what models that read values, not ranks, share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts
from scfm_core.tokens import Activate, Delete, GeneEdit, Inhibit, Overexpress, Scale, Tokens, counts_in_vocabulary
from scfm_core.variable_genes import log_normalised

_Scaling = Delete | Inhibit | Activate | Scale


class LogValues:
    """A cell's tokens are its genes among ``gene_ids`` with their log-normalised values.

    A cell that expresses none of them has no tokens, hence no vector, like a cell without counts. An edit changes one
    gene's counts; the other values stay, as the cell's total is held fixed. To delete a gene is to set it to zero, to
    overexpress it is to give it the highest value that a cell of the dataset has. As there are no ranks to move in, to
    inhibit a gene halves its counts for each quartile, and to activate it doubles them.

    Parameters
    ----------
    gene_ids, highest
        The genes, and the highest value of each in a cell, shape ``(n_genes,)``.
    """

    def __init__(self, gene_ids: Sequence[str] | NDArray[Any], highest: NDArray[np.float64]) -> None:
        self.gene_ids = tuple(str(gene_id) for gene_id in gene_ids)
        self._position = {gene_id: position for position, gene_id in enumerate(self.gene_ids)}
        self._highest = np.asarray(highest, dtype=np.float64)

    def encode(self, counts: CellCounts) -> Tokens:
        """See `CellModel.encode`."""
        return self._tokens(counts, counts.total_counts)

    def _tokens(self, counts: CellCounts, totals: NDArray[np.float64]) -> Tokens:
        matrix = counts_in_vocabulary(counts, self._position, size=len(self.gene_ids))
        matrix = log_normalised(matrix, totals)
        return Tokens(
            matrix.indices.astype(np.int32), matrix.data.astype(np.float32), matrix.indptr.astype(np.int64)
        )

    def values(self, tokens: Tokens) -> csr_matrix:
        """Return the values of cells, shape ``(n_cells, n_genes)``, float64."""
        shape = (tokens.n_cells, len(self.gene_ids))
        return csr_matrix((tokens.values.astype(np.float64), tokens.genes, tokens.offsets), shape=shape)

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
