"""Random vectors: what an embedding is worth that knows nothing of the cells."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from scfm_core.model import CellsToPlace, ModelSpec, PlacedCells
from scfm_core.workers import Workers

N_NUMBERS = 50


def draw_vectors(n_cells: int, seed: int) -> NDArray[np.float32]:
    """Return numbers drawn from a normal distribution, shape ``(n_cells, 50)``."""
    return np.random.default_rng(seed).standard_normal((n_cells, N_NUMBERS)).astype(np.float32)


def _place(task: CellsToPlace, workers: Workers) -> PlacedCells:
    n_cells = task.dataset.n_cells
    points = workers.call(partial(draw_vectors, n_cells, task.options.seed), step="Drawing random vectors")
    return PlacedCells(points, np.zeros(n_cells, dtype=np.int32))


SPECS = (
    ModelSpec(
        key="random",
        title="Random vectors",
        revision="1",
        summary=(
            "Each cell gets numbers drawn by chance, whatever it expresses: the zero of every comparison. A model that "
            "scores no better has learned nothing about these cells."
        ),
        organisms=("human", "mouse", "unknown"),
        vocabulary="nothing: no gene of any cell",
        embedding_size=N_NUMBERS,
        max_tokens=None,
        n_parameters=None,
        licence="BSD-3-Clause",
        citation="Kedzierska et al. 2025, Zero-shot evaluation reveals limitations of single-cell foundation models",
        doi="10.1186/s13059-025-03574-x",
        training_data="none; drawn from a normal distribution with the seed as its only input",
        known_limits=(
            "Holds no biology at all. What a score gives for these vectors is the score's own zero on this dataset.",
            "Mixes batches perfectly, because it knows nothing: a good score for mixing alone proves nothing.",
            "Depends on the seed and the number of cells alone; a cell that expresses nothing gets a vector too.",
            "No gene can be edited in it.",
        ),
        place=_place,
        draws=True,
        gene_edits=(),
        poolings=("none",),
        is_baseline=True,
    ),
)
