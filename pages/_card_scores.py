"""The scores of the report card: the verdict, the table that is sorted by the first score, figures, every metric."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from pages._card_asking import Asked
from pages._show import HALF, TableFile, downloads, draw, provenance, say
from pages._waiting import errors_as_text
from pages._words import cells_of, file_stem, plain
from scfm_core.analyses.batch_structure import condition_caution
from scfm_core.analyses.compare_model_tables import SUMMARIES, metrics_by_candidate
from scfm_core.analyses.compare_model_verdicts import MARGIN
from scfm_core.analyses.compare_models import ModelComparison
from scfm_core.errors import RequestError
from scfm_core.plots.figure import Figure
from scfm_core.plots.report_card import arrow, report_card
from scfm_core.plots.report_card_metrics import metric_panels
from scfm_core.plots.report_card_scatter import biology_against_batch

RAW, SCALED = "As measured", "Scaled: random 0, PCA 1"
_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
_TEST = "none: 95 % intervals over resamples; differences from PCA are taken on the same resampled cells"


def show_verdict(found: ModelComparison, asked: Asked, *, unfinished: int) -> None:
    """Say in words which embedding to take, why, and how each stands beside PCA."""
    said = found.recommendation
    if said.empty:
        return
    with st.container(border=True, key="card-verdict"):
        if unfinished:
            st.caption(f"{unfinished} of {len(asked.question.candidates)} are not scored yet; this may change.")
        first = said.iloc[0]
        st.markdown(f"#### {plain(first['sentence'], longest=200)}")
        st.markdown(plain(first["reason"], longest=1200))
        lines = "\n".join(f"- {plain(one, longest=600)}" for one in found.verdicts["sentence"])
        st.markdown(lines or "Choose a model to be judged.")
        caution = condition_caution(asked.question.dataset, asked.batch)
        if caution:
            st.warning(plain(caution, longest=600), icon=":material/warning:")
        for row in found.trap.to_dict("records"):
            words = plain(f"{row['reason']} {row['consequence']}", longest=900)
            if row["verdict"] in ("yes", "likely"):
                st.warning(f"**The labels come from PCA ({row['verdict']}).** {words}", icon=":material/warning:")
            else:
                st.caption(f"**Do the labels come from a PCA of these cells?** {plain(row['verdict'])}. {words}")


def show_table(found: ModelComparison, asked: Asked) -> None:
    """Show one row per candidate, the best first, and its files."""
    wide = summary_table(found, asked)
    biology, batch = SUMMARIES[asked.family]
    titles = dict(zip(found.table["metric"], found.table["metric_title"], strict=True))
    bars = {
        name: st.column_config.ProgressColumn(
            titles[name], format="%.3f", width=130, min_value=0.0, max_value=1.0, help=_help(found, name)
        )
        for name in (biology, batch)
        if name in wide
    }  # fmt: skip
    columns = {
        "title": _text("Candidate", pinned=True, width=205),
        "beside_biology": _text("Types", width=75, help="How well cell types stay apart beside PCA: from the interval "
                                "of the paired difference alone."),
        "beside_batch": _text("Batches", width=75, help="How well batches are mixed beside PCA, likewise."),
        **bars,
        "interval": _text(f"{titles[biology]}, 95 %", help="Over random halves of the cells or donors."),
        "batch_interval": _text(f"{titles.get(batch, '')}, 95 %"),
        "n_cells": _number("n cells"),
    }  # fmt: skip
    order = ("title", biology, "beside_biology", batch, "beside_batch", "interval", "batch_interval", "n_cells")
    st.dataframe(wide, hide_index=True, column_config=columns, column_order=[name for name in order if name in wide])
    st.caption(_about_intervals(found, asked))
    about = provenance(asked.question.dataset, asked.question, test=_TEST)
    stem = file_stem(asked.question.dataset.title, "report_card", asked.family)
    tables = [
        TableFile(label="Summary", table=lambda: wide, about=about),
        TableFile(label="Every score", table=lambda: found.table, about=about),
        TableFile(label="Verdicts", table=lambda: found.verdicts, about=about),
    ]
    downloads("card-table", stem=stem, tables=tables)


def summary_table(found: ModelComparison, asked: Asked) -> pd.DataFrame:
    """Return one row per candidate with the summary scores, sorted by the one of biology."""
    biology, batch = SUMMARIES[asked.family]
    table = found.table
    titles = table[["model", "title", "simple"]].drop_duplicates("model").set_index("model")
    kinds = ["baseline" if simple else "model" for simple in titles["simple"]]
    wide = titles.assign(kind=kinds)
    wide["title"] = [f"{title} (baseline)" if simple else title for title, simple in titles[["title", "simple"]].values]
    names = ((biology, "interval", "beside_biology"), (batch, "batch_interval", "beside_batch"))
    for metric, interval, beside in names:
        rows = table[(table["metric"] == metric) & table["value"].notna()].set_index("model")
        if rows.empty:
            continue
        wide[metric] = rows["value"].reindex(wide.index)
        wide[interval] = rows.apply(_interval, axis=1).reindex(wide.index)
        wide[beside] = rows["verdict"].reindex(wide.index)
        wide.loc[wide.index == "pca", beside] = "is PCA"
    wide["n_cells"] = table.groupby("model")["n_cells"].max().reindex(wide.index)
    by = biology if biology in wide else "n_cells"
    return wide.sort_values(by, ascending=False, kind="stable").drop(columns="simple").reset_index()


def show_scores(found: ModelComparison, asked: Asked) -> None:
    """Draw the summary scores as bars, and biology against batches."""
    biology, batch = SUMMARIES[asked.family]
    _figure(lambda: report_card(found.table, (biology, batch)), asked, "card-bars")
    if asked.batch:
        _figure(lambda: biology_against_batch(found.table, biology, batch), asked, "card-scatter")


def show_metrics(found: ModelComparison, asked: Asked, about: str) -> None:
    """Show every metric about biology or batches: a figure, and a table with a sentence for each."""
    _figure(lambda: metric_panels(found.table, about), asked, f"card-{about}")
    way = st.segmented_control("Numbers", [RAW, SCALED], default=RAW, required=True, key=f"card-numbers-{about}",
                               persist_state="session", label_visibility="collapsed")  # fmt: skip
    wide = metrics_by_candidate(found.table, about, numbers="scaled" if way == SCALED else "value")
    if wide.empty:
        return
    candidates = [str(name) for name in wide if name not in ("metric", "good", "meaning", "note")]
    st.dataframe(
        wide, hide_index=True,
        column_config={
            "metric": _text("Metric", pinned=True), "good": _text("Good"),
            "meaning": _text("What it means", width="large"), "note": _text("Note", width="large"),
            **{name: _number(name, format="%.3f") for name in candidates},
        },
    )  # fmt: skip
    if way == SCALED:
        st.caption(
            "0 is what random vectors score, 1 what PCA scores. Where random vectors beat PCA, as they do at mixing, "
            "the arrow points down: below 1 is better than PCA. Empty: both score the same."
        )
    data = provenance(asked.question.dataset, asked.question, test=_TEST, numbers=str(way))
    stem = file_stem(asked.question.dataset.title, "report_card", asked.family, about, str(way))
    downloads(f"card-metrics-{about}", stem=stem, tables=[TableFile(label="Metrics", table=lambda: wide, about=data)])


def _figure(make: Callable[[], Figure], asked: Asked, key: str) -> None:
    try:
        figure = make()
    except RequestError as error:
        st.caption(plain(error, longest=400))
        return
    with errors_as_text():
        draw(figure, key, width=HALF if "scatter" in key else 680)
        say(figure)
        downloads(key, stem=file_stem(asked.question.dataset.title, key, asked.family), figure=figure)


def _about_intervals(found: ModelComparison, asked: Asked) -> str:
    units = f"{asked.question.n_bootstrap} random halves of the cells, or of the donors from six on"
    n = int(found.table["n_cells"].max())
    return (
        f"Sorted by the first score. Intervals: {units}; n = {cells_of(n)}. Better, worse or as good is said only "
        f"where the interval of the difference from PCA on the same halves says so; as good: within {MARGIN:g}. No "
        "test, no correction. Cells are no replicates."
    )


def _interval(row: "pd.Series[Any]") -> str:
    low, high = row["ci_low"], row["ci_high"]
    return f"{low:.3f} to {high:.3f}" if low == low and high == high else "none"


def _help(found: ModelComparison, metric: str) -> str:
    rows = found.table[found.table["metric"] == metric]
    first = rows.iloc[0]
    return f"{first['meaning']} {arrow(bool(first['higher_is_better']))}."
