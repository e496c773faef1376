"""The numbers in a figure are the numbers of its result."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde

from scfm_core.errors import RequestError
from scfm_core.plots.figure import HeatMap, Note, Points, Rule, Violin, distribution
from scfm_core.plots.markers import dot_plot, heat_map, marker_violins, volcano
from scfm_core.plots.print import to_svg
from scfm_core.plots.quality import quality_scatter, quality_violins
from scfm_core.plots.screen import to_plotly
from tests.plots.example_figures import (
    THRESHOLDS,
    cell_types,
    expression,
    marker_table,
    quality_table,
)

SYMBOLS = ("CD3D", "NKG7", "LYZ")


def marks(figure, kind, *, panel=0):
    return [mark for mark in figure.panels[panel].marks if isinstance(mark, kind)]


def test_a_violin_is_a_density():
    values = np.random.default_rng(0).normal(size=500)
    violin = distribution(values, at=2, colour="#000000")
    assert isinstance(violin, Violin)
    expected = gaussian_kde(values)(violin.levels)
    np.testing.assert_allclose(violin.half_width / violin.half_width.max(), expected / expected.max(), rtol=1e-6)
    assert violin.quartiles == pytest.approx(np.percentile(values, [25, 50, 75]))


def test_a_violin_of_many_values_is_the_same_density():
    values = np.random.default_rng(0).gamma(2.0, size=5000)
    violin = distribution(values, at=0, colour="#000000")
    expected = gaussian_kde(values)(violin.levels)
    np.testing.assert_allclose(violin.half_width / violin.half_width.max(), expected / expected.max(), atol=0.01)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [3.0] * 50, [np.nan, 1.0, np.inf]])
def test_no_density_is_invented_from_too_little(values):
    mark = distribution(values, at=0, colour="#000000")
    assert isinstance(mark, Points)
    assert sorted(mark.y) == sorted({value for value in values if np.isfinite(value)})


def test_quality_scatter_shows_every_cell_and_the_finite_thresholds():
    table = quality_table()
    figure = quality_scatter(table, THRESHOLDS)
    (mark,) = marks(figure, Points)
    np.testing.assert_array_equal(mark.x, table["total_counts"].to_numpy()[mark.cells])
    np.testing.assert_array_equal(mark.y, table["n_genes"].to_numpy()[mark.cells])
    np.testing.assert_allclose(mark.colour.values, 100 * table["mitochondrial_share"].to_numpy()[mark.cells])
    assert {(rule.axis, rule.at) for rule in marks(figure, Rule)} == {("x", 1500.0), ("y", 400.0), ("y", 4000.0)}


def test_quality_scatter_leaves_empty_cells_out_and_says_so():
    table = quality_table()
    table.iloc[:3, table.columns.get_indexer(["total_counts", "n_genes"])] = 0
    assert "not drawn: 3" in quality_scatter(table, THRESHOLDS).caption


def test_quality_violins_have_n_and_thresholds_in_per_cent():
    figure = quality_violins(quality_table(), "mitochondrial_share", THRESHOLDS)
    assert [name for _, name in figure.panels[0].x.ticks] == ["donor 2\n(n = 45)", "donor 10\n(n = 45)"]
    (rule,) = marks(figure, Rule)
    assert rule.at == pytest.approx(8.0)
    assert figure.panels[0].y.title.endswith("(%)")


def test_quality_without_values_is_drawn_empty():
    table = quality_table().assign(doublet_score=np.nan)
    figure = quality_violins(table, "doublet_score", THRESHOLDS)
    to_svg(figure)
    to_plotly(figure)
    assert "left out: 90" in figure.caption
    with pytest.raises(RequestError):
        quality_violins(table, "colour", THRESHOLDS)


def test_dot_plot_shows_shares_and_means():
    values, types = expression(), cell_types()
    (mark,) = marks(dot_plot(values, SYMBOLS, types), Points)
    table = pd.DataFrame(values, columns=SYMBOLS).groupby(types.to_numpy())
    means = table.mean().to_numpy().ravel()
    shares = table.agg(lambda column: (column > 0).mean()).to_numpy().ravel()
    np.testing.assert_allclose(mark.colour.values, means, rtol=1e-5)
    np.testing.assert_allclose((mark.size / max(mark.size_key.sizes)) ** 2, shares, rtol=1e-6)


def test_cells_without_a_group_count_nowhere():
    types = cell_types().where(np.arange(90) >= 30, "")
    (mark,) = marks(dot_plot(expression(), SYMBOLS, types), Points)
    expected = pd.DataFrame(expression()[30:]).groupby(types[30:].to_numpy()).mean().to_numpy().ravel()
    np.testing.assert_allclose(mark.colour.values, expected, rtol=1e-5)


def test_heat_map_of_means_and_of_scores():
    values, types = expression(), cell_types()
    means = pd.DataFrame(values).groupby(types.to_numpy()).mean().to_numpy()
    (plain,) = marks(heat_map(values, SYMBOLS, types, standardise=False), HeatMap)
    np.testing.assert_allclose(plain.colour.values, means, rtol=1e-5)
    (scores,) = marks(heat_map(values, SYMBOLS, types), HeatMap)
    np.testing.assert_allclose(scores.colour.values, (means - means.mean(0)) / means.std(0), rtol=1e-3, atol=1e-4)
    assert scores.colour.limits[0] == -scores.colour.limits[1]


def test_heat_map_of_cells_keeps_small_groups_whole():
    n_cells = 5000
    groups = np.where(np.arange(n_cells) < 20, "rare", "common")
    values = np.random.default_rng(0).random((n_cells, 3))
    figure = heat_map(values, SYMBOLS, groups, rows="cells", standardise=False)
    (mark,) = marks(figure, HeatMap)
    assert mark.colour.values.shape == (3, 1020)
    np.testing.assert_array_equal(mark.colour.values[:, -20:], values[:20].T)
    assert "1\u202f020 of 5\u202f000 cells drawn" in figure.caption


def test_marker_violins_have_a_row_per_gene_and_a_violin_per_group():
    figure = marker_violins(expression(), SYMBOLS, cell_types())
    assert len(figure.panels) == 3
    assert [len(marks(figure, (Violin, Points), panel=place)) for place in range(3)] == [3, 3, 3]
    assert figure.panels[2].x.ticks[0][1] == "B (n = 30)"


@pytest.mark.parametrize("wrong", [expression()[:5], expression()[:, :2]])
def test_markers_of_another_shape_are_refused(wrong):
    with pytest.raises(RequestError, match="one row per cell"):
        dot_plot(wrong, SYMBOLS, cell_types())


def test_volcano_colours_what_passes_both_thresholds():
    table = marker_table()
    figure = volcano(table, "B", max_p_adjusted=0.01, min_log2_fold_change=1.5)
    (mark,) = marks(figure, Points)
    passed = (table["p_adjusted"] <= 0.01) & (table["log2_fold_change"].abs() >= 1.5)
    up = passed & (table["log2_fold_change"] > 0)
    assert mark.colour.counts == (up.sum(), (passed & ~up).sum(), (~passed).sum() - 1)  # one has no p
    assert f"{up.sum()} genes higher" in figure.title
    assert np.isfinite(mark.y).all()
    assert "still smaller p" in figure.caption
    assert 0 < len(marks(figure, Note)) <= 12
    with pytest.raises(RequestError, match="no group 'T'"):
        volcano(table, "T")


def test_volcano_names_do_not_cover_each_other():
    table = marker_table().assign(log2_fold_change=3.0, p_adjusted=1e-9)
    assert len(marks(volcano(table, "B"), Note)) <= 4  # all at one place: at most one name on each side
