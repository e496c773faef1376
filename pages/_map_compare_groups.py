"""The comparison of two embeddings by groups: kept neighbours, mixing of batches, neighbours gained and lost."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages._columns import PERCENT
from pages._groupings import grouping_choices
from pages._show import TableFile, downloads, draw, provenance, say
from pages._state import cell_table
from pages._waiting import errors_as_text
from pages._words import file_stem
from scfm_core.analyses.compare_neighbors import CompareNeighbors, NeighborComparison
from scfm_core.analyses.neighbor_tables import kept_by_donor, kept_by_group, mixing_by_group, neighbor_composition
from scfm_core.dataset import Dataset
from scfm_core.plots.figure import Figure
from scfm_core.plots.neighbor_change import neighbor_change
from scfm_core.plots.neighbor_overlap import neighbor_mixing, overlap_by_group

_NOTHING = "-"
_SPREAD = "none: nothing is tested; low and high are the middle half of the cells, which are no replicates"
_number = st.column_config.NumberColumn
_COLUMNS = {
    "group": st.column_config.TextColumn("Group"),
    "embedding": st.column_config.TextColumn("Embedding"),
    "neighbor": st.column_config.TextColumn("Their neighbours"),
    "n_cells": _number("n cells", help="Cells compared."),
    "mean": _number("Mean", format=PERCENT),
    "sd": _number("SD over cells", format=PERCENT),
    "low": _number("25 % of the cells", format=PERCENT, help="A quarter of the cells lie at or below it."),
    "median": _number("Median", format=PERCENT),
    "high": _number("75 % of the cells", format=PERCENT),
    "by_chance": _number("By chance", format=PERCENT, help="If neighbours were drawn from all cells."),
    "by_chance_within": _number(
        "By chance, within",
        format=PERCENT,
        help="If neighbours were drawn at random, but with the groups that each cell's neighbours have.",
    ),  # fmt: skip
    "share_first": _number("In the first", format=PERCENT, help="Share of the group's neighbours."),
    "share_second": _number("In the second", format=PERCENT),
    "change": _number("Change, points", format="%.3g", help="Second minus first, in percentage points."),
}


def by_group(request: CompareNeighbors, found: NeighborComparison, names: dict[str, str]) -> None:
    """Show the comparison for the groups of a column.

    Parameters
    ----------
    names
        What the ``first`` and the ``second`` embedding are called.
    """
    dataset = request.first.dataset
    columns = grouping_choices(dataset)
    if not columns:
        st.caption("No column of the cell table tells cells apart into groups, so there is nothing to compare by.")
        return
    kept, mixing, change = st.tabs(["By group", "Mixing", "Neighbours gained and lost"])
    with kept, errors_as_text():
        _kept(request, found, names, _choose(dataset, columns, "Groups", "kept"))
    with mixing, errors_as_text():
        _mixing(request, found, names, columns)
    with change, errors_as_text():
        _change(request, found, names, _choose(dataset, columns, "Groups", "change"))


def labels_of(dataset: Dataset, column: str) -> NDArray[np.str_]:
    """Return the group of each cell by a column of the file or of labels, "" for none, shape ``(n_cells,)``."""
    codes, found = pd.factorize(cell_table(dataset)[column])
    return np.array([*(str(name) for name in found), ""], dtype=np.str_)[codes]


def _choose(dataset: Dataset, columns: list[str], label: str, key: str) -> str:
    return str(st.selectbox(label, columns, key=f"compare:{key}:{dataset.sha256[:10]}", persist_state="session"))


def _kept(request: CompareNeighbors, found: NeighborComparison, names: dict[str, str], column: str) -> None:
    dataset = request.first.dataset
    labels = labels_of(dataset, column)
    table = kept_by_group(found, labels)
    donor = dataset.roles.get("donor", "")
    donors = kept_by_donor(found, labels, labels_of(dataset, donor)) if donor and donor != column else None
    if donors is not None and donors["donor"].nunique() < 2:
        donors = None  # one donor tells nothing about donors
    figure = overlap_by_group(table, **names, n_neighbors=found.n_neighbors, donors=donors)
    more = {} if donors is None else {"Donors": lambda: donors}
    _show(request, figure, table, key="compare-kept", column=column, more=more)


def _mixing(request: CompareNeighbors, found: NeighborComparison, names: dict[str, str], columns: list[str]) -> None:
    dataset = request.first.dataset
    left, right = st.columns(2, gap="medium")
    first = next((dataset.roles[role] for role in ("batch", "donor") if dataset.roles.get(role) in columns), columns[0])
    column = left.selectbox(
        "Mixed or apart", columns, index=columns.index(first), key=f"compare:mixing:{dataset.sha256[:10]}",
        persist_state="session",
        help="A batch or a donor: mixed is good where they hold the same kinds of cells. A cell type: apart is good.",
    )  # fmt: skip
    others = [_NOTHING, *(name for name in columns if name != column)]
    kind = dataset.roles.get("cell_type", "")
    within = right.selectbox(
        "Taking into account", others, index=others.index(kind) if kind in others else 0,
        key=f"compare:within:{dataset.sha256[:10]}:{file_stem(column)}",
        help="Batches of other cell types cannot mix. The share expected by chance then follows the cell types of each "
        "cell's neighbours.",
    )  # fmt: skip
    chosen = "" if within == _NOTHING else str(within)
    table = mixing_by_group(found, labels_of(dataset, column), within=labels_of(dataset, chosen) if chosen else None)
    figure = neighbor_mixing(table, **names, column=column, within=chosen)
    _show(request, figure, table.assign(embedding=table["embedding"].map(names)), key="compare-mixing", column=column)


def _change(request: CompareNeighbors, found: NeighborComparison, names: dict[str, str], column: str) -> None:
    table = neighbor_composition(found, labels_of(request.first.dataset, column))
    figure = neighbor_change(table, **names, column=column)
    _show(request, figure, table.sort_values("change", key=abs, ascending=False), key="compare-change", column=column)


def _show(
    request: CompareNeighbors,
    figure: Figure,
    table: pd.DataFrame,
    *,
    key: str,
    column: str,
    more: dict[str, Callable[[], pd.DataFrame]] | None = None,
) -> None:
    draw(figure, key)
    say(figure)
    shares = [name for name in table if name not in ("group", "embedding", "neighbor", "n_cells")]
    percent = table.assign(**{name: 100 * table[name] for name in shares})
    st.dataframe(percent.dropna(axis=1, how="all"), hide_index=True, column_config=_COLUMNS)
    dataset = request.first.dataset
    about = provenance(dataset, request, test=_SPREAD, groups=column)
    tables = [TableFile(label="Groups", table=lambda: table, about=about)]
    tables += [TableFile(label=label, table=make, about=about) for label, make in (more or {}).items()]
    stem = file_stem(dataset.title, request.first.model.key, request.second.model.key, key, column)
    downloads(key, stem=stem, figure=figure, tables=tables)
