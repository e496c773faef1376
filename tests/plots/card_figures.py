"""The figures of the report card from small tables, and these tables."""

import numpy as np
import pandas as pd

from scfm_core.analyses.batch_tables import associations_of, composition_table, explained_row
from scfm_core.plots.figure import Figure
from scfm_core.plots.report_card import report_card
from scfm_core.plots.report_card_batches import batch_composition, variance_by_column
from scfm_core.plots.report_card_labels import labels_told
from scfm_core.plots.report_card_maps import candidate_maps
from scfm_core.plots.report_card_metrics import metric_panels
from scfm_core.plots.report_card_scatter import biology_against_batch

MODELS = {"pca": "PCA", "random": "Random vectors", "scfm-mini": "scFM mini", "harmony": "Harmony"}
METRICS = {
    "avg_bio": ("AvgBIO", "biology", True), "nmi": ("NMI", "biology", True), "avg_batch": ("AvgBATCH", "batch", True),
    "pcr_batch": ("Variance explained by batch", "batch", False),
}  # fmt: skip
VALUES = {
    "avg_bio": (0.63, 0.05, 0.62, 0.70), "nmi": (0.65, 0.01, 0.64, 0.72), "avg_batch": (0.52, 0.99, 0.41, 0.80),
    "pcr_batch": (0.30, 0.001, 0.35, 0.05),
}  # fmt: skip


def score_table(n_cells: int = 2700) -> pd.DataFrame:
    """Return scores of four candidates."""
    rows = [
        {
            "model": model, "title": title, "simple": model != "scfm-mini", "family": "published", "metric": metric,
            "metric_title": METRICS[metric][0], "about": METRICS[metric][1], "value": VALUES[metric][place],
            "ci_low": VALUES[metric][place] - 0.02, "ci_high": VALUES[metric][place] + 0.03,
            "higher_is_better": METRICS[metric][2], "n_cells": n_cells,
        }
        for place, (model, title) in enumerate(MODELS.items())
        for metric in METRICS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def columns(n_cells: int = 240) -> dict[str, np.ndarray]:
    """Return three columns of groups, of which condition and batch are confounded."""
    condition = np.arange(n_cells) % 2
    return {"batch": 2 * condition + np.arange(n_cells) // (n_cells // 2), "condition": condition,
            "kind": np.arange(n_cells) % 3}  # fmt: skip


def explained(n_cells: int = 240) -> pd.DataFrame:
    """Return how much of the variance of made-up vectors the columns explain."""
    groups = columns(n_cells)
    points = np.random.default_rng(0).normal(size=(n_cells, 4)) + groups["batch"][:, None]
    rows = [explained_row(name, points, codes, groups["kind"]) for name, codes in groups.items()]
    return pd.DataFrame(rows).sort_values("explained", ascending=False).reset_index(drop=True)


def composition(n_cells: int = 240) -> pd.DataFrame:
    """Return what four batches are made of."""
    groups = columns(n_cells)
    return composition_table((("b1", "b2", "b3", "b4"), groups["batch"]), (("T", "B", "NK"), groups["kind"]))


def transfer() -> pd.DataFrame:
    """Return how often two candidates tell three labels, one of them rare."""
    counts = {"T": 500, "B": 80, "Megakaryocyte": 9, "all": 589}
    rows = [
        {
            "model": model, "title": MODELS[model], "label": label, "rare": n < 12, "n_cells": n, "n_reference": n,
            "recall": recall, "ci_low": max(recall - 8 / n, 0), "ci_high": min(recall + 8 / n, 1), "ci_unit": "cells",
            "wrong": 0.5 * (1 - recall), "unknown": 0.5 * (1 - recall), "precision": 0.9, "invented": float("nan"),
        }
        for model, recall in (("pca", 0.9), ("random", 0.3))
        for label, n in counts.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def card_figures() -> dict[str, Figure]:
    """Return every figure of the report card."""
    table, random = score_table(), np.random.default_rng(3)
    kinds = pd.Series(np.array(["T", "B", "NK", ""])[np.arange(240) % 4], name="cell type")
    maps = [(title, random.normal(size=(240, 2)) * place) for place, title in enumerate(MODELS.values(), start=1)]
    assert len(associations_of(columns())) == 3
    return {
        "report card": report_card(table, ("avg_bio", "avg_batch")),
        "report card, biology alone": report_card(table, ("avg_bio", "absent")),
        "biology against batch": biology_against_batch(table, "avg_bio", "avg_batch"),
        "metrics of biology": metric_panels(table, "biology"),
        "metrics of batches": metric_panels(table, "batch"),
        "labels of candidates": labels_told(transfer(), folds="the other batches"),
        "maps of candidates": candidate_maps(maps, kinds),
        "variance by column": variance_by_column(explained(), model="PCA", labels="kind"),
        "composition of batches": batch_composition(composition(), batches="batch", labels="kind"),
    }
