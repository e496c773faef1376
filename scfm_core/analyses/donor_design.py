"""Which samples stand on which side of a comparison between donors, and the model that is fitted to them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError

MIN_DONORS = 3
SIDE = "side"  # the coefficient that is tested


@dataclass(frozen=True, eq=False)
class Design:
    """The samples of a comparison and the model matrix.

    Attributes
    ----------
    inside
        Whether a sample is of the tested group, shape ``(n_samples,)``.
    donors
        Position of each sample's donor, shape ``(n_samples,)``.
    matrix
        One row per sample; the last column, `SIDE`, is 1 in the group and 0 in what it is compared with.
    paired
        Whether each donor has its own level, so that sides are compared within donors.
    formula
        The model in words.
    remarks
        What was left out and why.
    """

    inside: NDArray[np.bool_]
    donors: NDArray[np.int64]
    matrix: pd.DataFrame
    paired: bool
    formula: str
    remarks: tuple[str, ...]


def design_of(n_cells: NDArray[np.int64], batches: NDArray[np.int64] | None, *, min_cells: int) -> Design:
    """Choose the samples and the model of one comparison.

    Donors with enough cells on both sides are pairs. The model is paired where there are at least 3 pairs and at least
    half of the donors are pairs, or where donors with one side alone would be too few. Otherwise each donor stands on
    one side; one with both, on the side where it has more cells, so that no donor counts twice.

    Parameters
    ----------
    n_cells
        Cells of each donor in the group and in what it is compared with, shape ``(2, n_donors)``.
    batches
        Batch of the same cells, shape ``(2, n_donors)``; -1 where they are of several. None: no batch in the model.
    min_cells
        Fewer cells are no sample.

    Raises
    ------
    RequestError
        If there are neither 3 pairs nor 3 donors on each side ("few-donors").

    Examples
    --------
    >>> design_of(np.full((2, 4), 50), None, min_cells=10).formula
    'donor + side'
    >>> design_of(np.array([[50, 50, 50, 0, 0, 0], [0, 0, 0, 50, 50, 50]]), None, min_cells=10).formula
    'side'
    """
    kept = n_cells >= min_cells
    both = kept.all(axis=0)
    largest = np.where(n_cells[0] >= n_cells[1], 0, 1)
    alone = kept & ~(both & (np.arange(2)[:, None] != largest))
    n_pairs, n_alone = int(both.sum()), alone.sum(axis=1)
    can_pair, can_stand = n_pairs >= MIN_DONORS, bool((n_alone >= MIN_DONORS).all())
    if not can_pair and not can_stand:
        raise RequestError(_too_few(n_cells, kept, min_cells), "few-donors")
    paired = can_pair and (not can_stand or 2 * n_pairs >= int(kept.any(axis=0).sum()))
    used = kept & both if paired else alone
    side, donors = np.nonzero(used)
    inside = side == 0
    own_level = np.unique(donors)[1:] if paired else np.empty(0, dtype=np.int64)
    base = np.stack([np.ones(len(side)), *((donors == donor) * 1.0 for donor in own_level)], axis=1)
    remarks = _left_out(n_cells, used, min_cells)
    batch, said = np.empty((len(side), 0)), ""
    if batches is not None:
        batch, said = _batch_columns(base, inside, batches[side, donors])
    n_base, n_batch = base.shape[1], batch.shape[1]
    names = ["intercept", *(f"donor{n}" for n in range(1, n_base)), *(f"batch{n}" for n in range(n_batch))]
    matrix = pd.DataFrame(np.column_stack([base, batch, inside * 1.0]), columns=[*names, SIDE])
    parts = [*(["donor"] if paired else []), *(["batch"] if n_batch else []), SIDE]
    return Design(inside, donors, matrix, paired, " + ".join(parts), (*remarks, *([said] if said else [])))


def _batch_columns(
    base: NDArray[np.float64], inside: NDArray[np.bool_], batch: NDArray[np.int64]
) -> tuple[NDArray[np.float64], str]:
    """Return the columns of the batch, none where it cannot be told from what is in the model; and why."""
    n_samples = len(inside)
    none = np.empty((n_samples, 0))
    if (batch < 0).any():
        return none, f"Batch is not in the model: {int((batch < 0).sum())} samples hold cells of several batches."
    known = np.unique(batch)
    if len(known) < 2:
        return none, ""
    columns = np.stack([(batch == one) * 1.0 for one in known[1:]], axis=1)
    side = (inside * 1.0)[:, None]
    rank = int(np.linalg.matrix_rank(np.hstack([base, columns])))
    if int(np.linalg.matrix_rank(np.hstack([base, columns, side]))) == rank:
        return none, (
            "Batch is not in the model: the two sides are of different batches, so a difference between them can as "
            "well be one between batches."
        )
    if rank == base.shape[1]:
        return none, "Batch is not in the model: each donor is of one batch, and the donor is in the model already."
    if rank < base.shape[1] + columns.shape[1]:
        return none, "Batch is not in the model: it cannot be told from the donors."
    if n_samples - rank - 1 < 1:
        return none, "Batch is not in the model: there are too few samples for one more term."
    return columns, ""


def _left_out(n_cells: NDArray[np.int64], used: NDArray[np.bool_], min_cells: int) -> list[str]:
    said = []
    n_small = int(((n_cells > 0) & (n_cells < min_cells)).sum())
    n_other = int(((n_cells >= min_cells) & ~used).sum())
    if n_small:
        said.append(f"Samples with fewer than {min_cells} cells, left out: {n_small}.")
    if n_other:
        said.append(f"Samples of donors that the model has no use for (one side alone, or twice), left out: {n_other}.")
    return said


def _too_few(n_cells: NDArray[np.int64], kept: NDArray[np.bool_], min_cells: int) -> str:
    n_in, n_out = (int(n) for n in kept.sum(axis=1))
    n_any = (n_cells > 0).sum(axis=1)
    return (
        f"Expected at least {MIN_DONORS} donors on each side, or {MIN_DONORS} donors with both, each with {min_cells} "
        f"cells or more; found {n_in} of {int(n_any[0])} donors in the group, {n_out} of {int(n_any[1])} in what it is "
        f"compared with, and {int(kept.all(axis=0).sum())} with both. Lower the least number of cells, choose larger "
        "groups, or take the exploratory test over cells."
    )
