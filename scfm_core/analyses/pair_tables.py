"""Builds the tables of a question about pairs; knows what was measured, runs no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.pair_draws import Key
from scfm_core.analyses.pair_null import Compared, PairNull
from scfm_core.analyses.pair_passes import MEASURES
from scfm_core.analyses.pair_steps import MIN_CELLS
from scfm_core.analyses.pair_words import kind_and_reason
from scfm_core.analyses.perturbation_donors import interval_over_donors
from scfm_core.analyses.perturbation_null import (
    MIN_CELLS_PER_DONOR,
    MIN_DONORS,
    adjust_p,
    bootstrap_interval,
    generator,
    z_score,
)
from scfm_core.analyses.perturbation_study import Study

_NAN = float("nan")
_WORDS = ("edit_a", "edit_b", "gene_id_a", "gene_id_b", "group", "ci_over", "match_quality", "kind_of", "reason")
_COUNTS = ("n_cells", "n_holding_both", "n_measured", "n_null", "null_n_cells", "vector_n_null")
COLUMNS = (
    *("edit_a", "edit_b", "gene_id_a", "gene_id_b", "group", "n_cells", "n_holding_both", "n_measured"),
    *("effect_a", "effect_b", "effect_both", "effect_added", "size_beyond", "ci_low", "ci_high", "ci_over"),
    *("null_n_cells", "null_effect", "null_mean", "null_sd", "n_null", "z", "p_empirical", "p_adjusted"),
    *("vector_beyond", "vector_ci_low", "vector_ci_high", "noise", "vector_null_effect", "vector_null_mean"),
    *("vector_null_sd", "vector_n_null", "vector_z", "vector_p_empirical", "vector_p_adjusted"),
    *("match_distance", "match_quality", "kind_of", "reason"),
)


@dataclass(frozen=True, eq=False)
class PairsFound:
    """All that was found out about the pairs of a list.

    Attributes
    ----------
    study
        Its edits are the single ones.
    pairs
        Numbers of the two edits of each pair.
    holds
        Shape ``(n_edits, n_chosen)``.
    samples, values
        The cells each pair was measured on in each group, as positions in the chosen ones, and `MEASURES` there.
    compared
        Pairs that were compared with random ones.
    error
        Relative error of a vector.
    unread
        Symbols of genes that the model does not read.
    """

    study: Study
    pairs: Sequence[tuple[int, int]]
    holds: NDArray[np.bool_]
    samples: Mapping[Key, NDArray[np.int64]]
    values: Mapping[Key, NDArray[np.float64]]
    compared: Mapping[Key, Compared]
    error: float
    unread: frozenset[str]

    def mean(self, key: Key, measure: str) -> float:
        """Return a mean over the cells of a pair and group that have a value; NaN of none."""
        values = self.values[key][MEASURES.index(measure)]
        there = values[~np.isnan(values)]
        return float(there.mean()) if len(there) else _NAN

    def is_noise(self, key: Key) -> bool:
        """Whether what is left beyond the sum is within the error of the arithmetic."""
        return self.mean(key, "left_over") <= self.error * self.mean(key, "four_lengths")


def interactions_table(found: PairsFound) -> pd.DataFrame:
    """Return one row per pair and group, see `PairInteractions.table`."""
    rows = []
    for number, (one, other) in enumerate(found.pairs):
        for group, members in found.study.members.items():
            key = (number, group)
            row = dict[str, Any].fromkeys(COLUMNS, _NAN) | dict.fromkeys(_WORDS, "") | dict.fromkeys(_COUNTS, 0)
            for side, edit in (("a", one), ("b", other)):
                row[f"edit_{side}"] = found.study.labels[edit]
                row[f"gene_id_{side}"] = found.study.edits[edit][0].gene_id
            both = found.holds[one, members] & found.holds[other, members]
            row |= {"group": group, "n_cells": len(members), "n_holding_both": int(both.sum())}
            row |= _measured(found, key)
            if key in found.compared:
                row |= _beside_random(found.compared[key])
            rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for prefix in ("", "vector_"):
        table[f"{prefix}p_adjusted"] = adjust_p(table[f"{prefix}p_empirical"].to_numpy(dtype=np.float64))
    said = [kind_and_reason(row, found.unread) for row in table.to_dict("records")]
    table["kind_of"], table["reason"] = [kind for kind, _ in said], [reason for _, reason in said]
    return table


def random_pairs_table(found: PairsFound) -> pd.DataFrame:
    """Return one row per random pair of each pair and group, see `PairInteractions.null`."""
    symbol = dict(zip(found.study.dataset.gene_ids, found.study.dataset.gene_symbols, strict=True))
    rows = []
    for (number, group), each in found.compared.items():
        one, other = found.pairs[number]
        own = (found.study.labels[one], found.study.labels[other], group)
        beyond = zip_longest(each.size.null * each.added, each.vector.null, fillvalue=_NAN)
        for (a, b), (size, vector) in zip(each.drawn.pairs, beyond, strict=False):
            rows.append((*own, symbol[a.gene_id], symbol[b.gene_id], float(size), float(vector)))
    columns = ["edit_a", "edit_b", "group", "null_a", "null_b", "size_beyond", "vector_beyond"]
    return pd.DataFrame(rows, columns=columns).astype({"size_beyond": float, "vector_beyond": float})


def _measured(found: PairsFound, key: Key) -> dict[str, Any]:
    values = found.values[key]
    there = ~np.isnan(values[0])
    n_measured = int(there.sum())
    if not n_measured:
        return {}
    row: dict[str, Any] = {name: found.mean(key, name) for name in MEASURES if name.startswith("effect_")}
    row |= {"n_measured": n_measured, "size_beyond": row["effect_both"] - row["effect_added"]}
    path = found.mean(key, "path") or _NAN
    row |= {"vector_beyond": found.mean(key, "left_over") / path}
    row |= {"noise": found.error * found.mean(key, "four_lengths") / path}
    if n_measured < MIN_CELLS:
        return row
    by_name = dict(zip(MEASURES, values[:, there], strict=True))
    ratio = row["vector_beyond"]  # its interval is that of a mean of what each cell adds to it, to first order
    vector = ratio + (by_name["left_over"] - ratio * by_name["path"]) / path
    columns = np.stack([by_name["effect_both"] - by_name["effect_added"], vector], axis=1)
    (low, high), over = _interval(found.study, found.samples[key][there], columns, key)
    row |= {"ci_low": low[0], "ci_high": high[0], "ci_over": over}
    return row | {"vector_ci_low": low[1], "vector_ci_high": high[1]}


def _interval(
    study: Study, cells: NDArray[np.int64], columns: NDArray[np.float64], key: Key
) -> tuple[tuple[Sequence[float], Sequence[float]], str]:
    """Return the ends of the intervals of both columns, over donors where there are enough, else over cells."""
    if study.donors is not None:
        names, which, n_cells = np.unique(study.donors[cells], return_inverse=True, return_counts=True)
        enough = (n_cells >= MIN_CELLS_PER_DONOR) & (names != "")
        if enough.sum() >= MIN_DONORS:
            means = [np.bincount(which.ravel(), weights=column) / n_cells for column in columns.T]
            ends = [
                interval_over_donors(each[enough], n_cells[enough], centre=float(column.mean()))
                for each, column in zip(means, columns.T, strict=True)
            ]
            return ([low for low, _ in ends], [high for _, high in ends]), "donors"
    low, high = bootstrap_interval(columns, generator(study.seed, key[1], f"pair {key[0]}"))
    return (low.tolist(), high.tolist()), "cells"


def _beside_random(compared: Compared) -> dict[str, Any]:
    row: dict[str, Any] = {"null_n_cells": compared.n_cells, "match_distance": compared.drawn.match.distance}
    row["match_quality"] = compared.drawn.match.quality
    return row | _numbers(compared.size, compared.added, "") | _numbers(compared.vector, 1.0, "vector_")


def _numbers(null: PairNull, unit: float, prefix: str) -> dict[str, Any]:
    there = null.there * unit
    return {
        f"{prefix}null_effect": null.observed * unit,
        f"{prefix}null_mean": float(there.mean()) if len(there) else _NAN,
        f"{prefix}null_sd": float(there.std(ddof=1)) if len(there) > 1 else _NAN,
        f"{prefix}n_null": len(there),
        f"{prefix}z": z_score(null.observed * unit, there),
        f"{prefix}p_empirical": null.p,
    }
