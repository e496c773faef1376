"""What the workers do for a screen of genes: estimate all deletions in some cells; knows no ranking."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import token_budget_of
from scfm_core.analyses.fitting_batches import fitting_batches
from scfm_core.analyses.perturbation_passes import Apparatus
from scfm_core.model import ScreenedModel, ScreenEffort

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
    position in the vocabulary; ``size`` and ``goal``, NaN without a goal.
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
        "size": size[real],
        "goal": goal[real],
    }


def known_gene_ids(apparatus: Apparatus) -> list[str]:
    """Return the gene id at each position of the model's vocabulary."""
    return list(apparatus.network.gene_ids)
