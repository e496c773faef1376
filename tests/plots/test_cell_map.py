"""The map draws the cells it was given, and a lasso finds them again."""

import time

import numpy as np
import pandas as pd
import pytest

from scfm_core.errors import RequestError
from scfm_core.plots.cell_map import MAX_DRAWN, cell_map, polygon_selection, with_arrows
from scfm_core.plots.figure import Arrows, Categories, Continuous, Points, Solid
from scfm_core.plots.print import to_svg
from scfm_core.plots.screen import to_plotly
from tests.plots.example_figures import cell_types, coordinates


def points(figure, kind):
    return [mark for mark in figure.panels[0].marks if isinstance(mark, Points) and isinstance(mark.colour, kind)]


def test_every_cell_stands_at_its_place_in_its_colour():
    places, types = coordinates(), cell_types()
    (mark,) = points(cell_map(places, types), Categories)
    np.testing.assert_array_equal(np.column_stack([mark.x, mark.y]), places[mark.cells])
    assert [mark.colour.labels[code] for code in mark.colour.codes] == types.iloc[mark.cells].tolist()
    assert mark.colour.counts == (30, 30, 30)
    assert sorted(mark.cells) == list(range(90))


def test_values_are_drawn_as_they_are_large_ones_on_top():
    values = pd.Series(np.linspace(0, 4, 90)[::-1], name="LYZ, ln(1 + counts per 10,000)")
    (mark,) = points(cell_map(coordinates(), values), Continuous)
    np.testing.assert_array_equal(mark.colour.values, values.to_numpy()[mark.cells])
    assert (np.diff(mark.colour.values) >= 0).all()
    assert mark.colour.scale == "expression"
    assert mark.colour.limits[0] == 0


def test_signed_values_are_centred_at_zero():
    (mark,) = points(cell_map(coordinates(), pd.Series(np.linspace(-1, 3, 90), name="score")), Continuous)
    assert mark.colour.scale == "signed"
    assert mark.colour.limits[0] == -mark.colour.limits[1]


def test_unselected_cells_stay_grey_and_n_counts_the_selected():
    selected = np.arange(90) < 30
    figure = cell_map(coordinates(), cell_types(), selected=selected)
    (grey,), (coloured,) = points(figure, Solid), points(figure, Categories)
    assert sorted(grey.cells) == list(range(30, 90))
    assert "n = 60" in grey.label
    assert coloured.colour.counts == (10, 10, 10)
    assert "30 of 90" in figure.title


def test_cells_without_a_place_are_left_out_and_counted():
    places = coordinates()
    places[:7] = np.nan
    figure = cell_map(places, cell_types())
    assert "no vector: 7" in figure.caption
    assert not set(range(7)) & set(points(figure, Categories)[0].cells)


def test_missing_values_are_drawn_grey():
    types = cell_types().where(np.arange(90) >= 5)
    (grey,) = points(cell_map(coordinates(), types), Solid)
    assert sorted(grey.cells) == list(range(5))
    assert "not assigned" in grey.label


def test_at_most_a_hundred_thousand_cells_are_drawn_each_category_by_its_share():
    n_cells = 250_000
    random = np.random.default_rng(0)
    labels = np.where(np.arange(n_cells) < 40, "rare", np.where(random.random(n_cells) < 0.2, "fifth", "rest"))
    figure = cell_map(random.normal(size=(n_cells, 2)), pd.Series(labels))
    (mark,) = points(figure, Categories)
    assert len(mark.x) <= MAX_DRAWN
    drawn = pd.Series(labels[mark.cells]).value_counts()
    assert drawn["rare"] == 40
    assert drawn["fifth"] / len(mark.x) == pytest.approx(0.2, abs=0.005)
    assert sum(mark.colour.counts) == n_cells
    assert "250\u202f000 cells are drawn" in figure.caption
    again = points(cell_map(np.asarray(coordinates(n_cells)), pd.Series(labels)), Categories)[0]
    np.testing.assert_array_equal(mark.cells, again.cells)


@pytest.mark.parametrize("n_cells", [0, 1])
def test_no_cell_and_one_cell_can_be_drawn(n_cells):
    figure = cell_map(coordinates(n_cells), cell_types(n_cells))
    to_svg(figure)
    to_plotly(figure)


@pytest.mark.parametrize("colour", [cell_types(), pd.Series(np.full(90, np.nan), name="score (0 to 1)")])
def test_a_map_without_any_place_can_be_drawn(colour):
    figure = cell_map(np.full((90, 2), np.nan), colour)
    to_svg(figure)
    assert "no vector: 90" in figure.caption
    assert not any(len(trace.x) for trace in to_plotly(figure).data)


def test_parts_of_another_length_are_refused():
    with pytest.raises(RequestError, match="80 in colour"):
        cell_map(coordinates(), cell_types(80))


def test_few_arrows_are_drawn_as_they_are():
    start = coordinates(20)
    figure = with_arrows(cell_map(coordinates(), cell_types()), start, start + [1.0, 0.5])
    arrows = figure.panels[0].marks[-1]
    assert isinstance(arrows, Arrows)
    np.testing.assert_allclose(arrows.x1 - arrows.x0, 1.0)
    np.testing.assert_allclose(arrows.y1 - arrows.y0, 0.5)
    assert "true length" in figure.caption


def test_many_arrows_are_averaged_without_changing_their_mean():
    start = coordinates(5000)
    end = start + [0.7, -0.9] + np.random.default_rng(0).normal(0, 0.1, (5000, 2))
    figure = with_arrows(cell_map(start, cell_types(5000)), start, end)
    arrows = figure.panels[0].marks[-1]
    assert 10 < len(arrows.x0) <= 150
    assert np.mean(arrows.x1 - arrows.x0) == pytest.approx(0.7, abs=0.03)
    assert np.mean(arrows.y1 - arrows.y0) == pytest.approx(-0.9, abs=0.03)
    assert "mean over the cells" in figure.caption


def test_arrows_that_do_not_move_are_counted_not_drawn():
    start = coordinates(10)
    figure = with_arrows(cell_map(coordinates(), cell_types()), start, start)
    assert not any(isinstance(mark, Arrows) for mark in figure.panels[0].marks)
    assert "not drawn: 10" in figure.caption


# --- selection -------------------------------------------------------------------------------------------------------

STAR = {"x": [0.0, 1.2, -1.9, 1.9, -1.2], "y": [2.0, -1.7, 0.7, 0.7, -1.7]}  # crosses itself


@pytest.mark.parametrize("seed", range(6))
def test_a_lasso_agrees_with_an_independent_polygon_test(seed):
    from matplotlib.path import Path

    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, 40))
    radius = random.uniform(0.5, 4, 40)
    lasso = {"x": list(radius * np.cos(angle)), "y": list(radius * np.sin(angle))}
    places = coordinates(3000)
    expected = Path(np.column_stack([lasso["x"], lasso["y"]])).contains_points(places)
    np.testing.assert_array_equal(polygon_selection(places, {"lasso": [lasso], "box": []}), expected)


def test_a_lasso_that_crosses_itself_follows_the_even_odd_rule():
    places = coordinates(500)

    def inside(x, y):  # the textbook loop
        odd, corners = False, list(zip(STAR["x"], STAR["y"], strict=True))
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                odd = not odd
        return odd

    expected = [inside(x, y) for x, y in places]
    assert polygon_selection(places, {"lasso": [STAR]}).tolist() == expected


def test_boxes_and_lassos_are_united_and_nan_is_outside():
    places = np.array([[0.5, 0.5], [5.5, 5.5], [9.0, 9.0], [np.nan, 0.5]])
    event = {
        "box": [{"x": [1, 0], "y": [0, 1]}],
        "lasso": [{"x": [5, 6, 6, 5], "y": [5, 5, 6, 6]}],
        "points": [],
    }
    assert polygon_selection(places, event).tolist() == [True, True, False, False]


@pytest.mark.parametrize("event", [{}, {"lasso": [], "box": []}, {"lasso": [{"x": [], "y": []}]}, {"lasso": None}])
def test_no_polygon_selects_nothing(event):
    assert not polygon_selection(coordinates(), event).any()
    assert polygon_selection(np.zeros((0, 2)), event).shape == (0,)


def test_a_million_cells_are_searched_within_a_second():
    places = np.random.default_rng(0).normal(size=(1_000_000, 2)).astype(np.float32)
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    lasso = {"x": list(1.5 * np.cos(angle)), "y": list(1.5 * np.sin(angle))}
    started = time.process_time()
    found = polygon_selection(places, {"lasso": [lasso]})
    assert time.process_time() - started < 1.0
    assert found.mean() == pytest.approx(1 - np.exp(-(1.5**2) / 2), abs=0.005)
