"""The Perturbation page asked for every gene: estimates, which numbers are exact, and models that are not offered."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages._state import engine
from scfm_core.analyses.screen_genes import GeneScreen, ScreenGenes
from scfm_core.registry import find_model
from scfm_core.weights import add_weights
from tests.geneformer_folders import model_folder, write_published
from tests.pages.conftest import choose, settle, texts


@pytest.fixture
def screen(open_page, tiny_dataset) -> AppTest:
    """The page with a dataset, asked for every gene."""
    return ask_for_every_gene(open_page("5_Perturbation", tiny_dataset))


def ask_for_every_gene(app: AppTest) -> AppTest:
    app.get("button_group")[0].set_value("Every gene")
    app.run()
    assert not app.exception
    next(box for box in app.number_input if box.label == "Cells, at most").set_value(8)
    return app.run()


def answered() -> GeneScreen:
    """Return the latest answer of this kind."""
    return next(job for job in engine().jobs() if isinstance(job.request, ScreenGenes)).result()


def test_every_gene_is_ranked_and_says_how_it_is_known(screen):
    assert "go through the model" in texts(screen.main.caption)
    choose(screen, ":goal-column", "cell_type")
    screen.run()
    next(slider for slider in screen.slider if slider.label == "Genes confirmed exactly").set_value(5)
    screen.button("screen").click()
    app = settle(screen)
    assert not app.exception
    assert not app.error
    found, table = answered(), app.dataframe[0].value
    assert len(table) == len(found.table)
    exact = table["known"] == "exact"
    np.testing.assert_array_equal(exact, table["exact"].notna())
    assert exact.sum() == (found.table["n_exact"] > 0).sum() >= 5
    assert (~exact).any()
    assert list(table["rank"].dropna()) == list(range(1, int(found.table["rank"].notna().sum()) + 1))
    assert "genes that were deleted exactly" in texts(app.main.markdown)
    assert "Spearman" in texts(app.main.caption)
    assert len(app.get("plotly_chart")) == 2
    next(group for group in app.get("button_group") if group.label == "Ranked by").set_value("Toward the goal")
    app.run()
    assert not app.exception
    best = app.dataframe[0].value.iloc[0]
    assert best["estimate"] == found.table.loc[found.table["goal_rank"] == 1, "goal_estimate"].item()


def test_nothing_confirmed_is_said(screen):
    next(slider for slider in screen.slider if slider.label == "Genes confirmed exactly").set_value(0)
    screen.button("screen").click()
    app = settle(screen)
    assert not app.exception
    assert not app.error
    assert set(app.dataframe[0].value["known"]) == {"estimated"}
    assert "Nothing was confirmed exactly" in texts(app.main.markdown)
    assert len(app.get("plotly_chart")) == 1


def test_a_model_that_was_not_measured_is_not_offered_and_why(fresh_app, tiny_dataset, tmp_path):
    spec = find_model("geneformer-12l-95m")
    assert spec.screen is None
    add_weights(spec, model_folder(write_published(tmp_path, series="95m", layout="2024"), "95m", "2024"))
    fresh_app.session_state["dataset"] = tiny_dataset
    fresh_app.run()
    app = ask_for_every_gene(fresh_app.switch_page("pages/5_Perturbation.py").run())
    words = texts(app.main.caption).replace("\\", "")
    assert f"Not offered for {spec.title}:" in words
    model = next(box for box in app.selectbox if box.label == "Model")
    assert spec.title not in model.options


def test_another_organism_is_said(open_page, mouse_dataset):
    app = ask_for_every_gene(open_page("5_Perturbation", mouse_dataset))
    app.button("screen").click()
    settle(app)
    assert not app.exception
    assert "mouse" in app.error[0].value
