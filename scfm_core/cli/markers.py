"""``scfm markers``: the genes that tell a group of cells from the others."""

from pathlib import Path
from typing import Any

import click

from scfm_core.analyses.grouping import Grouping
from scfm_core.cli.asking import ask, asking, tell
from scfm_core.cli.embedding import chosen, model_options
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input
from scfm_core.cli.tables import SUFFIXES, provenance, write_table
from scfm_core.dataset import Dataset

_TOLD_PER_GROUP = 5


@click.command(
    "markers",
    short_help="Find the genes that tell groups of cells apart.",
    epilog="\b\nExample:\n"
    "  scfm markers my.h5ad --group-by cell_type --out markers.csv\n"
    "  scfm markers my.h5ad --group-by leiden --model scfm-mini --resolution 0.5 --top 50 --out markers.xlsx",
)
@file_argument
@click.option("--group-by", required=True, metavar="COLUMN|leiden", help="A column of the cell table, or clusters.")
@model_options(several=False, default="pca")
@click.option("--resolution", type=float, default=1.0, show_default=True, help="leiden: the higher, the more clusters.")
@click.option("--method", type=click.Choice(["wilcoxon", "t-test"]), default="wilcoxon", show_default=True)
@click.option("--reference", metavar="GROUP", default="rest", show_default=True, help="What a group is compared with.")
@click.option("--top", type=click.IntRange(1), help="Only so many genes per group, of those that pass. Else all.")
@click.option("--max-p", type=float, default=0.05, show_default=True, help="--top: largest adjusted p-value.")
@click.option("--min-log2-fold-change", type=float, default=0.25, show_default=True, help="--top: smallest.")
@click.option("--min-share", type=float, default=0.1, show_default=True, help="--top: smallest share of cells.")
@click.option("--seed", type=int, default=0, show_default=True, help="leiden: random seed.")
@out_option("TABLE", "Table to write: .csv, .xlsx or .parquet.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Find the genes that tell each group of cells in FILE from the others.

    Groups are the values of a column, or Leiden clusters in the space of --model. Cells of one donor are no
    independent replicates: the p-values rank genes.
    """
    from scfm_core.analyses.find_markers import FindMarkers, top_markers

    check_out(out, overwrite=overwrite, suffixes=SUFFIXES)
    dataset = read_input(options)
    request = FindMarkers(dataset, _grouping(dataset, options), options["method"], options["reference"])
    with asking(options["device"]) as engine:
        table = ask(engine, request).table
    limits = {
        "max_p_adjusted": options["max_p"],
        "min_log2_fold_change": options["min_log2_fold_change"],
        "min_share_in": options["min_share"],
    }
    best = top_markers(table, n_per_group=options["top"] or _TOLD_PER_GROUP, **limits)
    about = provenance(dataset, request, **({"shown": _shown(options)} if options["top"] else {}))
    write_table(best if options["top"] else table, out, about)
    told = best.groupby("group", sort=False, observed=True)["symbol"].apply(lambda genes: list(genes[:_TOLD_PER_GROUP]))
    n_rows = len(best if options["top"] else table)
    groups = {str(group): told.get(group, []) for group in table["group"].unique()}
    words = [f"{group}: {', '.join(genes) or 'none passes the cut-offs'}" for group, genes in groups.items()]
    summary = {"out": out, "dataset": dataset.identity, "n_rows": n_rows, "groups": groups}
    tell("\n".join([*words, f"Wrote {out}: {n_rows:,} rows"]), summary, as_json=as_json)


def _shown(options: dict[str, Any]) -> str:
    return (
        f"at most {options['top']} genes per group with an adjusted p of at most {options['max_p']:g}, a log2 fold "
        f"change of at least {options['min_log2_fold_change']:g}, and in at least {100 * options['min_share']:g} % of "
        "the cells of the group; p is adjusted over all genes tested"
    )


def _grouping(dataset: Dataset, options: dict[str, Any]) -> Grouping:
    from scfm_core.analyses.cluster_cells import ClusterCells
    from scfm_core.analyses.grouping import ByClusters, ByColumn

    if options["group_by"] != "leiden" or "leiden" in dataset.cells():
        return ByColumn(options["group_by"])
    embedding = chosen(options).embeddings(dataset)[0]
    return ByClusters(ClusterCells(embedding, resolution=options["resolution"], seed=options["seed"]))
