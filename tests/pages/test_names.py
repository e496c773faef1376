"""The section of names on a page of its own: three ways, what is missing, and names kept as labels."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages._label_store import annotations
from pages._names import combined
from pages._names_keep import give_names
from pages._state import engine
from scfm_core.analyses.group_names import group_table
from scfm_core.analyses.grouping import ByColumn
from scfm_core.analyses.name_by_celltypist import CelltypistNames
from scfm_core.analyses.name_by_markers import MarkerNames
from scfm_core.celltypist import add_model
from scfm_core.dataset import Dataset, subset_dataset
from tests.pages.conftest import settle, texts

MODEL = Path(__file__).parents[1] / "models" / "golden" / "celltypist" / "blood.pkl"
PAGE = """
import streamlit as st
from pages._names import name_groups
from scfm_core.analyses.grouping import ByColumn
dataset = st.session_state["dataset"]
name_groups(dataset, ByColumn(dataset.roles["cell_type"]))
"""


@pytest.fixture
def section(answers_kept: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Dataset], AppTest]]:
    """The section alone, run until nothing is computed."""
    monkeypatch.setenv("SCFM_WORKSPACE", str(answers_kept))
    monkeypatch.setenv("CELLTYPIST_FOLDER", str(answers_kept / "celltypist"))

    def open_it(dataset: Dataset) -> AppTest:
        app = AppTest.from_string(PAGE, default_timeout=60)
        app.session_state["dataset"] = dataset
        return settle(app.run())

    yield open_it
    st.cache_resource.clear()


def ways(app: AppTest, *chosen: str) -> AppTest:
    app.button_group[0].set_value(list(chosen))
    return settle(app)


def test_markers_name_the_groups_and_the_names_are_kept(section, tiny_dataset: Dataset) -> None:
    app = section(tiny_dataset)
    assert not app.exception
    table = app.dataframe[0].value.set_index("group")
    assert table.loc["B", "name"] == "B cell"
    assert "CD79A" in table.loc["B", "evidence"]
    said = texts(app.caption)
    assert "Benjamini-Hochberg over groups and sets" in said
    assert "What it does not prove." in said
    keep = next(button for button in app.button if button.label == "Keep these names")
    assert keep.disabled
    next(field for field in app.text_input if field.label == "Your name").set_value("Ada")
    settle(app)
    next(button for button in app.button if button.label == "Keep these names").click()
    settle(app)
    column = annotations(tiny_dataset).columns()["Suggested names"]
    truth = tiny_dataset.cells()["cell_type"].astype(str).to_numpy()
    assert set(column.values[truth == "B"].astype(str)) == {"B cell"}
    assert column.terms["B cell"] == "CL:0000236"
    assert "unknown" not in set(column.values.cat.categories)
    assert column.authors == ("Ada",)
    assert "carry" in texts(app.success)


def test_other_ways_say_what_is_missing(section, tiny_dataset: Dataset) -> None:
    app = section(tiny_dataset)
    app = ways(app, "A reference dataset", "A CellTypist model")
    assert not app.exception
    said = texts(app.info)
    assert "No other dataset with named cells is here" in said
    assert "No CellTypist model is here" in said


def test_a_model_votes_and_agrees(section, demo_dataset: Dataset) -> None:
    app = section(demo_dataset)
    add_model(MODEL)
    app = ways(app, "Marker genes", "A CellTypist model")
    assert not app.exception
    table = app.dataframe[0].value.set_index("group")
    assert table.loc["NK", "agreement"] == "all agree"
    assert table.loc["NK", "name by A CellTypist model"] == "NK"
    assert table.loc["NK", "name"] == "natural killer cell"


def test_a_small_dataset_is_told(section, two_cells: Dataset) -> None:
    app = section(two_cells)
    assert not app.exception
    assert "Expected a group of at least 5 cells" in texts(app.error)


def test_typed_markers_that_are_none_are_told(section, tiny_dataset: Dataset) -> None:
    app = section(tiny_dataset)
    next(box for box in app.selectbox if box.label == "Sets of marker genes").set_value("Typed")
    settle(app)
    app.text_area[0].set_value("no colon here")
    settle(app)
    assert "Expected lines such as" in texts(app.error)
    app.text_area[0].set_value("B: CD79A, MS4A1, CD74, BANK1\nother: LYZ, FCN1, CST3")
    settle(app)
    assert not app.error
    assert app.dataframe[0].value.set_index("group").loc["B", "name"] == "B"


@pytest.mark.slow
def test_a_reference_names_the_groups(section, demo_dataset: Dataset, answers_kept: Path) -> None:
    import shutil

    half = np.arange(demo_dataset.n_cells) % 2 == 0
    mine = subset_dataset(demo_dataset, half, title="even", note="even cells")
    other = subset_dataset(demo_dataset, ~half, title="odd", note="odd cells")
    folder = answers_kept / "datasets" / other.sha256
    shutil.copytree(other.path, folder, dirs_exist_ok=True)
    app = ways(section(mine), "A reference dataset")
    time.sleep(0.1)
    assert not app.exception
    table = app.dataframe[0].value.set_index("group")
    assert table.loc["B", "name"] == "B"
    assert "The reference itself, each cell left out in turn" in texts(app.caption)
    shutil.rmtree(folder)


def row(group: str, name: str, reason: str = "") -> dict[str, object]:
    return {"group": group, "n_cells": 5, "name": name, "confidence": 0.9, "runner_up": "", "evidence": "because",
            "runner_up_confidence": np.nan, "reason": reason}  # fmt: skip


def test_the_first_way_with_a_name_stands_in_the_table() -> None:
    empty = pd.DataFrame()
    first = MarkerNames(group_table([row("1", "B cell"), row("2", "unknown", "too few")]), empty, empty, "", ())
    second = CelltypistNames(group_table([row("1", "NK"), row("2", "T cell")]), empty, ())
    table = combined({"Marker genes": first, "A CellTypist model": second})
    assert table["name"].tolist() == ["B cell", "T cell"]
    assert table["by"].tolist() == ["Marker genes", "A CellTypist model"]
    assert table["agreement"].tolist() == ["differ", "one names it"]
    assert table["name by Marker genes"].tolist() == ["B cell", "unknown"]
    alone = combined({"Marker genes": first})
    assert alone["evidence"].tolist() == ["because", "too few"]


def test_groups_of_one_name_become_one_label(
    answers_kept: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCFM_WORKSPACE", str(answers_kept))
    named = pd.DataFrame({"group": ["CD4 T naive", "CD4 T memory"], "name": ["T cell", " T cell "]})
    n_cells = give_names(tiny_dataset, ByColumn("cell_type"), named, column="merged", author="Ada")
    column = annotations(tiny_dataset).columns()["merged"]
    assert list(column.values.cat.categories) == ["T cell"]
    assert column.values.notna().sum() == n_cells
    assert len(column.acts) == 2, "one for the column, one for both groups"
    engine().close()
    st.cache_resource.clear()
