"""Gates on a page: axes, drawings, ranges, quadrants, and what becomes the selection."""

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages._gate_axes import numeric_columns
from pages._gates import drawing_key
from pages._gene_set_making import gene_set_store
from scfm_core.analyses.read_expression import log_expression
from scfm_core.cell_set import CellSet
from scfm_core.gates import GateAxis
from scfm_core.gene_sets import GeneSet
from scfm_core.genes import find_genes
from tests.pages.conftest import choose, settle, texts


def panel():
    import streamlit as st

    from pages._gates import gates_panel

    gates_panel(st.session_state["dataset"])


@pytest.fixture
def page(workspace, tiny_dataset):
    app = AppTest.from_function(panel, default_timeout=60)
    app.session_state["dataset"] = tiny_dataset
    yield settle(app)
    st.cache_resource.clear()


def control(app, label):
    return next(group for group in app.get("button_group") if group.label == label)


def set_way(app, way):
    control(app, "Gate by").set_value(way)
    app.run()
    assert not app.exception


def press(app, label):
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception


def selected(app):
    return app.session_state["selection"]


def held(dataset, symbol):
    return log_expression(dataset, find_genes(dataset, [symbol])[0]) > 0


def test_it_starts_with_two_genes_and_waits_for_a_drawing(page):
    assert not page.exception
    assert not page.error
    assert [box.value for box in page.selectbox if box.label == "Gene"] == ["CD3D", "MS4A1"]
    assert "Draw a lasso or a box" in texts(page.caption)
    assert "spread a little, always the same way" in texts(page.caption)


def test_ranges_are_counted_and_selected(page, tiny_dataset):
    set_way(page, "Ranges")
    assert "Give a range" in texts(page.caption)
    control(page, "CD3D").set_value("above 0")
    control(page, "MS4A1").set_value("0")
    page.run()
    wanted = held(tiny_dataset, "CD3D") & ~held(tiny_dataset, "MS4A1")
    assert f"**{wanted.sum()} cells** in the gate" in texts(page.markdown)
    press(page, "New selection")
    assert selected(page).label == "CD3D > 0 and MS4A1 = 0"
    np.testing.assert_array_equal(selected(page).mask, wanted)


def test_exact_ends_are_typed_and_the_wrong_way_round_is_told(page, tiny_dataset):
    set_way(page, "Ranges")
    control(page, "CD3D").set_value("from, to")
    page.run()
    page.number_input[0].set_value(1.0)
    page.number_input[1].set_value(2.5)
    page.run()
    values = log_expression(tiny_dataset, find_genes(tiny_dataset, ["CD3D"])[0]).astype(float)
    assert f"**{((values >= 1) & (values <= 2.5)).sum()} cells** in the gate" in texts(page.markdown)
    page.number_input[0].set_value(3.0).run()
    assert "ends above its beginning" in page.error[0].value


def test_selections_are_added_kept_and_taken_away(page, tiny_dataset):
    mask = np.arange(120) < 60
    page.session_state["selection"] = CellSet.from_mask("first half", mask)
    set_way(page, "Ranges")
    control(page, "CD3D").set_value("above 0")
    page.run()
    gate = held(tiny_dataset, "CD3D")
    assert f"{(gate & mask).sum()} of them in the gate" in texts(page.caption)
    for label, wanted in (("Keep only these", mask & gate), ("Add", gate), ("Take away", gate & ~gate)):
        press(page, label)
        now = selected(page)
        assert (np.zeros(120, dtype=bool) if now is None else now.mask).tolist() == wanted.tolist()


def test_quadrants_hold_all_cells_and_one_is_selected(page, tiny_dataset):
    set_way(page, "Quadrants")
    table = page.dataframe[0].value
    assert table["n_cells"].sum() == 120
    assert table["quadrant"][1] == "CD3D > 0 and MS4A1 = 0"
    wanted = held(tiny_dataset, "CD3D") & ~held(tiny_dataset, "MS4A1")
    assert table["n_cells"][1] == wanted.sum()
    choose(page, ":quadrant", 1)
    page.run()
    press(page, "New selection")
    np.testing.assert_array_equal(selected(page).mask, wanted)


def test_a_drawing_selects_all_cells_inside(page, tiny_dataset):
    x, y = (GateAxis(name=name, title=f"{name}, ln(1 + counts per 10,000)", values=np.zeros(1))
            for name in ("CD3D", "MS4A1"))  # fmt: skip
    box = {"box": [{"x": [0.5, 9], "y": [-1, 0.3]}], "lasso": []}
    page.session_state[f"{drawing_key(tiny_dataset, x, y)}:event"] = box
    page.run()
    wanted = held(tiny_dataset, "CD3D") & ~held(tiny_dataset, "MS4A1")
    press(page, "New selection")
    assert selected(page).label == "drawn on MS4A1 over CD3D"
    np.testing.assert_array_equal(selected(page).mask, wanted)


def test_quality_sets_and_counts_stand_on_axes_too(page, tiny_dataset):
    gene_set_store().keep(GeneSet("B", "typed", ("MS4A1", "CD79A")))
    choose(page, ":x:kind", "Mitochondrial share")
    choose(page, ":y:kind", "A gene set")
    settle(page)
    assert not page.exception
    assert not page.error
    set_way(page, "Quadrants")
    assert page.dataframe[0].value["quadrant"][0].startswith("Mitochondrial share > ")
    assert "B score > 0" in page.dataframe[0].value["quadrant"][0]
    choose(page, ":x:kind", "Counts per cell")
    settle(page)
    assert not page.exception


def test_small_and_odd_datasets_are_shown(page, two_cells, mouse_dataset):
    for dataset in (two_cells, mouse_dataset):
        page.session_state["dataset"] = dataset
        settle(page)
        assert not page.exception
        assert not page.error
        for way in ("Ranges", "Quadrants", "Drawing"):
            set_way(page, way)
            assert not page.error
    assert numeric_columns(mouse_dataset) == []
