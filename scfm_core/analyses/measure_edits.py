"""What do edits of the input do to each chosen cell, exactly: the part of a perturbation that needs no comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk, model_arrays
from scfm_core.analyses.perturbation_landing import Landscape
from scfm_core.analyses.perturbation_null import generator
from scfm_core.analyses.perturbation_passes import (
    Apparatus,
    all_pairs,
    embed_again,
    embed_edited,
    one_minus_cosine,
    unit_vectors,
)
from scfm_core.analyses.perturbation_study import Edit, chosen_cells, labels_of
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request
from scfm_core.tokens import edit_name

NOISE_CELLS = 32
_NO_DIRECTION_BELOW = 1e-5  # of the length of a cell's vector: what float32 leaves of vectors that cancel


@dataclass(frozen=True)
class EditedCells:
    """What edits did to each chosen cell.

    Attributes
    ----------
    chosen
        Positions of the edited cells in the dataset, ascending, shape ``(n_chosen,)``, int64.
    holds
        Whether the edit changes the input of the cell, shape ``(n_edits, n_chosen)``.
    distance
        1 - cosine of the cell's vector before and after, shape ``(n_edits, n_chosen)``; NaN where the edit changes
        nothing, and where there is no vector before or after.
    shifts
        Cosine with each state's mean vector, after minus before, shape ``(n_edits, n_states, n_chosen)``; NaN likewise.
    landing_before
        The nearest unperturbed cells of each chosen cell as it was, itself left out, as positions in the dataset,
        nearest first, shape ``(n_chosen, k)``, int32; -1 where the cell has no vector.
    landing_after
        The same for the cell as the edit leaves it, shape ``(n_edits, n_chosen, k)``, int32.
    noise_floor
        Largest 1 - cosine between the stored vector of a cell and the same cell embedded again without an edit: an
        effect below it is arithmetic. About 1e-12 in float32.
    n_passes
        How many times a cell went through the model for this, the stored baseline not counted.
    """

    chosen: NDArray[np.int64]
    holds: NDArray[np.bool_]
    distance: NDArray[np.float64]
    shifts: NDArray[np.float64]
    landing_before: NDArray[np.int32]
    landing_after: NDArray[np.int32]
    noise_floor: float
    n_passes: int


@dataclass(frozen=True)
class MeasureEdits(Request[EditedCells]):
    """Make edits in the input of a model and measure what each chosen cell does.

    Parameters
    ----------
    baseline
        The unperturbed cells: dataset, model and options.
    edits
        Each inner tuple is made together and is one line of the result.
    cells
        Which cells; all where None.
    group_by
        Column of the cell table; cells without a value are left out.
    states
        Toward which shifts are measured; each is the mean vector of its unperturbed cells.

    Raises
    ------
    RequestError
        If there is nothing to edit, the model cannot make an edit, a gene is not in the dataset, or the cells belong to
        another dataset.

    References
    ----------
    Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9, Methods, "In silico deletion" and "In silico treatment".
    """

    baseline: EmbedCells
    edits: tuple[Edit, ...]
    cells: CellSet | None = None
    group_by: str | None = None
    states: tuple[State, ...] = ()

    result_type: ClassVar[type] = EditedCells

    def __post_init__(self) -> None:
        _require_edits(self)
        _require_genes(self)
        n_cells = self.baseline.dataset.n_cells
        if self.cells is not None and (self.cells.n_cells != n_cells or not len(self.cells)):
            msg = f"Expected some of the dataset's {n_cells:,} cells, found {self.cells!r}. Choose the cells again."
            raise RequestError(msg, "no-cells")

    def run(self, context: Context) -> EditedCells:
        """See `Request.run`."""
        dataset = self.baseline.dataset
        chosen, _ = chosen_cells(dataset, self.cells, self.group_by)
        for state in self.states:  # what cannot be answered is said before anything is computed
            state.mask(dataset)
        n_left_out = (len(self.cells) if self.cells else dataset.n_cells) - len(chosen)
        if n_left_out:
            context.log(f"{n_left_out:,} cells have no {self.group_by} and are left out")
        points = np.asarray(context.compute(self.baseline).points)
        apparatus = apparatus_of(context, self.baseline)
        measure = Measure.of(self, points)
        empty = np.full((len(self.edits), len(chosen)), np.nan)
        distance, shifts = empty, np.repeat(empty[:, None], len(self.states), axis=1)
        holds = np.zeros(empty.shape, dtype=bool)
        before = measure.landscape.neighbours(points[chosen], itself=chosen)
        after = np.repeat(before[None], len(self.edits), axis=0)
        work = all_pairs(chosen, len(self.edits), passes_per_chunk=cells_per_chunk(self.baseline.model))
        parts = context.map(
            partial(embed_edited, apparatus, self.edits),
            work,
            step=f"Editing {_listed(labels_of(dataset, self.edits))}",
            sizes=[len(passes) for passes in work],
            unit="edited cells",
        )
        for passes, part in zip(work, parts, strict=True):
            edit, cell = passes.edit_of_pair[part["changed"]], passes.cells[passes.cell_of_pair[part["changed"]]]
            position = np.searchsorted(chosen, cell)
            holds[edit, position] = True
            distance[edit, position] = one_minus_cosine(points[cell], part["points"])
            shifts[edit, :, position] = measure.shifts(cell, part["points"]).T
            after[edit, position] = measure.landscape.neighbours(part["points"], itself=cell)
        sample = np.sort(generator(0, "noise").permutation(chosen)[:NOISE_CELLS])
        again = context.call(partial(embed_again, apparatus, sample), step="Measuring the noise of the arithmetic")
        noise = one_minus_cosine(points[sample], again)
        return EditedCells(
            chosen=chosen,
            holds=holds,
            distance=distance,
            shifts=shifts,
            landing_before=before,
            landing_after=after,
            noise_floor=float(np.nanmax(noise)) if np.isfinite(noise).any() else float("nan"),
            n_passes=int(holds.sum()) + len(sample),
        )


@dataclass(frozen=True, eq=False)
class Measure:
    """What an edited cell is measured against: its own vector, the states, and the unperturbed cells around it.

    Attributes
    ----------
    points
        Unperturbed vectors of all cells of the dataset, shape ``(n_cells, embedding_size)``.
    goals
        Unit vectors of the states, shape ``(n_states, embedding_size)``.
    """

    points: NDArray[np.float32]
    goals: NDArray[np.float64]
    landscape: Landscape

    @classmethod
    def of(cls, question: MeasureEdits, points: NDArray[np.float32]) -> "Measure":
        """Prepare the states and the unperturbed cells of a question."""
        goals = state_vectors(question.baseline.dataset, question.states, points)
        return cls(points, unit_vectors(goals), Landscape.of(points))

    def shifts(self, cells: NDArray[np.int64], after: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the shift of edited cells toward each state, shape ``(n_states, n)``."""
        if not len(self.goals) or not len(cells):
            return np.empty((len(self.goals), len(cells)))
        return np.asarray(self.goals @ (unit_vectors(after) - unit_vectors(self.points[cells])).T)


def state_vectors(
    dataset: Dataset, states: Sequence[State], points: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the mean unperturbed vector of the cells of each state, shape ``(n_states, embedding_size)``.

    Raises
    ------
    RequestError
        If a state has no cell, or none with a vector, or its vectors cancel: those of all cells under a model whose
        vectors are centred.
    """
    vectors = np.empty((len(states), points.shape[1]))
    for number, state in enumerate(states):
        mine = points[state.mask(dataset)]
        mine = mine[~np.isnan(mine[:, 0])].astype(np.float64)
        if not len(mine):
            msg = f"No cell with {state.value!r} in column {state.column!r} has a vector. Choose another state."
            raise RequestError(msg, "no-cells")
        vectors[number] = mine.mean(axis=0)
        if np.linalg.norm(vectors[number]) <= _NO_DIRECTION_BELOW * np.linalg.norm(mine, axis=1).mean():
            msg = (
                f"The vectors of the {len(mine):,} cells with {state.value!r} in column {state.column!r} cancel, so "
                "that there is no direction toward them. Choose a state that is not all of the cells."
            )
            raise RequestError(msg, "no-direction")
    return vectors


def apparatus_of(context: Context, baseline: EmbedCells) -> Apparatus:
    """Return a model applied to a dataset, as workers need it."""
    dataset, model = baseline.dataset, baseline.model
    return Apparatus(dataset, model, baseline.chosen_options, model_arrays(context, dataset, model))


def _require_edits(question: MeasureEdits) -> None:
    if not question.edits or not all(question.edits):
        msg = "Expected at least one gene in every edit, found none. Name the genes to edit."
        raise RequestError(msg, "no-genes")
    if len({frozenset(edit) for edit in question.edits}) < len(question.edits):
        msg = "The same edit stands in the request twice. Name each edit once."
        raise RequestError(msg, "repeated-edit")
    for edit in question.edits:
        if len({single.gene_id for single in edit}) < len(edit):
            msg = "An edit names the same gene twice. Edit each gene once, or make two edits."
            raise RequestError(msg, "repeated-edit")
    model = question.baseline.model
    wanted = {edit_name(single) for edit in question.edits for single in edit} - set(model.gene_edits)
    if wanted:
        can = ", ".join(model.gene_edits) or "edit none"
        msg = f"{model.title} cannot {' or '.join(sorted(wanted))} a gene. It can: {can}. Choose one, or another model."
        raise RequestError(msg, "unsupported-edit")


def _require_genes(question: MeasureEdits) -> None:
    known = set(question.baseline.dataset.gene_ids)
    unknown = {single.gene_id for edit in question.edits for single in edit} - known
    if unknown:
        msg = (
            f"Not among the {len(known):,} genes of this dataset: {', '.join(sorted(unknown))}. "
            "Choose genes that were measured."
        )
        raise RequestError(msg, "unknown-gene")
    names = [state.value for state in question.states]
    if len(set(names)) < len(names):
        msg = f"Two states have one name: {', '.join(names)}. Name each state once."
        raise RequestError(msg, "repeated-state")


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= 3 else f"{len(labels):,} genes or sets of genes"
