"""``scfm name``: what groups of cells could be called, with the evidence, and unknown where it is thin."""

from pathlib import Path
from typing import Any

import click
import pandas as pd

from scfm_core.analyses.grouping import ByClusters, ByColumn, Grouping
from scfm_core.cli.asking import ask, asking, tell
from scfm_core.cli.embedding import chosen, model_options
from scfm_core.cli.files import check_out, file_argument, json_option, open_input, out_option, read_input
from scfm_core.cli.tables import SUFFIXES, provenance, write_table
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Request

_CURATED = "curated"
_WAYS = ("markers", "reference", "celltypist")


@click.command(
    "name",
    short_help="Find names for groups of cells.",
    epilog="\b\nExample:\n"
    "  scfm name my.h5ad --group-by leiden --markers curated --out names.csv\n"
    "  scfm name my.h5ad --group-by leiden --reference atlas.h5ad --label-column cell_type --out names.csv\n"
    "  scfm name my.h5ad --group-by cluster --celltypist Immune_All_Low.pkl --out names.xlsx",
)
@file_argument
@click.option("--group-by", required=True, metavar="COLUMN|leiden", help="A column of the cell table, or clusters.")
@click.option("--markers", metavar="curated|SETS.gmt", help="Marker genes: those that come along, or a GMT file.")
@click.option("--tissue", multiple=True, metavar="TISSUE", help="--markers curated: only types of this tissue.")
@click.option("--reference", metavar="FILE", help="A dataset with named cells: a file, demo or stored dataset.")
@click.option("--label-column", metavar="COLUMN", help="--reference: its column of names; by default its cell types.")
@click.option("--neighbors", type=click.IntRange(1, 200), default=15, show_default=True, help="--reference: who vote.")
@click.option("--any-distance", is_flag=True, help="--reference: name cells however far they lie from it.")
@click.option("--celltypist", metavar="MODEL.pkl", help="A CellTypist model: a file, or the name of one that is here.")
@model_options(several=False, default="pca")
@click.option("--resolution", type=float, default=1.0, show_default=True, help="leiden: the higher, the more clusters.")
@click.option("--seed", type=int, default=0, show_default=True, help="leiden and random genes: random seed.")
@out_option("TABLE", "Table to write: .csv, .xlsx or .parquet.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Suggest a name for each group of cells in FILE, by one of three ways.

    By sets of marker genes (--markers), by the named cells of another dataset that lie next to them in the space of
    --model (--reference), or by a CellTypist model (--celltypist). A group is called unknown where the evidence is
    thin; the table says why.
    """
    check_out(out, overwrite=overwrite, suffixes=SUFFIXES)
    ways = [way for way in _WAYS if options[way]]
    if len(ways) != 1:
        msg = f"One way of naming is needed: --markers, --reference or --celltypist; found {len(ways)}. Choose one."
        raise RequestError(msg, "which-way")
    dataset = read_input(options)
    request = {"markers": _by_markers, "reference": _by_reference, "celltypist": _by_celltypist}[ways[0]](
        dataset, options
    )
    with asking(options["device"]) as engine:
        found = ask(engine, request)
    groups: pd.DataFrame = found.groups
    write_table(groups, out, provenance(dataset, request))
    words = [_line(row) for _, row in groups.iterrows()]
    summary = {
        "out": out, "dataset": dataset.identity, "way": ways[0], "remarks": found.remarks,
        "names": dict(zip(groups["group"], groups["name"], strict=True)),
    }  # fmt: skip
    tell("\n".join([*words, *found.remarks, f"Wrote {out}: {len(groups):,} rows"]), summary, as_json=as_json)


def _grouping(dataset: Dataset, options: dict[str, Any]) -> Grouping:
    if options["group_by"] != "leiden" or "leiden" in dataset.cells():
        return ByColumn(options["group_by"])
    from scfm_core.analyses.cluster_cells import ClusterCells

    embedding = chosen(options).embeddings(dataset)[0]
    return ByClusters(ClusterCells(embedding, resolution=options["resolution"], seed=options["seed"]))


def _by_markers(dataset: Dataset, options: dict[str, Any]) -> Request[Any]:
    from scfm_core.analyses.name_by_markers import NameByMarkers
    from scfm_core.cell_markers import curated_markers, markers_of_sets
    from scfm_core.gene_sets import read_gmt

    if options["markers"] == _CURATED:
        table = curated_markers(options["tissue"])
    else:
        if options["tissue"]:
            msg = "--tissue chooses among the curated markers, but --markers names a file. Drop one of them."
            raise RequestError(msg, "tissue-of-what")
        table = markers_of_sets(read_gmt(Path(options["markers"]).expanduser()))
    return NameByMarkers(dataset, _grouping(dataset, options), table, seed=options["seed"])


def _by_reference(dataset: Dataset, options: dict[str, Any]) -> Request[Any]:
    from scfm_core.analyses.match_cells import MatchCells
    from scfm_core.analyses.name_by_reference import NameByReference

    reference = open_input(options["reference"])
    column = options["label_column"] or reference.roles.get("cell_type")
    if column is None:
        columns = ", ".join(reference.cells().columns) or "none"
        msg = f"Name the column of the reference with the names of its cells: --label-column. It has: {columns}."
        raise RequestError(msg, "no-label-column")
    choice = chosen(options)
    query, other = choice.embeddings(dataset)[0], choice.embeddings(reference)[0]
    quantile = {"distance_quantile": 1.0} if options["any_distance"] else {}
    matching = MatchCells(query, other, column, n_neighbors=options["neighbors"], **quantile)
    return NameByReference(matching, _grouping(dataset, options))


def _by_celltypist(dataset: Dataset, options: dict[str, Any]) -> Request[Any]:
    from scfm_core.analyses.name_by_celltypist import NameByCelltypist
    from scfm_core.celltypist import find_celltypist

    return NameByCelltypist(dataset, _grouping(dataset, options), find_celltypist(options["celltypist"]))


def _line(row: "pd.Series[Any]") -> str:
    return f"{row['group']}: {row['name']} ({row['reason'] or row['evidence']})"
