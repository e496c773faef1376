"""What every screen of genes starts from: the cells, their vectors, the goal, the model's genes; knows no effect."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells, require_organism
from scfm_core.analyses.fit_model import model_arrays
from scfm_core.analyses.perturbation_passes import Apparatus, find_tokens
from scfm_core.analyses.screen_passes import known_gene_ids
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.model import ModelSpec
from scfm_core.request import Context


@dataclass(frozen=True, eq=False)
class Setting:
    """What a screen starts from.

    Attributes
    ----------
    points
        Vectors of all cells of the dataset, shape ``(n_cells, embedding_size)``.
    cells
        Positions of the chosen cells that have a vector, shape ``(n_chosen,)``.
    goals
        The goal state, shape ``(1 or 0, embedding_size)``; ``goal`` in words, and ``n_goal_cells`` its cells.
    vocabulary
        Gene id at each position of the model's vocabulary.
    """

    apparatus: Apparatus
    points: NDArray[np.float32]
    cells: NDArray[np.int64]
    goals: NDArray[np.float64]
    goal: str
    n_goal_cells: int
    vocabulary: NDArray[np.str_]


def set_up(context: Context, baseline: EmbedCells, *, cells: CellSet | None, goal: State | None) -> Setting:
    """Embed the cells and load the model.

    Raises
    ------
    RequestError
        If no chosen cell, or no cell of the goal, has a vector (code "no-cells").
    """
    dataset, model = baseline.dataset, baseline.model
    require_organism(dataset, model)
    points = np.asarray(context.compute(baseline).points)
    chosen = np.arange(dataset.n_cells) if cells is None else cells.positions
    chosen = chosen[~np.isnan(points[chosen, 0])]
    if not len(chosen):
        msg = f"None of the chosen cells holds a gene that {model.title} reads. Choose other cells."
        raise RequestError(msg, "no-cells")
    goals, n_goal_cells = _goal_vector(dataset, goal, points)
    apparatus = Apparatus(dataset, model, baseline.chosen_options, model_arrays(context, dataset, model))
    known = context.call(partial(known_gene_ids, apparatus), step=f"Loading {model.title}")
    return Setting(
        apparatus=apparatus,
        points=points,
        cells=chosen,
        goals=goals,
        goal="" if goal is None else f"{goal.column}={goal.value}",
        n_goal_cells=n_goal_cells,
        vocabulary=np.array(known),
    )


def listed_tokens(context: Context, setting: Setting, genes: Sequence[str]) -> NDArray[np.int64]:
    """Return the positions of genes in the model's vocabulary, each once.

    Genes that the model does not read are left out. A gene of the dataset that the model reads under another id
    is found by letting the model encode it.
    """
    known = {str(gene_id): position for position, gene_id in enumerate(setting.vocabulary) if gene_id}
    found = [known[gene_id] for gene_id in genes if gene_id in known]
    place = {gene_id: number for number, gene_id in enumerate(setting.apparatus.dataset.gene_ids)}
    others = [place[gene_id] for gene_id in genes if gene_id not in known and gene_id in place]
    if others:
        probe = partial(find_tokens, setting.apparatus)
        read = context.call(probe, step="Finding the genes in the model's vocabulary")[others]
        found += read[read >= 0].tolist()
    return np.unique(np.array(found, dtype=np.int64))


def plain_genes(genes: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return a list of genes in the one order that equal lists share.

    Raises
    ------
    RequestError
        If the list is empty (code "no-genes").
    """
    if genes is None:
        return None
    if not genes:
        msg = "Expected at least one gene in the list, found none. Name genes, or screen all that the cells hold."
        raise RequestError(msg, "no-genes")
    return tuple(sorted(set(genes)))


def require_cells(dataset: Dataset, cells: CellSet | None) -> None:
    """Raise a `RequestError` where the chosen cells are none, or those of another dataset."""
    if cells is not None and (cells.n_cells != dataset.n_cells or not len(cells)):
        msg = f"Expected some of the dataset's {dataset.n_cells:,} cells, found {cells!r}. Choose the cells again."
        raise RequestError(msg, "no-cells")


def nothing_held(model: ModelSpec, genes: Sequence[str]) -> RequestError:
    """Return the error that no chosen cell holds any of the listed genes."""
    msg = (
        f"None of the {len(genes):,} listed genes is among what {model.title} reads of the chosen cells. Choose other "
        "genes or cells."
    )
    return RequestError(msg, "not-held")


def _goal_vector(
    dataset: Dataset, goal: State | None, points: NDArray[np.float32]
) -> tuple[NDArray[np.float64], int]:
    """Return the mean vector of the goal's cells, shape ``(1 or 0, embedding_size)``, and their number."""
    if goal is None:
        return np.empty((0, points.shape[1])), 0
    vectors = points[goal.mask(dataset)]
    vectors = vectors[~np.isnan(vectors[:, 0])].astype(np.float64)
    if not len(vectors):
        msg = f"No cell with {goal.value!r} in column {goal.column!r} has a vector. Choose another."
        raise RequestError(msg, "no-cells")
    return vectors.mean(axis=0, keepdims=True), len(vectors)
