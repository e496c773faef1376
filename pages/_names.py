"""What could groups of cells be called? Names by three ways, their evidence, and names kept as labels."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages._names_keep import keep_names
from pages._names_ways import CELLTYPIST, MARKERS, REFERENCE, choose_request
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._waiting import answer, errors_as_text
from pages._words import counted, file_stem, plain
from scfm_core.analyses.group_names import UNKNOWN
from scfm_core.analyses.grouping import Grouping
from scfm_core.analyses.name_by_celltypist import CelltypistNames
from scfm_core.analyses.name_by_markers import MarkerNames
from scfm_core.analyses.name_by_reference import ReferenceNames
from scfm_core.cell_names import agreement
from scfm_core.dataset import Dataset
from scfm_core.plots.figure import Figure
from scfm_core.plots.name_scores import name_score_map
from scfm_core.plots.name_shares import celltypist_share_map, reference_share_map
from scfm_core.request import Request

Names = MarkerNames | ReferenceNames | CelltypistNames
WAYS = (MARKERS, REFERENCE, CELLTYPIST)
CONFIDENCE = {
    MARKERS: "share of 1 000 resamples of the genes in which the name comes first",
    REFERENCE: "share of the group's cells that are matched to the name",
    CELLTYPIST: "share of the group's cells whose best match is the name with a probability of at least 0.5",
}
_text, _number = st.column_config.TextColumn, st.column_config.NumberColumn


def name_groups(dataset: Dataset, grouping: Grouping) -> None:
    """Show a section that suggests names for groups of cells and lets them be kept as labels."""
    st.subheader("What could these groups be called?", anchor=False)
    key = f"names:{dataset.sha256[:10]}"
    left, right = st.columns([1, 3], gap="medium")
    requests: dict[str, Request[Any]] = {}
    with left, errors_as_text():
        ways = st.pills("Names by", WAYS, selection_mode="multi", default=[MARKERS], key=f"{key}:ways", wrap=True)
        for way in [way for way in WAYS if way in ways]:
            with st.expander(way, expanded=len(ways) == 1 or way != MARKERS), errors_as_text():
                request = choose_request(way, dataset, grouping, f"{key}:{file_stem(way)}")
                if request is not None:
                    requests[way] = request
    with right, errors_as_text():
        found = {way: answer(request, place=f"{key}:{way}") for way, request in requests.items()}
        ready: dict[str, Names] = {way: one for way, one in found.items() if one is not None}
        if not ready:
            two_lines(
                "A name for each group, with its evidence, as soon as it is found.",
                "That the cells are of that type.",
            )
            return
        _show(dataset, grouping, requests, ready, key)


def combined(found: Mapping[str, Names]) -> pd.DataFrame:
    """Return one row per group: the name of the first way that has one, how the ways agree, and each way's own."""
    first = next(iter(found.values())).groups
    rows = []
    for place, group in enumerate(first["group"]):
        mine = {way: names.groups.iloc[place] for way, names in found.items()}
        called = [str(row["name"]) for row in mine.values()]
        way = next((way for way, row in mine.items() if row["name"] != UNKNOWN), next(iter(mine)))
        row = mine[way]
        rows.append({
            "group": group, "name": row["name"], "by": way if row["name"] != UNKNOWN else "",
            "confidence": row["confidence"], "n_cells": row["n_cells"], "evidence": row["reason"] or row["evidence"],
            "runner_up": row["runner_up"], "runner_up_confidence": row["runner_up_confidence"],
            "agreement": agreement(called) if len(found) > 1 else "one way asked",
            **{f"name by {other}": str(one["name"]) for other, one in mine.items()},
        })  # fmt: skip
    return pd.DataFrame(rows)


def _show(
    dataset: Dataset, grouping: Grouping, requests: Mapping[str, Request[Any]], found: Mapping[str, Names], key: str
) -> None:
    table = combined(found)
    n_named = int((table["name"] != UNKNOWN).sum())
    st.markdown(f"**{n_named} of {counted(len(table), 'group')} named**")
    st.dataframe(table, hide_index=True, column_config=_columns(found), column_order=_order(table, found))
    st.caption(_words(found))
    ways = list(found)
    way = ways[0]
    if len(ways) > 1:
        way = st.segmented_control(
            "Figure of", ways, default=ways[0], required=True, key=f"{key}:figure-of", label_visibility="collapsed"
        )
    stem = file_stem(dataset.title, "names")
    about = provenance(dataset, requests[way])
    tables = [TableFile(label="Names", table=partial(pd.DataFrame, table), about=about), *_more(found[way], about)]
    with errors_as_text():
        figure = _figure(found[way])
        draw(figure, f"{key}:{way}:figure")
        say(figure)
        downloads(f"{key}:{way}", stem=stem, figure=figure, tables=tables)
    _beneath(found[way])
    keep_names(dataset, grouping, table, key)


def _figure(names: Names) -> Figure:
    match names:
        case MarkerNames():
            return name_score_map(names)
        case ReferenceNames():
            return reference_share_map(names)
        case _:
            return celltypist_share_map(names)


def _more(names: Names, about: Mapping[str, str]) -> list[TableFile]:
    """Return the tables behind the names of one way."""
    match names:
        case MarkerNames():
            tables = {"Groups": names.groups, "Scores": names.scores, "Genes": names.genes}
        case ReferenceNames():
            tables = {"Groups": names.groups, "Shares": names.shares, "Reference itself": names.self_test}
        case _:
            tables = {"Groups": names.groups, "Shares": names.shares}
    return [TableFile(label=label, table=partial(pd.DataFrame, one), about=about) for label, one in tables.items()]


def _beneath(names: Names) -> None:
    """Show what a reader must know, and the evidence gene by gene or label by label."""
    if not isinstance(names, MarkerNames):  # the figure of markers says its own
        for remark in names.remarks:
            st.caption(plain(remark, longest=500))
    else:
        with st.expander("The genes behind the first two sets of each group"):
            st.dataframe(_in_percent(names.genes, "share_in", "share_out"), hide_index=True, column_config=_GENES)
    if isinstance(names, ReferenceNames):
        with st.expander("How the reference does itself"):
            st.dataframe(_in_percent(names.self_test, "found", "named", "right"), hide_index=True,
                         column_config=_SELF_TEST)  # fmt: skip


def _in_percent(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return table.assign(**{name: 100 * table[name] for name in columns})


def _columns(found: Mapping[str, Names]) -> dict[str, Any]:
    percent = st.column_config.ProgressColumn
    return {
        "group": _text("Group"),
        "name": _text("Suggested name"),
        "by": _text("By"),
        "confidence": percent("Confidence", format="percent", min_value=0, max_value=1, help=_confidence(found)),
        "n_cells": _number("n cells"),
        "evidence": _text("Evidence, or why it is unknown", width="large"),
        "runner_up": _text("Runner-up"),
        "runner_up_confidence": _number("its share", format="percent"),
        "agreement": _text(
            "The ways", help="Compared by terms of the Cell Ontology: the same, or one a kind of the other."
        ),  # fmt: skip
        **{f"name by {way}": _text(way) for way in found},
    }


_GENES = {
    "group": _text("Group"),
    "set": _text("Set"),
    "symbol": _text("Gene"),
    "score": _number("Score", format="%.3g", help="Normal score of the gene's rank among all genes of the group."),
    "share_in": _number("Held in", format="%.3g %%", help="Share of the group's cells that hold the gene."),
    "share_out": _number("Held out", format="%.3g %%", help="Share of all other cells that hold it."),
}
_SELF_TEST = {
    "label": _text("Label"),
    "n_cells": _number("n cells"),
    "found": _number("Found again", format="%.3g %%", help="Reference cells that get their own label, left out."),
    "named": _number("Keep a label", format="%.3g %%", help="By the same rules as the cells that are named."),
    "right": _number("of them right", format="%.3g %%"),
    "cut_off": _number("Far beyond", format="%.3g"),
}


def _order(table: pd.DataFrame, found: Mapping[str, Names]) -> list[str]:
    several = ["by", "agreement", *(f"name by {way}" for way in found)] if len(found) > 1 else []
    order = ["group", "name", "confidence", "n_cells", *several, "evidence", "runner_up", "runner_up_confidence"]
    return [name for name in order if name in table]


def _confidence(found: Mapping[str, Names]) -> str:
    if len(found) == 1:
        return f"Confidence: {CONFIDENCE[next(iter(found))]}."
    return "Confidence. " + "; ".join(f"{way}: {CONFIDENCE[way]}" for way in found) + "."


def _words(found: Mapping[str, Names]) -> str:
    tested = (
        " Markers: the larger of two p, against random sets of genes and against random cells, adjusted by "
        "Benjamini-Hochberg over groups and sets, at most 0.05. Cells of one donor are no independent replicates."
        if MARKERS in found
        else ""
    )
    first = " Where several ways have a name the first one stands in the table." if len(found) > 1 else ""
    return f"{_confidence(found)}{tested}{first} Unknown is an answer: the table says why."
