"""How far a model can be trusted: asked where the truth is known: the answer, also where it is low."""

import pandas as pd
import streamlit as st

from pages._columns import TARGET_COLUMNS, TRUTH_COLUMNS
from pages._perturb_truth import Truth
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._waiting import answer, errors_as_text
from pages._words import counted, file_stem, plain
from scfm_core.plots.validation import validation_bars
from scfm_core.validation.result import Validation
from scfm_core.validation.validate_on_crispr import ValidateOnCrispr

AUROC, SPEARMAN = "Which genes change", "How strongly they change"
_MEASURES = {AUROC: "auroc", SPEARMAN: "spearman"}


def beside(asked: Truth | None) -> Validation | None:
    """Show the verdict and the methods side by side; or what the page is about to show."""
    st.subheader("How far can this model be trusted here?", anchor=False)
    found = None if asked is None else answer(asked)
    if asked is None or found is None:
        two_lines(
            "Whether the genes that turn in the model when a gene is deleted are those that truly change when it is "
            "knocked out: beside baselines that know nothing but how often a gene is held, or which genes go together.",
            "That a model that does well here does well elsewhere. A number that is low is shown as it is.",
        )
        return None
    key = f"truth:{asked.identity[:10]}"
    with st.container(border=True, key="spoken"):
        for sentence in found.in_words:
            st.markdown(plain(sentence, longest=900))
    way = st.segmented_control(
        "Measure", list(_MEASURES), default=AUROC, required=True, key=f"{key}:measure", persist_state="session",
        help="Which genes change: AUROC, the chance that a gene that changes ranks above one that does not; 0.5 is "
        "chance. How strongly: rank correlation with the true change; 0 is chance.",
    )  # fmt: skip
    figure = validation_bars(found.summary, found.table, measures=(_MEASURES[way],))
    draw(figure, f"{key}:{way}")
    say(figure)
    downloads("truth", stem=_stem(asked), figure=figure)
    return found


def below(asked: Truth, found: Validation) -> None:
    """Show the tables, what they rest on, and hand them out."""
    st.markdown("**Methods, the best first**")
    _show(found.summary, TRUTH_COLUMNS)
    st.markdown(f"**{counted(found.table['target'].nunique(), 'knock-out')} by method**")
    _show(found.table, TARGET_COLUMNS)
    with errors_as_text():
        _more(found)
    for note in found.notes:
        st.caption(plain(note, longest=600))
    intervals = "95 % bootstrap over genes, and over targets for the means"
    facts = provenance(None, asked, intervals=intervals)
    tables = [
        TableFile(label=label, table=table.copy, about=facts, spreadsheet=label != "Genes")
        for label, table in {
            "Methods": found.summary, "Knock-outs": found.table, "Cell vectors": found.vectors, "Pairs": found.pairs,
            "Left out": found.left_out, "Genes": found.genes,
        }.items()
        if not table.empty
    ]  # fmt: skip
    downloads("truth-tables", stem=_stem(asked), tables=tables)


def _more(found: Validation) -> None:
    for title, table in (
        ("Pairs of knock-outs", found.pairs),
        ("Where cell vectors go", found.vectors),
        ("Left out", found.left_out),
    ):
        if not table.empty:
            with st.expander(f"{title}: {counted(len(table), 'row')}"):
                st.dataframe(table, hide_index=True)


def _show(table: pd.DataFrame, config: dict[str, object]) -> None:
    columns = [name for name in config if name in table]
    st.dataframe(table, hide_index=True, column_config=config, column_order=columns, placeholder="-")


def _stem(asked: Truth) -> str:
    if isinstance(asked, ValidateOnCrispr):
        return file_stem(asked.baseline.dataset.title, "known_truth", asked.baseline.model.key)
    return file_stem("simulation", "known_truth", asked.seed)
