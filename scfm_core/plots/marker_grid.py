"""Genes by groups of cells: how a grid of both is laid out so that every name can be read; knows no statistic."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.summarise_groups import GroupExpression
from scfm_core.errors import RequestError
from scfm_core.plots.figure import Axis, Figure, Mark, Panel, grouped_number, one_line

UNIT = "ln(1 + counts per 10,000)"
MAX_GENES = 100
CAVEAT = (
    "Groups that were made from the same counts always differ in some genes, so a small p is no proof that a group is "
    "a cell type. Cells of one donor are not independent replicates."
)
_UPRIGHT_GENES = 20  # more stand in rows, where names are read without turning the head
_ROWS_PER_PANEL, _GROUPS_OF_TWO_PANELS = 50, 15
Ticks = tuple[tuple[float, str], ...]


def gene_grid(
    summary: GroupExpression,
    make: Callable[[NDArray[np.int64], bool], Mark],
    *,
    groups_are: str,
    title: str,
    caption: str,
) -> Figure:
    """Lay out one mark per panel: groups in rows for up to 20 genes, genes in rows for more, up to 100.

    Parameters
    ----------
    make
        Is given the positions of a panel's genes, and whether genes stand in rows; returns the mark, in which the
        first gene and the first group stand at 0.
    groups_are
        What the groups are, such as the name of a column.

    Raises
    ------
    RequestError
        If there are more than 100 genes, or none.
    """
    n_genes = len(summary.symbols)
    if not 1 <= n_genes <= MAX_GENES:
        msg = f"Expected 1 to {MAX_GENES} genes in a figure, found {n_genes:,}. Draw them in several figures."
        raise RequestError(msg, "too-many-genes")
    flat = n_genes <= _UPRIGHT_GENES
    pieces = [np.arange(n_genes)] if flat else _pieces(n_genes, len(summary.groups))
    groups = group_ticks(summary.groups, summary.n_cells)
    panels = []
    for piece in pieces:
        genes = Axis(title="Gene", limits=(-0.6, len(piece) - 0.4), ticks=_named(summary.symbols, piece))
        if flat:
            rows = Axis(title=groups_title(groups_are), limits=(len(groups) - 0.4, -0.6), ticks=groups)
            panels.append(Panel(x=genes, y=rows, marks=(make(piece, False),)))
        else:
            rows = Axis(title="Gene", limits=genes.limits[::-1], ticks=genes.ticks)
            columns = Axis(title=groups_title(groups_are), limits=(-0.6, len(groups) - 0.4), ticks=groups)
            panels.append(Panel(x=columns, y=rows, marks=(make(piece, True),)))
    height = 42 + 6 * len(groups) if flat else 48 + 4.2 * len(pieces[0])
    return Figure(
        panels=tuple(panels),
        columns=len(panels),
        title=title or counted_title(n_genes, summary.n_cells),
        caption=caption,
        caveat=CAVEAT,
        width_mm=float(np.clip(60 + 6 * n_genes, 120, 183)) if flat else 183.0,
        height_mm=float(np.clip(height, 75, 460)),
    )


def counted_title(n_genes: int, n_cells: NDArray[np.integer]) -> str:
    """Say how many genes, groups and cells a figure shows; the cells are all those of the groups."""
    genes, groups = "gene" if n_genes == 1 else "genes", "group" if len(n_cells) == 1 else "groups"
    return f"{n_genes} {genes} in {len(n_cells)} {groups}, n = {grouped_number(int(n_cells.sum()))} cells"


def group_ticks(groups: Sequence[str], n_cells: NDArray[np.integer]) -> Ticks:
    """Return the places and names of groups on an axis, each with its number of cells."""
    named = zip(groups, n_cells, strict=True)
    return tuple(
        (float(at), f"{one_line(name, longest=40)} (n = {grouped_number(int(n))})")
        for at, (name, n) in enumerate(named)
    )


def groups_title(groups_are: str) -> str:
    """Return the title of the axis of groups."""
    return one_line(groups_are) or "Group of cells"


def _named(symbols: Sequence[str], places: NDArray[np.int64]) -> Ticks:
    return tuple((float(at), one_line(symbols[place], longest=20)) for at, place in enumerate(places))


def _pieces(n_genes: int, n_groups: int) -> list[NDArray[np.int64]]:
    n_panels = 2 if n_genes > _ROWS_PER_PANEL and n_groups <= _GROUPS_OF_TWO_PANELS else 1
    return np.array_split(np.arange(n_genes), n_panels)
