"""What columns explain, and how far they are confounded, against independent computations and planted structure."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.stats.contingency import association

from scfm_core.analyses.batch_structure import DescribeBatches, columns_of_groups, condition_caution
from scfm_core.analyses.batch_tables import (
    associations_of,
    composition_table,
    cramers_v,
    explained_row,
    variance_between,
)
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import ByColumn
from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.errors import RequestError
from scfm_core.registry import find_model


@pytest.fixture
def random():
    return np.random.default_rng(7)


def test_variance_between_groups_is_that_of_a_regression(random):
    points, codes = random.normal(size=(200, 5)), random.integers(0, 4, 200)
    points[:, 0] += codes
    dummies = np.eye(4)[codes]
    fitted = dummies @ np.linalg.lstsq(dummies, points, rcond=None)[0]
    expected = 1 - ((points - fitted) ** 2).sum() / ((points - points.mean(axis=0)) ** 2).sum()
    assert variance_between(points, codes) == pytest.approx(expected)


def test_random_groups_explain_what_chance_says(random):
    points = random.normal(size=(300, 20))
    rows = [explained_row("x", points, random.integers(0, 6, 300), None) for _ in range(200)]
    assert np.mean([row["explained"] for row in rows]) == pytest.approx(rows[0]["by_chance"], rel=0.05)


def test_variance_within_labels_leaves_out_what_labels_explain(random):
    labels = np.repeat([0, 1], 100)
    batches = labels.copy()
    batches[:5], batches[-5:] = 1, 0  # each label mostly in one batch
    points = random.normal(size=(200, 3)) + 10 * labels[:, None]
    row = explained_row("batch", points, batches, labels)
    assert row["explained"] > 0.5
    assert row["explained_within"] < 0.05
    shifted = explained_row("batch", points + 10 * batches[:, None], batches, labels)
    assert shifted["explained_within"] > 0.5


def test_cramers_v_without_bias(random):
    first, second = random.integers(0, 5, 400), random.integers(0, 7, 400)
    plain = association(pd.crosstab(first, second).to_numpy(), method="cramer")
    found = cramers_v(first, second)
    assert 0 <= found < plain
    many = [cramers_v(random.integers(0, 5, 400), random.integers(0, 7, 400)) for _ in range(200)]
    assert np.mean(many) < 0.04, "independent columns are near 0"
    assert cramers_v(first, first) == pytest.approx(1.0)
    assert cramers_v(first, second) == pytest.approx(cramers_v(second, first))
    assert np.isnan(cramers_v(first, np.zeros(400, dtype=int)))


def test_associations_say_what_is_confounded(random):
    condition = np.repeat([0, 1], 60)
    columns = {"condition": condition, "batch": condition * 2 + np.tile([0, 1], 60), "lane": random.integers(0, 3, 120)}
    columns["lane"][0] = -1
    table = associations_of(columns).set_index(["first", "second"])
    assert table.loc[("condition", "batch"), "in_words"] == "the same: one tells the other"
    assert table.loc[("condition", "lane"), "n_cells"] == 119
    assert table.index[0] == ("condition", "batch"), "the strongest comes first"


def test_composition_counts_every_cell_once():
    table = composition_table((("a", "b", "c"), np.array([0, 0, 1, 1, -1])), (("T", "B"), np.array([0, 1, 0, -1, 0])))
    assert table["n_cells"].sum() == 3
    assert set(table["batch"]) == {"a", "b"}, "a batch without a cell has no row"
    np.testing.assert_allclose(table.groupby("batch")["share_of_batch"].sum(), 1)
    np.testing.assert_allclose(table.groupby("label")["share_of_label"].sum(), 1)


def test_a_condition_among_the_batches_is_told(tmp_path, random):
    cells = pd.DataFrame(
        {"condition": np.repeat(["ctrl", "stim"], 30), "run": np.repeat(["r1", "r2", "r3", "r4"], 15),
         "lane": np.tile(["l1", "l2"], 30)},
        index=[f"cell {number}" for number in range(60)],
    )  # fmt: skip
    new = NewDataset(
        matrix=csr_matrix(random.poisson(1.0, (60, 5))), gene_ids=tuple("abcde"), gene_symbols=tuple("ABCDE"),
        cells=cells, organism="unknown", roles={"condition": "condition"},
    )  # fmt: skip
    dataset = write_dataset(tmp_path / "conditions", new)
    assert "hides what the condition does" in condition_caution(dataset, "condition")
    assert condition_caution(dataset, "run").startswith("run and condition go together (Cramer's V 1.00)")
    assert condition_caution(dataset, "lane") == ""
    assert condition_caution(dataset, "") == ""
    assert set(columns_of_groups(dataset)) == {"condition", "run", "lane"}
    assert columns_of_groups(dataset)[0] == "condition", "columns with a role come first"


def test_the_question_finds_a_planted_batch(engine, tmp_path, random):
    kinds, batches = np.arange(160) % 2, np.arange(160) // 80
    rates = np.full((160, 60), 2.0)
    rates[kinds == 1, :10] *= 2
    rates[batches == 1, 20:50] *= 6
    cells = pd.DataFrame(
        {"kind": np.array(["T", "B"])[kinds], "batch": np.array(["one", "two"])[batches], "all": "same"},
        index=[f"cell {number}" for number in range(160)],
    )
    new = NewDataset(
        matrix=csr_matrix(random.poisson(rates)), gene_ids=tuple(f"g{number}" for number in range(60)),
        gene_symbols=tuple(f"G{number}" for number in range(60)), cells=cells, organism="unknown",
    )  # fmt: skip
    dataset = write_dataset(tmp_path / "planted", new)
    pca = EmbedCells(dataset, find_model("pca"))
    asked = DescribeBatches(pca, ("kind", "batch"), labels=ByColumn("kind"), batches=ByColumn("batch"))
    found = engine.compute(asked)
    assert found.explained["column"].tolist() == ["batch", "kind"]
    first = found.explained.iloc[0]
    assert first["explained"] > 10 * first["by_chance"]
    assert first["explained_within"] > first["explained"]
    assert found.associations.loc[0, "in_words"] == "nearly independent"
    assert found.composition["n_cells"].tolist() == [40, 40, 40, 40]
    with pytest.raises(RequestError, match="at least 2 groups in column 'all'"):
        engine.compute(DescribeBatches(pca, ("all",)))
    with pytest.raises(RequestError, match="at least one column"):
        DescribeBatches(pca, ())
