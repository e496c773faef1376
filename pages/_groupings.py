"""Groups of cells by a column of the file or by labels that people gave, as values for a question."""

import numpy as np
import pandas as pd
import streamlit as st

from pages._label_store import label_columns, labels_stamp
from pages._state import cell_table, grouping_columns
from scfm_core.analyses.grouping import ByColumn, ByLabels, Grouping, in_reading_order
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset


def grouping_choices(dataset: Dataset) -> list[str]:
    """Return the columns by which cells can be grouped: those of the file, then those of labels."""
    return [*grouping_columns(dataset), *label_columns(dataset)]


def grouping_of(dataset: Dataset, column: str) -> Grouping:
    """Return the groups of a column: by its name for one of the file, as values for labels."""
    labels = label_columns(dataset)
    if column not in labels:
        return ByColumn(column)
    return _labels(dataset.identity, column, labels_stamp(dataset), labels[column])


def group_names_of(dataset: Dataset, column: str) -> list[str]:
    """Return the groups of a column, in reading order."""
    values = cell_table(dataset)[column].dropna()
    names = values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else values.unique()
    return in_reading_order({str(name) for name in names} - {""})


def cells_of_groups(dataset: Dataset, column: str, names: list[str]) -> CellSet:
    """Return the cells of some groups of a column of the file or of labels."""
    values = cell_table(dataset)[column]
    codes, found = pd.factorize(values)
    chosen = np.array([*(str(value) in names for value in pd.Series(found).astype(object)), False], dtype=bool)
    return CellSet.from_mask(" or ".join(names), chosen[codes])


@st.cache_resource(show_spinner=False, max_entries=16)
def _labels(identity: str, column: str, stamp: tuple[int, int], _values: pd.Series) -> ByLabels:
    return ByLabels.from_series(_values)
