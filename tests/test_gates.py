"""Gates: exact ranges and quadrants, places that do not lie on each other, selections put together."""

import numpy as np
import pytest

from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.gates import AxisRange, GateAxis, combine, outlines_of, quadrants, range_gate
from scfm_core.plots.cell_map import polygon_selection


def axis(values, name="A", **options):
    return GateAxis(name=name, title=f"{name}, unit", values=np.asarray(values, dtype=float), **options)


EXPRESSED = AxisRange(0, None, above=True)


def test_ranges_are_exact_and_named_in_words():
    x, y = axis([0, 0.5, 2, np.nan]), axis([0, 0, 3, 1], "B")
    gate = range_gate(x, EXPRESSED, y, AxisRange(0, 0))
    assert (gate.label, gate.positions.tolist()) == ("A > 0 and B = 0", [1])
    gate = range_gate(x, AxisRange(0.5, 2), y, AxisRange())
    assert (gate.label, gate.positions.tolist()) == ("A from 0.5 to 2", [1, 2])
    assert range_gate(x, AxisRange(), y, AxisRange(None, 1)).label == "B at most 1"
    assert range_gate(x, AxisRange(1), y, AxisRange()).label == "A at least 1"
    every = range_gate(x, AxisRange(), y, AxisRange())
    assert (every.label, len(every)) == ("all cells", 4)
    assert range_gate(x, AxisRange(1000.5, 1e6), y, AxisRange()).label == "A from 1,000.5 to 1,000,000"


def test_a_range_the_wrong_way_round_is_refused():
    with pytest.raises(RequestError, match="3 to 1"):
        AxisRange(3, 1)


def test_quadrants_part_all_cells_that_have_both_values():
    x, y = axis([0, 1, 0, 1, np.nan, 2]), axis([0, 0, 1, 1, 1, 5], "B")
    found = quadrants(x, y, (0, 0))
    assert found.labels == ("A > 0 and B > 0", "A > 0 and B = 0", "A = 0 and B > 0", "A = 0 and B = 0")
    assert found.counts == (2, 1, 1, 1)
    assert found.codes.tolist() == [3, 1, 2, 0, -1, 0]
    assert found.cells(0).positions.tolist() == [3, 5]
    assert found.table["share"].tolist() == [0.4, 0.2, 0.2, 0.2]
    assert quadrants(axis([-1, 1]), y=axis([2, 3], "B"), at=(0, 2.5)).labels[3] == "A at most 0 and B at most 2.5"


def test_equal_values_are_spread_the_same_way_each_time():
    zeros = axis([0.0] * 500 + [1.3, 3.0])
    places = zeros.positions
    assert len(np.unique(places)) == 502
    assert np.abs(places[:500]).max() <= 0.03 * 3.0
    assert places[500:].tolist() == [1.3, 3.0]
    np.testing.assert_array_equal(places, axis([0.0] * 500 + [1.3, 3.0]).positions)
    assert not np.array_equal(places[:500], axis([0.0] * 500 + [1.3, 3.0], seed=1).positions[:500])


def test_whole_counts_are_spread_less_than_to_the_next():
    counts = axis(np.repeat([0, 1, 2, 40], 200))
    assert (np.rint(counts.positions) == counts.values).all()
    assert len(np.unique(counts.positions)) == 800
    log = axis(np.repeat([0, 1, 2, 40], 200), log=True)
    by_count = [log.positions[log.values == n] for n in (0, 1, 2, 40)]
    for lower, upper in zip(by_count[:-1], by_count[1:], strict=True):
        assert lower.max() < upper.min()


def test_values_below_zero_stand_nowhere_on_a_log_axis():
    log = axis([-1.0, 0.0, 0.1, 10.0, np.nan], log=True)
    assert np.isnan(log.positions).tolist() == [True, False, False, False, True]
    assert log.positions[2:4].tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[0, 0, 0, 1, 2, 7], [0.0, 0.0, 0.4, 1.5, 3.0], [5, 9, 200, 1000]])
@pytest.mark.parametrize("at", [0, 0.4, 2, 9])
def test_a_line_lies_between_the_places_that_it_parts(values, log, at):
    one = axis(np.repeat(values, 50), log=log)
    line = one.line_position(at)
    above = one.values > at
    assert (one.positions[above] > line).all()
    assert (one.positions[~above] <= line + 1e-12).all()


def test_a_box_around_the_spread_zeros_finds_exactly_them():
    x, y = axis([0.0] * 50 + [1.0, 2.0] * 25), axis([0, 3] * 50, "B", seed=1)
    places = np.column_stack([x.positions, y.positions])
    box = {"box": [{"x": [-1, x.line_position(0)], "y": [-1, y.line_position(0)]}]}
    np.testing.assert_array_equal(polygon_selection(places, box), (x.values == 0) & (y.values == 0))


def test_outlines_are_the_corners_of_lassos_and_boxes():
    drawing = {"lasso": [{"x": [0, 1, 0], "y": [0, 0, 1]}], "box": [{"x": [2, 1], "y": [0, 3]}]}
    lasso, box = outlines_of(drawing)
    assert lasso.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert box.tolist() == [[1, 0], [2, 0], [2, 3], [1, 3]]
    assert outlines_of({}) == ()


def test_selections_are_put_together_with_words_for_both():
    old, new = CellSet.from_positions("old", [0, 1], 4), CellSet.from_positions("new", [1, 2], 4)
    found = {how: combine(old, new, how) for how in ("new", "add", "keep", "take")}
    assert {how: one.positions.tolist() for how, one in found.items()} == {
        "new": [1, 2], "add": [0, 1, 2], "keep": [1], "take": [0],
    }  # fmt: skip
    assert [one.label for one in found.values()] == ["new", "old, or new", "old, and new", "old, but not new"]
    assert combine(None, new, "keep").label == "all cells, and new"
    assert combine(None, new, "add") == new
    assert combine(None, new, "take").positions.tolist() == [0, 3]
    assert len(combine(CellSet.from_positions("x" * 400, [0], 4), new, "add").label) <= 300
    with pytest.raises(RequestError, match="among 3 cells"):
        combine(CellSet.from_positions("old", [0], 3), new, "add")


def test_an_axis_without_values_is_no_trouble():
    for log in (False, True):
        empty = axis([np.nan, np.nan], log=log)
        assert np.isnan(empty.positions).all()
        assert quadrants(empty, empty, (0, 0)).counts == (0, 0, 0, 0)
