"""``scfm perturb``: edit genes in a model's input; compare with matched random genes, or as a model's authors do."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scfm_core.cli.asking import ask, asking, plain, tell
from scfm_core.cli.embedding import chosen, model_options
from scfm_core.cli.files import check_out_folder, file_argument, json_option, out_option, read_input
from scfm_core.cli.perturb_official import cells_of, perturb_official
from scfm_core.cli.perturb_options import (
    edit_options,
    named_groups,
    official_options,
    own_options,
    require_readout,
)
from scfm_core.cli.tables import write_table
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.request import recipe

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbationEffects, PerturbGenes

_BASELINE = "pca"


@click.command(
    "perturb",
    short_help="Edit genes in a model's input and measure how cells move.",
    epilog="\b\nExample:\n"
    "  scfm perturb demo:pbmc3k --model scfm-mini --delete LYZ,CD3D --out lyz_cd3d\n"
    '  scfm perturb my.h5ad --model scfm-mini --delete GATA4,TBX5 --together --cells "cell_type=cardiomyocyte" '
    "--out both\n"
    "  scfm perturb my.h5ad --model geneformer-v1-10m --readout official --delete GATA4,TBX5 --out official\n"
    "  scfm perturb my.h5ad --model geneformer-v1-10m --readout official --screen all --max-genes 500 "
    '--start "disease=dcm" --goal "disease=normal" --out screen',
)
@file_argument
@model_options(several=False)
@edit_options
@own_options
@official_options
@out_option("DIR", "Folder for the tables; made where it does not exist.")
@json_option
@click.pass_context
def command(context: click.Context, /, out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Edit genes in the cells of FILE, as a model reads them, and measure how far the cells move.

    The effect is 1 - cosine between a cell's vector before and after, beside the effects of random genes matched for
    abundance in the same cells. It is an edit of the input, no experiment.

    DIR receives effects.parquet (one row per edit and group), affected_genes.parquet, null.parquet, with --per-cell
    cells.parquet, and report.json (the question, versions, seed, timings, sentences, the baseline's result).

    With --readout official, what the code of Geneformer's authors measures, for any model that reads genes by rank:
    the similarity of cells before and after (1: nothing moved), or with --start and --goal the shift toward states.
    DIR receives cells.parquet, genes.parquet and the authors' statistics as statistics.csv and .parquet. Genes may be
    named that FILE does not hold, to overexpress them. A column filter_pass of the cell table is heeded.
    """
    check_out_folder(out, overwrite=overwrite)
    require_readout(context, options["readout"])
    choice = chosen(options)
    choice.specs()
    dataset = read_input(options)
    if options["readout"] == "official":
        perturb_official(dataset, out, {**options, "as_json": as_json})
    else:
        _perturb_matched(dataset, out, {**options, "as_json": as_json})


def _perturb_matched(dataset: Dataset, out: Path, options: Mapping[str, Any]) -> None:
    request = _request(dataset, options)
    began = time.monotonic()
    with asking(options["device"]) as engine:
        effects = ask(engine, request)
        baseline = None if options["no_baseline"] else _baseline(engine, request)
        seconds = {"here": time.monotonic() - began, "computing": _seconds(engine, request)}
    out.mkdir(exist_ok=True)
    files = _write_tables(out, effects, baseline, per_cell=options["per_cell"])
    report = {
        **_report(request, effects, baseline),
        "file": options["file"],
        "seconds": seconds,
        "files": files,
    }
    (out / "report.json").write_text(json.dumps(plain(report), indent=1, allow_nan=False))
    words = "\n".join([*report["sentences"], f"Wrote {out}: {', '.join(files)}, report.json"])
    tell(words, report, as_json=options["as_json"])


def _request(dataset: Dataset, options: Mapping[str, Any]) -> "PerturbGenes":
    from scfm_core.analyses.perturb_genes import NULL_CELLS, PerturbGenes
    from scfm_core.genes import find_genes
    from scfm_core.tokens import Delete

    groups = named_groups(options).get("delete")
    if not groups:
        msg = "--readout matched needs --delete with genes, such as --delete LYZ,CD3D; found none."
        raise RequestError(msg, "no-genes")
    names = [name for group in groups for name in group]
    gene_id = dict(zip(names, find_genes(dataset, names), strict=True))  # all at once, so that all unknown are told
    edits = [tuple(dict.fromkeys(Delete(gene_id[name]) for name in group)) for group in groups]
    return PerturbGenes(
        baseline=chosen(options).embeddings(dataset)[0],
        edits=tuple(dict.fromkeys(edits)),
        cells=cells_of(dataset, options["cells"], "--cells"),
        group_by=options["group_by"],
        null_genes=options["null"],
        null_cells=options["null_cells"] or NULL_CELLS,
        seed=options["seed"],
    )


def _baseline(engine: Engine, request: "PerturbGenes") -> "PerturbationEffects | None":
    """Return what the same deletion does in the baseline; None where the model is a baseline itself."""
    from dataclasses import replace

    from scfm_core.analyses.embed_cells import EmbedCells
    from scfm_core.registry import find_model

    if request.baseline.model.is_baseline:
        return None
    return ask(engine, replace(request, baseline=EmbedCells(request.baseline.dataset, find_model(_BASELINE))))


def _seconds(engine: Engine, request: "PerturbGenes") -> float | None:
    about = engine.store.about(request.identity)
    return about.seconds if about else None


def _write_tables(
    out: Path, effects: "PerturbationEffects", baseline: "PerturbationEffects | None", *, per_cell: bool
) -> list[str]:
    tables = {"effects": effects.effects, "affected_genes": effects.genes, "null": effects.null}
    if per_cell:
        tables["cells"] = effects.cells
    if baseline is not None:
        tables["baseline_effects"] = baseline.effects
    for name, table in tables.items():
        write_table(table, out / f"{name}.parquet")
    for name in ("cells", "baseline_effects"):  # of an earlier run that is replaced
        if name not in tables:
            (out / f"{name}.parquet").unlink(missing_ok=True)
    return [f"{name}.parquet" for name in tables]


def _report(
    request: "PerturbGenes", effects: "PerturbationEffects", baseline: "PerturbationEffects | None"
) -> dict[str, Any]:
    from scfm_core.analyses.export_dataset import versions
    from scfm_core.analyses.perturb_genes import sentence

    rows = effects.effects.to_dict("records")
    beside = [None] * len(rows) if baseline is None else _matching(rows, baseline.effects.to_dict("records"))
    pairs = zip(rows, beside, strict=True)
    dataset = request.baseline.dataset
    return {
        "question": recipe(request),
        "request": repr(request),
        "dataset": {"hash": dataset.identity, "title": dataset.title, "n_cells": dataset.n_cells},
        "model": request.baseline.model.identity,
        "seed": request.seed,
        "n_cells_perturbed": len(effects.chosen),
        "n_passes": effects.n_passes,
        "noise_floor": effects.noise_floor,
        "effects": rows,
        "baseline_effects": None if baseline is None else baseline.effects.to_dict("records"),
        "sentences": [sentence(row) if other is None else sentence(row, baseline=other) for row, other in pairs],
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _matching(rows: list[dict[Any, Any]], others: list[dict[Any, Any]]) -> list[dict[Any, Any] | None]:
    found = {(other["edit"], other["group"]): other for other in others}
    return [found.get((row["edit"], row["group"])) for row in rows]
