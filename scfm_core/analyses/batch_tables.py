"""Tables of groups of cells: what variance lies between them, how far two tell each other, who is made of what."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EXPLAINED = ("column", "n_groups", "n_cells", "explained", "by_chance", "explained_within")
ASSOCIATIONS = ("first", "second", "n_first", "n_second", "n_cells", "cramers_v", "in_words")
COMPOSITION = ("batch", "label", "n_cells", "n_batch", "n_label", "share_of_batch", "share_of_label")
SAME, STRONG, SOME = 0.99, 0.5, 0.1
_LEAST_GROUPS = 2
_ROUNDING = 1e-9
Codes = NDArray[np.integer[Any]]


def variance_between(points: NDArray[np.float64], codes: Codes) -> float:
    """Return the share of the variance of points that lies between groups, 0 to 1; NaN where all points are equal.

    Parameters
    ----------
    points
        Shape ``(n_cells, n_dimensions)``.
    codes
        Group of each cell, none negative, shape ``(n_cells,)``.

    Examples
    --------
    >>> points = np.array([[0.0, 1.0], [0.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
    >>> round(variance_between(points, np.array([0, 0, 1, 1])), 6)
    0.2
    """
    centred = points - points.mean(axis=0)
    total = float((centred**2).sum())
    if total <= 0:
        return float("nan")
    return _share(float((_within(centred, codes) ** 2).sum()), total)


def cramers_v(first: Codes, second: Codes) -> float:
    """Return how far one grouping tells the other, 0 to 1, without the bias of small samples; NaN for one group.

    Parameters
    ----------
    first, second
        Group of each cell, none negative, shape ``(n_cells,)``.

    Examples
    --------
    >>> cramers_v(np.array([0, 0, 1, 1] * 5), np.array([1, 1, 0, 0] * 5))
    1.0
    >>> cramers_v(np.array([0, 0, 1, 1] * 5), np.array([0, 1, 0, 1] * 5))
    0.0
    """
    rows, columns = (np.unique(codes, return_inverse=True)[1] for codes in (first, second))
    n_rows, n_columns, n_cells = int(rows.max(initial=-1)) + 1, int(columns.max(initial=-1)) + 1, len(rows)
    if min(n_rows, n_columns) < _LEAST_GROUPS or n_cells < _LEAST_GROUPS:
        return float("nan")
    table = np.bincount(rows * n_columns + columns, minlength=n_rows * n_columns).reshape(n_rows, n_columns)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n_cells
    phi2 = float(((table - expected) ** 2 / expected).sum()) / n_cells
    if phi2 >= min(n_rows, n_columns) - 1 - _ROUNDING:
        return 1.0  # one tells the other exactly, however few the cells
    bias = (n_rows - 1) * (n_columns - 1) / (n_cells - 1)
    least = min(n - (n - 1) ** 2 / (n_cells - 1) for n in (n_rows, n_columns)) - 1
    if least <= 0:
        return float("nan")
    return float(min(1.0, np.sqrt(max(0.0, phi2 - bias) / least)))


def confounding_words(value: float) -> str:
    """Say what a Cramer's V means.

    Examples
    --------
    >>> [confounding_words(value) for value in (1.0, 0.7, 0.3, 0.02)]
    ['the same: one tells the other', 'strongly confounded', 'partly confounded', 'nearly independent']
    """
    if not np.isfinite(value):
        return "not defined"
    if value >= SAME:
        return "the same: one tells the other"
    if value >= STRONG:
        return "strongly confounded"
    return "partly confounded" if value >= SOME else "nearly independent"


def associations_of(columns: dict[str, Codes]) -> pd.DataFrame:
    """Return the table of pairs of groupings, see `BatchStructure.associations`; the strongest pair first."""
    names, rows = list(columns), []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            both = (columns[first] >= 0) & (columns[second] >= 0)
            sides = [np.asarray(columns[name][both]) for name in (first, second)]
            value = cramers_v(*sides)
            n_first, n_second = (len(np.unique(side)) for side in sides)
            row = (first, second, n_first, n_second, int(both.sum()), value, confounding_words(value))
            rows.append(dict(zip(ASSOCIATIONS, row, strict=True)))
    table = pd.DataFrame(rows, columns=list(ASSOCIATIONS))
    return table.sort_values("cramers_v", ascending=False, kind="stable", na_position="last").reset_index(drop=True)


def composition_table(batches: tuple[tuple[str, ...], Codes], labels: tuple[tuple[str, ...], Codes]) -> pd.DataFrame:
    """Return how many cells of each label each batch holds, see `BatchStructure.composition`."""
    both = (batches[1] >= 0) & (labels[1] >= 0)
    shape = (len(batches[0]), len(labels[0]))
    places = np.asarray(batches[1][both], dtype=np.int64) * shape[1] + labels[1][both]
    counts = np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)
    n_batch, n_label = counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        shares = counts / n_batch[:, None], counts / n_label[None, :]
    table = pd.DataFrame(
        {
            "batch": np.repeat(np.array(batches[0], dtype=object), shape[1]),
            "label": np.tile(np.array(labels[0], dtype=object), shape[0]),
            "n_cells": counts.ravel(),
            "n_batch": np.repeat(n_batch, shape[1]),
            "n_label": np.tile(n_label, shape[0]),
            "share_of_batch": shares[0].ravel(),
            "share_of_label": shares[1].ravel(),
        }
    )
    held: pd.DataFrame = table[(table["n_batch"] > 0) & (table["n_label"] > 0)].reset_index(drop=True)
    return held


def explained_row(name: str, points: NDArray[np.float64], codes: Codes, kinds: Codes | None) -> dict[str, Any]:
    """Return how much of the variance of points a column explains, see `BatchStructure.explained`.

    Parameters
    ----------
    codes, kinds
        Group and label of each cell, -1 for none, shape ``(n_cells,)``; no labels where None.
    """
    known = codes >= 0
    n_groups, n_cells = len(np.unique(codes[known])), int(known.sum())
    within = float("nan")
    if kinds is not None:
        both = known & (kinds >= 0)
        within = _explained_within(points[both], codes[both], kinds[both])
    chance = (n_groups - 1) / (n_cells - 1) if n_cells > 1 else float("nan")
    row = (name, n_groups, n_cells, variance_between(points[known], codes[known]), chance, within)
    return dict(zip(EXPLAINED, row, strict=True))


def _explained_within(points: NDArray[np.float64], codes: Codes, kinds: Codes) -> float:
    """Return the share of the variance within labels that lies between the groups inside each label."""
    if not len(points):
        return float("nan")
    left = _within(points - points.mean(axis=0), kinds)
    total = float((left**2).sum())
    pairs = np.asarray(kinds, dtype=np.int64) * (int(codes.max()) + 1) + codes
    return _share(float((_within(left, pairs) ** 2).sum()), total) if total > 0 else float("nan")


def _share(left: float, total: float) -> float:
    """Return the share of a sum of squares that is explained; what rounding leaves is none."""
    explained = 1.0 - left / total
    return explained if explained > _ROUNDING else 0.0


def _within(points: NDArray[np.float64], codes: Codes) -> NDArray[np.float64]:
    """Return points less the mean of their group."""
    _, group = np.unique(codes, return_inverse=True)
    sizes = np.bincount(group)
    means = np.stack([np.bincount(group, weights=column) / sizes for column in points.T], axis=1)
    return np.asarray(points - means[group])

