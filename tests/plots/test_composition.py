"""Figures of what selected cells are made of show the numbers of their answers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.compose_cells import NO_GROUP
from scfm_core.errors import RequestError
from scfm_core.plots.composition import MOST_GROUPS, composition_bars
from scfm_core.plots.figure import Bars, Line, Points, Rule
from scfm_core.plots.value_spread import value_spread
from tests.plots.example_figures import composition, spread


def marks(figure, kind):
    return [mark for mark in figure.panels[0].marks if isinstance(mark, kind)]


def test_bars_are_the_shares_of_both_sides():
    found = composition()
    inside, outside = marks(composition_bars(found, "mine", "others", column="type"), Bars)
    np.testing.assert_allclose(inside.value, 100 * found.table["share_in"])
    np.testing.assert_allclose(outside.value, 100 * found.table["share_out"])
    assert np.isnan(inside.low).all()
    assert inside.label == f"mine (n = {found.table['n_in'].sum()})"


def test_lines_span_the_donors_and_dots_are_donors():
    found = composition("donor")
    figure = composition_bars(found, "mine", "others", column="type")
    inside, _ = marks(figure, Bars)
    ranges = found.range_over_donors()
    np.testing.assert_allclose(inside.low, 100 * np.minimum(ranges["low_in"], found.table["share_in"].to_numpy()))
    np.testing.assert_allclose(inside.high, 100 * np.maximum(ranges["high_in"], found.table["share_in"].to_numpy()))
    dots = marks(figure, Points)
    assert sum(len(mark.x) for mark in dots) == 2 * len(found.donors)
    np.testing.assert_allclose(np.sort(dots[0].x), np.sort(100 * found.donors["share_in"]))
    assert "2 with cells in the selection" in figure.caption


def test_many_groups_are_cut_and_counted():
    names = [f"g{number}" for number in range(40)]
    counts = np.arange(40)
    table = pd.DataFrame({"group": names, "n_in": counts, "n_out": 1})
    table = table.assign(share_in=counts / counts.sum(), share_out=1 / 40, share_of_group=counts / (counts + 1))
    figure = composition_bars(replace(composition(), table=table), "mine", "others", column="type")
    assert len(figure.panels[0].y.ticks) == MOST_GROUPS
    assert figure.panels[0].y.ticks[0][1] == "g15"
    assert "15 more in the table" in figure.caption
    assert figure.title.startswith("g39 makes up")


def test_title_where_no_cell_is_in_a_group():
    table = composition().table.iloc[:1].assign(group=NO_GROUP, n_in=5, share_in=1.0)
    title = composition_bars(replace(composition(), table=table), "the selection", "x", column="type").title
    assert title == "No cell of the selection is in a group (n = 5 cells)"
    with pytest.raises(RequestError, match="at least one group"):
        composition_bars(replace(composition(), table=table.iloc[:0]), "a", "b", column="type")


def test_outlines_are_shares_per_bin_and_rules_medians():
    found = spread()
    figure = value_spread(found, column="score")
    for line, counts in zip(marks(figure, Line), found.counts, strict=True):
        np.testing.assert_allclose(line.y[1:-1:2], 100 * counts / counts.sum())
        np.testing.assert_allclose(line.x[::2], found.edges)
    np.testing.assert_allclose([rule.at for rule in marks(figure, Rule)], found.table["median"])
    assert "4 cells without a value" in figure.caption


def test_values_of_no_selected_cell():
    found = spread()
    with pytest.raises(RequestError, match="No selected cell has a value in 'score'"):
        value_spread(replace(found, table=found.table.assign(n=[0, 5])), column="score")
