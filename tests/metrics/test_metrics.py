"""What must hold for each metric: the two ends of its scale, and that the order of cells plays no part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array
from scipy.sparse.csgraph import dijkstra

from scfm_core.analyses.metric_cells import ScoredCells, interval, random_halves, strata_of, stratified
from scfm_core.analyses.metric_published import published_scores
from scfm_core.metrics import agreement, batch_effects
from scfm_core.metrics.catalogue import metrics_of
from scfm_core.metrics.local_diversity import inverse_simpson, nearest_by_path
from scfm_core.metrics.scaling import scaled
from scfm_core.metrics.silhouettes import silhouette_widths

N_CELLS = 300
OF_LABELS = ("nmi", "ari", "asw_label", "avg_bio", "clisi", "isolated_f1", "isolated_asw")
OF_CLUSTERS = ("nmi", "ari", "avg_bio", "isolated_f1")  # Leiden's choice among equals follows the order of cells


def parted(spread: float = 0.01) -> ScoredCells:
    """Three types far apart, two batches that are mixed within the first two; the third stands in one batch."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], N_CELLS // 3)
    batches = rng.integers(0, 2, N_CELLS)
    batches[labels == 2] = 0
    points = (100 * np.eye(3, 8)[labels] + spread * rng.standard_normal((N_CELLS, 8))).astype(np.float32)
    return ScoredCells(points, labels, batches, points)


def values(cells: ScoredCells) -> dict[str, float]:
    table = published_scores(cells, seed=0)
    return dict(zip(table["metric"], table["value"], strict=True))


def shuffled(cells: ScoredCells, *, labels: bool, seed: int = 1) -> ScoredCells:
    rng = np.random.default_rng(seed)
    if labels:
        return ScoredCells(cells.points, rng.permutation(cells.labels), cells.batches, cells.before)
    return ScoredCells(cells.points, cells.labels, rng.permutation(cells.batches), cells.before)


def test_every_metric_of_the_catalogue_is_computed_and_explained() -> None:
    for family in ("published", "scib-metrics"):
        metrics = metrics_of(family)
        assert len({metric.key for metric in metrics}) == len(metrics)
        assert {metric.about for metric in metrics} == {"biology", "batch"}
        assert all(metric.meaning.endswith(".") and metric.title for metric in metrics)
    assert list(values(parted())) == [metric.key for metric in metrics_of("published")]


def test_perfect_separation_is_one() -> None:
    found = values(parted())
    for metric in (*OF_LABELS, "graph_connectivity"):
        assert found[metric] == pytest.approx(1, abs=1e-3), metric
    assert found["nmi"] == found["ari"] == found["isolated_f1"] == pytest.approx(1, abs=1e-12)


def test_shuffled_labels_are_the_random_level() -> None:
    found = [values(shuffled(parted(), labels=True, seed=seed)) for seed in range(4)]
    means = {metric: np.mean([one[metric] for one in found]) for metric in found[0]}
    assert means["ari"] == pytest.approx(0, abs=0.03)
    assert means["nmi"] < 0.05
    assert means["asw_label"] == pytest.approx(0.5, abs=0.05)
    assert means["clisi"] < 0.2  # each neighbourhood holds the three labels nearly alike


def test_batches_at_random_are_mixed_and_batches_apart_are_not() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 150)
    points = (20 * np.eye(2, 6)[labels] + rng.standard_normal((300, 6))).astype(np.float32)
    mixed = ScoredCells(points, labels, rng.integers(0, 2, 300), points)
    found = values(mixed)
    assert found["ilisi"] > 0.85
    assert found["asw_batch"] > 0.95
    assert found["kbet"] > 0.9
    assert found["pcr_batch"] < 0.02
    assert found["pcr_comparison"] == 0  # the same vectors before and after
    apart = points + 30 * np.eye(6)[5] * mixed.batches[:, None]
    found = values(ScoredCells(apart.astype(np.float32), labels, mixed.batches, points))
    assert found["ilisi"] == pytest.approx(0, abs=1e-6)
    assert found["asw_batch"] < 0.2
    assert found["kbet"] == 0
    assert found["pcr_batch"] > 0.5
    assert found["graph_connectivity"] < 0.7
    better = values(ScoredCells(points, labels, mixed.batches, apart.astype(np.float32)))
    assert better["pcr_comparison"] > 0.95


def overlapping() -> ScoredCells:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, N_CELLS)
    batches = np.where(labels == 3, 0, rng.integers(0, 3, N_CELLS))
    points = 2 * rng.standard_normal((4, 5))[labels] + rng.standard_normal((N_CELLS, 5))
    return ScoredCells(points.astype(np.float32), labels, batches, (points + batches[:, None]).astype(np.float32))


def test_the_order_of_cells_changes_nothing() -> None:
    for cells, left_out in ((overlapping(), OF_CLUSTERS), (parted(), ())):
        before = values(cells)
        after = values(cells.take(np.random.default_rng(4).permutation(N_CELLS)))
        for metric in set(before) - set(left_out):
            assert after[metric] == pytest.approx(before[metric], abs=1e-5, nan_ok=True), metric


def test_names_of_labels_and_a_turn_of_the_axes_change_nothing() -> None:
    cells = overlapping()
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((5, 5)))[0]
    others = ScoredCells((cells.points @ turn).astype(np.float32), 3 - cells.labels, cells.batches + 4, cells.before)
    before, after = values(cells), values(others)
    for metric in set(before) - set(OF_CLUSTERS):
        assert after[metric] == pytest.approx(before[metric], abs=1e-4), metric


@pytest.mark.parametrize(
    ("labels", "batches", "lacking", "word"),
    [
        (np.zeros(60, int), np.arange(60) % 2, {"nmi", "ari", "asw_label", "avg_bio"}, "one label"),
        (np.arange(60) % 3, np.zeros(60, int), {"asw_batch", "pcr_batch", "kbet", "ilisi"}, "one batch"),
        (np.arange(60) % 3, None, {"asw_batch", "pcr_batch", "kbet", "isolated_asw"}, "No batches"),
        (np.arange(60) % 3, np.arange(60) // 30, {"isolated_f1", "isolated_asw"}, "none is isolated"),
        (np.arange(60) % 2, np.arange(60) % 2, {"asw_batch", "kbet"}, "No label can tell"),
        (np.arange(60) % 3, np.arange(60) // 30, {"clisi", "ilisi"}, "more than 90 cells"),
    ],
)
def test_what_has_no_value_says_why(labels, batches, lacking, word) -> None:
    points = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    before = None if batches is None else points
    table = published_scores(ScoredCells(points, labels, batches, before), seed=0).set_index("metric")
    for metric in lacking:
        assert np.isnan(table.loc[metric, "value"]), metric
        assert word in table.loc[metric, "note"] or "more than 90" in table.loc[metric, "note"], metric
    assert (table["value"].notna() | (table["note"] != "")).all()


def test_rare_labels_are_told() -> None:
    cells = overlapping()
    labels = cells.labels.copy()
    labels[labels == 3] = 2
    labels[:3] = 3
    batches = np.where(labels == 3, 0, np.arange(N_CELLS) % 3)
    table = published_scores(ScoredCells(cells.points, labels, batches, cells.before), seed=0).set_index("metric")
    assert "1 isolated label, of 3 cells" in table.loc["isolated_asw", "note"]
    assert "Only 3 of 4 labels" in table.loc["kbet", "note"]


# --- the parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(80, 60), (40, 70), (90, 8)])
def test_variance_explained_against_a_regression_of_each_component(shape) -> None:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(0)
    batches = rng.integers(0, 3, shape[0])
    points = rng.standard_normal(shape) * np.linspace(3, 0.2, shape[1]) + batches[:, None]
    pca = PCA(min(50, *shape), svd_solver="full").fit(points)
    components, one_hot = pca.transform(points), np.eye(3)[batches]
    shares = [LinearRegression().fit(one_hot, column).score(one_hot, column) for column in components.T]
    expected = np.dot(shares, pca.explained_variance_) / pca.explained_variance_.sum()
    assert batch_effects.variance_explained(points, batches) == pytest.approx(expected, abs=1e-9)


def test_nearest_along_paths_against_dijkstra() -> None:
    graph = random_array((60, 60), density=0.06, rng=np.random.default_rng(0)).tocsr()
    graph = csr_matrix(graph + graph.T)
    expected = dijkstra(graph)
    np.fill_diagonal(expected, np.inf)
    found, far = nearest_by_path(graph, n_neighbors=12)
    for cell in range(60):
        reached = np.isfinite(far[cell])
        assert reached.sum() == min(12, np.isfinite(expected[cell]).sum())
        np.testing.assert_allclose(far[cell][reached], np.sort(expected[cell])[: reached.sum()], rtol=1e-5)
        np.testing.assert_allclose(expected[cell][found[cell][reached]], far[cell][reached], rtol=1e-5)
        assert (found[cell][~reached] == -1).all()


def test_effective_number_of_groups() -> None:
    neighbors = np.tile(np.arange(1, 91), (2, 1))
    distances = np.ones((2, 90))  # all weigh alike
    alike, one = np.arange(91) % 3, np.zeros(91, dtype=int)
    assert inverse_simpson(neighbors, distances, alike) == pytest.approx([3, 3])
    assert inverse_simpson(neighbors, distances, one) == pytest.approx([1, 1])
    assert inverse_simpson(np.where(neighbors > 80, -1, neighbors), distances, alike).tolist() == [1, 1]


def test_the_test_of_batches_holds_its_level() -> None:
    rng = np.random.default_rng(0)
    batches = rng.integers(0, 3, 4_000)
    neighbors = rng.integers(0, 4_000, (4_000, 60))
    p = batch_effects.batch_test(neighbors, batches)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.015)
    assert np.mean(p) == pytest.approx(0.5, abs=0.03)


def test_connected_shares_by_hand() -> None:
    chain = csr_matrix(np.diag(np.ones(5), 1) + np.diag(np.ones(5), -1))
    assert batch_effects.connected_share(chain, np.array([0, 0, 0, 1, 1, 1])) == 1
    assert batch_effects.connected_share(chain, np.array([0, 1, 0, 0, 1, 1])) == pytest.approx(2 / 3)


def test_widths_are_computed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from scfm_core.metrics import silhouettes

    cells = overlapping()
    whole = silhouette_widths(cells.points, cells.labels)
    monkeypatch.setattr(silhouettes, "_MEGABYTES", 0.1)
    np.testing.assert_allclose(silhouette_widths(cells.points, cells.labels), whole, atol=1e-6)


@given(st.floats(-1, 2), st.floats(-1, 2), st.floats(-1, 2))
def test_scaling_puts_random_at_zero_and_pca_at_one(value: float, at_random: float, of_pca: float) -> None:
    result = scaled(value, at_random=at_random, of_pca=of_pca)
    if abs(of_pca - at_random) < 1e-6:
        assert np.isnan(result)
    else:
        assert at_random + result * (of_pca - at_random) == pytest.approx(value, abs=1e-6)
        assert scaled(at_random, at_random=at_random, of_pca=of_pca) == 0
        assert scaled(of_pca, at_random=at_random, of_pca=of_pca) == 1


def test_isolated_labels_and_f1() -> None:
    labels, batches = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 0, 1])
    assert agreement.isolated_labels(labels, batches).tolist() == [1, 2]
    assert agreement.isolated_labels(labels, np.zeros(5, int)).tolist() == []
    assert agreement.best_f1(labels, 1, [np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])]) == pytest.approx(0.8)


# --- resamples -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.integers(1, 200))
def test_a_sample_keeps_every_stratum_in_proportion(codes: list[int], most: int) -> None:
    strata = np.array(codes)
    rows = stratified(strata, most, np.random.default_rng(0))
    assert len(np.unique(rows)) == len(rows)
    assert (np.diff(rows) > 0).all()
    sizes, kept = np.bincount(strata, minlength=6), np.bincount(strata[rows], minlength=6)
    share = min(1, most / len(strata))
    assert (kept >= np.floor(sizes * share)).all()
    assert (kept <= np.ceil(sizes * share)).all()


def test_halves_hold_half_of_each_label_and_batch() -> None:
    cells = overlapping()
    halves = random_halves(cells, None, n_resamples=5, seed=0)
    strata = strata_of(cells.labels, cells.batches)
    sizes = np.bincount(strata)
    for rows in halves.rows:
        assert (np.abs(np.bincount(strata[rows], minlength=len(sizes)) - sizes / 2) <= 0.5).all()
    assert halves.scale == pytest.approx(1, abs=0.05)
    assert halves.unit == "halves of the cells, drawn within label and batch"


def test_donors_are_drawn_where_there_are_six() -> None:
    cells = overlapping()
    donors = np.arange(N_CELLS) % 8
    halves = random_halves(cells, donors, n_resamples=6, seed=0)
    assert halves.unit == "halves of 8 donors"
    for rows in halves.rows:
        inside = np.unique(donors[rows])
        assert len(inside) == 4
        assert len(rows) == np.isin(donors, inside).sum()
    few = random_halves(cells, donors % 5, n_resamples=2, seed=0)
    assert "only 5" in few.unit
    assert "cells" in few.unit


def test_intervals_of_a_mean_cover() -> None:
    """The scheme on the statistic whose answer is known: halves, and small parts of many cells."""
    for n_cells in (200, 20_000):
        covered, widths = [], []
        for seed in range(200):
            rng = np.random.default_rng(seed)
            drawn = rng.exponential(size=n_cells)
            cells = ScoredCells(np.zeros((n_cells, 1), np.float32), np.zeros(n_cells, dtype=np.int64))
            halves = random_halves(cells, None, n_resamples=20, seed=seed)
            means = np.array([drawn[rows].mean() for rows in halves.rows])
            low, high = interval(float(drawn.mean()), means, halves.scale)
            covered.append(low <= 1 <= high)
            widths.append(high - low)
        assert 0.90 <= np.mean(covered) <= 0.99, n_cells
        assert np.mean(widths) == pytest.approx(2 * 2.09 / np.sqrt(n_cells), rel=0.1)


def drawn_cells(seed: int) -> ScoredCells:
    """New cells of the same types and batches, in the same numbers: types overlap, and batches are shifted."""
    rng = np.random.default_rng(100 + seed)
    labels = np.repeat([0, 1, 2, 3], [100, 80, 50, 30])
    batches = np.where(labels == 3, 0, np.arange(260) % 2)
    centres = np.array([[0, 0, 0, 0, 0], [2.5, 0, 0, 0, 0], [0, 3, 0, 0, 0], [0, 0, 4, 0, 0]])
    shift = np.array([0, 0, 0, 0, 1.0]) * batches[:, None]
    points = centres[labels] + 0.8 * shift + rng.standard_normal((260, 5))
    return ScoredCells(points.astype(np.float32), labels, batches, (points + 0.6 * shift).astype(np.float32))


@pytest.mark.slow
def test_intervals_of_the_metrics_cover_what_other_cells_would_give() -> None:
    n_draws, n_resamples = 30, 12
    found, low, high, spread = [], [], [], []
    for seed in range(n_draws):
        cells = drawn_cells(seed)
        halves = random_halves(cells, None, n_resamples=n_resamples, seed=seed)
        value = np.array(list(values(cells).values()))
        again = np.array([list(values(cells.take(rows)).values()) for rows in halves.rows])
        ends = [interval(value[place], again[:, place], halves.scale) for place in range(len(value))]
        found.append(value)
        low.append([end[0] for end in ends])
        high.append([end[1] for end in ends])
        spread.append(again.std(axis=0, ddof=1) * halves.scale)
    expected = np.mean(found, axis=0)
    covered = ((np.array(low) <= expected) & (expected <= np.array(high))).mean(axis=0)
    ratio = np.mean(spread, axis=0) / np.std(found, axis=0, ddof=1)
    names = [metric.key for metric in metrics_of("published")]
    assert covered.mean() > 0.9, dict(zip(names, covered, strict=True))
    least = [0.6 if name in ("kbet", "graph_connectivity") else 0.85 for name in names]  # near 1, and in steps
    assert (covered > least).all(), dict(zip(names, covered, strict=True))
    assert ((ratio > 0.6) & (ratio < 1.7)).all(), dict(zip(names, ratio, strict=True))


def test_no_interval_without_values() -> None:
    assert np.isnan(interval(np.nan, np.ones(20), 1.0)).all()
    assert np.isnan(interval(0.5, np.array([1.0] * 4 + [np.nan] * 16), 1.0)).all()
    assert interval(0.5, np.full(20, 0.4), 1.0) == pytest.approx((0.5, 0.5))
