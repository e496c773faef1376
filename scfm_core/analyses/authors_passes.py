"""What the workers do for the authors' readout: read cells, edit them, compare them; knows no tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.edited_cells import Kind, edited_at, n_overflowing, positions_of, without_tail
from scfm_core.analyses.embed_cells import token_budget_of
from scfm_core.analyses.fitting_batches import fitting_batches
from scfm_core.analyses.perturbation_passes import Passes
from scfm_core.dataset import Dataset
from scfm_core.devices import this_device
from scfm_core.errors import RequestError
from scfm_core.model import EmbedOptions, ModelSpec
from scfm_core.rank_bert import RankBert
from scfm_core.tokens import GeneEdit, Overexpress, Tokens, concatenate
from scfm_core.weights import loaded_model

if TYPE_CHECKING:  # torch is slow to import
    from scfm_core.token_shifts import Edited, Reading, Unedited

_CELLS_KEPT = 8  # unedited cells, so that the pieces of one cell's screen share its unedited pass


@dataclass(frozen=True)
class Readout:
    """A model that reads ranked genes, applied to a dataset: all that a worker needs, small enough to send."""

    dataset: Dataset
    model: ModelSpec
    options: EmbedOptions

    @property
    def network(self) -> RankBert:
        """The model on the device of this thread, where it stays loaded.

        Raises
        ------
        RequestError
            If the model does not read ranked genes.
        """
        network = loaded_model(self.model, {})
        if not isinstance(network, RankBert):
            msg = f"{self.model.title} does not read genes by rank, so the authors' readout means nothing for it."
            raise RequestError(msg, "no-ranks")
        return network

    @property
    def token_budget(self) -> int:
        """Largest number of tokens in one batch."""
        return token_budget_of(self.model)

    def tokens(self, cells: NDArray[np.int64]) -> Tokens:
        """Return the tokens of some cells."""
        return self.network.encode(self.dataset.counts(cells))


def mean_sums(readout: Readout, work: tuple[NDArray[np.int64], NDArray[np.bool_]]) -> dict[str, NDArray[Any]]:
    """Add up the vectors of the cells of each state.

    Parameters
    ----------
    work
        Positions of cells, and which belong to each state, shape ``(n_states, n_cells)``.

    Returns
    -------
    ``sums``, shape ``(n_states, embedding_size)``, float64, and ``n_cells``, shape ``(n_states,)``; cells without
    tokens are in neither.
    """
    from scfm_core.token_shifts import read_unedited

    cells, members = work
    network, tokens = readout.network, readout.tokens(cells)
    held = np.flatnonzero(tokens.lengths)
    sums = np.zeros((len(members), readout.model.embedding_size))

    def run(batch: NDArray[np.int64]) -> NDArray[np.float64]:
        return read_unedited(network, tokens.take(held[batch]), readout.options).vectors

    for batch, vectors in fitting_batches(tokens.lengths[held], run, token_budget=readout.token_budget):
        sums += members[:, held[batch]].astype(np.float64) @ vectors
    return {"sums": sums, "n_cells": members[:, held].sum(axis=1)}


def find_positions(readout: Readout, gene_ids: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the position of genes in the model's vocabulary, -1 where it has none, and the ids of the vocabulary."""
    network = readout.network
    found = [network.position(gene_id) for gene_id in gene_ids]
    positions = np.array([-1 if position is None else position for position in found], dtype=np.int64)
    return {"positions": positions, "vocabulary": np.array(network.gene_ids)}


def scan_cells(readout: Readout, edits: Sequence[NDArray[np.int64]], cells: NDArray[np.int64]) -> dict[str, Any]:
    """Return how many genes the model reads of each cell, and whether it reads all genes of each edit.

    Returns
    -------
    ``n_genes``, shape ``(n_cells,)``, and ``holds``, shape ``(n_cells, n_edits)``.
    """
    network, tokens = readout.network, readout.tokens(cells)
    genes = tokens.keep(~network.special(tokens))
    holds = np.ones((len(cells), len(edits)), dtype=bool)
    for number, positions in enumerate(edits):
        for position in positions:
            holds[:, number] &= genes.holds(int(position))
    return {"n_genes": genes.lengths.astype(np.int32), "holds": holds}


def compare_edits(
    readout: Readout, reading: "Reading", edits: Sequence[tuple[GeneEdit, ...]], passes: Passes
) -> dict[str, NDArray[Any]]:
    """Make edits in cells and compare; see `_compared` for what is returned."""
    from scfm_core.token_shifts import Edited, gathered, read_unedited

    network, tokens = readout.network, readout.tokens(passes.cells)
    parts, order, dropped = [], [], np.zeros(len(passes), dtype=np.int64)
    for number in np.unique(passes.edit_of_pair):
        pairs = np.flatnonzero(passes.edit_of_pair == number)
        genes = positions_of(network, edits[number])
        before = tokens.take(passes.cell_of_pair[pairs])
        after = network.edit(before, edits[number])
        parts.append((after, np.isin(after.genes, genes)))
        order.append(pairs)
        if isinstance(edits[number][0], Overexpress):
            dropped[pairs] = n_overflowing(before, genes, longest=network.frame.longest)
    back = np.argsort(np.concatenate(order))
    keys, unedited_of_pair = np.unique(np.stack([passes.cell_of_pair, dropped]), axis=1, return_inverse=True)
    unedited = without_tail(tokens.take(keys[0]), keys[1], n_after=network.frame.n_after)
    together = Edited(
        concatenate([after for after, _ in parts]),
        unedited_of_pair.ravel()[np.concatenate(order)],
        np.concatenate([is_edited for _, is_edited in parts]),
    )

    def run(batch: NDArray[np.int64]) -> "Unedited":
        return read_unedited(network, unedited.take(batch), readout.options)

    read = list(fitting_batches(unedited.lengths, run, token_budget=readout.token_budget))
    place = np.argsort(np.concatenate([batch for batch, _ in read]))  # where each unedited cell came to lie
    moved = Edited(together.tokens, place[together.unedited], together.is_edited).take(back)
    return _compared(readout, reading, gathered([part for _, part in read]), moved)


def compare_every_gene(
    readout: Readout, reading: "Reading", kind: Kind, quartiles: int, passes: Passes
) -> dict[str, NDArray[Any]]:
    """Edit the genes of cells one at a time and compare; see `_compared` for what is returned.

    Parameters
    ----------
    passes
        Here the number of an edit is the rank of the gene in its cell, 0 for the strongest.

    Returns
    -------
    What `_compared` does, and ``edited_gene``, the position of the gene in the vocabulary, shape ``(n_pairs,)``.
    """
    from scfm_core.token_shifts import Edited, gathered

    network = readout.network
    unedited = gathered([_unedited_cell(readout, this_device(), int(cell)) for cell in passes.cells])
    parts, genes = [], np.empty(len(passes), dtype=np.int32)
    for cell in range(len(passes.cells)):
        pairs = np.flatnonzero(passes.cell_of_pair == cell)  # ascending, as pairs are ordered by cell
        tokens = unedited.tokens.take(np.array([cell]))
        ranks = passes.edit_of_pair[pairs] + network.frame.n_before
        genes[pairs] = tokens.genes[ranks]
        parts.append(edited_at(network, tokens, ranks, kind, quartiles))
    tokens = concatenate(parts)
    is_edited = tokens.genes == np.repeat(genes, tokens.lengths)
    edited = Edited(tokens, passes.cell_of_pair, is_edited)
    return {**_compared(readout, reading, unedited, edited), "edited_gene": genes}


def _compared(
    readout: Readout, reading: "Reading", unedited: "Unedited", edited: "Edited"
) -> dict[str, NDArray[Any]]:
    """Compare in batches.

    Returns
    -------
    ``values``, shape ``(n_pairs, n_values)``, NaN where the edit left no gene; and of single genes ``pair``, ``gene``
    (position in the vocabulary) and ``similarity``, in the order of pairs and of genes in each.
    """
    from scfm_core.token_shifts import Compared, compare

    network = readout.network
    held = np.flatnonzero(edited.tokens.lengths)

    def run(batch: NDArray[np.int64]) -> Compared:
        return compare(network, unedited, edited.take(held[batch]), reading)

    values = np.full((edited.tokens.n_cells, max(len(reading.states), 1)), np.nan)
    pair, gene, similarity = [], [], []
    for batch, part in fitting_batches(edited.tokens.lengths[held], run, token_budget=readout.token_budget):
        values[held[batch]] = part.values
        pair.append(held[batch][part.cells])
        gene.append(part.genes)
        similarity.append(part.similarities)
    if not pair:
        return {"values": values, "pair": held, "gene": held.astype(np.int32), "similarity": held.astype(np.float64)}
    pairs = np.concatenate(pair)
    order = np.argsort(pairs, kind="stable")
    return {
        "values": values,
        "pair": pairs[order],
        "gene": np.concatenate(gene)[order],
        "similarity": np.concatenate(similarity)[order],
    }


@lru_cache(maxsize=_CELLS_KEPT)
def _unedited_cell(readout: Readout, device: str, cell: int) -> "Unedited":
    """Return one cell as it is; ``device`` is that of this thread, on which the states stay."""
    from scfm_core.token_shifts import read_unedited

    tokens = readout.tokens(np.array([cell]))
    _, part = next(
        fitting_batches(
            tokens.lengths,
            lambda batch: read_unedited(readout.network, tokens.take(batch), readout.options),
            token_budget=readout.token_budget,
        )
    )
    return part
