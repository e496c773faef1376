"""Predicted against true downstream genes, method by method: a score per knock-out, and the mean over knock-outs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.dataset import Dataset
from scfm_core.validation.measured_changes import Changes
from scfm_core.validation.scores import Draws, auroc, difference, mean_over, resampling_weights, spearman

AGAINST_RANDOM = ", against random deletions"
IDENTITY, COEXPRESSION, PCA = "gene identity", "co-expression", "PCA"
BASELINES = (IDENTITY, COEXPRESSION, PCA)
MEASURES = ("auroc", "spearman")

Rankings = Mapping[str, NDArray[np.float64]]
"""How strongly each method expects each gene to change, shape ``(n_targets, n_genes)``; NaN where it says nothing."""


@dataclass(frozen=True)
class Scored:
    """The scores of all methods on the same genes.

    Attributes
    ----------
    table
        One row per target and method, see `Validation`.
    draws
        The scores with their resamples, by method and measure: one per target, in the order of the targets.
    """

    table: pd.DataFrame
    draws: dict[tuple[str, str], list[Draws]]


def score_targets(
    dataset: Dataset, changes: Changes, rankings: Rankings, *, n_cells: NDArray[np.int64], seed: int
) -> Scored:
    """Score every method on every target, over the genes that all methods rank and whose change is known.

    A method that ranks no gene at all under a target is scored nowhere and keeps no other from being scored.

    Parameters
    ----------
    n_cells
        Cells in which the model deleted each target, shape ``(n_targets,)``.
    """
    rows = []
    draws: dict[tuple[str, str], list[Draws]] = {(method, each): [] for method in rankings for each in MEASURES}
    for number, target in enumerate(changes.targets):
        usable = scored_genes(changes, rankings, number)
        weights = resampling_weights(max(int(usable.sum()), 1), seed + number)
        truth = np.abs(changes.log2_fold_change[number][usable])
        changed = changes.changed[number][usable]
        gene = int(changes.genes[number])
        for method, ranking in rankings.items():
            scores = ranking[number][usable]
            found = _scores(scores, truth, changed, weights)
            for measure, value in found.items():
                draws[method, measure].append(value)
            rows.append(
                {
                    "target": target, "gene_id": dataset.gene_ids[gene], "symbol": dataset.gene_symbols[gene],
                    "method": method, "n_cells": int(n_cells[number]), "n_genes": int(usable.sum()),
                    "n_changed": int(changed.sum()), **_columns(found),
                }
            )  # fmt: skip
    return Scored(pd.DataFrame(rows), draws)


def scored_genes(changes: Changes, rankings: Rankings, target: int) -> NDArray[np.bool_]:
    """Return the genes on which the methods are compared under one target, shape ``(n_genes,)``."""
    usable = ~np.isnan(changes.log2_fold_change[target])
    for ranking in rankings.values():
        if not np.isnan(ranking[target]).all():
            usable &= ~np.isnan(ranking[target])
    return np.asarray(usable)


def summarise(scored: Scored, seed: int) -> pd.DataFrame:
    """Return one row per method: the mean of each measure over targets, with its interval, best AUROC first."""
    rows = []
    for method in dict.fromkeys(method for method, _ in scored.draws):
        found = {each: mean_over(scored.draws[method, each], seed) for each in MEASURES}
        n_targets = sum(not np.isnan(draws.value) for draws in scored.draws[method, "auroc"])
        rows.append({"method": method, "n_targets": n_targets, **_columns(found)})
    return pd.DataFrame(rows).sort_values("auroc", ascending=False, kind="stable", ignore_index=True)


def best_baseline(summary: pd.DataFrame) -> str:
    """Return the baseline with the largest mean AUROC; empty where none has one."""
    own = summary[summary["method"].isin(BASELINES) & summary["auroc"].notna()]
    return "" if own.empty else str(own.iloc[own["auroc"].argmax()]["method"])


def lead_over(scored: Scored, method: str, baseline: str, seed: int) -> Draws:
    """Return the mean AUROC of a method less that of a baseline, over targets, resampled together."""
    return difference(scored.draws[method, "auroc"], scored.draws[baseline, "auroc"], seed)


def _scores(
    scores: NDArray[np.float64],
    truth: NDArray[np.float64],
    changed: NDArray[np.bool_],
    weights: NDArray[np.float64],
) -> dict[str, Draws]:
    if not len(scores) or np.isnan(scores).any():
        nothing = Draws(np.nan, np.full(len(weights), np.nan))
        return dict.fromkeys(MEASURES, nothing)
    return {"auroc": auroc(scores, changed, weights), "spearman": spearman(scores, truth, weights)}


def _columns(found: Mapping[str, Draws]) -> dict[str, float]:
    columns: dict[str, float] = {}
    for measure, draws in found.items():
        low, high = draws.interval
        columns |= {measure: draws.value, f"{measure}_low": low, f"{measure}_high": high}
    return columns
