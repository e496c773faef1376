"""The numbers in the figures of gates and gene sets are those that went in."""

import numpy as np
import pandas as pd
import pytest

from scfm_core.errors import RequestError
from scfm_core.gates import GateAxis, quadrants
from scfm_core.plots.figure import Note, Points, Rule
from scfm_core.plots.gate import gate_scatter
from scfm_core.plots.set_scores import set_score_violins
from tests.plots.set_figures import N_CELLS, gate_axes, kinds, set_figures

NO_DONORS = pd.DataFrame({"group": [], "donor": [], "n_cells": [], "mean": []})


def points(figure):
    return [mark for mark in figure.panels[0].marks if isinstance(mark, Points)]


def test_cells_of_a_gate_stand_at_their_places_and_those_without_a_value_are_counted():
    x, y, _ = gate_axes()
    figure = gate_scatter(x, y, kinds())
    drawn = np.concatenate([mark.cells for mark in points(figure)])
    assert sorted(drawn) == list(range(3, N_CELLS))
    for mark in points(figure):
        np.testing.assert_array_equal(mark.x, x.positions[mark.cells])
        np.testing.assert_array_equal(mark.y, y.positions[mark.cells])
    assert "not drawn: 3." in figure.caption
    assert "spread a little" in figure.caption
    assert f"n = {N_CELLS - 3} cells" in figure.title


def test_corners_hold_the_counts_of_the_quadrants():
    x, y, _ = gate_axes()
    found = quadrants(x, y, (0.0, 0.0))
    figure = gate_scatter(x, y, parted=((0.0, 0.0), found))
    notes = [mark for mark in figure.panels[0].marks if isinstance(mark, Note)]
    assert [f"n = {n})" in note.text for n, note in zip(found.counts, notes, strict=True)] == [True] * 4
    right = [note.x > figure.panels[0].x.limits[0] for note in notes]
    top = [note.y > figure.panels[0].y.limits[0] for note in notes]
    assert (right, top) == ([True, True, False, False], [True, False, True, False])
    rules = [mark for mark in figure.panels[0].marks if isinstance(mark, Rule)]
    above = x.values > 0
    assert x.positions[~above].max() < rules[0].at < x.positions[above].min()


def test_zeros_have_a_tick_of_their_own_on_a_log_axis():
    x, _, counts = gate_axes()
    ticks = gate_scatter(x, counts).panels[0].y.ticks
    assert ticks[0] == (counts.zero_position, "0")
    assert (1.0, "10") in ticks or (pytest.approx(np.log10(20)), "20") in ticks


def test_many_cells_are_drawn_by_a_sample():
    values = np.random.default_rng(0).random(150_000)
    axis = GateAxis(name="a", title="a, unit", values=values)
    figure = gate_scatter(axis, axis)
    assert sum(len(mark.x) for mark in points(figure)) <= 100_000
    assert "cells are drawn" in figure.caption


def test_axes_of_different_cells_are_refused():
    x, _, _ = gate_axes()
    with pytest.raises(RequestError, match="200 and 1"):
        gate_scatter(x, GateAxis(name="a", title="a", values=np.zeros(1)))


def test_donors_are_diamonds_at_their_means():
    figure = set_figures()["gene set by group"]
    diamonds = [mark for mark in points(figure) if mark.symbol == "diamond"]
    assert [mark.y.tolist() for mark in diamonds] == [[0.4, 0.2], [-0.1]]
    assert "A diamond is the mean over the cells of one donor" in figure.caption
    assert "left out: 0" not in figure.caption


def test_cells_without_a_score_are_counted():
    scores = np.full(N_CELLS, np.nan)
    scores[0] = 1.0
    figure = set_score_violins(scores, kinds(), NO_DONORS, name="x")
    assert "left out" in figure.caption
