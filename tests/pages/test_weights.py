"""The Embedding page: a published model that is not here says how to get it; from a folder it is here at once."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import pages._models
import scfm_core.hub
from pages._transfers import transfers
from scfm_core.model import ModelSpec, WeightFile
from scfm_core.registry import all_models, find_model
from tests.geneformer_folders import model_folder, write_published
from tests.local_hub import LocalHub, files_under, serving
from tests.pages.conftest import settle, settle_transfers, texts

KEY = "geneformer-v1-10m"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as the authors laid it out, with small random weights."""
    return write_published(tmp_path_factory.mktemp("published"), series="v1")


@pytest.fixture
def hub(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A server on this machine with the small repository, and a card that names its files."""
    content, spec = files_under(published), find_model(KEY)
    source = spec.published
    names = [file.name for file in source.files]
    files = tuple(
        WeightFile(name=name, size_bytes=len(content[name]), sha256=hashlib.sha256(content[name]).hexdigest())
        for name in names
    )
    card: ModelSpec = replace(spec, published=replace(source, files=files))
    cards = tuple(card if one.key == KEY else one for one in all_models())
    monkeypatch.setattr(pages._models, "all_models", lambda: cards)
    monkeypatch.setattr(scfm_core.hub, "_WAITS_SECONDS", (0.01, 0.01))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving(LocalHub(source.repository, source.revision, content)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def embedding(fresh_app, tiny_dataset) -> AppTest:
    """The Embedding page on a workspace without any published weights."""
    fresh_app.session_state["dataset"] = tiny_dataset
    fresh_app.run()
    fresh_app.switch_page("pages/2_Embedding.py")
    return settle(fresh_app)


def add(app: AppTest, folder: str, dictionaries: str = "") -> AppTest:
    """Fill in the form of a model and wait until the weights are there, or are not."""
    app.text_input(f"folder-{KEY}").set_value(folder)
    app.text_input(f"dictionaries-{KEY}").set_value(dictionaries)
    app.button(f"add-{KEY}").click().run()
    return settle_transfers(app)


def test_a_model_that_is_not_here_says_size_licence_source_and_two_ways(embedding):
    assert not embedding.exception
    lines = [box.label for box in embedding.expander]
    published = [spec for spec in all_models() if spec.published is not None]
    assert len(published) == 8
    for spec in published:
        line = next(line for line in lines if spec.title.replace("-", "\\-").replace("_", "\\_") in line)
        assert "licence" in line
        assert "MB" in line or "GB" in line
    words = texts(embedding.markdown)
    assert "ctheodoris/Geneformer" in words.replace("\\", "")
    assert find_model(KEY).published.revision[:10] in words
    assert [button for button in embedding.button if button.key == f"fetch-{KEY}"]


def test_weights_from_a_folder_are_offered_and_used_at_once(embedding, published):
    app = add(embedding, str(model_folder(published)))
    assert not app.exception
    assert not app.error
    assert "can be chosen on every page" in texts(app.success)
    assert "not those that its authors published" in texts(app.main.caption)
    assert str(published) not in texts(app.main.caption).replace("\\", "")
    models = next(box for box in app.multiselect if box.label == "Models")
    assert find_model(KEY).title in models.options
    assert not [button for button in app.button if button.key == f"fetch-{KEY}"]
    models.set_value([KEY]).run()
    app.button("embed").click()
    settle(app)
    assert not app.error
    assert [metric.value for metric in app.metric if metric.label == "Numbers per cell"] == ["50", "32"]
    app.switch_page("pages/3_UMAP.py")
    settle(app)
    assert not app.exception
    assert next(box for box in app.selectbox if "view2:embedding" in box.key).value == KEY


def test_a_folder_without_weights_is_refused_in_words(embedding, tmp_path):
    (tmp_path / "private.txt").write_text("nobody's business")
    app = add(embedding, str(tmp_path))
    assert not app.exception
    assert "config.json" in app.error[0].value.replace("\\", "")
    assert "business" not in app.error[0].value


def test_an_empty_field_is_refused_in_words(embedding):
    app = embedding.button(f"add-{KEY}").click().run()
    assert "empty field" in app.error[0].value
    assert transfers().of(find_model(KEY)) is None


def test_dictionaries_of_another_model_are_refused(embedding, published, tmp_path):
    other = write_published(tmp_path, series="v2")
    app = add(embedding, str(model_folder(published)), str(other / "geneformer"))
    assert not app.exception
    assert app.error
    assert "dictionar" in app.error[0].value
    assert transfers().of(find_model(KEY)).error


def test_a_download_is_watched_stopped_and_gone_on_with(hub, embedding):
    weights = next(file for file in hub.files if file.endswith("V1-10M/model.safetensors"))
    hub.stalls[weights] = len(hub.files[weights]) // 2
    app = embedding.button(f"fetch-{KEY}").click().run()
    transfer = transfers().of(find_model(KEY))
    until = time.monotonic() + 30
    while transfer.file != weights and time.monotonic() < until:
        time.sleep(0.05)
    app.run()
    assert [button for button in app.sidebar.button if button.key == f"thread-stop-{transfer.id}"]
    app.button(f"stop-{transfer.id}").click().run()
    hub.stalls.clear()
    app = settle_transfers(app)
    assert not app.exception
    assert not app.error
    assert "Stopped. What was fetched is kept" in texts(app.info)
    assert app.button(f"fetch-{KEY}").label == "Go on"
    app.button(f"fetch-{KEY}").click().run()
    app = settle_transfers(app)
    assert not app.error
    assert "can be chosen on every page" in texts(app.success)
    assert "as published" in texts(app.main.caption)
    assert hub.asked(weights)[-1], "only the rest was asked for"


def test_a_download_that_fails_says_why(hub, embedding):
    hub.status.update(dict.fromkeys(hub.files, 404))
    app = embedding.button(f"fetch-{KEY}").click().run()
    app = settle_transfers(app)
    assert not app.exception
    assert transfers().of(find_model(KEY)).error
    assert app.error[0].value
    assert [button for button in app.button if button.key == f"fetch-{KEY}"]
