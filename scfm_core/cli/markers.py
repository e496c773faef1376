"""``scfm markers``: the genes that tell a group of cells from the others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pandas as pd

from scfm_core.cli.asking import ask, asking, tell
from scfm_core.cli.embedding import model_options
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input
from scfm_core.cli.marker_options import comparison_options, cutoff_options, cutoffs_of
from scfm_core.cli.tables import SUFFIXES, provenance, write_table
from scfm_core.dataset import Dataset

_TOLD_PER_GROUP = 5
_CELLS_ONLY = "exploratory: cells are not replicates"


@click.command(
    "markers",
    short_help="Find the genes that tell groups of cells apart.",
    epilog="\b\nExample:\n"
    "  scfm markers my.h5ad --group-by cell_type --out markers.csv\n"
    "  scfm markers my.h5ad --group-by leiden --model scfm-mini --resolution 0.5 --n-genes 50 --out markers.xlsx\n"
    "  scfm markers my.h5ad --group-by condition --reference ctrl --within cell_type=B --pseudobulk "
    "--donor-column donor --gmt sets.gmt --out stimulated.csv",
)
@file_argument
@click.option("--group-by", required=True, metavar="COLUMN|leiden", help="A column of the cell table, or clusters.")
@model_options(several=False, default="pca")
@click.option("--resolution", type=float, default=1.0, show_default=True, help="leiden: the higher, the more clusters.")
@comparison_options
@cutoff_options
@click.option(
    "--gmt", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="Gene sets to test among the genes of each group that pass the cut-offs, against the genes tested.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="leiden: random seed.")
@out_option("TABLE", "Table to write: .csv, .xlsx or .parquet. Further tables stand beside it.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Find the genes that tell each group of cells in FILE from the others.

    Groups are the values of a column, or Leiden clusters in the space of --model. Cells of one donor are no
    independent replicates: p-values over cells rank genes. With --pseudobulk donors are the replicates.
    """
    from scfm_core.analyses.choose_markers import choose_markers
    from scfm_core.analyses.compare_donors import CompareDonors
    from scfm_core.cli.marker_questions import enrichments, question
    from scfm_core.gene_sets import read_gmt

    names = _files(out, options)
    for file in names.values():
        check_out(file, overwrite=overwrite, suffixes=SUFFIXES)
    sets = None if options["gmt"] is None else read_gmt(options["gmt"])
    cutoffs = cutoffs_of(options)
    dataset = read_input(options)
    with asking(options["device"]) as engine:
        request = question(engine, dataset, options)
        found: Any = ask(engine, request) if isinstance(request, CompareDonors) else ask(engine, request)
        best = choose_markers(found.table, cutoffs)
        status = {} if isinstance(request, CompareDonors) else {"status": _CELLS_ONLY}
        shown = {"shown": cutoffs.words} if options["top"] else {}
        about = provenance(dataset, request, **status, **shown)
        tables = {"markers": best if options["top"] else found.table}
        if isinstance(request, CompareDonors):
            tables |= {"samples": found.samples, "models": found.designs}
        for name, table in tables.items():
            write_table(table, names[name], about)
        if sets is not None:
            _write_sets(dataset, enrichments(engine, found.table, cutoffs, sets), names["sets"], status)
    told = _told(best, found.table)
    n_rows = len(tables["markers"])
    summary = {
        "out": out,
        "dataset": dataset.identity,
        "n_rows": n_rows,
        "files": [str(name) for name in names.values()],
        "groups": told,
    }
    words = [f"{group}: {', '.join(genes) or 'none passes the cut-offs'}" for group, genes in told.items()]
    wrote = [f"Wrote {out}: {n_rows:,} rows", *(f"Wrote {name}" for name in list(names.values())[1:])]
    tell("\n".join([*words, *wrote]), summary, as_json=as_json)


def _files(out: Path, options: Mapping[str, Any]) -> dict[str, Path]:
    """Return the names of the tables to write, the one asked for first."""
    more = [*(("samples", "models") if options["pseudobulk"] else ()), *(("sets",) if options["gmt"] else ())]
    return {"markers": out, **{name: out.with_name(f"{out.stem}.{name}{out.suffix}") for name in more}}


def _told(best: pd.DataFrame, table: pd.DataFrame) -> dict[str, list[str]]:
    """Return the first genes of each group."""
    told = best.groupby("group", sort=False, observed=True)["symbol"].apply(lambda genes: list(genes[:_TOLD_PER_GROUP]))
    return {str(group): told.get(group, []) for group in table["group"].unique()}


def _write_sets(dataset: Dataset, found: list[tuple[str, Any, Any]], out: Path, status: Mapping[str, str]) -> None:
    """Write the gene sets of all groups into one table."""
    parts = [answer.table.assign(group=group) for group, _, answer in found]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"group": []})
    table = table[["group", *(name for name in table if name != "group")]]
    about = provenance(dataset, found[0][1], groups=", ".join(group for group, *_ in found), **status) if found else {}
    write_table(table, out, about)
