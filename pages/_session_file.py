"""A session as one file: the same view, with its cells and labels, on this or another server."""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, NoReturn

import numpy as np

from pages._carried import Choice, travelling
from pages._label_store import annotations, label_details
from pages._link import setting
from pages._map_state import MOST_VIEWS, MapState, MapView
from pages._view_state import ViewState, find_dataset
from pages._views import MapSettings
from scfm_core import __version__
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.kept_cells import packed, unpacked

FORMAT, VERSION = "scfm-session", 1
LARGEST_BYTES = 32 * 2**20
_LONGEST = 300
_MOST_KEPT, _MOST_CHOICES, _MOST_COLUMNS, _MOST_LABELS = 50, 400, 50, 1000


def session_file(dataset: Dataset, state: ViewState) -> bytes:
    """Return a view as a JSON file, with the cells of its selections and the labels that people gave."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"scFM Explorer {__version__}",
        "dataset": {"sha256": dataset.sha256, "title": dataset.title, "n_cells": dataset.n_cells},
        "page": state.page,
        "maps": None if state.maps is None else asdict(state.maps),
        "selection": None if state.selection is None else packed(state.selection),
        "kept": {name: packed(cells) for name, cells in state.kept.items()},
        "choices": dict(state.choices),
        "labels": _labels_of(dataset),
    }
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def read_session(content: bytes) -> tuple[ViewState, list[dict[str, Any]]]:
    """Return the view that a session file holds, and its columns of labels as `put_labels` takes them.

    Raises
    ------
    RequestError
        If it is no session file of this version, is too large, or holds what no session file does.
    """
    if len(content) > LARGEST_BYTES:
        _refuse(f"it has {len(content):,} bytes, more than {LARGEST_BYTES:,}")
    try:
        found = json.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        _refuse("it is no JSON")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        _refuse("it does not say that it is one")
    if found.get("version") != VERSION:
        _refuse(f"it has version {str(found.get('version'))[:20]}, and this is version {VERSION}")
    about = _mapping(found, "dataset")
    choices, lost = _choices(_mapping(found, "choices"))
    labels = [_label_column(one) for one in _list(found, "labels", _MOST_COLUMNS)]
    state = ViewState(
        dataset=_text(about, "sha256"), page=_text(found, "page"), maps=_maps(found.get("maps")),
        selection=None if found.get("selection") is None else unpacked(found["selection"]),
        kept=_kept(_mapping(found, "kept")), choices=choices, lost=tuple(lost),
    )  # fmt: skip
    return state, labels


def put_labels(letters: str, columns: list[dict[str, Any]], *, author: str) -> list[str]:
    """Give the labels of a session file to the cells, in columns that are not here yet; return what was done."""
    dataset = find_dataset(letters)
    store, here, said = annotations(dataset), label_details(dataset), []
    for column in columns:
        codes, name = column["codes"], column["name"]
        if len(codes) != dataset.n_cells:
            said.append(f"The labels {name} were given to {len(codes):,} cells, not {dataset.n_cells:,}.")
            continue
        if name in here:
            brought = np.array([*column["labels"], ""], dtype=object)[codes]
            if not np.array_equal(brought, here[name].values.astype(object).fillna("").to_numpy()):
                said.append(f"A column {name} with other labels is here already, and stays as it is.")
            continue
        for place, label in enumerate(column["labels"]):
            cells = CellSet.from_mask(label, codes == place)
            if len(cells):
                store.give(name, label, cells, author=author, term=column["terms"].get(label, ""))
    return said


def _labels_of(dataset: Dataset) -> list[dict[str, Any]]:
    told = []
    for name, column in label_details(dataset).items():
        codes = np.asarray(column.values.cat.codes, dtype="<i2")
        text = base64.b64encode(zlib.compress(codes.tobytes(), 9)).decode()
        labels = [str(label) for label in column.values.cat.categories]
        told.append({"name": name, "labels": labels, "terms": dict(column.terms), "n_cells": len(codes), "codes": text})
    return told


def _label_column(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse("a column of labels is none")
    labels = _list(value, "labels", _MOST_LABELS)
    terms = _mapping(value, "terms")
    n_cells = value.get("n_cells")
    texts = all(isinstance(one, str) and 0 < len(one) <= _LONGEST for one in (*labels, *terms, *terms.values()))
    if not texts or not isinstance(n_cells, int) or isinstance(n_cells, bool) or not 0 < n_cells <= 50_000_000:
        _refuse("a column of labels is none")
    text, unpack = _text(value, "codes", LARGEST_BYTES), zlib.decompressobj()
    try:
        raw = unpack.decompress(base64.b64decode(text, validate=True), 2 * n_cells + 1)
    except (ValueError, zlib.error):
        raw = b""
    codes = np.frombuffer(raw, dtype="<i2") if len(raw) == 2 * n_cells else np.array([-2])
    if codes.min() < -1 or codes.max() >= len(labels):
        _refuse("the labels of some cells cannot be read")
    return {"name": _text(value, "name"), "labels": labels, "terms": terms, "codes": codes}


def _maps(value: object) -> MapState | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        _refuse("its maps are none")
    names = [one.name for one in fields(MapView)]
    views = tuple(
        MapView(**{name: _text(view, name) for name in names if name in view})
        for view in _list(value, "views", MOST_VIEWS)
        if isinstance(view, dict) and {"model", "colour"} <= set(view)
    )
    given = _mapping(value, "settings")
    start = MapSettings()
    checked = {one.name: setting(one.name, given.get(one.name)) for one in fields(start)}
    settings = {name: getattr(start, name) if one is None else one for name, one in checked.items()}
    return MapState(views=views, settings=MapSettings(**settings), split_by=_text(value, "split_by"))


def _kept(value: Mapping[str, object]) -> dict[str, CellSet]:
    if len(value) > _MOST_KEPT or any(len(name) > 60 for name in value):
        _refuse("it keeps too many selections")
    return {name: unpacked(cells) for name, cells in value.items()}


def _choices(value: Mapping[str, object]) -> tuple[dict[str, Choice], list[str]]:
    if len(value) > _MOST_CHOICES:
        _refuse("it holds too many choices")
    known = {name: travelling(one) for name, one in value.items()}
    lost = [f"The choice {name[:60]} cannot be read." for name, one in known.items() if one is None]
    return {name: one for name, one in known.items() if one is not None}, lost


def _mapping(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name, {})
    if not isinstance(value, dict):
        _refuse(f"its {name} is none")
    return value


def _list(found: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = found.get(name, [])
    if not isinstance(value, list) or len(value) > most:
        _refuse(f"its {name} is none, or too long")
    return value


def _text(found: Mapping[str, Any], name: str, longest: int = _LONGEST) -> str:
    value = found.get(name, "")
    if not isinstance(value, str) or len(value) > longest:
        _refuse(f"its {name} is no text, or too long")
    return value


def _refuse(why: str) -> NoReturn:
    msg = f"Expected a session file of scFM Explorer, but {why}. Download it again from the menu Link and session."
    raise RequestError(msg, "bad-session")
