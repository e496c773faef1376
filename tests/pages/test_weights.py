"""The Embedding page: a published model that is not here says how to get it; from a folder it is here at once."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages._transfers import transfers
from scfm_core.registry import all_models, find_model
from tests.geneformer_folders import model_folder, write_published
from tests.pages.conftest import settle, settle_transfers, texts

KEY = "geneformer-v1-10m"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as the authors laid it out, with small random weights."""
    return write_published(tmp_path_factory.mktemp("published"), series="v1")


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
    assert next(box for box in app.selectbox if "right:embedding" in box.key).value == KEY


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
