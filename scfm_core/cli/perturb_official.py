"""``scfm perturb --readout official``: edits of the input, measured as the authors of Geneformer do."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scfm_core.cell_set import CellSet
from scfm_core.cli.asking import ask, asking, plain, tell
from scfm_core.cli.embedding import chosen
from scfm_core.cli.genes import gene_ids_of
from scfm_core.cli.perturb_options import named_groups
from scfm_core.cli.tables import provenance, write_table
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import recipe

if TYPE_CHECKING:
    from scfm_core.analyses.authors_states import States
    from scfm_core.analyses.authors_statistics import Statistic
    from scfm_core.analyses.perturb_as_authors import AuthorsReadout, PerturbAsAuthors
    from scfm_core.tokens import GeneEdit

_TABLES = (
    *("cells.parquet", "genes.parquet", "statistics.csv", "statistics.parquet"),
    *("gene_statistics.csv", "gene_statistics.parquet"),
)
_NO_TEST = {"test": "none: nothing is tested in this table", "correction": "none"}


def perturb_official(dataset: Dataset, out: Path, options: Mapping[str, Any]) -> None:
    """Ask, write the tables into ``out``, and tell what was found."""
    from scfm_core.analyses.authors_statistics import statistics_of
    from scfm_core.analyses.authors_tables import symbols_of

    request = official_request(dataset, options)
    null = None if options["against"] is None else _against(request, options["against"])
    began = time.monotonic()
    with asking(options["device"]) as engine:
        readout = ask(engine, request)
        null_readout = None if null is None else ask(engine, null)
    statistics = statistics_of(readout, symbols=symbols_of(dataset), null=null_readout)
    out.mkdir(exist_ok=True)
    files = _write_tables(out, (request, readout), statistics, options)
    report = {
        **_report(request, readout, statistics),
        "null": None if null is None else recipe(null),
        "file": options["file"],
        "seconds": {"here": time.monotonic() - began},
        "files": files,
    }
    (out / "report.json").write_text(json.dumps(plain(report), indent=1, allow_nan=False))
    wrote = f"Wrote {out}: {', '.join([*files, 'report.json'])}"
    tell("\n".join([*report["sentences"], *readout.left_out, wrote]), report, as_json=options["as_json"])


def official_request(dataset: Dataset, options: Mapping[str, Any]) -> "PerturbAsAuthors":
    """Return the question that the options ask.

    Raises
    ------
    RequestError
        If the options contradict each other, or name a gene, column or value that is not there.
    """
    from scfm_core.analyses.perturb_as_authors import PerturbAsAuthors

    baseline = chosen(options).embeddings(dataset)[0]
    groups = named_groups(options)
    if bool(groups) == (options["screen"] is not None):
        msg = (
            "--readout official edits genes that --delete, --overexpress, --inhibit or --activate name, or every gene "
            f"of a cell with --screen all; found {'both' if groups else 'neither'}. Give one of them."
        )
        raise RequestError(msg, "no-genes")
    edits = [
        _edit(kind, gene_ids_of(dataset, baseline.model, names), options["quartiles"])
        for kind, named in groups.items()
        for names in named
    ]
    return PerturbAsAuthors(
        baseline=baseline,
        edits=tuple(dict.fromkeys(edits)),
        every_gene=None if options["screen"] is None else options["screen_edit"],
        max_genes=options["max_genes"],
        cells=cells_of(dataset, options["cells"], "--cells"),
        states=_states(options),
        gene_level=options["genes"],
        quartiles=options["quartiles"] if options["screen"] else 1,
    )


def cells_of(dataset: Dataset, text: str | None, option: str) -> CellSet | None:
    """Return the cells that ``COLUMN=VALUE`` names; None where nothing is named."""
    if text is None:
        return None
    column, equals, value = text.partition("=")
    if not equals:
        msg = f'{option} reads "COLUMN=VALUE", such as "cell_type=B cell", found {text!r}.'
        raise RequestError(msg, "bad-cells")
    return CellSet.where(dataset, column.strip(), value.strip())


def _edit(kind: str, gene_ids: Sequence[str], quartiles: int) -> "tuple[GeneEdit, ...]":
    from scfm_core.tokens import Activate, Delete, Inhibit, Overexpress

    match kind:
        case "delete":
            return tuple(Delete(gene_id) for gene_id in gene_ids)
        case "overexpress":
            return tuple(Overexpress(gene_id) for gene_id in gene_ids)
        case "inhibit":
            return tuple(Inhibit(gene_id, quartiles) for gene_id in gene_ids)
        case _:
            return tuple(Activate(gene_id, quartiles) for gene_id in gene_ids)


def _states(options: Mapping[str, Any]) -> "States | None":
    from scfm_core.analyses.authors_states import States, state_from_text

    start, goal, alternatives = options["start"], options["goal"], options["alternative"]
    if start is None and goal is None and not alternatives:
        return None
    if start is None or goal is None:
        given = " and ".join(f"--{name}" for name in ("start", "goal", "alternative") if options[name])
        msg = (
            f"States need a --start, whose cells are edited, and a --goal; found {given} only. Name both, or leave "
            "the states out to measure similarities."
        )
        raise RequestError(msg, "incomplete-states")
    return States(
        start=state_from_text(start, "--start"),
        goal=state_from_text(goal, "--goal"),
        alternatives=tuple(state_from_text(text, "--alternative") for text in alternatives),
    )


def _against(request: "PerturbAsAuthors", text: str) -> "PerturbAsAuthors":
    """Return the same question of the cells that ``--against`` names."""
    if request.states is not None or request.gene_level:
        msg = "--against compares similarities of cells; leave out --start, --goal, --alternative and --genes."
        raise RequestError(msg, "against-what")
    return replace(request, cells=cells_of(request.baseline.dataset, text, "--against"))


def _write_tables(
    out: Path,
    asked: "tuple[PerturbAsAuthors, AuthorsReadout]",
    statistics: "Sequence[Statistic]",
    options: Mapping[str, Any],
) -> list[str]:
    request, readout = asked
    told = {one.file: {"test": one.in_words, "statistic": one.name} for one in statistics}
    tables: dict[str, pd.DataFrame] = {}
    if options["per_cell"]:
        tables["cells.parquet"] = readout.cells
    if options["genes"]:
        tables["genes.parquet"] = readout.genes
    for statistic in statistics:
        for ending in ("csv", "parquet"):
            tables[f"{statistic.file}.{ending}"] = statistic.table
    for name, table in tables.items():
        write_table(table, out / name, provenance(None, request, **told.get(Path(name).stem, _NO_TEST)))
    for name in _TABLES:  # of an earlier run that is replaced
        if name not in tables:
            (out / name).unlink(missing_ok=True)
    return list(tables)


def _report(
    request: "PerturbAsAuthors", readout: "AuthorsReadout", statistics: "Sequence[Statistic]"
) -> dict[str, Any]:
    from scfm_core.analyses.authors_words import readout_sentences
    from scfm_core.analyses.export_dataset import versions

    dataset = request.baseline.dataset
    return {
        "question": recipe(request),
        "request": repr(request),
        "dataset": {"hash": dataset.identity, "title": dataset.title, "n_cells": dataset.n_cells},
        "model": request.baseline.model.identity,
        "n_cells_perturbed": int(readout.cells["cell"].nunique()),
        "n_edits": len(readout.edits),
        "n_passes": readout.n_passes,
        "states": readout.states,
        "left_out": readout.left_out,
        "statistics": [
            {"name": statistic.name, "file": f"{statistic.file}.csv", "in_words": statistic.in_words}
            for statistic in statistics
        ],
        "sentences": readout_sentences(readout),
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
