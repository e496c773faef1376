"""The part of a validation that is the same for every source of truth: baselines, predictions, scores, tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.fit_model import model_arrays
from scfm_core.analyses.perturbation_passes import Apparatus
from scfm_core.dataset import Dataset
from scfm_core.request import Context
from scfm_core.validation.baseline_rankings import coexpression, gene_identity, gene_statistics, pca_change
from scfm_core.validation.measured_changes import Changes
from scfm_core.validation.predicted_shifts import LEAST_CELLS, Effort, Predicted, predict
from scfm_core.validation.scoring import (
    AGAINST_RANDOM,
    COEXPRESSION,
    IDENTITY,
    PCA,
    Rankings,
    Scored,
    score_targets,
    scored_genes,
    summarise,
)


@dataclass(frozen=True)
class Asked:
    """What models and baselines said about the targets that could be scored.

    Attributes
    ----------
    changes
        The truth of the targets that are left.
    predicted
        By title of the model; rows as in ``changes``.
    left_out
        Label of each target that is not, and why.
    """

    changes: Changes
    rankings: Rankings
    predicted: dict[str, Predicted]
    left_out: dict[str, str]


def ask_models(
    context: Context,
    baselines: Sequence[EmbedCells],
    changes: Changes,
    control: NDArray[np.int64],
    effort: Effort,
) -> Asked:
    """Ask each model, and the baselines, which genes every knock-out changes.

    Parameters
    ----------
    baselines
        Models on one dataset, whose unperturbed cells are ``control``.
    """
    dataset = baselines[0].dataset
    step = "Reading the control cells"
    statistics = context.call(partial(gene_statistics, dataset, control), step=step)
    predicted = {
        baseline.model.title: predict(
            context, _apparatus(context, baseline), changes.genes, control, statistics=statistics, effort=effort
        )
        for baseline in baselines
    }
    held = np.min([each.n_cells for each in predicted.values()], axis=0)
    kept = np.flatnonzero(held >= LEAST_CELLS)
    left_out = {
        label: f"held by {held[number]:,} of the control cells looked at, {LEAST_CELLS} are needed"
        for number, label in enumerate(changes.targets)
        if held[number] < LEAST_CELLS
    }
    changes = _some(changes, kept)
    predicted = {title: _rows(each, kept) for title, each in predicted.items()}
    rankings: dict[str, NDArray[np.float64]] = {}
    for title, each in predicted.items():
        if not np.isnan(each.shift).all():
            rankings |= {title: each.shift, title + AGAINST_RANDOM: each.specific}
    if len(kept):
        rankings |= _baselines(context, dataset, control, changes, statistics)
    return Asked(changes, rankings, predicted, left_out)


def score(dataset: Dataset, asked: Asked, seed: int) -> tuple[Scored, pd.DataFrame]:
    """Return the scores of all methods, and their summary."""
    n_cells = np.min([each.n_cells for each in asked.predicted.values()], axis=0)
    scored = score_targets(dataset, asked.changes, asked.rankings, n_cells=n_cells, seed=seed)
    return scored, summarise(scored, seed)


def genes_table(dataset: Dataset, asked: Asked) -> pd.DataFrame:
    """Return what is known and said of every scored gene under every target."""
    parts = []
    changes = asked.changes
    for number, target in enumerate(changes.targets):
        genes = np.flatnonzero(scored_genes(changes, asked.rankings, number))
        said = {method: ranking[number][genes] for method, ranking in asked.rankings.items()}
        parts.append(
            pd.DataFrame(
                {
                    "target": target,
                    "gene_id": [dataset.gene_ids[gene] for gene in genes],
                    "symbol": [dataset.gene_symbols[gene] for gene in genes],
                    "log2_fold_change": changes.log2_fold_change[number][genes],
                    "p_adjusted": changes.p_adjusted[number][genes],
                    "changed": changes.changed[number][genes],
                    **said,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def left_out_table(left_out: dict[str, str]) -> pd.DataFrame:
    """Return targets that were not scored, and why."""
    return pd.DataFrame({"target": list(left_out), "reason": list(left_out.values())}, dtype=object)


def _baselines(
    context: Context,
    dataset: Dataset,
    control: NDArray[np.int64],
    changes: Changes,
    statistics: dict[str, NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    step = "Computing the baselines"
    together = context.call(partial(coexpression, dataset, control, changes.genes), step=step)
    rebuilt = context.call(partial(pca_change, dataset, control, changes.genes), step=step)
    size = np.abs(changes.log2_fold_change)
    identity = [gene_identity(statistics, size, leave_out=number) for number in range(len(size))]
    return {IDENTITY: np.stack(identity), COEXPRESSION: together, PCA: rebuilt}


def _apparatus(context: Context, baseline: EmbedCells) -> Apparatus:
    fitted = model_arrays(context, baseline.dataset, baseline.model)
    return Apparatus(baseline.dataset, baseline.model, baseline.chosen_options, fitted)


def _some(changes: Changes, rows: NDArray[np.int64]) -> Changes:
    return Changes(
        tuple(changes.targets[row] for row in rows),
        changes.genes[rows],
        changes.log2_fold_change[rows],
        changes.changed[rows],
        changes.p_adjusted[rows],
        changes.how,
    )


def _rows(predicted: Predicted, rows: NDArray[np.int64]) -> Predicted:
    return Predicted(
        predicted.n_cells[rows], predicted.shift[rows], predicted.specific[rows], predicted.cell_shift[rows]
    )
