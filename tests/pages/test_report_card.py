"""The report card on a page: asked, answered model by model, told in words and tables, in both families apart."""

from types import SimpleNamespace

import pandas as pd
import pytest

from pages._card_panels import confounded_words
from pages._card_scores import summary_table
from scfm_core.analyses.batch_structure import BatchStructure
from scfm_core.analyses.compare_model_tables import metrics_by_candidate
from tests.pages.conftest import settle, texts
from tests.pages.test_link import address
from tests.plots.card_figures import score_table

PAGE = "6_Report_card"


def button(app, key):
    return next(one for one in app.button if one.key == key)


def box(app, key, kind="selectbox"):
    return next(one for one in getattr(app, kind) if one.key and one.key.endswith(key))


def test_without_a_dataset_the_page_says_what_it_needs(open_page):
    app = open_page(PAGE, None)
    assert "needs a dataset" in texts(app.markdown)


def test_nothing_is_scored_before_it_is_asked_for(open_page, tiny_dataset):
    app = open_page(PAGE, tiny_dataset)
    assert not app.exception
    assert app.title[0].value == "Report card"
    assert "Is this embedding better than PCA, on your cells?" in texts(app.markdown)
    assert box(app, ":label").value == "cell_type"
    assert box(app, ":batch").value == "batch"
    assert "as soon as the first is there" in texts(app.caption)


def test_models_are_scored_and_judged_in_words(open_page, tiny_dataset):
    app = open_page(PAGE, tiny_dataset)
    box(app, ":models", "multiselect").set_value(["scfm-mini", "hvg"])
    box(app, ":resamples", "number_input").set_value(5)
    app.run()
    assert button(app, "card-start").label == "Score 4 embeddings"
    button(app, "card-start").click()
    app = settle(app)
    assert not app.exception
    assert not app.error, texts(app.error)
    words = texts(app.markdown)
    assert "On these 120 cells" in words
    assert "Take " in words
    table = app.dataframe[0].value
    assert set(table["title"]) >= {"PCA (baseline)", "Random vectors (baseline)"}
    assert table["avg_bio"].is_monotonic_decreasing
    assert button(app, "card-start").disabled
    for panel in ("Biology", "Mixing", "Each type", "Maps", "Neighbours", "The data"):
        app.segmented_control(key="card-panel").set_value(panel)
        app = settle(app)
        assert not app.exception, panel
        assert not app.error, (panel, texts(app.error))
        assert "What it does not prove" in texts(app.caption), panel


def test_a_dataset_without_groups_is_told(open_page, two_cells):
    app = open_page(PAGE, two_cells)
    assert not app.exception


def asked(family="published"):
    return SimpleNamespace(family=family)


def with_verdicts():
    table = score_table().assign(
        verdict="cannot tell", scaled=0.5, scaled_up=True, meaning="A sentence.", note="", difference=0.0
    )
    return SimpleNamespace(table=table)


def test_the_table_is_sorted_and_pca_is_not_judged_beside_itself():
    wide = summary_table(with_verdicts(), asked())
    assert wide["title"].tolist() == ["Harmony (baseline)", "PCA (baseline)", "scFM mini", "Random vectors (baseline)"]
    assert wide.set_index("model").loc["pca", "beside_biology"] == "is PCA"
    assert wide.set_index("model").loc["harmony", "interval"] == "0.680 to 0.730"
    assert wide.set_index("model").loc["scfm-mini", "kind"] == "model"


def test_metrics_stand_in_rows_with_the_arrow_of_the_numbers_shown():
    table = with_verdicts().table
    raw, scaled = (metrics_by_candidate(table, "batch", numbers=name) for name in ("value", "scaled"))
    assert raw["good"].tolist() == ["\u2191 higher is better", "\u2193 lower is better"]
    assert raw.loc[0, "Harmony"] == pytest.approx(0.80)
    assert scaled["good"].tolist() == ["\u2191 higher is better"] * 2
    assert scaled.loc[0, "Harmony"] == pytest.approx(0.5)


def test_confounding_is_told_only_where_it_is():
    pairs = pd.DataFrame({"first": ["batch", "kind"], "second": ["condition", "batch"], "cramers_v": [0.9, 0.2]})
    found = BatchStructure(pairs, pairs, pairs)
    assert "cannot be told from condition" in confounded_words(found, "batch")
    assert "kind" not in confounded_words(found, "batch")
    assert confounded_words(found, "donor") == ""


def test_the_choices_travel_in_the_address(open_page, tiny_dataset):
    app = open_page(PAGE, tiny_dataset)
    box(app, ":batch").set_value("donor")
    box(app, ":seeds", "number_input").set_value(2)
    app.run()
    assert address(app)["card.batch"] == ["donor"]
    assert address(app)["card.seeds"] == ["2"]


def test_each_seed_of_a_trained_model_is_a_candidate(open_page, tiny_dataset):
    app = open_page(PAGE, tiny_dataset)
    keys = [option for option in box(app, ":models", "multiselect").options if "Harmony" in option]
    if not keys:
        pytest.skip("needs harmonypy (extra integration)")
    box(app, ":models", "multiselect").set_value(["harmony"])
    box(app, ":seeds", "number_input").set_value(3)
    app.run()
    assert button(app, "card-start").label == "Score 5 embeddings"
