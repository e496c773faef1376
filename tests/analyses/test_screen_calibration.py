"""The comparison of each screened gene with its like: uniform where nothing stands out, and finding what does."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from scfm_core.analyses.perturbation_null import adjust_p
from scfm_core.analyses.screen_calibration import Abundance, calibrated, fit_student, shift_scores, size_scores

N_CELLS = 500


def screened(n_genes, rng, noise=np.random.Generator.standard_normal):
    """Genes whose sizes and shifts follow their abundance, and spread more the more abundant they are."""
    share = np.round((0.1 + 0.9 * rng.beta(0.5, 1.2, n_genes)) * N_CELLS) / N_CELLS
    log_rank = 6 - 2 * share + rng.normal(0, 0.4, n_genes)
    sizes = np.exp(-8 - 0.8 * log_rank + 0.5 * share + 0.4 * noise(rng, size=n_genes))
    shifts = 1e-3 * np.exp(-0.8 * log_rank) * noise(rng, size=n_genes) + 2e-4 * (log_rank - 5)
    return Abundance(share, log_rank, N_CELLS), sizes, shifts


def heavy(rng, size):
    return rng.standard_t(5, size)


def everything(abundance):
    return np.ones(len(abundance.share), dtype=bool)


@pytest.mark.parametrize("noise", [np.random.Generator.standard_normal, heavy], ids=["normal", "heavy tails"])
def test_p_is_uniform_where_no_gene_stands_out_at_any_abundance(noise):
    rng, found = np.random.default_rng(5), {"size": [], "goal": []}
    abundant = []
    for _ in range(4):
        abundance, sizes, shifts = screened(1500, rng, noise)
        found["size"].append(size_scores(sizes, abundance, everything(abundance))[1])
        found["goal"].append(shift_scores(shifts, abundance, everything(abundance))[1])
        abundant.append(abundance.share > np.quantile(abundance.share, 0.9))
    for p in found.values():
        together, top = np.concatenate(p), np.concatenate(p)[np.concatenate(abundant)]
        assert kstest(together, "uniform").statistic < 0.03
        assert 0.03 < (together < 0.05).mean() < 0.065
        assert 0.02 < (top < 0.05).mean() < 0.09  # without levelling the most abundant genes would be hits
        assert (adjust_p(p[0]) < 0.05).sum() <= 1


def test_p_of_permuted_shifts_is_uniform():
    """Shifts handed to other genes of the same abundance carry no signal, whatever their own distribution is."""
    rng = np.random.default_rng(2)
    abundance = Abundance(np.full(800, 0.4), rng.normal(5, 0.1, 800), N_CELLS)
    shifts = rng.permutation(rng.laplace(0, 1e-3, 800))
    p = shift_scores(shifts, abundance, everything(abundance))[1]
    assert kstest(p, "uniform").pvalue > 0.01


def test_planted_genes_are_found_and_no_others():
    rng = np.random.default_rng(11)
    abundance, sizes, shifts = screened(2000, rng)
    planted = rng.choice(2000, 12, replace=False)
    sizes[planted] *= np.exp(4.0)
    shifts[planted[:6]] += 2e-2 * np.exp(-0.8 * abundance.log_rank[planted[:6]])
    shifts[planted[6:]] -= 2e-2 * np.exp(-0.8 * abundance.log_rank[planted[6:]])
    z, p = size_scores(sizes, abundance, everything(abundance))
    hits = np.flatnonzero(adjust_p(p) < 0.05)
    assert len(np.intersect1d(hits, planted)) >= 11
    assert len(np.setdiff1d(hits, planted)) <= 2
    assert (z[planted] > 4).all()
    z, p = shift_scores(shifts, abundance, everything(abundance))
    hits = np.flatnonzero(adjust_p(p) < 0.05)
    assert len(np.intersect1d(hits, planted)) >= 11
    assert (z[planted[:6]] > 0).all()
    assert (z[planted[6:]] < 0).all()


def test_a_list_that_stands_out_as_a_whole_is_found_against_other_genes():
    rng = np.random.default_rng(3)
    abundance, sizes, _ = screened(140, rng)
    listed = np.arange(140) < 40
    sizes[listed] *= np.exp(3.0)
    against_all = size_scores(sizes, abundance, everything(abundance))[1]
    against_others = size_scores(sizes, abundance, ~listed)[1]
    assert (adjust_p(against_others[listed]) < 0.05).sum() > 25
    assert (adjust_p(against_all[listed]) < 0.05).sum() < 5


def test_a_size_is_compared_upwards_and_a_shift_both_ways():
    rng = np.random.default_rng(4)
    abundance, sizes, shifts = screened(500, rng)
    sizes[0], shifts[0] = sizes[0] * 1e-4, -0.1
    assert size_scores(sizes, abundance, everything(abundance))[1][0] > 0.99
    assert shift_scores(shifts, abundance, everything(abundance))[1][0] < 1e-4


def test_the_answer_does_not_depend_on_the_unit_or_the_order():
    rng = np.random.default_rng(6)
    abundance, sizes, shifts = screened(300, rng)
    z, p = shift_scores(shifts, abundance, everything(abundance))
    order = rng.permutation(300)
    again = shift_scores(1000 * shifts[order], abundance.take(order), everything(abundance))
    np.testing.assert_allclose(again[0], z[order], rtol=1e-6)
    np.testing.assert_allclose(again[1], p[order], rtol=1e-3)
    np.testing.assert_allclose(
        size_scores(7 * sizes, abundance, everything(abundance))[0],
        size_scores(sizes, abundance, everything(abundance))[0],
        rtol=1e-6,
    )


def test_twenty_thousand_genes_take_seconds():
    abundance, sizes, shifts = screened(20_000, np.random.default_rng(0))
    began = time.process_time()
    size_scores(sizes, abundance, everything(abundance))
    shift_scores(shifts, abundance, everything(abundance))
    assert time.process_time() - began < 30  # about 3 s on one free core


def table_of(abundance, sizes, shifts):
    table = pd.DataFrame({"size_exact": sizes, "goal_exact": shifts})
    return table.assign(rank=table["size_exact"].rank(ascending=False))


def test_only_ranked_genes_are_compared_and_only_listed_ones_adjusted():
    abundance, sizes, shifts = screened(200, np.random.default_rng(1))
    table = table_of(abundance, sizes, shifts)
    table.loc[:9, "rank"] = np.nan
    listed = np.arange(200) < 60
    found = calibrated(table, abundance, values="exact", listed=listed)
    assert found.loc[:9, ["size_z", "size_p", "goal_z", "goal_p"]].isna().all(axis=None)
    assert found.loc[10:, ["size_z", "size_p", "goal_z", "goal_p"]].notna().all(axis=None)
    assert found["size_p_adjusted"].notna().tolist() == [10 <= gene < 60 for gene in range(200)]
    np.testing.assert_allclose(found.loc[10:59, "goal_p_adjusted"], adjust_p(found.loc[10:59, "goal_p"].to_numpy()))


def test_few_genes_no_goal_and_equal_values_give_no_p_and_no_error():
    abundance, sizes, shifts = screened(15, np.random.default_rng(1))
    found = calibrated(table_of(abundance, sizes, shifts), abundance, values="exact", listed=everything(abundance))
    assert found["size_p"].isna().all()
    abundance, sizes, _ = screened(60, np.random.default_rng(1))
    table = table_of(abundance, sizes, np.full(60, np.nan))
    found = calibrated(table, abundance, values="exact", listed=everything(abundance))
    assert found["goal_p"].isna().all()
    assert found["size_p"].notna().all()
    assert np.isfinite(size_scores(np.zeros(60), abundance, everything(abundance))[0]).all()
    assert fit_student(np.zeros(60))[0] == 0
