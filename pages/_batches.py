"""The column with the batches, which some models correct for: chosen once for all pages."""

import streamlit as st

from pages._state import grouping_columns
from pages._words import plain
from scfm_core.cell_batches import batch_column, read_batches
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.model import ModelSpec


def chosen_batch(dataset: Dataset) -> str:
    """Return the column chosen in this session, else the dataset's own; empty where neither is there."""
    chosen = str(st.session_state.get(_key(dataset)) or "")
    return batch_column(dataset, chosen if chosen in dataset.cell_columns else "")


def choose_batch(dataset: Dataset, specs: list[ModelSpec]) -> str:
    """Let the column be chosen where a model corrects for batches; return what stands in the way, if anything."""
    needing = [spec for spec in specs if spec.needs_batch]
    if not needing:
        return ""
    columns, start = grouping_columns(dataset), chosen_batch(dataset)
    if columns:
        st.selectbox(
            "Batches", columns, index=columns.index(start) if start in columns else None, key=_key(dataset),
            persist_state="session", placeholder="Choose a column",
            help="ComBat, Harmony and scVI take differences between these groups for technical and remove them. Where "
            "batch and condition go together, they remove the condition too.",
        )  # fmt: skip
    problem = _problem(dataset.identity, chosen_batch(dataset), needing[0].title, dataset)
    if problem:
        st.info(plain(problem, longest=600), icon=":material/info:")
    return problem


def batch_words(dataset: Dataset, spec: ModelSpec) -> str:
    """Return what a model takes for batches, in words; empty where it needs none."""
    if not spec.needs_batch:
        return ""
    column = chosen_batch(dataset)
    return f"Corrected for batches, column \"{plain(column)}\"." if column else "No column with batches is chosen."


def _key(dataset: Dataset) -> str:
    return f"batch-column:{dataset.sha256[:10]}"


@st.cache_data(show_spinner=False, max_entries=32)
def _problem(identity: str, column: str, needed_by: str, _dataset: Dataset) -> str:
    try:
        read_batches(_dataset, column, needed_by=needed_by)
    except RequestError as error:
        return str(error)
    return ""
