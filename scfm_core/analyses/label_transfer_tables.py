"""Counts of cells that got their own label, another, or none: by label, by pair, by fold."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.metric_cells import LEAST_DONORS

ALL = "all"
_Z = 1.959963984540054  # of a 95 % interval


def recall_table(
    names: Sequence[str],
    labels: NDArray[np.int64],
    given: NDArray[np.int64],
    *,
    known: NDArray[np.bool_],
    folds: NDArray[np.int64],
) -> pd.DataFrame:
    """Return one row per label that occurs, then one for all; columns as in `LabelTransfer`.

    Parameters
    ----------
    given
        Label that each cell got, -1 for unknown.
    known
        Whether the cell's own label stands in the other folds.
    """
    rows = []
    for label in [*np.unique(labels).tolist(), None]:
        mine = np.ones(len(labels), dtype=bool) if label is None else labels == label
        asked, named = mine & known, given >= 0 if label is None else given == label
        right = given == labels
        low, high, unit = recall_interval(right[asked], folds[asked])
        lost = mine & ~known
        rows.append({
            "label": ALL if label is None else names[label], "n_cells": int(mine.sum()),
            "n_reference": int(asked.sum()), "recall": _share(right[asked]), "ci_low": low, "ci_high": high,
            "ci_unit": unit, "wrong": _share(((given >= 0) & ~right)[asked]), "unknown": _share(given[asked] < 0),
            "precision": _share(right[named]), "invented": _share(given[lost] >= 0),
        })  # fmt: skip
    return pd.DataFrame(rows)


def recall_interval(right: NDArray[np.bool_], folds: NDArray[np.int64]) -> tuple[float, float, str]:
    """Return the 95 % interval of a share, and what it was counted over.

    Over folds where six or more hold such cells: then it says what a new batch or donor would give. Else over cells,
    after Wilson, which says only what other cells of these would.

    References
    ----------
    Wilson 1927, doi:10.1080/01621459.1927.10502953; for shares over clusters Cochran 1977, Sampling techniques, 3.12.
    """
    from scipy.stats import t

    n = len(right)
    if n == 0:
        return np.nan, np.nan, "cells"
    share = float(right.mean())
    _, fold, sizes = np.unique(folds, return_inverse=True, return_counts=True)
    n_folds = len(sizes)
    if n_folds >= LEAST_DONORS:
        residuals = np.bincount(fold, weights=right) - share * sizes
        error = np.sqrt(n_folds / (n_folds - 1) * (residuals**2).sum()) / n
        half = float(t.ppf(0.975, n_folds - 1) * error)
        return max(0.0, share - half), min(1.0, share + half), "folds"
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half)), "cells"


def confusion_table(names: Sequence[str], labels: NDArray[np.int64], given: NDArray[np.int64]) -> pd.DataFrame:
    """Return how many cells of each label were given each label; empty for unknown."""
    counts = pd.DataFrame({"label": labels, "given": given}).value_counts(sort=False).rename("n_cells").reset_index()
    counts["share"] = counts["n_cells"] / counts.groupby("label")["n_cells"].transform("sum")
    called = np.array([*names, ""], dtype=object)
    return counts.assign(label=called[counts["label"]], given=called[counts["given"]])


def fold_table(
    names: Sequence[str],
    labels: NDArray[np.int64],
    given: NDArray[np.int64],
    *,
    known: NDArray[np.bool_],
    folds: NDArray[np.int64],
) -> pd.DataFrame:
    """Return one row per fold: ``fold``, ``n_cells``, ``recall``, ``unknown``."""
    rows = []
    for fold in np.unique(folds).tolist():
        asked = (folds == fold) & known
        rows.append({
            "fold": names[fold], "n_cells": int((folds == fold).sum()),
            "recall": _share((given == labels)[asked]), "unknown": _share(given[asked] < 0),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _share(which: NDArray[np.bool_]) -> float:
    return float(which.mean()) if len(which) else np.nan
