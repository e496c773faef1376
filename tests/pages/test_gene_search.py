"""The fields in which genes are searched for, as a person uses them."""

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from scipy.sparse import csr_matrix
from streamlit.testing.v1 import AppTest

from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.genes import find_genes
from tests.pages.conftest import texts


def one_field():
    import streamlit as st

    from pages._gene_search import search_gene

    st.session_state["got"] = search_gene(st.session_state["dataset"], "here")
    if st.session_state.get("second"):
        st.session_state["got there"] = search_gene(st.session_state["dataset"], "there")


def many_field():
    import streamlit as st

    from pages._gene_search import search_genes

    st.session_state["got"] = search_genes(st.session_state["dataset"], "here", most=4)


@pytest.fixture
def field(tiny_dataset):
    app = AppTest.from_function(one_field, default_timeout=60)
    app.session_state["dataset"] = tiny_dataset
    yield app.run()
    st.cache_resource.clear()


@pytest.fixture
def fields(tiny_dataset):
    app = AppTest.from_function(many_field, default_timeout=60)
    app.session_state["dataset"] = tiny_dataset
    return app.run()


def type_into(app, text):
    """Do what a person does who types a text that is not offered and presses Enter."""
    box = app.selectbox[0]
    box.options.append(text)
    box.set_value(text)
    app.run()
    assert not app.exception


def ids(dataset, *names):
    return find_genes(dataset, names)


def test_a_symbol_is_chosen(field, tiny_dataset):
    assert field.session_state["got"] == ids(tiny_dataset, "LYZ")[0]
    field.selectbox[0].set_value("CD3D").run()
    assert field.session_state["got"] == ids(tiny_dataset, "CD3D")[0]
    assert not field.caption


def test_another_name_becomes_the_symbol_and_the_page_says_so(field, tiny_dataset):
    type_into(field, "cd20")
    assert field.session_state["got"] == ids(tiny_dataset, "MS4A1")[0]
    assert field.selectbox[0].value == "MS4A1"
    assert texts(field.caption) == "cd20 is MS4A1."
    field.run()
    assert texts(field.caption) == "cd20 is MS4A1."
    field.selectbox[0].set_value("LYZ").run()
    assert not field.caption


def test_an_id_with_its_version_is_taken(field, tiny_dataset):
    type_into(field, ids(tiny_dataset, "NKG7")[0].lower() + ".7")
    assert field.selectbox[0].value == "NKG7"
    assert not field.caption


def test_what_is_no_gene_is_told_and_the_closest_is_a_click_away(field, tiny_dataset):
    type_into(field, "NKGG7")
    assert field.session_state["got"] is None
    assert field.selectbox[0].value == "NKGG7"
    assert "NKGG7 is no gene of this dataset" in texts(field.caption)
    next(button for button in field.button if button.label == "NKG7").click().run()
    assert field.session_state["got"] == ids(tiny_dataset, "NKG7")[0]
    assert not field.caption


def test_hostile_words_are_shown_letter_by_letter(field):
    type_into(field, "[x](http://y) :red[z]")
    assert field.session_state["got"] is None
    assert r"\[x\]\(http" in texts(field.caption)


def test_a_new_field_starts_with_the_gene_chosen_last(field, tiny_dataset):
    field.selectbox[0].set_value("NKG7").run()
    field.session_state["second"] = True
    field.run()
    assert field.session_state["got there"] == ids(tiny_dataset, "NKG7")[0]
    field.selectbox[1].set_value("LYZ").run()
    assert field.session_state["got"] == ids(tiny_dataset, "NKG7")[0]


def test_several_names_at_once_are_taken_and_none_is_lost(fields, tiny_dataset):
    fields.multiselect[0].set_value(["LYZ", "CD20, nkg7 xyzzy"]).run()
    assert not fields.exception
    assert fields.session_state["got"] == ids(tiny_dataset, "LYZ", "MS4A1", "NKG7")
    assert fields.multiselect[0].value == ["LYZ", "MS4A1", "NKG7", "xyzzy"]
    assert "CD20 is MS4A1." in texts(fields.caption)
    assert "xyzzy is no gene of this dataset" in texts(fields.caption)


def test_what_finds_no_room_is_named(fields, tiny_dataset):
    fields.multiselect[0].set_value(["CD3D LYZ NKG7 MS4A1 CST3 CD74"]).run()
    assert not fields.exception
    assert fields.session_state["got"] == ids(tiny_dataset, "CD3D", "LYZ", "NKG7", "MS4A1")
    assert "No room for 2 names more: CST3, CD74." in texts(fields.caption)


def test_a_name_of_two_genes_is_asked_about(fields, tiny_dataset, tmp_path):
    new = NewDataset(
        matrix=csr_matrix(np.ones((2, 2), dtype=int)), gene_ids=("ENSG00000203747", "ENSG00000162747"),
        gene_symbols=("FCGR3A", "FCGR3B"), cells=pd.DataFrame(index=["a", "b"]), organism="human",
    )  # fmt: skip
    fields.session_state["dataset"] = write_dataset(tmp_path, new)
    fields.session_state["here:genes"] = []
    fields.run()
    fields.multiselect[0].set_value(["CD16"]).run()
    assert fields.session_state["got"] == ()
    assert "choose one" in texts(fields.caption)
    next(button for button in fields.button if button.label == "FCGR3A").click().run()
    assert fields.session_state["got"] == ("ENSG00000203747",)


def test_a_pasted_name_of_two_genes_is_asked_about(fields, tmp_path):
    new = NewDataset(
        matrix=csr_matrix(np.ones((2, 2), dtype=int)), gene_ids=("ENSG00000203747", "ENSG00000162747"),
        gene_symbols=("FCGR3A", "FCGR3B"), cells=pd.DataFrame(index=["a", "b"]), organism="human",
    )  # fmt: skip
    fields.session_state["dataset"] = write_dataset(tmp_path, new)
    fields.session_state["here:genes"] = []
    fields.run()
    fields.text_area[0].set_value("CD16 nonsense").run()
    assert "CD16 is another name of FCGR3B and FCGR3A" in texts(fields.caption)
    assert "Not in this dataset: nonsense." in texts(fields.caption)


def test_a_pasted_list_is_taken(fields, tiny_dataset):
    fields.text_area[0].set_value("NKG7\nlyz;CD20 nonsense").run()
    assert "Not in this dataset: nonsense." in texts(fields.caption)
    next(button for button in fields.button if button.label == "Take 3 genes").click().run()
    assert fields.session_state["got"] == ids(tiny_dataset, "NKG7", "LYZ", "MS4A1")
