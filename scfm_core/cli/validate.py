"""``scfm validate``: how far can a model's deletions be trusted, where the truth is known?"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
from click.core import ParameterSource

from scfm_core.cli.asking import ask, asking, plain, tell
from scfm_core.cli.embedding import chosen, model_options
from scfm_core.cli.files import check_out_folder, json_option, open_input, out_option
from scfm_core.cli.tables import provenance, write_table
from scfm_core.errors import RequestError
from scfm_core.request import Request, recipe

if TYPE_CHECKING:
    from scfm_core.validation.result import Validation

_ENDINGS = ("csv", "xlsx", "parquet")
_TABLES = ("summary", "table", "vectors", "genes", "left_out", "pairs")
_MOST_TARGETS_TOLD = 12
_OF_MODELS = {
    "keys": "--model", "weights": "--weights", "dictionaries": "--dictionaries", "layer": "--layer", "pool": "--pool",
    "precision": "--precision",
}  # fmt: skip


@click.command(
    "validate",
    short_help="Compare a model's deletions with knock-outs whose outcome is known.",
    epilog="\b\nExample:\n"
    "  scfm validate --simulate --out simulated\n"
    "  scfm validate screen.h5ad --targets perturbation --control non-targeting --model scfm-mini --out crispr",
)
@click.argument("file", required=False)
@click.option("--simulate", is_flag=True, help="Simulate a gene network, train networks on its cells, and ask those.")
@click.option("--targets", metavar="COLUMN", help="Column of FILE that names the gene knocked out in each cell.")
@click.option("--control", metavar="LABEL", help="What that column reads in control cells, such as non-targeting.")
@click.option("--replicates", metavar="COLUMN", help="Column of the replicates; batch or donor where not given.")
@click.option("--cells", type=click.IntRange(1), default=100, show_default=True, help="Control cells per deletion.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws cells, genes, resamples.")
@model_options(several=False, default="scfm-mini")
@out_option("DIR", "Folder for the tables; made where it does not exist.")
@json_option
def command(file: str | None, out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Score a model's deletions against known knock-outs, beside baselines that know no biology.

    With FILE, a CRISPR screen with single-cell readout: every target that was measured is deleted in control cells, the
    other genes are ranked by how far the model turns their vectors, and the ranking is scored against what the
    knock-out changed. With --simulate, networks are trained on the unperturbed cells of a simulated gene network and
    asked for its knock-outs.

    Beside the model stand the rankings by each gene's mean expression and detection, by its correlation with the target
    in control cells, and by PCA. AUROC: 0.5 is chance. The numbers are shown however low they are.
    """
    check_out_folder(out, overwrite=overwrite)
    request = _request(file, options)
    with asking(options["device"]) as engine:
        validation = ask(engine, request)
    out.mkdir(exist_ok=True)
    tables = {name: getattr(validation, name) for name in _TABLES}
    about = provenance(None, request)
    for name, table in tables.items():
        for ending in _ENDINGS:
            write_table(table, out / f"{name}.{ending}", about)
    summary = _summary(request, validation, tables)
    (out / "validation.json").write_text(json.dumps(plain(summary), indent=1, allow_nan=False))
    words = [*_table_in_words(validation), "", *validation.in_words, *validation.notes]
    words.append(f"Wrote {out}: validation.json, {', '.join(tables)} as .csv, .xlsx and .parquet")
    tell("\n".join(words), summary, as_json=as_json)


def _request(file: str | None, options: Mapping[str, Any]) -> "Request[Validation]":
    from scfm_core.validation.validate_on_crispr import ValidateOnCrispr
    from scfm_core.validation.validate_on_simulation import ValidateOnSimulation

    if options["simulate"] == (file is not None):
        found = "both" if file is not None else "neither"
        msg = f"Expected either FILE, a CRISPR screen, or --simulate; found {found}. Give one of them."
        raise RequestError(msg, "validate-what")
    if file is None:
        _refuse(options, "targets", "control", "replicates")
        _refuse_model()
        return ValidateOnSimulation(seed=options["seed"], cells=options["cells"])
    missing = [f"--{name}" for name in ("targets", "control") if not options[name]]
    if missing:
        msg = (
            f"Expected --targets COLUMN and --control LABEL beside FILE, {' and '.join(missing)} not given. Name the "
            "column that says which gene is knocked out, and what it reads in control cells; scfm info lists columns."
        )
        raise RequestError(msg, "no-targets")
    chosen(options).specs()
    return ValidateOnCrispr(
        chosen(options).embeddings(open_input(file))[0],
        options["targets"],
        options["control"],
        replicate_column=options["replicates"],
        cells=options["cells"],
        seed=options["seed"],
    )


def _refuse(options: Mapping[str, Any], *names: str) -> None:
    given = [f"--{name}" for name in names if options[name]]
    if given:
        msg = f"{' and '.join(given)} belongs to a FILE, found --simulate. Leave it out, or name a file."
        raise RequestError(msg, "validate-what")


def _refuse_model() -> None:
    """Raise a `RequestError` where the command line chooses a model: a simulation trains its own."""
    source = click.get_current_context().get_parameter_source
    given = [name for key, name in _OF_MODELS.items() if source(key) is ParameterSource.COMMANDLINE]
    if given:
        msg = f"{' and '.join(given)} belongs to a FILE, found --simulate, which trains its own networks. Leave it out."
        raise RequestError(msg, "validate-what")


def _summary(
    request: "Request[Validation]", validation: "Validation", tables: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    from scfm_core.analyses.export_dataset import versions

    return {
        "question": recipe(request),
        "request": repr(request),
        **{name: table.to_dict("records") for name, table in tables.items() if name != "genes"},
        "in_words": validation.in_words,
        "notes": validation.notes,
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _table_in_words(validation: "Validation") -> list[str]:
    """Return the scores as lines of text: the means of each method, then the AUROC of each target."""
    summary, table = validation.summary, validation.table
    width = max(len("method"), *(len(name) for name in summary["method"]))
    lines = [f"{'method':<{width}}  targets  AUROC (95 % interval)    Spearman (95 % interval)"]
    for row in summary.to_dict("records"):
        auroc, spearman = (_with_interval(row, name) for name in ("auroc", "spearman"))
        lines.append(f"{row['method']:<{width}}  {row['n_targets']:>7}  {auroc:<23}  {spearman}")
    by_target = table.pivot(index="target", columns="method", values="auroc").reindex(table["target"].unique())
    methods = [name for name in summary["method"] if name in by_target]
    lines += ["", f"AUROC of each target ({min(len(by_target), _MOST_TARGETS_TOLD)} of {len(by_target)}):"]
    widths = {name: max(len(name), 4) for name in methods}
    lines.append("  ".join(["target".ljust(16), *(name.ljust(widths[name]) for name in methods)]))
    for target, scores in list(by_target[methods].iterrows())[:_MOST_TARGETS_TOLD]:
        told = (_score(scores[name]).ljust(widths[name]) for name in methods)
        lines.append("  ".join([str(target).ljust(16), *told]).rstrip())
    if table["auroc"].isna().any():
        lines.append("-: fewer than three genes change, or do not; there is nothing to rank.")
    lines += [f"left out: {row['target']}, {row['reason']}" for row in validation.left_out.to_dict("records")]
    return lines


def _score(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"


def _with_interval(row: Mapping[Any, Any], name: str) -> str:
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"
