"""Gene tokens of a batch of cells, and the edits that a perturbation makes to them; knows no network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts
from scfm_core.errors import RequestError

_ANY_GENE = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Tokens:
    """The genes of some cells as a model reads them, ragged like the rows of a CSR matrix; no padding.

    Attributes
    ----------
    genes
        Positions in the model's vocabulary, cell after cell, in the model's order, shape ``(n_tokens,)``, int32.
    values
        What the model reads beside each gene (its value; 1 where it reads ranks alone), shape ``(n_tokens,)``, float32.
    offsets
        Cell ``i`` holds the tokens ``offsets[i]:offsets[i + 1]``, shape ``(n_cells + 1,)``, int64.
    """

    genes: NDArray[np.int32]
    values: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each cell, shape ``(n_cells,)``."""
        return np.diff(self.offsets)

    def cell_of_token(self) -> NDArray[np.int64]:
        """Return the cell to which each token belongs, shape ``(n_tokens,)``."""
        return np.repeat(np.arange(self.n_cells), self.lengths)

    def take(self, cells: NDArray[np.integer[Any]]) -> "Tokens":
        """Return the tokens of some cells, in the order asked for; a cell may be asked for twice."""
        rows = csr_matrix((self.values, self.genes, self.offsets), shape=(self.n_cells, _ANY_GENE))[cells]
        return Tokens(rows.indices.astype(np.int32, copy=False), rows.data, rows.indptr.astype(np.int64))

    def holds(self, gene: int) -> NDArray[np.bool_]:
        """Whether each cell holds a gene of the vocabulary, shape ``(n_cells,)``."""
        return np.isin(np.arange(self.n_cells), self.cell_of_token()[self.genes == gene])

    def keep(self, tokens: NDArray[np.bool_]) -> "Tokens":
        """Return all cells with only the tokens where ``tokens`` is true, shape ``(n_tokens,)``."""
        kept = np.concatenate([[0], np.cumsum(tokens)])
        return Tokens(self.genes[tokens], self.values[tokens], kept[self.offsets].astype(np.int64))


@dataclass(frozen=True)
class Delete:
    """Take a gene out of a cell's input; the genes behind it move up.

    Attributes
    ----------
    gene_id
        Ensembl id without version.
    """

    gene_id: str


@dataclass(frozen=True)
class Overexpress:
    """Put a gene before all others of a cell, whether the cell holds it or not; the genes before it move down.

    Attributes
    ----------
    gene_id
        Ensembl id without version.
    """

    gene_id: str


@dataclass(frozen=True)
class Inhibit:
    """Move a gene that a cell holds down its ranks, by quartiles; see `scfm_core.token_edits.moved_by_quartiles`.

    Attributes
    ----------
    gene_id
        Ensembl id without version.
    quartiles
        1, 2 or 3.
    """

    gene_id: str
    quartiles: int = 1

    def __post_init__(self) -> None:
        _check_quartiles(self.quartiles)


@dataclass(frozen=True)
class Activate:
    """Move a gene that a cell holds up its ranks, by quartiles; see `scfm_core.token_edits.moved_by_quartiles`.

    Attributes
    ----------
    gene_id
        Ensembl id without version.
    quartiles
        1, 2 or 3.
    """

    gene_id: str
    quartiles: int = 1

    def __post_init__(self) -> None:
        _check_quartiles(self.quartiles)


@dataclass(frozen=True)
class Scale:
    """Multiply the counts of a gene that a cell holds; for models that read values, not ranks alone.

    Attributes
    ----------
    gene_id
        Ensembl id without version.
    factor
        0 (the gene is gone) to 2 (twice the counts).
    """

    gene_id: str
    factor: float

    def __post_init__(self) -> None:
        if not 0 <= self.factor <= 2:
            msg = f"A gene is scaled by a factor from 0 to 2, found {self.factor!r}. Choose one between them."
            raise RequestError(msg, "unknown-factor")


GeneEdit = Delete | Overexpress | Inhibit | Activate | Scale


def edit_in_words(edit: GeneEdit, gene: str) -> str:
    """Return what an edit does, in a few words; a deletion is called by its gene alone.

    Examples
    --------
    >>> edit_in_words(Delete("ENSG00000105374"), "NKG7"), edit_in_words(Scale("ENSG00000105374", 0.5), "NKG7")
    ('NKG7', 'scale NKG7 x0.5')
    >>> edit_in_words(Inhibit("ENSG00000105374", 2), "NKG7")
    'inhibit NKG7 by 2 quartiles'
    """
    match edit:
        case Delete():
            return gene
        case Overexpress():
            return f"overexpress {gene}"
        case Scale():
            return f"scale {gene} x{edit.factor:g}"
        case Inhibit() | Activate():
            return f"{edit_name(edit)} {gene}" + (f" by {edit.quartiles} quartiles" if edit.quartiles > 1 else "")


def same_edit(edit: GeneEdit, gene_id: str) -> GeneEdit:
    """Return an edit made to another gene."""
    return replace(edit, gene_id=gene_id)


def edit_name(edit: GeneEdit) -> str:
    """Return the name of an edit as ``ModelSpec.gene_edits`` lists it.

    Examples
    --------
    >>> edit_name(Overexpress("ENSG00000105374"))
    'overexpress'
    """
    return type(edit).__name__.lower()


def _check_quartiles(quartiles: int) -> None:
    if quartiles not in (1, 2, 3):
        msg = f"A gene moves by 1, 2 or 3 quartiles of the cell's ranks, found {quartiles!r}. Choose one of these."
        raise RequestError(msg, "unknown-quartiles")


def concatenate(parts: list[Tokens]) -> Tokens:
    """Return the cells of several `Tokens`, one after another."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Tokens(
        np.concatenate([part.genes for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def places_in_cells(tokens: Tokens) -> NDArray[np.int64]:
    """Return the place of each token in its cell, counted from 0, shape ``(n_tokens,)``."""
    return np.arange(len(tokens.genes)) - np.repeat(tokens.offsets[:-1], tokens.lengths)


def without_genes(tokens: Tokens, genes: NDArray[np.integer[Any]]) -> Tokens:
    """Return the tokens without some genes of the vocabulary, in every cell."""
    return tokens.keep(~np.isin(tokens.genes, genes))


def genes_only(tokens: Tokens, gene_ids: Sequence[str]) -> Tokens:
    """Return the tokens that stand for genes, without the special ones of a model.

    Parameters
    ----------
    gene_ids
        Gene id at each position of the vocabulary, empty for a special token, as in ``CellModel.gene_ids``.

    Examples
    --------
    >>> tokens = Tokens(np.int32([2, 5, 4, 3]), np.ones(4, np.float32), np.array([0, 4]))
    >>> genes_only(tokens, ["", "", "", "", "g4", "g5"]).genes.tolist()
    [5, 4]
    """
    special = [position for position, gene_id in enumerate(gene_ids) if not gene_id]
    of_gene = ~np.isin(tokens.genes, special, kind="table") if special else np.ones(len(tokens.genes), dtype=bool)
    return tokens if of_gene.all() else tokens.keep(of_gene)


def batches_by_length(lengths: NDArray[np.int64], *, token_budget: int) -> Iterator[NDArray[np.int64]]:
    """Group cells of like length so that no batch, padded to its longest cell, exceeds a budget of tokens.

    Parameters
    ----------
    lengths
        Tokens of each cell, shape ``(n_cells,)``.
    token_budget
        Largest number of cells times longest cell in one batch; a longer cell travels alone.

    Yields
    ------
    Positions of cells, longest cells first.

    Examples
    --------
    >>> [batch.tolist() for batch in batches_by_length(np.array([2, 9, 3]), token_budget=9)]
    [[1], [2, 0]]
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, token_budget // max(int(lengths[order[start]]), 1))
        yield order[start : start + size]
        start += size


def counts_in_vocabulary(counts: CellCounts, vocabulary: Mapping[str, int], *, size: int) -> csr_matrix:
    """Return the counts with one column per position of a vocabulary.

    Genes outside the vocabulary are left out, columns of one gene are summed, and the order of the genes in
    ``counts`` leaves no trace.

    Parameters
    ----------
    vocabulary
        Position of each gene id.
    size
        Number of positions.

    Returns
    -------
    Counts, shape ``(n_cells, size)``, float64, columns sorted within each row, no stored zeros.
    """
    column = np.array([vocabulary.get(gene_id, -1) for gene_id in counts.gene_ids], dtype=np.int64)
    matrix = counts.matrix
    where = column[matrix.indices]
    known = where >= 0
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[known]
    values = matrix.data[known].astype(np.float64)
    out = csr_matrix((values, (rows, where[known])), shape=(matrix.shape[0], size))
    out.sum_duplicates()
    out.eliminate_zeros()
    out.sort_indices()
    return out
