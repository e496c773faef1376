"""Gene sets by group: numbers against pandas, p uniform for random sets, a planted set found."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.sparse import csr_matrix

from scfm_core.analyses.compare_set_scores import CompareSetScores, count_as_high
from scfm_core.analyses.grouping import ByColumn, ByLabels
from scfm_core.analyses.score_gene_set import ScoreGeneSet
from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes

N_CELLS, N_GENES = 240, 600


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Cells of three donors and two groups; genes 0 to 9 are four times as high in the group "here"."""
    random = np.random.default_rng(5)
    rates = random.gamma(0.6, 1.0, N_GENES)
    rates[:10] = np.linspace(0.2, 1.0, 10)
    here = np.arange(N_CELLS) % 2 == 0
    means = np.tile(rates, (N_CELLS, 1)) * random.lognormal(0, 0.2, (N_CELLS, 1))
    means[np.ix_(here, np.arange(10))] *= 4
    cells = pd.DataFrame(
        {"where": np.where(here, "here", "there"), "donor": [f"d{number % 3}" for number in range(N_CELLS)]},
        index=[f"c{number}" for number in range(N_CELLS)],
    )
    cells.loc["c0", "where"] = None
    new = NewDataset(
        matrix=csr_matrix(random.poisson(means)), gene_ids=tuple(f"g{n}" for n in range(N_GENES)),
        gene_symbols=tuple(f"G{n}" for n in range(N_GENES)), cells=cells, organism="unknown",
        roles={"donor": "donor"},
    )  # fmt: skip
    return write_dataset(tmp_path_factory.mktemp("planted"), new)


def test_a_planted_set_stands_out_where_it_was_planted(planted, engine):
    score = ScoreGeneSet(planted, tuple(f"g{n}" for n in range(10)))
    got = engine.compute(CompareSetScores(score, ByColumn("where"), n_random=499))
    table = got.table.set_index("group")
    assert table.loc["here", "p_value"] == 1 / 500
    assert table.loc["there", "p_value"] > 0.05
    assert table.loc["here", "mean"] > table.loc["there", "mean"] + 0.3
    assert (table["p_adjusted"] >= table["p_value"]).all()
    assert got.n_random == 499


def test_numbers_of_groups_and_donors_are_those_of_pandas(planted, engine):
    score = ScoreGeneSet(planted, tuple(f"g{n}" for n in range(10)))
    got = engine.compute(CompareSetScores(score, ByColumn("where"), n_random=9))
    scores = engine.compute(score)
    cells = planted.cells().assign(score=np.asarray(scores.scores, dtype=float), held=np.asarray(scores.share_held))
    wanted = cells.groupby("where", observed=True)["score"].describe()
    table = got.table.set_index("group")
    assert table["n_cells"].tolist() == [119, 120]
    columns = {"mean": "mean", "lower_quartile": "25%", "median": "50%", "upper_quartile": "75%"}
    for ours, theirs in columns.items():
        np.testing.assert_allclose(table[ours], wanted[theirs], rtol=1e-6)
    np.testing.assert_allclose(table["share_held"], cells.groupby("where", observed=True)["held"].mean(), rtol=1e-6)
    by_donor = cells.groupby(["where", "donor"], observed=True)["score"].mean()
    np.testing.assert_allclose(got.donors["mean"], by_donor, rtol=1e-6)
    assert table["n_donors"].tolist() == [3, 3]
    np.testing.assert_allclose(table["donor_mean"], by_donor.groupby("where", observed=True).mean(), rtol=1e-6)
    np.testing.assert_allclose(table["donor_sd"], by_donor.groupby("where", observed=True).std(), rtol=1e-6)


def test_p_is_uniform_for_sets_that_mean_nothing():
    """Sets drawn by chance, bin by bin, in groups that differ in many genes."""
    random = np.random.default_rng(2)
    bins = np.repeat(np.arange(6), 40)
    sums = random.gamma(1.0, 1.0, (2, 240)) * (1 + bins)
    p_values = []
    for number in range(400):
        is_set = np.zeros(240, dtype=bool)
        for place in range(6):
            is_set[40 * place + random.choice(40, 1 + place, replace=False)] = True
        p_values.append((1 + count_as_high(sums, is_set, bins, n_random=199, seed=number)) / 200)
    for of_group in np.transpose(p_values):
        assert stats.kstest(of_group, "uniform").pvalue > 0.01
        assert (of_group <= 0.05).mean() < 0.09


def test_a_set_of_all_genes_of_its_bins_is_no_finding():
    sums = np.random.default_rng(0).random((3, 20))
    as_high = count_as_high(sums, np.ones(20, dtype=bool), np.repeat([0, 1], 10), n_random=50, seed=0)
    assert as_high.tolist() == [50, 50, 50]


def test_labels_of_a_person_are_groups_too_and_one_donor_has_no_spread(tiny_dataset, engine):
    labels = pd.Series(pd.Categorical.from_codes(np.arange(120) % 3 - 1, ["one", "two"]), name="mine")
    score = ScoreGeneSet(tiny_dataset, find_genes(tiny_dataset, ["MS4A1", "CD79A"]))
    got = engine.compute(CompareSetScores(score, ByLabels.from_series(labels), n_random=20))
    assert got.table["group"].tolist() == ["one", "two"]
    assert got.table["n_cells"].tolist() == [40, 40]
    assert got.table["n_donors"].tolist() == [1, 1]
    assert got.table["donor_sd"].isna().all()


def test_no_groups_and_no_sets_are_told(tiny_dataset, engine):
    score = ScoreGeneSet(tiny_dataset, find_genes(tiny_dataset, ["MS4A1"]))
    nobody = ByLabels("mine", ("one",), np.full(120, -1, dtype="<i2").tobytes())
    with pytest.raises(RequestError, match="found none among 120"):
        engine.compute(CompareSetScores(score, nobody))
    with pytest.raises(RequestError, match="at least 1 random set"):
        CompareSetScores(score, nobody, n_random=0)
