"""Scores of several embeddings in one table: beside PCA on the same resampled cells, between random numbers and PCA."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scfm_core.analyses.compare_model_verdicts import Beside, Candidate, judge, recommend, verdict_sentence
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.metric_cells import interval
from scfm_core.analyses.score_embedding import EmbeddingScores
from scfm_core.metrics.catalogue import Family
from scfm_core.metrics.scaling import scaled

PCA, RANDOM = "pca", "random"
BIOLOGY, BATCH = "biology", "batch"
SUMMARIES: dict[Family, tuple[str, str]] = {
    "published": ("avg_bio", "avg_batch"),
    "scib-metrics": ("mean_biology", "mean_batch"),
}
SCORES = (
    *("model", "title", "simple", "family", "metric", "metric_title", "about", "value", "ci_low", "ci_high"),
    *("higher_is_better", "scaled", "scaled_up", "difference", "difference_low", "difference_high", "verdict"),
    *("n_cells", "meaning", "note"),
)
VERDICTS = ("model", "title", "simple", "family", "biology", "batch", "sentence")
OTHER_CELLS = "Scored on other cells than PCA, as cells lack a vector in one: no paired interval."


@dataclass(frozen=True)
class Scored:
    """The scores of one embedding, of one family."""

    embedding: EmbedCells
    family: Family
    scores: EmbeddingScores


def candidate_key(embedding: EmbedCells) -> str:
    """Return a short name of an embedding: the model's key, and the seed where it is not the first."""
    seed = embedding.chosen_options.seed
    return embedding.model.key + (f"-seed{seed}" if seed else "")


def candidate_title(embedding: EmbedCells) -> str:
    """Return what an embedding is called in tables and figures."""
    seed = embedding.chosen_options.seed
    return embedding.model.title + (f", seed {seed}" if seed else "")


def score_table(scored: Sequence[Scored]) -> pd.DataFrame:
    """Return one row per embedding, family and metric, with PCA and random numbers as measures of the others.

    Returns
    -------
    Columns: ``model`` (key), ``title``, ``simple`` (a baseline), ``family``, ``metric``, ``metric_title``, ``about``,
    ``value``, ``ci_low``, ``ci_high``, ``higher_is_better``; ``scaled`` (0: random numbers, 1: PCA); ``scaled_up``
    (whether a higher scaled score is better: not so where random numbers beat PCA, as they do at mixing);
    ``difference`` (less that of PCA), ``difference_low``, ``difference_high`` (95 % interval over the same
    resampled cells); ``verdict`` (see `compare_model_verdicts.judge`); ``n_cells``, ``meaning``, ``note``.
    """
    parts = []
    for family in dict.fromkeys(one.family for one in scored):
        mine = [_with_summary(one) for one in scored if one.family == family]
        known = {candidate_key(one.embedding): one for one in mine}
        parts += [_rows(one, known.get(PCA), known.get(RANDOM)) for one in mine]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(SCORES))


def metrics_by_candidate(table: pd.DataFrame, about: str, *, numbers: str = "value") -> pd.DataFrame:
    """Return one row per metric about biology or batches, one column per candidate.

    Beside the candidates stand ``metric``, ``good`` (the end that is good), ``meaning`` and ``note``.

    Parameters
    ----------
    table
        Of one family.
    numbers
        ``"value"``, or ``"scaled"``: then ``good`` is the good end of the scaled score.
    """
    rows = []
    for _, mine in table[table["about"] == about].groupby("metric", sort=False):
        first = mine.iloc[0]
        up = bool(mine["scaled_up"].iloc[0] if numbers == "scaled" else first["higher_is_better"])
        good = "\u2191 higher is better" if up else "\u2193 lower is better"
        note = next((note for note in mine["note"] if note), "")
        values = dict(zip(mine["title"], mine[numbers], strict=True))
        words = {"meaning": first["meaning"], "note": note}
        rows.append({"metric": first["metric_title"], "good": good, **values, **words})
    return pd.DataFrame(rows)


def candidates_of(table: pd.DataFrame, family: Family) -> list[Candidate]:
    """Return what the summary scores of a family say of each embedding, random numbers left out."""
    rows = table[(table["family"] == family) & ~table["model"].str.startswith(RANDOM)]
    found = []
    for model, mine in rows.groupby("model", sort=False):
        sides = {row["metric"]: _beside(row) for _, row in mine.iterrows()}
        biology, batch = (sides.get(name) for name in SUMMARIES[family])
        first = mine.iloc[0]
        found.append(
            Candidate(
                model=str(model), title=str(first["title"]), simple=bool(first["simple"]), biology=biology, batch=batch
            )
        )
    return found


def verdict_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per embedding but PCA and random numbers, and family: the verdicts and a sentence.

    Returns
    -------
    Columns: ``model``, ``title``, ``simple``, ``family``, ``biology``, ``batch`` (each ``better``, ``as good``,
    ``worse``, ``cannot tell`` or ``not measured``), ``sentence``.
    """
    rows = []
    for family in dict.fromkeys(table["family"]):
        n_cells = table.loc[table["family"] == family].groupby("model")["n_cells"].max()
        for one in candidates_of(table, family):
            if one.model != PCA:
                words = verdict_sentence(one, int(n_cells[one.model]))
                row = (one.model, one.title, one.simple, family, judge(one.biology), judge(one.batch), words)
                rows.append(dict(zip(VERDICTS, row, strict=True)))
    return pd.DataFrame(rows, columns=list(VERDICTS))


def recommendation_table(table: pd.DataFrame, *, favours_pca: bool) -> pd.DataFrame:
    """Return which embedding each family recommends: ``family``, ``model``, ``sentence``, ``reason``."""
    rows = []
    for family in dict.fromkeys(table["family"]):
        said = recommend(candidates_of(table, family), favours_pca=favours_pca)
        rows.append({"family": family, "model": said.model, "sentence": said.sentence, "reason": said.reason})
    return pd.DataFrame(rows, columns=["family", "model", "sentence", "reason"])


def _rows(one: Scored, pca: Scored | None, random: Scored | None) -> pd.DataFrame:
    table = one.scores.table.rename(columns={"title": "metric_title"}).reset_index(drop=True)
    table = table.assign(
        model=candidate_key(one.embedding), title=candidate_title(one.embedding),
        simple=one.embedding.model.is_baseline, family=one.family,
    )  # fmt: skip
    of_pca, of_random = _values(pca), _values(random)
    table["scaled"] = [
        scaled(value, at_random=of_random.get(metric, np.nan), of_pca=of_pca.get(metric, np.nan))
        for metric, value in zip(table["metric"], table["value"], strict=True)
    ]
    beaten = [of_random.get(metric, np.nan) > of_pca.get(metric, np.nan) for metric in table["metric"]]
    table["scaled_up"] = table["higher_is_better"].to_numpy(dtype=bool) ^ np.array(beaten, dtype=bool)
    differences = [_difference(one, pca, str(metric)) for metric in table["metric"]]
    columns = ["difference", "difference_low", "difference_high"]
    table[columns] = np.array(differences, dtype=np.float64).reshape(-1, 3)
    table["verdict"] = [judge(_beside(row)) for _, row in table.iterrows()]
    if pca is not None and int(pca.scores.table["n_cells"].max()) != int(table["n_cells"].max()):
        table["note"] = [f"{note} {OTHER_CELLS}".strip() for note in table["note"]]
    shown: pd.DataFrame = table[list(SCORES)]
    return shown


def _values(one: Scored | None) -> dict[str, float]:
    if one is None:
        return {}
    return {str(name): float(value) for name, value in one.scores.table[["metric", "value"]].itertuples(index=False)}


def _difference(one: Scored, pca: Scored | None, metric: str) -> tuple[float, float, float]:
    """Return a score less that of PCA, and its interval over resamples of the same cells."""
    mine, other = _values(one).get(metric, np.nan), _values(pca).get(metric, np.nan)
    difference = mine - other
    if pca is None or not np.isfinite(difference) or not _same_cells(one, pca):
        return difference, np.nan, np.nan
    if candidate_key(one.embedding) == PCA:
        return 0.0, 0.0, 0.0
    drawn = one.scores.resampled[metric].to_numpy(dtype=np.float64)
    low, high = interval(difference, drawn - pca.scores.resampled[metric].to_numpy(dtype=np.float64), 1.0)
    return difference, low, high


def _same_cells(one: Scored, pca: Scored) -> bool:
    n_cells = {int(side.scores.table["n_cells"].max()) for side in (one, pca)}
    return len(n_cells) == 1 and len(one.scores.resampled) == len(pca.scores.resampled)


def _beside(row: "pd.Series[Any]") -> Beside | None:
    """Return a row as a score beside PCA's, turned so that higher is better."""
    value, difference = float(row["value"]), float(row["difference"])
    if not np.isfinite(value) or not np.isfinite(difference):
        return None
    low, high = float(row["difference_low"]), float(row["difference_high"])
    if row["higher_is_better"]:
        return Beside(value=value, reference=value - difference, low=low, high=high)
    return Beside(value=-value, reference=difference - value, low=-high, high=-low)


def _with_summary(one: Scored) -> Scored:
    """Return scores with the mean of biology and that of batches, where the family has none of its own."""
    table = one.scores.table
    rows, resampled = [], one.scores.resampled.copy()
    for about, key in zip((BIOLOGY, BATCH), SUMMARIES[one.family], strict=True):
        mine = table[(table["about"] == about) & table["value"].notna()]
        if key in set(table["metric"]) or mine.empty:
            continue
        names = mine["metric"].tolist()
        resampled[key] = resampled[names].mean(axis=1, skipna=False)
        value = float(mine["value"].mean())
        low, high = interval(value, resampled[key].to_numpy(dtype=np.float64), 1.0)
        what = "cell types stay apart" if about == BIOLOGY else "batches mix"
        rows.append(
            {
                "metric": key, "title": f"Mean of {about}", "about": about, "value": value, "ci_low": low,
                "ci_high": high, "higher_is_better": True, "n_cells": int(table["n_cells"].max()),
                "meaning": f"The mean of the family's {len(names)} metrics that say how well {what}.",
                "note": f"Of {', '.join(mine['title'])}.",
            }
        )  # fmt: skip
    if not rows:
        return one
    scores = EmbeddingScores(pd.concat([pd.DataFrame(rows), table], ignore_index=True), resampled, one.scores.unit)
    return Scored(one.embedding, one.family, scores)
