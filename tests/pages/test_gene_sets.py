"""Gene sets on a page: made, kept, chosen, scored, deleted."""

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages._gene_set_making import gene_set_store
from scfm_core.gene_sets import GeneSet
from tests.pages.conftest import choose, settle, texts


def panel():
    import streamlit as st

    from pages._gene_sets import choose_gene_set, gene_sets_panel, score_colour

    dataset = st.session_state["dataset"]
    if st.session_state.get("only choose"):
        chosen = choose_gene_set(dataset, "here")
        st.session_state["got"] = chosen
        st.session_state["colour"] = None if chosen is None else score_colour(dataset, chosen, place="here")
    else:
        gene_sets_panel(dataset)


@pytest.fixture
def page(workspace, tiny_dataset):
    app = AppTest.from_function(panel, default_timeout=60)
    app.session_state["dataset"] = tiny_dataset
    yield app
    st.cache_resource.clear()


def keep(*sets):
    for name, genes in sets:
        gene_set_store().keep(GeneSet(name, "typed", genes))


def press(app, label):
    next(button for button in app.button if button.label == label).click()
    return settle(app)


def test_an_empty_workspace_says_what_a_gene_set_is(page):
    page.run()
    assert not page.exception
    assert "A gene set is a named list of genes" in texts(page.caption)


def test_a_typed_set_is_kept_scored_and_deleted(page):
    page.run()
    page.text_area[0].set_value("CD20, CD79A\nxyzzy CD79B").run()
    captions = texts(page.caption)
    assert "CD20 is MS4A1" in captions
    assert "Not in this dataset: xyzzy." in captions
    page.text_input[0].set_value("B cells")
    press(page, "Keep it")
    assert not page.exception
    assert not page.error
    assert gene_set_store().read()["B cells"].genes == ("MS4A1", "CD79A", "CD79B", "xyzzy")
    assert "3 genes of 4 names in this dataset; not here: xyzzy." in texts(page.caption)
    table = page.dataframe[-1].value.set_index("group")
    assert table["mean"].idxmax() == "B"
    assert table.loc["B", "p_value"] < 0.05
    assert "Cells are no replicates" in texts(page.caption)
    press(page, "Delete it")
    assert not page.exception
    assert gene_set_store().read() == {}


def test_a_name_is_asked_for_and_not_taken_twice(page):
    keep(("B", ("MS4A1",)))
    page.run()
    page.text_area[0].set_value("LYZ").run()
    press(page, "Keep it")
    assert "needs a name" in page.error[0].value
    page.text_input[0].set_value("B")
    press(page, "Keep it")
    assert "with other genes already" in page.error[0].value


def test_markers_of_the_dataset_and_picked_genes_become_sets(page, tiny_dataset):
    page.session_state["picked genes"] = list(tiny_dataset.gene_ids[:3])
    page.run()
    choose(page, ":way", "From many sets")
    settle(page)
    next(box for box in page.selectbox if box.label == "Set").set_value("B")
    page.run()
    press(page, "Keep it")
    choose(page, ":way", "Picked on the volcano")
    page.run()
    press(page, "Keep it")
    assert not page.exception
    sets = gene_set_store().read()
    assert list(sets) == ["B", "Picked genes"]
    assert "CD79A" in sets["B"].genes
    assert sets["Picked genes"].genes == tuple(tiny_dataset.gene_symbols[:3])


def test_sets_of_a_file_in_the_servers_folder_are_offered(page, tmp_path, monkeypatch):
    (tmp_path / "mine.gmt").write_text("Mono\tmade up\tLYZ\tCST3\n")
    (tmp_path / "bad.gmt").write_text("no set")
    monkeypatch.setenv("SCFM_DATA_FOLDER", str(tmp_path))
    page.run()
    choose(page, ":way", "From many sets")
    page.run()
    choose(page, ":sets", "A file (GMT)")
    page.run()
    choose(page, ":on-server", "bad.gmt")
    page.run()
    assert "Expected a gene set" in page.error[0].value
    choose(page, ":on-server", "mine.gmt")
    page.run()
    press(page, "Keep it")
    assert gene_set_store().read()["Mono"].genes == ("LYZ", "CST3")


def test_a_set_is_chosen_and_colours_a_map(page, tiny_dataset):
    page.session_state["only choose"] = True
    page.run()
    assert page.session_state["got"] is None
    keep(("B", ("MS4A1", "CD79A")), ("nothing here", ("nope1",)))
    settle(page)
    assert page.session_state["got"].name == "B"
    colour = page.session_state["colour"]
    assert colour.name == "B, mean ln(1 + counts per 10,000) above like genes"
    assert colour.attrs["scale"] == "signed"
    assert len(colour) == tiny_dataset.n_cells
    assert np.isfinite(colour).all()
    choose(page, ":gene-set", "nothing here")
    settle(page)
    assert "None of the 1 genes" in page.error[0].value
    gene_set_store().drop("nothing here")
    settle(page)
    assert not page.exception
    assert page.session_state["got"].name == "B"


def test_a_dataset_without_columns_is_scored_too(page, two_cells, mouse_dataset):
    keep(("odd", ("Gene1", "Gene7")))
    page.session_state["dataset"] = mouse_dataset
    settle(page)
    assert not page.exception
    assert not page.error
    keep(("B", ("MS4A1",)))
    page.session_state["dataset"] = two_cells
    settle(page)
    assert not page.exception
