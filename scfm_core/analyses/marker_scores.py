"""Scores of sets of genes in groups of cells, and two nulls for them; knows no cell types."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.analyses.find_markers import MIN_CELLS_OF_GENE
from scfm_core.analyses.read_expression import normalised_genes
from scfm_core.dataset import Dataset
from scfm_core.request import Context

MIN_CELLS = 5
N_RANDOM_SETS = 20_000
N_RESAMPLES = 1_000
_ALIKE = 100  # genes of like abundance that stand in for one
_VALUES_PER_CHUNK = 60_000_000  # cells x genes, kept sparse
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GeneStatistics:
    """How every expressed gene differs between each group and all other cells.

    Attributes
    ----------
    groups
        Names, in the order of the rows.
    genes
        Positions in the dataset of the genes that at least 3 cells hold, shape ``(n_genes,)``.
    scores
        Normal scores of the ranks of the standardised differences, shape ``(n_groups, n_genes)``.
    by_abundance
        Genes by rising mean expression, shape ``(n_genes,)``.
    share_in, share_out
        Of the cells in the group and of all others, those that hold the gene, shape ``(n_groups, n_genes)``.
    """

    groups: tuple[str, ...]
    genes: NDArray[np.int64]
    scores: FloatArray
    by_abundance: NDArray[np.int64]
    share_in: FloatArray
    share_out: FloatArray


def gene_statistics(
    context: Context, dataset: Dataset, labels: NDArray[np.str_], groups: Sequence[str]
) -> GeneStatistics:
    """Compare every gene between each group and all other cells of the dataset."""
    size = max(1, min(4000, _VALUES_PER_CHUNK // dataset.n_cells))
    spans = [(start, min(start + size, dataset.n_genes)) for start in range(0, dataset.n_genes, size)]
    sums = partial(compare_genes, dataset, places_of(labels, groups), len(groups))
    step = f"Comparing {len(groups):,} groups with the others"
    sizes = [stop - start for start, stop in spans]
    return joined_statistics(list(context.map(sums, spans, step=step, sizes=sizes, unit="genes")), groups)


def places_of(labels: NDArray[np.str_], groups: Sequence[str]) -> NDArray[np.int32]:
    """Return the place of each cell's group among some groups, shape ``(n_cells,)``; -1 for a cell in none of them.

    Examples
    --------
    >>> places_of(np.array(["B", "", "T", "B"]), ["T", "B"]).tolist()
    [1, -1, 0, 1]
    """
    names, codes = np.unique(labels, return_inverse=True)
    place = {group: number for number, group in enumerate(groups)}
    return np.array([place.get(name, -1) for name in names.tolist()], dtype=np.int32)[codes]


def joined_statistics(parts: Sequence[dict[str, NDArray[Any]]], groups: Sequence[str]) -> GeneStatistics:
    """Rank the genes of each group over all parts of `compare_genes`."""
    joined = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    return GeneStatistics(
        groups=tuple(groups),
        genes=joined["gene"],
        scores=normal_scores(joined["difference"]),
        by_abundance=np.argsort(joined["mean"], kind="stable"),
        share_in=joined["share_in"],
        share_out=joined["share_out"],
    )


def normal_scores(values: FloatArray) -> FloatArray:
    """Replace the values of each row by the normal quantiles of their ranks; ties share a rank.

    Examples
    --------
    >>> normal_scores(np.array([[5.0, 1.0, 3.0]])).round(2)
    array([[ 0.97, -0.97,  0.  ]])
    """
    from scipy.stats import norm, rankdata

    ranks = rankdata(values, axis=1)
    return np.asarray(norm.ppf((ranks - 0.5) / max(values.shape[1], 1)))


def random_set_p(statistics: GeneStatistics, numbered: tuple[int, NDArray[np.int64]], *, seed: int) -> dict[str, Any]:
    """Compare the score of a set with those of random sets of as many genes of like abundance.

    Parameters
    ----------
    numbered
        A number that chooses the random sets together with the seed, and the places of the genes in ``statistics``.

    Returns
    -------
    ``z``, ``p`` (one-sided, the set itself counted in), ``mean`` and ``sd`` of the random sets, shape ``(n_groups,)``.
    """
    number, places = numbered
    n_genes = len(statistics.genes)
    rank = np.empty(n_genes, dtype=np.int64)
    rank[statistics.by_abundance] = np.arange(n_genes)
    alike = min(_ALIKE, n_genes)
    first = np.clip(rank[places] - alike // 2, 0, n_genes - alike)
    random = np.random.default_rng([seed, number])
    totals = np.zeros((len(statistics.groups), N_RANDOM_SETS))
    for start in first:
        drawn = statistics.by_abundance[start + random.integers(0, alike, N_RANDOM_SETS)]
        totals += statistics.scores[:, drawn]
    null = totals / len(places)
    own = statistics.scores[:, places].mean(axis=1)
    mean, spread = null.mean(axis=1), np.maximum(null.std(axis=1), 1e-9)
    p = (1 + (null >= own[:, None]).sum(axis=1)) / (1 + N_RANDOM_SETS)
    return {"z": (own - mean) / spread, "p": p, "mean": mean, "sd": spread}


def raised_cells_p(dataset: Dataset, places: NDArray[np.int32], n_groups: int, genes: NDArray[np.int64]) -> FloatArray:
    """Return one-sided p of each group holding some genes more than random cells would, shape ``(n_groups,)``.

    Wilcoxon's rank sum, corrected for ties, of the mean over the genes of each cell's standardised ln(1 + counts per
    10,000), in the group against all other cells.

    Parameters
    ----------
    places
        As from `places_of`.
    genes
        Positions in the dataset.
    """
    from scipy.stats import norm, rankdata

    values = normalised_genes(dataset, genes).log1p()
    n = dataset.n_cells
    mean = np.asarray(values.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2, 0))
    weights = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    cells = np.asarray(values @ weights).ravel()  # centring would shift all cells alike
    ranks = rankdata(cells)
    ties = np.unique(cells, return_counts=True)[1].astype(np.float64)
    factor = 1 - (ties**3 - ties).sum() / (float(n) ** 3 - n)
    if factor <= 0:
        return np.ones(n_groups)
    inside = places >= 0
    n_in = np.bincount(places[inside], minlength=n_groups).astype(np.float64)
    sums = np.bincount(places[inside], weights=ranks[inside], minlength=n_groups)
    z = (sums - n_in * (n + 1) / 2) / np.sqrt(n_in * (n - n_in) * (n + 1) / 12 * factor)
    return np.asarray(norm.sf(z))


def first_places(
    scores: FloatArray, sets: Sequence[NDArray[np.int64]], centre: FloatArray, spread: FloatArray, *, seed: int
) -> FloatArray:
    """Return in which share of resamples of the genes each set has the highest z, shape ``(n_groups, n_sets)``.

    A Bayesian bootstrap: each gene gets an exponential weight, the same in all sets that hold it.

    Parameters
    ----------
    scores
        As in `GeneStatistics`.
    centre, spread
        Mean and standard deviation of random sets, shape ``(n_groups, n_sets)``.
    """
    used = np.unique(np.concatenate(list(sets)))
    member = np.array([np.isin(used, places) for places in sets], dtype=np.float64)
    values = scores[:, used].T
    random = np.random.default_rng(seed)
    wins = np.zeros(centre.shape)
    rows = np.arange(len(centre))
    for _ in range(N_RESAMPLES):
        weighted = member * random.exponential(size=len(used))
        means = (weighted @ values / weighted.sum(axis=1, keepdims=True)).T
        wins[rows, ((means - centre) / spread).argmax(axis=1)] += 1
    return wins / N_RESAMPLES


def compare_genes(
    dataset: Dataset, places: NDArray[np.int32], n_groups: int, span: tuple[int, int]
) -> dict[str, NDArray[Any]]:
    """Return ``gene``, ``mean``, and of shape ``(n_groups, n_held)`` ``difference``, ``share_in``, ``share_out``."""
    positions = np.arange(*span)
    values = normalised_genes(dataset, positions).log1p()
    held = np.diff(values.indptr) >= MIN_CELLS_OF_GENE
    positions, values = positions[held], values[:, held]
    cells = np.flatnonzero(places >= 0)
    inside = csr_matrix((np.ones(len(cells)), (places[cells], cells)), shape=(n_groups, len(places)))
    n_cells = float(len(places))
    n_in = np.asarray(inside.sum(axis=1))
    sums, all_sums = (inside @ values).toarray(), np.asarray(values.sum(axis=0))
    holding = values.copy()
    holding.data = np.ones_like(holding.data)
    holders, all_holders = (inside @ holding).toarray(), np.asarray(holding.sum(axis=0))
    mean = all_sums / n_cells
    variance = np.asarray(values.multiply(values).sum(axis=0)) / n_cells - mean**2
    spread = np.sqrt(np.maximum(variance, 1e-12))
    difference = (sums / n_in - (all_sums - sums) / (n_cells - n_in)) / spread
    return {
        "gene": positions,
        "mean": mean.ravel(),
        "difference": difference,
        "share_in": holders / n_in,
        "share_out": (all_holders - holders) / (n_cells - n_in),
    }
