"""Label transfer: right where types are apart, unknown where they are not, rare types on their own line."""

from itertools import count

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.embed_cells import EmbedCells, Embedding
from scfm_core.analyses.grouping import ByLabels
from scfm_core.analyses.label_transfer_tables import recall_interval
from scfm_core.analyses.transfer_labels import ALL, LabelTransfer, TransferLabels
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from tests.analyses.planted import bag_card, dataset_of

N_CELLS = 320


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("planted"), np.random.default_rng(0).poisson(0.5, (N_CELLS, 40)))


@pytest.fixture
def transfer(planted: Dataset, engine: Engine):
    number = count()

    def answer(points: np.ndarray, labels, folds=None, **options) -> LabelTransfer:
        embedding = EmbedCells(planted, bag_card(key=f"bag{next(number)}", is_baseline=True))
        n_tokens = np.zeros(N_CELLS, dtype=np.int32)
        engine.store.put(embedding.identity, Embedding(points=points.astype(np.float32), n_tokens=n_tokens))
        groups = [None if one is None else ByLabels.from_series(pd.Series(one, name="x")) for one in (labels, folds)]
        return engine.compute(TransferLabels(embedding, *groups, **options))

    return answer


def apart(labels: np.ndarray, distance: float = 30.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    codes = np.unique(labels, return_inverse=True)[1]
    return distance * np.eye(codes.max() + 1, 8)[codes] + rng.standard_normal((N_CELLS, 8))


def types(rare: int = 20) -> np.ndarray:
    labels = np.array(["B", "NK", "T"], dtype=object)[np.arange(N_CELLS) % 3]
    labels[:rare] = "rare"
    return np.random.default_rng(0).permutation(labels)


def test_types_apart_are_all_found_and_rare_ones_have_a_line(transfer) -> None:
    labels = types()
    table = transfer(apart(labels), labels).table.set_index("label")
    assert table.index.tolist() == ["B", "NK", "rare", "T", ALL]
    assert (table["recall"] == 1).all()
    assert (table["precision"] == 1).all()
    assert table.loc["rare", "n_cells"] == 20
    assert table.loc["rare", "ci_low"] < table.loc[ALL, "ci_low"] < 1
    assert (table["ci_unit"] == "cells").all()


def test_shuffled_labels_are_found_as_often_as_by_chance(transfer) -> None:
    labels = types(rare=0)
    points = np.random.default_rng(2).standard_normal((N_CELLS, 8))
    table = transfer(points, labels, min_agreement=0.0).table.set_index("label")
    assert table.loc[ALL, "recall"] == pytest.approx(1 / 3, abs=0.08)
    assert table.loc[ALL, "unknown"] == 0
    strict = transfer(points, labels, min_agreement=0.8).table.set_index("label")
    assert strict.loc[ALL, "unknown"] > 0.9


def test_batches_are_labelled_by_the_other_batches(transfer) -> None:
    labels, batches = types(), np.array(["one", "two"])[np.arange(N_CELLS) % 2]
    shifted, two = apart(labels), batches == "two"
    shifted[two] = np.roll(shifted[two], 1, axis=1) + 500 * np.eye(8)[7]  # far away, types elsewhere
    within, across = transfer(shifted, labels), transfer(shifted, labels, batches)
    assert within.table.set_index("label").loc[ALL, "recall"] > 0.97
    assert across.table.set_index("label").loc[ALL, "recall"] < 0.5
    assert across.folds["fold"].tolist() == ["one", "two"]
    assert "labelled by all the others" in across.remarks[0]
    assert "find each other easily" in within.remarks[0]


def test_a_type_of_one_batch_cannot_be_found_and_is_not_counted_as_lost(transfer) -> None:
    labels = types()
    batches = np.where(labels == "rare", "two", np.array(["one", "two"])[np.arange(N_CELLS) % 2])
    answer = transfer(apart(labels), labels, batches)
    rare = answer.table.set_index("label").loc["rare"]
    assert rare["n_reference"] == 0
    assert np.isnan(rare["recall"])
    assert 0 <= rare["invented"] <= 1
    assert answer.table.set_index("label").loc[ALL, "recall"] == 1
    assert answer.mean_recall == 1


def test_labels_too_rare_to_win_are_named(transfer) -> None:
    labels = types(rare=6)
    assert any("rare: fewer than 9 cells" in text for text in transfer(apart(labels), labels).remarks)
    assert len(transfer(apart(labels), labels, n_neighbors=3).remarks) == 2


def test_confusion_counts_every_cell_once(transfer) -> None:
    labels = types()
    answer = transfer(apart(labels, 1.5), labels)
    assert answer.confusion["n_cells"].sum() == N_CELLS
    np.testing.assert_allclose(answer.confusion.groupby("label")["share"].sum(), 1)
    right = answer.confusion[answer.confusion["label"] == answer.confusion["given"]].set_index("label")
    table = answer.table.set_index("label")
    for label in ("B", "NK", "T"):
        assert right.loc[label, "share"] == pytest.approx(table.loc[label, "recall"])
        assert table.loc[label, ["recall", "wrong", "unknown"]].sum() == pytest.approx(1)


def test_the_order_of_cells_changes_nothing(transfer) -> None:
    labels, batches = types(), np.array(["one", "two"])[np.arange(N_CELLS) % 2]
    points, order = apart(labels, 1.5), np.random.default_rng(5).permutation(N_CELLS)
    first, second = transfer(points, labels, batches), transfer(points[order], labels[order], batches[order])
    pd.testing.assert_frame_equal(first.table, second.table)


def test_intervals_over_cells_and_over_folds() -> None:
    from scipy.stats import binomtest

    right = np.arange(50) < 30
    low, high, unit = recall_interval(right, np.arange(50) % 3)
    expected = binomtest(30, 50).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert unit == "cells"
    assert recall_interval(right, np.arange(50) % 6)[2] == "folds"
    assert np.isnan(recall_interval(right[:0], right[:0])[0])


def test_intervals_over_donors_cover_what_new_donors_give() -> None:
    covered = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        of_donor = rng.beta(8, 2, 10)
        donors = np.repeat(np.arange(10), rng.integers(20, 60, 10))
        low, high, _ = recall_interval(rng.random(len(donors)) < of_donor[donors], donors)
        covered.append(low <= 0.8 <= high)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_what_cannot_be_asked_is_refused(transfer) -> None:
    labels = types()
    with pytest.raises(RequestError, match="at least 2 labels in at least 2 batches, donors or parts, found 1 and 5"):
        transfer(apart(labels), np.full(N_CELLS, "T"))
    with pytest.raises(RequestError, match="found 4 and 1"):
        transfer(apart(labels), labels, np.full(N_CELLS, "one"))
    with pytest.raises(RequestError, match="1 to 200 neighbours"):
        transfer(apart(labels), labels, n_neighbors=0)
