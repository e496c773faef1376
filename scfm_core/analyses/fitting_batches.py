"""Runs cells in batches of like length that fit the memory of the device."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scfm_core.errors import ModelError
from scfm_core.tokens import batches_by_length

PartT = TypeVar("PartT")


def fitting_batches(
    lengths: NDArray[np.int64], run: Callable[[NDArray[np.int64]], PartT], *, token_budget: int
) -> Iterator[tuple[NDArray[np.int64], PartT]]:
    """Run batches of cells; where one does not fit, halve the budget for it and for all that follow.

    Parameters
    ----------
    lengths
        Tokens of each cell, shape ``(n_cells,)``.
    run
        Takes positions of cells, and raises MemoryError where they do not fit together.
    token_budget
        Largest number of cells times longest cell in one batch.

    Yields
    ------
    Positions of cells, and what ``run`` returned for them; longest cells first.

    Raises
    ------
    ModelError
        If a single cell does not fit the device.
    """
    waiting = list(batches_by_length(lengths, token_budget=token_budget))
    while waiting:
        try:
            part = run(waiting[0])
        except MemoryError as error:
            if len(waiting[0]) == 1:
                msg = (
                    f"A cell of {lengths[waiting[0]][0]:,} genes does not fit the memory of the device. "
                    "Choose a smaller model, or compute on the processor (SCFM_DEVICE=cpu)."
                )
                raise ModelError(msg, "out-of-memory") from error
            rest = np.concatenate(waiting)
            token_budget = max(token_budget // 2, 1)
            waiting = [rest[batch] for batch in batches_by_length(lengths[rest], token_budget=token_budget)]
        else:
            yield waiting.pop(0), part
