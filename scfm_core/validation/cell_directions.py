"""Does deleting a gene move cells where its knock-out truly moved them? Cosines between mean shifts of cell vectors."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.validation.measured_changes import LEAST_CELLS, Screen
from scfm_core.validation.scores import N_RESAMPLES

_NORMAL = 1.96
COLUMNS = (
    "target", "n_cells", "cosine", "cosine_low", "cosine_high", "others_mean", "others_low", "others_high", "n_others",
    "p_empirical",
)  # fmt: skip


def compare_directions(
    points: NDArray[np.float32], screen: Screen, predicted: dict[str, NDArray[np.float64]], *, seed: int
) -> pd.DataFrame:
    """Compare the predicted shift of each target with its measured one, and with those of the other targets.

    The measured shift is the mean vector of the cells that carry the knock-out less that of the control cells of the
    same replicate, averaged over replicates.

    Parameters
    ----------
    points
        Vector of each cell of the screen, shape ``(n_cells, size)``; NaN for a cell without one.
    predicted
        Mean shift under the deletion of each target, shape ``(size,)``; NaN where nothing was deleted.

    Returns
    -------
    One row per target: ``cosine`` of predicted and measured shift, with a 95 % interval over cells of the screen
    (``n_cells`` of the knock-out); ``others_mean``, ``others_low``, ``others_high``: mean, smallest and largest cosine
    of the predicted shift with the measured shifts of the ``n_others`` other targets; ``p_empirical``, share of all
    targets whose measured shift lies at least as close, at best ``1 / (n_others + 1)``.
    """
    known = ~np.isnan(points[:, 0])
    measured = {
        target: measured_shift(points, known, screen, target)
        for target in predicted
        if (screen.labels[known] == target).sum() >= LEAST_CELLS
    }
    rows = []
    for number, target in enumerate(measured):
        shift = predicted[target]
        if np.isnan(shift).any():
            continue
        own = _cosine(shift, measured[target])
        others = np.array([_cosine(shift, value) for name, value in measured.items() if name != target])
        error = _error(points, known, screen, target, shift, np.random.default_rng([seed, number]))
        row = {
            "target": target, "n_cells": int((screen.labels[known] == target).sum()), "cosine": own,
            "cosine_low": max(own - _NORMAL * error, -1.0), "cosine_high": min(own + _NORMAL * error, 1.0),
            "others_mean": others.mean() if len(others) else np.nan,
            "others_low": others.min() if len(others) else np.nan,
            "others_high": others.max() if len(others) else np.nan,
            "n_others": len(others), "p_empirical": (1 + (others >= own).sum()) / (1 + len(others)),
        }  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def measured_shift(
    points: NDArray[np.float32],
    known: NDArray[np.bool_],
    screen: Screen,
    target: str,
    random: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """Return where a knock-out moved the mean cell vector, shape ``(size,)``; of resampled cells with ``random``."""
    shifts = []
    for pair in screen.replicates_with(target):
        own, control = (points[_drawn(cells[known[cells]], random)].mean(axis=0, dtype=np.float64) for cells in pair)
        shifts.append(own - control)
    return np.asarray(np.mean(shifts, axis=0))


def _error(
    points: NDArray[np.float32],
    known: NDArray[np.bool_],
    screen: Screen,
    target: str,
    shift: NDArray[np.float64],
    random: np.random.Generator,
) -> float:
    """Return the bootstrap standard error; percentiles would lie too low, as resampling shortens a cosine."""
    drawn = [_cosine(shift, measured_shift(points, known, screen, target, random)) for _ in range(N_RESAMPLES // 4)]
    return float(np.std(drawn))


def _drawn(cells: NDArray[np.int64], random: np.random.Generator | None) -> NDArray[np.int64]:
    return cells if random is None else random.choice(cells, len(cells))


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths > 0 else np.nan
