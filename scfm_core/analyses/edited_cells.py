"""Cells after an edit of the authors' readout, and the cells they can be compared with; knows no network's states."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scfm_core.rank_bert import RankBert
from scfm_core.tokens import Activate, Delete, GeneEdit, Inhibit, Overexpress, Tokens, concatenate

Kind = Literal["delete", "overexpress", "inhibit", "activate"]


def kind_of(edit: GeneEdit) -> Kind:
    """Return what an edit does, as it is called in labels."""
    kinds: dict[type, Kind] = {
        Delete: "delete",
        Overexpress: "overexpress",
        Inhibit: "inhibit",
        Activate: "activate",
    }
    return kinds[type(edit)]


def positions_of(network: RankBert, edits: Sequence[GeneEdit]) -> NDArray[np.int64]:
    """Return the positions of the genes of an edit in the vocabulary, each once, ascending; unknown ones left out."""
    found = (network.position(edit.gene_id) for edit in edits)
    return np.unique([position for position in found if position is not None]).astype(np.int64)


def n_overflowing(before: Tokens, genes: NDArray[np.int64], *, longest: int) -> NDArray[np.int64]:
    """Return how many genes fall off the end of each cell when genes are put to its front, shape ``(n_cells,)``.

    That is the cell's length and the genes that are new to it, less the longest input. (The authors' code takes the
    length after truncation and adds the new genes once more, so that it drops too many.)
    """
    n_new = len(genes) - sum(before.holds(int(gene)).astype(np.int64) for gene in genes)
    n_over: NDArray[np.int64] = np.maximum(before.lengths + n_new - longest, 0)
    return n_over


def without_tail(tokens: Tokens, n_dropped: NDArray[np.int64], *, n_after: int) -> Tokens:
    """Return the cells without their last ``n_dropped`` genes; the ``n_after`` special tokens at the end stay."""
    if not n_dropped.any():
        return tokens
    lengths = tokens.lengths
    place = np.arange(len(tokens.genes)) - np.repeat(tokens.offsets[:-1], lengths)
    last = np.repeat(lengths - n_after, lengths)
    return tokens.keep((place < last - np.repeat(n_dropped, lengths)) | (place >= last))


def edited_at(network: RankBert, cell: Tokens, places: NDArray[np.int64], kind: Kind, quartiles: int) -> Tokens:
    """Return one cell edited once at each of some places."""
    tiled = cell.take(np.zeros(len(places), dtype=np.int64))
    n_tokens = len(cell.genes)
    if kind == "delete":
        rest = tiled.keep((np.arange(n_tokens)[None, :] != places[:, None]).ravel())
        return rest.keep(np.repeat(rest.lengths > network.frame.n_special, rest.lengths))
    if kind == "overexpress":
        first = network.frame.n_before
        column = np.arange(n_tokens)[None, :]
        source = column - ((column > first) & (column <= places[:, None]))
        source[:, first] = places
        return Tokens(cell.genes[source].ravel(), tiled.values, tiled.offsets)
    make = Inhibit if kind == "inhibit" else Activate
    edits = [make(network.gene_ids[gene], quartiles) for gene in cell.genes[places]]
    return concatenate([network.edit(cell, (edit,)) for edit in edits])
