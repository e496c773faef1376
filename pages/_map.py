"""The linked map of cells: WebGL where it was built, else plotly with a sample of the cells; one selection in all."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages._map_colours import MapColours, colour_codes, colour_data, theme_colours
from pages._served import serve_array, serve_bundle, serve_descriptions
from pages._show import HALF, WIDE, LaterFigure, draw, theme
from pages._state import select_cells, selection, selection_round, selection_token
from pages._views import colour_words, hover_table
from pages._waiting import answer
from pages._words import cells_of, count
from scfm_core.analyses.places_in_parent import places_in_parent
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.plots.cell_map import (
    EACH_POINT,
    MAP_CAVEAT,
    METHOD_NAMES,
    cell_map,
    point_size,
    polygon_selection,
    unplaced_sentence,
)
from scfm_core.plots.figure import Figure, plain_number

PLAIN = "plain_map"  # session: whether the person wants plotly's map
_MARGIN = 0.03


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Where the cells stand on a map.

    Attributes
    ----------
    name
        Tells the content: equal names, equal places.
    coordinates
        Shape ``(n_cells, 2)``; NaN for a cell without a place.
    method, model
        How the map was made, and of which vectors, in words.
    """

    name: str
    coordinates: NDArray[np.float32]
    method: str
    model: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """One of several maps of one figure, which move together.

    Attributes
    ----------
    group
        Names the figure.
    name
        Tells the content of ``members``.
    members
        The cells of this panel, shape ``(n_cells,)``; the others are drawn faintly.
    """

    group: str
    name: str
    members: NDArray[np.bool_]


def show_map(
    dataset: Dataset, projection: ProjectCells, colour: "pd.Series", *, key: str, title: str = "", height: int = 470
) -> LaterFigure | None:
    """Draw all cells on a map on which they can be selected; return the figure for files, None while it is computed.

    Parameters
    ----------
    colour
        One value per cell; its name heads the legend, with the unit. Categories, or numbers on the scale that
        ``colour.attrs["scale"]`` names.
    title
        The finding; made from the colour and n where empty.
    height
        Of the picture, in pixels.
    """
    places = placed_cells(dataset, projection, place=key)
    return None if places is None else draw_map(dataset, places, colour, key=key, title=title, height=height)


def placed_cells(dataset: Dataset, projection: ProjectCells, *, place: str) -> Places | None:
    """Return where the cells stand, also on a map of the dataset that they were taken from; None while computed."""
    found = answer(projection, place=place)
    if found is None:
        return None
    coordinates, mapped = np.asarray(found.coordinates), projection.embedding.dataset
    model = projection.embedding.model.title
    if mapped.identity != dataset.identity:
        coordinates = _in_parent(dataset.identity, projection.identity, dataset, mapped, coordinates)
        model = f"{model} before the subset"
    name = f"{dataset.identity}:{projection.identity}"
    return Places(name=name, coordinates=coordinates, method=projection.method, model=model)


@st.cache_resource(show_spinner=False, max_entries=8)
def _in_parent(
    identity: str, projection: str, _dataset: Dataset, _parent: Dataset, _coordinates: NDArray[np.float32]
) -> NDArray[np.float32]:
    return places_in_parent(_dataset, _parent, _coordinates)


def draw_map(
    dataset: Dataset,
    places: Places,
    colour: "pd.Series",
    *,
    key: str,
    title: str = "",
    height: int = 470,
    panel: Panel | None = None,
) -> LaterFigure:
    """Draw cells at known places; see `show_map`."""
    title = title or _title(dataset, places, colour)
    make = partial(_figure, dataset, places, colour, title, panel, selection())
    label = f"drawn on the {METHOD_NAMES[places.method]} of {places.model}"
    bundle = None if st.session_state.get(PLAIN) else serve_bundle()
    if bundle is None:
        figure = make()
        take = partial(_take_polygons, places.coordinates, label)
        stem = f"{key}:{dataset.sha256[:10]}:{selection_round()}"
        draw(figure, stem, width=HALF if height < 520 else WIDE, on_select=take)
        return LaterFigure(title=title, caption=figure.caption, caveat=figure.caveat, make=make)
    colours = _colours(dataset, colour)
    data = _data(dataset, places, colour, colours, title=title, label=label) | {"height": height}
    if panel is not None:
        data |= {"group": panel.group, "member": _bits_served(panel.name, panel.members)}
    data["version"] = hashlib.sha256(repr(sorted(data.items(), key=str)).encode()).hexdigest()[:16]
    full = f"map:{key}:{dataset.sha256[:10]}"
    _component(bundle)(
        key=full,
        data=data,
        on_selected_change=partial(_take_bits, full, dataset.n_cells),
        on_gone_change=lambda: None,  # the page is run again, and serves what the server had forgotten
    )
    placed = np.isfinite(_normal(places.name, places.coordinates).points[:, 0])
    words = (EACH_POINT, colours.sentence, unplaced_sentence(placed))
    caveat = MAP_CAVEAT.format(method=METHOD_NAMES[places.method])
    return LaterFigure(title=title, caption=" ".join(filter(None, words)), caveat=caveat, make=make)


def _figure(
    dataset: Dataset, places: Places, colour: "pd.Series", title: str, panel: Panel | None, chosen: CellSet | None
) -> Figure:
    mask = None if chosen is None else chosen.mask
    if panel is not None:
        mask = panel.members if mask is None else mask & panel.members
    return cell_map(
        places.coordinates,
        colour,
        title=title,
        method="tsne" if places.method == "tsne" else "umap",
        hover=hover_table(dataset),
        selected=mask,
    )


def _title(dataset: Dataset, places: Places, colour: "pd.Series") -> str:
    chosen = selection()
    of_all = "" if chosen is None else f"{count(len(chosen))} of "
    words = colour_words(colour)
    return f"{METHOD_NAMES[places.method]} of {places.model}, {words}, n = {of_all}{cells_of(dataset.n_cells)}"


@lru_cache(maxsize=1)
def _component(bundle: str) -> Any:
    """Return the component; its script is fetched once, from this server, and kept by the browser."""
    script = f"""const bundle = import(new URL({bundle!r}, window.location.origin));
export default (component) => {{
  let left = false;
  let close = () => {{ left = true; }};
  bundle.then((module) => {{ if (!left) close = module.default(component); }});
  return () => close();
}};"""
    return st.components.v2.component("scfm_cell_map", html="<div></div>", js=script)


def _data(
    dataset: Dataset, places: Places, colour: "pd.Series", colours: MapColours, *, title: str, label: str
) -> dict[str, Any]:
    normal = _normal(places.name, places.coordinates)
    n_shown = int(np.isfinite(normal.points[:, 0]).sum())
    name = METHOD_NAMES[places.method]
    return {
        "n": dataset.n_cells,
        "link": dataset.identity,
        "group": "",
        "member": "",
        "title": title,
        "axes": [f"{name} 1", f"{name} 2"],
        "places": serve_array(f"places:{places.name}", lambda: normal.points),
        "extent": normal.extent,
        "colour": {
            **_told_colours(places.name, colours.name, normal, colours),
            "url": serve_array(f"codes:{colours.name}", lambda: colours.codes),
        },
        "selection": _selection(),
        "selectable": True,
        "drawn": label,
        "size": round(point_size(n_shown), 2),
        "opacity": round(float(np.clip(1.15 - 0.12 * np.log10(max(n_shown, 1)), 0.35, 0.95)), 3),
        "theme": theme_colours(theme()),
        "hover": serve_descriptions(
            f"hover:{dataset.identity}:{colours.name}", partial(_describe, dataset, colour, hover_table(dataset))
        ),
    }


@dataclass(frozen=True, eq=False)
class _Normal:
    points: NDArray[np.float32]
    extent: list[float]


@st.cache_resource(show_spinner=False, max_entries=16)
def _normal(name: str, _coordinates: NDArray[np.float32]) -> _Normal:
    """Move and scale places, the same on both axes, to between -1 and 1."""
    points = np.array(_coordinates, dtype=np.float64)
    placed = np.isfinite(points).all(axis=1)
    points[~placed] = np.nan
    low, high = (points[placed].min(axis=0), points[placed].max(axis=0)) if placed.any() else (-np.ones(2), np.ones(2))
    half = max(float((high - low).max()) / 2, 1e-9)
    normal = ((points - (low + high) / 2) / half).astype(np.float32)
    reach = (high - low) / 2 / half + _MARGIN
    return _Normal(normal, [-float(reach[0]), float(reach[0]), -float(reach[1]), float(reach[1])])


@st.cache_resource(show_spinner=False, max_entries=64)
def _told_colours(places: str, name: str, _normal: _Normal, _colours: MapColours) -> dict[str, Any]:
    return colour_data(_colours, _normal.points)


def _colours(dataset: Dataset, colour: "pd.Series") -> MapColours:
    """Return the codes of a colouring; those of equal values lie ready."""
    digest = hashlib.sha256(f"{dataset.identity}:{colour.name}:{colour.attrs}:{theme()}".encode())
    digest.update(pd.util.hash_array(_hashable(colour)).tobytes() if len(colour) else b"")
    return _coded(digest.hexdigest(), theme(), colour)


def _hashable(colour: "pd.Series") -> NDArray[Any]:
    """Return values whose hash is quick: codes where there are categories."""
    if isinstance(colour.dtype, pd.CategoricalDtype):
        names = hashlib.sha256("\0".join(map(str, colour.cat.categories)).encode()).digest()
        return np.concatenate([colour.cat.codes.to_numpy(np.int64), np.frombuffer(names, dtype=np.int64)])
    values = colour.to_numpy()
    return values if values.dtype.kind in "biuf" else values.astype(str).astype(object)


@st.cache_resource(show_spinner=False, max_entries=64)
def _coded(name: str, theme_name: str, _colour: "pd.Series") -> MapColours:
    return colour_codes(name, _colour, "dark" if theme_name == "dark" else "light")


def _bits_served(name: str, mask: NDArray[np.bool_] | None) -> str:
    return serve_array(f"bits:{name}", lambda: np.packbits(np.asarray(mask), bitorder="little"))


def _selection() -> dict[str, str] | None:
    chosen = selection()
    if chosen is None:
        return None
    digest = hashlib.sha256(chosen.bits).hexdigest()
    url = serve_array(f"bits:{digest}", lambda: np.frombuffer(chosen.bits, dtype=np.uint8))
    return {"key": selection_token() or digest, "url": url}


def _describe(dataset: Dataset, colour: "pd.Series", hover: pd.DataFrame, cell: int) -> Sequence[tuple[str, str]]:
    if not 0 <= cell < dataset.n_cells:
        raise IndexError(cell)
    rows = [(str(name), _word(hover[name].iloc[cell])) for name in hover]
    if str(colour.name) not in hover:
        rows.append((str(colour.name), _word(colour.iloc[cell])))
    return rows


def _word(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        return plain_number(float(value))
    return "not assigned" if value is None or value is pd.NA else str(value)


def _take_bits(key: str, n_cells: int) -> None:
    event: Mapping[str, Any] | None = st.session_state[key].get("selected")
    if event is None:
        return
    try:
        bits = base64.b64decode(str(event["bits"]), validate=True)
        label, token = str(event["label"])[:200], str(event["token"])[:64]
        wrong = bool(bits) and len(bits) != (n_cells + 7) // 8
    except (KeyError, ValueError) as error:
        msg = f"Expected a selection of {n_cells:,} cells from the map, found something else. Draw it again."
        raise RequestError(msg, "bad-selection") from error
    if wrong:
        msg = f"Expected a selection among {n_cells:,} cells, found one of another dataset. Draw it again."
        raise RequestError(msg, "bad-selection")
    if bits:
        select_cells(CellSet(label=label or "drawn on a map", bits=bits, n_cells=n_cells), token=token)
    else:
        select_cells(CellSet(label="", bits=bytes((n_cells + 7) // 8), n_cells=n_cells))


def _take_polygons(coordinates: NDArray[np.float32], label: str, event: Mapping[str, Any]) -> None:
    select_cells(CellSet.from_mask(label, polygon_selection(coordinates, event)))
