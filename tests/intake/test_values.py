"""What a matrix holds is told from its values, for every kind that people bring, without a mistake."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.dataset import Dataset
from scfm_core.intake.values import common_offset, judge

Make = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]


@pytest.fixture(scope="module")
def raw(demo_dataset: Dataset) -> NDArray[np.float64]:
    """400 cells of the demo, the genes that any of them holds, shape (400, n_genes)."""
    counts = demo_dataset.counts(slice(0, 400)).matrix.toarray().astype(np.float64)
    return counts[:, counts.sum(axis=0) > 0]


def simulated(n_cells: int, depth: float, spread: float, seed: int) -> NDArray[np.float64]:
    """Gamma-Poisson counts whose depth varies between cells as it does in experiments."""
    rng = np.random.default_rng(seed)
    expression = rng.lognormal(0, 1.8, 2500)
    rates = rng.gamma(2.0, expression / 2.0, (n_cells, 2500))
    totals = rng.lognormal(np.log(depth), spread, (n_cells, 1))
    return rng.poisson(rates / rates.sum(axis=1, keepdims=True) * totals).astype(np.float64)


def per_10k(x: NDArray[np.float64], target: float = 1e4) -> NDArray[np.float64]:
    return x / x.sum(axis=1, keepdims=True) * target


def as_float32(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x.astype(np.float32).astype(np.float64)


def z_scores(x: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log1p(per_10k(x))
    spread = logs.std(axis=0)
    return np.minimum((logs - logs.mean(axis=0)) / np.where(spread > 0, spread, 1), 10)


def pearson_residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Analytic Pearson residuals (Lause 2021) with the clipping of SCTransform."""
    expected = x.sum(axis=1, keepdims=True) * x.sum(axis=0, keepdims=True) / x.sum()
    bound = np.sqrt(len(x))
    return np.clip((x - expected) / np.sqrt(expected + expected**2 / 100), -bound, bound)


def soup_corrected(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract from each cell 8 % of its total, shared out as the mean profile."""
    profile = x.sum(axis=0) / x.sum()
    return np.maximum(x - 0.08 * x.sum(axis=1, keepdims=True) * profile, 0)


def decontaminated(x: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Multiply each count by the probability that it is the cell's own, as DecontX does."""
    return x * rng.beta(40, 2, x.shape)


KINDS: dict[str, tuple[Make, str]] = {
    "raw": (lambda x, rng: x, "counts"),
    "cells of one gene in five": (lambda x, rng: x[:, ::5], "counts"),
    "thinned to one total": (lambda x, rng: _thinned(x, rng), "thinned"),
    "CP10K": (lambda x, rng: per_10k(x), "normalised"),
    "CPM float32": (lambda x, rng: as_float32(per_10k(x, 1e6)), "normalised"),
    "CP-median": (lambda x, rng: per_10k(x, float(np.median(x.sum(axis=1)))), "normalised"),
    "CP10K cut to 300 genes": (lambda x, rng: per_10k(x)[:, ::5], "normalised"),
    "rounded CP10K": (lambda x, rng: np.rint(per_10k(x)), "rounded-normalised"),
    "rounded CP100K": (lambda x, rng: np.rint(per_10k(x, 1e5)), "rounded-normalised"),
    "rounded to the median": (
        lambda x, rng: np.rint(per_10k(x, float(np.median(x.sum(axis=1))))),
        "rounded-normalised",
    ),
    "rounded CPM": (lambda x, rng: np.rint(per_10k(x, 1e6)), "rounded-normalised"),
    "floored CP10K": (lambda x, rng: np.floor(per_10k(x)), "rounded-normalised"),
    "log1p CP10K": (lambda x, rng: as_float32(np.log1p(per_10k(x))), "log"),
    "log1p CP10K cut": (lambda x, rng: as_float32(np.log1p(per_10k(x)))[:, ::5], "log"),
    "log2 CPM": (lambda x, rng: as_float32(np.log2(per_10k(x, 1e6) + 1)), "log"),
    "log10 CP10K": (lambda x, rng: np.log10(per_10k(x) + 1), "log"),
    "log1p of counts": (lambda x, rng: np.log1p(x), "log"),
    "log1p by noisy size factors": (lambda x, rng: np.log1p(per_10k(x) * rng.lognormal(0, 0.3, (len(x), 1))), "log"),
    "rounded log1p": (lambda x, rng: np.round(np.log1p(per_10k(x)), 2), "log"),
    "z-scores": (lambda x, rng: z_scores(x), "scaled"),
    "z-scores float32": (lambda x, rng: as_float32(z_scores(x)), "scaled"),
    "Pearson residuals": (lambda x, rng: pearson_residuals(x)[:, x.sum(axis=0) >= 5], "residuals"),
    "centred only": (lambda x, rng: np.log1p(per_10k(x)) - np.log1p(per_10k(x)).mean(axis=0), "residuals"),
    "SoupX": (lambda x, rng: soup_corrected(x), "ambient-corrected"),
    "DecontX": (decontaminated, "ambient-corrected"),
    "counts x 2": (lambda x, rng: 2 * x, "times-constant"),
    "counts x 0.37": (lambda x, rng: as_float32(0.37 * x), "times-constant"),
    "NaN": (lambda x, rng: _with(x, np.nan), "not-finite"),
    "infinite": (lambda x, rng: _with(x, np.inf), "not-finite"),
    "one negative count": (lambda x, rng: _with(x, -1), "negative"),
    "background subtracted": (lambda x, rng: np.where(x > 0, x - 1.5, 0), "negative"),
    "present or absent": (lambda x, rng: (x > 0).astype(float), "binary"),
    "empty": (lambda x, rng: np.zeros_like(x), "empty"),
}


def _with(x: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    out = x.copy()
    out[3, np.flatnonzero(x[3])[0]] = value
    return out


def _thinned(x: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    total = int(np.quantile(x.sum(axis=1), 0.2))
    deep = x[x.sum(axis=1) >= total].astype(np.int64)
    return np.array([rng.multivariate_hypergeometric(row, total) for row in deep], dtype=np.float64)


@pytest.mark.parametrize("name", KINDS)
def test_kind_of_real_cells(name: str, raw: NDArray[np.float64]) -> None:
    make, kind = KINDS[name]
    with np.errstate(invalid="ignore"):
        values = make(raw, np.random.default_rng(0))
    assert judge(csr_matrix(values)).kind == kind


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("depth", "spread"), [(1500, 0.35), (6000, 0.5), (30000, 0.4)])
def test_kind_of_simulated_cells(name: str, depth: float, spread: float) -> None:
    make, kind = KINDS[name]
    x = simulated(200, depth, spread, seed=int(depth))
    x = x[:, x.sum(axis=0) > 0]
    assert judge(csr_matrix(make(x, np.random.default_rng(1)))).kind == kind


@settings(max_examples=40, deadline=None)
@given(
    depth=st.floats(300, 50_000),
    spread=st.floats(0.25, 0.8),
    n_cells=st.integers(5, 120),
    seed=st.integers(0, 2**20),
)
def test_counts_are_counts_at_any_depth(depth: float, spread: float, n_cells: int, seed: int) -> None:
    x = csr_matrix(simulated(n_cells, depth, spread, seed))
    assert judge(x).kind == "counts"
    assert judge(x.astype(np.uint16)).kind == "counts"


@pytest.mark.parametrize("factor", [2, 3, 7, 0.5, 0.1])
def test_constant_is_found(raw: NDArray[np.float64], factor: float) -> None:
    judgement = judge(csr_matrix(raw * factor))
    assert judgement.kind == "times-constant"
    assert judgement.factor == pytest.approx(factor)


@pytest.mark.parametrize("base", [np.e, 2.0, 10.0])
def test_base_of_the_logarithm_is_found(raw: NDArray[np.float64], base: float) -> None:
    judgement = judge(csr_matrix(np.log1p(per_10k(raw)) / np.log(base)))
    assert (judgement.kind, judgement.base) == ("log", base)


def test_offset_is_found(raw: NDArray[np.float64]) -> None:
    normalised = per_10k(raw)
    shifted = np.where(raw > 0, normalised - 2e-3, 0)
    assert common_offset(csr_matrix(shifted)) == pytest.approx(-2e-3, rel=1e-3)
    assert common_offset(csr_matrix(normalised)) == 0


def test_few_cells_are_not_judged_by_their_totals() -> None:
    assert judge(csr_matrix(np.array([[1, 0, 3, 2], [2, 1, 3, 0]]))).kind == "counts"
