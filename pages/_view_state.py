"""What a person looks at, as one value: the dataset, the maps, the selections, the choices; put back in one step."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pages._carried import FIELDS, Choice, choose_again, chosen_on
from pages._label_store import label_columns
from pages._map_state import MapState, map_state, set_map_state
from pages._state import (
    cell_table,
    datasets_here,
    save_selection,
    saved_selections,
    select_cells,
    selection,
    use_dataset,
)
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import DatasetError


@dataclass(frozen=True, kw_only=True)
class ViewState:
    """What a person looks at.

    Attributes
    ----------
    dataset
        The hash of its content, or the first letters of it.
    page
        The name of the page; empty for the one that the address names.
    maps
        None where they stay as they begin.
    selection, kept
        The cells chosen on a map, and those kept under names.
    choices
        What stands in other fields, by the names of `pages._carried`.
    labels
        Names of columns of labels that people gave.
    lost
        In words: what could not be read.
    """

    dataset: str
    page: str = ""
    maps: MapState | None = None
    selection: CellSet | None = None
    kept: Mapping[str, CellSet] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def view_now(dataset: Dataset, page: str) -> ViewState:
    """Return what this session looks at, on all pages."""
    choices = {name: value for one in FIELDS for name, value in chosen_on(one, dataset).items()}
    return ViewState(
        dataset=dataset.sha256, page=page, maps=map_state(dataset), selection=selection(), kept=saved_selections(),
        choices=choices, labels=tuple(label_columns(dataset)),
    )  # fmt: skip


def view_again(state: ViewState) -> list[str]:
    """Put a view back, before anything is drawn; return in words what could not be put back.

    Raises
    ------
    DatasetError
        If the dataset is not on this server.
    """
    dataset = find_dataset(state.dataset)
    use_dataset(dataset)
    lost = list(state.lost)
    missing = [name for name in state.labels if name not in label_columns(dataset)]
    lost += [f"The labels {name[:60]} are not in this workspace." for name in missing]
    if state.maps is not None:
        lost += set_map_state(dataset, _with_known_split(dataset, state.maps, lost))
    lost += choose_again(dataset, state.choices)
    for name, cells in state.kept.items():
        if _belongs(cells, dataset, lost):
            save_selection(name, cells)
    if state.selection is not None and _belongs(state.selection, dataset, lost):
        select_cells(state.selection)
    return lost


def find_dataset(letters: str) -> Dataset:
    """Return the dataset of the workspace whose hash begins so.

    Raises
    ------
    DatasetError
        If there is none, or several.
    """
    found = [one for one in datasets_here() if one.sha256.startswith(letters)] if len(letters) >= 6 else []
    if len(found) != 1:
        here = "several datasets begin so" if found else "no such dataset is on this server"
        msg = f"Expected a dataset whose content has the hash {letters[:12]}, but {here}. Add its file, then try again."
        raise DatasetError(msg, "no-dataset")
    return found[0]


def _with_known_split(dataset: Dataset, maps: MapState, lost: list[str]) -> MapState:
    if not maps.split_by or maps.split_by in cell_table(dataset):
        return maps
    lost.append(f"There is no column {maps.split_by[:60]} to split the map by.")
    return replace(maps, split_by="")


def _belongs(cells: CellSet, dataset: Dataset, lost: list[str]) -> bool:
    if cells.n_cells == dataset.n_cells:
        return True
    lost.append(f"The selection {cells.label[:60]} was made among {cells.n_cells:,} cells, not {dataset.n_cells:,}.")
    return False

