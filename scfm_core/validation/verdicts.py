"""What a validation found, in sentences; knows no models."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.validation.scores import Draws
from scfm_core.validation.scoring import AGAINST_RANDOM, BASELINES, Scored, best_baseline, lead_over


def verdict(scored: Scored, summary: pd.DataFrame, model: str, seed: int) -> tuple[str, ...]:
    """Say how a model did against the best baseline, and what its comparison with random deletions adds."""
    rows = _by_method(summary)
    if model not in rows or model in BASELINES:
        best = best_baseline(summary)
        name = f" The best baseline was {best}, with a mean AUROC of {_named(rows, best)}." if best else ""
        return (f"{model} gives no vectors of genes: baselines alone rank genes here.{name}",)
    if np.isnan(rows[model]["auroc"]):
        return ("No knock-out changed at least three of the genes that can be scored, so that nothing can be told.",)
    sentences = []
    baseline = best_baseline(summary)
    if baseline:
        lead = lead_over(scored, model, baseline, seed)
        sentences.append(
            f"{model} {_compared(lead)} {baseline} here: mean AUROC {_named(rows, model)} against "
            f"{_named(rows, baseline)} over {_counted(int(rows[model]['n_targets']))}; "
            f"difference {lead.value:+.3f} ({_range(lead.interval, sign=True)})."
        )
    if rows[model]["auroc_low"] <= 0.5:
        which = "below" if rows[model]["auroc_high"] < 0.5 else "not above"
        sentences.append(f"Its ranking is {which} chance (0.5).")
    corrected = model + AGAINST_RANDOM
    if corrected in rows and not np.isnan(rows[corrected]["auroc"]):
        sentences.append(f"Compared with deletions of random genes, its AUROC is {_named(rows, corrected)}.")
    return tuple(sentences)


def directions_in_words(vectors: pd.DataFrame, model: str) -> str:
    """Say whether deletions move cells where the knock-outs moved them."""
    own = vectors[vectors["model"] == model]
    if own.empty:
        return f"No shift of cell vectors could be compared for {model}."
    n_closest = int((own["cosine"] > own["others_high"]).sum())
    return (
        f"Cell vectors of {model}: the mean cosine of predicted and measured shift is {own['cosine'].mean():.2f} over "
        f"{_counted(len(own))}, {own['others_mean'].mean():.2f} with the shifts of other targets; in {n_closest} of "
        f"{len(own)} the target's own shift is the closest."
    )


def pairs_in_words(pairs: pd.DataFrame, model: str) -> tuple[str, ...]:
    """Say whether the planted pairs stand out among pairs without common targets."""
    own = pairs[(pairs["model"] == model) & pairs["vector_beyond"].notna()]
    alone = own[~own["share_targets"]]
    if alone.empty:
        return (f"{model}: no pair without common targets is held by enough cells.",)
    highest, usual = alone["vector_beyond"].max(), alone["vector_beyond"].median()
    sentences = []
    for row in own[own["planted"].isin(["cooperative", "redundant"])].to_dict("records"):
        above = int((alone["vector_beyond"] >= row["vector_beyond"]).sum())
        stands = "stands out" if above == 0 else "does not stand out"
        sentences.append(
            f"{model}: the planted {row['planted']} pair {stands}: {row['vector_beyond']:.3f} of its shift lies beyond "
            f"the sum of the two, against {usual:.3f} (largest {highest:.3f}) for {len(alone)} independent pairs."
        )
    return tuple(sentences)


def _compared(lead: Draws) -> str:
    low, high = lead.interval
    if low > 0:
        return "beat"
    return "did worse than" if high < 0 else "did not beat"


def _by_method(summary: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {str(row["method"]): {str(name): value for name, value in row.items()} for row in summary.to_dict("records")}


def _named(rows: dict[str, dict[str, Any]], method: str) -> str:
    row = rows[method]
    return f"{row['auroc']:.3f} ({_range((row['auroc_low'], row['auroc_high']))})"


def _range(interval: tuple[float, float], *, sign: bool = False) -> str:
    low, high = interval
    return f"{low:+.3f} to {high:+.3f}" if sign else f"{low:.3f} to {high:.3f}"


def _counted(n: int) -> str:
    return f"{n} knock-out" if n == 1 else f"{n} knock-outs"
