"""What the workers do for pairs of edits: each single edit and each pair embedded once per cell, then compared.

Knows neither groups nor statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_passes import Apparatus, Passes, cells_that_differ, embed_edited, one_minus_cosine
from scfm_core.tokens import GeneEdit

MEASURES = ("effect_a", "effect_b", "effect_both", "effect_added", "left_over", "path", "four_lengths")
_ROWS_PER_CELL = 105  # all pairs of a list of 15

Pair = tuple[GeneEdit, GeneEdit]


@dataclass(frozen=True)
class PairsOfCells:
    """Which pairs of edits are measured on which cells, in one piece of work.

    Attributes
    ----------
    cells, points
        Positions in the dataset, each once, ascending, and their unperturbed vectors, shape ``(n_cells,)`` and
        ``(n_cells, embedding_size)``.
    cell_of_row, pair_of_row
        Row ``i`` is the cell ``cells[cell_of_row[i]]`` under the pair number ``pair_of_row[i]``, shape ``(n_rows,)``.
    """

    cells: NDArray[np.int64]
    points: NDArray[np.float32]
    cell_of_row: NDArray[np.int64]
    pair_of_row: NDArray[np.int64]


def cut_pairs(
    cells: NDArray[np.int64], pairs: NDArray[np.int64], points: NDArray[np.float32], *, passes_per_chunk: int
) -> list[PairsOfCells]:
    """Cut rows of cell and pair into pieces of work of about equal cost, in the order given.

    A piece ends where a cell does, so that in rows ordered by cell the single edits of each are embedded once for all
    pairs. Where a cell has more rows than a full list has pairs, or rows are not ordered by cell, any row may end one.

    Parameters
    ----------
    cells, pairs
        Position of the cell and number of the pair, shape ``(n_rows,)``.
    points
        Unperturbed vectors of the whole dataset.
    """
    at_most = max(_ROWS_PER_CELL, passes_per_chunk)
    enough = max(1, passes_per_chunk // 2)  # a row costs one to three passes
    starts, n_rows = [], enough
    for row in range(len(cells)):
        new_cell = row == 0 or cells[row] != cells[row - 1]
        if (new_cell and n_rows >= enough) or n_rows >= at_most:
            starts.append(row)
            n_rows = 0
        n_rows += 1
    pieces = []
    for start, stop in zip(starts, [*starts[1:], len(cells)], strict=True):
        unique, cell_of_row = np.unique(cells[start:stop], return_inverse=True)
        pieces.append(PairsOfCells(unique, points[unique], cell_of_row.ravel(), pairs[start:stop]))
    return pieces


def measure_pairs(apparatus: Apparatus, pairs: Sequence[Pair], work: PairsOfCells) -> dict[str, NDArray[Any]]:
    """Measure what pairs of edits do beyond the sum of the two, cell by cell.

    Returns
    -------
    For each row of ``work``, shape ``(n_rows,)``, NaN where one of the two edits alone does not change the input, or
    no vector is left: ``effect_a``, ``effect_b``, ``effect_both``, 1 - cosine; ``effect_added``, 1 - cosine of the
    vector to which the shifts of both are added; ``left_over``, length of the shift of both less the two shifts;
    ``path``, sum of the lengths of the two; ``four_lengths`` of the vectors themselves, of which a share is noise. And
    ``n_passes``, shape ``(1,)``.
    """
    numbers, row_of_pair = np.unique(work.pair_of_row, return_inverse=True)
    singles = list(dict.fromkeys(edit for number in numbers for edit in pairs[number]))
    place = {edit: number for number, edit in enumerate(singles)}
    members = np.array([[place[edit] for edit in pairs[number]] for number in numbers])[row_of_pair.ravel()]
    edits = [(edit,) for edit in singles] + [pairs[number] for number in numbers]
    width = len(edits)
    wanted = work.cell_of_row * width
    keys = np.stack([wanted + members[:, 0], wanted + members[:, 1], wanted + len(singles) + row_of_pair.ravel()])
    unique, where = np.unique(keys, return_inverse=True)
    passes = Passes(work.cells, *np.divmod(unique, width))
    found = embed_edited(apparatus, edits, passes)
    vectors = np.full((len(unique), work.points.shape[1]), np.nan)
    if len(found["points"]):
        vectors[found["changed"]] = found["points"]
    both_alike = ~found["changed"] & (passes.edit_of_pair >= len(singles))  # the two edits undo each other
    vectors[both_alike] = work.points[passes.cell_of_pair[both_alike]]
    one, other, both = (vectors[rows] for rows in where.reshape(keys.shape))
    return {**_beyond(work.points[work.cell_of_row], one, other, both), "n_passes": np.array([len(found["points"])])}


def changed_by(apparatus: Apparatus, edits: Sequence[GeneEdit], cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which cells' input each edit changes, shape ``(n_edits, n_cells)``; nothing is embedded."""
    tokens = apparatus.tokens(cells)
    return np.stack([cells_that_differ(tokens, apparatus.network.edit(tokens, (edit,))) for edit in edits])


def relative_error(
    apparatus: Apparatus, work: tuple[NDArray[np.int64], NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Return how far each cell's vector, embedded again without an edit, lies from the stored one, over its length.

    Parameters
    ----------
    work
        Positions of the cells, and their stored vectors.
    """
    cells, points = work
    stored = points.astype(np.float64)
    again = apparatus.embed(apparatus.tokens(cells)).cells.astype(np.float64)
    error: NDArray[np.float64] = np.linalg.norm(again - stored, axis=1) / np.linalg.norm(stored, axis=1)
    return error


def _beyond(
    before: NDArray[np.floating[Any]], one: NDArray[np.float64], other: NDArray[np.float64], both: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    wide = before.astype(np.float64)
    shift_a, shift_b, shift_both = one - wide, other - wide, both - wide
    added = wide + shift_a + shift_b
    measured = (
        one_minus_cosine(wide, one),
        one_minus_cosine(wide, other),
        one_minus_cosine(wide, both),
        one_minus_cosine(wide, added),
        np.linalg.norm(shift_both - shift_a - shift_b, axis=1),
        np.linalg.norm(shift_a, axis=1) + np.linalg.norm(shift_b, axis=1),
        np.sum([np.linalg.norm(vectors, axis=1) for vectors in (wide, one, other, both)], axis=0),
    )
    there = np.isfinite(np.stack(measured)).all(axis=0)
    return {name: np.where(there, values, np.nan) for name, values in zip(MEASURES, measured, strict=True)}
