"""Which genes does a model look at when it reads each gene of one cell?"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells, require_organism
from scfm_core.analyses.fit_model import model_arrays
from scfm_core.analyses.perturbation_passes import Apparatus
from scfm_core.dataset import Dataset
from scfm_core.errors import ModelError, RequestError
from scfm_core.genes import gene_table, symbol_of
from scfm_core.request import Context, Request
from scfm_core.tokens import Tokens

TOP = 50
MOST_BYTES = 2**28  # of the weights of an answer


@dataclass(frozen=True)
class Attention:
    """Attention weights of one layer between some tokens of one cell, in the order in which the model reads them.

    Attributes
    ----------
    gene_ids
        Ensembl ids as the model knows them, length ``n_shown``; empty for a special token.
    symbols
        Names for the eye, length ``n_shown``; ``<cls>`` and ``<eos>`` for special tokens.
    positions
        Place of each shown token in the cell's input, 0 for the first, ascending, shape ``(n_shown,)``, int32.
    weights
        Shape ``(n_heads, n_shown, n_shown)``, float32: head, who looks, at whom. They are those of the whole cell: a
        row sums to 1 over ALL tokens of the cell, and to less over the tokens shown.
    received
        Mean weight that each shown token receives from all tokens of the cell, shape ``(n_heads, n_shown)``, float64.
    entropy_bits
        How widely a head looks: entropy of its rows, mean over all tokens of the cell, shape ``(n_heads,)``, float64;
        0 where each token looks at one other, log2 of ``n_tokens`` where it looks at all alike.
    n_tokens
        Tokens of the cell, special ones among them.
    """

    gene_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    positions: NDArray[np.int32]
    weights: NDArray[np.float32]
    received: NDArray[np.float64]
    entropy_bits: NDArray[np.float64]
    n_tokens: int

    @property
    def n_heads(self) -> int:
        """Number of heads."""
        return len(self.weights)

    @property
    def shown_share(self) -> NDArray[np.float64]:
        """Share of the attention of all tokens of the cell that the shown ones receive, shape ``(n_heads,)``."""
        return np.asarray(self.received.sum(axis=1))

    def of_head(self, head: int | None) -> NDArray[np.float32]:
        """Return the weights of one head, counted from 1, or the mean over heads where None.

        Returns
        -------
        Shape ``(n_shown, n_shown)``, float32.
        """
        if head is None:
            return np.asarray(self.weights.mean(axis=0, dtype=np.float64), dtype=np.float32)
        return np.asarray(self.weights[self._place(head)])

    def received_by(self, head: int | None) -> NDArray[np.float64]:
        """Return the mean weight that each shown token receives in one head, or over heads; shape ``(n_shown,)``."""
        return np.asarray(self.received.mean(axis=0) if head is None else self.received[self._place(head)])

    def _place(self, head: int) -> int:
        if not 1 <= head <= self.n_heads:
            msg = f"There is no head {head}. Heads count from 1: choose one between 1 and {self.n_heads}."
            raise RequestError(msg, "unknown-head")
        return head - 1


@dataclass(frozen=True)
class ReadAttention(Request[Attention]):
    """Read the attention weights of each head of a layer when a model reads one cell; always in float32.

    Parameters
    ----------
    baseline
        Which dataset and model; its options play no part here.
    cell
        Position of the cell in the dataset.
    layer
        1 is the layer that reads the embedded tokens, ``model.n_layers`` the last.
    top
        How many tokens are kept: those that receive most attention of all tokens of the cell, by their best rank in
        any head or in the mean over heads. All tokens, where None.

    Raises
    ------
    RequestError
        If the model has no attention, no such layer or the dataset no such cell; while running, if the cell holds no
        gene of the model, or all tokens were asked for and their weights take more than 256 MiB.
    """

    baseline: EmbedCells
    cell: int
    layer: int
    top: int | None = TOP

    result_type: ClassVar[type] = Attention

    def __post_init__(self) -> None:
        model, dataset = self.baseline.model, self.baseline.dataset
        if not model.has_attention:
            msg = f"{model.title} has no attention weights. Choose a transformer, such as scfm-mini."
            raise RequestError(msg, "no-attention")
        if not 1 <= self.layer <= model.n_layers:
            msg = (
                f"{model.title} has no attention layer {self.layer}. Layers count from 1, the first: choose one "
                f"between 1 and {model.n_layers}."
            )
            raise RequestError(msg, "unknown-layer")
        if not 0 <= self.cell < dataset.n_cells:
            msg = f"There is no cell {self.cell:,}. Choose one between 0 and {dataset.n_cells - 1:,}."
            raise RequestError(msg, "unknown-cell")
        if self.top is not None and self.top < 1:
            msg = f"Expected at least 1 gene to show, found {self.top}. Leave the number out to see {TOP}."
            raise RequestError(msg, "bad-top")
        object.__setattr__(self, "baseline", replace(self.baseline, options=None))

    def run(self, context: Context) -> Attention:
        """See `Request.run`."""
        dataset, model = self.baseline.dataset, self.baseline.model
        require_organism(dataset, model)
        options = self.baseline.chosen_options
        apparatus = Apparatus(dataset, model, options, model_arrays(context, dataset, model))
        read = partial(_read, apparatus, self.cell, self.layer, self.top)
        part = context.call(read, step=f"Reading the attention of {model.title}")
        gene_ids = tuple(part["gene_ids"].tolist())
        tokens = zip(gene_ids, part["positions"].tolist(), strict=True)
        symbols = tuple(_symbol(dataset, gene_id, position) for gene_id, position in tokens)
        arrays = {name: part[name] for name in ("positions", "weights", "received", "entropy_bits")}
        return Attention(gene_ids=gene_ids, symbols=symbols, n_tokens=int(part["n_tokens"]), **arrays)


def cell_position(dataset: Dataset, name: str) -> int:
    """Return where the cell of a name stands in a dataset.

    Raises
    ------
    RequestError
        If no cell has this name.
    """
    names = dataset.cells().index
    found = np.flatnonzero(names == name)
    if not len(found):
        msg = (
            f"No cell is called {name!r}. The {dataset.n_cells:,} cells of this dataset have names such as "
            f"{', '.join(names[:3])}. Choose one of them."
        )
        raise RequestError(msg, "unknown-cell")
    return int(found[0])


class _Attentive(Protocol):
    """What a model with attention can say beside `CellModel`."""

    def attention(self, tokens: Tokens, layer: int) -> NDArray[np.float32]:
        """Return the weights of the layer that makes a hidden layer (0: the last), ``(n_heads, n, n)``."""


def _read(apparatus: Apparatus, cell: int, layer: int, top: int | None) -> dict[str, Any]:
    """Return the fields of `Attention`, but for the symbols."""
    tokens = apparatus.tokens(np.array([cell]))
    n_tokens = len(tokens.genes)
    if n_tokens == 0:
        msg = f"This cell holds no gene that {apparatus.model.title} reads. Choose another cell."
        raise RequestError(msg, "no-tokens")
    try:
        weights = cast(_Attentive, apparatus.network).attention(tokens, layer - apparatus.model.n_layers)
    except MemoryError as error:
        msg = (
            f"The attention between {n_tokens:,} tokens does not fit the memory of the device. "
            "Choose a smaller model or a cell with fewer genes, or compute on the processor (SCFM_DEVICE=cpu)."
        )
        raise ModelError(msg, "out-of-memory") from error
    if top is None and weights.nbytes > MOST_BYTES:
        msg = (
            f"The attention between all {n_tokens:,} tokens of this cell in {len(weights)} heads takes "
            f"{weights.nbytes / 2**20:,.0f} MiB, more than {MOST_BYTES // 2**20} MiB. "
            f"Show fewer genes, such as the {TOP} that receive most attention."
        )
        raise RequestError(msg, "too-large")
    received = weights.mean(axis=1, dtype=np.float64)
    shown = np.sort(_most_attended(received)[:top])
    return {
        "gene_ids": np.array(apparatus.network.gene_ids)[tokens.genes[shown]],
        "positions": shown.astype(np.int32),
        "weights": weights[:, shown[:, None], shown],
        "received": received[:, shown],
        "entropy_bits": np.array([_entropy_bits(head) for head in weights]),
        "n_tokens": n_tokens,
    }


def _most_attended(received: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order tokens by their best rank among what each head, and the mean over heads, attends to most."""
    mean = received.mean(axis=0)
    order = np.argsort(-np.vstack([mean, received]), axis=1, kind="stable")
    ranks = np.argsort(order, axis=1, kind="stable")
    return np.lexsort((-mean, ranks.min(axis=0)))


def _entropy_bits(weights: NDArray[np.float32]) -> float:
    """Return the mean entropy of the rows of one head."""
    logarithms = np.log2(weights, out=np.zeros_like(weights), where=weights > 0)
    return float(-np.einsum("ij,ij->i", weights, logarithms).mean(dtype=np.float64))


def _symbol(dataset: Dataset, gene_id: str, position: int) -> str:
    if not gene_id:
        return "<eos>" if position else "<cls>"
    known = symbol_of(dataset, gene_id)
    return gene_table(dataset.organism).symbols.get(gene_id, known) if known == gene_id else known
