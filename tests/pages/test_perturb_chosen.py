"""The Perturbation page asked for chosen genes: the card, the figures, the files, errors."""

import pytest
from streamlit.testing.v1 import AppTest

from scfm_core.dataset import Dataset
from tests.pages.conftest import settle, texts

FEW = 20


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


def test_a_deletion_with_its_null_and_pca_beside(page):
    assert "go through the model" in texts(page.main.caption)
    app = ask(page)
    assert not app.error
    table = app.dataframe[0].value
    assert set(table["model"]) == {"scfm-mini", "PCA"}
    assert set(table["edit"]) == {"LYZ"}
    assert "Deleting LYZ moves" in words(app)
    assert [metric.label for metric in app.metric[:3]] == ["Effect", f"p, {FEW} random genes", "Hold it, of 21 cells"]
    assert len(app.get("plotly_chart")) == 4  # effects and random genes of each model


def test_a_model_that_cannot_read_the_dataset_says_why(open_page, mouse_dataset: Dataset):
    app = open_page("5_Perturbation", mouse_dataset)
    assert "Choose a gene and some cells." in texts(app.main.caption)
    app.multiselect[0].set_value(["Gene0"]).run()
    ask(app)
    assert "mouse" in app.error[0].value
