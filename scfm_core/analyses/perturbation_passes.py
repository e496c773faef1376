"""What the workers do for a perturbation: read tokens, edit them, embed what changed; knows no statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.analyses.embed_cells import embed_tokens, token_budget_of
from scfm_core.dataset import CellCounts, Dataset
from scfm_core.model import Arrays, CellModel, CellStates, EmbedOptions, ModelSpec
from scfm_core.tokens import GeneEdit, Tokens, concatenate, genes_only
from scfm_core.weights import loaded_model

_GENES_PER_PROBE = 4096

Edit = tuple[GeneEdit, ...]


@dataclass(frozen=True, eq=False)
class Apparatus:
    """A model applied to a dataset: all that a worker needs, small enough to send.

    Attributes
    ----------
    fitted
        What a baseline learned from the dataset; empty for a trained model.
    """

    dataset: Dataset
    model: ModelSpec
    options: EmbedOptions
    fitted: Arrays

    @property
    def network(self) -> CellModel:
        """The model on the device of this thread, where it stays loaded."""
        return loaded_model(self.model, self.fitted)

    def tokens(self, cells: NDArray[np.int64]) -> Tokens:
        """Return the tokens of some cells as the model reads them, cut to its longest input."""
        return _truncated(self.network.encode(self.dataset.counts(cells)), self.model.max_tokens)

    def embed(self, tokens: Tokens, *, options: EmbedOptions | None = None) -> CellStates:
        """Embed any number of cells in order."""
        return embed_tokens(self.network, tokens, options or self.options, token_budget=token_budget_of(self.model))


@dataclass(frozen=True)
class Passes:
    """Which edit is applied to which cell, in one piece of work.

    Attributes
    ----------
    cells
        Positions of the cells in the dataset, each once, shape ``(n_cells,)``.
    cell_of_pair, edit_of_pair
        Pair ``i`` is the cell ``cells[cell_of_pair[i]]`` under the edit number ``edit_of_pair[i]``,
        shape ``(n_pairs,)``.
    """

    cells: NDArray[np.int64]
    cell_of_pair: NDArray[np.int64]
    edit_of_pair: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cell_of_pair)


def all_pairs(cells: NDArray[np.int64], n_edits: int, *, passes_per_chunk: int) -> list[Passes]:
    """Cut every cell under every edit into pieces of work of whole cells, pairs ordered by cell, then edit."""
    n_cells = max(1, passes_per_chunk // n_edits)
    chunks = [cells[start : start + n_cells] for start in range(0, len(cells), n_cells)]
    return [
        Passes(chunk, np.repeat(np.arange(len(chunk)), n_edits), np.tile(np.arange(n_edits), len(chunk)))
        for chunk in chunks
    ]


def some_pairs(
    cells: NDArray[np.int64], edits: NDArray[np.int64], *, passes_per_chunk: int
) -> list[Passes]:
    """Cut pairs of cell and edit, both of shape ``(n_pairs,)``, into pieces of work, in the order given."""
    pieces = []
    for start in range(0, len(cells), passes_per_chunk):
        unique, cell_of_pair = np.unique(cells[start : start + passes_per_chunk], return_inverse=True)
        pieces.append(Passes(unique, cell_of_pair.ravel(), edits[start : start + passes_per_chunk]))
    return pieces


def embed_edited(apparatus: Apparatus, edits: Sequence[Edit], passes: Passes) -> dict[str, NDArray[Any]]:
    """Embed cells under edits, but only where the edit changes what the model reads.

    Returns
    -------
    ``changed``, whether the edit changed the tokens, shape ``(n_pairs,)``, and ``points``, the vectors of the changed
    pairs in their order, shape ``(n_changed, embedding_size)``, float32.
    """
    tokens = apparatus.tokens(passes.cells)
    changed = np.zeros(len(passes), dtype=bool)
    parts: list[Tokens] = []
    order: list[NDArray[np.int64]] = []
    for number in np.unique(passes.edit_of_pair):
        pairs = np.flatnonzero(passes.edit_of_pair == number)
        before = tokens.take(passes.cell_of_pair[pairs])
        after = apparatus.network.edit(before, edits[number])
        differ = cells_that_differ(before, after)
        changed[pairs] = differ
        parts.append(after.take(np.flatnonzero(differ)))
        order.append(pairs[differ])
    points = apparatus.embed(concatenate(parts)).cells
    return {"changed": changed, "points": points[np.argsort(np.concatenate(order))]}


def embed_again(apparatus: Apparatus, cells: NDArray[np.int64]) -> NDArray[np.float32]:
    """Embed cells without an edit, shape ``(n_cells, embedding_size)``; the distance to the stored vectors is noise."""
    return apparatus.embed(apparatus.tokens(cells)).cells


def read_genes(
    apparatus: Apparatus, token_of_gene: NDArray[np.int32], cells: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Return which genes of the dataset some cells hold, and at which rank.

    Returns
    -------
    ``genes``, positions in the dataset's genes, and ``ranks``, 0 for the strongest gene of the cell, both cell after
    cell, shape ``(n_tokens,)``; and ``offsets``, shape ``(n_cells + 1,)``.
    """
    tokens = genes_only(apparatus.tokens(cells), apparatus.network.gene_ids)
    gene = _gene_of_token(token_of_gene, tokens.genes)
    ranks = ranks_in_cells(tokens)
    known = gene >= 0
    kept = tokens.keep(known)
    return {"genes": gene[known], "ranks": ranks[known], "offsets": kept.offsets}


def find_tokens(apparatus: Apparatus) -> NDArray[np.int32]:
    """Return the token by which a model reads each gene of a dataset, shape ``(n_genes,)``; -1 where it reads none.

    The model itself is asked: it encodes one cell per gene that expresses this gene alone.
    """
    dataset = apparatus.dataset
    found = np.full(dataset.n_genes, -1, dtype=np.int32)
    for start in range(0, dataset.n_genes, _GENES_PER_PROBE):
        genes = np.arange(start, min(start + _GENES_PER_PROBE, dataset.n_genes))
        tokens = genes_only(_probe(apparatus, genes, len(genes)), apparatus.network.gene_ids)
        single = tokens.lengths == 1
        found[genes[single]] = tokens.genes[tokens.offsets[:-1][single]]
    return found


def shift_genes(
    apparatus: Apparatus, token_of_gene: NDArray[np.int32], work: tuple[Edit, NDArray[np.int64]]
) -> dict[str, NDArray[Any]]:
    """Measure how far the contextual vectors of the other genes turn under one edit, averaged over cells.

    Parameters
    ----------
    work
        The edit, and positions of cells that hold it.

    Returns
    -------
    ``genes``, positions in the dataset's genes; ``mean_shift``, mean of 1 - cosine; ``n_cells``, over how many cells.
    """
    edit, cells = work
    before = apparatus.tokens(cells)
    after = apparatus.network.edit(before, edit)
    options = replace(apparatus.options, gene_vectors=True)
    was, now = apparatus.embed(before, options=options).genes, apparatus.embed(after, options=options).genes
    if was is None or now is None:
        empty = np.empty(0)
        return {"genes": empty.astype(np.int32), "mean_shift": empty, "n_cells": empty.astype(np.int64)}
    width = int(max(before.genes.max(initial=0), after.genes.max(initial=0))) + 1
    key_before, key_after = (each.cell_of_token() * width + each.genes for each in (before, after))
    common, in_before, in_after = np.intersect1d(key_before, key_after, return_indices=True)
    shift = one_minus_cosine(was[in_before], now[in_after])
    tokens, which = np.unique(common % width, return_inverse=True)
    n_cells = np.bincount(which, minlength=len(tokens))
    mean_shift = np.bincount(which, weights=shift, minlength=len(tokens)) / np.maximum(n_cells, 1)
    genes = _gene_of_token(token_of_gene, tokens.astype(np.int32))
    edited = [apparatus.dataset.gene_ids.index(single.gene_id) for single in edit]
    known = (genes >= 0) & ~np.isin(tokens, token_of_gene[edited])  # a gene that was moved does not follow itself
    return {"genes": genes[known], "mean_shift": mean_shift[known], "n_cells": n_cells[known]}


def one_minus_cosine(before: NDArray[np.floating[Any]], after: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return 1 - cosine of two sets of vectors, row by row, in double precision.

    Computed as half the squared distance of the unit vectors, which is exactly 0 for equal vectors, never negative,
    and keeps its digits where ``1 - cosine`` would lose them: rounding the vectors to float32 adds about 1e-14.

    Parameters
    ----------
    before, after
        Shape ``(n, size)``.

    Returns
    -------
    Shape ``(n,)``; NaN where a vector is.

    Examples
    --------
    >>> one_minus_cosine(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 3.0]]))
    array([0., 1.])
    """
    if not len(after):
        return np.empty(0)
    difference = unit_vectors(before) - unit_vectors(after)
    return np.asarray(0.5 * np.einsum("ij,ij->i", difference, difference))


def cells_that_differ(before: Tokens, after: Tokens) -> NDArray[np.bool_]:
    """Whether each cell's tokens are not the same in both, shape ``(n_cells,)``."""
    differ: NDArray[np.bool_] = before.lengths != after.lengths
    same_length = np.flatnonzero(~differ)
    one, other = before.take(same_length), after.take(same_length)
    unlike = (one.genes != other.genes) | (one.values != other.values)
    differ[same_length[np.unique(one.cell_of_token()[unlike])]] = True
    return differ


def ranks_in_cells(tokens: Tokens) -> NDArray[np.float32]:
    """Return the rank of each token in its cell, 0 for the strongest, shape ``(n_tokens,)``.

    Where the model reads values, the largest value ranks first and equal values share their mean rank; where it reads
    ranks alone (all values are 1), the position of the token is its rank.

    Examples
    --------
    >>> ranks_in_cells(Tokens(np.arange(4, dtype=np.int32), np.float32([1, 5, 5, 9]), np.array([0, 4]))).tolist()
    [3.0, 1.5, 1.5, 0.0]
    """
    position = np.arange(len(tokens.genes)) - np.repeat(tokens.offsets[:-1], tokens.lengths)
    if not len(position) or np.all(tokens.values == 1):
        return position.astype(np.float32)
    cell = tokens.cell_of_token()
    order = np.lexsort((-tokens.values, cell))
    new_run = np.ones(len(order), dtype=bool)
    new_run[1:] = (np.diff(cell[order]) != 0) | (np.diff(tokens.values[order]) != 0)
    run = np.cumsum(new_run) - 1
    mean_rank = np.bincount(run, weights=position) / np.bincount(run)  # `position` counts up in sorted order too
    ranks = np.empty(len(order), dtype=np.float32)
    ranks[order] = mean_rank[run]
    return ranks


def _probe(apparatus: Apparatus, genes: NDArray[np.int64], n_cells: int) -> Tokens:
    dataset = apparatus.dataset
    ones = np.ones(len(genes), dtype=np.uint8)
    matrix = csr_matrix((ones, (np.arange(len(genes)), genes)), shape=(n_cells, dataset.n_genes))
    counts = CellCounts(matrix=matrix, gene_ids=dataset.gene_ids, total_counts=np.ones(n_cells))
    return apparatus.network.encode(counts)


def _truncated(tokens: Tokens, max_tokens: int | None) -> Tokens:
    if max_tokens is None or tokens.lengths.max(initial=0) <= max_tokens:
        return tokens
    position = np.arange(len(tokens.genes)) - np.repeat(tokens.offsets[:-1], tokens.lengths)
    return tokens.keep(position < max_tokens)


def _gene_of_token(token_of_gene: NDArray[np.int32], tokens: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the first gene of the dataset that each token stands for; -1 where it stands for none."""
    known, first = np.unique(token_of_gene, return_index=True)
    where = np.searchsorted(known, tokens).clip(max=len(known) - 1)
    return np.where((known[where] == tokens) & (tokens >= 0), first[where], -1).astype(np.int32)


def unit_vectors(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return vectors, shape ``(n, size)``, at length 1 in double precision; NaN for a vector of zeros."""
    wide = np.asarray(vectors, dtype=np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
    return wide / np.where(lengths == 0, np.nan, lengths)
