"""``scfm benchmark``: is an embedding better than PCA, on these cells?"""

from pathlib import Path
from typing import Any

import click

from scfm_core.cli.asking import asking, tell
from scfm_core.cli.files import check_out_folder, file_argument, json_option, out_option, read_input

FAMILIES = ("published", "scib-metrics", "both")


@click.command(
    "benchmark",
    short_help="Ask whether embeddings are better than PCA on these cells.",
    epilog="\b\nExample:\n"
    "  scfm benchmark my.h5ad --label cell_type --batch batch --models scfm-mini,harmony,scvi --out card\n"
    '  scfm benchmark demo:pbmc3k --label cell_type --cells "cell_type!=unassigned" --models scfm-mini --out card',
)
@file_argument
@click.option("--label", required=True, metavar="COLUMN", help="Column of the cell table with the cell types.")
@click.option("--batch", metavar="COLUMN", help="Column whose groups should be mixed. No scores of batches without it.")
@click.option(
    "--models", required=True, metavar="KEY,KEY",
    help="Keys of models and baselines; scfm models lists them. PCA and random vectors are always scored beside.",
)  # fmt: skip
@click.option(
    "--family", type=click.Choice(FAMILIES), default="published", show_default=True,
    help="Which definitions of the metrics. Numbers of the two are told apart and never mixed.",
)  # fmt: skip
@click.option(
    "--cells", multiple=True, metavar='"COLUMN=VALUE"',
    help='Only these cells, or with "COLUMN!=VALUE" all but these; cut out before anything is fitted. May be repeated: '
    "values of one column add up, columns all have to fit.",
)  # fmt: skip
@click.option(
    "--donor-column", metavar="COLUMN", help="Who the cells are from: intervals over donors, from 6 on. [default: the "
    "donor role]",
)  # fmt: skip
@click.option(
    "--resamples", type=click.IntRange(0, 1000), default=20, show_default=True, help="For the intervals; 0 for none."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of clusters, resamples, trainings.")
@click.option("--no-maps", is_flag=True, help="Draw no UMAP of each candidate.")
@click.option("--device", metavar="DEVICE", help="Where to compute: cpu, cuda:0, mps. By default the best.")
@out_option("DIR", "Folder for the results; made where it does not exist.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Compare embeddings of the cells of FILE with PCA and with random vectors: cell types apart, batches mixed.

    A model is called better, worse or as good only where the interval of its difference from PCA, on the same resampled
    cells, says so. DIR receives report.html (one file that a collaborator opens by mail), report.json, every table as
    .csv and .xlsx, and figures/ as .svg. A model that cannot be scored is told, and the others are compared.
    """
    from scfm_core.cli.benchmark_asking import Benchmark, specs_of
    from scfm_core.cli.benchmark_files import summary_of, write_folder
    from scfm_core.report.card import summary_words

    check_out_folder(out, overwrite=overwrite)
    specs = specs_of(options["models"])
    dataset = read_input(options)
    with asking(options["device"]) as engine:
        card = Benchmark(engine, dataset, specs, options).card()
    files = write_folder(out, card)
    summary = {**summary_of(card), "file": options["file"], "files": files}
    tell(f"{summary_words(card)}\nWrote {out}: {', '.join(files)}", summary, as_json=as_json)
