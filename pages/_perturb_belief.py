"""Whether to believe an answer: donors, controls, the other groups, and what baselines know already."""

import pandas as pd
import streamlit as st

from pages._columns import BASELINE_COLUMNS, CONTROL_COLUMNS, DONOR_COLUMNS, GROUP_COLUMNS, in_percent
from pages._perturb_effects import GREY
from pages._perturb_stages import in_its_turn
from pages._perturb_standing import Standing, name_of
from pages._show import TableFile, downloads, draw, provenance, say, theme
from pages._waiting import errors_as_text
from pages._words import counted, file_stem, plain, share
from scfm_core.analyses.compare_groups import GroupComparison
from scfm_core.analyses.explain_by_baselines import BaselineExplanation
from scfm_core.analyses.run_controls import Controls
from scfm_core.plots.baseline_share import baseline_scatter
from scfm_core.plots.controls import controls_figure
from scfm_core.plots.donors import donor_effects
from scfm_core.request import Request

_NO_DONORS = (
    "The cell table has no column of donors, so all cells count as one sample: a p over cells is exploratory, and "
    "another donor may answer otherwise. A column of donors or samples, named as such on the page Dataset, makes "
    "donors the replicates."
)
_PASSED, _FAILED, _CANNOT_TELL = "as expected", "not as expected", "cannot tell"
_NOT_ASKED = "Without random genes there is nothing to check the answer with. Set some under More."


def show_belief(standing: Standing, row: pd.Series) -> None:
    """Show each check under its own heading; each waits for its own answer."""
    if not standing.asked.request.null_genes:
        st.caption(_NOT_ASKED)
        return
    for title, show in (
        ("Do the controls come out?", _controls),
        ("Do donors agree?", _donors),
        ("Is it this group, or any cell?", _comparison),
        ("What do baselines know already?", _explanation),
    ):
        st.subheader(title, anchor=False)
        with errors_as_text():
            show(standing, row)


def _controls(standing: Standing, row: pd.Series) -> None:
    found = in_its_turn(standing.chain.controls, place="controls")
    if found is None:
        return
    figure = controls_figure(found, row, str(row["group"]))
    draw(figure, f"{standing.key}:controls:{row['group']}")
    say(figure)
    downloads("controls", stem=_stem(standing, "controls", row), figure=figure)
    table = _of_group(found, row)
    verdicts = [_came_out(passed) for passed in table["passed"]]
    _grey_lines(table.assign(passed=verdicts), failed=[verdict == _FAILED for verdict in verdicts])
    about = _about(standing, standing.chain.controls, test="empirical p and z beside random genes of like abundance")
    tables = [TableFile(label="Controls", table=lambda: found.table, about=about)]
    downloads("controls-table", stem=_stem(standing, "controls", row), tables=tables)


def _of_group(found: Controls, row: pd.Series) -> pd.DataFrame:
    table = found.table
    mine = (table["group"].astype(str) == str(row["group"])) & table["edit"].isin(["", row["edit"]])
    return table[mine].reset_index(drop=True)


def _donors(standing: Standing, row: pd.Series) -> None:
    if standing.dataset.roles.get("donor") is None:
        st.warning(_NO_DONORS, icon=":material/group_off:")
        return
    table = standing.effects.donors
    mine = table[(table["edit"] == row["edit"]) & (table["group"].astype(str) == str(row["group"]))]
    if row["evidence"] != "donors":
        n_donors = mine["donor"].nunique()
        st.warning(
            f"{counted(n_donors, 'donor')} of {plain(row['group'])} can be compared, fewer than 3: the cells count as "
            "one sample, and p over cells is exploratory. Another donor may answer otherwise.",
            icon=":material/group_off:",
        )  # fmt: skip
    if mine.empty:
        return
    figure = donor_effects(standing.effects, row["edit"], row["group"])
    draw(figure, f"{standing.key}:donors:{row['edit']}:{row['group']}")
    say(figure)
    columns = [name for name in DONOR_COLUMNS if name in mine]
    st.dataframe(mine[columns], hide_index=True, column_config=DONOR_COLUMNS, column_order=columns)
    about = _about(standing, standing.parts[0].request, test="paired t-test over donor means, minus random genes")
    tables = [TableFile(label="Donors", table=lambda: table, about=about)]
    downloads("donors", stem=_stem(standing, "donors", row), figure=figure, tables=tables)


def _comparison(standing: Standing, row: pd.Series) -> None:
    found = in_its_turn(standing.chain.comparison, place="comparison")
    if found is None:
        return
    label = _label(found, row)
    if label is not None:
        st.markdown(f"**{name_of(row)}: {plain(label['label'])}.** {plain(label['reason'], longest=600)}")
    table = found.table[found.table["edit"] == row["edit"]].sort_values("times_typical", ascending=False)
    columns = [name for name in GROUP_COLUMNS if name in table]
    st.dataframe(table[columns], hide_index=True, column_config=GROUP_COLUMNS, column_order=columns, placeholder="-")
    st.caption(
        "A gene that moves every group alike is a property of the gene: generic. Effects of groups are compared as "
        "multiples of what a random gene does there."
    )
    about = _about(standing, standing.chain.comparison, typical="median effect of random genes in the group")
    tables = [
        TableFile(label="Groups", table=lambda: found.table, about=about),
        TableFile(label="Labels", table=lambda: found.labels, about=about),
    ]
    downloads("comparison", stem=_stem(standing, "groups", row), tables=tables)


def _label(found: GroupComparison, row: pd.Series) -> pd.Series | None:
    labels = found.labels
    mine = labels[(labels["edit"] == row["edit"]) & (labels["group"].astype(str) == str(row["group"]))]
    return None if mine.empty else mine.iloc[0]


def _explanation(standing: Standing, row: pd.Series) -> None:
    if standing.asked.request.baseline.model.is_baseline:
        st.caption("The model is itself the baseline: nothing simpler stands beside it.")
        return
    found = in_its_turn(standing.chain.explanation, place="explanation")
    if found is None:
        return
    _explained_words(found, row)
    figure = baseline_scatter(found, str(row["group"]))
    draw(figure, f"{standing.key}:explained:{row['group']}")
    say(figure)
    table = found.summary
    columns = [name for name in BASELINE_COLUMNS if name in table]
    st.dataframe(in_percent(table[columns]), hide_index=True, column_config=BASELINE_COLUMNS, column_order=columns)
    about = _about(standing, standing.chain.explanation, explained="cross-validated share of the variance of ranks")
    tables = [
        TableFile(label="Shares", table=lambda: found.summary, about=about),
        TableFile(label="Genes", table=lambda: found.genes, about=about),
    ]
    downloads("explained", stem=_stem(standing, "baselines", row), figure=figure, tables=tables)


def _explained_words(found: BaselineExplanation, row: pd.Series) -> None:
    edits, summary = found.edits, found.summary
    mine = edits[(edits["edit"] == row["edit"]) & (edits["group"].astype(str) == str(row["group"]))]
    if not mine.empty:
        st.markdown(plain(mine.iloc[0]["in_words"], longest=900))
    group = summary[summary["group"].astype(str) == str(row["group"])]
    if not group.empty:
        known = group.iloc[0]
        st.caption(
            f"Of the model's ranking of genes, {share(max(0.0, known['explained_identity']))} follows from mean "
            f"expression and detection alone, {share(max(0.0, known['explained_pca']))} from PCA, "
            f"{share(max(0.0, known['explained_together']))} from both."
        )


def _came_out(passed: object) -> str:
    return _CANNOT_TELL if passed is None or passed != passed else _PASSED if passed else _FAILED


def _grey_lines(table: pd.DataFrame, *, failed: list[bool]) -> None:
    """Show the controls; the lines of those that failed are grey."""
    grey = GREY[theme()]
    columns = [name for name in CONTROL_COLUMNS if name in table]
    lines = table[columns].style.apply(lambda row: [grey if failed[row.name] else ""] * len(row), axis=1)
    st.dataframe(lines, hide_index=True, column_config=CONTROL_COLUMNS, column_order=columns, placeholder="-")


def _about(standing: Standing, request: Request[object], **facts: str) -> dict[str, str]:
    return provenance(standing.dataset, request, model=standing.asked.request.baseline.model.title, **facts)


def _stem(standing: Standing, what: str, row: pd.Series) -> str:
    return file_stem(standing.dataset.title, what, row["edit"], row["group"])
