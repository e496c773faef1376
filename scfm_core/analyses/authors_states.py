"""States of cells named by the cell table, which cells take part in the authors' readout, and the states' vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.authors_passes import Readout, mean_sums
from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk, require_organism
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

FILTER_COLUMN = "filter_pass"


@dataclass(frozen=True)
class State:
    """The cells whose entry in a column of the cell table reads ``value``."""

    column: str
    value: str

    def mask(self, dataset: Dataset) -> NDArray[np.bool_]:
        """Return which cells of a dataset are in this state, shape ``(n_cells,)``.

        Raises
        ------
        RequestError
            If there is no such column, or no cell has the value.
        """
        table = dataset.cells()
        if self.column not in table:
            names = ", ".join(map(str, table.columns)) or "none"
            msg = f"The cell table has no column {self.column!r}. Its columns: {names}."
            raise RequestError(msg, "unknown-column")
        column = table[self.column]
        mask = column.notna().to_numpy() & (column.astype(str) == self.value).to_numpy()
        if not mask.any() and pd.api.types.is_numeric_dtype(column):  # 1 is also 1.0
            mask = (column == pd.to_numeric(self.value, errors="coerce")).to_numpy(dtype=bool)
        if not mask.any():
            found = ", ".join(repr(str(value)) for value in column.dropna().unique()[:12])
            msg = f"No cell has {self.value!r} in column {self.column!r}. It holds: {found or 'nothing'}."
            raise RequestError(msg, "no-cells")
        return np.asarray(mask, dtype=bool)


@dataclass(frozen=True)
class States:
    """From where to where a perturbation is hoped to push cells.

    Attributes
    ----------
    start
        The cells that are perturbed.
    goal
        Where they should go.
    alternatives
        Where they might go instead.
    """

    start: State
    goal: State
    alternatives: tuple[State, ...] = ()

    @property
    def all(self) -> tuple[State, ...]:
        """Start, goal, alternatives."""
        return (self.start, self.goal, *self.alternatives)

    @property
    def names(self) -> tuple[str, ...]:
        """What each is called: its value; the column too where two states share a value."""
        values = [state.value for state in self.all]
        return tuple(
            f"{state.column}={state.value}" if values.count(state.value) > 1 else state.value for state in self.all
        )


@dataclass(frozen=True)
class StateVectors:
    """The mean vector of the cells of each state.

    Attributes
    ----------
    vectors
        Shape ``(n_states, embedding_size)``, float64.
    n_cells
        How many cells each is the mean of, shape ``(n_states,)``.
    """

    vectors: NDArray[np.float64]
    n_cells: NDArray[np.int64]


@dataclass(frozen=True)
class AverageStates(Request[StateVectors]):
    """Average the vectors of the cells of each state, exactly (the authors' ``exact_mean``).

    Cells whose ``filter_pass`` is a number other than 1 take no part, nor do cells without tokens.

    Raises
    ------
    RequestError
        If a state has no cell with a vector.
    """

    baseline: EmbedCells
    states: tuple[State, ...]

    result_type: ClassVar[type] = StateVectors

    def run(self, context: Context) -> StateVectors:
        """See `Request.run`."""
        dataset, model = self.baseline.dataset, self.baseline.model
        require_organism(dataset, model)
        members = np.array([state.mask(dataset) & passes_filter(dataset) for state in self.states])
        cells = np.flatnonzero(members.any(axis=0))
        size = cells_per_chunk(model)
        pieces = [cells[start : start + size] for start in range(0, len(cells), size)]
        work = [(piece, members[:, piece]) for piece in pieces]
        function = partial(mean_sums, Readout(dataset, model, self.baseline.chosen_options))
        sums = np.zeros((len(self.states), model.embedding_size))
        n_cells = np.zeros(len(self.states), dtype=np.int64)
        sizes = [len(piece) for piece in pieces]
        for part in context.map(function, work, step="Averaging the states", sizes=sizes):
            sums, n_cells = sums + part["sums"], n_cells + part["n_cells"]
        empty = [state for state, number in zip(self.states, n_cells, strict=True) if not number]
        if empty:
            msg = (
                f"No cell with {empty[0].value!r} in column {empty[0].column!r} has a vector: they hold no gene of the "
                f"model, or their {FILTER_COLUMN} is not 1. Choose another state."
            )
            raise RequestError(msg, "no-cells")
        return StateVectors(vectors=sums / n_cells[:, None], n_cells=n_cells)


def passes_filter(dataset: Dataset) -> NDArray[np.bool_]:
    """Return which cells the authors' code would keep: all, or those whose column ``filter_pass`` is 1."""
    table = dataset.cells()
    if FILTER_COLUMN not in table:
        return np.ones(dataset.n_cells, dtype=bool)
    column = table[FILTER_COLUMN]
    numbers = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(dtype=np.float64)
    return np.asarray(numbers == 1.0)


def state_from_text(text: str, option: str) -> State:
    """Read ``COLUMN=VALUE``.

    Examples
    --------
    >>> state_from_text("disease = dilated cardiomyopathy", "--start")
    State(column='disease', value='dilated cardiomyopathy')
    """
    column, equals, value = text.partition("=")
    if not equals or not column.strip() or not value.strip():
        msg = f'{option} reads "COLUMN=VALUE", such as "disease=normal", found {text!r}.'
        raise RequestError(msg, "bad-state")
    return State(column.strip(), value.strip())


def start_cells(dataset: Dataset, states: States | None) -> NDArray[np.bool_]:
    """Return which cells are perturbed as far as states are concerned, shape ``(n_cells,)``."""
    return np.ones(dataset.n_cells, dtype=bool) if states is None else states.start.mask(dataset)


def require_different(states: Sequence[State]) -> None:
    """Raise a `RequestError` where the same state is named twice."""
    if len(set(states)) < len(states):
        named = ", ".join(f"{state.column}={state.value}" for state in states)
        msg = f"Start, goal and alternatives are different states, found {named}. Name each once."
        raise RequestError(msg, "repeated-state")
