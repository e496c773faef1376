"""What ``scfm perturb`` leaves in its folder: the report, every table in three formats, every figure in two."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from scfm_core.analyses.export_dataset import versions
from scfm_core.cli.asking import plain
from scfm_core.cli.tables import provenance, write_table
from scfm_core.report import Album, Findings, methods_text, write_report
from scfm_core.request import recipe
from scfm_core.tables_out import XLSX_ROWS

FIGURES = "figures"
_ENDINGS = ("parquet", "csv", "xlsx")
_TABLES = (
    *("effects", "shifts", "donors", "switches", "null", "baseline_effects", "baseline_shifts", "controls", "groups"),
    *("generic_or_specific", "explained", "explained_summary", "explained_genes", "downstream_genes", "pairs"),
    *("enrichment", "cells"),
)
_UNTESTED = ("null", "donors", "switches", "groups", "generic_or_specific", "explained_genes", "cells")
_NOTHING = {"test": "none: nothing is tested in this table", "correction": "none"}
_RANDOM = "empirical p and z beside random genes of like abundance"
_TESTS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(_UNTESTED, _NOTHING),
    "controls": {"test": _RANDOM, "correction": "none: each control stands for itself"},
    "explained": {"test": "z beyond what the baselines expect", "correction": "none"},
    "explained_summary": {
        "test": "share of variance explained, 95 % bootstrap interval over genes",
        "correction": "none",
    },
    "downstream_genes": {
        "test": "one-sided empirical p against the same gene under edits of random genes",
        "correction": "none: genes are ranked by specific_z",
    },
    "pairs": {"test": "empirical p among random pairs of like abundance"},
    "enrichment": {
        "test": "one-sided hypergeometric test",
        "correction": "Benjamini-Hochberg over all sets tested",
    },
}
_FIGURE = re.compile(
    r"(effects|(volcano|null|donors|types|controls|explained|pairs-vector|pairs-size|downstream|gene-sets)-\d+)"
    r"\.(svg|pdf)"
)


def write_folder(out: Path, findings: Findings, options: Mapping[str, Any]) -> list[str]:
    """Write tables, figures and the report; return the names of the files.

    What an earlier run left under the same names is taken away.
    """
    out.mkdir(exist_ok=True)
    tables = findings.tables()
    if options["per_cell"]:
        tables["cells"] = findings.effects.cells
    about = {stem: provenance(None, findings.question, **_TESTS.get(stem, {})) for stem in tables}
    written = [name for stem, table in tables.items() for name in _write_table(out / stem, table, about[stem])]
    album = Album()
    (out / "report.html").write_bytes(write_report(findings, album=album))
    figures = [] if options["no_figures"] else _write_figures(out / FIGURES, findings, album.svgs)
    for stem in _TABLES:
        for ending in _ENDINGS:
            if f"{stem}.{ending}" not in written:
                (out / f"{stem}.{ending}").unlink(missing_ok=True)
    _forget_figures(out / FIGURES, keep=figures)
    return ["report.html", "report.json", *written, *(f"{FIGURES}/{name}" for name in figures)]


def write_summary(out: Path, summary: Mapping[str, Any]) -> None:
    """Write ``report.json``."""
    (out / "report.json").write_text(json.dumps(plain(summary), indent=1, allow_nan=False))


def summary_of(findings: Findings) -> dict[str, Any]:
    """Return what was asked and found, as plain values."""
    question, effects = findings.question, findings.effects
    dataset = question.baseline.dataset
    tables = findings.tables()
    return {
        "question": recipe(question),
        "request": repr(question),
        "identity": question.identity,
        "dataset": {"hash": dataset.identity, "title": dataset.title, "n_cells": dataset.n_cells},
        "model": question.baseline.model.identity,
        "seed": question.seed,
        "n_cells_perturbed": len(effects.chosen),
        "n_passes": effects.n_passes,
        "noise_floor": effects.noise_floor,
        "identity_by": effects.identity_by,
        "cards": [_card(findings, row) for row in findings.rows],
        "remarks": findings.remarks,
        "effects": effects.effects.to_dict("records"),
        "shifts": effects.shifts.to_dict("records"),
        "baseline_effects": None if findings.baseline is None else findings.baseline.effects.to_dict("records"),
        **{name: tables[name].to_dict("records") if name in tables else None for name in ("controls", "pairs")},
        "methods": methods_text(findings),
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def cards_in_words(findings: Findings) -> str:
    """Return the cards as lines for a terminal."""
    lines = []
    for row in findings.rows:
        said = findings.card(row)
        lines += [said.headline, *(f"  Not to be believed: {reason}" for reason in said.reasons)]
        lines += [f"  {warning}" for warning in said.warnings]
    return "\n".join([*lines, *findings.remarks])


def files_in_words(names: list[str]) -> str:
    """Return the names of files for one line, each table once."""
    reports = [name for name in names if name.startswith("report.")]
    tables = list(dict.fromkeys(Path(name).stem for name in names if name not in reports and "/" not in name))
    figures = {Path(name).stem for name in names if name.startswith(f"{FIGURES}/")}
    said = [*reports, f"{', '.join(tables)} as .parquet, .csv and .xlsx"]
    return ", ".join([*said, f"{len(figures)} figures as .svg and .pdf"] if figures else said)


def _card(findings: Findings, row: Mapping[Any, Any] | pd.Series) -> dict[str, Any]:
    said = findings.card(row)
    return {
        "edit": row["edit"],
        "group": row["group"],
        "headline": said.headline,
        "sentences": said.sentences,
        "warnings": said.warnings,
        "believable": said.believable,
        "reasons": said.reasons,
    }


def _write_table(stem: Path, table: pd.DataFrame, about: Mapping[str, str]) -> list[str]:
    endings = [ending for ending in _ENDINGS if ending != "xlsx" or len(table) <= XLSX_ROWS]
    for ending in endings:
        write_table(table, stem.with_name(f"{stem.name}.{ending}"), about)
    return [f"{stem.name}.{ending}" for ending in endings]


def _write_figures(folder: Path, findings: Findings, drawn: Mapping[str, bytes]) -> list[str]:
    from scfm_core.plots.print import to_pdf, to_svg
    from scfm_core.report.figures import drawings_of

    folder.mkdir(exist_ok=True)
    written = []
    for drawing in drawings_of(findings):
        figure = drawing.figure()
        if figure is None:
            continue
        svg = drawn.get(drawing.name) or to_svg(figure)
        for ending, content in (("svg", svg), ("pdf", to_pdf(figure))):
            (folder / f"{drawing.name}.{ending}").write_bytes(content)
            written.append(f"{drawing.name}.{ending}")
    return written


def _forget_figures(folder: Path, *, keep: list[str]) -> None:
    """Take away what an earlier run drew."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name not in keep and _FIGURE.fullmatch(path.name):
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
