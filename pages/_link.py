"""The address holds the view: written when it changes, read once when a session begins."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from pages._carried import Choice, chosen_on, read, remember_first, written
from pages._label_store import label_columns
from pages._map_state import MapState, MapView, map_state
from pages._state import dataset_in_use, saved_selections, selection, workspace
from pages._view_state import ViewState, view_again
from pages._views import CLUSTERS, GENE, GENE_SET, MapSettings
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import ScfmError
from scfm_core.kept_cells import keep_cells, kept_cells

_READ, _SAID, _KEYS = "address-read", "address-said", "address-cells"
_HASH_LETTERS = 12
_MOST = 200
_LIMITS: Mapping[str, tuple[float, float]] = {
    "n_neighbors": (5, 50), "min_dist": (0.05, 1.0), "perplexity": (5.0, 100.0), "resolution": (0.1, 3.0),
    "seed": (0, 9999),
}  # fmt: skip
Address = dict[str, list[str]]


def open_address() -> None:
    """Show what the address of a new session names, before the page is drawn; say what of it is not here."""
    if st.session_state.get(_READ):
        return
    st.session_state[_READ] = True
    address = {name: st.query_params.get_all(name)[:_MOST] for name in st.query_params}
    if "dataset" in address:
        say_after(lambda: view_again(view_of(address)))


def say_after(put_back: Any) -> None:
    """Put a view back, and keep what is to be said about it for the page."""
    try:
        lost = put_back()
    except ScfmError as error:
        lost = [str(error)]
    st.session_state[_SAID] = lost


def tell_lost(words: Any) -> None:
    """Say on the page what of an address or a session file is not here, until it is put away.

    Parameters
    ----------
    words
        Makes a text safe to show.
    """
    lost = st.session_state.get(_SAID)
    if not lost:
        return
    with st.container(border=True, key="address-said"):
        lines = "\n".join(f"- {words(one)}" for one in lost[:12])
        st.markdown(f"**Not everything could be put back.** The rest is as it was.\n{lines}")
        st.button("Close", key="address-close", on_click=lambda: st.session_state.pop(_SAID, None))


def keep_address(page: str) -> None:
    """Write the view into the address, where it changed; selections are kept in the workspace under their hash."""
    dataset = dataset_in_use()
    if dataset is None:
        return
    address = address_of(dataset, page)
    now = {name: st.query_params.get_all(name) for name in st.query_params}
    if now != address:
        st.query_params.from_dict(address)
    remember_first(page, dataset)


def address_of(dataset: Dataset, page: str) -> Address:
    """Return the view of this session on a page, as parameters of an address."""
    address: Address = {"dataset": [dataset.sha256[:_HASH_LETTERS]]}
    if page == "UMAP":
        address |= _of_maps(map_state(dataset))
    chosen = selection()
    if chosen is not None:
        address["selection"] = [_key_of(chosen)]
    kept = [f"{name}:{_key_of(cells)}" for name, cells in saved_selections().items()]
    labels = list(label_columns(dataset))
    address |= {"kept": kept} if kept else {}
    address |= {"labels": labels} if labels else {}
    return address | {name: [written(value)] for name, value in chosen_on(page, dataset).items()}


def link(dataset: Dataset, page: str) -> str:
    """Return the whole address of the view."""
    return f"{str(st.context.url or '').split('?')[0]}?{urlencode(address_of(dataset, page), doseq=True)}"


def view_of(address: Mapping[str, Sequence[str]]) -> ViewState:
    """Return the view that the parameters of an address name; what cannot be read is told in ``lost``."""
    lost: list[str] = []
    known = {"dataset", "view", "map", "split", "selection", "kept", "labels", "embed", "embed_options"}
    choices: dict[str, Choice] = {}
    for name, values in address.items():
        if name in known:
            continue
        value = read(values[0]) if values else None
        if value is None:
            lost.append(f"The parameter {name[:60]} of the address cannot be read.")
        else:
            choices[name] = value
    chosen = [cells for key in address.get("selection", ())[:1] if (cells := _cells_of(key, lost)) is not None]
    kept = {}
    for text in address.get("kept", ()):
        name, _, key = text.partition(":")
        cells = _cells_of(key, lost)
        if cells is not None and 0 < len(name) <= 60:
            kept[name] = cells
    maps = _maps_of(address, lost) if {"view", "map", "split"} & set(address) else None
    return ViewState(
        dataset=(list(address.get("dataset", ())) or [""])[0], maps=maps, selection=chosen[0] if chosen else None,
        kept=kept, choices=choices, labels=tuple(address.get("labels", ())), lost=tuple(lost),
    )  # fmt: skip


def _of_maps(state: MapState) -> Address:
    found: Address = {"view": [f"{view.model},{_of_colour(view)}" for view in state.views]}
    start = MapSettings()
    changed = [
        f"{one.name}:{getattr(state.settings, one.name)}"
        for one in fields(start)
        if getattr(state.settings, one.name) != getattr(start, one.name)
    ]
    found |= {"map": [",".join(changed)]} if changed else {}
    return found | ({"split": [state.split_by]} if state.split_by else {})


def _of_colour(view: MapView) -> str:
    match view.colour:
        case "Clusters (Leiden)":
            return "clusters"
        case "A gene":
            return f"gene:{view.gene_id}"
        case "A gene set":
            return f"set:{view.gene_set}"
        case column if column == "clusters" or column.startswith(("gene:", "set:", "column:")):
            return f"column:{column}"
    return view.colour


def _maps_of(address: Mapping[str, Sequence[str]], lost: list[str]) -> MapState:
    views = tuple(_view_of(text) for text in address.get("view", ())[:8])
    settings = _settings_of(",".join(address.get("map", ())[:1]), lost)
    return MapState(views=views, settings=settings, split_by=(list(address.get("split", ())) or [""])[0])


def _view_of(text: str) -> MapView:
    model, _, colour = text.partition(",")
    kind, colon, rest = colour.partition(":")
    if colour == "clusters":
        return MapView(model=model, colour=CLUSTERS)
    match kind if colon else "":
        case "gene":
            return MapView(model=model, colour=GENE, gene_id=rest)
        case "set":
            return MapView(model=model, colour=GENE_SET, gene_set=rest)
        case "column":
            return MapView(model=model, colour=rest)
    return MapView(model=model, colour=colour)


def _settings_of(text: str, lost: list[str]) -> MapSettings:
    start, found = MapSettings(), {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition(":")
        checked = setting(name, read(value))
        if checked is None:
            lost.append(f"The map has no setting {part[:60]}; it begins with its own.")
        else:
            found[name] = checked
    return MapSettings(**{one.name: found.get(one.name, getattr(start, one.name)) for one in fields(start)})


def setting(name: str, value: object) -> Any:
    """Return the value of one of `MapSettings` with its type; None where it is out of range, or there is none."""
    if name == "method":
        return value if value in ("umap", "tsne") else None
    if name not in _LIMITS or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    low, high = _LIMITS[name]
    if not low <= value <= high or (isinstance(low, int) and value != int(value)):
        return None
    return type(low)(value)


def _key_of(cells: CellSet) -> str:
    """Return the name under which cells are kept; they are written once."""
    known: dict[CellSet, str] = st.session_state.setdefault(_KEYS, {})
    if cells not in known:
        known = {**dict(list(known.items())[-40:]), cells: keep_cells(workspace().folder("selections"), cells)}
        st.session_state[_KEYS] = known
    return known[cells]


def _cells_of(key: str, lost: list[str]) -> CellSet | None:
    try:
        return kept_cells(workspace().folder("selections"), key)
    except ScfmError as error:
        lost.append(str(error))
        return None
