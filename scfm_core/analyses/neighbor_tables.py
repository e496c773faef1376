"""One comparison of neighbours, counted by the groups of any column of the cell table."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.compare_neighbors import NeighborComparison
from scfm_core.analyses.grouping import in_reading_order

NO_GROUP = ""
Labels = NDArray[np.str_]


def kept_by_group(comparison: NeighborComparison, labels: Labels) -> pd.DataFrame:
    """Return how many neighbours the cells of each group keep.

    Parameters
    ----------
    labels
        Group of each cell of the first dataset, "" for none, shape ``(n_cells,)``.

    Returns
    -------
    One row per group in reading order. Columns: ``group``; ``n_cells`` (compared); ``mean``, ``sd`` (over cells; NaN
    for one cell), ``low``, ``median``, ``high`` (25 %, 50 %, 75 % of the cells) of the share kept, 0 to 1;
    ``by_chance`` (neighbours drawn from all cells); ``by_chance_within`` (mean expected share if each embedding kept
    the groups of a cell's neighbours and drew the neighbours at random within these groups).
    """
    groups = _Coded(labels)
    own = groups.codes[comparison.cells]
    within = _expected_within(comparison, groups)
    rows = []
    for code, name in enumerate(groups.names):
        members = own == code
        if name == NO_GROUP or not members.any():
            continue
        summary = _summary(comparison.share_kept[members])
        chance = {"by_chance": comparison.share_by_chance, "by_chance_within": float(within[members].mean())}
        rows.append({"group": name, **summary, **chance})
    return pd.DataFrame(rows, columns=["group", *_SUMMARY, "by_chance", "by_chance_within"])


def kept_by_donor(comparison: NeighborComparison, labels: Labels, donors: Labels) -> pd.DataFrame:
    """Return the mean share kept of each group in each donor.

    Returns
    -------
    Columns: ``group``, ``donor``, ``n_cells`` (compared), ``mean``; only pairs with at least one compared cell.
    """
    table = pd.DataFrame(
        {
            "group": labels[comparison.cells],
            "donor": donors[comparison.cells],
            "kept": comparison.share_kept.astype(np.float64),
        }
    )
    table = table[(table["group"] != NO_GROUP) & (table["donor"] != NO_GROUP)]
    found = table.groupby(["group", "donor"])["kept"].agg(n_cells="size", mean="mean").reset_index()
    places = {name: place for place, name in enumerate(in_reading_order(set(found["group"])))}
    return found.sort_values("group", key=lambda names: names.map(places), kind="stable").reset_index(drop=True)


def mixing_by_group(comparison: NeighborComparison, labels: Labels, *, within: Labels | None = None) -> pd.DataFrame:
    """Return how many neighbours of a cell come from its own group, in each embedding.

    For batches or donors a share near chance says that they are mixed; for cell types a share near 1 says that they
    are kept apart.

    Parameters
    ----------
    labels
        Group of each cell of the first dataset, such as its batch; "" for none, shape ``(n_cells,)``.
    within
        A second label, such as the cell type, whose composition may differ between the groups: ``by_chance_within``
        then is the share expected if groups were mixed at random among the neighbours of each such label.

    Returns
    -------
    Two rows per group. Columns: ``group``; ``embedding`` ("first" or "second"); ``n_cells`` (compared); ``mean``,
    ``sd``, ``low``, ``median``, ``high`` over cells of the share from the own group, 0 to 1; ``by_chance``
    (neighbours drawn from all cells); ``by_chance_within`` (NaN where ``within`` is None).
    """
    groups = _Coded(labels)
    own = groups.codes[comparison.cells]
    sizes = groups.sizes(comparison.pool)
    rows = []
    for code, name in enumerate(groups.names):
        members = own == code
        if name == NO_GROUP or not members.any():
            continue
        chance = (sizes[code] - 1) / (len(comparison.pool) - 1)
        for embedding, neighbors in _both(comparison):
            same = (groups.codes[neighbors[members]] == code).mean(axis=1)
            expected = _expected_mixing(comparison, groups.codes == code, within, neighbors, members)
            row = {"group": name, "embedding": embedding, **_summary(same)}
            rows.append({**row, "by_chance": float(chance), "by_chance_within": expected})
    return pd.DataFrame(rows, columns=["group", "embedding", *_SUMMARY, "by_chance", "by_chance_within"])


def neighbor_composition(comparison: NeighborComparison, labels: Labels) -> pd.DataFrame:
    """Return which groups the neighbours of each group's cells belong to, in both embeddings.

    Returns
    -------
    One row per pair of groups, in reading order. Columns: ``group`` (of the cells), ``neighbor`` (group of their
    neighbours, "" for cells in none), ``n_cells`` (compared), ``share_first``, ``share_second`` (of all neighbours of
    the group's cells, 0 to 1), ``change`` (second minus first).
    """
    groups = _Coded(labels)
    own = groups.codes[comparison.cells]
    first, second = (_counts_per_cell(groups, neighbors) for _, neighbors in _both(comparison))
    rows = []
    for code, name in enumerate(groups.names):
        members = own == code
        if name == NO_GROUP or not members.any():
            continue
        shares = [counts[members].mean(axis=0) / comparison.n_neighbors for counts in (first, second)]
        for other, neighbor in enumerate(groups.names):
            row = {"group": name, "neighbor": neighbor, "n_cells": int(members.sum())}
            before, after = (float(share[other]) for share in shares)
            rows.append({**row, "share_first": before, "share_second": after, "change": after - before})
    columns = ["group", "neighbor", "n_cells", "share_first", "share_second", "change"]
    return pd.DataFrame(rows, columns=columns)


_SUMMARY = ("n_cells", "mean", "sd", "low", "median", "high")


class _Coded:
    """Labels as numbers: ``names`` in reading order, cells in no group last where there are any."""

    def __init__(self, labels: Labels) -> None:
        found, codes = np.unique(labels, return_inverse=True)
        names = [str(name) for name in found]
        self.names = in_reading_order(name for name in names if name != NO_GROUP)
        if NO_GROUP in names:
            self.names.append(NO_GROUP)
        place = {name: number for number, name in enumerate(self.names)}
        self.codes = np.array([place[name] for name in names], dtype=np.int64)[codes]

    def sizes(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(self.codes[cells], minlength=len(self.names))


def _both(comparison: NeighborComparison) -> tuple[tuple[str, NDArray[np.int32]], ...]:
    return (
        ("first", np.asarray(comparison.neighbors_first)),
        ("second", np.asarray(comparison.neighbors_second)),
    )


def _summary(values: NDArray[np.floating]) -> dict[str, float]:
    exact = np.asarray(values, dtype=np.float64)
    low, median, high = np.percentile(exact, [25, 50, 75])
    sd = float(exact.std(ddof=1)) if len(exact) > 1 else float("nan")
    return {
        "n_cells": len(exact),
        "mean": float(exact.mean()),
        "sd": sd,
        "low": float(low),
        "median": float(median),
        "high": float(high),
    }


def _counts_per_cell(groups: _Coded, neighbors: NDArray[np.int32]) -> NDArray[np.int64]:
    """Count the groups among the neighbours of each cell, shape ``(n_compared, n_groups)``."""
    n_cells, n_groups = len(neighbors), len(groups.names)
    flat = np.arange(n_cells)[:, None] * n_groups + groups.codes[neighbors]
    return np.bincount(flat.ravel(), minlength=n_cells * n_groups).reshape(n_cells, n_groups)


def _expected_within(comparison: NeighborComparison, groups: _Coded) -> NDArray[np.float64]:
    """Return the share that each cell would keep if neighbours were drawn at random within their groups.

    Of ``a`` and ``b`` cells drawn from the same ``m`` cells, ``a * b / m`` are the same on average.
    """
    first, second = (_counts_per_cell(groups, neighbors) for _, neighbors in _both(comparison))
    available = np.tile(groups.sizes(comparison.pool), (len(comparison.cells), 1))
    available[np.arange(len(comparison.cells)), groups.codes[comparison.cells]] -= 1  # the cell itself
    common = np.divide(first * second, available, out=np.zeros(first.shape), where=available > 0)
    return np.asarray(common.sum(axis=1) / comparison.n_neighbors)


def _expected_mixing(
    comparison: NeighborComparison,
    member: NDArray[np.bool_],
    within: Labels | None,
    neighbors: NDArray[np.int32],
    members: NDArray[np.bool_],
) -> float:
    """Return the mean share of neighbours from a group if it were mixed at random within each label of ``within``."""
    if within is None:
        return float("nan")
    kinds = _Coded(within)
    pool = comparison.pool
    of_kind = kinds.sizes(pool)
    of_both = np.bincount(kinds.codes[pool[member[pool]]], minlength=len(kinds.names))
    own = kinds.codes[comparison.cells[members]][:, None]
    theirs = kinds.codes[neighbors[members]]
    itself = (own == theirs).astype(np.int64)  # the cell is one of its own kind, and of its own group
    return float(((of_both[theirs] - itself) / (of_kind[theirs] - itself)).mean())
