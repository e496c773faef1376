"""Baselines on the Embedding page: the batch column is asked for where it is needed, and goes along to the maps."""

import pytest

from pages._state import engine
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.registry import find_model
from tests.models.batched_cells import planted
from tests.pages.conftest import choose, settle, texts


@pytest.fixture(scope="module")
def batched(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("planted"), n_cells=120)


def models(app):
    return next(box for box in app.multiselect if (box.key or "").startswith("embed:"))


def batch_fields(app):
    return [box for box in app.selectbox if (box.key or "").startswith("batch-column:")]


def test_every_baseline_is_offered_after_the_models_and_the_batch_is_asked_for_where_needed(open_page, tiny_dataset):
    app = open_page("2_Embedding", tiny_dataset)
    names = ("ComBat", "Harmony", "Highly variable genes", "Random vectors", "scVI")
    assert models(app).options == [find_model("scfm-mini").title, *(f"{name} (baseline)" for name in names)]
    assert not batch_fields(app)
    models(app).set_value(["hvg", "random"]).run()
    assert not batch_fields(app)
    models(app).set_value(["combat"]).run()
    assert batch_fields(app)[0].value == "batch"


def test_the_column_is_part_of_the_question_and_is_told(open_page, batched):
    app = open_page("2_Embedding", batched)
    models(app).set_value(["combat", "random"])
    app.run()
    app.button("embed").click()
    settle(app)
    assert not app.exception
    assert not app.error
    assert 'Corrected for batches, column "lane".' in texts(app.caption)
    asked = {job.request.model.key: job.request for job in engine().jobs() if isinstance(job.request, EmbedCells)}
    assert asked["combat"].chosen_options.batch == "lane"
    assert [metric.value for metric in app.metric if metric.label == "Cells with a vector"] == ["120"] * 3
    choose(app, "batch-column", "kind")
    app.run()
    assert 'Corrected for batches, column "lane".' not in texts(app.caption)  # another question, not asked yet
    assert not app.button("embed").disabled


def test_what_stands_in_the_way_is_told_before_anything_is_started(open_page, batched, mouse_dataset):
    app = open_page("2_Embedding", mouse_dataset)
    models(app).set_value(["harmony"]).run()
    assert "no column of this dataset is known to hold its batches" in texts(app.info)
    assert app.button("embed").disabled
    choose(app, "batch-column", "kind")
    app.run()
    assert not [info for info in app.info if "batches" in info.value]
    assert not app.button("embed").disabled


def test_perturbation_offers_only_models_that_can_be_edited(open_page, tiny_dataset):
    app = open_page("5_Perturbation", tiny_dataset)
    box = next(box for box in app.selectbox if (box.key or "").endswith(":model"))
    assert not {"ComBat (baseline)", "Harmony (baseline)", "scVI (baseline)"} & set(box.options)
    assert {"PCA (baseline)", "Highly variable genes (baseline)"} <= set(box.options)


def test_cards_tell_every_baseline(open_page, tiny_dataset):
    app = open_page("2_Embedding", tiny_dataset)
    words = texts(app.markdown)
    for title in ("PCA", "Highly variable genes", "ComBat", "Harmony", "scVI", "Random vectors"):
        assert f"**{title}**" in words
