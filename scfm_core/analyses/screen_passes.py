"""What the workers do for a screen of genes: read cells, estimate all deletions, or edit exactly; knows no ranking."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import token_budget_of
from scfm_core.analyses.fitting_batches import fitting_batches
from scfm_core.analyses.perturbation_passes import Apparatus, Passes, embed_edited, one_minus_cosine, ranks_in_cells
from scfm_core.model import ScreenedModel, ScreenEffort
from scfm_core.tokens import Activate, Delete, GeneEdit, Inhibit, Overexpress, genes_only

EDITS: dict[str, Callable[[str], GeneEdit]] = {
    "delete": Delete, "overexpress": Overexpress, "inhibit": Inhibit, "activate": Activate,
}  # fmt: skip

_BUDGET_SHARE = 4  # keys and values of every layer stay in memory, and what the way back needs


@dataclass(frozen=True, eq=False)
class Estimation:
    """A model on a dataset, the goal states, shape ``(1 or 0, embedding_size)``, and what the estimate may cost."""

    apparatus: Apparatus
    goals: NDArray[np.float64]
    effort: ScreenEffort


def estimate_cells(estimation: Estimation, cells: NDArray[np.int64]) -> dict[str, Any]:
    """Estimate all deletions in some cells.

    Returns
    -------
    One entry per gene and cell, each of shape ``(n_deletions,)``: ``cell``, position in the dataset; ``token``,
    position in the vocabulary; ``rank`` in the cell, 0 for the strongest; ``size`` and ``goal``, NaN without a goal.
    """
    apparatus, goals = estimation.apparatus, estimation.goals
    tokens = apparatus.tokens(cells)
    network = cast(ScreenedModel, apparatus.network)
    size, goal = np.full(len(tokens.genes), np.nan), np.full(len(tokens.genes), np.nan)

    def run(some: NDArray[np.int64]) -> None:
        batch = tokens.take(some)
        found = network.estimate_deletions(batch, apparatus.options, goals=goals, effort=estimation.effort)
        where = np.concatenate([np.arange(tokens.offsets[cell], tokens.offsets[cell + 1]) for cell in some])
        size[where] = found.size
        goal[where] = found.goals[0] if len(goals) else np.nan

    budget = max(1, token_budget_of(apparatus.model) // _BUDGET_SHARE)
    for _ in fitting_batches(tokens.lengths, run, token_budget=budget):
        pass
    real = ~np.isnan(size)
    return {
        "cell": cells[tokens.cell_of_token()[real]],
        "token": tokens.genes[real],
        "rank": ranks_in_cells(tokens)[real],
        "size": size[real],
        "goal": goal[real],
    }


def known_gene_ids(apparatus: Apparatus) -> list[str]:
    """Return the gene id at each position of the model's vocabulary."""
    return list(apparatus.network.gene_ids)


@dataclass(frozen=True, eq=False)
class Measurement:
    """A model on a dataset, and what it measures.

    Attributes
    ----------
    goals
        The goal state, shape ``(1 or 0, embedding_size)``.
    kind
        Of edit, see `EDITS`.
    cells, before
        Positions of the cells in the dataset, ascending, shape ``(n_cells,)``, and their vectors without an edit.
    """

    apparatus: Apparatus
    goals: NDArray[np.float64]
    kind: str
    cells: NDArray[np.int64]
    before: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ExactWork:
    """One piece of exact edits: genes, each edited alone, and which is edited in which cell."""

    gene_ids: tuple[str, ...]
    passes: Passes


def measure_exactly(measurement: Measurement, work: ExactWork) -> dict[str, NDArray[Any]]:
    """Edit genes in cells, one at a time.

    Returns
    -------
    Per pair of `Passes`, each of shape ``(n_pairs,)``: ``size``, 1 - cosine before and after, and ``goal``, cosine to
    the goal after minus before. NaN where the edit does not change what the model reads, or leaves nothing to read;
    ``goal`` also without a goal.
    """
    passes = work.passes
    edits = [(EDITS[measurement.kind](gene_id),) for gene_id in work.gene_ids]
    found = embed_edited(measurement.apparatus, edits, passes)
    changed, after = found["changed"], found["points"]
    size, goal = np.full((2, len(passes)), np.nan)
    before = measurement.before[np.searchsorted(measurement.cells, passes.cells[passes.cell_of_pair[changed]])]
    size[changed] = one_minus_cosine(before, after)
    if len(measurement.goals):
        goal[changed] = shift_toward(measurement.goals[0], before, after)
    return {"size": size, "goal": goal}


def shift_toward(
    goal: NDArray[np.float64], before: NDArray[np.floating[Any]], after: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the cosine to a goal, shape ``(size,)``, after minus before, row by row, shape ``(n,)``."""
    if not len(after):
        return np.empty(0)
    return np.asarray((_unit(after) - _unit(before)) @ _unit(goal[None])[0])


def read_tokens(apparatus: Apparatus, cells: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return the genes that some cells hold: ``token`` and ``rank``, cell after cell, and ``lengths`` per cell."""
    tokens = genes_only(apparatus.tokens(cells), apparatus.network.gene_ids)
    return {"token": tokens.genes, "rank": ranks_in_cells(tokens), "lengths": tokens.lengths}


def _unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    wide = np.asarray(vectors, dtype=np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))
