"""The Perturbation page asked for a screen: estimates, exact ones, lists, what a stopped one keeps."""

import time

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages._perturb_screen import EXACT
from pages._state import engine
from scfm_core.analyses.screen_exactly import ScreenExactly
from scfm_core.analyses.screen_genes import GeneScreen, ScreenGenes
from scfm_core.registry import find_model
from scfm_core.weights import add_weights
from tests.geneformer_folders import model_folder, write_published
from tests.pages.conftest import MOST_SECONDS, choose, settle, texts


@pytest.fixture
def screen(open_page, tiny_dataset) -> AppTest:
    """The page with a dataset, asked for a screen."""
    return ask_for_a_screen(open_page("5_Perturbation", tiny_dataset))


def ask_for_a_screen(app: AppTest) -> AppTest:
    app.get("button_group")[0].set_value("Screen")
    app.run()
    assert not app.exception
    next(box for box in app.number_input if box.label == "Cells, at most").set_value(8)
    return app.run()


def answered() -> GeneScreen:
    """Return the latest answer of this kind."""
    return next(job for job in engine().jobs() if isinstance(job.request, ScreenGenes | ScreenExactly)).result()


def run(app: AppTest) -> AppTest:
    app.button("screen").click()
    settle(app)
    assert not app.exception
    return app


def test_every_gene_is_ranked_and_says_how_it_is_known(screen):
    assert "go through the model" in texts(screen.main.caption)
    choose(screen, ":goal-column", "cell_type")
    screen.run()
    next(slider for slider in screen.slider if slider.label == "Genes confirmed exactly").set_value(5)
    app = run(screen)
    assert not app.error
    found, table = answered(), app.dataframe[0].value
    assert len(table) == len(found.table)
    exact = table["method"] == "exact"
    np.testing.assert_array_equal(exact, table["exact"].notna())
    assert exact.sum() == (found.table["n_exact"] > 0).sum() >= 5
    assert (~exact).any()
    best = table.iloc[0]
    assert best["estimate"] == found.table.loc[found.table["goal_rank"] == 1, "goal_estimate"].item()
    assert "edited exactly in at least" in texts(app.main.markdown)
    assert "Spearman" in texts(app.main.caption)
    assert len(app.get("plotly_chart")) == 2
    next(group for group in app.get("button_group") if group.label == "Ranked by").set_value("How far cells move")
    app.run()
    assert not app.exception
    table = app.dataframe[0].value
    assert list(table["rank"].dropna()) == list(range(1, int(found.table["rank"].notna().sum()) + 1))


def test_nothing_confirmed_is_said(screen):
    next(slider for slider in screen.slider if slider.label == "Genes confirmed exactly").set_value(0)
    app = run(screen)
    assert not app.error
    assert set(app.dataframe[0].value["method"]) == {"estimated"}
    assert "Nothing was confirmed exactly" in texts(app.main.markdown)
    assert len(app.get("plotly_chart")) == 1


def test_a_list_is_overexpressed_exactly_and_its_first_genes_are_taken_on(screen, tiny_dataset):
    choose(screen, ":model", "pca")
    screen.run()
    choose(screen, ":kind", "overexpress")
    choose(screen, ":which", "A list")
    screen.run()
    assert "Name some genes." in texts(screen.main.caption)
    screen.text_area[0].set_value("LYZ CD79A NKG7 nonsense").run()
    assert "nonsense" in texts(screen.main.caption)
    app = run(screen)
    assert not app.error
    table = app.dataframe[0].value
    assert set(table["symbol"]) == {"LYZ", "CD79A", "NKG7"}
    assert set(table["method"]) == {"exact"}
    first = table["symbol"].head(2).tolist()
    next(box for box in app.number_input if box.label == "First genes").set_value(2)
    app.run()
    app.button("take-first").click().run()
    assert not app.exception
    assert app.get("button_group")[0].value == "Chosen genes"
    assert app.multiselect[0].value == first


def test_transcription_factors_are_a_list(screen):
    choose(screen, ":which", "Transcription factors")
    screen.run()
    assert not screen.exception
    captions = texts(screen.main.caption)
    assert "Lambert" in captions
    assert "names in this dataset" in captions


def test_a_gene_set_of_a_file_is_screened(screen):
    choose(screen, ":model", "pca")
    choose(screen, ":which", "A gene set")
    screen.run()
    upload(screen, b"no set at all")
    assert "Expected a gene set" in screen.error[0].value
    upload(screen, b"Monocytes\tmade up\tLYZ\tCST3\tnonsense\nB cells\tmade up\tCD79A\tMS4A1\tCD74\n")
    assert not screen.error
    choose(screen, ":set", "B cells")
    screen.run()
    assert "3 genes of the 3 names in this dataset." in texts(screen.main.caption)
    app = run(screen)
    assert not app.error
    assert set(app.dataframe[0].value["symbol"]) <= {"CD79A", "MS4A1", "CD74"}


def upload(app: AppTest, content: bytes) -> None:
    app.get("file_uploader")[0].upload("my sets.gmt", content).run()
    assert not app.exception


def test_a_stopped_screen_keeps_what_it_has(screen):
    choose(screen, ":how", EXACT)
    screen.run()
    screen.button("screen").click().run()
    job = next(job for job in engine().jobs() if isinstance(job.request, ScreenExactly))
    until = time.monotonic() + MOST_SECONDS
    while job.partial is None:
        assert time.monotonic() < until
        assert not job.finished
        time.sleep(0.1)
    job.cancel()
    app = settle(screen)
    assert not app.exception
    assert not app.error
    assert "Stopped:" in texts(app.main.markdown)
    assert "genes done" in texts(app.main.markdown)
    assert len(app.dataframe[0].value) > 0
    assert [button for button in app.button if button.label == "Go on"]
    assert [button for button in app.button if button.key == "take-first"]


def test_a_model_that_was_not_measured_is_screened_exactly(fresh_app, tiny_dataset, tmp_path):
    spec = find_model("geneformer-12l-95m")
    assert spec.screen is None
    add_weights(spec, model_folder(write_published(tmp_path, series="95m", layout="2024"), "95m", "2024"))
    fresh_app.session_state["dataset"] = tiny_dataset
    fresh_app.run()
    app = ask_for_a_screen(fresh_app.switch_page("pages/5_Perturbation.py").run())
    choose(app, ":model", spec.key)
    app.run()
    assert f"was not measured for {spec.title}" in texts(app.main.caption).replace("\\", "")
    assert not [box for box in app.selectbox if box.label == "How"]


def test_another_organism_is_said(open_page, mouse_dataset):
    app = ask_for_a_screen(open_page("5_Perturbation", mouse_dataset))
    app.button("screen").click()
    settle(app)
    assert not app.exception
    assert "mouse" in app.error[0].value
