"""The whole answer as one report, and every table of it as a file."""

import pandas as pd
import streamlit as st

from pages._perturb_effects import NO_TEST, facts_of, ranked
from pages._perturb_enrichment import enrichment_of
from pages._perturb_stages import every_cell
from pages._perturb_standing import Standing
from pages._show import TableFile, downloads
from pages._waiting import errors_as_text, job_of, stored
from pages._words import file_stem, plain
from scfm_core.report.findings import Findings

_TESTED = ("Effects", "Shifts")
_NOT_SPREADSHEETS = ("Random genes", "Per cell")


def show_files(standing: Standing, row: pd.Series) -> None:
    """Offer the report, and the tables of each model."""
    with errors_as_text():
        _report(standing)
    for part in standing.parts:
        effects, about = part.effects, facts_of(standing, part)
        named = {
            "Effects": effects.effects, "Shifts": effects.shifts, "Donors": effects.donors,
            "Switches": effects.switches, "Random genes": effects.null, "Per cell": effects.cells,
        }  # fmt: skip
        files = [
            TableFile(
                label=label, table=table.copy, about=about if label in _TESTED else {**about, **NO_TEST},
                spreadsheet=label not in _NOT_SPREADSHEETS,
            )
            for label, table in named.items()
            if not table.empty
        ]
        st.markdown(f"**{plain(part.title)}**")
        stem = file_stem(_stem(standing), part.request.baseline.model.key)
        downloads(f"tables:{part.title}", stem=stem, tables=files)
    st.markdown("**The ranked table of both**")
    about = facts_of(standing, standing.parts[0])
    ranking = TableFile(label="Ranked", table=lambda: ranked(standing), about=about)
    downloads("ranked", stem=_stem(standing), tables=[ranking])


def findings_of(standing: Standing) -> Findings:
    """Return all that is there by now."""
    chain, effects = standing.chain, standing.effects
    question = next(
        request for request in (every_cell(chain.levels[-1]), *reversed(chain.levels)) if stored(request) is effects
    )
    table = effects.effects
    lines = ((row, enrichment_of(standing, row)) for _, row in table.iterrows())
    return Findings(
        question=question,
        effects=effects,
        baseline=standing.parts[1].effects if len(standing.parts) > 1 else None,
        controls=stored(chain.controls),
        comparison=stored(chain.comparison),
        explanation=stored(chain.explanation) if not _is_baseline(standing) else None,
        followers=stored(chain.followers),
        enrichment={(row["edit"], row["group"]): found for row, found in lines if found is not None},
        remarks=_remarks(standing),
    )


def _report(standing: Standing) -> None:
    st.markdown("**Report**")
    st.caption(
        "One file that opens in any browser and by mail: the cards, the figures, the tables, the methods as text, the "
        "citations, versions, seeds, and the hashes of question and data. It holds what is there by now."
    )
    st.download_button(
        "Report (HTML)", data=lambda: report_of(standing), file_name=f"{_stem(standing)}.html", mime="text/html",
        key="report", on_click="ignore", type="primary", icon=":material/description:",
    )  # fmt: skip


def report_of(standing: Standing) -> bytes:
    """Return the report on all that is there by now."""
    from scfm_core.report import write_report  # matplotlib is slow to import

    return write_report(findings_of(standing))


def _remarks(standing: Standing) -> tuple[str, ...]:
    waiting = [
        stage.name
        for stage in standing.chain.stages
        if (job := job_of(stage.request)) is None or not job.finished or job.error is not None
    ]
    if not waiting:
        return ()
    return (f"When this report was written, these were not there: {', '.join(waiting)}.",)


def _is_baseline(standing: Standing) -> bool:
    return standing.asked.request.baseline.model.is_baseline


def _stem(standing: Standing) -> str:
    return file_stem(standing.dataset.title, "perturbation", *standing.effects.edits[:3])
