"""Embeddings beside PCA: paired intervals, scaled scores, the same cells for all, words from numbers alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm_core.analyses.compare_model_tables import SUMMARIES, Scored, candidates_of, score_table, verdict_table
from scfm_core.analyses.compare_models import CompareModels, comparison_of
from scfm_core.analyses.compare_neighbors import CompareNeighbors
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import ByColumn
from scfm_core.analyses.score_embedding import EmbeddingScores
from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.errors import RequestError
from scfm_core.metrics.catalogue import metrics_of
from scfm_core.registry import find_model
from scfm_core.weights import installed

N_DRAWN = 40


def embedding(dataset, key):
    return EmbedCells(dataset, installed(find_model(key)))


def scores(family, base, *, noise=0.01, seed=0, own=0.0, n_cells=100):
    """Return scores around ``base`` whose resamples share the noise of ``seed`` and have noise of their own."""
    metrics = metrics_of(family)
    shared = np.random.default_rng(seed).normal(0, noise, (N_DRAWN, len(metrics)))
    mine = np.random.default_rng(seed + 1).normal(0, own, (N_DRAWN, len(metrics)))
    table = pd.DataFrame(
        {
            "metric": [metric.key for metric in metrics], "title": [metric.title for metric in metrics],
            "about": [metric.about for metric in metrics], "value": base, "ci_low": base - 0.1,
            "ci_high": base + 0.1, "higher_is_better": [metric.higher_is_better for metric in metrics],
            "n_cells": n_cells, "meaning": "A sentence.", "note": "",
        }
    )  # fmt: skip
    resampled = pd.DataFrame(base + shared + mine, columns=table["metric"].tolist())
    return EmbeddingScores(table, resampled - resampled.mean() + base, "halves")


@pytest.fixture
def three(tiny_dataset):
    return [embedding(tiny_dataset, key) for key in ("pca", "random", "scfm-mini")]


def scored(models, values, family="published", **more):
    return [Scored(model, family, scores(family, value, **more)) for model, value in zip(models, values, strict=True)]


def row(table, model, metric):
    (found,) = table[(table["model"] == model) & (table["metric"] == metric)].to_dict("records")
    return found


def test_scores_lie_between_random_numbers_and_pca(three):
    table = score_table(scored(three, (0.6, 0.1, 0.7)))
    assert row(table, "pca", "nmi")["scaled"] == pytest.approx(1.0)
    assert row(table, "random", "nmi")["scaled"] == pytest.approx(0.0)
    assert row(table, "scfm-mini", "nmi")["scaled"] == pytest.approx(1.2)
    assert row(table, "scfm-mini", "nmi")["scaled_up"] is True
    assert row(table, "scfm-mini", "pcr_batch")["scaled_up"] is False
    mixing = score_table(scored(three, (0.1, 0.6, 0.3)))
    assert row(mixing, "scfm-mini", "ilisi")["scaled_up"] is False, "random numbers mix better than PCA"


def test_differences_are_paired_over_the_same_resamples(three):
    shared = score_table(scored(three, (0.60, 0.1, 0.63), noise=0.2))
    found = row(shared, "scfm-mini", "avg_bio")
    assert found["difference"] == pytest.approx(0.03)
    assert found["difference_low"] == pytest.approx(0.03), "what both resamples share cancels"
    assert found["verdict"] == "better"
    own = score_table([scored(three, (0.60, 0.1, 0.63))[0], *scored(three[1:], (0.1, 0.63), own=0.2)])
    assert row(own, "scfm-mini", "avg_bio")["verdict"] == "cannot tell"


def test_low_is_good_where_the_metric_says_so(three):
    table = score_table(scored(three, (0.30, 0.0, 0.40)))
    assert row(table, "scfm-mini", "pcr_batch")["verdict"] == "worse"
    assert row(table, "scfm-mini", "nmi")["verdict"] == "better"


def test_without_a_common_truth_verdicts_are_right_19_times_of_20():
    random, wrong = np.random.default_rng(5), 0
    from scfm_core.analyses.compare_model_verdicts import Beside, judge
    from scfm_core.analyses.metric_cells import interval

    for _ in range(1500):
        difference = random.normal(0, 0.1)
        low, high = interval(difference, difference + random.normal(0, 0.1, 20), 1.0)
        wrong += judge(Beside(value=0.5 + difference, reference=0.5, low=low, high=high)) in ("better", "worse")
    assert wrong / 1500 == pytest.approx(0.05, abs=0.02)


def test_other_cells_give_no_paired_interval(three):
    mixed = [*scored(three[:2], (0.6, 0.1)), *scored(three[2:], (0.9,), n_cells=99)]
    table = score_table(mixed)
    found = row(table, "scfm-mini", "avg_bio")
    assert np.isnan(found["difference_low"])
    assert found["verdict"] == "cannot tell"
    assert "other cells" in found["note"]


def test_without_pca_scores_are_told_and_nothing_is_judged(three):
    table = score_table(scored(three[2:], (0.6,)))
    assert set(table["verdict"]) == {"not measured"}
    assert table["scaled"].isna().all()
    assert comparison_of(scored(three[2:], (0.6,))).recommendation["model"].tolist() == [""]
    assert score_table([]).empty


def test_the_library_gets_means_of_its_own(three):
    table = score_table(scored(three, (0.6, 0.1, 0.7), family="scib-metrics"))
    for metric in SUMMARIES["scib-metrics"]:
        found = row(table, "scfm-mini", metric)
        assert found["value"] == pytest.approx(0.7)
        assert found["verdict"] == "better"
    assert {one.model for one in candidates_of(table, "scib-metrics")} == {"pca", "scfm-mini"}


def test_families_are_never_mixed(three):
    both = scored(three, (0.6, 0.1, 0.7)) + scored(three, (0.6, 0.1, 0.2), family="scib-metrics")
    verdicts = verdict_table(score_table(both)).set_index("family")
    assert verdicts.loc["published", "biology"] == "better"
    assert verdicts.loc["scib-metrics", "biology"] == "worse"
    assert "better" in verdicts.loc["published", "sentence"]


def test_the_whole_question(engine, tiny_dataset, three):
    asked = CompareModels(
        tiny_dataset, (three[2],), ByColumn("cell_type"), ByColumn("batch"), n_neighbors=10, n_bootstrap=6
    )
    assert [model.model.key for model in asked.candidates] == ["pca", "random", "scfm-mini"]
    found = engine.compute(asked)
    for model in asked.candidates:
        alone = engine.compute(asked.score(model, "published")).table.set_index("metric")
        mine = found.table[found.table["model"] == model.model.key].set_index("metric")
        pd.testing.assert_series_equal(mine["value"], alone["value"])
        pd.testing.assert_series_equal(mine["ci_low"], alone["ci_low"])
    assert found.verdicts["model"].tolist() == ["scfm-mini"]
    assert found.verdicts.loc[0, "sentence"].startswith("On these 120 cells scfm-mini ")
    assert found.recommendation["model"].isin(["pca", "scfm-mini"]).all()
    kept = engine.compute(CompareNeighbors(three[0], three[2], 10))
    mine = found.neighbours.set_index("model").loc["scfm-mini"]
    assert mine["mean"] == pytest.approx(float(kept.share_kept.mean()))
    again = replace(asked, models=(*three, three[2]))
    assert [model.identity for model in again.candidates] == [model.identity for model in asked.candidates]


def test_all_are_scored_on_the_cells_that_have_a_vector_in_all(engine, tmp_path):
    random = np.random.default_rng(0)
    counts = random.poisson(2.0, (60, 40))
    counts[7] = 0
    kinds = np.array(["a", "b"])[np.arange(60) % 2]
    cells = pd.DataFrame({"kind": kinds}, index=[f"c{number}" for number in range(60)])
    new = NewDataset(
        matrix=csr_matrix(counts), gene_ids=tuple(f"g{number}" for number in range(40)),
        gene_symbols=tuple(f"G{number}" for number in range(40)), cells=cells, organism="unknown",
    )  # fmt: skip
    dataset = write_dataset(tmp_path / "empty cell", new)
    asked = CompareModels(dataset, (embedding(dataset, "random"),), ByColumn("kind"), n_neighbors=5, n_bootstrap=5)
    found = engine.compute(asked)
    assert set(found.table["n_cells"]) == {59}
    assert found.table.loc[found.table["model"] == "random", "difference_low"].notna().any()


def test_what_cannot_be_compared_is_refused(tiny_dataset, demo_dataset, three):
    labels = ByColumn("cell_type")
    with pytest.raises(RequestError, match="at least one embedding"):
        CompareModels(tiny_dataset, (), labels)
    with pytest.raises(RequestError, match="found one of another"):
        CompareModels(demo_dataset, (three[2],), labels)
    other = EmbedCells(tiny_dataset, three[2].model, replace(three[2].chosen_options, layer=0))
    with pytest.raises(RequestError, match="scfm-mini with different options"):
        CompareModels(tiny_dataset, (three[2], other), labels)
