"""What a session remembers: the dataset, the selection of cells, and the engine that all sessions share."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from pages._label_store import label_columns, labels_stamp
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset, Role, list_datasets
from scfm_core.engine import Engine
from scfm_core.errors import DatasetError
from scfm_core.workspace import Workspace

_DATASET, _SELECTION, _SAVED, _ROUND = "dataset", "selection", "saved_selections", "selection_round"
_TOKEN = "selection_token"


@dataclass(frozen=True)
class _Held:
    """Keeps the engine from being taken for something to wait for, which a Dask client inside it is."""

    engine: Engine


def workspace() -> Workspace:
    """Return the folder in which datasets and answers live."""
    return Workspace.from_environment()


def engine() -> Engine:
    """Return the engine shared by all sessions of this server."""
    return _held(str(workspace().root)).engine


@st.cache_resource(show_spinner=False, on_release=lambda held: held.engine.close())
def _held(root: str) -> _Held:
    from scfm_core.cluster import connect  # Dask is not needed to show the first page

    return _Held(connect(workspace()))


def datasets_here() -> list[Dataset]:
    """Return the datasets of the workspace, newest first."""
    return list_datasets(workspace().folder("datasets"))


def dataset_in_use() -> Dataset | None:
    """Return the dataset of this session; None where none is chosen or its folder is gone."""
    dataset: Dataset | None = st.session_state.get(_DATASET)
    if dataset is not None and not (dataset.path / "manifest.json").is_file():
        st.session_state.pop(_DATASET)
        return None
    return dataset


def use_dataset(dataset: Dataset) -> None:
    """Choose the dataset that every page works on; a selection of another dataset's cells is dropped."""
    before = st.session_state.get(_DATASET)
    st.session_state[_DATASET] = dataset
    if before is None or before.identity != dataset.identity:
        st.session_state[_SAVED] = {}
        clear_selection()


def open_demo_dataset(key: str) -> Dataset:
    """Put a demo into the workspace and choose it."""
    from scfm_core.intake import open_demo

    dataset = open_demo(key, workspace().folder("datasets"))
    use_dataset(dataset)
    return dataset


def selection() -> CellSet | None:
    """Return the cells chosen on a map."""
    chosen: CellSet | None = st.session_state.get(_SELECTION)
    return chosen


def select_cells(cells: CellSet, *, token: str = "") -> None:
    """Remember the cells chosen on a map; an empty choice clears the selection.

    Parameters
    ----------
    token
        By which the maps of this browser know the selection already; empty where it was made elsewhere.
    """
    st.session_state[_SELECTION] = cells if len(cells) else None
    st.session_state[_TOKEN] = token


def clear_selection() -> None:
    """Forget the selection, and the shapes drawn on the maps."""
    st.session_state[_SELECTION] = None
    st.session_state[_TOKEN] = ""
    st.session_state[_ROUND] = selection_round() + 1


def selection_token() -> str:
    """Return the name by which the maps of this browser know the selection; empty where they do not."""
    return str(st.session_state.get(_TOKEN, ""))


def selection_round() -> int:
    """Return a number that changes when the selection is cleared, so that maps forget what was drawn on them."""
    return int(st.session_state.get(_ROUND, 0))


def saved_selections() -> dict[str, CellSet]:
    """Return the selections saved for a comparison, by name ("A", "B")."""
    saved: dict[str, CellSet] = st.session_state.setdefault(_SAVED, {})
    return saved


def save_selection(name: str, cells: CellSet) -> None:
    """Keep a selection under a name for a comparison."""
    mine = CellSet(label=f"Selection {name}", bits=cells.bits, n_cells=cells.n_cells)
    st.session_state[_SAVED] = {**saved_selections(), name: mine}


@st.cache_resource(show_spinner=False, max_entries=8)
def _cells(identity: str, _dataset: Dataset) -> pd.DataFrame:
    return _dataset.cells()


@st.cache_resource(show_spinner=False, max_entries=4)
def _labelled_cells(identity: str, stamp: tuple[int, int], _dataset: Dataset) -> pd.DataFrame:
    labels = {name: values.array for name, values in label_columns(_dataset).items()}
    return _cells(identity, _dataset).assign(**labels)


def cell_table(dataset: Dataset) -> pd.DataFrame:
    """Return the cell table with the labels that people gave; it is shared, so nothing may write to it."""
    stamp = labels_stamp(dataset)
    table: pd.DataFrame = (
        _labelled_cells(dataset.identity, stamp, dataset) if stamp[0] else _cells(dataset.identity, dataset)
    )
    return table


def grouping_columns(dataset: Dataset, *, most_groups: int = 60) -> list[str]:
    """Return the columns of the file that can tell cells apart into groups: those with a role first, then by name."""
    table: pd.DataFrame = _cells(dataset.identity, dataset)
    order: tuple[Role, ...] = ("cell_type", "condition", "batch", "donor")
    first = [dataset.roles[role] for role in order if dataset.roles.get(role) in table]
    rest = [name for name in table if name not in first and _tells_groups(table[name], most_groups)]
    return list(dict.fromkeys([*first, *rest]))


def _tells_groups(column: pd.Series, most_groups: int) -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return 2 <= len(column.cat.categories) <= most_groups
    whole = pd.api.types.is_bool_dtype(column) or pd.api.types.is_integer_dtype(column)
    return whole and 2 <= column.nunique() <= most_groups


def require_dataset() -> Dataset:
    """Return the dataset of this session; raises `DatasetError` where there is none."""
    dataset = dataset_in_use()
    if dataset is None:
        msg = "No dataset is open. Open a demo or add a file on the page Dataset."
        raise DatasetError(msg, "no-dataset")
    return dataset
