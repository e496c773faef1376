"""Sends pairs of edits to the workers, and makes two numbers of what comes back; knows no comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import cells_per_chunk
from scfm_core.analyses.pair_passes import MEASURES, Pair, changed_by, cut_pairs, measure_pairs, relative_error
from scfm_core.analyses.perturbation_null import generator
from scfm_core.analyses.perturbation_passes import Apparatus
from scfm_core.analyses.perturbation_study import Study
from scfm_core.request import Context

MIN_CELLS = 3  # that hold both genes: fewer give no statistic
NOISE_CELLS = 16
_SMALLEST_SIZE = 1e-15
_CELLS_READ_AT_ONCE = 512

Wanted = tuple[Pair, NDArray[np.int64]]  # a pair, and the cells it is measured on, as positions in the dataset


@dataclass(frozen=True, eq=False)
class Bench:
    """A model at work on the cells of a question.

    Attributes
    ----------
    points
        Unperturbed vectors of all cells of the dataset.
    token_of_gene
        As `perturbation_passes.find_tokens` returns it.
    """

    apparatus: Apparatus
    study: Study
    points: NDArray[np.float32]
    token_of_gene: NDArray[np.int32]


def find_holding(context: Context, bench: Bench) -> NDArray[np.bool_]:
    """Return whether each single edit changes the input of each chosen cell, shape ``(n_edits, n_chosen)``."""
    cells = bench.study.chosen
    chunks = [cells[start : start + _CELLS_READ_AT_ONCE] for start in range(0, len(cells), _CELLS_READ_AT_ONCE)]
    changed = partial(changed_by, bench.apparatus, [edit for (edit,) in bench.study.edits])
    sizes = [len(chunk) for chunk in chunks]
    parts = context.map(changed, chunks, step="Looking for cells that hold the genes", sizes=sizes)
    return np.concatenate(list(parts), axis=1)


def measure_on_cells(
    context: Context, bench: Bench, wanted: Sequence[Wanted], *, order: Literal["by cell", "by gene"], step: str
) -> tuple[list[NDArray[np.float64]], int]:
    """Measure pairs of edits on some cells each; what several of them need is measured once.

    Parameters
    ----------
    order
        What stays together in the work: a cell, whose single edits are then embedded once for all pairs; or the pairs
        of one first gene, which is faster where there are many pairs of few cells.

    Returns
    -------
    For each one wanted, `MEASURES` by cell, shape ``(n_measures, n_cells)``, in the order of its cells; and how many
    times a cell went through the model.
    """
    pairs = list(dict.fromkeys(pair for pair, _ in wanted))
    number = {pair: position for position, pair in enumerate(pairs)}
    keys = [cells * len(pairs) + number[pair] for pair, cells in wanted]
    unique = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *keys]))
    if not len(unique):
        return [np.empty((len(MEASURES), 0)) for _ in keys], 0
    cells, numbers = np.divmod(unique, len(pairs))
    rows = np.arange(len(unique)) if order == "by cell" else _by_gene(pairs, numbers)
    at_once = cells_per_chunk(bench.apparatus.model)
    work = cut_pairs(cells[rows], numbers[rows], bench.points, passes_per_chunk=at_once)
    measure = partial(measure_pairs, bench.apparatus, pairs)
    sizes = [len(piece.pair_of_row) for piece in work]
    parts = list(context.map(measure, work, step=step, sizes=sizes, unit="pairs in cells"))
    values = np.empty((len(MEASURES), len(unique)))
    values[:, rows] = [np.concatenate([part[name] for part in parts]) for name in MEASURES]
    found = [values[:, np.searchsorted(unique, key)] for key in keys]
    return found, sum(int(part["n_passes"][0]) for part in parts)


def _by_gene(pairs: Sequence[Pair], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of rows by the first gene of their pair, then by pair; the order of cells stays."""
    _, first = np.unique([edit.gene_id for edit, _ in pairs], return_inverse=True)
    return np.lexsort((numbers, first.ravel()[numbers]))


def statistics(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the size beyond the sum over the size of the sum, and `vector_beyond`; NaN of too few cells.

    Parameters
    ----------
    values
        `MEASURES` by cell, shape ``(n_measures, n_cells)``.
    """
    there = values[:, ~np.isnan(values[0])]
    if there.shape[1] < MIN_CELLS:
        return float("nan"), float("nan")
    means = dict(zip(MEASURES, there.mean(axis=1).tolist(), strict=True))
    size = means["effect_both"] / means["effect_added"] - 1 if means["effect_added"] > _SMALLEST_SIZE else float("nan")
    return size, means["left_over"] / means["path"] if means["path"] > 0 else float("nan")


def measure_error(context: Context, bench: Bench) -> float:
    """Return the relative error of a vector: the largest found when cells are embedded again, at least float32's."""
    there = bench.study.chosen[~np.isnan(bench.points[bench.study.chosen, 0])]
    sample = np.sort(generator(bench.study.seed, "noise").permutation(there)[:NOISE_CELLS])
    if not len(sample):
        return float(np.finfo(np.float32).eps)
    work = (sample, bench.points[sample])
    step = "Measuring the noise of the arithmetic"
    error = context.call(partial(relative_error, bench.apparatus, work), step=step)
    return max(float(np.finfo(np.float32).eps), float(error.max(initial=0.0)))
