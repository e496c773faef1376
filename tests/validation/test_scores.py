"""Scores against scikit-learn and scipy, their intervals, and what they refuse to say."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from scfm_core.validation.scores import Draws, auroc, difference, mean_over, resampling_weights, spearman


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_auroc_is_that_of_scikit_learn_with_ties_and_weights(random) -> None:
    scores, positive = random.integers(0, 12, 60).astype(float), random.random(60) < 0.4
    weights = resampling_weights(60, 1, n_resamples=20)
    found = auroc(scores, positive, weights)
    assert found.value == pytest.approx(roc_auc_score(positive, scores))
    for value, weight in zip(found.resampled, weights, strict=True):
        drawn = np.repeat(np.arange(60), weight.astype(int))
        assert value == pytest.approx(roc_auc_score(positive[drawn], scores[drawn]))


def test_spearman_is_that_of_scipy(random) -> None:
    one, other = random.integers(0, 9, 50).astype(float), random.random(50)
    assert spearman(one, other, resampling_weights(50, 1)).value == pytest.approx(spearmanr(one, other).statistic)
    assert np.isnan(spearman(np.ones(50), other, resampling_weights(50, 1)).value)


def test_too_few_changed_genes_have_no_auroc(random) -> None:
    scores = random.random(30)
    assert np.isnan(auroc(scores, np.arange(30) < 2, resampling_weights(30, 1)).value)
    assert np.isnan(auroc(scores, np.arange(30) < 28, resampling_weights(30, 1)).value)


def test_the_interval_covers_chance_as_often_as_it_says(random) -> None:
    covered = 0
    for _ in range(100):
        positive = np.arange(120) < 40
        low, high = auroc(random.random(120), positive, resampling_weights(120, int(random.integers(1e9)))).interval
        covered += low <= 0.5 <= high
    assert 88 <= covered <= 100


def test_means_leave_out_targets_without_a_value_and_differences_are_paired() -> None:
    values = [Draws(0.6, np.full(50, 0.6)), Draws(np.nan, np.full(50, np.nan)), Draws(0.8, np.full(50, 0.8))]
    mean = mean_over(values, 0)
    assert mean.value == pytest.approx(0.7)
    assert mean.interval == pytest.approx((0.6, 0.8))
    lower = [Draws(each.value - 0.1, each.resampled - 0.1) for each in values]
    lead = difference(values, lower, 0)
    assert (lead.value, *lead.interval) == pytest.approx((0.1, 0.1, 0.1))
