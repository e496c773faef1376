"""The tables of a perturbation, as `PerturbationEffects` describes them; knows no workers and embeds nothing."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.analyses.perturbation_null import (
    MIN_DONORS,
    adjust_p,
    bootstrap_interval,
    empirical_p,
    generator,
    z_score,
)
from scfm_core.analyses.perturbation_study import Followers, Moved, Null, Study, mean_there

RARELY_HELD_BELOW = 0.10


def effects_table(study: Study, moved: Moved, null: Null) -> pd.DataFrame:
    """Return one row per edit and group, edits in the order of the request."""
    rows = []
    for group in study.group_names:
        intervals, over = _intervals(study, moved, group)
        for edit, interval in enumerate(intervals):
            rows.append(_effect_row(study, moved, (edit, group)) | interval | {"ci_over": over})
            rows[-1] |= _comparison(study, moved, (null, edit, group))
    table = pd.DataFrame(rows)
    table["p_adjusted"] = adjust_p(table["p_empirical"].to_numpy())
    order = {label: number for number, label in enumerate(study.labels)}
    return table.sort_values("edit", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def cells_table(study: Study, moved: Moved) -> pd.DataFrame:
    """Return one row per edit and chosen cell."""
    names = study.apparatus.dataset.cells().index.to_numpy(dtype=str)[study.chosen]
    n_edits = len(study.edits)
    return pd.DataFrame(
        {
            "cell": np.tile(names, n_edits),
            "edit": np.repeat(study.labels, len(names)),
            "group": np.tile(study.groups, n_edits),
            "cosine_similarity": 1.0 - moved.distance.ravel(),
            "holds": moved.holds.ravel(),
        }
    )


def genes_table(study: Study, followers: Followers) -> pd.DataFrame:
    """Return one row per edit, group and gene that turned, largest first."""
    columns = ["edit", "group", "gene_id", "symbol", "mean_shift", "n_cells"]
    dataset = study.apparatus.dataset
    tables = [pd.DataFrame({name: [] for name in columns}).astype({"mean_shift": float, "n_cells": int})]
    for (edit, group), most in followers.most.items():
        table = pd.DataFrame({"gene_id": [dataset.gene_ids[gene] for gene in most["genes"]]})
        table["symbol"] = [dataset.gene_symbols[gene] for gene in most["genes"]]
        table["mean_shift"], table["n_cells"] = most["mean_shift"], most["n_cells"]
        tables.append(table.assign(edit=study.labels[edit], group=group)[columns])
    found = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(found, ignore_index=True)


def null_table(study: Study, null: Null) -> pd.DataFrame:
    """Return one row per random gene, or set of genes."""
    symbols = study.apparatus.dataset.gene_symbols
    rows = [
        (study.labels[edit], group, "+".join(symbols[gene] for gene in genes), levelled, measured)
        for (edit, group), match in null.matches.items()
        for genes, levelled, measured in zip(
            match.genes, null.levelled.get((edit, group), []), null.measured.get((edit, group), []), strict=True
        )
    ]
    types = {"edit": str, "group": str, "null_edit": str, "null_effect": float, "null_measured": float}
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _effect_row(study: Study, moved: Moved, key: tuple[int, str]) -> dict[str, Any]:
    edit, group = key
    members = study.members[group]
    valid = members[~np.isnan(moved.distance[edit, members])]
    holding = valid[moved.holds[edit, valid]]
    share = len(holding) / len(valid) if len(valid) else 0.0
    status = "not held" if not len(holding) else "rarely held" if share < RARELY_HELD_BELOW else "tested"
    expressing = np.any([study.expresses(single.gene_id)[valid] for single in study.edits[edit]], axis=0)
    return {
        "edit": study.labels[edit],
        "gene_ids": ";".join(single.gene_id for single in study.edits[edit]),
        "group": group,
        "n_cells": len(valid),
        "n_holding": len(holding),
        "share_holding": share,
        "n_expressing": int(expressing.sum()),
        "effect": mean_there(moved.distance[edit, valid]),
        "effect_holding": mean_there(moved.distance[edit, holding]),
        "status": status,
    }


def _comparison(study: Study, moved: Moved, key: tuple[Null, int, str]) -> dict[str, Any]:
    null, edit, group = key
    sample = study.sample(moved, edit, group)
    observed = study.observed(moved, edit, group)
    drawn = null.levelled.get((edit, group), np.empty(0))
    drawn = drawn[~np.isnan(drawn)]
    match = null.matches.get((edit, group))
    return {
        "null_effect": observed,
        "null_mean": mean_there(drawn),
        "null_sd": float(drawn.std(ddof=1)) if len(drawn) > 1 else float("nan"),
        "n_null": len(drawn),
        "null_n_cells": len(sample),
        "z": z_score(observed, drawn),
        "p_empirical": empirical_p(observed, drawn),
        "match_distance": match.distance if match and len(drawn) else float("nan"),
        "match_quality": match.quality if match else "",
    }


def _intervals(study: Study, moved: Moved, group: str) -> tuple[list[dict[str, float]], str]:
    """Return the interval of each edit's effect, and over what it was drawn."""
    members = study.members[group]
    members = members[~np.isnan(moved.distance[:, members]).any(axis=0)]
    donors = None if study.donors is None else study.donors[members]
    if donors is not None and len(np.unique(donors)) < MIN_DONORS:
        donors = None
    rng = generator(study.seed, group, "resamples")
    low, high = bootstrap_interval(moved.distance[:, members].T, rng, clusters=donors)
    ends = [{"ci_low": float(a), "ci_high": float(b)} for a, b in zip(low, high, strict=True)]
    return ends, "cells" if donors is None else "donors"
