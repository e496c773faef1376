"""``scfm qc``: the quality of the cells, and a file with those that pass."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click
import pandas as pd

from scfm_core.analyses.measure_quality import Thresholds
from scfm_core.cli.asking import ask, asking, plain, tell
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input
from scfm_core.cli.tables import provenance, write_table
from scfm_core.errors import RequestError


@click.command(
    "qc",
    short_help="Measure the quality of the cells and keep those that pass.",
    epilog="\b\nExample:\n"
    "  scfm qc my.h5ad --out passed.h5ad\n"
    "  scfm qc my.h5ad --max-mitochondrial-share 0.1 --min-genes 500 --out passed.h5ad --json",
)
@file_argument
@click.option("--mads", type=float, default=5.0, show_default=True, help="Limits: so many median absolute deviations.")
@click.option("--min-counts", type=float, help="Smallest number of counts of a cell.")
@click.option("--max-counts", type=float, help="Largest number of counts of a cell.")
@click.option("--min-genes", type=float, help="Smallest number of genes of a cell.")
@click.option("--max-genes", type=float, help="Largest number of genes of a cell.")
@click.option("--max-mitochondrial-share", type=float, help="Largest share of mitochondrial counts, 0 to 1.")
@click.option("--max-doublet-score", type=float, help="Largest doublet score, 0 to 1.")
@out_option("OUT.h5ad", "AnnData with the cells that pass; OUT.qc.csv beside it holds the limits, before and after.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Measure the quality of the cells of FILE and write those that pass.

    Counts, genes, mitochondrial share and doublet score are judged together, within limits that follow from the data
    (--mads) or are given one by one. FILE itself is not changed.
    """
    from scfm_core.analyses.export_dataset import Addition, provenance_of, to_anndata, write_h5ad
    from scfm_core.analyses.measure_quality import MeasureQuality, before_after, passing, suggest_thresholds
    from scfm_core.dataset import subset_dataset
    from scfm_core.request import recipe

    table_path = out.with_suffix(".qc.csv")
    for path in (out, table_path):
        check_out(path, overwrite=overwrite, suffixes=(".h5ad", ".csv"))
    dataset = read_input(options)
    request = MeasureQuality(dataset)
    with asking() as engine:
        quality = ask(engine, request).table
        origin = provenance_of(recipe(request), engine.store.about(request.identity))
    limits = _limits(suggest_thresholds(quality, options["mads"]), options)
    keep = passing(quality, limits)
    if not keep.any():
        msg = f"None of the {len(keep):,} cells passes. Widen the limits: {_in_words(limits)}."
        raise RequestError(msg, "no-cells")
    counted = before_after(quality, keep)
    note = f"{int(keep.sum()):,} of {len(keep):,} cells passed quality control: {_in_words(limits)}."
    passed = subset_dataset(dataset, keep, title=f"{dataset.title}, quality control", note=note)
    columns = [Addition("obs", str(name), quality[name][keep].array, origin) for name in quality]
    write_h5ad(to_anndata(passed, columns), out)
    write_table(_report(counted, limits), table_path, provenance(dataset, request, limits=_in_words(limits)))
    summary = {
        "out": out,
        "table": table_path,
        "dataset": passed.identity,
        "thresholds": asdict(limits),
        "n_before": len(keep),
        "n_after": int(keep.sum()),
        "samples": counted.to_dict("records"),
    }
    tell(f"{note}\nWrote {out} and {table_path}", plain(summary), as_json=as_json)


def _limits(suggested: Thresholds, options: dict[str, Any]) -> Thresholds:
    given = {field.name: options[field.name] for field in fields(suggested) if options[field.name] is not None}
    return replace(suggested, **given)


def _in_words(limits: Thresholds) -> str:
    return (
        f"counts {limits.min_counts:,.0f} to {limits.max_counts:,.0f}, genes {limits.min_genes:,.0f} to "
        f"{limits.max_genes:,.0f}, mitochondrial share up to {limits.max_mitochondrial_share:.3g}, doublet score up to "
        f"{limits.max_doublet_score:.3g}"
    )


def _report(counted: pd.DataFrame, limits: Thresholds) -> pd.DataFrame:
    return counted.assign(**asdict(limits))
