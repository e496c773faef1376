"""Counts are recovered exactly or not at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from scfm_core.intake.recover import recover, recover_counts

LOGARITHMS = {
    "ln(1 + x)": np.log1p,
    "log2(1 + x)": lambda x: np.log2(1 + x),
    "log10(1 + x)": lambda x: np.log10(1 + x),
    "x": lambda x: x,
}


def _transformed(counts, function, dtype=np.float32, decimals=None):
    """The counts as a pipeline leaves them: per 10,000 of the cell, perhaps a logarithm, perhaps rounded."""
    totals = np.asarray(counts.sum(axis=1)).ravel()
    values = csr_matrix(counts, dtype=dtype)
    values.data = function(values.data * np.repeat((1e4 / totals).astype(dtype), np.diff(counts.indptr))).astype(dtype)
    if decimals is not None:
        values.data = np.round(values.data, decimals)
    return values


@pytest.fixture(scope="module")
def counts(demo_dataset):
    return demo_dataset.counts(slice(0, 300)).matrix.astype(np.int64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transform", LOGARITHMS)
def test_real_counts_come_back_from_every_transform(counts, transform, dtype):
    got = recover(_transformed(counts, LOGARITHMS[transform], dtype))
    assert got.transform == transform
    assert (got.counts != counts).nnz == 0
    assert got.worst_residual < 0.01
    totals = np.asarray(counts.sum(axis=1)).ravel()
    np.testing.assert_allclose(got.scales, 1e4 / totals, rtol=1e-4)


@pytest.mark.parametrize("decimals", [3, 4, 5])
def test_rounded_logarithms_come_back_where_rounding_leaves_one_answer(counts, decimals):
    got = recover_counts(_transformed(counts, np.log1p, decimals=decimals))
    assert (got != counts).nnz == 0


def test_logarithms_with_one_decimal_are_refused(counts):
    assert recover_counts(_transformed(counts, np.log1p, decimals=1)) is None


def test_a_dense_matrix_is_taken_too(counts):
    dense = _transformed(counts[:20], np.log1p).toarray()
    np.testing.assert_array_equal(recover_counts(dense).toarray(), counts[:20].toarray())


def test_empty_cells_stay_empty(counts):
    nothing = np.zeros(counts.shape[1], dtype=int)
    some = csr_matrix(np.vstack([nothing, counts[:5].toarray(), nothing]))
    logged = some.astype(float)
    logged.data = np.log1p(logged.data / 3)
    got = recover(logged)
    assert (got.counts != some).nnz == 0
    assert np.isnan(got.scales[[0, -1]]).all()


def test_a_cell_whose_smallest_count_is_two_comes_back(counts):
    odd = counts[:40].copy()
    first = slice(odd.indptr[3], odd.indptr[4])
    odd.data[first] = np.where(odd.data[first] == 1, 2, odd.data[first])
    assert {2, 3} <= set(odd.data[first])
    assert (recover_counts(_transformed(odd, np.log1p)) != odd).nnz == 0


def _noise(values, rng):
    return values * rng.normal(1, 0.002, len(values))


@pytest.mark.parametrize(
    "spoil",
    [_noise, lambda values, rng: np.sqrt(values), lambda values, rng: rng.gamma(2, 1, len(values))],
    ids=["noise of 0.2 %", "another transform", "no counts at all"],
)
def test_what_no_counts_explain_is_refused(counts, spoil):
    values = _transformed(counts, np.log1p)
    values.data = spoil(values.data, np.random.default_rng(0)).astype(np.float32)
    assert recover_counts(values) is None


def test_one_spoilt_value_refuses_the_whole_matrix(counts):
    values = _transformed(counts, np.log1p)
    place = int(np.flatnonzero(counts.data == 3)[-1])  # in the last cells, beyond the quick first look
    values.data[place] *= 1.05
    assert recover_counts(values) is None


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_negative_and_missing_values_are_refused(counts, value):
    values = _transformed(counts, np.log1p)
    values.data[7] = value
    assert recover_counts(values) is None


def test_cells_of_ones_alone_prove_nothing():
    assert recover_counts(csr_matrix(np.full((20, 30), 1.7))) is None
    assert recover_counts(csr_matrix((5, 5))) is None


def test_the_scaled_matrix_of_scanpy_is_refused_and_its_logarithms_are_not():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy

        data = scanpy.datasets.pbmc68k_reduced()
    assert recover_counts(data.X) is None
    got = recover(data.raw.X)
    assert got.transform == "ln(1 + x)"
    sums = np.asarray(got.counts.sum(axis=1)).ravel()
    assert (sums <= data.obs["n_counts"].to_numpy()).all()
    # they had been scaled to 10,000 counts over all genes, which the recovery did not know
    np.testing.assert_allclose(got.scales * data.obs["n_counts"].to_numpy(), 1e4, rtol=5e-4)


def test_values_computed_elsewhere_are_refused(shared_data):
    import anndata

    for name in ("ipsc_cardiac_day2_590.h5ad", "ipsc_cardiac_day5_500.h5ad"):
        assert recover_counts(anndata.read_h5ad(shared_data / name).X) is None


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1000), st.sampled_from(sorted(LOGARITHMS)))
@settings(max_examples=40, deadline=None)
def test_any_scale_comes_back(seed, factor, transform):
    rng = np.random.default_rng(seed)
    dense = rng.poisson(rng.gamma(0.3, 3, (12, 200)))
    dense[:, :3] = [1, 2, 5]  # every cell shows a one
    counts = csr_matrix(dense)
    scales = factor * rng.uniform(0.5, 2, 12)
    values = counts.astype(float)
    values.data = LOGARITHMS[transform](values.data * np.repeat(scales, np.diff(counts.indptr)))
    got = recover(values)
    assert (got.counts != counts).nnz == 0
    np.testing.assert_allclose(got.scales, scales, rtol=1e-4)


def test_shares_of_a_cell_come_back(counts):
    values = _transformed(counts, lambda x: x / 1e4, np.float64)
    assert (recover_counts(values) != counts).nnz == 0
