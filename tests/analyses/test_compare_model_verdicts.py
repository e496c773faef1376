"""A model is better than PCA only where the paired interval says so; overlapping intervals are never equality."""

import itertools

import pytest

from scfm_core.analyses.compare_model_verdicts import MARGIN, Beside, Candidate, judge, recommend, verdict_sentence

NAN = float("nan")
CLEAR, LOSS, EQUAL, OPEN = (0.04, 0.10), (-0.10, -0.04), (-0.01, 0.01), (-0.08, 0.06)


def beside(value, interval, reference=0.60):
    return Beside(value=value, reference=reference, low=interval[0], high=interval[1])


def candidate(model, biology, batch=None, *, simple=False):
    return Candidate(model=model, title=model.upper(), simple=simple, biology=biology, batch=batch)


PCA = candidate("pca", beside(0.60, (0.0, 0.0)), beside(0.60, (0.0, 0.0)), simple=True)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [(CLEAR, "better"), (LOSS, "worse"), (EQUAL, "as good"), (OPEN, "cannot tell"), ((NAN, NAN), "cannot tell"),
     ((0.001, 0.30), "better"), ((-0.30, -0.001), "worse"), ((-MARGIN, MARGIN), "as good"), ((0.001, 0.01), "as good"),
     ((0.0, 0.05), "cannot tell")],
)  # fmt: skip
def test_the_paired_interval_alone_decides(interval, verdict):
    assert judge(beside(0.65, interval)) == verdict


def test_nothing_is_said_where_a_score_is_missing():
    assert judge(None) == "not measured"
    assert judge(beside(NAN, CLEAR)) == "not measured"
    assert judge(beside(0.6, CLEAR, reference=NAN)) == "not measured"


def test_verdicts_turn_with_the_sides():
    turned = {"better": "worse", "worse": "better", "as good": "as good", "cannot tell": "cannot tell"}
    for low, high in itertools.combinations([-0.3, -0.05, -0.015, 0.0, 0.015, 0.05, 0.3], 2):
        assert judge(beside(0.6, (-high, -low))) == turned[judge(beside(0.6, (low, high)))]


def test_words_never_claim_what_the_interval_does_not():
    words = verdict_sentence(candidate("mini", beside(0.62, OPEN), beside(0.41, LOSS)), 2700)
    assert words.startswith("On these 2,700 cells MINI separates the cell types perhaps better, perhaps worse than PCA")
    assert "mixes the batches worse than PCA (0.410 against 0.600)" in words
    assert "cannot tell" in words
    assert "difference -0.080 to +0.060" in words
    for interval in (CLEAR, LOSS, EQUAL):
        assert "cannot tell" not in verdict_sentence(candidate("mini", beside(0.62, interval)), 2700)


def test_a_missing_interval_is_told():
    assert "Without an interval" in verdict_sentence(candidate("mini", beside(0.9, (NAN, NAN))), 10)


def test_what_could_not_be_compared_is_told():
    assert verdict_sentence(candidate("mini", None), 10) == "On these 10 cells MINI could not be compared with PCA."


def test_pca_stays_unless_something_is_shown_to_be_better():
    for biology in (LOSS, EQUAL, OPEN, (NAN, NAN)):
        found = recommend([PCA, candidate("mini", beside(0.95, biology), beside(0.60, EQUAL))])
        assert found.model == "pca", biology
    assert recommend([PCA, candidate("mini", beside(0.7, CLEAR), beside(0.6, EQUAL))]).model == "mini"
    assert recommend([PCA, candidate("harmony", beside(0.6, EQUAL), beside(0.8, CLEAR))]).model == "harmony"


def test_a_trade_is_no_recommendation_and_is_told():
    found = recommend([PCA, candidate("mini", beside(0.7, CLEAR), beside(0.4, LOSS))])
    assert found.model == "pca"
    assert "A trade: MINI separates the cell types better than PCA" in found.reason
    undecided = recommend([PCA, candidate("mini", beside(0.7, CLEAR), beside(0.5, OPEN))])
    assert undecided.model == "pca"
    assert "Not decided: MINI" in undecided.reason


def test_of_near_equals_the_simple_one_is_taken():
    baseline = candidate("harmony", beside(0.70, CLEAR), beside(0.70, CLEAR), simple=True)
    network = candidate("mini", beside(0.71, CLEAR), beside(0.71, CLEAR))
    found = recommend([PCA, network, baseline])
    assert found.model == "harmony"
    assert "less simple" in found.reason
    assert recommend([PCA, candidate("mini", beside(0.9, CLEAR), beside(0.9, CLEAR)), baseline]).model == "mini"


def test_without_batches_biology_decides_alone():
    pca = candidate("pca", beside(0.6, (0.0, 0.0)), simple=True)
    assert recommend([pca, candidate("mini", beside(0.7, CLEAR))]).model == "mini"


def test_the_trap_is_told_with_the_recommendation():
    assert "favours PCA" in recommend([PCA], favours_pca=True).reason
    assert "favours PCA" not in recommend([PCA]).reason


def test_without_pca_nothing_is_recommended():
    assert recommend([candidate("mini", beside(0.9, CLEAR))]).model == ""
