"""``scfm perturb``: edit genes in a model's input; compare with matched random genes, or as a model's authors do."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from scfm_core.cli.asking import asking, tell
from scfm_core.cli.embedding import chosen, model_options
from scfm_core.cli.files import check_out_folder, file_argument, json_option, out_option, read_input
from scfm_core.cli.perturb_official import perturb_official
from scfm_core.cli.perturb_options import edit_options, official_options, own_options, require_readout
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine


@click.command(
    "perturb",
    short_help="Edit genes in a model's input and measure how cells move.",
    epilog="\b\nExample:\n"
    "  scfm perturb demo:pbmc3k --model scfm-mini --delete LYZ,CD3D --out lyz_cd3d\n"
    '  scfm perturb my.h5ad --model scfm-mini --delete GATA4,TBX5 --pairs --cells "cell_type=cardiomyocyte" '
    '--goal "disease=normal" --out both\n'
    "  scfm perturb my.h5ad --model pca --scale LYZ=0.5 --overexpress CD3D --group-by cell_type --gmt sets.gmt "
    "--out dose\n"
    "  scfm perturb my.h5ad --model geneformer-v1-10m --readout official --delete GATA4,TBX5 --out official\n"
    "  scfm perturb my.h5ad --model geneformer-v1-10m --readout official --screen all --max-genes 500 "
    '--start "disease=dcm" --goal "disease=normal" --out screen',
)
@file_argument
@model_options(several=False)
@edit_options
@own_options
@official_options
@out_option("DIR", "Folder for the results; made where it does not exist.")
@json_option
@click.pass_context
def command(context: click.Context, /, out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Edit genes in the cells of FILE, as a model reads them, and measure how far the cells move, and where to.

    The effect is 1 - cosine between a cell's vector before and after, beside the effects of random genes matched for
    abundance in the same cells; with --goal, the shift toward a state. It is an edit of the input, no experiment.
    Controls, the same edits in other groups, under PCA, and what baselines explain are measured too.

    DIR receives report.html (one file that a collaborator opens by mail), report.json, every table as .parquet, .csv
    and .xlsx (effects, shifts, donors, switches, null, controls, downstream_genes, pairs, ...; with --per-cell cells),
    and figures/ as .svg and .pdf. Ctrl-C writes what is finished.

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
    from scfm_core.cli.perturb_files import cards_in_words, files_in_words, summary_of, write_folder, write_summary
    from scfm_core.cli.perturb_matched import Asking, pairs_question
    from scfm_core.cli.perturb_question import matched_question
    from scfm_core.gene_sets import read_gmt

    sets = None if options["gmt"] is None else read_gmt(options["gmt"])
    question = matched_question(dataset, options)
    if options["pairs"]:
        pairs_question(question)  # which refuses what makes no pairs before anything is computed
    began = time.monotonic()
    with asking(options["device"]) as engine:
        answered = Asking(engine, question, options, sets)
        findings = answered.all()
        seconds = {"here": time.monotonic() - began, "computing": _seconds(engine, question.identity)}
        files = write_folder(out, findings, options)
    summary = {**summary_of(findings), "file": options["file"], "seconds": seconds, "files": files}
    write_summary(out, summary)
    wrote = f"Wrote {out}: {files_in_words(files)}"
    tell(f"{cards_in_words(findings)}\n{wrote}", summary, as_json=options["as_json"])
    if answered.stopped:
        msg = f"stopped. What was finished is in {str(out)!r}; the same command with --overwrite goes on from there."
        raise KeyboardInterrupt(msg)


def _seconds(engine: Engine, identity: str) -> float | None:
    about = engine.store.about(identity)
    return about.seconds if about else None
