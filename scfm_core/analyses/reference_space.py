"""Cells of two datasets in one space: that of a pre-trained model, or of a baseline fitted to both."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk, chunks_of, embed_tokens, token_budget_of
from scfm_core.dataset import CellCounts, Dataset
from scfm_core.errors import RequestError
from scfm_core.model import Arrays, EmbedOptions, ModelSpec
from scfm_core.request import Context
from scfm_core.weights import loaded_model

MIN_GENES = 200
_APPLIED_TO_OTHERS = ("pca",)  # fits that are a function of each cell by itself


@dataclass(frozen=True, eq=False)
class SharedSpace:
    """Two datasets as points of one space.

    Attributes
    ----------
    query, reference
        Shape ``(n_cells, size)``; NaN where a cell has no vector.
    words
        How the space was made.
    """

    query: NDArray[np.float32]
    reference: NDArray[np.float32]
    words: str


def has_shared_space(model: ModelSpec) -> bool:
    """Whether cells of two datasets can be compared by a model: a pre-trained one, or a fit that takes other cells."""
    return model.place is None and (model.fit is None or model.key in _APPLIED_TO_OTHERS)


def check_same_space(query: EmbedCells, reference: EmbedCells) -> None:
    """Raise a `RequestError` where vectors of two embeddings cannot be compared."""
    if query.dataset.identity == reference.dataset.identity:
        msg = "The reference is the dataset itself, whose cells would find themselves. Choose another dataset."
        raise RequestError(msg, "same-dataset")
    if query.model.identity != reference.model.identity or query.chosen_options != reference.chosen_options:
        msg = (
            f"Both datasets need the same model with the same options; found {query.model.title} and "
            f"{reference.model.title}. Embed the reference as the dataset is embedded."
        )
        raise RequestError(msg, "other-space")
    if not has_shared_space(query.model):
        msg = (
            f"{query.model.title} is fitted to one dataset and cannot be applied to another. Choose PCA or a "
            "pre-trained model."
        )
        raise RequestError(msg, "no-shared-space")
    if query.dataset.organism != reference.dataset.organism:
        msg = (
            f"The dataset is {query.dataset.organism}, the reference {reference.dataset.organism}; their genes have "
            "different ids. Choose a reference of the same organism."
        )
        raise RequestError(msg, "other-organism")


def shared_space(context: Context, query: EmbedCells, reference: EmbedCells) -> SharedSpace:
    """Return both datasets as points of one space.

    A pre-trained model has one space for all datasets. A baseline has one for each dataset, so it is fitted twice, to
    the reference and to the query, both over the genes that they share, and both fits are applied to both datasets: the
    points stand side by side. The fit of the reference alone would not see what only the query shows, such as the genes
    of a type of cell that the reference lacks.

    Raises
    ------
    RequestError
        If the datasets share fewer than 200 genes (code "too-few-shared-genes").
    """
    model = query.model
    if model.fit is None:
        mine, theirs = (np.asarray(context.compute(request).points) for request in (query, reference))
        return SharedSpace(mine, theirs, words=f"the space of {model.title}, the same for all datasets")
    genes = np.intersect1d(query.dataset.gene_ids, reference.dataset.gene_ids)
    if len(genes) < MIN_GENES:
        msg = (
            f"{model.title} is fitted to the genes that dataset and reference share: at least {MIN_GENES} are needed, "
            f"{len(genes):,} are shared. Choose a reference with the same genes, or a pre-trained model."
        )
        raise RequestError(msg, "too-few-shared-genes")
    cut = [cut_to_genes(one.dataset, genes) for one in (query, reference)]
    parts = [_in_the_fit_of(context, dataset, cut, query) for dataset in cut]
    mine, theirs = (np.concatenate([part[place] for part in parts], axis=1) for place in range(2))
    words = (
        f"{model.title} fitted to the dataset and to the reference, over the {len(genes):,} genes that they share; "
        "both fits are applied to both"
    )
    return SharedSpace(mine, theirs, words=words)


@dataclass(frozen=True, kw_only=True)
class _CutDataset(Dataset):
    """A dataset seen through some of its genes; the totals of its cells stay those over all measured genes."""

    kept: tuple[int, ...]

    def counts(self, cells: slice | NDArray[np.integer[Any]] = slice(None)) -> CellCounts:
        """See `Dataset.counts`."""
        whole = super().counts(cells)
        gene_ids = tuple(whole.gene_ids[place] for place in self.kept)
        return CellCounts(matrix=whole.matrix[:, list(self.kept)], gene_ids=gene_ids, total_counts=whole.total_counts)


def cut_to_genes(dataset: Dataset, gene_ids: NDArray[np.str_]) -> Dataset:
    """Return a dataset that shows only some genes, in its own order; for the functions that read counts."""
    kept = np.flatnonzero(np.isin(np.array(dataset.gene_ids), gene_ids))
    fields = {name: getattr(dataset, name) for name in ("path", "sha256", "organism", "n_cells", "n_genes")}
    return _CutDataset(**fields, kept=tuple(kept.tolist()))


def _in_the_fit_of(
    context: Context, dataset: Dataset, both: list[Dataset], asked: EmbedCells
) -> list[NDArray[np.float32]]:
    model = asked.model
    if model.fit is None:
        msg = f"{model.title} is not fitted to a dataset. Compare in its own space."
        raise RequestError(msg, "no-fit")
    fitted = context.call(partial(model.fit, dataset), step=f"Fitting {model.title} to the shared genes")
    return [_embedded(context, one, model, asked.chosen_options, fitted) for one in both]


def _embedded(
    context: Context, dataset: Dataset, model: ModelSpec, options: EmbedOptions, fitted: Arrays
) -> NDArray[np.float32]:
    spans = chunks_of(dataset.n_cells, cells_per_chunk(model))
    embed = partial(_embed_chunk, dataset, model, options, fitted)
    sizes = [stop - start for start, stop in spans]
    return np.concatenate(list(context.map(embed, spans, step=f"Projecting with {model.title}", sizes=sizes)))


def _embed_chunk(
    dataset: Dataset, model: ModelSpec, options: EmbedOptions, fitted: Arrays, span: tuple[int, int]
) -> NDArray[np.float32]:
    loaded = loaded_model(model, fitted)
    tokens = loaded.encode(dataset.counts(slice(*span)))
    return embed_tokens(loaded, tokens, options, token_budget=token_budget_of(model)).cells
