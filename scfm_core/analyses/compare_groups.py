"""Does an edit matter in these cells in particular, or does it move every kind of cell alike?"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.checked_cells import changed_cells, studied
from scfm_core.analyses.measure_edits import apparatus_of
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.perturbation_null import generator
from scfm_core.analyses.perturbation_passes import Apparatus
from scfm_core.analyses.perturbation_study import ALL_CELLS, Edit, column_of, labels_of
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

SPECIFIC, GENERIC, CANNOT_TELL = "specific", "generic", "cannot tell"
SPECIFIC_FROM = 2.0  # times as strong here as in the typical other group, both relative to random genes
GENERIC_BELOW = 1.5
MIN_HOLDING = 5  # cells, for a group to count
MOST_HOLDING = 16  # cells of each group are tried until so many hold an edit
MOST_CELLS = 480  # of each group are tried
_CELLS_TRIED_AT_ONCE = 48
_NONE = {"n_holding": 0, "effect": float("nan"), "typical": float("nan"), "times_typical": float("nan")}


@dataclass(frozen=True)
class GroupComparison:
    """How far edits move each group of cells, relative to what random genes do there.

    Attributes
    ----------
    table
        One row per edit and group of the column: ``edit``, ``group``, ``asked`` (whether the question asks about it),
        ``n_holding`` (cells measured), ``effect`` (mean of 1 - cosine over them), ``typical`` (median over random genes
        of like abundance there, as measured), ``times_typical`` (effect over typical). NaN where no cell tried holds
        the edit.
    labels
        One row per edit and group asked about: ``edit``, ``group``, ``label`` (``"specific"``, ``"generic"`` or
        ``"cannot tell"``), ``ratio`` (``times_typical`` here over its median over the other groups where at least 5
        cells hold the edit), ``n_other_groups`` (how many these are), ``reason`` in words.
    column
        The column that names the other groups; empty where none was found.
    n_passes
        About how many times a cell went through the model for it, the stored baseline not counted.
    """

    table: pd.DataFrame
    labels: pd.DataFrame
    column: str
    n_passes: int


@dataclass(frozen=True)
class CompareGroups(Request[GroupComparison]):
    """Make the edits of a question in all other groups of cells too.

    The groups are those of the question's own column, else of the column whose value the chosen cells are, else of the
    cell types. Effects in two groups cannot be compared as they are, because a vector of fewer genes moves more; so
    each is divided by the median effect of random genes of like abundance in the same cells. An edit is called specific
    where this number is at least twice its median over the other groups, and generic below 1.5 times.

    Parameters
    ----------
    null_genes, null_cells
        Random genes per edit and group, and on how many cells each is measured.

    Raises
    ------
    RequestError
        If there are fewer than 1 random gene or cell.
    """

    question: PerturbGenes
    null_genes: int = 20
    null_cells: int = 8

    result_type: ClassVar[type] = GroupComparison

    def __post_init__(self) -> None:
        if self.null_genes < 1 or self.null_cells < 1:
            msg = f"Expected at least 1 random gene and 1 cell, found {self.null_genes} and {self.null_cells}."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> GroupComparison:
        """See `Request.run`."""
        question = self.question
        dataset, edits = question.baseline.dataset, question.edits
        labels = labels_of(dataset, edits)
        apparatus = apparatus_of(context, question.baseline)
        column = comparison_column(question)
        rows: list[dict[str, Any]] = []
        n_passes = 0
        groups = _groups(context, question, column)
        for number, label in enumerate(labels):
            samples = {name: _enough_cells(context, (apparatus, edits[number]), cells) for name, cells, _ in groups}
            measured: dict[str, dict[str, Any]] = {}
            for cells, group_by in _together(question, column, samples):
                found, n = self._measure(context, number, (cells, group_by))
                measured |= found
                n_passes += n
            named = [{"edit": label, "group": name, "asked": asked} for name, _, asked in groups]
            rows += [row | measured.get(str(row["group"]), _NONE) for row in named]
        table = pd.DataFrame(rows)
        order = {label: number for number, label in enumerate(labels)}
        table = table.sort_values("edit", key=lambda names: names.map(order), kind="stable", ignore_index=True)
        return GroupComparison(table, label_groups(table, column), column, n_passes)

    def _measure(
        self, context: Context, number: int, where: tuple[CellSet, str | None]
    ) -> tuple[dict[str, dict[str, Any]], int]:
        """Make one edit in some groups of cells, and in the same way edits of random genes."""
        cells, group_by = where
        nested = replace(
            self.question,
            edits=(self.question.edits[number],),
            cells=cells,
            group_by=group_by,
            goal=None,
            alternatives=(),
            null_genes=self.null_genes,
            null_cells=self.null_cells,
        )
        found = context.compute(nested)
        rows = {}
        for _, row in found.effects.iterrows():
            group, effect = str(row["group"]), float(row["effect"])
            random = found.null.loc[found.null["group"] == group, "null_measured"].to_numpy(dtype=float)
            typical = float(np.nanmedian(random)) if np.isfinite(random).any() else float("nan")
            rows[group] = {
                "n_holding": int(row["n_holding"]),
                "effect": effect,
                "typical": typical,
                "times_typical": effect / typical if typical > 0 else float("nan"),
            }
        return rows, found.n_passes


def comparison_column(question: PerturbGenes) -> str:
    """Return the column of the cell table that names the other groups; empty where there is none.

    The column by which the question is grouped, else one in which the chosen cells are exactly those with the value
    that they are called by, else the one that names cell types.
    """
    if question.group_by is not None:
        return question.group_by
    dataset, cells = question.baseline.dataset, question.cells
    if cells is not None:
        table = dataset.cells()
        columns = [str(name) for name in table.columns]
        found = [name for name in columns if np.array_equal(column_of(dataset, name) == cells.label, cells.mask)]
        if found:
            return min(found, key=lambda name: name != question.identity_by)
    return question.identity_by or ""


def label_groups(table: pd.DataFrame, column: str = "") -> pd.DataFrame:
    """Say for each edit and group asked about whether the edit is specific to it.

    Parameters
    ----------
    table
        As in `GroupComparison`.
    column
        How the other groups are called, for the reason.
    """
    rows = []
    for _, row in table[table["asked"]].iterrows():
        others = table[(table["edit"] == row["edit"]) & (table["group"] != row["group"])]
        enough = others[(others["n_holding"] >= MIN_HOLDING) & others["times_typical"].notna()]
        usual = float(enough["times_typical"].median()) if len(enough) else float("nan")
        ratio = float(row["times_typical"]) / usual if usual > 0 else float("nan")
        label, reason = _label(row, ratio, (len(others), len(enough)))
        rows.append(
            {
                "edit": row["edit"],
                "group": row["group"],
                "label": label,
                "ratio": ratio,
                "n_other_groups": len(enough),
                "reason": reason if len(others) or not column else f"Column {column!r} names no other group of cells.",
            }
        )
    columns = ["edit", "group", "label", "ratio", "n_other_groups", "reason"]
    return pd.DataFrame(rows, columns=columns).astype({"ratio": float, "n_other_groups": int})


def _label(row: "pd.Series[Any]", ratio: float, others: tuple[int, int]) -> tuple[str, str]:
    n_others, n_enough = others
    here = float(row["times_typical"])
    if not n_others:
        return CANNOT_TELL, "There are no other groups of cells to compare with."
    if np.isnan(here) or int(row["n_holding"]) < MIN_HOLDING:
        n_holding = int(row["n_holding"])
        return CANNOT_TELL, f"Held by {n_holding:,} of the cells tried here; at least {MIN_HOLDING} are needed."
    if not n_enough:
        return CANNOT_TELL, f"Held by at least {MIN_HOLDING} of the cells tried in no other group."
    beside = (
        f"{here:.2g} times a typical random gene here, {ratio:.2g} times as much as in the "
        f"{'other group' if n_enough == 1 else f'median of {n_enough} other groups'} where it is held"
    )
    if ratio < GENERIC_BELOW:
        alike = "alike" if ratio > 1 / GENERIC_BELOW else "more"
        return GENERIC, f"Moves other kinds of cells {alike}: {beside}."
    if here < 1:
        return CANNOT_TELL, f"Moves these cells less than a typical random gene does: {beside}."
    if ratio < SPECIFIC_FROM:
        limits = f"generic (below {GENERIC_BELOW:g} times) and specific (from {SPECIFIC_FROM:g} times)"
        return CANNOT_TELL, f"Between {limits}: {beside}."
    return SPECIFIC, f"Stands out in these cells: {beside}."


def _groups(context: Context, question: PerturbGenes, column: str) -> list[tuple[str, NDArray[np.int64], bool]]:
    """Return the groups asked about and the others, each with its cells in random order and whether it was asked."""
    study = studied(context, question)
    found = [(name, study.chosen[study.in_random_order[name]], True) for name in study.group_names]
    if not column:
        return found
    points = np.asarray(context.compute(question.baseline).points)
    free = ~np.isnan(points[:, 0])
    free[study.chosen] = False
    values = column_of(question.baseline.dataset, column)
    for name in np.unique(values[free & (values != "")]):
        cells = generator(question.seed, str(name), "other group").permutation(np.flatnonzero(free & (values == name)))
        if str(name) not in study.group_names:
            found.append((str(name), cells, False))
    return found


def _together(
    question: PerturbGenes, column: str, samples: dict[str, NDArray[np.int64]]
) -> list[tuple[CellSet, str | None]]:
    """Return the cells to measure in one go, and by which column they fall into groups."""
    n_cells = question.baseline.dataset.n_cells
    chosen = question.cells.label if question.cells is not None else ALL_CELLS
    alone = [] if question.group_by is not None else [chosen]
    found: list[tuple[CellSet, str | None]] = [
        (CellSet.from_positions(name, samples[name], n_cells), None) for name in alone if len(samples[name])
    ]
    rest = [some for name, some in samples.items() if name not in alone]
    others = np.concatenate([np.empty(0, dtype=np.int64), *rest])
    if len(others):
        found.append((CellSet.from_positions("the groups compared", others, n_cells), column))
    return found


def _enough_cells(context: Context, job: tuple[Apparatus, Edit], cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first cells, among which enough hold an edit; none where the edit changes none of those tried."""
    apparatus, edit = job
    change = partial(changed_cells, apparatus, (edit,))
    n_held = 0
    for start in range(0, min(len(cells), MOST_CELLS), _CELLS_TRIED_AT_ONCE):
        tried = cells[: min(start + _CELLS_TRIED_AT_ONCE, MOST_CELLS)]
        piece = tried[start:]
        (part,) = context.map(change, [piece], step="Looking for cells that hold the genes", sizes=[len(piece)])
        n_held += int(part.sum())
        if n_held >= MOST_HOLDING:
            return tried
    return cells[:MOST_CELLS] if n_held else cells[:0]
