"""The view travels: in the address, which is read once and written when it changes, and in a session file."""

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages._carried import read, written
from pages._link import view_of
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.kept_cells import keep_cells
from tests.pages.conftest import choose, settle, texts

SOME = CellSet.from_mask("drawn", np.arange(120) % 5 == 0)


@pytest.fixture
def here(app, answers_kept, tiny_dataset):
    """The application, whose workspace holds the dataset."""
    datasets = answers_kept / "datasets"
    datasets.mkdir(exist_ok=True)
    if not (datasets / tiny_dataset.sha256).exists():
        (datasets / tiny_dataset.sha256).symlink_to(tiny_dataset.path)
    (answers_kept / "selections").mkdir(exist_ok=True)
    return app


def opened(app: AppTest, page: str, **params: object) -> AppTest:
    """Open an address in a new session."""
    for name, value in params.items():
        app.query_params[name] = value
    app.switch_page(f"pages/{page}.py")
    return settle(app)


def address(app: AppTest) -> dict[str, list[str]]:
    return {name: [found] if isinstance(found, str) else list(found) for name, found in app.query_params.items()}


def field(app: AppTest, kind: str, key: str) -> object:
    return next(one for one in app.get(kind) if key in (one.key or ""))


def test_the_address_holds_dataset_views_and_selection(open_page, here, tiny_dataset):
    app = open_page("3_UMAP", tiny_dataset)
    first = address(app)
    assert first["dataset"] == [tiny_dataset.sha256[:12]]
    assert first["view"][0] == "pca,cell_type"
    assert not {"selection", "map"} & set(first)
    app.session_state["selection"] = SOME
    app = settle(app)
    assert len(address(app)["selection"][0]) == 16
    assert address(app)["view"] == first["view"]


def test_an_address_restores_the_maps_and_the_selection(here, answers_kept, tiny_dataset):
    gene = tiny_dataset.gene_ids[tiny_dataset.gene_symbols.index("LYZ")]
    key = keep_cells(answers_kept / "selections", SOME)
    app = opened(
        here, "3_UMAP", dataset=tiny_dataset.sha256[:12], view=["pca,batch", f"pca,gene:{gene}", "pca,clusters"],
        map="n_neighbors:8,seed:3", selection=key, kept=f"A:{key}",
    )  # fmt: skip
    assert not app.exception
    assert app.session_state["dataset"].sha256 == tiny_dataset.sha256
    assert app.session_state["selection"] == SOME
    assert list(app.session_state["saved_selections"]) == ["A"]
    after = address(app)
    assert after["view"] == ["pca,batch", f"pca,gene:{gene}", "pca,clusters"]
    assert after["map"] == ["n_neighbors:8,seed:3"]
    assert after["selection"] == [key]
    assert "Not everything" not in texts(app.markdown)


def test_what_is_not_here_is_said_and_the_rest_opens(here, tiny_dataset):
    app = opened(
        here, "3_UMAP", dataset=tiny_dataset.sha256[:12],
        view=["no-model,batch", "pca,gene:ENSG00000999999", "pca,no column"], map="n_neighbors:9999,colour:red",
        selection="0123456789abcdef", split="nowhere", labels="Mine", **{"markers.nothing": "x", "markers.p": "7.5"},
    )  # fmt: skip
    assert not app.exception
    said = texts(app.markdown).replace("\\", "")
    for words in (
        "The model no-model is not here", "The gene ENSG00000999999 is not in this dataset",
        "nothing called no column", "n_neighbors:9999", "colour:red", "0123456789abcdef is not kept",
        "no column nowhere", "The labels Mine", "markers.nothing", "markers.p",
    ):  # fmt: skip
        assert words in said, words
    assert address(app)["view"][0] == "pca,batch"
    assert "This should have worked" not in texts(app.error)
    next(button for button in app.button if button.key == "address-close").click()
    assert "Not everything" not in texts(settle(app).markdown)


def test_a_dataset_that_is_not_here_is_said(here):
    app = opened(here, "3_UMAP", dataset="f" * 12)
    assert "no such dataset is on this server" in texts(app.markdown).replace("\\", "")
    assert "This page needs a dataset" in texts(app.markdown)


@pytest.mark.parametrize("value", ["", "x", "../..", "0" * 64, '{"a":1}', "%00", "\x00"])
def test_a_broken_dataset_is_said(here, value):
    app = opened(here, "1_Dataset", dataset=value, view=",,,", map=":::", kept="::", selection="", split="\x00")
    assert not app.exception
    assert "Not everything could be put back" in texts(app.markdown)


def test_choices_of_a_page_travel(open_page, here, tiny_dataset):
    app = open_page("4_Markers", tiny_dataset)
    assert not [name for name in address(app) if name.startswith("markers.")]
    choose(app, f"markers:{tiny_dataset.sha256[:10]}:column", "batch")
    app = settle(app)
    assert address(app)["markers.column"] == ["batch"]


def test_choices_in_an_address_are_put_back(here, tiny_dataset):
    app = opened(here, "4_Markers", dataset=tiny_dataset.sha256[:12], **{"markers.column": "batch", "markers.p": "0.2"})
    assert not app.exception
    assert field(app, "selectbox", ":column").value == "batch"
    assert field(app, "number_input", ":p").value == pytest.approx(0.2)
    assert address(app)["markers.column"] == ["batch"]


def test_the_demo_still_opens(fresh_app):
    fresh_app.query_params["demo"] = "pbmc3k"
    fresh_app.run()
    assert fresh_app.session_state["dataset"].title == "PBMC 3k"
    assert "demo" not in fresh_app.query_params


def test_the_address_is_read_once(open_page, here, tiny_dataset, mouse_dataset):
    app = opened(here, "2_Embedding", dataset=tiny_dataset.sha256[:12])
    app.session_state["dataset"] = mouse_dataset
    app.query_params["dataset"] = tiny_dataset.sha256[:12]
    app = settle(app)
    assert app.session_state["dataset"] is mouse_dataset
    assert address(app)["dataset"] == [mouse_dataset.sha256[:12]]


@pytest.mark.parametrize("value", ["cell_type", "12", "0.5", "true", "null", '["a"]', "", 3, 0.5, True, ["LYZ", "a,b"]])
def test_what_is_written_is_read_again(value):
    assert read(written(value)) == value
    assert type(read(written(value))) is type(value)


def test_a_view_is_written_and_read(tiny_dataset):
    state = view_of({"dataset": ["ab" * 6], "view": ["pca,column:gene:x", "m,set:A, b"], "split": ["batch"]})
    assert [(view.colour, view.gene_set) for view in state.maps.views] == [("gene:x", ""), ("A gene set", "A, b")]
    assert state.maps.split_by == "batch"


def session_of(about: Dataset, **changes: object) -> bytes:
    from pages._session_file import session_file
    from pages._view_state import ViewState

    content = json.loads(session_file(about, ViewState(dataset=about.sha256, page="Markers", selection=SOME)))
    return json.dumps({**content, **changes}).encode()


def bring(app: AppTest, content: bytes) -> AppTest:
    """Do what an upload in the sidebar does."""
    app.session_state["session-pending"] = content
    app.run()
    return settle(app)


def test_a_session_file_restores_the_view(open_page, here, tiny_dataset, mouse_dataset):
    app = open_page("3_UMAP", mouse_dataset)
    maps = {"views": [{"model": "pca", "colour": "batch"}], "settings": {"seed": 4, "method": "tsne"}, "split_by": ""}
    kept = {"B": json.loads(session_of(tiny_dataset))["selection"]}
    content = session_of(tiny_dataset, kept=kept, choices={"markers.column": "batch"}, maps=maps)
    app.session_state["session-pending"] = content
    app.run()
    assert app.title[0].value == "Markers"
    app.switch_page("pages/4_Markers.py")
    app = settle(app)
    assert not app.exception
    assert app.session_state["dataset"].sha256 == tiny_dataset.sha256
    assert app.session_state["selection"] == SOME
    assert list(app.session_state["saved_selections"]) == ["B"]
    assert field(app, "selectbox", ":column").value == "batch"
    app.switch_page("pages/3_UMAP.py")
    app = settle(app)
    assert address(app)["view"] == ["pca,batch"]
    assert address(app)["map"] == ["method:tsne,seed:4"]


def test_a_session_of_another_dataset_asks_for_it(open_page, here, tiny_dataset):
    app = open_page("2_Embedding", tiny_dataset)
    about = {"sha256": "f" * 64, "title": "other", "n_cells": 5}
    said = texts(bring(app, session_of(tiny_dataset, dataset=about)).markdown).replace("\\", "")
    assert "ffffffffffff, but no such dataset is on this server. Add its file" in said


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x80\x04K*.", b"[]", b"null", b"{}", b"[" * 100_000, b'{"format": "scfm-session", "version": 9}',
        b'{"format": "scfm-session", "version": 1, "dataset": 5}',
        b'{"format": "scfm-session", "version": 1, "dataset": {"sha256": 5}}',
        b'{"format": "scfm-session", "version": 1, "selection": {"label": "x", "n_cells": 9, "bits": "!"}}',
        b'{"format": "scfm-session", "version": 1, "labels": [{"name": "x"}]}',
        b'{"format": "scfm-session", "version": 1, "maps": {"views": [{"model": 5, "colour": "x"}]}}',
        b'{"format": "scfm-session", "version": 1, "choices": {"a": {"b": 1}}}',
        b" " * (33 * 2**20),
    ],
)  # fmt: skip
def test_a_broken_session_file_is_refused_in_words(open_page, here, tiny_dataset, content):
    app = bring(open_page("1_Dataset", tiny_dataset), content)
    assert not app.exception
    assert "Not everything could be put back" in texts(app.markdown)
    assert "This should have worked" not in texts(app.error)
    assert app.session_state["dataset"] is tiny_dataset


def test_labels_travel_in_a_session_file(here, tiny_dataset, tmp_path, monkeypatch):
    from pages._label_store import annotations, label_details
    from pages._session_file import put_labels, read_session

    annotations(tiny_dataset).give("Mine", "odd", SOME, author="me", term="CL:0000236")
    content = session_of(tiny_dataset)
    _, labels = read_session(content)
    assert put_labels(tiny_dataset.sha256, labels, author="me") == []  # they are here
    monkeypatch.setenv("SCFM_WORKSPACE", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / tiny_dataset.sha256).symlink_to(tiny_dataset.path)
    assert put_labels(tiny_dataset.sha256, labels, author="me") == []
    column = label_details(tiny_dataset)["Mine"]
    np.testing.assert_array_equal((column.values == "odd").to_numpy(), SOME.mask)
    assert column.terms == {"odd": "CL:0000236"}
