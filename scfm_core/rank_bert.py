"""A BERT that reads a cell as its genes ranked by how strongly they stand out: what Geneformer and scfm-mini share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts
from scfm_core.errors import ModelError, RequestError
from scfm_core.model import CellStates, DeletionEstimates, EmbedOptions, ScreenEffort
from scfm_core.rank_values import rank_value_tokens
from scfm_core.token_edits import Frame, deleted, moved_by_quartiles, moved_to_front
from scfm_core.tokens import (
    Activate,
    Delete,
    GeneEdit,
    Inhibit,
    Overexpress,
    Scale,
    Tokens,
    counts_in_vocabulary,
)

if TYPE_CHECKING:  # torch is slow to import, and a card needs none
    from torch import Tensor

    from scfm_core.tensors import GeneBert


class RankBert:
    """A loaded network with its vocabulary and medians.

    Where the vocabulary has ``<cls>``, every cell that holds a gene is ``<cls>``, its genes, ``<eos>``. A cell without
    genes has no tokens at all.

    Parameters
    ----------
    network
        The network, on its device.
    tokens
        Name of each position of the vocabulary: Ensembl ids, and special tokens in angle brackets.
    medians
        Typical value of each gene after scaling each cell to 10,000 counts; None for special tokens.
    aliases
        Gene ids that stand for another one of the vocabulary; their counts are summed. An id that leads to empty text
        is not read.

    Attributes
    ----------
    network
        As given.
    gene_ids
        Ensembl id at each position of the vocabulary; empty for a special token.

    Raises
    ------
    ModelError
        If the vocabulary, its medians and the network do not fit each other.
    """

    def __init__(
        self,
        network: "GeneBert",
        *,
        tokens: Sequence[str],
        medians: Sequence[float | None],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        aliases = aliases or {}
        _check_vocabulary(tokens, medians, network.shape.vocab_size)
        _check_aliases(tokens, aliases)
        self.network = network
        self.gene_ids = tuple("" if _is_special(name) else name for name in tokens)
        position = {name: place for place, name in enumerate(tokens)}
        known = {gene_id.upper(): place for place, gene_id in enumerate(self.gene_ids) if gene_id}
        known |= {alias: position[gene_id] if gene_id else -1 for alias, gene_id in aliases.items()}
        self._position = {gene_id: place for gene_id, place in known.items() if place >= 0}
        self._medians = np.array([1.0 if median is None else median for median in medians], dtype=np.float64)
        self._last_genes: tuple[tuple[str, ...], NDArray[np.int32] | None] | None = None
        self._cls, self._eos = position.get("<cls>"), position.get("<eos>")
        n_around = 0 if self._cls is None else 1
        self.frame = Frame(n_around, n_around, network.shape.max_position_embeddings)

    def encode(self, counts: CellCounts) -> Tokens:
        """See `CellModel.encode`; ids are looked up in upper case, ties go to the lower position of the vocabulary."""
        matrix: csr_matrix = counts.matrix
        columns: NDArray[np.int32] | None = self._columns(counts.gene_ids)
        if columns is None:
            upper = replace(counts, gene_ids=tuple(gene_id.upper() for gene_id in counts.gene_ids))
            matrix = counts_in_vocabulary(upper, self._position, size=len(self.gene_ids))
        elif not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
        longest = self.frame.longest - self.frame.n_special
        return self._framed(
            rank_value_tokens(matrix, counts.total_counts, self._medians, max_tokens=longest, columns=columns)
        )

    def edit(self, tokens: Tokens, edits: Sequence[GeneEdit]) -> Tokens:
        """See `CellModel.edit`: edits apply in the order listed, each to what the one before left.

        Genes deleted, or overexpressed, next to each other in the list are one group: a group comes to the front in
        the order listed. A cell that was cut to the longest input is not filled up again after a deletion. Inhibiting
        and activating move a gene that the cell holds (`scfm_core.token_edits.moved_by_quartiles`). Raises a
        `ModelError` for `Scale`: there are no values to scale.
        """
        if any(isinstance(edit, Scale) for edit in edits):
            msg = "This model reads the order of genes, not counts that one could scale. Inhibit or activate instead."
            raise ModelError(msg, "unsupported-edit")
        for kind, genes, quartiles in _steps(edits):
            known = np.array([p for p in map(self.position, genes) if p is not None], dtype=np.int64)
            if kind is Delete:
                tokens = deleted(tokens, known, self.frame)
            elif kind is Overexpress:
                tokens = moved_to_front(tokens, known, self.frame)
            else:
                for gene in known:
                    tokens = moved_by_quartiles(tokens, int(gene), quartiles, self.frame)
        return tokens

    def position(self, gene_id: str) -> int | None:
        """Return the position of a gene in the vocabulary, by its id or an alias of it; None for an unknown gene."""
        return self._position.get(gene_id.upper())

    def embed(self, tokens: Tokens, options: EmbedOptions) -> CellStates:
        """See `CellModel.embed`; a token's vector is given for special tokens too.

        Poolings: ``"cell"`` and ``"mean"``, the mean over the cell's genes; ``"cls"``, the vector of ``<cls>``.
        """
        from scfm_core.tensors import layers_to_run, token_states

        n_layers = layers_to_run(self.network.shape.num_hidden_layers, options.layer)
        states = token_states(self.network, tokens, n_layers=n_layers, precision=options.precision)
        cells = self._pooled(states, tokens, options.pooling)
        return CellStates(cells, states.cpu().numpy() if options.gene_vectors else None)

    def _pooled(self, states: "Tensor", tokens: Tokens, pooling: str) -> NDArray[np.float32]:
        from scfm_core.tensors import first_per_cell, mean_per_cell

        self._check_pooling(pooling)
        if pooling == "cls":
            return first_per_cell(states, tokens)
        return mean_per_cell(states, tokens, None if self._cls is None else ~self.special(tokens))

    def _check_pooling(self, pooling: str) -> None:
        if pooling not in ("cls", "cell", "mean") or (pooling == "cls" and self._cls is None):
            msg = f"These weights give a cell no vector by the pooling {pooling!r}. Choose the pooling 'cell'."
            raise RequestError(msg, "unknown-pooling")

    def special(self, tokens: Tokens) -> NDArray[np.bool_]:
        """Whether each token is a special one, shape ``(n_tokens,)``."""
        return np.isin(tokens.genes, [place for place in (self._cls, self._eos) if place is not None])

    def attention(self, tokens: Tokens, layer: int) -> NDArray[np.float32]:
        """Return how strongly each token of one cell attends to each other one.

        Parameters
        ----------
        tokens
            The tokens of ONE cell.
        layer
            The layer that makes this hidden layer: 0 is the last, -1 the second to last.

        Returns
        -------
        Shape ``(n_heads, n_tokens, n_tokens)``, float32: head, attending token, attended token; rows sum to 1.

        Raises
        ------
        RequestError
            If there is not exactly one cell, or no such layer.
        MemoryError
            If the weights do not fit the device.
        """
        from scfm_core.tensors import attention_weights, layers_to_run

        if tokens.n_cells != 1:
            msg = f"Attention is read of one cell at a time, found {tokens.n_cells:,}. Choose one cell."
            raise RequestError(msg, "one-cell")
        n_layers = layers_to_run(self.network.shape.num_hidden_layers, layer)
        if n_layers == 0:
            msg = f"Hidden layer {layer} lies before the first layer and has no attention. Choose a higher layer."
            raise RequestError(msg, "unknown-layer")
        return attention_weights(self.network, tokens, number=n_layers - 1)

    def estimate_deletions(
        self, tokens: Tokens, options: EmbedOptions, *, goals: NDArray[np.float64], effort: ScreenEffort
    ) -> DeletionEstimates:
        """See `ScreenedModel.estimate_deletions` and `scfm_core.first_order`; cells of one length go together."""
        import torch

        from scfm_core.first_order import Reading, deletion_estimates
        from scfm_core.tensors import each_on_one_core, layers_to_run

        self._check_pooling(options.pooling)
        reading = Reading(
            n_layers=layers_to_run(self.network.shape.num_hidden_layers, options.layer),
            first_token=options.pooling == "cls",
            n_before=self.frame.n_before,
            n_after=self.frame.n_after,
        )
        device = next(self.network.parameters()).device
        states = torch.from_numpy(goals).to(device, torch.float32)
        size, shifts = np.empty(len(tokens.genes)), np.empty((len(goals), len(tokens.genes)))

        def estimate(where: NDArray[np.int64]) -> None:
            ids = torch.from_numpy(tokens.genes[where].astype(np.int64)).to(device)
            sizes, toward = deletion_estimates(self.network, ids, reading, goals=states, effort=effort)
            size[where], shifts[:, where] = sizes.cpu().numpy(), toward.transpose(0, 1).cpu().numpy()

        if device.type == "cpu":
            each_on_one_core(estimate, list(_cells_of_one_length(tokens, torch.get_num_threads())))
        else:
            for where in _cells_of_one_length(tokens, 1):
                estimate(where)
        return DeletionEstimates(size, shifts)

    def static_gene_vectors(self) -> NDArray[np.float32]:
        """Return the vector of each position of the vocabulary before any cell is read.

        Returns
        -------
        Shape ``(n_positions, hidden_size)``, float32.
        """
        weight = self.network.bert.embeddings.word_embeddings.weight
        vectors: NDArray[np.float32] = weight.detach().cpu().numpy().copy()
        return vectors

    def _columns(self, gene_ids: tuple[str, ...]) -> NDArray[np.int32] | None:
        """Return the position of each gene of a dataset, -1 where unknown; None where two share a position.

        Kept for the dataset that was read last, as a chunk of cells takes less time than looking up its genes.
        """
        if self._last_genes is None or self._last_genes[0] != gene_ids:
            found = np.array([self._position.get(gene_id.upper(), -1) for gene_id in gene_ids], dtype=np.int32)
            known = found[found >= 0]
            self._last_genes = (gene_ids, None if len(np.unique(known)) < len(known) else found)
        return self._last_genes[1]

    def _framed(self, genes: Tokens) -> Tokens:
        """Put ``<cls>`` and ``<eos>`` around the genes of every cell that has any."""
        if self._cls is None:
            return genes
        held = genes.lengths > 0
        offsets = np.concatenate([[0], np.cumsum(genes.lengths + 2 * held)]).astype(np.int64)
        framed = np.empty(offsets[-1], dtype=np.int32)
        framed[np.arange(len(genes.genes)) + np.repeat(offsets[:-1] - genes.offsets[:-1] + 1, genes.lengths)] = (
            genes.genes
        )
        framed[offsets[:-1][held]] = self._cls
        framed[offsets[1:][held] - 1] = self._eos
        return Tokens(framed, np.ones(len(framed), dtype=np.float32), offsets)


def _cells_of_one_length(tokens: Tokens, n_parts: int) -> Iterator[NDArray[np.int64]]:
    """Yield where the tokens of some cells of one length stand, shape ``(n_cells, length)``, in up to ``n_parts``."""
    for length in np.unique(tokens.lengths[tokens.lengths > 0])[::-1]:
        starts = tokens.offsets[:-1][tokens.lengths == length]
        for part in np.array_split(starts, min(n_parts, len(starts))):
            yield part[:, None] + np.arange(length)


def _steps(edits: Sequence[GeneEdit]) -> Iterator[tuple[type, list[str], int]]:
    """Group neighbouring edits of one kind; the quartiles are negative where a gene moves up."""

    def kind_and_quartiles(edit: GeneEdit) -> tuple[type, int]:
        if isinstance(edit, Inhibit | Activate):
            return type(edit), edit.quartiles if isinstance(edit, Inhibit) else -edit.quartiles
        return type(edit), 0

    for (kind, quartiles), group in groupby(edits, key=kind_and_quartiles):
        yield kind, [edit.gene_id for edit in group], quartiles


def _is_special(name: str) -> bool:
    return name.startswith("<") and name.endswith(">")


def _check_vocabulary(tokens: Sequence[str], medians: Sequence[float | None], n_expected: int) -> None:
    if not len(tokens) == len(medians) == n_expected:
        msg = (
            f"The vocabulary has {len(tokens):,} tokens and {len(medians):,} medians, but the network was made for "
            f"{n_expected:,} tokens. Get all files of the weights from one place."
        )
        raise ModelError(msg, "unsuitable-weights")
    named = zip(tokens, medians, strict=True)
    wrong = [name for name, median in named if not _is_special(name) and not (median is not None and median > 0)]
    if wrong:
        msg = (
            f"{len(wrong):,} genes of the vocabulary have no positive median, {wrong[0]!r} first. "
            "Get all files of the weights from one place."
        )
        raise ModelError(msg, "unsuitable-weights")
    if ("<cls>" in tokens) != ("<eos>" in tokens):
        msg = "The vocabulary has one of <cls> and <eos>, but not both. Get all files of the weights from one place."
        raise ModelError(msg, "unsuitable-weights")


def _check_aliases(tokens: Sequence[str], aliases: Mapping[str, str]) -> None:
    unknown = set(aliases.values()) - {name for name in tokens if not _is_special(name)} - {""}
    if unknown or len(set(tokens)) < len(tokens):
        found = f"ids that stand for {min(unknown)!r}, which it lacks" if unknown else "a token twice"
        msg = f"The vocabulary has {found}. Get all files of the weights from one place."
        raise ModelError(msg, "unsuitable-weights")
