"""Edits that show what an answer is worth: of silent genes, of scrambled genes, of genes of every cell; no tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.checked_cells import HeldGenes
from scfm_core.analyses.perturbation_passes import Apparatus, cells_that_differ
from scfm_core.analyses.perturbation_study import Edit
from scfm_core.dataset import Dataset
from scfm_core.tokens import Delete, Overexpress, same_edit

# Steady in most tissues, and from different machineries: cytoskeleton, glycolysis, antigen presentation, ribosome,
# transcription, protein folding. Eisenberg & Levanon 2013, doi:10.1016/j.tig.2013.05.010, discuss such lists.
HOUSEKEEPING = ("ACTB", "GAPDH", "B2M", "RPLP0", "TBP", "PPIA")  # Actb, Gapdh and so on in the mouse


def expressed_genes(dataset: Dataset, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many of some cells have counts of each gene, shape ``(n_genes,)``."""
    return np.bincount(dataset.counts(cells).matrix.indices, minlength=dataset.n_genes)


def silent_genes(token_of_gene: NDArray[np.int32], expressed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the genes that a model reads and that no cell expresses, under this or another name of the model's gene.

    Parameters
    ----------
    token_of_gene
        The token by which the model reads each gene of the dataset, -1 for none, shape ``(n_genes,)``.
    expressed
        Whether any cell expresses each gene, shape ``(n_genes,)``.

    Examples
    --------
    >>> silent_genes(np.int32([4, 5, 4, -1, 6]), np.array([True, False, False, False, False])).tolist()
    [1, 4]
    """
    heard = token_of_gene[expressed]
    return np.flatnonzero((token_of_gene >= 0) & ~np.isin(token_of_gene, heard))


def embed_silent(apparatus: Apparatus, gene_id: str, cells: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Embed cells before and after a deletion, also where it changes nothing.

    Returns
    -------
    ``before`` and ``after``, vectors of shape ``(n_cells, embedding_size)``; ``changed``, whether the deletion changed
    the input of each cell, shape ``(n_cells,)``.
    """
    tokens = apparatus.tokens(cells)
    edited = apparatus.network.edit(tokens, (Delete(gene_id),))
    before, after = apparatus.embed(tokens).cells, apparatus.embed(edited).cells
    return {"before": before, "after": after, "changed": cells_that_differ(tokens, edited)}


def equal_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Return whether two arrays hold the same bits, NaN and signed zeros included."""
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def housekeeping_genes(dataset: Dataset, allowed: NDArray[np.bool_], *, most: int) -> list[int]:
    """Return the first housekeeping genes that are allowed, as positions in the dataset's genes.

    Parameters
    ----------
    allowed
        Shape ``(n_genes,)``.
    """
    position: dict[str, int] = {}
    for place, symbol in enumerate(dataset.gene_symbols):
        if allowed[place]:
            position.setdefault(symbol.upper(), place)
    return [position[symbol] for symbol in HOUSEKEEPING if symbol in position][:most]


def scrambled_edits(
    held: HeldGenes, edit: Edit, gene_ids: Sequence[str], *, n_draws: int, rng: np.random.Generator
) -> list[list[Edit]]:
    """Make an edit of other genes at the same place of each cell, other ones in every cell.

    A gene that a cell holds is replaced by one of the ``n_draws`` genes next to it in the ranking of that cell, none of
    the edit itself. A gene to overexpress that the cell does not hold is replaced by one that this cell does not hold
    either, and that about as many of the other cells hold. Any other gene that a cell does not hold is left out: its
    edit does nothing there.

    Parameters
    ----------
    held
        What the cells hold.

    Returns
    -------
    For each cell, ``n_draws`` edits; fewer or none where a cell has no other genes.
    """
    position = {gene_id: place for place, gene_id in enumerate(gene_ids)}
    members = [position[single.gene_id] for single in edit]
    n_holding = held.n_holding(len(gene_ids))
    found = []
    for number in range(len(held.cells)):
        genes, ranks = held.of(number)
        free = ~np.isin(genes, members)
        columns, used = [], []
        for single, gene in zip(edit, members, strict=True):
            if gene in genes:
                distance = np.abs(ranks[free] - ranks[genes == gene][0])
                columns.append(_nearest(genes[free], distance, n_draws, rng))
            elif isinstance(single, Overexpress):
                others = np.setdiff1d(np.flatnonzero(n_holding), [*genes, *members])
                columns.append(_nearest(others, np.abs(n_holding[others] - n_holding[gene]), n_draws, rng))
            else:
                continue
            used.append(single)
        n_made = min((len(column) for column in columns), default=0)
        drawn = [[int(column[draw]) for column in columns] for draw in range(n_made)]
        found.append(
            [
                tuple(same_edit(single, gene_ids[gene]) for single, gene in zip(used, row, strict=True))
                for row in drawn
                if len(set(row)) == len(row)  # neighbours of two genes may be the same
            ]
        )
    return found


def _nearest(
    genes: NDArray[np.int64], distance: NDArray[np.floating[Any]], n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the ``n`` genes of smallest distance in random order; equal distances are chosen among at random."""
    order = np.lexsort((rng.random(len(genes)), distance))[:n]
    return rng.permutation(genes[order])
