"""What the steps and tables of a perturbation share: which cells, which edits, what was measured; knows no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_null import POOL_CELLS, Match, generator
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.tokens import GeneEdit, edit_in_words, edit_name

if TYPE_CHECKING:
    from scfm_core.analyses.measure_edits import EditedCells, MeasureEdits

ALL_CELLS = "all cells"
Edit = tuple[GeneEdit, ...]


@dataclass(frozen=True, eq=False)
class Study:
    """A question with everything looked up that its steps and tables share.

    Attributes
    ----------
    labels, kinds
        What each edit is called, and which kind it is: ``"delete"``, or ``"delete+overexpress"`` where it mixes kinds.
    chosen
        Positions of the perturbed cells in the dataset, ascending, shape ``(n_chosen,)``.
    groups, donors
        Of the chosen cells, shape ``(n_chosen,)``; ``donors`` is None where no column names them, and empty for a cell
        without a donor.
    identity
        The cell type of every cell of the dataset, shape ``(n_cells,)``, empty for none; None where no column names it.
    members
        The chosen cells of each group that have a vector, as positions in ``chosen``.
    in_random_order
        The cells of each group on which genes are compared (the pool), as positions in ``chosen``: in random order,
        donors taking turns.
    states, state_roles
        Names of the states toward which shifts are measured, and whether each is ``"goal"`` or ``"alternative"``.
    null_genes, null_cells, seed
        As in `PerturbGenes`.
    """

    dataset: Dataset
    edits: tuple[Edit, ...]
    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    chosen: NDArray[np.int64]
    groups: NDArray[np.str_]
    donors: NDArray[np.str_] | None
    members: dict[str, NDArray[np.int64]]
    in_random_order: dict[str, NDArray[np.int64]]
    states: tuple[str, ...]
    seed: int
    state_roles: tuple[str, ...] = ()
    identity: NDArray[np.str_] | None = None
    null_genes: int = 0
    null_cells: int = 0

    @property
    def group_names(self) -> list[str]:
        """The groups in the order of their names."""
        return list(self.members)

    def expresses(self, gene_id: str) -> NDArray[np.bool_]:
        """Return which chosen cells have counts of a gene, shape ``(n_chosen,)``."""
        return self.dataset.expression(gene_id)[self.chosen] > 0

    def sample(self, edited: "EditedCells", edit: int, group: str) -> NDArray[np.int64]:
        """Return the cells on which an edit is compared with random genes, as positions in `chosen`."""
        order = self.in_random_order[group]
        holding: NDArray[np.int64] = order[edited.holds[edit, order]]
        return holding[: self.null_cells]


@dataclass(frozen=True, eq=False)
class RandomGenes:
    """What random genes did on the cells on which genes are compared.

    Attributes
    ----------
    draws
        One row per random gene, or set of genes, of each edit and group: ``edit`` (number), ``group``, ``draw``,
        ``number`` (of the distinct random edit), ``symbols`` (joined with ``+``), ``gene_ids`` and ``genes``, positions
        in the dataset's genes (joined with ``;``), ``odds`` and ``rank``, see `Pool.abundance_of`.
    matches
        How well they match, by number of the edit and group.
    abundance
        Of the tested gene, then of its random genes, shape ``(n_draws + 1, n_covariates)``, see `Pool.abundance_of`.
    number, cell
        One entry per distinct random edit and cell on which it was measured: the edit, and the cell's position in the
        dataset, shape ``(n_pairs,)``; ordered by number, then by the cell's place in the pool.
    distance, shifts
        1 - cosine, shape ``(n_pairs,)``, and the shift toward each state, shape ``(n_states, n_pairs)``; NaN where the
        cell has no vector afterwards.
    landing
        The nearest unperturbed cells afterwards, shape ``(n_pairs, k)``, int32.
    n_passes
        How many times a cell went through the model for it.
    """

    draws: pd.DataFrame
    matches: Mapping[tuple[int, str], Match]
    abundance: Mapping[tuple[int, str], NDArray[np.float64]]
    number: NDArray[np.int64]
    cell: NDArray[np.int64]
    distance: NDArray[np.float64]
    shifts: NDArray[np.float64]
    landing: NDArray[np.int32]
    n_passes: int


def make_study(question: "MeasureEdits", has_vector: NDArray[np.bool_], *, seed: int) -> Study:
    """Look up the cells and edits of a question; what only its tables need is left empty.

    Parameters
    ----------
    has_vector
        Which cells of the dataset have an unperturbed vector, shape ``(n_cells,)``.

    Raises
    ------
    RequestError
        If a column is not there, or no chosen cell has a value in it.
    """
    dataset = question.baseline.dataset
    chosen, groups = chosen_cells(dataset, question.cells, question.group_by)
    donor = dataset.roles.get("donor")
    donors = None if donor is None else column_of(dataset, donor)[chosen]
    there = has_vector[chosen]
    members = {str(name): np.flatnonzero((groups == name) & there) for name in np.unique(groups)}
    return Study(
        dataset=dataset,
        edits=question.edits,
        labels=labels_of(dataset, question.edits),
        kinds=tuple("+".join(dict.fromkeys(edit_name(single) for single in edit)) for edit in question.edits),
        chosen=chosen,
        groups=groups,
        donors=donors,
        members=members,
        in_random_order={name: pool_order(cells, donors, (seed, name)) for name, cells in members.items()},
        states=tuple(state.value for state in question.states),
        seed=seed,
    )


def pool_order(
    cells: NDArray[np.int64], donors: NDArray[np.str_] | None, seed: tuple[int, str]
) -> NDArray[np.int64]:
    """Return the cells on which genes are compared, at most `POOL_CELLS`, in random order with donors taking turns.

    So the first cells that hold a gene come from as many donors as possible.

    Parameters
    ----------
    donors
        Of every chosen cell; None where nobody named them.
    seed
        The seed, and the name of the group.
    """
    order: NDArray[np.int64] = generator(seed[0], seed[1], "cells").permutation(cells)
    if donors is not None:
        turn = pd.Series(donors[order]).groupby(donors[order]).cumcount().to_numpy()
        order = order[np.argsort(turn, kind="stable")]
    return order[:POOL_CELLS]


def chosen_cells(
    dataset: Dataset, cells: CellSet | None, group_by: str | None
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Return the positions of the cells to perturb, ascending, and the group of each; both of shape ``(n_chosen,)``.

    Cells without a value in the column ``group_by`` are left out; all are one group where it is None.

    Raises
    ------
    RequestError
        If there is no such column, or no chosen cell has a value in it.
    """
    chosen = np.arange(dataset.n_cells) if cells is None else cells.positions
    if group_by is None:
        return chosen, np.full(len(chosen), ALL_CELLS if cells is None else cells.label)
    groups = column_of(dataset, group_by)[chosen]
    kept = groups != ""
    if not kept.any():
        msg = f"No chosen cell has a value in column {group_by!r}. Choose another column or other cells."
        raise RequestError(msg, "no-groups")
    return chosen[kept], groups[kept]


def column_of(dataset: Dataset, name: str) -> NDArray[np.str_]:
    """Return a column of the cell table as text, shape ``(n_cells,)``; empty where a cell has no value.

    Raises
    ------
    RequestError
        If there is no such column.
    """
    table = dataset.cells()
    if name not in table:
        names = ", ".join(map(str, table.columns)) or "none"
        msg = f"The cell table has no column {name!r}. Its columns: {names}."
        raise RequestError(msg, "unknown-column")
    column: pd.Series = table[name]
    return np.asarray(column.astype(object).where(column.notna(), "").map(str), dtype=np.str_)


def labels_of(dataset: Dataset, edits: Sequence[Edit]) -> tuple[str, ...]:
    """Return what each edit is called: by symbols, or by gene ids where two edits would be called the same."""
    symbol = dict(zip(dataset.gene_ids, dataset.gene_symbols, strict=True))
    labels = [_label(edit, symbol) for edit in edits]
    named = zip(edits, labels, strict=True)
    return tuple(_label(edit, {}) if labels.count(label) > 1 else label for edit, label in named)


def mean_there(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are there; NaN of none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def _label(edit: Edit, symbols: Mapping[str, str]) -> str:
    return "+".join(edit_in_words(single, symbols.get(single.gene_id, single.gene_id)) for single in edit)
