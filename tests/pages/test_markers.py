"""The page Markers: figures over the same cells, genes that are picked and named, donors, two genes together."""

import json
import re

import numpy as np
import pytest

from pages._gene_set_making import PICKED_GENES
from pages._markers_genes import spread_over_groups
from pages._markers_volcano import _row
from scfm_core.cell_set import CellSet
from tests.analyses.donors import donor_dataset
from tests.pages.conftest import choose, settle, texts


@pytest.fixture(scope="session")
def donors(tmp_path_factory):
    return donor_dataset(tmp_path_factory.mktemp("donors"), paired=True, planted=True, n_donors=4, n_genes=150)


def set_group(app, key, value):
    """Choose in the segmented control of a key."""
    next(group for group in app.get("button_group") if key in (group.key or "")).set_value(value)


def set_number(app, key, value):
    next(box for box in app.number_input if (box.key or "").endswith(key)).set_value(value)


def n_of(words: str) -> set[int]:
    """Return every n of cells that some words name."""
    return {int(re.sub(r"\D", "", found)) for found in re.findall(r"n = ([\d\u202f,]+) cells", words)}


def test_markers_of_cell_types(open_page, tiny_dataset):
    app = open_page("4_Markers", tiny_dataset)
    assert not app.exception
    assert not app.error
    table = app.dataframe[0].value
    assert set(table.loc[table["group"] == "B", "symbol"]) & {"CD79A", "MS4A1", "CD74", "CD79B", "HLA-DRA"}
    assert "Exploratory" in texts(app.caption)
    for kind in ("Dot plot", "Matrix", "Violins", "Heat map", "Volcano", "Map", "Two genes"):
        set_group(app, "marker-figure", kind)
        settle(app)
        assert not app.exception, kind
        assert not app.error, kind


def test_all_figures_and_the_table_have_one_denominator(open_page, tiny_dataset):
    app = open_page("4_Markers", tiny_dataset)
    assert n_of(texts(app.markdown).replace("\\", "")) == {120}
    for kind in ("Dot plot", "Matrix", "Violins", "Heat map"):
        set_group(app, "marker-figure", kind)
        settle(app)
        (chart,) = app.get("plotly_chart")
        layout = json.loads(chart.proto.spec)["layout"]
        assert n_of(layout["title"]["text"].replace("<br>", " ").replace("\u00a0", " ")) == {120}, kind
        names = [name for axis in layout if "axis" in axis for name in layout[axis].get("ticktext") or ()]
        assert sum(int(name.partition("(n = ")[2].rstrip(")")) for name in names if "(n = " in name) == 120, kind
    table = app.dataframe[0].value
    assert set(table["n_in"] + table["n_out"]) == {120}


def test_exact_numbers_cut_off_what_they_say(open_page, tiny_dataset):
    app = open_page("4_Markers", tiny_dataset)
    set_number(app, ":n", 30)
    set_number(app, ":p", 1e-6)
    set_number(app, ":fold", 2.0)
    set_number(app, ":share-out", 20.0)
    settle(app)
    table = app.dataframe[0].value
    assert len(table)
    assert (table["p_adjusted"] <= 1e-6).all()
    assert (table["log2_fold_change"] >= 2).all()
    assert (table["share_out"] <= 20).all()
    next(toggle for toggle in app.toggle if toggle.key.endswith(":all")).set_value(True)
    set_number(app, ":p", 1.0)
    set_number(app, ":fold", 0.0)
    settle(app)
    assert app.dataframe[0].value.groupby("group").size().max() > 30
    assert "genes of" in texts(app.caption).lower() or "Genes 1 to" in texts(app.caption)


def test_named_genes_are_drawn(open_page, tiny_dataset):
    app = open_page("4_Markers", tiny_dataset)
    choose(app, ":source", "Named")
    settle(app)
    field = next(box for box in app.multiselect if "named" in box.key)
    field.set_value(["LYZ", "MS4A1"])
    settle(app)
    assert not app.exception
    (chart,) = app.get("plotly_chart")
    assert "2 genes in" in chart.proto.spec
    assert "MS4A1" in chart.proto.spec


def test_picked_genes_are_listed_drawn_and_kept(open_page, app, tiny_dataset):
    ids = [tiny_dataset.gene_ids[tiny_dataset.gene_symbols.index(name)] for name in ("LYZ", "CD3D")]
    app.session_state[PICKED_GENES] = [*ids, "ENSG_of_another_dataset"]
    open_page("4_Markers", tiny_dataset)
    set_group(app, "marker-figure", "Volcano")
    settle(app)
    assert "LYZ, CD3D" in texts(app.code)
    next(button for button in app.button if button.key == "picked-keep").click()
    settle(app)
    assert "Kept: 2 genes" in texts(app.success)
    next(button for button in app.button if button.key == "picked-to-figures").click()
    settle(app)
    assert not app.exception
    (chart,) = app.get("plotly_chart")
    assert "2 genes in" in chart.proto.spec
    set_group(app, "marker-figure", "Volcano")
    settle(app)
    next(button for button in app.button if button.key == "picked-clear").click()
    settle(app)
    assert app.session_state[PICKED_GENES] == []


def test_markers_of_overlapping_selections_are_refused(open_page, app, tiny_dataset):
    mask = np.arange(tiny_dataset.n_cells) < 30
    app.session_state["saved_selections"] = {
        "A": CellSet.from_mask("Selection A", mask),
        "B": CellSet.from_mask("Selection B", np.roll(mask, 10)),
    }
    open_page("4_Markers", tiny_dataset)
    choose(app, ":way", "Selections A and B")
    settle(app)
    assert not app.exception
    assert "20 cells are in" in app.error[0].value


def test_donors_stand_first_where_there_are_enough(open_page, app, donors):
    with_roles = donors
    open_page("4_Markers", with_roles)
    choose(app, ":column", "side")
    choose(app, ":test", "donors")
    settle(app)
    choose(app, ":donors", "donor")
    settle(app)
    assert not app.exception
    assert not app.error
    designs, table = app.dataframe[0].value, app.dataframe[1].value
    assert set(designs["formula"]) == {"donor + side"}
    assert set(table["n_donors_in"]) == {4}
    assert "DESeq2" in texts(app.caption)
    assert "Exploratory" not in texts(app.caption)
    for kind in ("Donors", "Volcano", "Heat map"):
        set_group(app, "marker-figure", kind)
        settle(app)
        assert not app.exception, kind
        assert not app.error, kind
        assert len(app.get("plotly_chart")) == 1


def test_a_condition_within_a_cell_type(open_page, app, donors):
    open_page("4_Markers", donors)
    choose(app, ":column", "side")
    settle(app)
    choose(app, ":within", "Some groups of a column")
    settle(app)
    choose(app, ":within-by", "kind")
    settle(app)
    assert not app.exception
    assert not app.error
    table = app.dataframe[0].value
    assert set(table["n_in"] + table["n_out"]) == {120}
    assert n_of(texts(app.markdown).replace("\\", "")) == {120}


def test_too_few_donors_are_refused_in_words(open_page, app, tiny_dataset):
    open_page("4_Markers", tiny_dataset)
    choose(app, ":test", "donors")
    settle(app)
    assert not app.exception
    assert "at least 3 donors" in app.error[0].value.replace("\\", "")


def test_two_cells_and_a_mouse(open_page, two_cells, mouse_dataset):
    app = open_page("4_Markers", two_cells)
    assert not app.exception
    assert "at least 2 cells" in app.error[0].value.replace("\\", "")
    app = open_page("4_Markers", mouse_dataset)
    assert not app.exception


def test_gene_sets_among_the_markers(open_page, tiny_dataset):
    app = open_page("4_Markers", tiny_dataset)
    next(toggle for toggle in app.toggle if toggle.key.endswith("enrich:on")).set_value(True)
    settle(app)
    assert not app.exception
    assert not app.error
    found = app.dataframe[1].value
    assert {"term", "p_adjusted", "odds_ratio"} <= set(found)
    assert "the tested ones are the universe" in texts(app.caption)


def test_names_are_suggested_when_asked_for(open_page, tiny_dataset):
    app = open_page("4_Markers", tiny_dataset)
    assert "What could these groups be called?" not in texts(app.subheader)
    next(toggle for toggle in app.toggle if toggle.key.endswith(":names")).set_value(True)
    settle(app)
    assert not app.exception
    assert "What could these groups be called?" in texts(app.subheader)


def test_genes_are_spread_over_the_groups():
    import pandas as pd

    shown = pd.DataFrame({"group": ["a", "a", "a", "b", "b"], "gene_id": ["1", "2", "3", "2", "4"]})
    assert spread_over_groups(shown) == ("1", "2", "4", "3")


@pytest.mark.parametrize(("told", "row"), [([7], 7), (7, 7), (7.0, 7), (None, None), ([], None), ([None], None)])
def test_the_row_of_a_clicked_point(told, row):
    assert _row(told) == row
