"""Kept neighbours against a plain computation, with the two ends whose answer is known: the same, and nothing."""

from pathlib import Path

import numpy as np
import pytest

from scfm_core.analyses import compare_neighbors
from scfm_core.analyses.compare_neighbors import CompareNeighbors, matched_cells, nearest_others, share_in_both
from scfm_core.analyses.embed_cells import EmbedCells, Embedding
from scfm_core.analyses.neighbor_tables import (
    kept_by_donor,
    kept_by_group,
    mixing_by_group,
    neighbor_composition,
)
from scfm_core.dataset import Dataset, subset_dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.registry import find_model
from tests.analyses.planted import bag_card, dataset_of

N_CELLS = 400


def points_of(n_cells: int, seed: int, n_dimensions: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_cells, n_dimensions)).astype(np.float32)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    counts = np.random.default_rng(0).poisson(0.5, (N_CELLS, 40))
    return dataset_of(tmp_path_factory.mktemp("planted"), counts)


@pytest.fixture(scope="module")
def pair(planted: Dataset) -> tuple[EmbedCells, EmbedCells]:
    return EmbedCells(planted, bag_card()), EmbedCells(planted, bag_card(key="other"))


@pytest.fixture
def compare(engine: Engine):
    """Compare two embeddings whose vectors are given: they lie in the store as if a model had made them."""

    def answer(pair, first, second, n_neighbors: int = 30):
        for embedding, points in zip(pair, (first, second), strict=True):
            n_tokens = np.zeros(len(points), dtype=np.int32)
            engine.store.put(embedding.identity, Embedding(points=points, n_tokens=n_tokens))
        job = engine.submit(CompareNeighbors(*pair, n_neighbors=n_neighbors))
        return job.result(), "\n".join(text for _, text in job.log)

    return answer


def test_the_same_vectors_keep_every_neighbour(pair, compare) -> None:
    points = points_of(N_CELLS, 0)
    points[30:60] = points[0]  # copies of one cell
    answer, _ = compare(pair, points, points.copy())
    assert (answer.share_kept == 1).all()
    assert answer.cells.tolist() == list(range(N_CELLS))
    assert not (answer.neighbors_first == answer.cells[:, None]).any()


def test_unrelated_vectors_keep_as_many_as_chance(pair, compare) -> None:
    answer, _ = compare(pair, points_of(N_CELLS, 1), points_of(N_CELLS, 2))
    assert answer.share_by_chance == pytest.approx(30 / (N_CELLS - 1))
    se = answer.share_kept.std() / np.sqrt(N_CELLS)
    assert abs(answer.share_kept.mean() - answer.share_by_chance) < 5 * se
    assert answer.share_kept.mean() < 2 * answer.share_by_chance


def test_shuffled_groups_keep_as_many_as_chance_within_groups(pair, compare) -> None:
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 4, N_CELLS)
    centres = 200 * np.eye(4, 8, dtype=np.float32)
    answer, _ = compare(pair, centres[groups] + points_of(N_CELLS, 4), centres[groups] + points_of(N_CELLS, 5))
    table = kept_by_group(answer, groups.astype(str))
    assert (table["by_chance_within"] > 3 * table["by_chance"]).all()
    np.testing.assert_allclose(table["mean"], table["by_chance_within"], atol=0.05)
    sizes = np.bincount(groups)
    np.testing.assert_allclose(table["by_chance_within"], 30 / (sizes - 1), rtol=1e-6)


@pytest.mark.parametrize("baseline", [True, False])
def test_against_a_plain_computation(planted: Dataset, engine: Engine, baseline: bool) -> None:
    from sklearn.metrics import pairwise_distances

    first = EmbedCells(planted, bag_card())
    second = EmbedCells(planted, find_model("pca") if baseline else bag_card(key="other"))
    answer = engine.compute(CompareNeighbors(first, second, n_neighbors=12))
    sets = []
    for embedding, metric in ((first, "cosine"), (second, "euclidean" if baseline else "cosine")):
        apart = pairwise_distances(np.asarray(engine.compute(embedding).points, dtype=np.float64), metric=metric)
        np.fill_diagonal(apart, np.inf)
        sets.append(np.argsort(apart, axis=1)[:, :12])
    expected = [len(set(a) & set(b)) / 12 for a, b in zip(*sets, strict=True)]
    assert np.abs(answer.share_kept - expected).max() <= 1 / 12 + 1e-6  # two cells at one distance may change places
    assert np.mean(np.isclose(answer.share_kept, expected)) > 0.98


def test_shares_of_rows() -> None:
    rng = np.random.default_rng(0)
    first, second = (np.array([rng.permutation(30)[:9] for _ in range(50)]) for _ in range(2))
    expected = [len(set(a) & set(b)) / 9 for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(share_in_both(first, second), expected, rtol=1e-6)


def test_cells_without_a_vector_are_no_neighbours_and_are_said(pair, compare) -> None:
    first, second = points_of(N_CELLS, 0), points_of(N_CELLS, 0)
    first[3], second[7] = np.nan, np.nan
    answer, log = compare(pair, first, second)
    assert not {3, 7} & set(answer.cells) | {3, 7} & set(answer.neighbors_first.ravel())
    assert len(answer.pool) == N_CELLS - 2
    kept = answer.kept_per_cell(N_CELLS)
    assert np.flatnonzero(np.isnan(kept)).tolist() == [3, 7]
    assert "2 of 400 cells lack a vector" in log


def test_few_cells_have_fewer_neighbours_and_it_is_said(tmp_path: Path, compare) -> None:
    small = dataset_of(tmp_path, np.random.default_rng(0).poisson(1.0, (16, 20)))
    two = EmbedCells(small, bag_card()), EmbedCells(small, bag_card(key="other"))
    answer, log = compare(two, points_of(16, 0), points_of(16, 1))
    assert answer.n_neighbors == 5
    assert answer.share_by_chance == pytest.approx(1 / 3)
    assert "Only 16 cells can be neighbours, so 5 are compared, not 30" in log


def test_too_few_cells_and_neighbours_are_refused(tmp_path: Path, pair, compare) -> None:
    small = dataset_of(tmp_path, np.ones((2, 10), dtype=int))
    two = EmbedCells(small, bag_card()), EmbedCells(small, bag_card(key="other"))
    with pytest.raises(RequestError, match="at least 3 cells with a vector in both embeddings, found 2 of 2"):
        compare(two, points_of(2, 0), points_of(2, 1))
    with pytest.raises(RequestError, match="at least 1 neighbour"):
        CompareNeighbors(*pair, n_neighbors=0)


def test_many_cells_are_sampled_and_searched_among_all(pair, monkeypatch: pytest.MonkeyPatch, compare) -> None:
    monkeypatch.setattr(compare_neighbors, "MOST_COMPARED", 100)
    points = points_of(N_CELLS, 0)
    answer, log = compare(pair, points, points + 0.01 * points_of(N_CELLS, 1))
    assert len(answer.cells) == 100
    assert len(np.unique(answer.neighbors_first)) > 300
    assert "100 of 400 cells, drawn at random" in log
    assert np.isfinite(answer.kept_per_cell(N_CELLS)).sum() == 100
    np.testing.assert_array_equal(
        answer.neighbors_first,
        nearest_others(_unit(points), answer.cells, n_neighbors=30),
    )


def _unit(points: np.ndarray) -> np.ndarray:
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_part_is_compared_with_the_whole_by_the_names_of_cells(planted: Dataset, reverse: bool, compare) -> None:
    keep = np.zeros(N_CELLS, dtype=bool)
    keep[50:250] = True
    part = subset_dataset(planted, keep, title="part", note="cut")
    points = points_of(N_CELLS, 0)
    whole, cut = EmbedCells(planted, bag_card()), EmbedCells(part, bag_card())
    order = (cut, whole) if reverse else (whole, cut)
    vectors = (points[keep], points) if reverse else (points, points[keep])
    answer, _ = compare(order, *vectors, n_neighbors=20)
    assert (answer.share_kept == 1).all()
    inside, of_part = np.arange(50, 250), np.arange(200)
    assert answer.cells.tolist() == (of_part if reverse else inside).tolist()
    assert answer.cells_in_second.tolist() == (inside if reverse else of_part).tolist()
    n_second = N_CELLS if reverse else 200
    assert np.isfinite(answer.kept_per_cell_in_second(n_second)).sum() == 200


def test_other_cells_are_refused(planted: Dataset, tmp_path: Path) -> None:
    names = [f"cell{number}" for number in range(N_CELLS)]
    other = dataset_of(tmp_path, np.random.default_rng(9).poisson(0.5, (N_CELLS, 40)))
    assert other.cells().index.tolist() == names
    with pytest.raises(RequestError, match="400 have a name in common"):
        matched_cells(planted, other)


# --- tables ----------------------------------------------------------------------------------------------------------


def test_groups_and_donors_are_counted_over_their_cells(pair, compare) -> None:
    points = points_of(N_CELLS, 0)
    answer, _ = compare(pair, points, points + 0.3 * points_of(N_CELLS, 1))
    labels = np.array([("", "b", "a", "a")[place % 4] for place in range(N_CELLS)])
    donors = np.array([("one", "two")[place % 2] for place in range(N_CELLS)])
    table = kept_by_group(answer, labels).set_index("group")
    assert table.index.tolist() == ["a", "b"]
    own = answer.share_kept[labels == "a"].astype(np.float64)
    assert table.loc["a", "n_cells"] == 200
    assert table.loc["a", "mean"] == pytest.approx(own.mean())
    assert table.loc["a", "sd"] == pytest.approx(own.std(ddof=1))
    assert table.loc["a", ["low", "median", "high"]].tolist() == pytest.approx(np.percentile(own, [25, 50, 75]))
    by_donor = kept_by_donor(answer, labels, donors)
    assert by_donor["n_cells"].sum() == 300
    mine = by_donor[(by_donor["group"] == "a") & (by_donor["donor"] == "one")]
    assert mine["mean"].item() == pytest.approx(answer.share_kept[(labels == "a") & (donors == "one")].mean())


def test_mixing_tells_parted_batches_from_mixed_ones(pair, compare) -> None:
    batches = np.arange(N_CELLS) % 2
    parted = points_of(N_CELLS, 0)
    parted[:, 0] = np.where(batches, 50, -50)
    answer, _ = compare(pair, parted, points_of(N_CELLS, 1))
    table = mixing_by_group(answer, batches.astype(str))
    assert table["group"].tolist() == ["0", "0", "1", "1"]
    parted_rows, mixed_rows = (table[table["embedding"] == which] for which in ("first", "second"))
    assert (parted_rows["mean"] == 1).all()
    np.testing.assert_allclose(mixed_rows["mean"], 199 / 399, atol=0.03)
    np.testing.assert_allclose(table["by_chance"], 199 / 399)
    assert table["by_chance_within"].isna().all()


def test_batches_of_other_composition_are_mixed_within_types(pair, compare) -> None:
    rng = np.random.default_rng(0)
    types = rng.integers(0, 2, N_CELLS)
    batches = (rng.random(N_CELLS) < np.where(types, 0.9, 0.1)).astype(int)  # each type stands mostly in one batch
    vectors = [np.eye(2, 8, dtype=np.float32)[types] * 100 + points_of(N_CELLS, seed) for seed in (1, 2)]
    answer, _ = compare(pair, *vectors)
    table = mixing_by_group(answer, batches.astype(str), within=types.astype(str))
    assert (table["mean"] > table["by_chance"] + 0.2).all()
    np.testing.assert_allclose(table["mean"], table["by_chance_within"], atol=0.04)


def test_composition_of_neighbourhoods_sums_up_to_one_and_shows_what_moved(pair, compare) -> None:
    kinds = np.array([("a", "b", "c", "")[place % 4] for place in range(N_CELLS)])
    centres = {"a": 0.0, "b": 100.0, "c": 200.0, "": 300.0}
    first = points_of(N_CELLS, 0)
    first[:, 0] += [centres[kind] for kind in kinds]
    second = points_of(N_CELLS, 1)
    second[:, 0] += [0.0 if kind == "b" else centres[kind] for kind in kinds]  # b falls upon a
    first, second = (np.hstack([points, np.full((N_CELLS, 1), 400, np.float32)]) for points in (first, second))
    answer, _ = compare(pair, first, second)
    table = neighbor_composition(answer, kinds).set_index(["group", "neighbor"])
    assert {group for group, _ in table.index} == {"a", "b", "c"}
    for share in ("share_first", "share_second"):
        np.testing.assert_allclose(table[share].groupby("group").sum(), 1)
    assert table.loc[("a", "a"), "share_first"] == 1
    assert table.loc[("a", "b"), "change"] == pytest.approx(0.5, abs=0.1)
    assert table.loc[("c", "c"), "change"] == pytest.approx(0, abs=0.02)
    assert "" in {neighbor for _, neighbor in table.index}
