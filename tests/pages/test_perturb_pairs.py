"""The Perturbation page asked for pairs: the matrix, the words, the table, what is missing, an error."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import choose, settle, texts


@pytest.fixture
def pairs(open_page, tiny_dataset) -> AppTest:
    """The page with a dataset, asked for pairs under the fast baseline."""
    return ask_for_pairs(open_page("5_Perturbation", tiny_dataset))


def ask_for_pairs(app: AppTest) -> AppTest:
    app.get("button_group")[0].set_value("Pairs")
    app.run()
    assert not app.exception
    choose(app, ":model", "pca")
    return app.run()


def test_all_pairs_of_three_genes(pairs):
    pairs.multiselect[0].set_value(["LYZ", "CST3", "TYROBP"]).run()
    assert "go through the model" in texts(pairs.main.caption)
    pairs.button("pairs").click()
    app = settle(pairs)
    assert not app.exception
    assert not app.error
    table = app.dataframe[0].value
    found = {frozenset(pair) for pair in zip(table["edit_a"], table["edit_b"], strict=True)}
    assert found == {frozenset(pair) for pair in (("LYZ", "CST3"), ("LYZ", "TYROBP"), ("CST3", "TYROBP"))}
    assert "not an experiment" in texts(app.main.markdown)
    assert len(app.get("plotly_chart")) == 1
    next(group for group in app.get("button_group") if group.label == "Beyond the sum").set_value("How far")
    app.run()
    assert not app.exception
    assert not app.error


def test_one_gene_is_no_pair(pairs):
    pairs.multiselect[0].set_value(["LYZ"]).run()
    assert "Choose 2 to 15 genes" in texts(pairs.main.caption)
    assert not [button for button in pairs.button if button.key == "pairs"]


def test_another_organism_is_said(open_page, mouse_dataset):
    app = open_page("5_Perturbation", mouse_dataset)
    app.get("button_group")[0].set_value("Pairs")
    app.run()
    app.multiselect[0].set_value(["Gene0", "Gene1"]).run()
    app.button("pairs").click()
    settle(app)
    assert not app.exception
    assert "mouse" in app.error[0].value
