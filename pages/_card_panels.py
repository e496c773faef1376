"""What stands beside the scores of the report card: maps, neighbours, batches in the data itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages._card_asking import Asked
from pages._card_queue import ask_all
from pages._columns import PERCENT
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._state import cell_table
from pages._views import MapSettings, map_settings
from pages._waiting import answer
from pages._words import file_stem, plain
from scfm_core.analyses.batch_structure import BatchStructure, DescribeBatches, columns_of_groups
from scfm_core.analyses.compare_model_tables import candidate_title
from scfm_core.analyses.compare_models import ModelComparison
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.plots.report_card_batches import batch_composition, variance_by_column
from scfm_core.plots.report_card_labels import labels_told
from scfm_core.plots.report_card_maps import candidate_maps
from scfm_core.request import Request

_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
_PAIRS = {
    "first": _text("Column"), "second": _text("and column"), "n_first": _number("Groups"),
    "n_second": _number("and groups"),
    "n_cells": _number("n cells"),
    "cramers_v": _number("Cramer's V", format="%.3f", help="0: independent. 1: one tells the other. Without the bias "
                         "of small samples (Bergsma 2013)."),
    "in_words": _text("In words"),
}  # fmt: skip
_EXPLAINED = {
    "column": _text("Column"), "n_groups": _number("Groups"), "n_cells": _number("n cells"),
    "explained": _number("Of all variance", format=PERCENT), "by_chance": _number("By chance", format=PERCENT),
    "explained_within": _number("Within the labels", format=PERCENT),
}  # fmt: skip
_TOLD = {
    "label": _text("Label", pinned=True),
    "rare": st.column_config.CheckboxColumn("Rare", help="Below 2 % of the cells."),
    "title": _text("Candidate"), "n_reference": _number("n cells", help="Cells whose label stands elsewhere too."),
    "recall": _number("Get their own", format=PERCENT, help="Share of the label's cells that get it by the vote of "
                      "their nearest cells in the other batches, or in other random parts where there are none."),
    "ci_low": _number("95 % from", format=PERCENT), "ci_high": _number("to", format=PERCENT),
    "wrong": _number("Get another", format=PERCENT),
    "unknown": _number("Unknown", format=PERCENT, help="Their neighbours do not agree."),
    "precision": _number("Precision", format=PERCENT, help="Of the cells that are given the label, the share that "
                         "carries it."),
}  # fmt: skip
_KEPT = {
    "title": _text("Candidate"), "mean": _number("Neighbours kept", format=PERCENT),
    "low": _number("25 % of the cells", format=PERCENT), "high": _number("75 %", format=PERCENT),
    "by_chance": _number("By chance", format=PERCENT), "n_neighbors": _number("Neighbours"),
    "n_cells": _number("n cells"),
}  # fmt: skip


def show_maps(asked: Asked, candidates: Sequence[EmbedCells]) -> list[Request[Any]]:
    """Draw a small map of some candidates, all with the same settings; return what was asked."""
    dataset = asked.question.dataset
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    columns = [asked.label, *([asked.batch] if asked.batch else [])]
    column = left.segmented_control("Colour", columns, default=columns[0], required=True, key="card-map-colour",
                                    persist_state="session")  # fmt: skip
    with right, st.popover("Map settings", icon=":material/tune:", width="stretch"):
        settings: MapSettings = map_settings(dataset)
    maps = {candidate_title(one): settings.projection(one) for one in candidates}
    queue = ask_all(maps, place="card-maps", start=True)
    if queue.answers:
        places = [(name, np.asarray(found.coordinates)) for name, found in queue.answers.items()]
        colour = cell_table(dataset)[column].reset_index(drop=True)
        figure = candidate_maps(places, colour, method=settings.method)
        draw(figure, "card-maps", height=150 + 270 * -(-len(places) // figure.columns))
        say(figure)
        downloads("card-maps", stem=file_stem(dataset.title, "report_card", "maps", column), figure=figure)
    return list(maps.values())


def show_labels(found: ModelComparison, asked: Asked) -> None:
    """Show how often a cell's neighbours tell its label, every label on a line of its own, rare ones first."""
    rows = found.transfer
    if rows.empty:
        st.caption("Labels are transferred as soon as all candidates are scored, where labels and batches are several.")
        return
    figure = labels_told(rows, folds=f"the other {asked.batch}" if asked.batch else "five random parts")
    draw(figure, "card-labels")
    say(figure)
    shown = rows.sort_values(["rare", "n_cells"], ascending=[False, True], kind="stable")
    shares = ("recall", "ci_low", "ci_high", "wrong", "unknown", "precision")
    percent = shown.assign(**{name: (100 * shown[name]).round(6) for name in shares})
    st.dataframe(percent, hide_index=True, column_config=_TOLD, column_order=list(_TOLD))
    dataset = asked.question.dataset
    about = provenance(dataset, asked.question, test="none: 95 % intervals over cells or folds, column ci_unit")
    tables = [TableFile(label="Labels", table=lambda: rows, about=about)]
    downloads("card-labels", stem=file_stem(dataset.title, "report_card", "labels"), figure=figure, tables=tables)


def show_neighbours(found: ModelComparison, asked: Asked) -> None:
    """Show how many neighbours of PCA each candidate keeps."""
    rows = found.neighbours
    if rows.empty:
        st.caption("Neighbours are compared as soon as all candidates are scored.")
        return
    rows = rows.sort_values("mean", ascending=False)
    shares = ("mean", "low", "high", "by_chance")
    st.dataframe(rows.assign(**{name: 100 * rows[name] for name in shares}), hide_index=True, column_config=_KEPT,
                 column_order=list(_KEPT))  # fmt: skip
    two_lines(
        "Of the nearest cells of a cell in PCA, the share that are among its nearest cells in each other embedding; "
        "mean and middle half of the cells.",
        "That an embedding that keeps the neighbours of PCA is right, or that one that does not is wrong. Cell by cell "
        "it stands on the page UMAP, under Model against model.",
    )
    about = provenance(asked.question.dataset, asked.question, test="none: nothing is tested")
    stem = file_stem(asked.question.dataset.title, "report_card", "neighbours")
    downloads("card-neighbours", stem=stem, tables=[TableFile(label="Neighbours", table=lambda: rows, about=about)])


def show_batches(asked: Asked) -> list[Request[Any]]:
    """Show what the columns explain of PCA, which are confounded, and what batches are made of."""
    question = asked.question
    dataset = question.dataset
    columns = [name for name in (asked.batch, asked.label) if name in dataset.cell_columns]
    columns = list(dict.fromkeys([*columns, *columns_of_groups(dataset)]))
    if not columns:
        st.caption("No column of the file tells cells apart into groups.")
        return []
    request = DescribeBatches(question.candidates[0], tuple(columns), question.labels, question.batches)
    found = answer(request, place="card-batches")
    if found is not None:
        _variance(found, asked, request)
        _confounding(found, asked, request)
        if asked.batch:
            _composition(found, asked, request)
    return [request]


def confounded_words(found: BatchStructure, batch: str) -> str:
    """Say what is confounded with the batches; empty where nothing is.

    Examples
    --------
    >>> pairs = pd.DataFrame({"first": ["batch"], "second": ["condition"], "cramers_v": [1.0]})
    >>> confounded_words(BatchStructure(pairs, pairs, pairs), "batch")
    'condition and batch tell each other (V = 1.00): what differs between batches cannot be told from condition.'
    """
    rows = found.associations
    mine = rows[((rows["first"] == batch) | (rows["second"] == batch)) & (rows["cramers_v"] >= 0.5)]
    others = [second if first == batch else first for first, second in zip(mine["first"], mine["second"], strict=True)]
    said = [
        f"{other} and {batch} tell each other (V = {value:.2f}): what differs between batches cannot be told from "
        f"{other}."
        for other, value in zip(others, mine["cramers_v"], strict=True)
    ]
    return " ".join(said)


def _variance(found: BatchStructure, asked: Asked, request: DescribeBatches) -> None:
    figure = variance_by_column(found.explained, model=request.embedding.model.title, labels=asked.label)
    draw(figure, "card-variance")
    say(figure)
    rows = found.explained
    shares = ("explained", "by_chance", "explained_within")
    st.dataframe(rows.assign(**{name: 100 * rows[name] for name in shares}), hide_index=True, column_config=_EXPLAINED)
    _files("variance", asked, request, found.explained, figure)


def _confounding(found: BatchStructure, asked: Asked, request: DescribeBatches) -> None:
    st.markdown("**Which columns tell each other?**")
    words = confounded_words(found, asked.batch)
    if words:
        st.warning(plain(words, longest=900), icon=":material/warning:")
    st.dataframe(found.associations, hide_index=True, column_config=_PAIRS)
    two_lines(
        "Every pair of columns: how far knowing the group of a cell in one tells its group in the other.",
        "That one causes the other. Where condition and batch are the same, no method can tell them apart.",
    )
    _files("associations", asked, request, found.associations)


def _composition(found: BatchStructure, asked: Asked, request: DescribeBatches) -> None:
    figure = batch_composition(found.composition, batches=asked.batch, labels=asked.label)
    draw(figure, "card-composition")
    say(figure)
    _files("composition", asked, request, found.composition, figure)


def _files(name: str, asked: Asked, request: DescribeBatches, table: pd.DataFrame, figure: Any = None) -> None:
    dataset = asked.question.dataset
    about = provenance(dataset, request)
    tables = [TableFile(label=name.capitalize(), table=lambda: table, about=about)]
    downloads(f"card-{name}", stem=file_stem(dataset.title, "report_card", name), figure=figure, tables=tables)
