"""The whole question: what is scored on which cells, intervals, and every input that has no ordinary answer."""

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses import metric_cells, metric_library
from scfm_core.analyses.embed_cells import EmbedCells, Embedding
from scfm_core.analyses.grouping import ByColumn, ByLabels
from scfm_core.analyses.score_embedding import ScoreEmbedding
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.metrics.catalogue import metrics_of
from scfm_core.registry import find_model
from scfm_core.report.provenance import provenance
from tests.analyses.planted import bag_card, dataset_of, grouped_counts

N_CELLS = 240
TYPES, BATCHES = ByColumn("type"), ByColumn("batch")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    counts, groups = grouped_counts(N_CELLS, 60, 3, seed=0)
    cells = {
        "type": np.array(["B", "NK", "T"])[groups],
        "batch": np.array(["one", "two"])[np.arange(N_CELLS) % 2],
        "donor": [f"donor {place % 8}" for place in range(N_CELLS)],
        "alone": np.full(N_CELLS, "x"),
    }
    return dataset_of(tmp_path_factory.mktemp("planted"), counts, cells)


@pytest.fixture
def embedded(planted: Dataset, engine: Engine):
    """Give the cells vectors, as if a model had made them."""

    def give(points: np.ndarray) -> EmbedCells:
        embedding = EmbedCells(planted, bag_card())
        n_tokens = np.zeros(len(points), dtype=np.int32)
        engine.store.put(embedding.identity, Embedding(points=points.astype(np.float32), n_tokens=n_tokens))
        return embedding

    return give


def test_a_model_that_knows_the_types_beats_random_numbers(planted: Dataset, engine: Engine) -> None:
    best, worst = (
        engine.compute(ScoreEmbedding(EmbedCells(planted, find_model(key)), TYPES, BATCHES))
        for key in ("pca", "random")
    )
    good, bad = best.table.set_index("metric"), worst.table.set_index("metric")
    assert best.table["metric"].tolist() == [metric.key for metric in metrics_of("published")]
    for metric in ("nmi", "ari", "asw_label", "avg_bio", "clisi"):
        assert good.loc[metric, "ci_low"] > bad.loc[metric, "ci_high"], metric
    assert bad.loc["ari", "value"] == pytest.approx(0, abs=0.05)
    assert good.loc["pcr_comparison", "value"] == 0
    assert "In PCA batches explain" in good.loc["pcr_comparison", "note"]
    told = best.table[best.table["value"].notna()]
    assert (told["ci_low"] <= told["value"]).all()
    assert (told["value"] <= told["ci_high"]).all()
    assert (best.table["n_cells"] == N_CELLS).all()
    assert best.unit == "halves of the cells, drawn within label and batch"
    assert best.resampled.shape == (20, len(best.table))
    np.testing.assert_allclose(best.resampled["asw_label"].mean(), good.loc["asw_label", "value"])


def test_donors_are_the_unit_where_there_are_enough(planted: Dataset, engine: Engine) -> None:
    question = ScoreEmbedding(EmbedCells(planted, find_model("pca")), TYPES, n_bootstrap=6, donor_column="donor")
    assert engine.compute(question).unit == "halves of 8 donors"


def test_cells_without_vector_label_or_batch_take_no_part(planted: Dataset, engine: Engine, embedded) -> None:
    points = np.random.default_rng(0).standard_normal((N_CELLS, 4))
    points[3] = np.nan
    labels = pd.Series(planted.cell_column("type").astype(str), name="mine").reset_index(drop=True)
    labels[5] = None
    job = engine.submit(ScoreEmbedding(embedded(points), ByLabels.from_series(labels), n_bootstrap=0))
    table = job.result().table
    assert (table["n_cells"] == N_CELLS - 2).all()
    assert table[["ci_low", "ci_high"]].isna().all(axis=None)
    assert job.result().unit == ""
    assert "2 of 240 cells lack a vector, a label or a batch" in "\n".join(text for _, text in job.log)
    batch = table[(table["about"] == "batch") & (table["metric"] != "graph_connectivity")].set_index("metric")
    assert batch["value"].drop("avg_batch").isna().all()
    assert (batch["note"].drop("avg_batch") == "No batches were chosen.").all()


def test_many_cells_are_sampled_and_parts_narrow_only_what_narrows(
    planted: Dataset, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric_cells, "MOST_RESAMPLED", 50)
    pca = EmbedCells(planted, find_model("pca"))
    job = engine.submit(ScoreEmbedding(pca, TYPES, BATCHES, most_cells=200, n_bootstrap=8))
    answer = job.result()
    assert answer.table["n_cells"].between(200, 206).all()  # rounded up in each label and batch
    assert "cells, drawn at random within labels and batches" in "\n".join(text for _, text in job.log)
    assert answer.unit.startswith("parts of 5")
    no_lisi = answer.table.set_index("metric").loc["clisi"]
    assert np.isfinite(no_lisi["value"])
    assert np.isnan(no_lisi["ci_low"])
    assert "No interval" in no_lisi["note"]


def test_few_cells_one_label_and_wrong_numbers(planted: Dataset, engine: Engine, embedded, tmp_path: Path) -> None:
    small = dataset_of(tmp_path, np.ones((2, 10), dtype=int), {"type": ["B", "T"]})
    with pytest.raises(RequestError, match="at least 3 cells with a vector, a label and a batch, found 2 of 2"):
        engine.compute(ScoreEmbedding(EmbedCells(small, bag_card()), ByColumn("type")))
    points = np.random.default_rng(0).standard_normal((N_CELLS, 4))
    table = engine.compute(ScoreEmbedding(embedded(points), ByColumn("alone"), n_bootstrap=5)).table.set_index("metric")
    assert np.isnan(table.loc["avg_bio", "value"])
    assert "one label" in table.loc["avg_bio", "note"]
    with pytest.raises(RequestError, match="no column 'absent'"):
        engine.compute(ScoreEmbedding(embedded(points), ByColumn("absent")))
    for wrong in ({"n_bootstrap": -1}, {"most_cells": 2}, {"family": "scib"}):
        with pytest.raises(RequestError, match=r"resamples|No family"):
            ScoreEmbedding(embedded(points), TYPES, **wrong)


def test_cells_alike_in_every_number_have_an_answer(planted: Dataset, engine: Engine, embedded) -> None:
    table = engine.compute(ScoreEmbedding(embedded(np.ones((N_CELLS, 3))), TYPES, BATCHES, n_bootstrap=5)).table
    assert np.isnan(table.set_index("metric").loc["pcr_batch", "value"])
    assert table.set_index("metric").loc["asw_label", "value"] == pytest.approx(0.5)


def test_the_same_question_gives_the_same_numbers(planted: Dataset, engine: Engine, tmp_path: Path) -> None:
    question = ScoreEmbedding(EmbedCells(planted, find_model("pca")), TYPES, BATCHES, n_bootstrap=5, seed=3)
    first = engine.compute(question)
    other = type(engine)(type(engine.store)(tmp_path / "other"), engine._executor)
    again = other.compute(question)
    pd.testing.assert_frame_equal(first.table, again.table)
    pd.testing.assert_frame_equal(first.resampled, again.resampled)


def test_a_family_whose_library_is_missing_says_what_to_install(
    planted: Dataset, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    question = ScoreEmbedding(EmbedCells(planted, find_model("pca")), TYPES, family="scib-metrics")
    with pytest.raises(RequestError, match=r"pip install 'scfm-explorer\[benchmark\]'"):
        engine.compute(question)


@pytest.mark.slow
def test_the_library_answers_in_its_own_words(planted: Dataset, engine: Engine) -> None:
    if find_spec("scib_metrics") is None:
        pytest.skip("needs scib-metrics: pip install 'scfm-explorer[benchmark]'")
    pca = EmbedCells(planted, find_model("pca"))
    answer = engine.compute(ScoreEmbedding(pca, TYPES, family="scib-metrics", n_bootstrap=0))
    table = answer.table.set_index("metric")
    assert table.index.tolist() == [metric.key for metric in metrics_of("scib-metrics")]
    assert table.loc["leiden_nmi", "value"] > 0.5
    assert table.loc["bras", "note"] == "No batches were chosen."
    assert logging.getLogger("scib_metrics").level >= logging.WARNING
    assert metric_library.N_NEIGHBORS == (15, 50, 90)


def test_the_words_say_what_was_drawn(planted: Dataset) -> None:
    pca = EmbedCells(planted, find_model("pca"))
    about = provenance(planted, ScoreEmbedding(pca, TYPES, BATCHES, family="scib-metrics", n_bootstrap=0))
    assert about["n"] == "cells scored, column n_cells"
