"""How edited cells differ from what they were, gene by gene and as a whole, on the device; knows no datasets.

What is compared follows Geneformer's ``InSilicoPerturber``; `compare` describes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scfm_core.model import EmbedOptions
from scfm_core.rank_bert import RankBert
from scfm_core.tensors import layers_to_run, memory_errors, token_states
from scfm_core.tokens import Tokens, concatenate


@dataclass(frozen=True, eq=False)
class Reading:
    """What is read of each edited cell.

    Attributes
    ----------
    options
        Layer, pooling and precision.
    states
        Vectors of the states that shifts are measured toward, shape ``(n_states, hidden_size)``, float64; of shape
        ``(0, hidden_size)`` where the edited cell is compared with the unedited one.
    gene_level
        Whether the genes are compared one by one too.
    """

    options: EmbedOptions
    states: NDArray[np.float64]
    gene_level: bool


@dataclass(frozen=True, eq=False)
class Unedited:
    """Cells as they are.

    Attributes
    ----------
    tokens
        The cells, none of them empty.
    states
        State of each token, shape ``(n_tokens, hidden_size)``, float32, on the device of the network.
    vectors
        Vector of each cell, shape ``(n_cells, hidden_size)``.
    """

    tokens: Tokens
    states: Tensor
    vectors: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Edited:
    """Cells after an edit.

    Attributes
    ----------
    tokens
        The cells, none of them empty.
    unedited
        Which unedited cell each is compared with, shape ``(n_cells,)``.
    is_edited
        Tokens of the genes that were edited, which are not compared, shape ``(n_tokens,)``.
    """

    tokens: Tokens
    unedited: NDArray[np.int64]
    is_edited: NDArray[np.bool_]

    def take(self, cells: NDArray[np.int64]) -> "Edited":
        """Return some of the cells, in the order asked for."""
        lengths = self.tokens.lengths[cells]
        ends = np.cumsum(lengths)
        where = np.repeat(self.tokens.offsets[:-1][cells] - (ends - lengths), lengths) + np.arange(lengths.sum())
        return Edited(self.tokens.take(cells), self.unedited[cells], self.is_edited[where])


@dataclass(frozen=True, eq=False)
class Compared:
    """What was read of some edited cells.

    Attributes
    ----------
    values
        The similarity, shape ``(n_cells, 1)``, or the shift toward each state, shape ``(n_cells, n_states)``; NaN where
        no gene is left to compare.
    cells, genes, similarities
        Of the genes one by one: the edited cell, the gene as a position in the vocabulary, and its similarity, each of
        shape ``(n_compared,)``; empty where not asked for.
    """

    values: NDArray[np.float64]
    cells: NDArray[np.int64]
    genes: NDArray[np.int32]
    similarities: NDArray[np.float64]


def read_unedited(model: RankBert, tokens: Tokens, options: EmbedOptions) -> Unedited:
    """Run one batch of cells, none of them empty; raises MemoryError where it does not fit the device."""
    states = _states(model, tokens, options)
    return Unedited(tokens, states, _pooled(model, tokens, states, options.pooling))


def gathered(parts: Sequence[Unedited]) -> Unedited:
    """Return the cells of several parts, one after another."""
    if len(parts) == 1:
        return parts[0]
    with memory_errors():
        states = torch.cat([part.states for part in parts])
    vectors = np.concatenate([part.vectors for part in parts])
    return Unedited(concatenate([part.tokens for part in parts]), states, vectors)


def compare(model: RankBert, unedited: Unedited, edited: Edited, reading: Reading) -> Compared:
    """Run one batch of edited cells and compare them with the unedited ones.

    Without states: where a cell's vector is that of ``<cls>``, the cosine of both vectors; else the cosine of each
    gene before and after the edit, averaged over the genes that were not edited. 1 means that nothing moved.

    With states: the cosine of the edited cell's vector with the state, less that of the unedited cell's vector, which
    is the mean over all its genes, also those that the edit takes away.

    Raises
    ------
    MemoryError
        If the batch does not fit the device.
    """
    pooling, has_states = reading.options.pooling, len(reading.states) > 0
    states = _states(model, edited.tokens, reading.options)
    n_cells = edited.tokens.n_cells
    cells, genes, similarities = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0)
    if reading.gene_level or not (has_states or pooling == "cls"):
        where, place = _counterparts(model, unedited.tokens, edited)
        cells, genes = edited.tokens.cell_of_token()[where], edited.tokens.genes[where]
        similarities = _similarities(_at(unedited.states, place), _some(states, where))
    if has_states or pooling == "cls":
        vectors, before = _pooled(model, edited.tokens, states, pooling), unedited.vectors[edited.unedited]
        values = (
            _cosines(vectors, reading.states) - _cosines(before, reading.states)
            if has_states
            else 1.0 - 0.5 * ((_unit(vectors) - _unit(before)) ** 2).sum(axis=1, keepdims=True)
        )
    else:
        n_compared = np.bincount(cells, minlength=n_cells)
        sums = np.bincount(cells, weights=similarities, minlength=n_cells)
        values = (sums / np.where(n_compared, n_compared, np.nan))[:, None]
    if not reading.gene_level:
        cells, genes, similarities = cells[:0], genes[:0], similarities[:0]
    return Compared(values, cells, genes, similarities)


def _states(model: RankBert, tokens: Tokens, options: EmbedOptions) -> Tensor:
    n_layers = layers_to_run(model.network.shape.num_hidden_layers, options.layer)
    return token_states(model.network, tokens, n_layers=n_layers, precision=options.precision)


def _counterparts(model: RankBert, before: Tokens, edited: Edited) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which tokens of the edited cells are compared, and the token of the unedited cells that each was."""
    size = len(model.gene_ids)
    known = before.cell_of_token() * size + before.genes
    order = np.argsort(known)
    where = np.flatnonzero(~(model.special(edited.tokens) | edited.is_edited))
    wanted = edited.unedited[edited.tokens.cell_of_token()[where]] * size + edited.tokens.genes[where]
    place = order[np.searchsorted(known, wanted, sorter=order).clip(max=len(known) - 1)]
    found = known[place] == wanted
    return where[found], place[found]


def _similarities(before: Tensor, after: Tensor) -> NDArray[np.float64]:
    """Return cosines from the distance of unit vectors: exactly 1 of equal vectors, and precise close to 1."""
    with memory_errors(), torch.inference_mode():
        turned = after / torch.linalg.vector_norm(after, dim=1, keepdim=True)
        turned -= before / torch.linalg.vector_norm(before, dim=1, keepdim=True)
        return 1.0 - 0.5 * _double(torch.linalg.vector_norm(turned, dim=1)) ** 2


def _pooled(model: RankBert, tokens: Tokens, states: Tensor, pooling: str) -> NDArray[np.float64]:
    with memory_errors(), torch.inference_mode():
        if pooling == "cls":
            return _double(_at(states, tokens.offsets[:-1]))
        genes = ~model.special(tokens)
        return _means(_some(states, np.flatnonzero(genes)), tokens.keep(genes).lengths)


def _means(states: Tensor, lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    if (lengths == lengths[0]).all():  # as in all deletions from one cell: many times faster
        return _double(states.view(len(lengths), int(lengths[0]), -1).mean(1))
    wide = (states.cpu() if states.device.type == "mps" else states).double()  # Apple's devices know no float64
    return _double(torch.segment_reduce(wide, "mean", lengths=torch.from_numpy(lengths).to(wide.device), axis=0))


def _some(states: Tensor, where: NDArray[np.int64]) -> Tensor:
    """Return some rows, named once and ascending; all of them without a copy."""
    return states if len(where) == len(states) else _at(states, where)


def _at(states: Tensor, where: NDArray[np.int64]) -> Tensor:
    with memory_errors():
        return states[torch.from_numpy(where).to(states.device)]


def _cosines(vectors: NDArray[np.float64], states: NDArray[np.float64]) -> NDArray[np.float64]:
    return _unit(vectors) @ _unit(states).T


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _double(values: Tensor) -> NDArray[np.float64]:
    return cast(NDArray[np.float64], values.cpu().double().numpy())
