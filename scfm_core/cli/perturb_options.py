"""The options of ``scfm perturb``, and how the genes on its command line are read; knows no model."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from scfm_core.errors import RequestError

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
KINDS = ("delete", "overexpress", "inhibit", "activate")
OWN = (
    *("group_by", "null", "null_cells", "seed", "no_baseline", "no_controls", "identity_by", "scale", "pairs"),
    *("gmt", "no_figures"),
)
OFFICIAL = ("screen", "screen_edit", "max_genes", "genes", "against")
ALL = "all"


def edit_options(function: FunctionT) -> FunctionT:
    """Give a command the options that say what is edited, where, toward what, and how it is read out."""
    state = '"COLUMN=VALUE"'
    return _with(
        function,
        click.option(
            "--readout", type=click.Choice(["matched", "official"]), default="matched", show_default=True,
            help="What is measured: ours, beside matched random genes, or what the authors of Geneformer measure.",
        ),
        *(_kind_option(kind) for kind in KINDS),
        click.option(
            "--quartiles", type=click.IntRange(1, 3), default=1, show_default=True,
            help="By how many quartiles of the ranks --inhibit and --activate move a gene.",
        ),
        click.option("--together", is_flag=True, help="Edit all genes of an option at once."),
        click.option("--cells", metavar=state, help="Only these cells; all where not given."),
        click.option(
            "--start", metavar=state, help="Edit the cells of this state; matched: another word for --cells."
        ),
        click.option("--goal", metavar=state, help="Measure the shift of cells toward this state,"),
        click.option("--alternative", metavar=state, multiple=True, help="and toward this one; may be repeated."),
        click.option("--per-cell", is_flag=True, help="Also write the table of cells: one row per cell and edit."),
    )  # fmt: skip


def own_options(function: FunctionT) -> FunctionT:
    """Give a command the options of our own readout."""
    return _with(
        function,
        click.option(
            "--scale", multiple=True, metavar="GENE=0.5",
            help="matched: multiply the counts of a gene, 0 to 2 times, for models that read values. + and , as above.",
        ),
        click.option("--pairs", is_flag=True, help="matched: also what every pair of the genes does beyond the sum."),
        click.option("--group-by", metavar="COLUMN", help="matched: tell the effect for each value of a column."),
        click.option(
            "--identity-by", metavar="COLUMN", help="matched: cell types that a cell may change to; found if not given."
        ),
        click.option(
            "--null", type=click.IntRange(0), default=100, show_default=True, help="matched: random genes to compare."
        ),
        click.option(
            "--null-cells", callback=_number_or_all, metavar="N|all",
            help="matched: compare each gene on so many cells that hold it, or on all of them.",
        ),
        click.option(
            "--seed", type=click.IntRange(0), default=0, show_default=True, help="matched: chooses random genes, cells."
        ),
        click.option("--no-baseline", is_flag=True, help="matched: leave out PCA, and what baselines explain."),
        click.option("--no-controls", is_flag=True, help="matched: leave out controls and the other groups."),
        click.option(
            "--gmt", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
            help="matched: gene sets to look for among the genes that follow an edit.",
        ),
        click.option("--no-figures", is_flag=True, help="matched: write no figures beside the report."),
    )  # fmt: skip


def official_options(function: FunctionT) -> FunctionT:
    """Give a command the options of the authors' readout."""
    return _with(
        function,
        click.option("--screen", type=click.Choice(["all"]), help="official: edit each gene of each cell, one by one."),
        click.option(
            "--screen-edit", type=click.Choice(KINDS), default="delete", show_default=True,
            help="official: which edit --screen makes.",
        ),
        click.option(
            "--max-genes", type=click.IntRange(1), metavar="N", help="official: only the N first genes of each cell."
        ),
        click.option("--genes", is_flag=True, help="official: also compare every other gene; genes.parquet."),
        click.option(
            "--against", metavar='"COLUMN=VALUE"',
            help="official: compare with the same edits in these cells (vs_null).",
        ),
    )  # fmt: skip


def require_readout(context: click.Context, readout: str) -> None:
    """Raise a `RequestError` where an option of the other readout was given."""
    other, name = (OFFICIAL, "official") if readout == "matched" else (OWN, "matched")
    given = [option for option in other if context.get_parameter_source(option) is ParameterSource.COMMANDLINE]
    if given:
        named = ", ".join(f"--{option.replace('_', '-')}" for option in given)
        msg = f"{named}: belongs to --readout {name}, found --readout {readout}. Leave it out, or change the readout."
        raise RequestError(msg, "option-of-other-readout")


def groups_of_names(
    given: Sequence[str], *, comma_joins: bool, together: bool
) -> list[tuple[str, ...]]:
    """Read the values of an option that names genes: each tuple is edited together.

    Parameters
    ----------
    given
        One text per use of the option; ``+`` joins genes.
    comma_joins
        Whether a comma joins genes too, or begins another edit.
    together
        Whether all genes of all texts are edited together.

    Examples
    --------
    >>> groups_of_names(["LYZ,CD3D+CD3E"], comma_joins=False, together=False)
    [('LYZ',), ('CD3D', 'CD3E')]
    >>> groups_of_names(["LYZ,CD3D", "CD79A"], comma_joins=True, together=False)
    [('LYZ', 'CD3D'), ('CD79A',)]
    """
    texts = [text.replace(",", "+") if comma_joins else text for text in given]
    parts = [part for text in texts for part in text.split(",")]
    groups = [tuple(name.strip() for name in part.split("+") if name.strip()) for part in parts]
    groups = [group for group in groups if group]
    return [tuple(name for group in groups for name in group)] if together and groups else groups


def named_groups(options: Mapping[str, Any]) -> dict[str, list[tuple[str, ...]]]:
    """Return the groups of gene names of each kind of edit but scaling.

    Raises
    ------
    RequestError
        If an option names no gene.
    """
    found = {}
    for kind in KINDS:
        if not options[kind]:
            continue
        comma_joins = options["readout"] == "official"
        found[kind] = groups_of_names(options[kind], comma_joins=comma_joins, together=options["together"])
        if not found[kind]:
            msg = f"--{kind} names genes, with commas between them: --{kind} LYZ,CD3D."
            raise RequestError(msg, "no-genes")
    return found


def scaled_groups(given: Sequence[str], *, together: bool) -> list[tuple[tuple[str, float], ...]]:
    """Read the values of ``--scale``: each tuple of names and factors is edited together.

    Raises
    ------
    RequestError
        If a part is not ``GENE=FACTOR``.

    Examples
    --------
    >>> scaled_groups(["LYZ=0.5,CD3D=2+CD3E=0"], together=False)
    [(('LYZ', 0.5),), (('CD3D', 2.0), ('CD3E', 0.0))]
    """
    groups = groups_of_names(given, comma_joins=False, together=together)
    if given and not groups:
        msg = "--scale names genes and factors, such as --scale LYZ=0.5,CD3D=2."
        raise RequestError(msg, "no-genes")
    return [tuple(_factor(part) for part in group) for group in groups]


def _number_or_all(context: click.Context, option: click.Parameter, value: str | None) -> int | str | None:
    """Return a number of cells, or ``"all"``."""
    del context, option
    if value is None or value == ALL:
        return value
    if not value.isdecimal() or int(value) < 1:
        msg = f"expected a number of cells of at least 1, or all, found {value!r}."
        raise click.BadParameter(msg)
    return int(value)


def _factor(part: str) -> tuple[str, float]:
    name, _, text = part.rpartition("=")
    try:
        return name.strip() or _no_factor(part), float(text)
    except ValueError:
        return _no_factor(part), 0.0


def _no_factor(part: str) -> str:
    msg = f"--scale reads GENE=FACTOR with a factor from 0 to 2, such as LYZ=0.5, found {part!r}."
    raise RequestError(msg, "bad-factor")


def _kind_option(kind: str) -> Callable[[Any], Any]:
    words = {
        "delete": "Genes to switch off, by symbol or Ensembl id. A+B edits both at once; a comma names another edit, "
        "under --readout official it joins as + does. May be repeated for further edits.",
        "overexpress": "Genes to put to the front of every cell.",
        "inhibit": "Genes to move down the ranks.",
        "activate": "Genes to move up the ranks.",
    }
    return click.option(f"--{kind}", multiple=True, metavar="G1,G2", help=words[kind])


def _with(function: FunctionT, *options: Callable[[Any], Any]) -> FunctionT:
    for option in reversed(options):
        function = option(function)
    return function
