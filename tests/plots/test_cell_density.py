"""Rasters count every cell where it lies, and figures of crowds keep pixels, limits and colours."""

import json
import time

import numpy as np
import pandas as pd
import pytest

from scfm_core.errors import RequestError
from scfm_core.plots.cell_density import cell_density
from scfm_core.plots.cell_map import polygon_selection
from scfm_core.plots.colours import category_colours
from scfm_core.plots.figure import Categories, Continuous, Raster
from scfm_core.plots.print import to_svg
from scfm_core.plots.rasters import count_cells, count_groups, mean_values, pixel_grid
from scfm_core.plots.screen import to_plotly
from tests.plots.map_figures import gene, kinds, places

LIMITS = ((-20.0, 20.0), (-16.0, 16.0))


def raster(figure, panel: int = 0) -> Raster:
    (mark,) = figure.panels[panel].marks
    assert isinstance(mark, Raster)
    return mark


def test_counts_against_a_plain_histogram():
    points, grid = places(n_cells=5000), pixel_grid(LIMITS, 5000)
    found = count_cells(grid, points)
    edges = [np.linspace(*grid.y, grid.n_rows + 1), np.linspace(*grid.x, grid.n_columns + 1)]
    expected = np.histogram2d(points[:, 1], points[:, 0], bins=edges)[0]
    assert found.shape == (grid.n_rows, grid.n_columns)
    assert found.sum() == expected.sum() == 5000
    assert (found != expected).mean() < 1e-3  # a cell on the edge of a pixel may fall to either side


def test_groups_and_means_against_plain_sums():
    points, grid = places(n_cells=5000), pixel_grid(LIMITS, 300)
    codes = np.arange(5000) % 4 - 1
    values = np.where(codes == 2, np.nan, np.linspace(0, 1, 5000))
    groups = count_groups(grid, points, codes, 3)
    for code in range(3):
        np.testing.assert_array_equal(groups[:, :, code], count_cells(grid, points[codes == code]))
    column = np.floor((points[:, 0] - grid.x[0]) / grid.pixel).astype(int)
    row = np.floor((points[:, 1] - grid.y[0]) / grid.pixel).astype(int)
    table = pd.DataFrame({"row": row, "column": column, "value": values}).dropna()
    expected = table.groupby(["row", "column"])["value"].mean()
    means = mean_values(grid, points, values)
    assert np.isfinite(means).sum() == len(expected)
    for (at_row, at_column), mean in expected.items():
        assert means[at_row, at_column] == pytest.approx(mean)


def test_pixels_are_square_and_fewer_for_few_cells():
    few, many = pixel_grid(LIMITS, 500), pixel_grid(LIMITS, 10**6)
    assert few.n_columns < 60 < 400 == many.n_columns
    for grid in (few, many):
        assert (grid.y[1] - grid.y[0]) / grid.n_rows == pytest.approx(grid.pixel)
        assert grid.x[1] >= LIMITS[0][1] - 1e-9
        assert grid.y[1] >= LIMITS[1][1] - 1e-9


def test_every_cell_counts_and_the_scale_is_logarithmic_in_cells():
    mark = raster(cell_density(places(n_cells=3000)))
    assert mark.counts.sum() == 3000
    assert isinstance(mark.colour, Continuous)
    np.testing.assert_allclose(10 ** mark.colour.values[mark.counts > 0], mark.counts[mark.counts > 0])
    assert np.isnan(mark.colour.values[mark.counts == 0]).all()
    assert mark.colour.title == "Cells per pixel"
    assert all(10**place == pytest.approx(float(name)) for place, name in mark.colour.ticks)
    assert 10 ** mark.colour.limits[1] == pytest.approx(mark.counts.max())


def test_a_selection_stands_beside_all_cells_on_the_same_scale():
    selected = places()[:, 0] > 0
    figure = cell_density(places(), selected=selected)
    every, some = raster(figure), raster(figure, 1)
    assert (every.counts.sum(), some.counts.sum()) == (240, selected.sum())
    assert (some.counts <= every.counts).all()
    assert every.colour.limits == some.colour.limits
    for first, second in (("x", "x"), ("y", "y")):
        assert getattr(figure.panels[0], first).limits == getattr(figure.panels[1], second).limits
    assert f"The selection (n = {selected.sum()})" in figure.panels[1].title


def test_a_selection_of_types_has_one_legend_that_counts_all_cells():
    figure = cell_density(places(), kinds(), selected=(kinds() == "NK").to_numpy())
    every, some = raster(figure), raster(figure, 1)
    assert some.colour.labels == every.colour.labels
    assert some.colour.counts == every.colour.counts == (60, 60, 60)
    assert {some.colour.labels[code] for code in some.colour.codes[some.colour.codes >= 0]} == {"NK"}
    names = [trace.name for trace in to_plotly(figure).data if trace.showlegend]
    assert len(names) == 3


def test_a_pixel_has_the_colour_of_most_of_its_cells():
    points = np.array([[0.0, 0.0]] * 5 + [[5.0, 5.0]] * 3 + [[9.0, 9.0]])
    labels = pd.Series(["a", "a", "a", "b", "b", "b", "b", "a", ""], name="kind")
    mark = raster(cell_density(points, labels))
    assert isinstance(mark.colour, Categories)
    shown = {mark.colour.labels[code] for code in mark.colour.codes[mark.colour.codes >= 0]}
    assert shown == {"a", "b"}
    assert mark.colour.codes[mark.counts == 5].item() == 0
    assert mark.colour.codes[mark.counts == 1].item() == -1  # its only cell is not assigned
    assert mark.colour.counts == (4, 4)
    pixels = mark.shades(mark.colour.colours)
    blue = category_colours(["a"])["a"]
    assert tuple(pixels[mark.counts == 5][0, :3]) == tuple(int(blue[start : start + 2], 16) for start in (1, 3, 5))
    assert pixels[mark.counts == 5][0, 3] == 255 > pixels[mark.counts == 3][0, 3] > 0
    assert (pixels[mark.counts == 0] == 0).all()


def test_values_are_means_and_keep_the_scale_of_the_map():
    mark = raster(cell_density(places(), gene()))
    assert mark.colour.scale == "expression"
    assert mark.colour.title.startswith("Mean of LYZ")
    total = np.nansum(mark.colour.values * mark.counts)
    assert total == pytest.approx(gene().sum())


@pytest.mark.parametrize("colour", [None, kinds()])
def test_a_lasso_finds_points_that_nobody_sees(colour):
    chart = to_plotly(cell_density(places(), colour))
    unseen = [trace for trace in chart.data if trace.type == "scattergl"]
    assert len(unseen) == 1
    assert unseen[0].marker.opacity == 0
    assert len(unseen[0].x) == 3600
    everything = {"lasso": [{"x": [-50, 50, 50, -50], "y": [-50, -50, 50, 50]}]}
    assert polygon_selection(places(), everything).all()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_follows_the_theme_and_its_legend(theme):
    labels = pd.Series([f"kind {place % 40}" for place in range(240)], name="kind")  # some stand together as other
    chart = json.loads(to_plotly(cell_density(places(), labels), theme=theme).to_json())
    (picture,) = chart["layout"]["images"]
    assert picture["source"].startswith("data:image/png;base64,")
    named = [trace["name"] for trace in chart["data"] if trace.get("name")]
    assert any(name.startswith("other") for name in named)


@pytest.mark.parametrize("n_cells", [0, 1, 2])
@pytest.mark.parametrize("colour", [None, kinds, gene])
def test_no_cell_and_one_cell_can_be_drawn(n_cells, colour):
    figure = cell_density(places(n_cells=n_cells), None if colour is None else colour(n_cells))
    assert f"n = {n_cells}" in figure.title
    assert to_svg(figure).startswith(b"<?xml")
    assert to_plotly(figure).layout.title.text


def test_cells_without_a_place_are_counted_and_wrong_lengths_refused():
    points = places()
    points[:7] = np.nan
    figure = cell_density(points, kinds())
    assert "no vector: 7" in figure.caption
    assert raster(figure).counts.sum() == 233
    with pytest.raises(RequestError, match="10 in colour"):
        cell_density(places(), kinds(10))


def test_a_million_cells_are_drawn_within_two_seconds():
    points = np.random.default_rng(0).normal(size=(1_000_000, 2)).astype(np.float32)
    labels = pd.Series(pd.Categorical.from_codes(np.arange(1_000_000) % 20, [f"{n}" for n in range(20)]), name="type")
    cell_density(points[:10], labels[:10])  # compiles
    started = time.process_time()
    figure = cell_density(points, labels, selected=points[:, 0] > 0)
    assert time.process_time() - started < 2.0
    assert raster(figure).counts.sum() == 1_000_000
