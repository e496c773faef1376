"""What the selected cells are made of, by any column, beside all other cells or a kept selection."""

import pandas as pd
import streamlit as st

from pages._columns import PERCENT, in_percent
from pages._groupings import grouping_choices, grouping_of
from pages._models import baseline
from pages._show import TableFile, downloads, draw, plain_provenance, provenance, say
from pages._state import cell_table, saved_selections
from pages._views import CLUSTERS, MapSettings
from pages._waiting import answer
from pages._words import cells_of, counted, file_stem
from scfm_core.analyses.compare_values import CompareValues
from scfm_core.analyses.compose_cells import ComposeCells, Composition
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import ByClusters, Grouping
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.plots.composition import composition_bars
from scfm_core.plots.value_spread import value_spread

OTHERS = "All other cells"
SELECTION = "the selection"
_MOST_GROUPS = 300
_number = st.column_config.NumberColumn


def made_of_tab(dataset: Dataset, chosen: CellSet) -> None:
    """Show the groups, or the spread of values, among the selected cells and beside them."""
    left, right = st.columns([1, 3], gap="medium")
    with left:
        groups, numbers = [*grouping_choices(dataset), *_more_groups(dataset), CLUSTERS], _number_columns(dataset)
        column = st.selectbox(
            "Made of", [*groups, *numbers], key=f"made-of:{dataset.sha256[:10]}", persist_state="session",
            help="Any column of the cell table, labels, or clusters.",
        )  # fmt: skip
        against = choose_beside(dataset, chosen, "made-of")
        _cells_files(dataset, chosen)
    with right:
        if column in groups:
            _groups(dataset, chosen, column, against)
        else:
            _values(dataset, chosen, column, against)


def choose_beside(dataset: Dataset, chosen: CellSet, key: str) -> CellSet | None:
    """Let the cells be chosen that stand beside the selection: a kept selection, or None for all others."""
    saved = saved_selections()
    names = [OTHERS, *(f"Selection {name}" for name in saved)]
    name = st.selectbox("Beside", names, key=f"{key}:beside:{len(names)}")
    if name == OTHERS:
        return None
    kept = saved[name.removeprefix("Selection ")].called(name)
    n_shared = len(kept & chosen)
    if n_shared:
        st.caption(f"{cells_of(n_shared)} of {name} are selected too; they count as selected.")
    return kept


def _groups(dataset: Dataset, chosen: CellSet, column: str, against: CellSet | None) -> None:
    request = ComposeCells(
        dataset, chosen.called(SELECTION), _grouping(dataset, column), against=against, donors=_donors(dataset, column)
    )
    found = answer(request, place="made-of")
    if found is None:
        return
    beside = "all other cells" if against is None else against.label
    figure = composition_bars(found, SELECTION, beside, column=column)
    draw(figure, f"made-of:{column}")
    say(figure)
    st.dataframe(
        in_percent(_wide(found)), hide_index=True, column_config=_columns(column, beside), height="content"
        if len(found.table) < 12 else 420,
    )  # fmt: skip
    _say_donors(dataset, found, column)
    about = provenance(dataset, request, selected=chosen.label, beside=beside, test="none: cells are no replicates")
    tables = [TableFile(label="Composition", table=lambda: _wide(found), about=about)]
    if len(found.donors):
        tables.append(TableFile(label="Per donor", table=lambda: found.donors, about=about))
    downloads("selection", stem=file_stem(dataset.title, "selection", column), figure=figure, tables=tables)


def _values(dataset: Dataset, chosen: CellSet, column: str, against: CellSet | None) -> None:
    request = CompareValues(dataset, chosen.called(SELECTION), column, against=against)
    found = answer(request, place="made-of")
    if found is None:
        return
    figure = value_spread(found, column=column)
    draw(figure, f"made-of:{column}")
    say(figure)
    numbers = {name: _number(format="%.4g") for name in found.table.columns[3:]}
    st.dataframe(found.table, hide_index=True, column_config=numbers)
    about = provenance(dataset, request, selected=chosen.label, test="none: cells are no replicates")
    table = TableFile(label="Spread", table=lambda: found.table, about=about)
    downloads("selection", stem=file_stem(dataset.title, "selection", column), figure=figure, tables=[table])


def _donors(dataset: Dataset, column: str) -> str | None:
    """Return the column of donors, where there are several, and they are not what is asked about."""
    donors = dataset.roles.get("donor")
    several = donors is not None and cell_table(dataset)[donors].nunique() > 1
    return donors if several and donors != column else None


def _grouping(dataset: Dataset, column: str) -> Grouping:
    if column != CLUSTERS:
        return grouping_of(dataset, column)
    # the page keeps the settings of its maps under this name
    settings = st.session_state.get(f"map:{dataset.sha256[:10]}")
    settings = settings if isinstance(settings, MapSettings) else MapSettings()
    return ByClusters(settings.clusters(EmbedCells(dataset, baseline())))


def _wide(found: Composition) -> pd.DataFrame:
    """Return the table of shares, with the ranges over donors where they are known."""
    if found.donors.empty:
        return found.table
    ranges = found.range_over_donors().reset_index(drop=True)
    names = {
        "low_in": "share_in_low",
        "high_in": "share_in_high",
        "low_out": "share_out_low",
        "high_out": "share_out_high",
    }
    return pd.concat([found.table, ranges.rename(columns=names)], axis=1)


def _columns(column: str, beside: str) -> dict[str, object]:
    percent = {
        "share_in": ("Share of the selection", "Of the selected cells."),
        "share_out": ("Share beside it", f"Of {beside}."),
        "share_of_group": ("Share of the group", "Part of the group's cells, on both sides, that is selected."),
        "share_in_low": ("Selection, lowest donor", "Smallest share over donors with selected cells."),
        "share_in_high": ("highest donor", "Largest share over donors with selected cells."),
        "share_out_low": ("Beside, lowest donor", "Smallest share over donors with cells beside the selection."),
        "share_out_high": ("highest donor", "Largest share over donors with cells beside the selection."),
    }
    counts = {"n_in": "Cells selected", "n_out": "Cells beside", "donors_in": "Donors, selection",
              "donors_out": "Donors, beside"}  # fmt: skip
    return {
        "group": st.column_config.TextColumn(column),
        **{name: _number(title, format=PERCENT, help=words) for name, (title, words) in percent.items()},
        **{name: _number(title) for name, title in counts.items()},
    }


def _say_donors(dataset: Dataset, found: Composition, column: str) -> None:
    if len(found.donors):
        with_cells = found.donors[found.donors["n_donor_in"] > 0].drop_duplicates("donor")
        smallest, largest = with_cells["n_donor_in"].min(), with_cells["n_donor_in"].max()
        st.caption(
            f"{cells_of(int(smallest))} to {cells_of(int(largest))} per donor in the selection, "
            f"{counted(len(with_cells), 'donor')}. A share in a donor with few cells is hardly known. To compare "
            "people, count per donor: the file holds every donor's share."
        )
    elif column in (dataset.roles.get("batch"), dataset.roles.get("donor")):
        st.caption("This says from where the selected cells come. Cells of one donor or batch are no replicates.")


def _cells_files(dataset: Dataset, chosen: CellSet) -> None:
    def table() -> pd.DataFrame:
        return cell_table(dataset)[chosen.mask].rename_axis("cell").reset_index()

    about = plain_provenance(dataset, selected=chosen.label, cells=str(len(chosen)))
    cells = TableFile(label="Selected cells", table=table, about=about, spreadsheet=len(chosen) <= 200_000)
    downloads("selected-cells", stem=file_stem(dataset.title, "selected-cells"), tables=[cells])


def _number_columns(dataset: Dataset) -> list[str]:
    table, groups = cell_table(dataset), grouping_choices(dataset)
    return [
        name for name in table
        if name not in groups and pd.api.types.is_numeric_dtype(table[name]) and table[name].dtype.kind != "b"
    ]  # fmt: skip


def _more_groups(dataset: Dataset) -> list[str]:
    """Return columns of text with too many groups for a legend, and of one group, which a table can still show."""
    table, groups = cell_table(dataset), grouping_choices(dataset)
    return [
        name for name in table
        if name not in groups and isinstance(table[name].dtype, pd.CategoricalDtype)
        and len(table[name].cat.categories) <= _MOST_GROUPS
    ]  # fmt: skip
