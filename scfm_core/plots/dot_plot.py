"""Dot plot: in how many cells of a group a gene is found, and how strongly."""

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.summarise_groups import GroupExpression
from scfm_core.plots.figure import Continuous, Figure, Points, SizeKey, one_line, plain_number
from scfm_core.plots.marker_grid import UNIT, gene_grid

_LARGEST_DOT, _CROWDED_DOT = 19.0, 14.0
_MANY_GENES = 20
_SHARES = (0.25, 0.5, 0.75, 1.0)


def dot_plot(summary: GroupExpression, *, groups_are: str = "", title: str = "") -> Figure:
    """Draw, for each group and gene, the share of cells that hold it (size) and the mean expression (colour).

    Parameters
    ----------
    groups_are
        What the groups are, such as the name of a column.
    title
        The finding; the numbers of genes, groups and cells where empty.

    Raises
    ------
    RequestError
        If there are more genes than a figure holds, see `scfm_core.plots.marker_grid.gene_grid`.
    """
    means, shares = np.asarray(summary.means), np.asarray(summary.shares)
    limits = (0.0, float(max(means.max(initial=0.0), 1e-3)))
    largest = _CROWDED_DOT if len(summary.symbols) > _MANY_GENES else _LARGEST_DOT
    key = SizeKey(
        title="Cells that hold it",
        sizes=tuple(largest * float(np.sqrt(share)) for share in _SHARES),
        labels=tuple(f"{100 * share:.0f} %" for share in _SHARES),
    )

    def dots(genes: NDArray[np.int64], genes_in_rows: bool) -> Points:
        groups, places = (index.ravel() for index in np.indices((len(summary.groups), len(genes))))
        columns = genes[places]
        colour = Continuous(values=means[groups, columns], scale="expression", limits=limits, title=f"Mean, {UNIT}")
        across, down = (groups, places) if genes_in_rows else (places, groups)
        return Points(
            x=across.astype(np.float64),
            y=down.astype(np.float64),
            colour=colour,
            size=largest * np.sqrt(shares[groups, columns]),
            hover=tuple(_words(summary, int(group), int(gene)) for group, gene in zip(groups, columns, strict=True)),
            size_key=key,
        )

    return gene_grid(
        summary,
        dots,
        groups_are=groups_are,
        title=title,
        caption="The area of a dot is the share of cells with at least one count, its colour the mean over all cells "
        "of the group, also those without.",
    )


def _words(summary: GroupExpression, group: int, gene: int) -> str:
    return (
        f"{one_line(summary.symbols[gene])} in {one_line(summary.groups[group], longest=40)}\n"
        f"held by {100 * summary.shares[group, gene]:.0f} % of cells\n"
        f"mean {plain_number(float(summary.means[group, gene]))}, {UNIT}"
    )
