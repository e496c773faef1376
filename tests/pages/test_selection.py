"""What is asked of selected cells beneath the maps: composition, markers, labels, a dataset, a perturbation."""

import json
import shutil

import numpy as np
import pytest

from pages._label_store import annotations, label_columns
from pages._selection_markers import markers_request
from scfm_core.annotations import FIRST_COLUMN
from scfm_core.cell_set import CellSet
from scfm_core.dataset import parent_of
from scfm_core.errors import RequestError
from tests.pages.conftest import choose, settle, texts


@pytest.fixture(autouse=True)
def no_labels_yet(answers_kept):
    """Labels that other tests gave to the same cells are taken away."""
    shutil.rmtree(answers_kept / "labels", ignore_errors=True)


@pytest.fixture
def open_selection(open_page, tiny_dataset):
    """The page UMAP with the NK cells selected, on one of the tabs."""

    def open_it(tab):
        app = open_page("3_UMAP", tiny_dataset)
        app.session_state["selection"] = CellSet.where(tiny_dataset, "cell_type", "NK")
        app.session_state["selection:tab"] = tab
        return settle(app)

    return open_it


def press(app, key):
    app.button(key).click().run()
    assert not app.exception
    return app


def test_made_of_groups_beside_all_others(open_selection, tiny_dataset):
    app = open_selection("Made of")
    assert not app.exception
    assert not texts(app.error)
    n_selected = len(app.session_state["selection"])
    table = app.dataframe[0].value
    row = table[table["group"] == "NK"].iloc[0]
    assert (row["n_in"], row["n_out"], row["share_of_group"]) == (n_selected, 0, 100.0)
    assert table["n_out"].sum() == tiny_dataset.n_cells - n_selected
    assert "no replicates" in texts(app.caption).replace("\\", "")


def test_made_of_clusters_and_numbers(open_selection, tiny_dataset):
    app = open_selection("Made of")
    choose(app, "made-of:", "Clusters (Leiden)")
    settle(app)
    assert not texts(app.error)
    assert app.dataframe[0].value["n_in"].sum() == len(app.session_state["selection"])
    numbers = [name for name in tiny_dataset.cells() if tiny_dataset.cells()[name].dtype.kind == "f"]
    for name in numbers[:1]:
        choose(app, "made-of:", name)
        settle(app)
        assert not texts(app.error)
        assert app.dataframe[0].value["n"].sum() <= tiny_dataset.n_cells


def test_kept_selections_combine(open_selection, tiny_dataset):
    app = open_selection("Made of")
    n_selected = len(app.session_state["selection"])
    press(app, "save-A")
    press(app, "sets:invert")
    assert len(app.session_state["selection"]) == tiny_dataset.n_cells - n_selected
    settle(app)
    press(app, "sets:Add-A")
    assert len(app.session_state["selection"]) == tiny_dataset.n_cells
    press(app, "sets:Take away-A")
    press(app, "sets:select-A")
    assert app.session_state["selection"].bits == app.session_state["saved_selections"]["A"].bits
    assert app.button("sets:Take away-A").disabled  # nothing would be left


def test_a_part_grows_to_its_whole_group(open_selection, tiny_dataset):
    app = open_selection("Made of")
    whole = app.session_state["selection"]
    app.session_state["selection"] = CellSet.from_positions("one", whole.positions[:1].tolist(), tiny_dataset.n_cells)
    app.run()
    press(app, "sets:grow")
    assert app.session_state["selection"].bits == whole.bits


def test_groups_are_selected_without_a_drawing(open_page, tiny_dataset):
    app = open_page("3_UMAP", tiny_dataset)
    app.session_state["selection"] = None
    settle(app)
    next(box for box in app.multiselect if box.key.startswith("groups:")).set_value(["NK", "B"]).run()
    press(app, "sets:select-groups")
    kinds = tiny_dataset.cells()["cell_type"].astype(str).to_numpy()
    np.testing.assert_array_equal(app.session_state["selection"].mask, np.isin(kinds, ["NK", "B"]))


def test_markers_of_the_selection(open_selection):
    app = open_selection("Markers")
    assert not app.exception
    assert not texts(app.error)
    shown = app.dataframe[0].value
    assert len(shown)
    assert (shown["p_adjusted"] <= 0.05).all()
    assert "Wilcoxon" in texts(app.caption)
    assert "no replicates" in texts(app.caption).replace("\\", "")


def test_markers_against_a_kept_selection_leave_out_shared_cells(tiny_dataset):
    n = tiny_dataset.n_cells
    chosen, kept = CellSet.from_positions("x", range(10), n), CellSet.from_positions("Selection A", range(5, 20), n)
    request = markers_request(tiny_dataset, chosen, kept)
    assert [len(part) for part in request.grouping.selections] == [10, 10]
    assert request.reference == "Selection A"
    again = markers_request(tiny_dataset, chosen.called("drawn elsewhere"), kept)
    assert again.identity == request.identity
    with pytest.raises(RequestError, match="none is left"):
        markers_request(tiny_dataset, kept, kept)


def test_selection_opens_on_the_markers_page(open_selection, tiny_dataset):
    app = open_selection("Markers")
    n_selected = len(app.session_state["selection"])
    press(app, "selection-to-markers")
    assert app.title[0].value == "Markers"
    assert not texts(app.error)
    saved = app.session_state["saved_selections"]
    assert (len(saved["A"]), len(saved["B"])) == (n_selected, tiny_dataset.n_cells - n_selected)


def label(app, text, author="Ada"):
    next(field for field in app.text_input if field.key == "label-author").set_value(author)
    next(field for field in app.text_input if field.key.startswith("label-text:")).set_value(text).run()
    return press(app, "give-label")


def test_a_label_is_given_with_its_term_and_undone(open_selection, tiny_dataset):
    app = open_selection("Label")
    assert app.button("give-label").disabled
    label(app, "NK cells")
    assert not texts(app.error)
    values = label_columns(tiny_dataset)[FIRST_COLUMN]
    np.testing.assert_array_equal(values == "NK cells", app.session_state["selection"].mask)
    acts = annotations(tiny_dataset).history()
    assert acts.iloc[0][["author", "label", "term"]].tolist() == ["Ada", "NK cells", "CL:0000623"]
    press(app, "undo-label")
    assert FIRST_COLUMN not in label_columns(tiny_dataset)
    press(app, "redo-label")
    assert FIRST_COLUMN in label_columns(tiny_dataset)
    press(app, "clear-label")
    assert FIRST_COLUMN not in label_columns(tiny_dataset)


def test_words_of_ones_own_have_no_term(open_selection, tiny_dataset):
    app = open_selection("Label")
    label(app, "odd ones", author="Ben")
    history = annotations(tiny_dataset).history()
    assert history.iloc[0][["label", "term"]].tolist() == ["odd ones", ""]


def test_labels_colour_maps_and_group_cells(open_selection, tiny_dataset):
    app = open_selection("Label")
    label(app, "mine")
    colours = [box for box in app.selectbox if ":colour" in (box.key or "")]
    assert all(FIRST_COLUMN in box.options for box in colours)
    app.session_state["selection:tab"] = "Made of"
    settle(app)
    choose(app, "made-of:", FIRST_COLUMN)
    settle(app)
    assert not texts(app.error)
    table = app.dataframe[0].value
    assert table.loc[table["group"] == "mine", "share_in"].tolist() == [100.0]


def test_columns_of_labels_are_made_renamed_and_deleted(open_selection, tiny_dataset):
    app = open_selection("Label")
    label(app, "first")
    field = next(field for field in app.text_input if field.label == "New column")
    field.set_value("cell_type").run()
    press(app, field.key.removesuffix("new") + "make")
    assert "is there already" in app.error[0].value
    field = next(field for field in app.text_input if field.label == "New column")
    field.set_value("second").run()
    press(app, field.key.removesuffix("new") + "make")
    assert list(annotations(tiny_dataset).columns())[-1] == "second"


def test_damaged_labels_are_told_and_stop_nothing_else(open_selection, tiny_dataset):
    app = open_selection("Label")
    label(app, "mine")
    for path in (annotations(tiny_dataset).log.folder / "cells").iterdir():
        path.write_bytes(b"")
    annotations(tiny_dataset).give(FIRST_COLUMN, "x", app.session_state["selection"], author="Ada")
    for path in (annotations(tiny_dataset).log.folder / "cells").iterdir():
        path.write_bytes(b"")
    settle(app)
    assert not app.exception
    assert "damaged" in texts(app.error)
    app.session_state["selection:tab"] = "Made of"
    settle(app)
    assert not texts(app.error)
    app.session_state["selection"] = CellSet.where(tiny_dataset, "cell_type", "B")
    app.session_state["selection:tab"] = "New dataset"
    settle(app)
    press(app, "make-subset")
    assert "labels were not copied" in texts(app.toast).replace("\\", "")
    shutil.rmtree(annotations(tiny_dataset).log.folder)


def test_a_new_dataset_knows_its_parent_and_keeps_labels(open_selection, tiny_dataset):
    app = open_selection("New dataset")
    chosen = app.session_state["selection"]
    annotations(tiny_dataset).give("for a part", "some", chosen, author="Ada")
    next(field for field in app.text_input if field.key.startswith("subset:")).set_value("only NK").run()
    press(app, "make-subset")
    part = app.session_state["dataset"]
    assert (part.title, part.n_cells) == ("only NK", len(chosen))
    assert parent_of(part) == tiny_dataset
    assert any("were selected" in note for note in part.notes)
    assert json.loads((part.path / "manifest.json").read_text())["parent"] == tiny_dataset.sha256
    assert (label_columns(part)["for a part"] == "some").all()
    assert app.title[0].value == "Embedding"


def test_the_selection_goes_to_the_perturbation_page(open_selection):
    app = open_selection("Perturb")
    press(app, "perturb-selection")
    assert app.title[0].value == "Perturbation"
    cells = next(box for box in app.selectbox if ":cells:" in (box.key or ""))
    assert cells.value == "The selection"


def test_two_cells_and_one_selected(open_page, two_cells):
    app = open_page("3_UMAP", two_cells)
    for tab in ("Made of", "Markers", "Label", "New dataset", "Perturb"):
        app.session_state["selection"] = CellSet.from_positions("one", [0], 2)
        app.session_state["selection:tab"] = tab
        settle(app)
        assert not app.exception


def test_labelled_cells_can_be_perturbed(open_page, tiny_dataset):
    cells = CellSet.where(tiny_dataset, "cell_type", "B")
    annotations(tiny_dataset).give("to perturb", "mine", cells, author="Ada")
    annotations(tiny_dataset).give("to perturb", "others", ~cells, author="Ada")
    app = open_page("5_Perturbation", tiny_dataset)
    key = f"perturb:{tiny_dataset.sha256[:10]}"
    choose(app, f"{key}:column", "to perturb")
    app.run()
    groups = next(box for box in app.multiselect if f"{key}:groups:" in (box.key or ""))
    assert sorted(groups.options) == ["mine", "others"]
    groups.set_value(["mine", "others"]).run()
    assert not app.exception
    assert "answered together" in texts(app.caption)
    annotations(tiny_dataset).delete_column("to perturb", author="Ada")
