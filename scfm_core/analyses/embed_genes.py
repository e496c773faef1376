"""What is each gene to a model: the mean of its vectors over cells, or the vector that it has before any cell is read?

Tokens that stand for no gene, such as ``<cls>`` and ``<eos>``, are left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk, require_known_genes, require_organism
from scfm_core.analyses.fit_model import model_arrays
from scfm_core.analyses.perturbation_passes import Apparatus, find_tokens
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.model import ModelSpec
from scfm_core.request import Context, Request

_KEPT_BYTES = 4 * 2**30  # on disk, of the pieces of a job that runs
_BLOCK_BYTES = 2**26  # of the vectors of single tokens that are in memory at once
_FEWEST_PIECES = 8


@dataclass(frozen=True)
class GeneVectors:
    """One vector per gene, ordered by the position of the gene in the model's vocabulary.

    Attributes
    ----------
    gene_ids
        Ensembl ids as the model knows them, length ``n_genes_read``.
    points
        Shape ``(n_genes_read, embedding_size)``, float32.
    rows
        Which row of ``points`` belongs to each gene of the dataset, shape ``(n_genes,)``, int32; -1 where there is
        none. Two genes that the model reads as one share a row.
    """

    gene_ids: tuple[str, ...]
    points: NDArray[np.float32]
    rows: NDArray[np.int32]

    def of_dataset(self) -> NDArray[np.float32]:
        """Return one vector per gene of the dataset, shape ``(n_genes, embedding_size)``; NaN where there is none."""
        vectors = np.full((len(self.rows), self.points.shape[1]), np.nan, dtype=np.float32)
        known = self.rows >= 0
        vectors[known] = self.points[self.rows[known]]
        return vectors


@dataclass(frozen=True)
class GeneEmbedding(GeneVectors):
    """The vectors of `GeneVectors`, each the mean over the chosen cells in which the model read the gene.

    Attributes
    ----------
    n_cells
        Over how many cells, shape ``(n_genes_read,)``, int64, at least 1.
    """

    n_cells: NDArray[np.int64]


@dataclass(frozen=True)
class EmbedGenes(Request[GeneEmbedding]):
    """Average the contextual vector of each gene over cells.

    The vector of a gene depends on the cell in which the model reads it; a cell that does not hold the gene, or holds
    it too weakly to be among the tokens, does not count.

    Parameters
    ----------
    baseline
        Which dataset, model, layer and precision. How gene vectors become a cell vector plays no part here, so that
        questions that differ in the pooling alone are one question.
    cells
        All cells, where None.

    Raises
    ------
    RequestError
        If the model has no gene vectors, or the cells belong to another dataset or are none.

    References
    ----------
    Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9, "Geneformer gene embeddings": mean over cells.
    """

    baseline: EmbedCells
    cells: CellSet | None = None

    result_type: ClassVar[type] = GeneEmbedding

    def __post_init__(self) -> None:
        model, dataset = self.baseline.model, self.baseline.dataset
        require_gene_vectors(model)
        options = replace(self.baseline.chosen_options, pooling=model.poolings[0])
        object.__setattr__(self, "baseline", replace(self.baseline, options=options))
        if self.cells is not None and (self.cells.n_cells != dataset.n_cells or not len(self.cells)):
            msg = (
                f"Expected some of the {dataset.n_cells:,} cells of this dataset, found {len(self.cells):,} cells of a "
                f"dataset with {self.cells.n_cells:,}. Choose the cells again."
            )
            raise RequestError(msg, "wrong-cells")

    @property
    def chosen_cells(self) -> NDArray[np.int64]:
        """Positions of the cells in the dataset, ascending."""
        return np.arange(self.baseline.dataset.n_cells) if self.cells is None else self.cells.positions

    def run(self, context: Context) -> GeneEmbedding:
        """See `Request.run`."""
        apparatus, vocabulary = _read_vocabulary(context, self.baseline)
        cells, model = self.chosen_cells, self.baseline.model
        size = cells_per_piece(self.baseline.dataset, model, n_cells=len(cells))
        pieces = [cells[start : start + size] for start in range(0, len(cells), size)]
        step = f"Gene vectors with {model.title}"
        sizes = [len(piece) for piece in pieces]
        means = context.map(partial(_mean_of_genes, apparatus), pieces, step=step, sizes=sizes)
        points, n_cells, n_special = _total(means, len(vocabulary["gene_ids"]), model.embedding_size)
        if not n_cells.any():
            msg = f"None of the {len(cells):,} chosen cells holds a gene that {model.title} reads. Choose other cells."
            raise RequestError(msg, "no-tokens")
        if n_special:
            context.log("Tokens that stand for no gene, such as <cls> and <eos>, are left out")
        read = np.flatnonzero(n_cells)
        gene_ids, rows = _ids_and_rows(vocabulary, read)
        return GeneEmbedding(gene_ids, points[read].astype(np.float32), rows, n_cells[read])


@dataclass(frozen=True)
class StaticGeneVectors(Request[GeneVectors]):
    """Look up the vector that each gene of a dataset has in a model before any cell is read.

    They are the rows of the model's table of word embeddings, without position and without context; the cells play no
    part.

    Raises
    ------
    RequestError
        If the model has no gene vectors.
    """

    dataset: Dataset
    model: ModelSpec

    result_type: ClassVar[type] = GeneVectors

    def __post_init__(self) -> None:
        require_gene_vectors(self.model)

    def run(self, context: Context) -> GeneVectors:
        """See `Request.run`."""
        apparatus, vocabulary = _read_vocabulary(context, EmbedCells(self.dataset, self.model))
        tokens = vocabulary["token_of_gene"]
        read = np.unique(tokens[tokens >= 0])
        points = context.call(partial(_static_vectors, apparatus, read), step=f"Reading {len(read):,} gene vectors")
        gene_ids, rows = _ids_and_rows(vocabulary, read)
        return GeneVectors(gene_ids, points, rows)


def require_gene_vectors(model: ModelSpec) -> None:
    """Raise a `RequestError` where a model has no vectors of single genes."""
    if not model.has_gene_vectors:
        msg = f"{model.title} gives cells a vector, not genes. Choose a model that reads a cell gene by gene."
        raise RequestError(msg, "no-gene-vectors")


def cells_per_piece(dataset: Dataset, model: ModelSpec, *, n_cells: int) -> int:
    """Return how many cells make one piece of work.

    A finished piece is kept on disk with a vector for each gene, which is far more than its cells would need; so large
    datasets are cut into fewer, longer pieces, that all of them stay below 4 GiB.
    """
    piece_bytes = 4 * model.embedding_size * dataset.n_genes
    n_pieces = max(_KEPT_BYTES // piece_bytes, _FEWEST_PIECES)
    return max(cells_per_chunk(model), -(-n_cells // n_pieces))


class _TableOfGenes(Protocol):
    """What a model with gene vectors can say beside `CellModel`."""

    def static_gene_vectors(self) -> NDArray[np.float32]:
        """Return the vector of each position of the vocabulary, shape ``(n_positions, embedding_size)``."""


def _read_vocabulary(context: Context, baseline: EmbedCells) -> tuple[Apparatus, dict[str, NDArray[Any]]]:
    dataset, model = baseline.dataset, baseline.model
    require_organism(dataset, model)
    options = replace(baseline.chosen_options, gene_vectors=True)
    apparatus = Apparatus(dataset, model, options, model_arrays(context, dataset, model))
    vocabulary = context.call(partial(_vocabulary, apparatus), step=f"Loading {model.title}")
    tokens = vocabulary["token_of_gene"]
    require_known_genes(context, dataset, model, n_known=len(np.unique(tokens[tokens >= 0])))
    return apparatus, vocabulary


def _vocabulary(apparatus: Apparatus) -> dict[str, NDArray[Any]]:
    """Return ``gene_ids``, one per position of the vocabulary, and ``token_of_gene``, one per gene of the dataset."""
    return {"gene_ids": np.array(apparatus.network.gene_ids), "token_of_gene": find_tokens(apparatus)}


def _mean_of_genes(apparatus: Apparatus, cells: NDArray[np.int64]) -> dict[str, Any]:
    """Return the ``tokens`` that stand for genes, the ``means`` of their vectors, ``n_cells``, and ``n_special``."""
    is_gene = np.array(apparatus.network.gene_ids) != ""
    sums = np.zeros((len(is_gene), apparatus.model.embedding_size))
    n_cells = np.zeros(len(is_gene), dtype=np.int64)
    cell_bytes = 4 * apparatus.model.embedding_size * (apparatus.model.max_tokens or apparatus.dataset.n_genes)
    n_together = max(_BLOCK_BYTES // cell_bytes, 1)
    for start in range(0, len(cells), n_together):
        tokens = apparatus.tokens(cells[start : start + n_together])
        vectors = apparatus.embed(tokens).genes
        if vectors is not None and len(vectors):
            found, which = np.unique(tokens.genes, return_inverse=True)
            pairs = (np.ones(len(which)), (which, np.arange(len(which))))
            sums[found] += csr_matrix(pairs, shape=(len(found), len(which))) @ vectors
            n_cells[found] += np.bincount(which)
    read = np.flatnonzero((n_cells > 0) & is_gene)
    means = (sums[read] / n_cells[read, None]).astype(np.float32)
    n_special = int(n_cells[~is_gene].sum())
    return {"tokens": read.astype(np.int32), "means": means, "n_cells": n_cells[read], "n_special": n_special}


def _total(
    parts: Iterable[dict[str, Any]], n_positions: int, size: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Return the means over all pieces, shape ``(n_positions, size)``, over how many cells, and special tokens."""
    sums = np.zeros((n_positions, size))
    n_cells = np.zeros(n_positions, dtype=np.int64)
    n_special = 0
    for part in parts:
        sums[part["tokens"]] += part["means"] * part["n_cells"].astype(np.float64)[:, None]
        n_cells[part["tokens"]] += part["n_cells"]
        n_special += part["n_special"]
    return sums / np.maximum(n_cells, 1)[:, None], n_cells, n_special


def _static_vectors(apparatus: Apparatus, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
    return cast(_TableOfGenes, apparatus.network).static_gene_vectors()[tokens]


def _ids_and_rows(
    vocabulary: dict[str, NDArray[Any]], read: NDArray[np.integer[Any]]
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the ids of the positions ``read`` of the vocabulary, and which of them each gene of the dataset is."""
    row_of_position = np.full(len(vocabulary["gene_ids"]), -1, dtype=np.int32)
    row_of_position[read] = np.arange(len(read))
    tokens = vocabulary["token_of_gene"]
    rows = np.where(tokens >= 0, row_of_position[tokens], np.int32(-1))
    return tuple(vocabulary["gene_ids"][read].tolist()), rows.astype(np.int32)
