"""In which cells are two genes found together, and more often than apart?"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.group_sums import present_groups
from scfm_core.analyses.grouping import Grouping
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

NEITHER, FIRST, SECOND, BOTH = range(4)
ALL = "all of them"
_DEPTHS = 10
COLUMNS = (
    "group", "n_cells", "n_neither", "n_first", "n_second", "n_both", "share_neither", "share_first", "share_second",
    "share_both", "share_expected", "odds_ratio", "odds_low", "odds_high", "odds_at_like_depth",
)  # fmt: skip


@dataclass(frozen=True)
class Coexpression:
    """Where two genes are found, cell by cell and group by group.

    Attributes
    ----------
    states
        Of each cell of the dataset: 0 neither, 1 the first gene only, 2 the second only, 3 both; shape ``(n_cells,)``,
        int8.
    table
        One row per group, then one for all cells in a group, called "all of them": ``group``, ``n_cells``; ``n_`` and
        ``share_`` of ``neither``, ``first`` only, ``second`` only, ``both``; ``share_expected`` with both were they
        independent; ``odds_ratio`` with its 95 % interval ``odds_low``, ``odds_high`` over cells (0.5 added to each of
        the four counts, Haldane-Anscombe; Woolf's interval); ``odds_at_like_depth``, the same among cells of like
        total counts (Mantel-Haenszel over tenths of the group; NaN where no tenth tells).
    symbols
        Of the two genes.
    """

    states: NDArray[np.int8]
    table: pd.DataFrame
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class CoexpressGenes(Request[Coexpression]):
    """Count the cells that hold one, the other, both or neither of two genes, in each group.

    A gene that was missed counts as absent. Deep cells hold more of every gene, so two genes seem to go together
    wherever depths differ; the odds ratio at like depth takes most of that away.

    Raises
    ------
    RequestError
        If a gene is not in the dataset, or both are the same ("same-gene").

    References
    ----------
    Woolf 1955, doi:10.1111/j.1469-1809.1955.tb01348.x; Mantel and Haenszel 1959, doi:10.1093/jnci/22.4.719.
    """

    dataset: Dataset
    grouping: Grouping
    first: str
    second: str

    result_type: ClassVar[type] = Coexpression

    def __post_init__(self) -> None:
        if self.first == self.second:
            msg = f"Expected two different genes, found {self.first} twice. Choose another one."
            raise RequestError(msg, "same-gene")

    def run(self, context: Context) -> Coexpression:
        """See `Request.run`."""
        names = dict(zip(self.dataset.gene_ids, self.dataset.gene_symbols, strict=True))
        missing = [gene_id for gene_id in (self.first, self.second) if gene_id not in names]
        if missing:
            msg = f"{missing[0]} is not among the {self.dataset.n_genes:,} genes of this dataset. Choose another one."
            raise RequestError(msg, "unknown-gene")
        read = partial(_states, self.dataset, self.first, self.second)
        states = context.call(read, step=f"Reading {names[self.first]} and {names[self.second]}")
        groups, codes = present_groups(context, self.dataset, self.grouping)
        totals = self.dataset.total_counts
        members = [codes == place for place in range(len(groups))]
        named = [*zip(groups, members, strict=True), (ALL, codes >= 0)]
        rows = [_row(name, states[cells], totals[cells]) for name, cells in named]
        return Coexpression(states, pd.DataFrame(rows)[list(COLUMNS)], (names[self.first], names[self.second]))


def odds_ratio(n: NDArray[np.integer]) -> tuple[float, float, float]:
    """Return the odds ratio of four counts (neither, first, second, both), and its 95 % interval.

    Examples
    --------
    >>> [round(value, 2) for value in odds_ratio(np.array([40, 10, 10, 40]))]
    [14.88, 5.7, 38.85]
    """
    neither, first, second, both = n + 0.5
    logarithm = np.log(neither * both / (first * second))
    error = 1.959964 * np.sqrt((1 / (n + 0.5)).sum())
    low, middle, high = (float(np.exp(logarithm + step)) for step in (-error, 0.0, error))
    return middle, low, high


def odds_at_like_depth(states: NDArray[np.integer], totals: NDArray[np.float64]) -> float:
    """Return the odds ratio among cells of like total counts, by Mantel and Haenszel; NaN where no stratum tells."""
    order = np.argsort(totals, kind="stable")
    strata = np.array_split(states[order], min(_DEPTHS, max(len(states), 1)))
    counts = np.array([np.bincount(each, minlength=4) for each in strata], dtype=np.float64)
    n = np.maximum(counts.sum(axis=1), 1.0)
    together, apart = counts[:, NEITHER] * counts[:, BOTH] / n, counts[:, FIRST] * counts[:, SECOND] / n
    return float(together.sum() / apart.sum()) if apart.sum() > 0 else float("nan")


def _states(dataset: Dataset, first: str, second: str) -> NDArray[np.int8]:
    states = (dataset.expression(first) > 0) + 2 * (dataset.expression(second) > 0)
    return np.asarray(states, dtype=np.int8)


def _row(group: str, states: NDArray[np.integer], totals: NDArray[np.float64]) -> dict[str, object]:
    counts = np.bincount(states, minlength=4)
    n_cells = len(states)
    n = max(n_cells, 1)
    middle, low, high = odds_ratio(counts)
    kinds = dict(zip(("neither", "first", "second", "both"), counts.tolist(), strict=True))
    return {
        "group": group,
        "n_cells": n_cells,
        **{f"n_{kind}": number for kind, number in kinds.items()},
        **{f"share_{kind}": number / n for kind, number in kinds.items()},
        "share_expected": (counts[FIRST] + counts[BOTH]) * (counts[SECOND] + counts[BOTH]) / n**2,
        "odds_ratio": middle,
        "odds_low": low,
        "odds_high": high,
        "odds_at_like_depth": odds_at_like_depth(states, totals),
    }
