"""The labels that people gave to the cells of a dataset, read again only where somebody changed them."""

import pandas as pd
import streamlit as st

from scfm_core.annotations import Annotations, LabelColumn
from scfm_core.dataset import Dataset
from scfm_core.errors import ScfmError
from scfm_core.workspace import Workspace


def annotations(dataset: Dataset) -> Annotations:
    """Return the labels of a dataset and the log that they are made from."""
    return Annotations.of(dataset, Workspace.from_environment().folder("labels"))


def label_details(dataset: Dataset) -> dict[str, LabelColumn]:
    """Return the columns of labels by name; raises `DatasetError` where the log is damaged."""
    found = annotations(dataset)
    return _columns(str(found.log.folder), found.log.stamp(), found)


def label_columns(dataset: Dataset) -> dict[str, pd.Series]:
    """Return the labels of each column that has some, one value per cell; none where the log is damaged.

    What is wrong with a damaged log is said where labels are given.
    """
    try:
        details = label_details(dataset)
    except ScfmError:
        return {}
    return {name: column.values for name, column in details.items() if len(column.values.cat.categories)}


def labels_stamp(dataset: Dataset) -> tuple[int, int]:
    """Return numbers that change with every label."""
    return annotations(dataset).log.stamp()


@st.cache_resource(show_spinner=False, max_entries=8)
def _columns(folder: str, stamp: tuple[int, int], _annotations: Annotations) -> dict[str, LabelColumn]:
    return _annotations.columns()
