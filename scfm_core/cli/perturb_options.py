"""The options of ``scfm perturb``, and how the genes on its command line are read; knows no model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from scfm_core.errors import RequestError

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
KINDS = ("delete", "overexpress", "inhibit", "activate")
OWN = ("group_by", "null", "null_cells", "seed", "no_baseline")
OFFICIAL = (
    *("overexpress", "inhibit", "activate", "quartiles", "screen", "screen_edit", "max_genes", "start", "goal"),
    *("alternative", "genes", "against"),
)


def edit_options(function: FunctionT) -> FunctionT:
    """Give a command the options that say what is edited, and how it is read out."""
    return _with(
        function,
        click.option(
            "--readout",
            type=click.Choice(["matched", "official"]),
            default="matched",
            show_default=True,
            help="What is measured: ours, beside matched random genes, or what the authors of Geneformer measure.",
        ),
        *(_kind_option(kind) for kind in KINDS),
        click.option("--together", is_flag=True, help="Edit all genes of an option at once."),
        click.option("--cells", metavar='"COLUMN=VALUE"', help="Only these cells; all where not given."),
        click.option("--per-cell", is_flag=True, help="Also write cells.parquet: one row per cell and edit."),
    )


def own_options(function: FunctionT) -> FunctionT:
    """Give a command the options of our own readout."""
    return _with(
        function,
        click.option("--group-by", metavar="COLUMN", help="matched: tell the effect for each value of a column."),
        click.option(
            "--null", type=click.IntRange(0), default=100, show_default=True, help="matched: random genes to compare."
        ),
        click.option("--null-cells", type=click.IntRange(1), help="matched: measure each gene on so many cells."),
        click.option(
            "--seed", type=click.IntRange(0), default=0, show_default=True, help="matched: chooses random genes, cells."
        ),
        click.option("--no-baseline", is_flag=True, help="matched: leave out the same deletion in the PCA baseline."),
    )


def official_options(function: FunctionT) -> FunctionT:
    """Give a command the options of the authors' readout."""
    state = '"COLUMN=VALUE"'
    return _with(
        function,
        click.option(
            "--quartiles", type=click.IntRange(1, 3), default=1, show_default=True,
            help="official: by how many quartiles of the ranks --inhibit and --activate move a gene.",
        ),
        click.option("--screen", type=click.Choice(["all"]), help="official: edit each gene of each cell, one by one."),
        click.option(
            "--screen-edit", type=click.Choice(KINDS), default="delete", show_default=True,
            help="official: which edit --screen makes.",
        ),
        click.option(
            "--max-genes", type=click.IntRange(1), metavar="N", help="official: only the N first genes of each cell."
        ),
        click.option("--start", metavar=state, help="official: edit the cells of this state, and measure shifts"),
        click.option("--goal", metavar=state, help="official: toward this one,"),
        click.option("--alternative", metavar=state, multiple=True, help="official: and this; may be repeated."),
        click.option("--genes", is_flag=True, help="official: also compare every other gene; genes.parquet."),
        click.option(
            "--against", metavar=state, help="official: compare with the same edits in these cells (vs_null)."
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
    """Return the groups of gene names of each kind of edit.

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


def _kind_option(kind: str) -> Callable[[Any], Any]:
    words = {
        "delete": "Genes to switch off, by symbol or Ensembl id. A+B edits both at once; a comma names another edit, "
        "under --readout official it joins as + does. May be repeated for further edits.",
        "overexpress": "official: genes to put to the front of every cell.",
        "inhibit": "official: genes to move down the ranks.",
        "activate": "official: genes to move up the ranks.",
    }
    return click.option(f"--{kind}", multiple=True, metavar="G1,G2", help=words[kind])


def _with(function: FunctionT, *options: Callable[[Any], Any]) -> FunctionT:
    for option in reversed(options):
        function = option(function)
    return function
