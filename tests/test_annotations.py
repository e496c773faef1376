"""Labels that people give to cells: kept, undone, written by several at once."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scfm_core.annotation_log import Act
from scfm_core.annotations import FIRST_COLUMN, Annotations
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset, open_dataset, subset_dataset
from scfm_core.errors import DatasetError, RequestError
from scfm_core.label_acts import columns_of, redoable, undoable
from tests.analyses.planted import dataset_of

N_CELLS = 30


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return dataset_of(tmp_path / "datasets", np.ones((N_CELLS, 3), dtype=int), {"kind": ["a", "b", "c"] * 10})


@pytest.fixture
def labels(dataset: Dataset, tmp_path: Path) -> Annotations:
    return Annotations.of(dataset, tmp_path / "labels")


def some(*positions: int) -> CellSet:
    return CellSet.from_positions("some", positions, N_CELLS)


def called(labels: Annotations, column: str = FIRST_COLUMN) -> dict[str, list[int]]:
    values = labels.columns()[column].values
    return {name: np.flatnonzero(values == name).tolist() for name in values.cat.categories}


def test_labels_are_given_and_taken(labels: Annotations) -> None:
    assert labels.columns() == {}
    labels.give(FIRST_COLUMN, "NK", some(0, 1, 2, 3), author="Ada", term="CL:0000623")
    labels.give(FIRST_COLUMN, "odd", some(3, 4), author="Ben")
    labels.clear(FIRST_COLUMN, some(0), author="Ben")
    assert called(labels) == {"NK": [1, 2], "odd": [3, 4]}
    column = labels.columns()[FIRST_COLUMN]
    assert column.terms == {"NK": "CL:0000623"}
    assert column.authors == ("Ada", "Ben")
    assert column.values.isna().sum() == N_CELLS - 4
    labels.give(FIRST_COLUMN, "odd", some(1, 2), author="Ben")
    assert called(labels) == {"odd": [1, 2, 3, 4]}
    assert labels.columns()[FIRST_COLUMN].terms == {}


def test_the_last_given_term_is_that_of_the_label(labels: Annotations) -> None:
    labels.give("mine", "NK", some(0), author="Ada")
    labels.give("mine", "NK", some(1), author="Ada", term="CL:0000623")
    assert labels.columns()["mine"].terms == {"NK": "CL:0000623"}
    labels.undo(author="Ada")
    assert labels.columns()["mine"].terms == {}


def test_labels_stay_when_the_dataset_is_opened_again(labels: Annotations, tmp_path: Path) -> None:
    labels.give(FIRST_COLUMN, "NK", some(5), author="Ada")
    again = Annotations.of(open_dataset(labels.dataset.path), tmp_path / "labels")
    assert called(again) == {"NK": [5]}


def test_undo_and_redo(labels: Annotations) -> None:
    labels.give("mine", "one", some(0, 1), author="Ada")
    labels.give("mine", "two", some(1, 2), author="Ada")
    labels.undo(author="Ada")
    assert called(labels, "mine") == {"one": [0, 1]}
    labels.undo(author="Ada")
    assert called(labels, "mine") == {}
    labels.redo(author="Ada")
    labels.redo(author="Ada")
    assert called(labels, "mine") == {"one": [0], "two": [1, 2]}
    with pytest.raises(RequestError, match="nothing of yours to do again"):
        labels.redo(author="Ada")
    labels.undo(author="Ada")
    labels.give("mine", "three", some(9), author="Ada")
    with pytest.raises(RequestError, match="nothing of yours to do again"):
        labels.redo(author="Ada")
    assert called(labels, "mine") == {"one": [0, 1], "three": [9]}


def test_undo_leaves_what_others_did(labels: Annotations) -> None:
    labels.give("mine", "one", some(0, 1), author="Ada")
    labels.give("mine", "two", some(1, 2), author="Ben")
    labels.undo(author="Ada")
    assert called(labels, "mine") == {"two": [1, 2]}
    with pytest.raises(RequestError, match="nothing of yours to undo"):
        labels.undo(author="Cleo")


def test_columns_are_made_renamed_and_deleted(labels: Annotations) -> None:
    labels.add_column("first", author="Ada")
    labels.give("first", "one", some(0), author="Ada")
    labels.rename_column("first", "second", author="Ben")
    assert called(labels, "second") == {"one": [0]}
    labels.delete_column("second", author="Ben")
    assert labels.columns() == {}
    with pytest.raises(RequestError, match="no labels called 'second'"):
        labels.clear("second", some(0), author="Ben")
    labels.undo(author="Ben")
    labels.undo(author="Ben")
    assert called(labels, "first") == {"one": [0]}


def test_no_two_columns_have_one_name(labels: Annotations) -> None:
    labels.add_column("first", author="Ada")
    labels.add_column("second", author="Ada")
    for refused in (
        lambda: labels.add_column("first", author="Ada"),
        lambda: labels.add_column("kind", author="Ada"),
        lambda: labels.give("kind", "one", some(0), author="Ada"),
        lambda: labels.rename_column("first", "second", author="Ada"),
        lambda: labels.rename_column("first", "kind", author="Ada"),
    ):
        with pytest.raises(RequestError, match="is there already"):
            refused()
    labels.delete_column("first", author="Ada")
    labels.add_column("first", author="Ben")
    with pytest.raises(RequestError, match="'first' is there already"):
        labels.undo(author="Ada")
    assert list(labels.columns()) == ["second", "first"]


@pytest.mark.parametrize(
    ("column", "label", "author", "words"),
    [("", "x", "Ada", "column needs"), ("c", " \n", "Ada", "label needs"), ("c", "x", "", "author needs"),
     ("c", "x" * 121, "Ada", "found 121")],
)  # fmt: skip
def test_names_that_are_none(labels: Annotations, column: str, label: str, author: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        labels.give(column, label, some(0), author=author)
    assert labels.history().empty


def test_cells_and_terms_that_are_none(labels: Annotations) -> None:
    with pytest.raises(RequestError, match="at least one cell"):
        labels.give("c", "x", some(), author="Ada")
    with pytest.raises(RequestError, match="among 7, but this dataset has 30"):
        labels.give("c", "x", CellSet.from_positions("", [1], 7), author="Ada")
    with pytest.raises(RequestError, match="no term 'CL:1'"):
        labels.give("c", "x", some(0), author="Ada", term="CL:1")
    assert labels.columns() == {}


def test_history_tells_who_did_what(labels: Annotations) -> None:
    labels.give("mine", "NK", some(0, 1), author="Ada", term="CL:0000623")
    labels.rename_column("mine", "ours", author="Ben")
    labels.undo(author="Ada")
    table = labels.history()
    assert table["act"].tolist() == ["undo", "rename", "give", "column"]
    assert table["author"].tolist() == ["Ada", "Ben", "Ada", "Ada"]
    assert table["column"].tolist() == ["ours", "ours", "mine", "mine"]
    assert table["label"].tolist() == ["NK", "ours", "NK", "mine"]
    assert table["n_cells"].tolist() == [2, 0, 2, 0]
    assert table["stands"].tolist() == [True, True, False, True]
    assert pd.to_datetime(table["time"]).dt.tz is not None
    assert pd.to_datetime(table["time"]).is_monotonic_decreasing


def test_labels_go_with_the_cells_of_a_subset(labels: Annotations, tmp_path: Path) -> None:
    labels.give("mine", "NK", some(0, 1, 7), author="Ada", term="CL:0000623")
    labels.give("mine", "odd", some(2), author="Ben")
    labels.give("more", "last", some(9), author="Ben")
    kept = some(1, 7, 8, 9)
    part = subset_dataset(labels.dataset, kept.mask, title="part", note="")
    theirs = Annotations.of(part, tmp_path / "labels")
    labels.copy_to(theirs, kept)
    assert called(theirs, "mine") == {"NK": [0, 1]}
    assert called(theirs, "more") == {"last": [3]}
    column = theirs.columns()["mine"]
    assert (column.terms, column.authors) == ({"NK": "CL:0000623"}, ("Ada",))
    n_acts = len(theirs.history())
    labels.copy_to(theirs, kept)
    assert len(theirs.history()) == n_acts
    with pytest.raises(RequestError, match="dataset of 2 cells, found 4"):
        labels.copy_to(theirs, some(1, 2))


def test_a_line_that_was_cut_off_is_no_act(labels: Annotations) -> None:
    labels.give("mine", "one", some(0), author="Ada")
    path = labels.log.folder / "log.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:40])
    assert called(labels, "mine") == {"one": [0]}
    labels.give("mine", "two", some(1), author="Ada")
    assert called(labels, "mine") == {"one": [0], "two": [1]}
    assert path.read_bytes().startswith(whole)


def test_a_log_of_another_version_is_refused(labels: Annotations) -> None:
    labels.give("mine", "one", some(0), author="Ada")
    path = labels.log.folder / "log.jsonl"
    row = json.loads(path.read_text().splitlines()[-1])
    path.write_text(json.dumps({**row, "act": "merge"}) + "\n")
    with pytest.raises(DatasetError, match="another version"):
        labels.columns()


def test_lost_cells_are_told(labels: Annotations) -> None:
    labels.give("mine", "one", some(0), author="Ada")
    for path in (labels.log.folder / "cells").iterdir():
        path.write_bytes(b"nonsense")
    with pytest.raises(DatasetError, match="gone or damaged"):
        labels.columns()
    labels.undo(author="Ada")
    assert called(labels, "mine") == {}


def _give_many(path: Path, folder: Path, number: int) -> None:
    labels = Annotations.of(open_dataset(path), folder)
    for step in range(8):
        labels.give("ours", f"{number}", some(number * 8 + step), author=f"person {number}")


def test_several_processes_write_at_once(labels: Annotations, tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:  # a fork of a process with threads may hang
        for waiting in [pool.submit(_give_many, labels.dataset.path, tmp_path / "labels", n) for n in range(3)]:
            waiting.result()
    assert called(labels, "ours") == {str(n): list(range(8 * n, 8 * n + 8)) for n in map(int, called(labels, "ours"))}
    assert sorted(called(labels, "ours")) == ["0", "1", "2"]
    assert labels.history()["act"].tolist().count("column") == 1
    assert len(labels.history()) == 25


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["give", "undo", "redo"]), max_size=30))
def test_undo_and_redo_act_like_a_stack(steps: list[str]) -> None:
    acts: list[Act] = [Act(id="column", author="Ben", act="column", label="mine")]
    done: list[str] = []
    undone: list[str] = []
    for number, step in enumerate(steps):
        name = f"{number}"
        if step == "give":
            acts.append(Act(id=name, author="Ada", act="give", column="column", label=name))
            done.append(name)
            undone.clear()
        elif step == "undo" and done:
            wanted = undoable(acts, "Ada")
            assert wanted is not None
            acts.append(Act(id=name, author="Ada", act="undo", of=wanted.id))
            undone.append(done.pop())
        elif step == "redo" and undone:
            wanted = redoable(acts, "Ada")
            assert wanted is not None
            acts.append(Act(id=name, author="Ada", act="redo", of=wanted.id))
            done.append(undone.pop())
        assert [act.label for act in columns_of(acts)[0].acts if act.act == "give"] == sorted(done, key=int)
        assert (undoable(acts, "Ada") is None) == (not done)
        assert (redoable(acts, "Ada") is None) == (not undone)
