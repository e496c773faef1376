"""Sums and tables of a screen of genes; knows no model."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_null import MIN_CELLS_PER_DONOR, MIN_DONORS
from scfm_core.analyses.screen_calibration import Abundance, calibrated
from scfm_core.dataset import Dataset
from scfm_core.genes import gene_table, symbol_of

RANKED_SHARE = 0.1  # of the cells must hold a gene that is ranked
Values = Literal["estimate", "exact"]
_RANKS = (("rank", "size"), ("goal_rank", "goal"))
_EXACT = ("size_exact", "goal_exact", "size_estimate_there", "goal_estimate_there")
_COUNTS = ("n_exact", "n_donors", "donors_agree")


class Gathered:
    """Sums per gene over all cells, and the single estimates of the first cells that hold each gene.

    Parameters
    ----------
    n_positions
        Size of the model's vocabulary.
    most_single
        How many single estimates are kept of each gene; memory does not grow with the cells beyond it.

    Attributes
    ----------
    n_cells
        Cells gathered.
    n, size, goal
        Number of cells that hold each gene, and sums of the estimates, each of shape ``(n_positions,)``.
    """

    def __init__(self, n_positions: int, *, most_single: int) -> None:
        self.n_cells = 0
        self.n = np.zeros(n_positions, dtype=np.int64)
        self.size, self.goal = np.zeros(n_positions), np.zeros(n_positions)
        self._log_rank = np.zeros(n_positions)
        self._most_single = most_single
        self._singles: list[pd.DataFrame] = []

    def add(self, part: dict[str, NDArray[Any]], *, n_cells: int) -> None:
        """Add what `scfm_core.analyses.screen_passes.estimate_cells` returned for some more cells."""
        rows = pd.DataFrame({name: part[name] for name in ("cell", "token", "size", "goal")})
        place = rows.groupby("token").cumcount().to_numpy() + self.n[part["token"]]
        self._singles.append(rows[place < self._most_single])
        self.n_cells += n_cells
        self.n += np.bincount(part["token"], minlength=len(self.n))
        self.size += np.bincount(part["token"], part["size"], minlength=len(self.n))
        self.goal += np.bincount(part["token"], part["goal"], minlength=len(self.n))
        self._log_rank += np.bincount(part["token"], np.log1p(part["rank"]), minlength=len(self.n))

    def abundance(self, tokens: NDArray[np.int64]) -> Abundance:
        """Return how abundant some genes are."""
        return Abundance(self.n[tokens] / self.n_cells, self._log_rank[tokens] / self.n[tokens], self.n_cells)

    def singles(self, tokens: pd.Series) -> pd.DataFrame:
        """Return the single estimates that were kept of some genes: ``cell``, ``token``, ``size``, ``goal``.

        In the order of the genes asked for, and of the cells as they were gathered.
        """
        rows = pd.concat(self._singles, ignore_index=True)
        rows = rows[rows["token"].isin(tokens)]
        place = pd.Series(np.arange(len(tokens)), index=tokens.to_numpy())
        order = np.argsort(place[rows["token"]].to_numpy(), kind="stable")
        return rows.iloc[order].reset_index(drop=True)


def screened_genes(
    dataset: Dataset, gene_ids: NDArray[np.str_], tokens: NDArray[np.int64], abundance: Abundance
) -> pd.DataFrame:
    """Return one row per gene: ``token``, ``gene_id``, ``symbol``, ``n_cells``, ``share_holding``."""
    return pd.DataFrame(
        {
            "token": tokens,
            "gene_id": gene_ids[tokens].tolist(),
            "symbol": [_symbol(dataset, gene_id) for gene_id in gene_ids[tokens].tolist()],
            "n_cells": np.rint(abundance.share * abundance.n_cells).astype(np.int64),
            "share_holding": abundance.share,
        }
    )


def ranked(
    table: pd.DataFrame,
    abundance: Abundance,
    *,
    values: Values,
    listed: NDArray[np.bool_],
    fewest_share: float = RANKED_SHARE,
    compared: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return a screen's table with ranks and calibration, of the listed genes alone, first genes first.

    Parameters
    ----------
    table
        All screened genes, with ``size_<values>`` and ``goal_<values>``.
    abundance
        Of each row.
    values
        On which the ranks rest.
    listed
        The genes that were asked for, shape ``(n_genes,)``; the others serve the calibration.
    fewest_share
        Of the cells that must hold a gene that is ranked.
    compared
        The genes to compare with, shape ``(n_genes,)``; all where None.
    """
    often = (table["share_holding"] >= fewest_share) & table[f"size_{values}"].notna()
    for rank, name in _RANKS:
        table = table.assign(**{rank: table[f"{name}_{values}"].where(often).rank(ascending=False, method="first")})
    table = calibrated(table, abundance, values=values, listed=listed, compared=compared)[listed]
    table = table.assign(**{rank: table[rank].rank() for rank, _ in _RANKS})
    order = np.lexsort((-table[f"size_{values}"].to_numpy(), table["rank"].isna().to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def exact_means(rows: pd.DataFrame, donors: NDArray[np.object_] | None) -> pd.DataFrame:
    """Average exact edits over the cells of each gene.

    Parameters
    ----------
    rows
        One row per edit of a cell: ``token``, ``cell``, ``size_exact``, ``goal_exact``, and the estimates ``size`` and
        ``goal`` of the same edit, NaN where there are none.
    donors
        Of each cell of the dataset, see `donors_of`.

    Returns
    -------
    One row per gene: ``token``, ``n_exact``, means, and with ``donors`` also ``n_donors`` and ``donors_agree``.
    """
    means = rows.groupby("token", as_index=False).agg(
        n_exact=("cell", "size"),
        size_exact=("size_exact", "mean"),
        goal_exact=("goal_exact", "mean"),
        size_estimate_there=("size", "mean"),
        goal_estimate_there=("goal", "mean"),
    )
    if donors is None:
        return means
    by_donor = rows.assign(donor=donors[rows["cell"].to_numpy(dtype=np.int64)])
    each = by_donor.groupby(["token", "donor"], as_index=False)["goal_exact"].agg(["mean", "size"])
    each = each[(each["size"] >= MIN_CELLS_PER_DONOR) & each["mean"].notna()]
    overall = means.set_index("token")["goal_exact"][each["token"]].to_numpy()
    agree = (np.sign(each["mean"]) == np.sign(overall)).groupby(each["token"]).sum()
    found = means["token"].map(each["token"].value_counts()), means["token"].map(agree)
    return means.assign(n_donors=found[0].fillna(0).astype(np.int64), donors_agree=found[1].fillna(0).astype(np.int64))


def with_exact(table: pd.DataFrame, means: pd.DataFrame | None) -> pd.DataFrame:
    """Return a screen's table with the columns of `exact_means`; NaN, or 0 cells, where a gene was not edited."""
    if means is None:
        table = table.assign(n_exact=0, **dict.fromkeys(_EXACT, np.nan))
    else:
        table = table.merge(means, on="token", how="left")
        counts = [name for name in _COUNTS if name in table]
        table = table.assign(**{name: table[name].fillna(0).astype(np.int64) for name in counts})
    return table.assign(method=np.where(table["n_exact"] > 0, "exact", "estimated"))


def donors_of(dataset: Dataset, cells: NDArray[np.int64]) -> NDArray[np.object_] | None:
    """Return the donor of each cell of a dataset, None for a cell without; None where some cells have below three."""
    column = dataset.roles.get("donor")
    if column is None or column not in dataset.cells():
        return None
    donors = dataset.cells()[column].astype(object).to_numpy()
    return donors if pd.Series(donors[cells]).nunique() >= MIN_DONORS else None


def agreement(table: pd.DataFrame, name: str) -> float:
    """Return the Spearman correlation of estimate and exact value over the confirmed genes, NaN below three."""
    pair = table[[f"{name}_estimate_there", f"{name}_exact"]].dropna()
    if len(pair) < 3:
        return float("nan")
    ranks = pair.rank()
    return float(ranks.iloc[:, 0].corr(ranks.iloc[:, 1]))


def _symbol(dataset: Dataset, gene_id: str) -> str:
    known = symbol_of(dataset, gene_id)
    return gene_table(dataset.organism).symbols.get(gene_id, known) if known == gene_id else known
