"""Where does each cell lie in the space of a model?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.analyses.fit_model import model_arrays
from scfm_core.analyses.fitting_batches import fitting_batches
from scfm_core.analyses.placed_together import place_together, with_batch
from scfm_core.dataset import CellCounts, Dataset
from scfm_core.devices import this_device
from scfm_core.errors import ModelError, RequestError
from scfm_core.model import Arrays, CellModel, CellStates, EmbedOptions, ModelSpec
from scfm_core.request import Context, Request
from scfm_core.tokens import Tokens, genes_only
from scfm_core.weights import loaded_model

TOKEN_BUDGET = 16_384
_ACCELERATOR_BUDGET = 2**18  # too few tokens leave most of an accelerator idle
_UNBOUNDED_BUDGET = 2**22  # a model without a token limit is a baseline: no attention, hence no padding to pay for
_GENES_PER_PROBE = 256

__all__ = ["EmbedCells", "Embedding", "cells_per_chunk", "chunks_of", "embed_tokens", "model_arrays", "token_budget_of"]


@dataclass(frozen=True)
class Embedding:
    """One point per cell, in the order of the dataset's cells.

    Attributes
    ----------
    points
        Shape ``(n_cells, embedding_size)``, float32; NaN for a cell that holds no gene of the model.
    n_tokens
        How many genes of each cell the model read, after truncation and without special tokens, shape ``(n_cells,)``,
        int32.
    """

    points: NDArray[np.float32]
    n_tokens: NDArray[np.int32]


@dataclass(frozen=True)
class EmbedCells(Request[Embedding]):
    """Embed every cell of a dataset with a model.

    Parameters
    ----------
    options
        What the model's authors recommend, where None. ``gene_vectors`` plays no part here and is ignored. For a model
        that corrects for batches, an empty ``batch`` becomes the column that holds the dataset's batches.

    Raises
    ------
    RequestError
        If the model has no such layer or pooling, or the dataset has no such column.
    """

    dataset: Dataset
    model: ModelSpec
    options: EmbedOptions | None = None

    version: ClassVar[int] = 2  # networks run without padding since then
    result_type: ClassVar[type] = Embedding

    def __post_init__(self) -> None:
        options = _checked(self.model, self.options)
        object.__setattr__(self, "options", with_batch(self.dataset, self.model, options))

    @property
    def chosen_options(self) -> EmbedOptions:
        """The options in use; never None."""
        return self.options or self.model.default_options()

    def run(self, context: Context) -> Embedding:
        """See `Request.run`."""
        require_organism(self.dataset, self.model)
        if self.model.place is not None:
            placed = place_together(context, self, self.model.place)
            return Embedding(points=placed.points, n_tokens=placed.n_genes)
        fitted = model_arrays(context, self.dataset, self.model)
        probe = partial(count_known_genes, self.dataset, self.model, fitted)
        require_known_genes(context, self.dataset, self.model, n_known=context.call(probe, step=_loading(self.model)))
        spans = chunks_of(self.dataset.n_cells, cells_per_chunk(self.model))
        embed = partial(_embed_chunk, self.dataset, self.model, self.chosen_options, fitted)
        sizes = [stop - start for start, stop in spans]
        parts = list(context.map(embed, spans, step=f"Embedding with {self.model.title}", sizes=sizes))
        n_tokens = np.concatenate([part["n_tokens"] for part in parts])
        n_empty = int((n_tokens == 0).sum())
        if n_empty:
            context.log(f"{n_empty:,} of {self.dataset.n_cells:,} cells hold no gene of the model and get no vector")
        return Embedding(points=np.concatenate([part["points"] for part in parts]), n_tokens=n_tokens)


def chunks_of(n_cells: int, chunk: int) -> list[tuple[int, int]]:
    """Cut cells into pieces of a fixed size; the last may be smaller.

    Examples
    --------
    >>> chunks_of(5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    return [(start, min(start + chunk, n_cells)) for start in range(0, n_cells, chunk)]


def cells_per_chunk(model: ModelSpec) -> int:
    """Return how many cells are embedded in one piece of work: a few seconds on a common processor.

    The number follows from the card alone, so that a resumed run cuts the cells as the first one did.
    """
    if model.max_tokens is None:
        return 4096
    millions = max((model.n_parameters or 0) / 1e6, 1.0)
    return max(8, min(128, int(512 / millions)))


def token_budget_of(model: ModelSpec) -> int:
    """Return the token budget with which `embed_tokens` should run a model on this thread's device."""
    if model.max_tokens is None:
        return _UNBOUNDED_BUDGET
    return TOKEN_BUDGET if this_device() == "cpu" else _ACCELERATOR_BUDGET


def embed_tokens(
    model: CellModel, tokens: Tokens, options: EmbedOptions, *, token_budget: int = TOKEN_BUDGET
) -> CellStates:
    """Embed any number of cells in batches of like length, and return them in the order given.

    Where a batch does not fit the device, the budget is halved for it and for all that follow.

    Parameters
    ----------
    token_budget
        Largest number of cells times longest cell in one batch.

    Returns
    -------
    Cell vectors, NaN where a cell holds no token, and gene vectors where ``options`` ask for them; of no cells at all,
    an array of shape ``(0, 0)``.

    Raises
    ------
    ModelError
        If a single cell does not fit the device.
    """
    if tokens.n_cells == 0:
        return CellStates(np.empty((0, 0), dtype=np.float32))

    def run(cells: NDArray[np.int64]) -> CellStates:
        return model.embed(tokens.take(cells), options)

    batches: list[NDArray[np.int64]] = []
    states: list[CellStates] = []
    for batch, part in fitting_batches(tokens.lengths, run, token_budget=token_budget):
        batches.append(batch)
        states.append(part)
    return _in_order(tokens, batches, states)


def require_organism(dataset: Dataset, model: ModelSpec) -> None:
    """Raise a `ModelError` where a pre-trained model does not know the organism of the dataset."""
    if model.is_baseline or dataset.organism in model.organisms:
        return
    known = " and ".join(organism for organism in model.organisms if organism != "unknown")
    found = "of an organism that its gene names do not tell" if dataset.organism == "unknown" else dataset.organism
    msg = (
        f"{model.title} reads {known} genes, but this dataset is {found}. "
        "Choose a model for this organism, or a baseline such as PCA; "
        "or give the organism when the dataset is added, if it is not the right one."
    )
    raise ModelError(msg, "wrong-organism")


def require_known_genes(context: Context, dataset: Dataset, model: ModelSpec, *, n_known: int) -> None:
    """Say how many genes of the dataset a model reads; raise a `ModelError` where it is none."""
    if n_known == 0:
        shown = ", ".join(dataset.gene_ids[:3])
        msg = (
            f"{model.title} knows none of the {dataset.n_genes:,} genes of this dataset. It reads {model.vocabulary}; "
            f"the dataset's gene names look like {shown}. Add the dataset again with gene symbols or Ensembl ids."
        )
        raise ModelError(msg, "no-known-genes")
    context.log(f"{model.title} reads {n_known:,} of the {dataset.n_genes:,} genes of the dataset")


def count_known_genes(dataset: Dataset, model: ModelSpec, fitted: Arrays) -> int:
    """Return how many genes of a dataset a model reads, by letting it encode cells that express each gene once."""
    n_genes = dataset.n_genes
    n_together = _GENES_PER_PROBE if model.max_tokens is None else max(model.max_tokens // 2, 1)  # so none is cut off
    pointers = np.append(np.arange(0, n_genes, n_together), n_genes)
    matrix = csr_matrix(
        (np.ones(n_genes, dtype=np.uint8), np.arange(n_genes), pointers), shape=(len(pointers) - 1, n_genes)
    )
    totals = np.diff(pointers).astype(np.float64)
    probes = CellCounts(matrix=matrix, gene_ids=dataset.gene_ids, total_counts=totals)
    loaded = loaded_model(model, fitted)
    return len(np.unique(genes_only(loaded.encode(probes), loaded.gene_ids).genes))


def _embed_chunk(
    dataset: Dataset, model: ModelSpec, options: EmbedOptions, fitted: Arrays, span: tuple[int, int]
) -> dict[str, NDArray[Any]]:
    loaded = loaded_model(model, fitted)
    tokens = loaded.encode(dataset.counts(slice(*span)))
    states = embed_tokens(loaded, tokens, options, token_budget=token_budget_of(model))
    longest = np.iinfo(np.int32).max if model.max_tokens is None else model.max_tokens
    n_genes = genes_only(tokens, loaded.gene_ids).lengths
    return {"points": states.cells, "n_tokens": np.minimum(n_genes, longest).astype(np.int32)}


def _in_order(tokens: Tokens, batches: Sequence[NDArray[np.int64]], states: Sequence[CellStates]) -> CellStates:
    """Put cells, and the tokens of cells, back where they stood before they were batched."""
    order = np.concatenate(batches)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    cells = np.concatenate([state.cells for state in states])[back].astype(np.float32, copy=False)
    cells[tokens.lengths == 0] = np.nan
    found = [state.genes for state in states if state.genes is not None]
    if len(found) < len(states):
        return CellStates(cells)
    vectors = np.concatenate(found)
    where = tokens.take(order).offsets[:-1]  # where each cell's tokens begin in batched order
    lengths = tokens.lengths
    shift = where[back] - tokens.offsets[:-1]
    return CellStates(cells, vectors[np.arange(len(vectors)) + np.repeat(shift, lengths)])


def _checked(model: ModelSpec, options: EmbedOptions | None) -> EmbedOptions:
    options = replace(options or model.default_options(), gene_vectors=False)
    if options.pooling not in model.poolings:
        msg = f"{model.title} has no pooling {options.pooling!r}. Choose one of: {', '.join(model.poolings)}."
        raise RequestError(msg, "unknown-pooling")
    if not -model.n_layers <= options.layer <= 0:
        choice = f"between {-model.n_layers} and 0" if model.n_layers else "0, as this model has no layers"
        msg = f"{model.title} has no layer {options.layer}. Layers count backwards from 0, the last: choose {choice}."
        raise RequestError(msg, "unknown-layer")
    return options if model.draws else replace(options, seed=0)


def _loading(model: ModelSpec) -> str:
    return f"Loading {model.title}"
