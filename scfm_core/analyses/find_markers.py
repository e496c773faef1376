"""Which genes tell a group of cells from the others?

Cells of one donor are no independent replicates: the p-values rank genes, they do not speak about people.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.grouping import Grouping, group_codes, in_reading_order
from scfm_core.analyses.rank_genes import MOST_GROUPS, REST, Comparison, Test, compare_genes
from scfm_core.analyses.read_expression import scale_to_depth
from scfm_core.count_files import cut_lines
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

PSEUDO_COUNT = 1.0  # counts per 10,000
MIN_CELLS_OF_GENE = 3
MIN_CELLS_OF_GROUP = 2
_COUNTS_PER_PIECE = 60_000_000  # stored counts; about a second on one core
_COUNTS_AT_ONCE = 1_000_000  # of these are in the memory of one thread
_STATISTICS = ("score", "p_value", "share_in", "share_out", "mean_in", "mean_out")
COLUMNS = (
    "group",
    "gene_id",
    "symbol",
    "score",
    "log2_fold_change",
    "p_value",
    "p_adjusted",
    "share_in",
    "share_out",
    "mean_in",
    "mean_out",
    "n_in",
    "n_out",
)


@dataclass(frozen=True)
class Markers:
    """How each tested gene differs between each group and the cells it is compared with.

    Attributes
    ----------
    table
        One row per group and gene, by group in reading order, then by falling score. Columns: ``group``, ``gene_id``,
        ``symbol``; ``score`` (z of the rank sum, or t); ``log2_fold_change`` (of the mean counts per 10,000, 1 added to
        both); ``p_value`` (two-sided); ``p_adjusted`` (Benjamini-Hochberg over the genes of the group); ``share_in``,
        ``share_out`` (of cells that hold the gene); ``mean_in``, ``mean_out`` (counts per 10,000); ``n_in``, ``n_out``
        (cells).
    """

    table: pd.DataFrame


@dataclass(frozen=True)
class FindMarkers(Request[Markers]):
    """Test every gene that at least 3 cells express, in each group of cells against others.

    Parameters
    ----------
    method
        Wilcoxon's rank sum (with correction for ties), or Welch's t on log-normalised expression.
    reference
        ``"rest"``: all other cells of the dataset, in a group or not. Or the name of a group.

    Raises
    ------
    RequestError
        If no group has at least 2 cells and 2 others to compare with, or the reference is no group.
    """

    dataset: Dataset
    grouping: Grouping
    method: Test = "wilcoxon"
    reference: str = REST

    version: ClassVar[int] = 2  # scores are no longer rounded to float32 since then
    result_type: ClassVar[type] = Markers

    def __post_init__(self) -> None:
        if self.method not in ("wilcoxon", "t-test"):
            msg = f"No test is called {self.method!r}. Choose wilcoxon or t-test."
            raise RequestError(msg, "unknown-method")

    def run(self, context: Context) -> Markers:
        """See `Request.run`."""
        names, codes = group_codes(context, self.dataset, self.grouping)
        groups = _groups_to_test(context, names, codes, self.reference)
        comparison = Comparison.of(names, codes, groups, reference=self.reference)
        held = self.dataset.cells_per_gene
        genes = np.flatnonzero(held >= MIN_CELLS_OF_GENE)
        if len(genes) == 0:
            msg = f"Expected genes that at least {MIN_CELLS_OF_GENE} cells express, found none among {len(held):,}."
            raise RequestError(msg, "no-genes")
        context.log(f"{len(genes):,} of {len(held):,} genes are expressed in at least {MIN_CELLS_OF_GENE} cells")
        pieces = [genes[start:stop] for start, stop in cut_lines(_pointers(held[genes]), _COUNTS_PER_PIECE)]
        step = f"Comparing {len(groups)} group{'s' if len(groups) > 1 else ''} by {self.method}"
        compare = partial(_compare, self.dataset, comparison, self.method)
        parts = list(context.map(compare, pieces, step=step, sizes=[len(piece) for piece in pieces], unit="genes"))
        found = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
        return Markers(_table(self.dataset, comparison, genes, found))


def top_markers(
    table: pd.DataFrame,
    *,
    n_per_group: int,
    max_p_adjusted: float = 0.05,
    min_log2_fold_change: float = 0.25,
    min_share_in: float = 0.1,
) -> pd.DataFrame:
    """Return the strongest genes of each group that pass the cut-offs, in the order of the table.

    Parameters
    ----------
    table
        As in `Markers`.
    n_per_group
        At most so many; fewer where fewer pass.
    """
    passed = (
        (table["p_adjusted"] <= max_p_adjusted)
        & (table["log2_fold_change"] >= min_log2_fold_change)
        & (table["share_in"] >= min_share_in)
    )
    return table[passed].groupby("group", sort=False, observed=True).head(n_per_group).reset_index(drop=True)


def adjusted_p_values(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values for their number, along the last axis.

    References
    ----------
    Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    from scipy.stats import false_discovery_control

    adjusted: NDArray[np.float64] = false_discovery_control(p_values, axis=-1)
    return adjusted


def _groups_to_test(
    context: Context, names: tuple[str, ...], codes: NDArray[np.integer[Any]], reference: str
) -> tuple[str, ...]:
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    sizes = {name: int(count) for name, count in zip(names, counts, strict=True) if count}
    if reference != REST and reference not in sizes:
        msg = f"No group is called {reference!r}. Compare with 'rest' or one of: {', '.join(in_reading_order(sizes))}."
        raise RequestError(msg, "unknown-reference")
    groups: list[str] = []
    skipped: list[str] = []
    for name in in_reading_order(sizes):
        if name == reference:
            continue
        n_out = len(codes) - sizes[name] if reference == REST else sizes[reference]
        (groups if min(sizes[name], n_out) >= MIN_CELLS_OF_GROUP else skipped).append(name)
    if not groups:
        found = ", ".join(f"{name!r} ({sizes[name]:,})" for name in in_reading_order(sizes)[:12]) or "no group at all"
        msg = (
            f"Expected a group of at least {MIN_CELLS_OF_GROUP} cells and as many cells to compare it with, among "
            f"{len(codes):,} cells; found {found}. Choose a column or selections with more cells on both sides."
        )
        raise RequestError(msg, "nothing-to-compare")
    if len(groups) > MOST_GROUPS:
        msg = f"Expected at most {MOST_GROUPS:,} groups, found {len(groups):,}. Choose a column with fewer values."
        raise RequestError(msg, "too-many-groups")
    if skipped:
        context.log(f"Left out, too few cells on one side of the comparison: {_listed(skipped)}")
    return tuple(groups)


def _listed(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _compare(
    dataset: Dataset, comparison: Comparison, method: Test, genes: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return what `compare_genes` does for some genes, given by position, read and compared on all cores."""
    from concurrent.futures import ThreadPoolExecutor

    from scfm_core.analyses.gene_tallies import N_THREADS

    pointers = _pointers(dataset.cells_per_gene[genes])
    scale = scale_to_depth(dataset)
    spans = cut_lines(pointers, min(_COUNTS_AT_ONCE, int(pointers[-1]) // N_THREADS + 1))

    def compare(span: tuple[int, int]) -> dict[str, NDArray[np.float64]]:
        return compare_genes(dataset.counts_of_genes(genes[slice(*span)]), scale, comparison, method=method)

    with ThreadPoolExecutor(N_THREADS) as pool:
        parts = list(pool.map(compare, spans))
    return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}


def _pointers(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)])


def _table(
    dataset: Dataset, comparison: Comparison, genes: NDArray[np.int64], found: dict[str, NDArray[np.float64]]
) -> pd.DataFrame:
    n_groups, n_genes = found["score"].shape
    columns = {
        "group": np.repeat(np.array(comparison.groups, dtype=object), n_genes),
        "gene_id": np.tile(np.array(dataset.gene_ids, dtype=object)[genes], n_groups),
        "symbol": np.tile(np.array(dataset.gene_symbols, dtype=object)[genes], n_groups),
        "n_in": np.repeat(comparison.n_in, n_genes),
        "n_out": np.repeat(comparison.n_out, n_genes),
        "p_adjusted": adjusted_p_values(found["p_value"]).ravel(),
        **{name: found[name].ravel() for name in _STATISTICS},
    }
    inside, outside = columns["mean_in"] + PSEUDO_COUNT, columns["mean_out"] + PSEUDO_COUNT
    table = pd.DataFrame({**columns, "log2_fold_change": np.log2(inside / outside)})[list(COLUMNS)]
    order = np.lexsort((np.tile(genes, n_groups), -table["score"], np.repeat(np.arange(n_groups), n_genes)))
    return table.iloc[order].reset_index(drop=True)
