"""What the baselines say of one ranking of genes, in numbers and in one sentence per edit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.baseline_genes import PCA, Identity, gene_identity, pca_effects
from scfm_core.analyses.baseline_ranking import (
    MIN_GENES,
    WITHIN_SD,
    Prediction,
    ordinal,
    percentiles,
    predict_scores,
)
from scfm_core.analyses.checked_cells import HeldGenes
from scfm_core.analyses.perturbation_null import generator
from scfm_core.analyses.perturbation_passes import Apparatus
from scfm_core.analyses.ranked_genes import RankedGene
from scfm_core.request import Context
from scfm_core.tokens import edit_name


@dataclass(frozen=True)
class Explained:
    """Rows of `BaselineExplanation`: its genes, one row of its summary, and rows of its edits."""

    genes: pd.DataFrame
    summary: dict[str, Any]
    edits: list[dict[str, Any]]


def explain_ranking(
    context: Context, apparatus: Apparatus, held: HeldGenes, asked: tuple[str, str, list[RankedGene], int]
) -> Explained:
    """Predict the model's ranking of some genes from the baselines."""
    kind, group, rows, seed = asked
    dataset = apparatus.dataset
    position = {gene_id: place for place, gene_id in enumerate(dataset.gene_ids)}
    sets = [[position[single.gene_id] for single in row.edit] for row in rows]
    identity = gene_identity(context, dataset, held, sets)
    pca = None
    if apparatus.model.key != PCA:
        pca = pca_effects(context, dataset, [row.edit for row in rows], held.cells)
    effects = np.array([row.effect for row in rows])
    tested = np.array([bool(row.label) for row in rows])
    table = pd.DataFrame(
        {
            "group": group,
            "kind": kind,
            "gene_id": [";".join(single.gene_id for single in row.edit) for row in rows],
            "symbol": ["+".join(dataset.gene_symbols[gene] for gene in genes) for genes in sets],
            "tested": tested,
            "model_effect": effects,
            "pca_effect": np.full(len(rows), np.nan) if pca is None else pca[0],
            "pca_reads": np.zeros(len(rows), dtype=bool) if pca is None else pca[1],
            "detection": identity.detection,
            "mean_expression": identity.mean_expression,
            "mean_rank": identity.mean_rank,
            "model_percentile": np.nan,
            "expected": np.nan,
        }
    )
    there = np.flatnonzero(np.isfinite(effects))
    summary = {"group": group, "kind": kind, "n_genes": len(there)}
    summary |= dict.fromkeys(("explained_identity", "explained_pca", "explained_together", "ci_low", "ci_high"), np.nan)
    residual_z, foretold = np.full(len(rows), np.nan), False
    if len(there) >= MIN_GENES:
        by_pca = None if pca is None else np.stack([pca[0], pca[1].astype(np.float64)], axis=1)[there]
        shares, best = _shares(effects[there], identity, (there, by_pca), seed)
        low, high = best.interval(generator(seed, group, kind, "baselines"))
        foretold = low > 0
        summary |= shares | {"ci_low": max(low, 0.0), "ci_high": max(high, 0.0)}
        table.loc[there, "model_percentile"] = percentiles(best.scores)
        table.loc[there, "expected"] = percentiles(best.expected)
        residual_z[there] = best.residual_z(~tested[there])
    verdicts = [
        edit_verdict(rows[number], table.iloc[number], (float(residual_z[number]), foretold), with_pca=pca is not None)
        for number in np.flatnonzero(tested)
    ]
    return Explained(table, summary, verdicts)


def _shares(
    effects: NDArray[np.float64],
    identity: Identity,
    where: tuple[NDArray[np.int64], NDArray[np.float64] | None],
    seed: int,
) -> tuple[dict[str, float], Prediction]:
    """Return the share that each baseline explains, and the prediction of all together."""
    there, by_pca = where
    own = identity.features[there]
    alone = predict_scores(effects, own, seed=seed)
    found = {"explained_identity": max(alone.share, 0.0), "explained_pca": np.nan}
    best = alone
    if by_pca is not None:
        found["explained_pca"] = max(predict_scores(effects, by_pca, seed=seed).share, 0.0)
        best = predict_scores(effects, np.concatenate([own, by_pca], axis=1), seed=seed)
    return found | {"explained_together": max(best.share, 0.0)}, best


def edit_verdict(
    gene: RankedGene, row: "pd.Series[Any]", standing: tuple[float, bool], *, with_pca: bool
) -> dict[str, Any]:
    """Return the row of `BaselineExplanation.edits` about one edit.

    Parameters
    ----------
    row
        Of the table of genes.
    standing
        How far the gene lies from what the baselines say, see `Prediction.residual_z`; and whether they foretell any of
        the ranking: where they do not, nearly every gene lies near what they say.
    """
    z, foretold = standing
    within = abs(z) <= WITHIN_SD
    found = {
        "edit": gene.label,
        "group": row["group"],
        "model_percentile": float(row["model_percentile"]),
        "expected_percentile": float(row["expected"]),
        "residual_z": z,
        "explained": None if np.isnan(z) or (within and not foretold) else within,
    }
    kinds = {edit_name(single) for single in gene.edit}
    same = "the same deletion under PCA" if kinds == {"delete"} else "the same edit under PCA"
    baselines = f"Mean expression, detection, rank and {same}" if with_pca else "Mean expression, detection and rank"
    return found | {"in_words": _sentence(gene, found, baselines + (" together" if with_pca else " alone"))}


def _sentence(gene: RankedGene, found: dict[str, Any], baselines: str) -> str:
    if np.isnan(gene.effect):
        return f"The model reads {gene.label} in none of these cells, so there is nothing to explain."
    if np.isnan(found["residual_z"]):
        return f"Too few genes were measured to say what the baselines expect of {gene.label}: {MIN_GENES} are needed."
    verdict = "the baselines explain it"
    if found["explained"] is None:
        verdict = "the baselines foretell nothing of this ranking, so they explain nothing"
    elif not found["explained"]:
        more = "more" if found["residual_z"] > 0 else "less"
        verdict = f"{more} than the baselines explain"
    return (
        f"{baselines} put {gene.label} at the {ordinal(found['expected_percentile'])} percentile; "
        f"the model says the {ordinal(found['model_percentile'])}: {verdict}."
    )
