"""``scfm screen``: the deletion of every gene estimated at once, or gene after gene edited exactly."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scfm_core.cli.asking import ask, asking, tell
from scfm_core.cli.embedding import chosen, model_options
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input
from scfm_core.cli.gene_lists import gene_list_options, named_genes
from scfm_core.cli.perturb_official import cells_of
from scfm_core.cli.tables import SUFFIXES, provenance, write_table
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine

if TYPE_CHECKING:
    from scfm_core.analyses.screen_exactly import ScreenExactly
    from scfm_core.analyses.screen_genes import GeneScreen, ScreenGenes

_N_TOLD = 5
_KINDS = ("delete", "overexpress", "inhibit", "activate")
_STOP_SECONDS = 10.0  # a job looks ten times a second whether it was stopped
_DONE = {"delete": "Deleted", "overexpress": "Overexpressed", "inhibit": "Inhibited", "activate": "Activated"}


@click.command(
    "screen",
    short_help="Delete, or raise, every gene of a list or all at once.",
    epilog="\b\nExample:\n"
    '  scfm screen demo:pbmc3k --model scfm-mini --cells "cell_type=NK" --goal "cell_type=CD8 T" --out nk.csv\n'
    '  scfm screen my.h5ad --model scfm-mini --transcription-factors --edit overexpress --cells "disease=dcm" '
    '--goal "disease=normal" --out raised.csv\n'
    "  scfm screen my.h5ad --model pca --exact --genes-from hallmark.gmt:HALLMARK_HYPOXIA --out hypoxia.xlsx",
)
@file_argument
@model_options(several=False)
@gene_list_options
@click.option("--cells", metavar='"COLUMN=VALUE"', help="Only cells with this value in a column; all where left out.")
@click.option("--goal", metavar='"COLUMN=VALUE"', help="Measure the shift toward the mean vector of these cells, too.")
@click.option(
    "--edit",
    type=click.Choice(_KINDS),
    default="delete",
    show_default=True,
    help="What is done to each gene; all but delete are done exactly.",
)
@click.option("--exact", is_flag=True, help="Edit gene after gene, for models without an estimate too.")
@click.option(
    "--cells-per-gene",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    metavar="N",
    help="With --exact or --edit: in how many cells each gene is edited at most.",
)
@click.option(
    "--confirm",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="K",
    help="Where deletions are estimated: delete the first K genes of each ranking exactly.",
)
@click.option(
    "--confirm-cells",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    metavar="N",
    help="On how many of the cells that hold it, drawn at random, each is at most.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws the cells that are edited.")
@out_option("TABLE", "Table to write: .csv, .xlsx or .parquet.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Tell for every gene that cells of FILE hold, or of a list, how far editing it alone would move them.

    A few passes per cell take the place of one per gene. The estimate is offered for models whose card says how well
    it agrees with exact deletions; the first genes are deleted exactly, and the table keeps both apart: columns that
    end in _estimate are predicted, those that end in _exact are computed, over n_exact cells. With --exact, or an
    --edit other than delete, every gene is edited exactly in up to --cells-per-gene cells.

    Each gene is compared with the screened genes of like abundance: size_z, size_p, goal_z and goal_p. Ctrl-C writes
    what there is by then to TABLE.
    """
    check_out(out, overwrite=overwrite, suffixes=SUFFIXES)
    choice = chosen(options)
    choice.specs()
    dataset = read_input(options)
    request, words = _request(dataset, options)
    with asking(options["device"]) as engine:
        try:
            screen = ask(engine, request)
        except KeyboardInterrupt:
            _write_what_there_is(engine, request, out)
            raise
    write_table(screen.table, out, provenance(dataset, request))
    about = {"out": out, "dataset": dataset.identity, "model": request.baseline.model.key, "genes": words}
    told = [*([f"Screened {words}."] if words else []), *_sentences(screen), *_worth(request, screen)]
    tell("\n".join([*told, f"Wrote {out}: {len(screen.table):,} rows"]), {**about, **_summary(screen)}, as_json=as_json)


def _request(dataset: Dataset, options: Mapping[str, Any]) -> "tuple[ScreenGenes | ScreenExactly, str]":
    """Return the question, and in words which genes it is about."""
    from scfm_core.analyses.authors_states import state_from_text
    from scfm_core.analyses.screen_exactly import ScreenExactly
    from scfm_core.analyses.screen_genes import ScreenGenes

    baseline = chosen(options).embeddings(dataset)[0]
    listed = named_genes(dataset, baseline.model, options)
    common = {
        "cells": cells_of(dataset, options["cells"], "--cells"),
        "goal": None if options["goal"] is None else state_from_text(options["goal"], "--goal"),
        "genes": None if listed is None else listed.gene_ids,
        "seed": options["seed"],
    }
    words = "" if listed is None else listed.words
    if options["exact"] or options["edit"] != "delete":
        exact = ScreenExactly(
            baseline, kind=options["edit"], cells_per_gene=options["cells_per_gene"], **common
        )
        return exact, words
    confirm = {"confirm_top": options["confirm"], "confirm_cells": options["confirm_cells"]}
    return ScreenGenes(baseline, **confirm, **common), words


def _write_what_there_is(engine: Engine, request: "ScreenGenes | ScreenExactly", out: Path) -> None:
    """Write the genes that a stopped screen has by now, and say so."""
    job = next((job for job in engine.jobs() if job.request.identity == request.identity), None)
    if job is None:
        return
    job.wait(_STOP_SECONDS)  # it shows the last state when it stops
    screen: GeneScreen | None = job.partial
    if screen is None:
        return
    write_table(screen.table, out, provenance(None, request, so_far=screen.so_far))
    words = f"scfm: wrote what there is to {out}: {len(screen.table):,} rows, {screen.so_far}."
    click.echo(f"{words} To go on, add --overwrite.", err=True)


def _summary(screen: "GeneScreen") -> dict[str, Any]:
    names = (
        "edit", "n_cells", "confirm_cells", "goal", "n_goal_cells", "size_agreement", "goal_agreement", "n_estimated",
        "n_passes", "n_backward_passes", "n_references", "n_left_out",
    )  # fmt: skip
    return {"n_rows": len(screen.table), **{name: getattr(screen, name) for name in names}}


def _sentences(screen: "GeneScreen") -> list[str]:
    estimated = screen.n_estimated > 0
    told = [_estimated(screen) if estimated else _edited(screen)]
    known = "estimated" if estimated else "exact"
    rankings = [("rank", f"Largest {known} movement")]
    if screen.goal:
        rankings.append(("goal_rank", f"Most toward {screen.goal}, {known}"))
    for rank, words in rankings:
        first = screen.table.sort_values(rank).head(_N_TOLD)
        told.append(f"{words}: {', '.join(first.loc[first[rank].notna(), 'symbol'])}.")
    n_confirmed = int((screen.table["n_exact"] > 0).sum())
    if estimated and n_confirmed:
        told.append(
            f"{n_confirmed:,} of them were deleted exactly, each on up to {screen.confirm_cells:,} cells; Spearman "
            f"correlation of estimate and exact size there: {screen.size_agreement:.3f}."
        )
    return told


def _estimated(screen: "GeneScreen") -> str:
    return (
        f"Estimated {screen.n_estimated:,} deletions in {screen.n_cells:,} cells with {screen.n_passes:,} passes "
        f"forward and {screen.n_backward_passes:,} back."
    )


def _edited(screen: "GeneScreen") -> str:
    beside = f" and {screen.n_references:,} random ones for comparison" if screen.n_references else ""
    return (
        f"{_DONE[screen.edit]} {len(screen.table):,} genes{beside} exactly, each in up to {screen.confirm_cells:,} of "
        f"{screen.n_cells:,} cells, with {screen.n_passes:,} passes."
    )


def _worth(request: "ScreenGenes | ScreenExactly", screen: "GeneScreen") -> list[str]:
    """Say what the numbers are worth, and with a goal which genes to look at first."""
    from scfm_core.analyses.screen_words import (
        calibration_in_words,
        left_out_in_words,
        quality_in_words,
        treatment_in_words,
    )

    start = "the cells" if request.cells is None else f"the {request.cells.label} cells"
    treatment = treatment_in_words([screen], start=start) if screen.goal else ()
    quality = [quality_in_words(request.baseline.model)] if screen.n_estimated else []
    told = [left_out_in_words(screen), *treatment, calibration_in_words(screen), *quality]
    return [words for words in told if words]
