"""What every question of the page Perturbation asks for: a model, cells, a goal; and what it will cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages._groupings import cells_of_groups, grouping_choices
from pages._models import embedded_models, model_words
from pages._state import cell_table, grouping_columns, selection
from pages._words import about, cells_of, count, counted, plain
from scfm_core.analyses.authors_states import State
from scfm_core.analyses.grouping import in_reading_order
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec

ALL, GROUP, SELECTED = "All cells", "One group", "The selection"
GROUPS = "Some groups"
TOGETHER_ALL = "all cells together"
NO_GOAL = "No goal"
DRAW_SEED = 42  # of Geneformer's authors


def choose_model(key: str, specs: Sequence[ModelSpec]) -> ModelSpec:
    """Let one of some models be chosen, the first one that is no baseline at the start."""
    keys = [spec.key for spec in specs]
    start = next((place for place, spec in enumerate(specs) if not spec.is_baseline), 0)
    name = st.selectbox(
        "Model", keys, index=start, format_func=lambda name: model_words(specs[keys.index(name)]),
        key=f"{key}:model", persist_state="session",
    )  # fmt: skip
    return specs[keys.index(name)]


@dataclass(frozen=True)
class Where:
    """Which cells (None: all), and the column for whose values the answer is told (None: all together)."""

    cells: CellSet | None
    group_by: str | None


def choose_cells(dataset: Dataset, key: str, gene_ids: Sequence[str]) -> Where | None:
    """Let all cells, some groups or the selection be chosen, and how the answer is told; None without a group."""
    columns, chosen = grouping_columns(dataset), selection()
    offered = [GROUPS] if grouping_choices(dataset) else []
    ways = [*offered, ALL, *([SELECTED] if chosen is not None else [])]
    way = st.selectbox("Cells", ways, key=f"{key}:cells:{len(ways)}", persist_state="session")
    if way == GROUPS:
        return _choose_groups(dataset, key, gene_ids)
    if way == SELECTED and chosen is not None:
        st.caption(f"{cells_of(len(chosen))}, {plain(chosen.label)}.")
    group_by = st.selectbox(
        "Told per", [*columns, TOGETHER_ALL], key=f"{key}:per", persist_state="session",
        help="The answer is given for each value of this column.",
    )  # fmt: skip
    return Where(chosen if way == SELECTED else None, None if group_by == TOGETHER_ALL else group_by)


def _choose_groups(dataset: Dataset, key: str, gene_ids: Sequence[str]) -> Where | None:
    column = st.selectbox("Column", grouping_choices(dataset), key=f"{key}:column", persist_state="session")
    names = group_names(dataset, column)
    chosen = st.multiselect(
        "Groups", names, default=[fullest_group(dataset, column, gene_ids)], key=f"{key}:groups:{column}",
        persist_state="session", select_all=False, wrap=True, placeholder="Choose a group",
        help="Each is answered by itself. At the start the group in which most cells hold the gene.",
    )  # fmt: skip
    sets = [cells_of_groups(dataset, column, [name]) for name in chosen]
    if len(sets) < 2:
        return Where(sets[0], None) if sets else None
    if column not in grouping_columns(dataset):
        st.caption("Groups that were labelled here are answered together.")
        return Where(cells_of_groups(dataset, column, chosen), None)
    *first, last = chosen
    label = f"{', '.join(first)} and {last}"
    return Where(CellSet.from_mask(label, np.any([one.mask for one in sets], axis=0)), column)


def choose_some_cells(dataset: Dataset, key: str, gene_ids: Sequence[str]) -> tuple[str, CellSet | None]:
    """Let one group, all cells (None) or the selection be chosen; returns which way it was."""
    columns, chosen = grouping_choices(dataset), selection()
    ways = [*([GROUP] if columns else []), ALL, *([SELECTED] if chosen is not None else [])]
    way = st.selectbox("Cells", ways, key=f"{key}:cells:{len(ways)}", persist_state="session")
    if way == SELECTED and chosen is not None:
        st.caption(f"{cells_of(len(chosen))}, {plain(chosen.label)}.")
        return way, chosen
    if way == ALL:
        return way, None
    column = st.selectbox("Column", columns, key=f"{key}:column", persist_state="session")
    names = group_names(dataset, column)
    value = st.selectbox(
        "Group", names, index=names.index(fullest_group(dataset, column, gene_ids)), key=f"{key}:group:{column}",
        persist_state="session", help="At the start the group in which most cells hold the gene.",
    )  # fmt: skip
    return way, cells_of_groups(dataset, column, [value])


def choose_goal(dataset: Dataset, key: str, *, alternatives: bool = True) -> tuple[State | None, tuple[State, ...]]:
    """Let a goal be chosen, and the states where cells might go instead."""
    columns = grouping_columns(dataset)
    if not columns:
        return None, ()
    column = st.selectbox(
        "Toward what", [NO_GOAL, *columns], key=f"{key}:goal-column", persist_state="session",
        help="With a goal the answer also says whether the cells come closer to other cells of this column.",
    )  # fmt: skip
    if column == NO_GOAL:
        return None, ()
    names = group_names(dataset, column)
    goal = st.selectbox("Goal", names, key=f"{key}:goal:{column}", persist_state="session")
    others = st.multiselect(
        "Alternatives", [name for name in names if name != goal], key=f"{key}:others:{column}",
        persist_state="session", select_all=False, wrap=True, placeholder="None",
        help="States that the cells might go to instead.",
    ) if alternatives else []  # fmt: skip
    return State(column, goal), tuple(State(column, name) for name in others)


def draw_cells(dataset: Dataset, mask: NDArray[np.bool_], label: str, most: int) -> CellSet | None:
    """Return the cells to edit, drawn by chance where there are more than wanted; None, with a word, where none is."""
    places = np.flatnonzero(mask)
    if not len(places):
        st.caption(f"No cell of {plain(label)} holds the chosen genes.")
        return None
    if len(places) <= most:
        return CellSet.from_mask(label, mask)
    drawn = np.sort(np.random.default_rng(DRAW_SEED).choice(places, most, replace=False))
    st.caption(f"{cells_of(most)} of the {count(len(places))} that can be edited, drawn by chance. More can be chosen.")
    return CellSet.from_positions(label, drawn.tolist(), dataset.n_cells)


def group_names(dataset: Dataset, column: str) -> list[str]:
    """Return the values of a column of the cell table, in reading order."""
    return in_reading_order(cell_table(dataset)[column].dropna().astype(str).unique())


def fullest_group(dataset: Dataset, column: str, gene_ids: Sequence[str]) -> str:
    """Return the group in which the largest share of cells holds the first gene; the largest group without a gene."""
    names = cell_table(dataset)[column].astype(str).where(cell_table(dataset)[column].notna())
    if not gene_ids:
        return str(names.value_counts().index[0])
    holds = pd.Series(dataset.expression(gene_ids[0]) > 0, index=names.index)
    return str(holds.groupby(names).mean().idxmax())


def cost_words(dataset: Dataset, model: ModelSpec, n_passes: int, *, first_embeds: bool = True) -> str:
    """Say how many cells will go through the model, and how long that takes here where it is known.

    ``first_embeds`` says whether all cells have to be embedded before.
    """
    words = f"At most {counted(n_passes, 'cell')} go{'es' if n_passes == 1 else ''} through the model"
    ready = embedded_models(dataset)
    if model.key not in ready:
        before = f", after the {cells_of(dataset.n_cells)} are embedded" if first_embeds else ""
        return f"{words}{before}. The time is told while it runs."
    seconds = ready[model.key]
    return f"{words}, {about(seconds / dataset.n_cells * n_passes)} here." if seconds else f"{words}."
