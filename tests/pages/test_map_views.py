"""The views beside the map: two embeddings compared, crowds as pixels, a third dimension."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages._map_compare import changed_most
from pages._map_density import pixel_table
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset, subset_dataset
from scfm_core.plots.cell_density import cell_density
from scfm_core.registry import find_model
from tests.pages.conftest import choose, settle, texts
from tests.plots.map_figures import places


def compared() -> None:
    from pages._map_compare import compare_view
    from pages._models import usable_models
    from pages._state import require_dataset
    from pages._views import MapSettings
    from pages._waiting import errors_as_text
    from scfm_core.analyses.embed_cells import EmbedCells

    dataset = require_dataset()
    other = st.session_state.get("other", dataset)
    models = {spec.key: spec for spec in usable_models()}
    second = models[st.session_state.get("model", "scfm-mini")]
    with errors_as_text():
        compare_view(dataset, EmbedCells(dataset, models["pca"]), EmbedCells(other, second), MapSettings())


def crowded() -> None:
    from pages._map_density import density_view
    from pages._models import baseline
    from pages._state import cell_table, grouping_columns, require_dataset
    from pages._views import MapSettings
    from pages._waiting import errors_as_text
    from scfm_core.analyses.embed_cells import EmbedCells

    dataset = require_dataset()
    with errors_as_text():
        colour = cell_table(dataset)[grouping_columns(dataset)[0]].reset_index(drop=True)
        density_view(dataset, MapSettings().projection(EmbedCells(dataset, baseline())), colour)


def roomy() -> None:
    from pages._map_space import space_view
    from pages._models import baseline
    from pages._state import cell_table, grouping_columns, require_dataset
    from pages._views import MapSettings
    from pages._waiting import errors_as_text
    from scfm_core.analyses.embed_cells import EmbedCells

    dataset = require_dataset()
    with errors_as_text():
        colour = cell_table(dataset)[grouping_columns(dataset)[0]].reset_index(drop=True)
        space_view(dataset, MapSettings().projection(EmbedCells(dataset, baseline())), colour)


@pytest.fixture
def show(answers_kept: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a view on a dataset until nothing is being computed."""
    monkeypatch.setenv("SCFM_WORKSPACE", str(answers_kept))

    def run(view: Callable[[], None], dataset: Dataset, **state: object) -> AppTest:
        app = AppTest.from_string(
            f"import streamlit as st\nfrom {__name__} import {view.__name__}\n{view.__name__}()\n"
        )
        app.default_timeout = 60
        app.session_state["dataset"] = dataset
        for name, value in state.items():
            app.session_state[name] = value
        return settle(app)

    yield run
    st.cache_resource.clear()


def test_two_embeddings_are_compared_by_group_and_by_batch(show, tiny_dataset: Dataset) -> None:
    app = show(compared, tiny_dataset)
    assert not app.exception
    assert not app.error
    words = texts(app.markdown)
    assert "PCA is the baseline" in words
    assert "of its 30 neighbours" in words
    assert "n = 120 cells" in words
    assert texts(app.caption).count("What it does not prove") >= 4
    groups, mixing, change = (frame.value for frame in app.dataframe)
    assert set(groups["group"]) == set(tiny_dataset.cells()["cell_type"].astype(str))
    assert groups["mean"].between(0, 100).all()
    assert set(mixing["group"]) == {"batch A", "batch B"}
    assert set(mixing["embedding"]) == {"PCA (baseline)", find_model("scfm-mini").title}
    assert {"share_first", "share_second", "change"} <= set(change)


def test_cells_that_changed_most_become_the_selection(show, tiny_dataset: Dataset) -> None:
    app = show(compared, tiny_dataset)
    button = app.button("compare:select")
    n_cells = int(button.label.split()[1])
    button.click().run()
    settle(app)
    chosen = app.session_state["selection"]
    assert isinstance(chosen, CellSet)
    assert len(chosen) == n_cells <= 12
    assert "PCA (baseline)" in chosen.label


def test_groups_are_those_of_the_chosen_column(show, tiny_dataset: Dataset) -> None:
    app = show(compared, tiny_dataset)
    choose(app, "compare:kept", "batch")
    settle(app)
    assert set(app.dataframe[0].value["group"]) == {"batch A", "batch B"}
    assert not app.exception


def test_an_embedding_is_not_compared_with_itself(show, tiny_dataset: Dataset) -> None:
    app = show(compared, tiny_dataset, model="pca")
    assert "same embedding" in app.info[0].value
    assert not app.dataframe


def test_a_part_is_compared_with_the_whole(show, tiny_dataset: Dataset) -> None:
    part = subset_dataset(tiny_dataset, np.arange(120) < 70, title="seventy cells", note="cut")
    app = show(compared, tiny_dataset, other=part, model="pca")
    assert not app.exception
    assert not app.error
    assert "PCA \\(baseline\\), 70 cells" in texts(app.markdown)
    assert "n = 70 cells" in texts(app.markdown)
    assert "seventy cells" in texts(app.caption)


@pytest.mark.parametrize("view", [compared, crowded, roomy])
def test_two_cells_are_refused_in_words(show, two_cells: Dataset, view) -> None:
    app = show(view, two_cells)
    assert not app.exception
    assert "xpected" in texts(app.error)


def test_a_crowd_is_shown_as_pixels_with_the_selection_beside(show, tiny_dataset: Dataset) -> None:
    app = show(crowded, tiny_dataset, selection=CellSet.from_mask("half", np.arange(120) < 60))
    assert not app.exception
    assert not app.error
    assert "pixels" in texts(app.caption)
    assert len(app.get("plotly_chart")) == 1
    app.button_group[0].set_value("cell_type").run()
    app.toggle[0].set_value(True)
    settle(app)
    assert not app.exception
    assert "category with most cells" in texts(app.caption)


def test_pixels_as_a_table_hold_all_cells() -> None:
    table = pixel_table(cell_density(places(), selected=places()[:, 0] > 0), "UMAP")
    per_panel = table.groupby("cells drawn")["n_cells"].sum()
    assert per_panel.tolist() == [240, (places()[:, 0] > 0).sum()]
    assert (table["UMAP 1"].between(-15, 15)).all()


def test_the_third_dimension_is_computed_and_drawn(show, tiny_dataset: Dataset) -> None:
    app = show(roomy, tiny_dataset, selection=CellSet.from_mask("some", np.arange(120) < 20))
    assert not app.exception
    assert not app.error
    assert len(app.get("plotly_chart")) == 1
    assert "turn the room" in texts(app.caption)


def test_the_lowest_tenth_and_what_lies_below_a_cut_off() -> None:
    kept = np.array([np.nan, 0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0])
    assert np.flatnonzero(changed_most(kept, None)).tolist() == [1]
    assert np.flatnonzero(changed_most(kept, 20.0)).tolist() == [1, 2]
    assert changed_most(np.array([0.0, 0.0, 0.0, 50.0]), None).tolist() == [True, True, True, False]
    assert not changed_most(np.full(3, np.nan), None).any()
