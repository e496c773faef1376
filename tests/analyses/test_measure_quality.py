"""Quality against numpy, doublets against planted ones, thresholds against the median absolute deviation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scfm_core.analyses.measure_quality import (
    MeasureQuality,
    Thresholds,
    before_after,
    doublet_scores,
    gene_classes,
    passing,
    suggest_thresholds,
)
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from tests.analyses.planted import dataset_of, grouped_counts


def test_every_column_against_numpy(tiny_dataset: Dataset, engine: Engine) -> None:
    table = engine.compute(MeasureQuality(tiny_dataset)).table
    dense, totals = tiny_dataset.counts().matrix.toarray().astype(float), tiny_dataset.total_counts
    symbols = np.array(tiny_dataset.gene_symbols)
    mitochondrial = np.char.startswith(symbols, "MT-")
    ribosomal = np.char.startswith(symbols, "RPS") | np.char.startswith(symbols, "RPL")
    ribosomal &= ~np.char.startswith(symbols, "RPS6K")
    assert mitochondrial.sum() > 5
    assert table.index.equals(tiny_dataset.cells().index)
    np.testing.assert_array_equal(table["total_counts"], totals)
    np.testing.assert_array_equal(table["n_genes"], (dense > 0).sum(axis=1))
    np.testing.assert_allclose(table["mitochondrial_share"], dense[:, mitochondrial].sum(axis=1) / totals)
    np.testing.assert_allclose(table["ribosomal_share"], dense[:, ribosomal].sum(axis=1) / totals)
    np.testing.assert_array_equal(table["sample"].astype(str), tiny_dataset.cells()["donor"].astype(str))
    assert table["doublet_score"].between(0, 1).all()


def test_kinds_of_genes() -> None:
    found = gene_classes(["MT-CO1", "mt-Co1", "MTOR", "RPL3", "Rps6", "RPS6KB1", "PRPS1"], "human")
    assert found["mitochondrial"].tolist() == [True] + [False] * 6
    assert found["ribosomal"].tolist() == [False, False, False, True, False, False, False]
    mouse = gene_classes(["mt-Co1", "Rps6", "Rps6ka1", "MT-CO1"], "mouse")
    assert mouse["mitochondrial"].tolist() == [True, False, False, False]
    assert mouse["ribosomal"].tolist() == [False, True, False, False]
    assert gene_classes(["mt-Co1", "MT-CO1"], "unknown")["mitochondrial"].all()


def planted_doublets(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return counts of 300 cells in three groups and of 30 sums of two cells, and which are sums."""
    counts, groups = grouped_counts(300, 300, 3, seed)
    rng = np.random.default_rng(seed)
    pairs = rng.choice(np.flatnonzero(groups == 0), 30), rng.choice(np.flatnonzero(groups > 0), 30)
    return np.vstack([counts, counts[pairs[0]] + counts[pairs[1]]]), np.arange(330) >= 300


def test_planted_doublets_score_high_within_each_sample(tmp_path: Path, engine: Engine) -> None:
    one, is_doublet = planted_doublets(0)
    two, _ = planted_doublets(1)
    few = one[:20]
    samples = np.repeat(["one", "two", "few"], [len(one), len(two), len(few)])
    dataset = dataset_of(tmp_path, np.vstack([one, two, few]), {"lane": samples}, roles={"batch": "lane"})
    job = engine.submit(MeasureQuality(dataset))
    table = job.result().table
    for sample in ("one", "two"):
        score = table.loc[table["sample"] == sample, "doublet_score"].to_numpy()
        better = stats.mannwhitneyu(score[is_doublet], score[~is_doublet], alternative="greater")
        assert better.statistic / (30 * 300) > 0.8
        assert better.pvalue < 1e-6
    assert table.loc[table["sample"] == "few", "doublet_score"].isna().all()
    said = " ".join(text for _, text in job.log)
    assert "fewer than 100 or more than 100,000 cells: few" in said
    assert "No mitochondrial gene was measured" in said
    assert table["mitochondrial_share"].isna().all()
    assert passing(table, suggest_thresholds(table)).mean() > 0.8


def test_doublet_scores_are_repeatable() -> None:
    from scipy.sparse import csr_matrix

    counts, _ = planted_doublets(2)
    np.testing.assert_array_equal(doublet_scores(csr_matrix(counts)), doublet_scores(csr_matrix(counts)))


def test_scrublet_that_fails_says_so(tmp_path: Path, engine: Engine) -> None:
    dataset = dataset_of(tmp_path, np.ones((120, 5), dtype=int))
    job = engine.submit(MeasureQuality(dataset))
    assert job.result().table["doublet_score"].isna().all()
    assert any("No doublet scores for all cells" in text for _, text in job.log)


def test_an_empty_cell_has_shares_of_zero(tmp_path: Path, engine: Engine) -> None:
    counts = np.array([[0, 0], [1, 3]])
    dataset = dataset_of(tmp_path, counts, gene_symbols=("MT-ND1", "CD3D"))
    table = engine.compute(MeasureQuality(dataset)).table
    assert table["mitochondrial_share"].tolist() == [0, 0.25]
    assert table["n_genes"].tolist() == [0, 2]


def quality_table(counts: np.ndarray, mitochondrial: np.ndarray) -> pd.DataFrame:
    columns = {
        "sample": "all cells",
        "total_counts": counts,
        "n_genes": counts // 3,
        "mitochondrial_share": mitochondrial,
        "ribosomal_share": 0.2,
        "doublet_score": np.nan,
    }
    return pd.DataFrame(columns)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(1, 8))
def test_thresholds_against_numpy(seed: int, n_mads: float) -> None:
    rng = np.random.default_rng(seed)
    table = quality_table(rng.lognormal(8, 0.6, 80).round(), rng.beta(2, 20, 80))
    found = suggest_thresholds(table, n_mads)
    logs = np.log(table["total_counts"] + 1)
    reach = n_mads * stats.median_abs_deviation(logs, scale="normal")
    assert found.min_counts == pytest.approx(max(np.exp(np.median(logs) - reach) - 1, 0), rel=1e-3)
    assert found.max_counts == pytest.approx(np.exp(np.median(logs) + reach) - 1, rel=1e-3)
    share = table["mitochondrial_share"]
    limit = np.median(share) + n_mads * stats.median_abs_deviation(share, scale="normal")
    assert found.max_mitochondrial_share == pytest.approx(np.clip(limit, 0.05, 1), rel=1e-3)
    assert found.max_doublet_score == 1


def test_cells_that_are_all_alike_are_all_kept() -> None:
    table = quality_table(np.array([1000.0] * 50 + [1040, 970]), np.zeros(52))
    assert passing(table, suggest_thresholds(table)).all()
    with pytest.raises(RequestError, match="positive number"):
        suggest_thresholds(table, 0)


def test_a_cell_must_pass_every_threshold_and_limits_belong_to_what_is_kept() -> None:
    table = quality_table(np.array([300.0, 299, 900, 901, 600, 600]), np.array([0, 0, 0, 0, 0.1, 0.11]))
    table["doublet_score"] = [np.nan, 0, 0.4, 0, 0, 0]
    limits = Thresholds(300, 900, 100, 300, 0.1, 0.4)
    assert passing(table, limits).tolist() == [True, False, True, False, True, False]


def test_cells_before_and_after_per_sample() -> None:
    table = quality_table(np.full(5, 100.0), np.zeros(5)).assign(sample=["b", "a", "b", "b", "a"])
    found = before_after(table, np.array([True, False, True, False, False]))
    assert found.columns.tolist() == ["sample", "cells_before", "cells_after", "share_kept"]
    assert found.to_numpy().tolist() == [["a", 2, 0, 0.0], ["b", 3, 2, 2 / 3]]
