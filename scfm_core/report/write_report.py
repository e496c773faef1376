"""Writes everything that was found out about a question into one HTML file that opens from a mail."""

import json
from datetime import UTC, datetime

from scfm_core.analyses.export_dataset import versions
from scfm_core.analyses.perturbation_phrases import listed, short
from scfm_core.analyses.perturbation_words import REMINDER
from scfm_core.report import sections
from scfm_core.report.document import document, facts, section
from scfm_core.report.figures import Album
from scfm_core.report.findings import Findings
from scfm_core.report.markup import Markup, tag
from scfm_core.report.methods import citations, methods_text, question_in_words
from scfm_core.request import recipe


def write_report(findings: Findings, *, title: str = "", album: Album | None = None) -> bytes:
    """Return one self-contained HTML file: no scripts, nothing from the network, figures inside, below 3 MB.

    Parameters
    ----------
    title
        What stands on top; made from edits and cells where empty.
    album
        Draws the figures, and holds them afterwards.
    """
    title = short(title) or _title(findings)
    album = album or Album()
    parts = [
        sections.cards(findings),
        sections.coverage(findings),
        sections.effects(findings, album),
        sections.rows_in_detail(findings, album),
        sections.donors(findings),
        sections.belief(findings, album),
        sections.pairs(findings, album),
        sections.downstream_genes(findings, album),
        _methods(findings),
        _origin(findings),
    ]
    left_out = f"{album.n_left_out:,} further figures had no room in this file." if album.n_left_out else ""
    return document(
        title,
        tag("h1", title),
        tag("p", question_in_words(findings.question, findings.effects.edits), class_="question"),
        tag("p", f"{_data(findings)} {REMINDER} {left_out}", class_="note"),
        *parts,
    )


def _title(findings: Findings) -> str:
    cells = findings.question.cells
    where = "all cells" if cells is None else short(cells.label)
    edits = [short(edit) for edit in findings.effects.edits]
    named = listed(edits) if len(edits) <= 4 else f"{listed(edits[:3])[:80]} and {len(edits) - 3:,} more edits"
    return f"In-silico edits of {named} in {where}"


def _data(findings: Findings) -> str:
    baseline = findings.question.baseline
    dataset = baseline.dataset
    return (
        f"{short(dataset.title)}: {dataset.n_cells:,} cells, {dataset.n_genes:,} genes, {dataset.organism}; "
        f"{len(findings.effects.chosen):,} cells edited. Model: {baseline.model.title}."
    )


def _methods(findings: Findings) -> Markup:
    text = [tag("p", paragraph) for paragraph in methods_text(findings).split("\n\n")]
    cited = tag("ol", *(tag("li", one) for one in citations(findings)), class_="cited")
    return section("Methods", *text, tag("h3", "To cite"), cited, anchor="methods")


def _origin(findings: Findings) -> Markup:
    question = findings.question
    dataset, model = question.baseline.dataset, question.baseline.model
    about = {
        "Dataset": dataset.title,
        "Hash of the data (sha256)": dataset.sha256,
        "Model": model.identity,
        "Licence of the model": model.licence,
        "Request": repr(question),
        "Identity of the request": question.identity,
        "Seed": question.seed,
        "Passes through the model": f"{findings.effects.n_passes:,}",
        "Noise floor (1 - cosine)": f"{findings.effects.noise_floor:.2g}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "Written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    asked = tag("pre", json.dumps(recipe(question), indent=1, sort_keys=True))
    heading = tag("h3", "The question, for a program")
    return section("Where this comes from", facts(about), heading, asked, anchor="origin")
