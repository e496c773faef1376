"""The answer of a validation, the same for every model and every source of truth."""

from dataclasses import dataclass

import pandas as pd

PAIR_COLUMNS = ("model", "gene_id_a", "gene_id_b", "planted", "share_targets", "true_beyond")


@dataclass(frozen=True)
class Validation:
    """How well a model, and baselines that know no biology, find what knock-outs truly change.

    Attributes
    ----------
    table
        One row per target and method: ``target`` (label), ``gene_id``, ``symbol``, ``method``; ``n_cells``, unperturbed
        cells in which the model deleted it; ``n_genes`` scored, the same for all methods; ``n_changed`` of these that
        truly change; ``auroc``, the chance that a changed gene ranks above another one, and ``spearman``, the
        correlation of ranks with the absolute log2 fold change, each with ``_low`` and ``_high``: 95 % bootstrap
        interval over genes. NaN where fewer than three genes change or do not.
    summary
        One row per method, best first: ``method``, ``n_targets`` with an AUROC, and the means over targets of
        ``auroc`` and ``spearman`` with 95 % bootstrap intervals over targets and the genes within them.
    vectors
        One row per model and target: ``model`` and the columns of `cell_directions.compare_directions`.
    genes
        One row per target and scored gene: ``target``, ``gene_id``, ``symbol``, ``log2_fold_change``, ``p_adjusted``,
        ``changed``, and what each method says, in a column of its name.
    left_out
        Targets that were not scored, and why: ``target``, ``reason``.
    pairs
        For a simulation, one row per model and pair of regulators: ``model``, ``gene_id_a``, ``gene_id_b``; the truth,
        ``planted``, ``share_targets``, ``true_beyond``, as `true_interactions` says; and the columns of
        `PairInteractions.table`. Empty for measured data.
    in_words, notes
        Sentences: what came out, and what it rests on.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    vectors: pd.DataFrame
    genes: pd.DataFrame
    left_out: pd.DataFrame
    pairs: pd.DataFrame
    in_words: tuple[str, ...]
    notes: tuple[str, ...]
