"""Matrix plot: the mean of each gene in each group as a colour."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.summarise_groups import GroupExpression
from scfm_core.errors import RequestError
from scfm_core.plots.figure import Continuous, Figure, FloatArray, HeatMap, one_line, plain_number
from scfm_core.plots.marker_grid import UNIT, gene_grid

MatrixScale = Literal["mean", "per gene", "z-score"]
_MEANING = {
    "mean": "the mean over all cells of the group",
    "per gene": "where the group's mean lies between the smallest (0) and the largest (1) mean of that gene, so genes "
    "cannot be compared with each other",
    "z-score": "how far the group's mean lies from the mean of all groups, in standard deviations between groups",
}


def matrix_plot(
    summary: GroupExpression, *, scale: MatrixScale = "mean", groups_are: str = "", title: str = ""
) -> Figure:
    """Draw the mean of each gene in each group, as it is, scaled from 0 to 1 for each gene, or as z-score.

    Raises
    ------
    RequestError
        If there is no such scale, or there are more genes than a figure holds.
    """
    if scale not in get_args(MatrixScale):
        msg = f"No scale is called {scale!r}. Choose one of {', '.join(get_args(MatrixScale))}."
        raise RequestError(msg, "unknown-scale")
    means = np.asarray(summary.means)
    shown = _scaled(means, scale)

    def matrix(genes: NDArray[np.int64], genes_in_rows: bool) -> HeatMap:
        values = shown.values[:, genes]
        words = [[_words(summary, group, gene) for gene in genes] for group in range(len(summary.groups))]
        hover = list(zip(*words, strict=True)) if genes_in_rows else words
        colour = Continuous(
            values=values.T if genes_in_rows else values, scale=shown.scale, limits=shown.limits, title=shown.title
        )
        return HeatMap(colour=colour, hover=tuple(tuple(row) for row in hover))

    return gene_grid(summary, matrix, groups_are=groups_are, title=title, caption=f"The colour is {_MEANING[scale]}.")


def _scaled(means: FloatArray, scale: MatrixScale) -> Continuous:
    if scale == "mean":
        high = float(max(means.max(initial=0.0), 1e-3))
        return Continuous(values=means, scale="expression", limits=(0.0, high), title=f"Mean, {UNIT}")
    if scale == "per gene":
        low, reach = means.min(axis=0), np.ptp(means, axis=0)
        values = (means - low) / np.where(reach > 0, reach, 1.0)
        return Continuous(values=values, scale="viridis", limits=(0.0, 1.0), title="Mean, 0 to 1 within each gene")
    return standardised(means, what="group means", axis=0)


def standardised(values: FloatArray, *, what: str, axis: int) -> Continuous:
    """Return z-scores along an axis, in signed colours that reach from -3 to 3 at most."""
    values = np.asarray(values, dtype=np.float64)
    spread = np.asarray(values.std(axis=axis, keepdims=True))
    scores = (values - values.mean(axis=axis, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    reach = float(np.clip(np.percentile(np.abs(scores), 99.5), 0.5, 3.0))
    return Continuous(values=scores, scale="signed", limits=(-reach, reach), title=f"z-score over {what}")


def _words(summary: GroupExpression, group: int, gene: int) -> str:
    return (
        f"{one_line(summary.symbols[gene])} in {one_line(summary.groups[group], longest=40)}\n"
        f"mean {plain_number(float(summary.means[group, gene]))}, {UNIT}\n"
        f"held by {100 * summary.shares[group, gene]:.0f} % of cells"
    )
