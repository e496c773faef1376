"""``scfm info``: what the input doctor finds in a file."""

import textwrap
from pathlib import Path

import click

from scfm_core.cli.asking import tell
from scfm_core.cli.files import Wanted, file_argument, json_option, open_input
from scfm_core.dataset import Dataset
from scfm_core.intake import Finding, Inspection, inspect_file

_WIDTH = 80
_MARKS = {"good": "good", "note": "note", "warning": "WARNING", "refusal": "REFUSED"}


@click.command(
    "info",
    short_help="Tell what lies in a file and whether it can be used.",
    epilog="\b\nExample:\n  scfm info my.h5ad\n  scfm info counts.csv --counts-from X --json",
)
@file_argument
@json_option
def command(
    file: str, counts_from: str | None, organism: str | None, keep_retired_ids: bool, as_json: bool
) -> None:
    """Tell what lies in FILE and whether it can be used.

    Where the raw counts are, which organism and genes, empty cells, which columns look like batch, donor, condition
    and cell type, and what would be done with it. Nothing is computed or stored. Exit status 1 where the file is
    refused.
    """
    path = Path(file).expanduser()
    if not path.exists():
        stored = open_input(file, counts_from=counts_from, organism=organism, keep_retired_ids=keep_retired_ids)
        _tell_stored(stored, as_json=as_json)
        return
    inspection = inspect_file(path)
    wanted = Wanted(counts_from=counts_from, organism=organism, keep_retired_ids=keep_retired_ids)
    if wanted != Wanted():
        inspection = inspect_file(path, wanted.applied_to(inspection.choices))
    tell(_report(inspection), inspection.to_json(), as_json=as_json)
    if not inspection.admissible:
        raise click.exceptions.Exit(1)


def _report(inspection: Inspection) -> str:
    shape = f"{inspection.n_cells:,} cells x {inspection.n_genes:,} genes"
    verdict = "can be used" if inspection.admissible else "cannot be used as it is"
    roles = ", ".join(f"{role.replace('_', ' ')}: {column}" for role, column in inspection.choices.roles.items())
    head = [
        f"{inspection.file_name}: {verdict}",
        f"{inspection.file_format}, {shape}, organism {inspection.organism}",
        f"counts from {inspection.choices.counts_from or 'nowhere'}" + (f"; {roles}" if roles else ""),
    ]
    lines = [line for text in head for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  ")]
    return "\n".join([*lines, "", *(line for finding in inspection.findings for line in _finding(finding))])


def _finding(finding: Finding) -> list[str]:
    mark = f"{_MARKS[finding.level]:>8}  "
    indent = " " * len(mark)
    lines = textwrap.wrap(finding.title, _WIDTH, initial_indent=mark, subsequent_indent=indent)
    lines += textwrap.wrap(finding.reason, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    if finding.remedy is not None:
        remedy = f"Remedy: {finding.remedy.label}"
        lines += textwrap.wrap(remedy, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    return lines


def _tell_stored(dataset: Dataset, *, as_json: bool) -> None:
    summary = {
        "dataset": dataset.identity,
        "title": dataset.title,
        "organism": dataset.organism,
        "n_cells": dataset.n_cells,
        "n_genes": dataset.n_genes,
        "roles": dataset.roles,
        "notes": dataset.notes,
        "columns": list(dataset.cells().columns),
    }
    head = f"{dataset.title}: {dataset.n_cells:,} cells x {dataset.n_genes:,} genes, organism {dataset.organism}"
    notes = [line for note in dataset.notes for line in textwrap.wrap(f"- {note}", _WIDTH, subsequent_indent="  ")]
    tell("\n".join([head, f"hash {dataset.sha256}", *notes]), summary, as_json=as_json)
