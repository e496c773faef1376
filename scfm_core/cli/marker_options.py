"""The options that say what ``scfm markers`` compares, and which genes it shows."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from scfm_core.analyses.choose_markers import Cutoffs

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def comparison_options(function: FunctionT) -> FunctionT:
    """Give a command the options that say what is compared with what, over cells or over donors."""
    return _with(
        function,
        click.option(
            "--method", type=click.Choice(["wilcoxon", "t-test"]), default="wilcoxon", show_default=True,
            help="The test over cells; exploratory, since cells are no replicates.",
        ),
        click.option(
            "--reference", metavar="GROUP", default="rest", show_default=True, help="What a group is compared with.",
        ),
        click.option(
            "--within", multiple=True, metavar="COLUMN=VALUE", help="Only cells with this value, such as cell_type=B. "
            "May stand several times: values of one column add up, columns all have to fit.",
        ),
        click.option("--pseudobulk", is_flag=True, help="Donors as replicates: counts added up, DESeq2's model."),
        click.option(
            "--donor-column", metavar="COLUMN", help="--pseudobulk: who the cells are from. [default: the donor role]",
        ),
        click.option("--batch-column", metavar="COLUMN", help="--pseudobulk: a batch to take into the model."),
        click.option(
            "--min-cells", type=click.IntRange(1), default=10, show_default=True,
            help="--pseudobulk: cells of a donor on one side.",
        ),
    )  # fmt: skip


def cutoff_options(function: FunctionT) -> FunctionT:
    """Give a command the options that say which genes are shown; `cutoffs_of` reads them."""
    return _with(
        function,
        click.option(
            "--n-genes", "--top", "top", type=click.IntRange(1), metavar="N",
            help="Only so many genes per group, of those that pass. Else all tested.",
        ),
        click.option("--max-p", type=float, default=0.05, show_default=True, help="Largest adjusted p-value."),
        click.option(
            "--min-log2-fold-change", type=float, default=0.25, show_default=True,
            help="Smallest, in either direction.",
        ),
        click.option(
            "--min-share", type=float, default=0.1, show_default=True,
            help="Smallest share of cells that hold the gene.",
        ),
        click.option(
            "--max-share-out", type=float, default=1.0, show_default=True, help="Largest share on the other side.",
        ),
        click.option(
            "--direction", type=click.Choice(["higher", "lower", "both"]), default="higher", show_default=True,
            help="In the group, against what it is compared with.",
        ),
    )  # fmt: skip


def cutoffs_of(options: Mapping[str, Any]) -> "Cutoffs":
    """Return the cut-offs that the options give.

    Raises
    ------
    RequestError
        If one is out of its range.
    """
    from scfm_core.analyses.choose_markers import Cutoffs

    return Cutoffs(
        n_per_group=options["top"],
        max_p_adjusted=options["max_p"],
        min_log2_fold_change=options["min_log2_fold_change"],
        min_share=options["min_share"],
        max_share_other=options["max_share_out"],
        direction=options["direction"],
    )


def _with(function: FunctionT, *options: Callable[[Any], Any]) -> FunctionT:
    named: Sequence[Callable[[Any], Any]] = options
    for option in reversed(named):
        function = option(function)
    return function
