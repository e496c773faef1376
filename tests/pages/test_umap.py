"""The page UMAP: what the maps are told, views side by side and otherwise, and the plain map where WebGL is not."""

import base64
import json

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from pages import _map, _served
from pages._gene_sets import keep_gene_set
from pages._map_colours import NO_CODE, colour_codes, colour_data
from pages._map_state import MapState, MapView, set_map_state
from pages._views import MapSettings
from scfm_core.cell_set import CellSet
from scfm_core.dataset import subset_dataset
from scfm_core.errors import RequestError
from scfm_core.resources import asset
from tests.pages.conftest import choose, settle, texts

BUILT = (asset("cell_map") / "build" / "cell_map.js").is_file()
needs_bundle = pytest.mark.skipif(not BUILT, reason="needs the built cell map: Node builds it (make map)")


def told(app):
    """Return what each map on the page is told."""
    return [json.loads(element.proto.json) for element in app.get("bidi_component")]


def array(url, dtype):
    """Return what the browser would fetch at an address."""
    found = _served._shelf.get(url.rsplit("/", 1)[1])
    assert found is not None
    return np.frombuffer(found.tobytes(), dtype=dtype)


@needs_bundle
def test_maps_are_told_every_cell_and_the_selection(open_page, tiny_dataset):
    app = open_page("3_UMAP", tiny_dataset)
    assert not app.exception
    assert not app.error
    left, right = told(app)
    assert left["n"] == right["n"] == tiny_dataset.n_cells
    assert left["link"] == right["link"] == tiny_dataset.identity
    places = array(left["places"], np.float32).reshape(-1, 2)
    assert places.shape == (tiny_dataset.n_cells, 2)
    assert np.abs(places).max() <= 1.0 + 1e-6
    codes = array(left["colour"]["url"], np.uint8)
    labels = [entry["label"] for entry in left["colour"]["entries"]]
    assert [labels[code] for code in codes] == tiny_dataset.cells()["cell_type"].astype(str).tolist()
    assert sum(entry["count"] for entry in left["colour"]["entries"]) == tiny_dataset.n_cells
    assert left["selection"] is None
    chosen = CellSet.where(tiny_dataset, "cell_type", "NK")
    app.session_state["selection"] = chosen
    settle(app)
    assert f"n = {len(chosen)} of" in told(app)[0]["title"]
    assert array(told(app)[1]["selection"]["url"], np.uint8).tobytes() == chosen.bits
    assert told(app)[0]["places"] == left["places"], "the browser keeps the places it has"
    made_of = next(frame.value for frame in app.dataframe if "n_in" in frame.value)
    assert list(made_of.loc[made_of["n_in"] > 0, "group"]) == ["NK"]
    app.button("save-A").click().run()
    assert len(app.session_state["saved_selections"]["A"]) == len(chosen)
    app.button("clear-selection").click().run()
    assert app.session_state["selection"] is None


@needs_bundle
def test_a_gene_colours_by_its_expression(open_page, tiny_dataset):
    app = open_page("3_UMAP", tiny_dataset)
    choose(app, "view2:colour", "A gene")
    settle(app)
    assert not app.exception
    colour = told(app)[1]["colour"]
    assert colour["kind"] == "value"
    assert "ln(1 + counts per 10,000)" in colour["title"]
    symbol = next(box for box in app.selectbox if "view2:gene" in box.key).value
    counts = tiny_dataset.expression(tiny_dataset.gene_ids[tiny_dataset.gene_symbols.index(symbol)])
    codes = array(colour["url"], np.uint8)
    assert ((codes > 0) == (counts > 0)).all()
    assert [tick[0] for tick in colour["ticks"]] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_plain_map_where_there_is_no_webgl(open_page, app, tiny_dataset, monkeypatch):
    monkeypatch.setattr(_map, "serve_bundle", lambda: None)
    open_page("3_UMAP", tiny_dataset)
    assert not app.exception
    assert len(app.get("plotly_chart")) == 2
    assert not app.get("bidi_component")


@needs_bundle
def test_split_by_a_column_shows_the_cells_of_each_value(open_page, tiny_dataset):
    app = open_page("3_UMAP", tiny_dataset)
    choose(app, ":split", "batch")
    settle(app)
    assert not app.exception
    panels = told(app)
    assert [panel["title"].split(", n")[0] for panel in panels] == ["batch: batch A", "batch: batch B"]
    assert panels[0]["group"] == panels[1]["group"] != ""
    assert panels[0]["places"] == panels[1]["places"]
    assert panels[0]["extent"] == panels[1]["extent"]
    members = [np.unpackbits(array(panel["member"], np.uint8), count=120, bitorder="little") for panel in panels]
    assert (members[0] + members[1] == 1).all()
    assert (members[0].astype(bool) == (tiny_dataset.cells()["batch"] == "batch A")).all()


@pytest.mark.parametrize(("view", "n_charts"), [("Density", 1), ("Three dimensions", 1)])
def test_other_views_of_the_same_cells(view, n_charts, open_page, tiny_dataset):
    app = open_page("3_UMAP", tiny_dataset)
    next(group for group in app.get("button_group") if group.key == "map-view").set_value(view)
    settle(app)
    assert not app.exception
    assert not app.error
    assert len(app.get("plotly_chart")) >= n_charts


def test_model_against_itself_says_so(open_page, tiny_dataset):
    app = open_page("3_UMAP", tiny_dataset)
    next(group for group in app.get("button_group") if group.key == "map-view").set_value("Model against model")
    choose(app, "view2:embedding", "pca")
    settle(app)
    assert not app.exception
    assert "the same embedding" in texts(app.info)


def test_umap_says_why_two_cells_have_no_map(open_page, two_cells):
    app = open_page("3_UMAP", two_cells)
    assert not app.exception
    assert "cells" in app.error[0].value


@needs_bundle
def test_a_subset_beside_the_places_its_cells_had(open_page, tiny_dataset):
    keep = np.arange(tiny_dataset.n_cells) % 2 == 0
    part = subset_dataset(tiny_dataset, keep, title="half", note="every second cell")
    app = open_page("3_UMAP", part)
    choose(app, "view2:embedding", "parent:pca")
    settle(app)
    assert not app.exception
    assert not app.error
    old = told(app)[1]
    assert "before the subset" in old["title"]
    assert array(old["places"], np.float32).reshape(-1, 2).shape == (60, 2)
    assert np.isfinite(array(old["places"], np.float32)).all()


def test_state_of_the_maps_is_put_back(open_page, app, tiny_dataset):
    open_page("3_UMAP", tiny_dataset)
    keep_gene_set("platelets", ("PPBP", "PF4"))
    gene = tiny_dataset.gene_ids[tiny_dataset.gene_symbols.index("NKG7")]
    views = (
        MapView(model="pca", colour="A gene", gene_id=gene),
        MapView(model="pca", colour="batch"),
        MapView(model="gone", colour="A gene set", gene_set="platelets"),
    )
    state = MapState(views=views, settings=MapSettings(resolution=0.5), split_by="")
    script = _putting_back(app, tiny_dataset, state)
    assert any("gone" in line for line in script)
    settle(app)
    assert not app.exception
    boxes = {":".join(box.key.split(":")[:2]): box.value for box in app.selectbox if "view" in box.key}
    assert boxes["view1:colour"] == "A gene"
    assert boxes["view1:gene"] == "NKG7"
    assert boxes["view2:colour"] == "batch"
    assert boxes["view3:gene-set"] == "platelets"


def test_codes_of_categories_and_of_values():
    categories = pd.Series(pd.Categorical(["b", "a", None, "b"], categories=["a", "b"]), name="kind")
    coded = colour_codes("x", categories, "light")
    assert coded.codes.tolist() == [1, 0, NO_CODE, 1]
    points = np.array([[0, 0], [0.5, 0.5], [np.nan, np.nan], [1.0, 0.0]], dtype=np.float32)
    data = colour_data(coded, points)
    assert [entry["count"] for entry in data["entries"]] == [1, 2]
    assert (data["entries"][1]["x"], data["entries"][1]["y"]) == (0.5, 0.0)
    assert data["missing"] == 0, "a cell without a place is no missing one on the map"
    values = pd.Series(np.array([0.0, 1.0, np.nan, 4.0], dtype=np.float32), name="gene")
    steps = colour_codes("y", values, "dark")
    assert steps.codes[0] == 0
    assert steps.codes[2] == NO_CODE
    assert steps.codes[3] == 254
    assert steps.labels == ()


def test_what_was_forgotten_is_served_again():
    shelf = _served._Shelf(100)
    shelf.put("one", np.zeros(60, dtype=np.uint8))
    shelf.put("two", np.zeros(60, dtype=np.uint8))
    assert shelf.get("one") is None
    assert shelf.get("two") is not None


def test_selections_that_are_not_of_this_dataset_are_refused(app, tiny_dataset):
    st.session_state["map"] = {"selected": {"bits": base64.b64encode(b"123").decode(), "label": "x", "token": "t"}}
    with pytest.raises(RequestError, match="another dataset"):
        _map._take_bits("map", tiny_dataset.n_cells)
    st.session_state["map"] = {"selected": {"bits": "no base64!", "label": "x", "token": "t"}}
    with pytest.raises(RequestError, match="something else"):
        _map._take_bits("map", tiny_dataset.n_cells)


def _putting_back(app, dataset, state):
    """Put a state back as the address does, and return what was lost."""
    keys: dict = {}
    original = st.session_state
    try:
        st.session_state = keys
        lost = set_map_state(dataset, state)
    finally:
        st.session_state = original
    for name, value in keys.items():
        app.session_state[name] = value
    return lost
