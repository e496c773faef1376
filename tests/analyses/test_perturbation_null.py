"""Matching, p-values and intervals against scipy, plain loops, and simulated nulls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, kstest

from scfm_core.analyses.perturbation_null import (
    Pool,
    adjust_p,
    bootstrap_interval,
    empirical_p,
    generator,
    level_null,
    make_pool,
    match_genes,
    p_range,
)
from scfm_core.analyses.perturbation_study import pool_order

NOTHING = np.empty(0, dtype=np.int64)


def a_pool(rng, *, n_cells=50, n_genes=400):
    """A pool in which common genes also rank higher, as in real cells."""
    rate = rng.beta(0.5, 1.0, size=n_genes)
    held = rng.random((n_cells, n_genes)) < rate
    strength = rate + rng.normal(0, 0.3, size=n_genes)
    genes, ranks, lengths = [], [], []
    for cell in range(n_cells):
        mine = np.flatnonzero(held[cell])
        mine = mine[np.argsort(-strength[mine] + rng.normal(0, 0.1, size=len(mine)))]
        genes.append(mine)
        ranks.append(np.arange(len(mine)))
        lengths.append(len(mine))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return make_pool(np.arange(n_cells) + 7, (np.concatenate(genes), np.concatenate(ranks), offsets))


def test_a_pool_knows_detection_rank_and_holders():
    cells = np.array([30, 10, 20, 40])
    held = (np.array([5, 2, 2, 9, 2, 5]), np.array([0, 1, 0, 1, 0, 1]), np.array([0, 2, 4, 6, 6]))
    pool = make_pool(cells, held)
    assert pool.genes.tolist() == [2, 5, 9]
    assert pool.detection.tolist() == [0.75, 0.5, 0.25]
    assert pool.median_rank.tolist() == [0.0, 0.5, 1.0]
    assert pool.holders_of([5]).tolist() == [0, 2]
    assert pool.holders_of([9, 5]).tolist() == [0, 1, 2]
    assert pool.holders_of([4]).tolist() == []


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60))
def test_draws_are_distinct_allowed_and_near(seed, n):
    rng = np.random.default_rng(seed)
    pool = a_pool(rng, n_cells=20, n_genes=80)
    members = rng.choice(pool.genes, size=2, replace=False)
    barred = np.union1d(members, rng.choice(pool.genes, size=5))
    match = match_genes(pool, members.tolist(), n=n, barred=barred, seed=(seed, "g"))
    assert match.genes.shape[0] <= n
    assert match.genes.shape[1] == 2
    assert len(np.unique(match.genes)) == match.genes.size
    assert not np.isin(match.genes, barred).any()
    assert np.isin(match.genes, pool.genes).all()
    again = match_genes(pool, members.tolist(), n=n, barred=barred, seed=(seed, "g"))
    assert np.array_equal(match.genes, again.genes)


def test_draws_are_matched_for_detection_and_rank():
    pool = a_pool(np.random.default_rng(3), n_genes=1500)
    tested = pool.genes[np.argsort(pool.detection)[len(pool.genes) // 2]]
    match = match_genes(pool, [int(tested)], n=40, barred=np.array([tested]), seed=(0, "g"))
    mine, drawn = (np.searchsorted(pool.genes, which) for which in (tested, match.genes[:, 0]))
    for values in (pool.detection, pool.median_rank):
        assert abs(values[drawn] - values[mine]).mean() < 0.35 * abs(values - values[mine]).mean()
    assert match.quality == "close"


def test_an_extreme_gene_is_told_to_be_matched_from_one_side():
    pool = a_pool(np.random.default_rng(3), n_genes=1500)
    extreme = int(pool.genes[np.argmax(pool.detection - 0.01 * pool.median_rank)])
    match = match_genes(pool, [extreme], n=40, barred=np.array([extreme]), seed=(0, "g"))
    assert match.quality == "one-sided"
    few = match_genes(pool, [extreme], n=1500, barred=np.array([extreme]), seed=(0, "g"))
    assert few.quality == "loose"
    assert len(few.genes) == len(pool.genes) - 1


def test_what_the_pool_does_not_hold_is_not_matched():
    pool = a_pool(np.random.default_rng(3))
    match = match_genes(pool, [9999], n=5, barred=NOTHING, seed=(0, "g"))
    assert (len(match.genes), match.quality) == (0, "")
    joint = match_genes(pool, [9999, int(pool.genes[3])], n=5, barred=pool.genes[3:4], seed=(0, "g"))
    assert joint.genes.shape == (5, 1)


def test_levelling_is_a_line_through_all_genes_alike():
    rng = np.random.default_rng(0)
    abundance = rng.normal(size=(31, 2))
    effect = np.exp(1.0 + abundance @ [0.7, -0.4] + rng.normal(0, 0.2, size=31))
    found = level_null(effect[0], effect[1:], abundance)
    design = np.column_stack([np.ones(31), abundance])
    coefficients = np.linalg.lstsq(design, np.log(effect), rcond=None)[0]
    leverage = np.array([row @ np.linalg.solve(design.T @ design, row) for row in design])
    student = (np.log(effect) - design @ coefficients) / np.sqrt(1 - leverage)
    assert np.array_equal(found >= effect[0], student[1:] >= student[0])
    exact = np.exp(1.0 + abundance @ [0.7, -0.4])  # nothing but abundance: all random genes do what the tested one does
    assert level_null(exact[0], exact[1:], abundance) == pytest.approx(np.full(30, exact[0]))
    assert level_null(effect[0], effect[1:6], abundance[:6]).tolist() == effect[1:6].tolist()
    assert level_null(0.0, effect[1:], abundance).tolist() == effect[1:].tolist()


def test_abundance_is_log_odds_and_log_rank():
    held = (np.array([5, 2, 2, 9, 2, 5]), np.array([0, 1, 0, 1, 0, 1]), np.array([0, 2, 4, 6, 6]))
    pool = make_pool(np.array([30, 10, 20, 40]), held)
    assert pool.abundance_of([5]) == pytest.approx([0.0, np.log(1.5)])
    assert pool.abundance_of([9, 5, 77]) == pytest.approx([np.log(3.5 / 1.5), (np.log(1.5) + np.log(2)) / 2])


def p_of_a_random_gene(rng, *, planted=0.0):
    """One simulated study: effects follow abundance, differ between genes, and are measured on a few holders."""
    pool = a_pool(rng, n_cells=24, n_genes=250)
    true = np.exp(2 * pool.detection - 0.05 * pool.median_rank + rng.normal(0, 0.5, size=len(pool.genes)))
    tested = int(rng.integers(len(pool.genes)))
    true[tested] *= np.exp(planted)

    def measured(gene):
        holders = pool.holders_of([int(pool.genes[gene])])
        noise = rng.gamma(2.0, 0.5, size=min(len(holders), 4))
        return true[gene] * noise.mean()

    match = match_genes(pool, [int(pool.genes[tested])], n=19, barred=pool.genes[[tested]], seed=(5, "g"))
    null = np.array([measured(int(np.searchsorted(pool.genes, gene))) for gene in match.genes[:, 0]])
    observed = measured(tested)
    edits = [pool.genes[[tested]], *match.genes]
    return empirical_p(observed, level_null(observed, null, np.array([pool.abundance_of(edit) for edit in edits])))


def test_p_of_random_genes_is_uniform_and_a_planted_gene_is_found():
    rng = np.random.default_rng(2)
    p = np.array([p_of_a_random_gene(rng) for _ in range(600)])
    assert kstest(p - rng.uniform(size=len(p)) / 20, "uniform").pvalue > 0.01  # p has steps of 1/20
    assert np.mean(p <= 0.05) <= 0.075  # 0.05 and two standard errors of 600 draws, and a little
    planted = np.array([p_of_a_random_gene(rng, planted=3.0) for _ in range(60)])
    assert np.mean(planted <= 0.05) > 0.8


def test_joint_draws_give_uniform_p_too():
    rng = np.random.default_rng(4)
    p = []
    for _ in range(300):
        pool = a_pool(rng, n_cells=15, n_genes=150)
        effect = np.exp(3 * pool.detection + rng.normal(0, 0.4, size=len(pool.genes)))
        members = rng.choice(pool.genes, size=2, replace=False)
        match = match_genes(pool, members.tolist(), n=19, barred=members, seed=(int(rng.integers(99)), "g"))
        total = effect[np.searchsorted(pool.genes, match.genes)].sum(axis=1)
        observed = effect[np.searchsorted(pool.genes, members)].sum()
        abundance = np.array([pool.abundance_of(edit) for edit in (members, *match.genes)])
        p.append(empirical_p(observed, level_null(observed, total, abundance)))
    assert kstest(np.array(p) - rng.uniform(size=len(p)) / 20, "uniform").pvalue > 0.01


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(1e-6, 1), st.just(float("nan"))), min_size=1, max_size=30))
def test_adjusted_p_equals_the_step_up_rule(values):
    p = np.array(values)
    tested = np.sort(p[~np.isnan(p)])
    m = len(tested)
    for found, each in zip(adjust_p(p), p, strict=True):
        if np.isnan(each):
            assert np.isnan(found)
        else:
            expected = min([1.0, *(tested[k] * m / (k + 1) for k in range(m) if tested[k] >= each)])
            assert found == pytest.approx(expected)


def test_the_interval_over_cells_is_scipys():
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, size=(80, 2))
    low, high = bootstrap_interval(values, rng)
    for column in range(2):
        theirs = bootstrap((values[:, column],), np.mean, n_resamples=4000, method="percentile", rng=rng)
        assert low[column] == pytest.approx(theirs.confidence_interval.low, rel=0.03)
        assert high[column] == pytest.approx(theirs.confidence_interval.high, rel=0.03)


def test_the_interval_passes_over_cells_without_a_value():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 3))
    values[20:, 1] = np.nan
    values[1:, 2] = np.nan
    low, high = bootstrap_interval(values, np.random.default_rng(1))
    alone = bootstrap_interval(values[:20, 1:2], np.random.default_rng(2))
    assert np.allclose([low[1], high[1]], np.ravel(alone), atol=0.1)
    assert np.isnan([low[2], high[2]]).all()  # one value has no spread
    assert np.isnan(bootstrap_interval(values[:1], np.random.default_rng(0))[0]).all()


def test_the_range_of_p_is_what_drawing_cells_again_gives():
    """Against a plain loop over resamples of cells, through the public functions."""
    rng = np.random.default_rng(3)
    values = rng.gamma(2.0, size=(25, 30)) * np.exp(rng.normal(0, 0.5, size=(25, 1)))
    values[rng.random(values.shape) < 0.3] = np.nan
    abundance = rng.normal(size=(25, 2))
    found = []
    for _ in range(1000):
        means = np.nanmean(values[:, rng.integers(30, size=30)], axis=1)
        found.append(empirical_p(means[0], level_null(means[0], means[1:], abundance)))
    expected = np.percentile(found, [2.5, 97.5])
    assert p_range(values, abundance, np.random.default_rng(0)) == pytest.approx(expected, abs=0.08)


def test_the_range_of_p_narrows_with_cells_and_spans_p():
    rng = np.random.default_rng(4)
    truth = np.exp(rng.normal(0, 0.5, size=(40, 1)))
    truth[0] = np.median(truth)
    widths = []
    for n_cells in (8, 400):
        values = truth * rng.gamma(2.0, 0.5, size=(40, n_cells))
        means = values.mean(axis=1)
        p = empirical_p(means[0], level_null(means[0], means[1:], np.zeros((40, 2))))
        low, high = p_range(values, np.zeros((40, 2)), np.random.default_rng(0))
        assert low <= p <= high
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]


def test_many_cells_are_resampled_in_pieces_with_the_same_law(monkeypatch):
    from scfm_core.analyses import perturbation_null

    values = np.random.default_rng(0).normal(size=(200, 1))
    whole = bootstrap_interval(values, np.random.default_rng(1))
    monkeypatch.setattr(perturbation_null, "_RESAMPLED_AT_ONCE", 1000)
    assert np.allclose(whole, bootstrap_interval(values, np.random.default_rng(1)), atol=0.02)


def test_an_order_of_cells_depends_on_seed_and_group_alone():
    cells = np.arange(3000)
    order = pool_order(cells, None, (1, "T"))
    assert len(np.unique(order)) == len(order) == 1000
    assert np.array_equal(order, pool_order(cells, None, (1, "T")))
    assert not np.array_equal(order, pool_order(cells, None, (2, "T")))
    assert not np.array_equal(order, pool_order(cells, None, (1, "B")))
    assert generator(0, "a").random() == generator(0, "a").random()


def test_an_empty_pool_holds_nothing():
    pool = make_pool(NOTHING, (NOTHING, NOTHING.astype(float), np.zeros(1, dtype=np.int64)))
    assert isinstance(pool, Pool)
    assert pool.holders_of([1]).tolist() == []
