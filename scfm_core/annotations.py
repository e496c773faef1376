"""What people call the cells of a dataset: labels in named columns, each with its author, its time, and an undo."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.annotation_log import Act, AnnotationLog, Kind, new_id
from scfm_core.cell_set import CellSet
from scfm_core.cell_types import cell_type
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.label_acts import Draft, column_id, columns_of, redoable, standing, told, undoable

FIRST_COLUMN = "My labels"
HISTORY = ("time", "author", "act", "column", "label", "term", "n_cells", "stands")
_LONGEST = 120
_MOST_LABELS = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelColumn:
    """One column of labels as it stands now.

    Attributes
    ----------
    id
        Stays when the column is renamed.
    values
        The label of each cell as a categorical, missing where a cell has none, shape ``(n_cells,)``; named like the
        column. Its categories are the labels that some cell has, in the order in which they came.
    terms
        Label -> id of the ontology's term, for labels that were given with one.
    acts
        What was done to the column and is not undone, oldest first.
    """

    id: str
    values: "pd.Series[Any]"
    terms: dict[str, str]
    acts: tuple[Act, ...]

    @property
    def name(self) -> str:
        """How the column is called."""
        return str(self.values.name)

    @property
    def authors(self) -> tuple[str, ...]:
        """Who gave or took labels, each once."""
        return tuple(dict.fromkeys(act.author for act in self.acts))


@dataclass(frozen=True)
class Annotations:
    """The labels that people gave to the cells of one dataset, and the log that they are made from.

    Every change is added to the log and changes nothing that stands there; several processes may write at once.
    """

    dataset: Dataset
    log: AnnotationLog

    @classmethod
    def of(cls, dataset: Dataset, folder: Path) -> "Annotations":
        """Return the labels of a dataset; all datasets share a folder, such as ``workspace.folder("labels")``."""
        return cls(dataset, AnnotationLog(folder / dataset.sha256))

    def columns(self) -> dict[str, LabelColumn]:
        """Return the columns by name, oldest first."""
        return {draft.name: self._finished(draft) for draft in columns_of(self.log.read())}

    def give(self, column: str, label: str, cells: CellSet, *, author: str, term: str = "") -> None:
        """Call some cells by a label; the column is made where there is none of this name.

        Parameters
        ----------
        term
            Id of the Cell Ontology's term that the label stands for; empty for a label of one's own.

        Raises
        ------
        RequestError
            If a name is empty, the cells are none or another dataset's, or the ontology has no such term.
        """
        self._check_cells(cells)
        if term:
            cell_type(term)
        done = _draft(author, "give", label=_named(label, "label"), term=term)
        name = _named(column, "column")

        def make(acts: tuple[Act, ...]) -> list[Act]:
            made = [] if name in _names(acts) else [self._new_column(acts, name, author)]
            labels = {act.label for act in standing(acts) if act.act == "give"} | {done.label}
            if len(labels) > _MOST_LABELS:
                msg = f"Expected at most {_MOST_LABELS:,} labels in a dataset, found {len(labels):,}. Use one of them."
                raise RequestError(msg, "too-many-labels")
            return [*made, replace(done, column=column_id([*acts, *made], name), **self._kept(cells))]

        self.log.add(make)

    def clear(self, column: str, cells: CellSet, *, author: str) -> None:
        """Take the label of a column from some cells."""
        self._check_cells(cells)
        done = _draft(author, "clear")
        self.log.add(lambda acts: [replace(done, column=column_id(acts, column), **self._kept(cells))])

    def add_column(self, name: str, *, author: str) -> None:
        """Make an empty column."""
        self.log.add(lambda acts: [self._new_column(acts, _named(name, "column"), author)])

    def rename_column(self, name: str, new_name: str, *, author: str) -> None:
        """Call a column by another name."""
        done = _draft(author, "rename", label=_named(new_name, "column"))
        self._change(lambda acts: replace(done, column=column_id(acts, name)))

    def delete_column(self, name: str, *, author: str) -> None:
        """Take a column away; undo brings it back."""
        done = _draft(author, "delete")
        self._change(lambda acts: replace(done, column=column_id(acts, name)))

    def undo(self, *, author: str) -> None:
        """Undo the last act of an author that is not undone."""
        self._change(lambda acts: replace(_draft(author, "undo"), of=_wanted(undoable(acts, author), "undo")))

    def redo(self, *, author: str) -> None:
        """Do again what an author undid last, where the author did nothing else since."""
        self._change(lambda acts: replace(_draft(author, "redo"), of=_wanted(redoable(acts, author), "do again")))

    def copy_to(self, part: "Annotations", kept: CellSet) -> None:
        """Give the labels as they stand to a dataset that was made of some of these cells, in their order.

        Each label keeps the name of who gave it last, and its term. Where the dataset has labels already, nothing is
        copied.

        Raises
        ------
        RequestError
            If the dataset has another number of cells.
        """
        if len(kept) != part.dataset.n_cells or kept.n_cells != self.dataset.n_cells:
            msg = (
                f"Expected a dataset of {len(kept):,} cells, found {part.dataset.n_cells:,}. Take the one made of them."
            )
            raise RequestError(msg, "other-dataset")
        if part.log.read():
            return
        for name, column in self.columns().items():
            values = column.values[kept.mask].array
            authors = {act.label: act.author for act in column.acts if act.act == "give"}
            for label in pd.unique(values.dropna()):
                cells = CellSet.from_mask(str(label), np.asarray(values == label))
                part.give(name, str(label), cells, author=authors[label], term=column.terms.get(label, ""))

    def history(self) -> pd.DataFrame:
        """Return all acts, newest first.

        Columns: ``time`` (UTC), ``author``, ``act``, ``column`` (its name then), ``label``, ``term``, ``n_cells``,
        ``stands`` (false where it is undone).
        """
        rows = [
            (act.time, act.author, act.act, column, act.label, act.term, act.n_cells, stands)
            for act, column, stands in reversed(told(self.log.read()))
        ]
        return pd.DataFrame(rows, columns=list(HISTORY))

    def _change(self, make: Callable[[tuple[Act, ...]], Act]) -> None:
        """Add an act after which no two columns may have one name."""

        def checked(acts: tuple[Act, ...]) -> list[Act]:
            act = make(acts)
            self._check_names([*acts, act])
            return [act]

        self.log.add(checked)

    def _new_column(self, acts: Sequence[Act], name: str, author: str) -> Act:
        act = _draft(author, "column", label=name)
        self._check_names([*acts, act])
        return act

    def _check_names(self, acts: Sequence[Act]) -> None:
        names = _names(acts)
        taken = set(self.dataset.cell_columns) & set(names)
        twice = sorted({name for name in names if names.count(name) > 1} | taken)
        if twice:
            msg = f"A column called {twice[0]!r} is there already. Choose another name."
            raise RequestError(msg, "same-names")

    def _check_cells(self, cells: CellSet) -> None:
        if cells.n_cells != self.dataset.n_cells:
            msg = (
                f"The cells were selected among {cells.n_cells:,}, but this dataset has {self.dataset.n_cells:,}. "
                "Select them again."
            )
            raise RequestError(msg, "other-dataset")
        if len(cells) == 0:
            msg = "Expected at least one cell, found none. Select some cells first."
            raise RequestError(msg, "no-cells")

    def _kept(self, cells: CellSet) -> dict[str, Any]:
        return {"n_cells": len(cells), "cells": self.log.keep_cells(cells.mask)}

    def _finished(self, draft: Draft) -> LabelColumn:
        labels: dict[str, int] = {}
        codes = np.full(self.dataset.n_cells, -1, dtype=np.int16)
        terms: dict[str, str] = {}
        for act in draft.acts:
            if act.act == "give":
                codes[self._cells(act)] = labels.setdefault(act.label, len(labels))
                terms[act.label] = act.term
            elif act.act == "clear":
                codes[self._cells(act)] = -1
        values = pd.Categorical.from_codes(codes, pd.Index(list(labels), dtype=object)).remove_unused_categories()
        known = {label: terms[label] for label in values.categories if terms[label]}
        series = pd.Series(values, name=draft.name)
        return LabelColumn(id=draft.id, values=series, terms=known, acts=tuple(draft.acts))

    def _cells(self, act: Act) -> NDArray[np.bool_]:
        mask = self.log.cells(act.cells)
        if len(mask) != self.dataset.n_cells:
            msg = f"The cells of the label {act.label!r} are those of another dataset. Undo the label."
            raise RequestError(msg, "other-dataset")
        return mask


def _draft(author: str, kind: Kind, *, label: str = "", term: str = "") -> Act:
    return Act(id=new_id(), author=_named(author, "author"), act=kind, label=label, term=term)


def _wanted(act: Act | None, words: str) -> str:
    if act is None:
        msg = f"There is nothing of yours to {words}."
        raise RequestError(msg, "nothing-to-undo")
    return act.id


def _named(text: str, what: str) -> str:
    """Return a name as one line."""
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if not 0 < len(name) <= _LONGEST:
        msg = f"The {what} needs a name of 1 to {_LONGEST} letters, found {len(name)}. Type another."
        raise RequestError(msg, "bad-name")
    return name


def _names(acts: Iterable[Act]) -> list[str]:
    return [draft.name for draft in columns_of(acts)]
