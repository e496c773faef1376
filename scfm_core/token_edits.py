"""Edits of cells that a model reads as ranked genes: to the front, or up and down the ranks; all cells at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.tokens import Tokens, places_in_cells, without_genes

_N_QUARTILES = 4


@dataclass(frozen=True)
class Frame:
    """What stands around the ranked genes of a cell, and how many tokens a cell may have.

    Attributes
    ----------
    n_before, n_after
        Special tokens before and after the genes of every cell that has any.
    longest
        Largest number of tokens of a cell, special ones included.
    """

    n_before: int
    n_after: int
    longest: int

    @property
    def n_special(self) -> int:
        """Special tokens of every cell that has genes."""
        return self.n_before + self.n_after


def deleted(tokens: Tokens, genes: NDArray[np.integer[Any]], frame: Frame) -> Tokens:
    """Take genes out of every cell; the genes behind them move up, and nothing is filled in at the end.

    A cell left without genes has no tokens at all, as if it had been encoded so.
    """
    rest = without_genes(tokens, genes)
    if not frame.n_special:
        return rest
    return rest.keep(np.repeat(rest.lengths > frame.n_special, rest.lengths))


def moved_to_front(tokens: Tokens, genes: NDArray[np.integer[Any]], frame: Frame) -> Tokens:
    """Put genes before all others of every cell, in the order listed, whether the cell holds them or not.

    A gene that the cell holds leaves its place. Where the cell becomes longer than allowed, its weakest genes are cut
    off; the special tokens around the genes stay. A cell without tokens stays so: nothing is known of it.
    """
    genes = np.fromiter(dict.fromkeys(genes.tolist()), dtype=np.int32)[: frame.longest - frame.n_special]
    rest = without_genes(tokens, genes)
    held = tokens.lengths > 0
    room = frame.longest - frame.n_special - len(genes)
    places, lengths = places_in_cells(rest), np.repeat(rest.lengths, rest.lengths)
    rest = rest.keep((places < frame.n_before + room) | (places >= lengths - frame.n_after))
    places = places_in_cells(rest)
    offsets = np.concatenate([[0], np.cumsum(rest.lengths + held * len(genes))]).astype(np.int64)
    where = np.repeat(offsets[:-1], rest.lengths) + places + len(genes) * (places >= frame.n_before)
    front = (offsets[:-1][held, None] + frame.n_before + np.arange(len(genes))).ravel()
    out = Tokens(np.empty(offsets[-1], dtype=np.int32), np.ones(offsets[-1], dtype=np.float32), offsets)
    out.genes[where], out.values[where] = rest.genes, rest.values
    out.genes[front] = np.tile(genes, int(held.sum()))
    return out


def moved_by_quartiles(tokens: Tokens, gene: int, quartiles: int, frame: Frame) -> Tokens:
    """Move one gene up (negative) or down (positive) the ranks of every cell that holds it, by quartiles.

    Of the ``n`` genes of a cell, the gene at place ``i`` (counted from 0) lies in quartile ``k = floor(4 i / n)``,
    0 for the strongest. It moves to the middle of quartile ``m = k + quartiles``, that is, to place
    ``floor((2 m + 1) n / 8)`` of the result; to the very front where ``m < 0``, to the very end where ``m > 3``. The
    other genes keep their order, and a cell that does not hold the gene is left as it is.

    References
    ----------
    Announced, but not carried out, by Geneformer's ``InSilicoPerturber`` (``perturb_rank_shift``), whose documentation
    gives these targets; the rounding is ours.
    """
    at = np.flatnonzero(tokens.genes == gene)
    cell = np.searchsorted(tokens.offsets, at, side="right") - 1
    n_genes = tokens.lengths[cell] - frame.n_special
    first = tokens.offsets[:-1][cell] + frame.n_before
    target_quartile = (_N_QUARTILES * (at - first)) // n_genes + quartiles
    middle = (2 * target_quartile + 1) * n_genes // (2 * _N_QUARTILES)
    target = first + np.clip(middle, 0, n_genes - 1)
    target[target_quartile >= _N_QUARTILES] = (first + n_genes - 1)[target_quartile >= _N_QUARTILES]
    return _moved(tokens, at, target)


def _moved(tokens: Tokens, at: NDArray[np.int64], target: NDArray[np.int64]) -> Tokens:
    """Move single tokens, at most one per cell, to places of the result; those between make room."""
    step = np.zeros(len(tokens.genes) + 1, dtype=np.int64)  # where each token goes, summed up from its changes
    for start, stop, by in ((target, at, 1), (at + 1, target + 1, -1)):
        some = start < stop
        step[start[some]] += by
        step[stop[some]] -= by
    where = np.arange(len(tokens.genes)) + np.cumsum(step)[:-1]
    where[at] = target
    genes, values = np.empty_like(tokens.genes), np.empty_like(tokens.values)
    genes[where], values[where] = tokens.genes, tokens.values
    return Tokens(genes, values, tokens.offsets)
