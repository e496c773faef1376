"""What a matrix holds, judged by its values: counts, or which transformation of counts. Pure functions over arrays."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Kind = Literal[
    "counts",
    "thinned",
    "rounded-normalised",
    "times-constant",
    "ambient-corrected",
    "normalised",
    "log",
    "scaled",
    "residuals",
    "negative",
    "not-finite",
    "binary",
    "empty",
]

_FEWEST_CELLS = 20  # below this, nothing is concluded from how totals spread over cells
_FEWEST_VALUES = 20  # a cell with fewer values says nothing about its structure


@dataclass(frozen=True)
class Judgement:
    """What a matrix holds.

    Attributes
    ----------
    factor
        The number by which all counts were multiplied; 1 unless the kind is ``"times-constant"``.
    base
        The base of the logarithm where the kind is ``"log"`` and the base shows; 0 where it does not.
    """

    kind: Kind
    factor: float = 1.0
    base: float = 0.0


def judge(matrix: csr_matrix) -> Judgement:
    """Say what the values of a matrix are.

    Sums alone are never trusted: rounded normalised values are integers too, so the spectrum of small integers inside
    the cells decides (a cell with many ones and threes has twos), and the spread of the totals between cells.

    Parameters
    ----------
    matrix
        Values of all cells or of a sample of them, shape ``(n_cells, n_genes)``.
    """
    data = np.asarray(matrix.data)
    data = data[data != 0]
    if data.size == 0:
        return Judgement("empty")
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        return Judgement("not-finite")
    if data.dtype.kind in "if" and data.min() < 0:
        return Judgement(_kind_with_negatives(matrix))
    if data.dtype.kind != "f" or np.array_equal(data, np.rint(data)):
        return _judge_integers(matrix, data)
    return _judge_fractions(matrix, data)


def _kind_with_negatives(matrix: csr_matrix) -> Kind:
    """Tell gene-wise centred values, of spread one (z-scores) or not (residuals), from anything else below zero."""
    n_cells, n_genes = matrix.shape
    density = np.count_nonzero(matrix.data) / (n_cells * n_genes)
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    square = np.asarray(matrix.multiply(matrix).mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    used = spread > 0
    if density < 0.5 or not used.any():
        return "negative"
    centred = np.abs(mean[used]) < np.maximum(0.35 * spread[used], 0.02)
    if centred.mean() < 0.8:
        return "negative"
    alike = np.abs(spread[used] - 1) < 0.25
    return "scaled" if alike.mean() > 0.7 and _zeros_stay_alike(matrix, np.flatnonzero(used)) else "residuals"


def _zeros_stay_alike(matrix: csr_matrix, genes: NDArray[np.int64]) -> bool:
    """Say whether cells without a gene share one value, as after scaling; a residual depends on the cell's depth."""
    some = genes[np.linspace(0, len(genes) - 1, min(60, len(genes))).astype(int)]
    values = matrix[:, some].toarray()
    return bool(np.quantile(np.mean(values == values.min(axis=0), axis=0), 0.9) > 0.1)


def _judge_integers(matrix: csr_matrix, data: NDArray[Any]) -> Judgement:
    factor = int(np.gcd.reduce(data.astype(np.int64)))
    if np.all(data == data[0]):
        return Judgement("binary") if data.size >= 1000 and matrix.shape[1] >= 100 else Judgement("counts")
    if factor > 1:
        inner = _kind_of_integers(csr_matrix((data_over(matrix, factor), matrix.indices, matrix.indptr), matrix.shape))
        return Judgement("times-constant", float(factor)) if inner in ("counts", "thinned") else Judgement(inner)
    return Judgement(_kind_of_integers(matrix))


def data_over(matrix: csr_matrix, factor: float) -> NDArray[np.int64]:
    """Return the stored values divided by a constant, rounded to whole numbers."""
    return np.rint(np.asarray(matrix.data, dtype=np.float64) / factor).astype(np.int64)


def _kind_of_integers(matrix: csr_matrix) -> Kind:
    gaps = _cells_with_gaps(matrix)
    if gaps.size >= 5 and np.count_nonzero(gaps) > max(2, 0.15 * gaps.size):
        return "rounded-normalised"
    totals = _totals(matrix)
    if totals.size < _FEWEST_CELLS:
        return "counts"
    middle = float(np.median(totals))
    if np.mean(totals == totals.max()) > 0.5 and totals.max() > 100:
        return "thinned"
    spread = 1.4826 * float(np.median(np.abs(totals - middle))) / max(middle, 1.0)
    return "rounded-normalised" if spread < 0.1 and middle > 100 else "counts"


def _cells_with_gaps(matrix: csr_matrix, highest: int = 24) -> NDArray[np.bool_]:
    """Say of each cell with enough values whether a small integer is missing that its neighbours make near certain.

    The number of genes with one count, two counts, three counts falls smoothly in every cell. Multiplying a cell by 1.3
    and rounding sends 1, 2, 3, 4 to 1, 3, 4, 5: no gene has two. With 8 or more genes on either side a gap by chance
    has a probability below 0.001.
    """
    found: list[bool] = []
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        values = matrix.data[start:stop]
        values = values[values > 0]
        if values.size < _FEWEST_VALUES:
            continue
        often = np.bincount(values[values <= highest].astype(np.int64), minlength=highest + 1)
        inner = (often[2:-1] == 0) & (np.minimum(often[1:-2], often[3:]) >= 8)
        found.append(bool(inner.any()) or bool(often[1] == 0))
    return np.array(found, dtype=bool)


def _judge_fractions(matrix: csr_matrix, data: NDArray[Any]) -> Judgement:
    factor = _common_factor(data)
    if factor:
        over = csr_matrix((data_over(matrix, factor), matrix.indices, matrix.indptr), matrix.shape)
        if _kind_of_integers(over) in ("counts", "thinned"):
            return Judgement("times-constant", factor)
    if _totals_equal(matrix.astype(np.float64)):
        return Judgement("normalised")
    for base in (np.e, 2.0, 10.0):
        if data.max() * np.log(base) < 40 and _totals_equal(_undo_log(matrix, base)):
            return Judgement("log", base=float(base))
    if _cells_are_multiples(matrix.astype(np.float64)):
        return Judgement("normalised")
    for base in (np.e, 2.0, 10.0):
        if data.max() * np.log(base) < 40 and _cells_are_multiples(_undo_log(matrix, base)):
            return Judgement("log", base=float(base))
    if _just_below_integers(data):
        return Judgement("ambient-corrected")
    return Judgement("log" if data.max() < 20 else "normalised")


def _common_factor(data: NDArray[Any]) -> float:
    """Return the constant of which all values are whole multiples, 0 where there is none."""
    smallest = float(data.min())
    for factor in (smallest, smallest / 2, smallest / 3):
        ratio = data.astype(np.float64) / factor
        if ratio.max() < 1e7 and np.all(np.abs(ratio - np.rint(ratio)) < 1e-3 + 1e-6 * ratio):
            return factor
    return 0.0


def _undo_log(matrix: csr_matrix, base: float) -> csr_matrix:
    out = matrix.astype(np.float64)
    out.data = np.expm1(out.data * np.log(base))
    return out


def common_offset(matrix: csr_matrix) -> float:
    """Return the small constant that was added to all non-zero values of normalised counts, 0 where there is none.

    Some pipelines add a pseudo-count before a logarithm and subtract another one after it, so that a value is
    ``scale * count + offset``. A line through the values of each cell over their nearest multiples shows the offset.
    """
    offsets, spans = [], []
    for start, stop in zip(matrix.indptr[:200], matrix.indptr[1:201], strict=False):
        values = np.asarray(matrix.data[start:stop], dtype=np.float64)
        if values.size < _FEWEST_VALUES or values.min() <= 0:
            continue
        nearest = np.rint(values / values.min())
        if np.ptp(nearest) < 2 or np.abs(values / values.min() - nearest).max() > 0.05:
            continue
        slope, offset = np.polyfit(nearest, values, 1)
        offsets.append(offset)
        spans.append(slope)
    if len(offsets) < 3:
        return 0.0
    middle, half = float(np.median(offsets)), float(np.quantile(np.abs(offsets - np.median(offsets)), 0.75))
    return middle if half < 0.2 * abs(middle) < 0.01 * float(np.median(spans)) else 0.0


def _totals(matrix: csr_matrix) -> NDArray[np.float64]:
    totals = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
    return totals[totals > 0]


def _totals_equal(matrix: csr_matrix) -> bool:
    totals = _totals(matrix)
    if totals.size < 3:
        return False
    middle = np.median(totals)
    return bool(np.mean(np.abs(totals - middle) < 1e-3 * middle) > 0.9)


def _cells_are_multiples(matrix: csr_matrix) -> bool:
    """Say whether, inside most cells, all values are whole multiples of the cell's smallest value."""
    passed = tested = 0
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        values = matrix.data[start:stop]
        values = values[values > 0]
        if values.size < 5:
            continue
        ratio = values / values.min()
        if len(np.unique(np.rint(ratio))) < 3:
            continue
        tested += 1
        passed += bool(np.all(np.abs(ratio - np.rint(ratio)) < 0.02 + 1e-4 * ratio))
    return tested >= 3 and passed > 0.8 * tested


def _just_below_integers(data: NDArray[Any]) -> bool:
    """Say whether most values lie a little below a whole number, as counts do from which an estimate was subtracted."""
    below = np.ceil(data) - data
    return bool(np.mean(below < 0.3) > 0.5 and data.max() > 2)
