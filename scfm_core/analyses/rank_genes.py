"""How genes differ between groups of cells: tests, shares and means; knows matrices and groups, no dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

Test = Literal["wilcoxon", "t-test"]
REST = "rest"
MOST_GROUPS = 10_000
_SAME = 1e-9  # differences below this share of a mean come from rounding


@dataclass(frozen=True)
class Comparison:
    """Which cells are compared with which.

    Attributes
    ----------
    groups
        Names of the groups to test.
    reference
        ``"rest"``, or the name of the group that all are compared with.
    slots
        For each cell the position of its group in ``groups``; ``len(groups)`` for a cell that is of none of them but is
        compared with them; -1 for a cell that takes no part. Shape ``(n_cells,)``.
    """

    groups: tuple[str, ...]
    reference: str
    slots: NDArray[np.int16]

    @classmethod
    def of(
        cls, names: Sequence[str], codes: NDArray[np.integer[Any]], groups: tuple[str, ...], *, reference: str = REST
    ) -> "Comparison":
        """Return the comparison of some groups.

        Parameters
        ----------
        names, codes
            All groups, and the position of each cell's group among them, -1 for none, shape ``(n_cells,)``.
        groups
            Those of ``names`` to test, at most `MOST_GROUPS`.
        """
        beside = {name: len(groups) if reference == REST else -1 for name in names}
        known = beside | {name: slot for slot, name in enumerate(groups)}
        if reference != REST:
            known[reference] = len(groups)
        of_none = len(groups) if reference == REST else -1
        slots = np.array([*(known[name] for name in names), of_none], dtype=np.int16)[codes]
        return cls(groups, reference, slots)

    @property
    def n_in(self) -> NDArray[np.int64]:
        """Cells in each group, shape ``(n_groups,)``."""
        return np.asarray(self.sizes[:-1])

    @property
    def n_out(self) -> NDArray[np.int64]:
        """Cells that each group is compared with, shape ``(n_groups,)``."""
        if self.reference == REST:
            return np.asarray(self.sizes.sum() - self.sizes[:-1])
        return np.repeat(self.sizes[-1], len(self.groups))

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Cells in each slot, shape ``(n_groups + 1,)``."""
        return np.asarray(np.bincount(self.slots[self.slots >= 0], minlength=len(self.groups) + 1))


def compare_genes(
    counts: csc_matrix, scale: NDArray[np.float64], comparison: Comparison, *, method: Test
) -> dict[str, NDArray[np.float64]]:
    """Compare groups of cells in each gene.

    The ranks are exact at any size. Both tests look at entries above zero alone and count the zeros.

    Parameters
    ----------
    counts
        Shape ``(n_cells, n_genes)``.
    scale
        What the counts of a cell are multiplied with, shape ``(n_cells,)``. The rank sum test compares the scaled
        counts as float32, the t-test takes ln(1 + scaled count).
    method
        Wilcoxon's rank sum, with the correction for ties and without one for continuity; or Welch's t.

    Returns
    -------
    Each of shape ``(n_groups, n_genes)``: ``score`` (z, or t; 0 for a constant gene), ``p_value`` (two-sided),
    ``share_in``, ``share_out`` (of cells that hold the gene), ``mean_in``, ``mean_out`` (of the scaled counts).

    References
    ----------
    Hollander, Wolfe, Chicken 2014, Nonparametric Statistical Methods, Section 4.1; Welch 1947,
    doi:10.1093/biomet/34.1-2.28.
    """
    from scfm_core.analyses.gene_tallies import Rows, rank_columns, spread_of_columns

    rows = Rows(scale, comparison.slots, comparison.sizes)
    if method == "wilcoxon":
        tallies = rank_columns(counts, rows, pool=-1 if comparison.reference == REST else len(comparison.groups))
        score, p_value = _rank_sum_tests(tallies, comparison)
    else:
        tallies = spread_of_columns(counts, rows)
        score, p_value = _t_tests(tallies, comparison)
    n_in, n_out = comparison.n_in[:, None], comparison.n_out[:, None]
    return {
        "score": score,
        "p_value": p_value,
        "share_in": tallies["held"][:-1] / n_in,
        "share_out": _outside(comparison) @ tallies["held"] / n_out,
        "mean_in": tallies["total"][:-1] / n_in,
        "mean_out": _outside(comparison) @ tallies["total"] / n_out,
    }


def _outside(comparison: Comparison) -> NDArray[np.float64]:
    """Return which slots each group is compared with, 1 or 0, shape ``(n_groups, n_slots)``."""
    n_groups = len(comparison.groups)
    if comparison.reference == REST:
        return 1 - np.eye(n_groups, n_groups + 1)
    return np.tile(np.append(np.zeros(n_groups), 1.0), (n_groups, 1))


def _rank_sum_tests(
    tallies: dict[str, NDArray[np.float64]], comparison: Comparison
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.stats import norm

    n_in, n_out = (n.astype(np.float64)[:, None] for n in (comparison.n_in, comparison.n_out))
    n = n_in + n_out
    tied = tallies["ties"][:-1] / (n**3 - n)
    variance = n_in * n_out * (n + 1) / 12 * (1 - tied)
    above = tallies["rank_sum"][:-1] - n_in * (n + 1) / 2
    z = np.divide(above, np.sqrt(variance), out=np.zeros_like(above), where=tied < 1)
    return z, 2 * norm.sf(np.abs(z))


def _t_tests(
    tallies: dict[str, NDArray[np.float64]], comparison: Comparison
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.stats import ttest_ind_from_stats

    n_in, n_out = comparison.n_in[:, None], comparison.n_out[:, None]
    mean_in, spread_in = tallies["mean"][:-1], np.sqrt(tallies["squares"][:-1] / (n_in - 1))
    mean_out, spread_out = _joined(tallies, comparison)
    largest = np.maximum(mean_in, mean_out)
    mean_out = np.where(np.abs(mean_in - mean_out) <= _SAME * largest, mean_in, mean_out)
    spread_in, spread_out = (np.where(spread <= _SAME * largest, 0, spread) for spread in (spread_in, spread_out))
    with np.errstate(divide="ignore", invalid="ignore"):  # a gene without any spread
        found = ttest_ind_from_stats(mean_in, spread_in, n_in, mean_out, spread_out, n_out, equal_var=False)
    return np.nan_to_num(found.statistic, nan=0.0), np.nan_to_num(found.pvalue, nan=1.0)


def _joined(
    tallies: dict[str, NDArray[np.float64]], comparison: Comparison
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the cells that each group is compared with, ``(n_groups, n_genes)``."""
    outside, n_out = _outside(comparison), comparison.n_out[:, None]
    mean = (outside * comparison.sizes) @ tallies["mean"] / n_out
    squares = outside @ tallies["squares"]
    for group, slots in enumerate(outside):
        squares[group] += (slots * comparison.sizes) @ (tallies["mean"] - mean[group]) ** 2
    return mean, np.sqrt(squares / (n_out - 1))
