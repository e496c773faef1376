"""What the figures of compared embeddings show equals the tables, as per cent, beside chance."""

import numpy as np
import pytest

from scfm_core.analyses.neighbor_tables import kept_by_donor, kept_by_group, mixing_by_group, neighbor_composition
from scfm_core.errors import RequestError
from scfm_core.plots.figure import HeatMap, Intervals, Points, Rule
from scfm_core.plots.neighbor_change import neighbor_change
from scfm_core.plots.neighbor_overlap import MAX_ROWS, neighbor_mixing, overlap_by_group
from tests.plots.map_figures import NAMES, batches, comparison, kinds

ANSWER, LABELS, DONORS = comparison(), kinds().to_numpy(str), batches().to_numpy(str)


def marks(figure, kind):
    return [mark for mark in figure.panels[0].marks if isinstance(mark, kind)]


def test_means_ranges_and_chance_are_those_of_the_table():
    table = kept_by_group(ANSWER, LABELS)
    figure = overlap_by_group(table, **NAMES, n_neighbors=20)
    (interval,) = marks(figure, Intervals)
    np.testing.assert_allclose(interval.low, 100 * table["low"])
    np.testing.assert_allclose(interval.high, 100 * table["high"])
    within, mean = marks(figure, Points)
    np.testing.assert_allclose(mean.x, 100 * table["mean"])
    np.testing.assert_allclose(within.x, 100 * table["by_chance_within"])
    (rule,) = marks(figure, Rule)
    assert rule.at == pytest.approx(100 * 20 / 239)
    assert "PCA (baseline) and scFM mini" in figure.title
    assert "8.37\u00a0%" in figure.title
    assert "n = 180 cells" in figure.title


def test_donors_are_points_beside_the_mean():
    donors = kept_by_donor(ANSWER, LABELS, DONORS)
    figure = overlap_by_group(kept_by_group(ANSWER, LABELS), **NAMES, n_neighbors=20, donors=donors)
    (points,) = (mark for mark in marks(figure, Points) if mark.label == "mean of one donor")
    np.testing.assert_allclose(points.x, 100 * donors["mean"])
    assert len(points.x) == 9


def test_mixing_shows_both_embeddings_and_what_chance_gives():
    table = mixing_by_group(ANSWER, DONORS, within=LABELS)
    figure = neighbor_mixing(table, **NAMES, column="batch", within="cell type")
    chance_first, first, chance_second, second = marks(figure, Points)
    for points, side in ((first, "first"), (second, "second")):
        np.testing.assert_allclose(points.x, 100 * table.loc[table["embedding"] == side, "mean"])
    for points, side in ((chance_first, "first"), (chance_second, "second")):
        np.testing.assert_allclose(points.x, 100 * table.loc[table["embedding"] == side, "by_chance_within"])
    assert "among the neighbours of each cell type" in figure.caption


def test_change_of_neighbours_is_second_minus_first():
    table = neighbor_composition(ANSWER, LABELS)
    figure = neighbor_change(table, **NAMES, column="cell type")
    (heat,) = marks(figure, HeatMap)
    expected = 100 * table["change"].to_numpy().reshape(3, 4)
    np.testing.assert_allclose(heat.colour.values, expected)
    np.testing.assert_allclose(heat.colour.values.sum(axis=1), 0, atol=1e-9)
    assert heat.colour.limits[0] == -heat.colour.limits[1]
    assert figure.panels[0].x.ticks[-1][1] == "not assigned"
    assert "n = 60 of 180 cells" in figure.title


def test_a_few_cells_make_no_headline():
    table = neighbor_composition(ANSWER, LABELS)
    few = table["group"] == "NK"
    loud = table.assign(n_cells=np.where(few, 5, 60), change=np.where(few, 10.0, 1.0) * table["change"])
    assert "cells of NK" not in neighbor_change(loud, **NAMES, column="cell type").title


def test_many_groups_keep_the_largest_and_say_so():
    labels = np.array([f"g{number}" for number in np.arange(240) % 70])
    figure = overlap_by_group(kept_by_group(ANSWER, labels), **NAMES, n_neighbors=20)
    assert len(figure.panels[0].y.ticks) == MAX_ROWS
    assert "30 groups with fewest cells are not drawn" in figure.caption
    change = neighbor_change(neighbor_composition(ANSWER, labels), **NAMES, column="g")
    assert "40 groups with fewest cells are not drawn" in change.caption


def test_no_group_is_refused():
    nothing = np.full(240, "")
    with pytest.raises(RequestError, match="found none"):
        overlap_by_group(kept_by_group(ANSWER, nothing), **NAMES, n_neighbors=20)
    with pytest.raises(RequestError, match="found none"):
        neighbor_mixing(mixing_by_group(ANSWER, nothing), **NAMES, column="x")
    with pytest.raises(RequestError, match="found none"):
        neighbor_change(neighbor_composition(ANSWER, nothing), **NAMES, column="x")
