"""Sums and tables of a screen of genes; knows no model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.dataset import Dataset
from scfm_core.genes import gene_table, symbol_of

RANKED_SHARE = 0.1  # of the cells must hold a gene that is ranked
_EXACT = ("n_exact", "size_exact", "goal_exact", "size_estimate_there", "goal_estimate_there")


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
    n, size, goal
        Number of cells and sums of the estimates, each of shape ``(n_positions,)``.
    """

    def __init__(self, n_positions: int, *, most_single: int) -> None:
        self.n = np.zeros(n_positions, dtype=np.int64)
        self.size, self.goal = np.zeros(n_positions), np.zeros(n_positions)
        self._most_single = most_single
        self._singles: list[pd.DataFrame] = []

    def add(self, part: dict[str, NDArray[Any]]) -> None:
        """Add what `scfm_core.analyses.screen_passes.estimate_cells` returned for some more cells."""
        rows = pd.DataFrame({name: part[name] for name in ("cell", "token", "size", "goal")})
        place = rows.groupby("token").cumcount().to_numpy() + self.n[part["token"]]
        self._singles.append(rows[place < self._most_single])
        self.n += np.bincount(part["token"], minlength=len(self.n))
        self.size += np.bincount(part["token"], part["size"], minlength=len(self.n))
        self.goal += np.bincount(part["token"], part["goal"], minlength=len(self.n))

    def singles(self, tokens: pd.Series) -> pd.DataFrame:
        """Return the single estimates that were kept of some genes: ``cell``, ``token``, ``size``, ``goal``."""
        rows = pd.concat(self._singles, ignore_index=True)
        return rows[rows["token"].isin(tokens)].reset_index(drop=True)


@dataclass(frozen=True)
class Confirmed:
    """Exact deletions: one row per gene, its ``token`` and the columns of the table that they fill."""

    rows: pd.DataFrame
    n_passes: int

    @classmethod
    def none(cls) -> "Confirmed":
        """Return no deletions."""
        return cls(pd.DataFrame(columns=["token", *_EXACT], dtype=np.float64), 0)

    @classmethod
    def of(
        cls,
        pairs: pd.DataFrame,
        before: NDArray[np.floating[Any]],
        after: NDArray[np.floating[Any]],
        goals: NDArray[np.float64],
    ) -> "Confirmed":
        """Average over cells what deletions did.

        Parameters
        ----------
        pairs
            One row per deletion: ``token``, and the estimates ``size`` and ``goal``.
        before, after
            Vectors of each pair, shape ``(n_pairs, embedding_size)``.
        goals
            The goal state, shape ``(1 or 0, embedding_size)``.
        """
        old, new, goal = _unit(before), _unit(after), _unit(goals)
        shift = (new - old) @ goal[0] if len(goal) else np.full(len(pairs), np.nan)
        exact = pairs.assign(size_exact=1 - (old * new).sum(axis=1), goal_exact=shift)
        rows = exact.groupby("token", as_index=False).agg(
            n_exact=("cell", "size"),
            size_exact=("size_exact", "mean"),
            goal_exact=("goal_exact", "mean"),
            size_estimate_there=("size", "mean"),
            goal_estimate_there=("goal", "mean"),
        )
        return cls(rows, len(pairs))

    def into(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a screen's table with the exact columns; NaN, and 0 cells, where a gene was not confirmed."""
        merged = table.merge(self.rows, on="token", how="left")
        return merged.assign(n_exact=merged["n_exact"].fillna(0).astype(np.int64))


def screen_table(dataset: Dataset, gene_ids: NDArray[np.str_], sums: Gathered, *, n_cells: int) -> pd.DataFrame:
    """Return one row per gene that a cell holds, with its ``token``; genes that few cells hold are not ranked."""
    tokens = np.flatnonzero(sums.n)
    n_holding = sums.n[tokens]
    table = pd.DataFrame(
        {
            "token": tokens,
            "gene_id": gene_ids[tokens].tolist(),
            "symbol": [_symbol(dataset, gene_id) for gene_id in gene_ids[tokens].tolist()],
            "n_cells": n_holding,
            "share_holding": n_holding / n_cells,
            "size_estimate": sums.size[tokens] / n_holding,
            "goal_estimate": sums.goal[tokens] / n_holding,
        }
    )
    often = table["share_holding"] >= RANKED_SHARE
    for name, column in (("rank", "size_estimate"), ("goal_rank", "goal_estimate")):
        table[name] = table.loc[often, column].rank(ascending=False, method="first")
    return table


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as it is shown: ranked genes first, largest size first, without the positions."""
    unranked = table["rank"].isna()
    order = np.lexsort((-table["size_estimate"].to_numpy(), unranked.to_numpy()))
    return table.iloc[order].drop(columns="token").reset_index(drop=True)


def agreement(table: pd.DataFrame, name: str) -> float:
    """Return the Spearman correlation of estimate and exact value over the confirmed genes, NaN below three."""
    pair = table[[f"{name}_estimate_there", f"{name}_exact"]].dropna()
    if len(pair) < 3:
        return float("nan")
    ranks = pair.rank()
    return float(ranks.iloc[:, 0].corr(ranks.iloc[:, 1]))


def _unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    wide = np.asarray(vectors, dtype=np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def _symbol(dataset: Dataset, gene_id: str) -> str:
    known = symbol_of(dataset, gene_id)
    return gene_table(dataset.organism).symbols.get(gene_id, known) if known == gene_id else known
