"""``scfm pretrain``: train a small network from scratch on files of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scfm_core.cli.asking import checked_device, duration, tell
from scfm_core.cli.files import check_out_folder, json_option, open_input, out_option
from scfm_core.errors import RequestError

if TYPE_CHECKING:
    from scfm_core.training.pretrain import CurvePoint


@click.command(
    "pretrain",
    short_help="Train a small network from scratch on your own files.",
    epilog="\b\nExample:\n"
    "  scfm pretrain blood.h5ad lung.h5ad --out my-weights --minutes 30\n"
    "  scfm embed my.h5ad --model scfm-mini --weights my-weights --out embedded.h5ad",
)
@click.argument("files", nargs=-1, required=True)
@click.option("--minutes", type=float, default=40.0, show_default=True, help="How long to train.")
@click.option("--max-steps", type=click.IntRange(1), help="End after so many steps, if that comes first.")
@click.option("--min-cells", type=click.IntRange(1), help="A gene is learned if so many cells express it.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", metavar="DEVICE", help="Where to compute: cpu, cuda:0, mps. By default the best.")
@out_option("DIR", "Folder for the weights, the vocabulary and the record of the training.")
@json_option
def command(files: tuple[str, ...], out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Train a network of scfm-mini's kind on the cells of FILES.

    It learns to guess hidden genes from the others (rank-value tokens, masked genes). DIR holds the best weights so
    far whenever it is stopped; scfm embed and scfm perturb use them by --model scfm-mini --weights DIR.
    """
    from dataclasses import asdict

    check_out_folder(out, overwrite=overwrite)
    if options["minutes"] <= 0:
        msg = f"--minutes is a time above 0, found {options['minutes']:g}."
        raise RequestError(msg, "out-of-range")
    device = checked_device(options["device"]) or ""
    datasets = [open_input(file) for file in files]

    from scfm_core.training.corpus import CorpusPart  # torch is slow to import
    from scfm_core.training.pretrain import PretrainSettings, pretrain_on

    parts = [CorpusPart(name=dataset.title, counts=dataset.counts()) for dataset in datasets]
    named = {name: options[name] for name in ("max_steps", "min_cells") if options[name] is not None}
    settings = PretrainSettings(minutes=options["minutes"], seed=options["seed"], device=device, **named)
    report = pretrain_on(parts, out, settings, _say)
    best = report.best
    words = (
        f"Wrote {out}: {report.n_parameters:,} weights, {report.n_genes:,} genes, {report.steps:,} steps in "
        f"{duration(report.seconds)}. Validation loss {best.validation_loss:.3f}, {report.unigram_loss:.3f} where only "
        "each gene's frequency is known."
    )
    summary = {"out": out, "datasets": [dataset.identity for dataset in datasets], **asdict(report)}
    tell(words, summary, as_json=as_json)


def _say(point: "CurvePoint") -> None:
    text = f"step {point.step:,}, {duration(point.seconds)}: validation loss {point.validation_loss:.3f}"
    click.echo(f"{text}, {point.validation_accuracy:.1%} of hidden genes guessed", err=True)
