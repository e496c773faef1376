"""The numbers in a figure are the numbers of its result."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from scfm_core.errors import RequestError
from scfm_core.plots.figure import Points, Rule, Violin, distribution
from scfm_core.plots.print import to_svg
from scfm_core.plots.quality import quality_scatter, quality_violins
from scfm_core.plots.screen import to_plotly
from tests.plots.example_figures import (
    THRESHOLDS,
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
