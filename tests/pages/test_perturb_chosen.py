"""The Perturbation page asked for chosen genes: cards in stages, checks, figures, files, errors."""

import time

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages._perturb_chosen import key_of
from pages._perturb_effects import ranked
from pages._perturb_files import findings_of, report_of
from pages._perturb_stages import Chain
from pages._perturb_standing import standing_of
from pages._state import engine
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.dataset import Dataset
from tests.pages.conftest import MOST_SECONDS, choose, settle, texts

FEW = 20
TABS = ("How far", "Can it be believed", "Where cells land", "Other genes", "Tables and report")


@pytest.fixture
def page(open_page, tiny_dataset) -> AppTest:
    """The page with a dataset, with few random genes."""
    return few_random_genes(open_page("5_Perturbation", tiny_dataset))


def few_random_genes(app: AppTest) -> AppTest:
    next(slider for slider in app.slider if slider.label == "Random genes").set_value(FEW)
    return app.run()


def ask(app: AppTest) -> AppTest:
    app.button("perturb").click()
    settle(app)
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    return texts(app.main.markdown).replace("\\", "")


def open_tab(app: AppTest, name: str) -> AppTest:
    app.session_state["perturb-tabs"] = name
    settle(app)
    assert not app.exception
    return app


def questions() -> list[PerturbGenes]:
    return [job.request for job in engine().jobs() if isinstance(job.request, PerturbGenes)]


def test_a_deletion_in_stages_with_pca_beside(page):
    assert "go through the model" in texts(page.main.caption)
    app = ask(page)
    assert not app.error
    table = app.dataframe[0].value
    assert set(table["model"]) == {"scfm-mini", "PCA"}
    assert set(table["edit"]) == {"LYZ"}
    assert "Deleting LYZ moves" in words(app)
    asked = {(question.baseline.model.key, question.null_genes, question.null_cells) for question in questions()}
    assert {("scfm-mini", 0, 16), ("scfm-mini", FEW, 16), ("scfm-mini", FEW, 64), ("pca", FEW, 16)} <= asked
    assert "fewer than 3" in texts(app.main.caption)  # donors
    assert app.button("every-cell")
    assert len(app.get("plotly_chart")) == 4  # effects and random genes of each model


def test_every_tab_shows_what_it_is_about(page):
    app = ask(page)
    figures = {}
    for name in TABS:
        open_tab(app, name)
        assert not app.error, (name, [error.value for error in app.error])
        figures[name] = len(app.get("plotly_chart"))
    assert figures["Can it be believed"] >= 2
    assert figures["Where cells land"] == 3
    assert figures["Other genes"] == 2
    assert figures["Tables and report"] == 0
    assert "Report (HTML)" in [button.label for button in app.get("download_button")]


def test_goal_scale_and_groups_of_pca_alone(page):
    choose(page, ":model", "pca")
    page.run()
    choose(page, ":kind", "scale")
    choose(page, ":goal-column", "cell_type")
    page.run()
    choose(page, ":goal:cell_type", "B")
    next(box for box in page.multiselect if box.label == "Groups").set_value(["NK", "CD14+ monocyte"])
    page.run()
    app = ask(page)
    assert not app.error
    question = next(asked for asked in questions() if asked.baseline.model.key == "pca" and asked.null_genes == FEW)
    assert (question.goal.value, question.group_by) == ("B", "cell_type")
    assert question.edits[0][0].factor == 0.5
    shifts = app.dataframe[0].value
    assert list(shifts.columns[:5]) == ["model", "edit", "group", "state", "role"]
    assert set(shifts["group"]) == {"NK", "CD14+ monocyte"}
    assert set(shifts["edit"]) == {"scale LYZ x0.5"}


def test_a_gene_that_no_cell_holds_is_refused(page, tiny_dataset):
    held = np.bincount(tiny_dataset.counts().matrix.indices, minlength=tiny_dataset.n_genes)
    of_b = (tiny_dataset.cells()["cell_type"] == "B").to_numpy()
    in_b = np.bincount(tiny_dataset.counts(np.flatnonzero(of_b)).matrix.indices, minlength=tiny_dataset.n_genes)
    silent = tiny_dataset.gene_symbols[int(np.flatnonzero((in_b == 0) & (held > 3))[0])]
    page.multiselect[0].set_value([silent])
    next(box for box in page.multiselect if box.label == "Groups").set_value(["B"])
    page.run()
    app = ask(page)
    assert not app.error
    assert "cannot be tested" in words(app)
    assert "nothing to compare" in texts(app.main.caption)
    assert np.isnan(app.dataframe[0].value["effect"]).all()


def test_a_pasted_list_is_taken_and_what_is_not_here_is_named(page):
    page.text_area[0].set_value("NKG7, lyz;ENSG00000105369\nnonsense").run()
    assert "nonsense" in texts(page.main.caption)
    next(button for button in page.button if button.label == "Take 3 genes").click().run()
    assert page.multiselect[0].value == ["NKG7", "LYZ", "CD79A"]


def test_the_report_holds_all_that_is_there(page, tiny_dataset):
    app = ask(page)
    standing = standing_of(Chain(app.session_state[key_of(tiny_dataset)]))
    assert standing is not None
    report = report_of(standing).decode()
    assert "LYZ" in report
    assert "<script" not in report
    found = findings_of(standing)
    assert found.question.null_cells == 64
    assert all([found.baseline, found.controls, found.comparison, found.explanation, found.followers])
    assert found.remarks == ()
    assert set(ranked(standing)["model"]) == {"scfm-mini", "PCA"}


def test_a_stopped_chain_goes_on_when_asked(page):
    page.multiselect[0].set_value(["CST3"]).run()
    page.button("perturb").click().run()
    until = time.monotonic() + MOST_SECONDS
    while not any(question.null_genes and question.baseline.model.key == "scfm-mini" for question in questions()):
        assert time.monotonic() < until
        page.run()
    job = engine().jobs()[0]
    job.cancel()
    job.wait(MOST_SECONDS)
    page.run()
    assert not page.exception
    assert "Stopped. What was finished is kept." in texts(page.main.caption)
    assert "Deleting CST3" in words(page)
    page.button("chain-on").click()
    settle(page)
    assert not page.error
    assert page.button("every-cell")


def test_a_model_that_cannot_read_the_dataset_says_why(open_page, mouse_dataset: Dataset):
    app = open_page("5_Perturbation", mouse_dataset)
    assert "Choose a gene and some cells." in texts(app.main.caption)
    app.multiselect[0].set_value(["Gene0"]).run()
    ask(app)
    assert "mouse" in app.error[0].value
