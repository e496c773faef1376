"""Small multiples: each cell in its own panel, the same axes in all of them, and never too many points."""

import numpy as np
import pandas as pd
import pytest

from scfm_core.errors import RequestError
from scfm_core.plots.cell_map import MAX_DRAWN
from scfm_core.plots.cell_map_facets import MAX_PANELS, cell_map_facets
from scfm_core.plots.figure import Categories, Continuous, Points, Solid
from scfm_core.plots.screen import to_plotly
from tests.plots.map_figures import batches, gene, kinds, places


def points(panel, kind) -> list[Points]:
    return [mark for mark in panel.marks if isinstance(mark.colour, kind)]


def test_every_cell_stands_in_its_own_panel_and_faintly_in_the_others():
    split = batches()
    figure = cell_map_facets(places(), kinds(), split)
    assert [panel.title for panel in figure.panels] == [f"batch {n} (n = 80)" for n in range(3)]
    for number, panel in enumerate(figure.panels):
        (coloured,) = points(panel, Categories)
        unassigned = next(mark for mark in points(panel, Solid) if "not assigned" in mark.label)
        mine = sorted([*coloured.cells, *unassigned.cells])
        assert mine == np.flatnonzero(split == f"batch {number}").tolist()
        np.testing.assert_array_equal(np.column_stack([coloured.x, coloured.y]), places()[coloured.cells])
        (behind,) = (mark for mark in points(panel, Solid) if "other panels" in mark.label)
        assert sorted(behind.cells) == np.flatnonzero(split != f"batch {number}").tolist()


@pytest.mark.parametrize("colour", [kinds(), gene()])
def test_limits_sizes_and_colours_are_the_same_in_all_panels(colour):
    figure = cell_map_facets(places(), colour, batches(n_batches=5))
    for what in (lambda panel: panel.x.limits, lambda panel: panel.y.limits, lambda panel: panel.marks[0].size):
        assert len({what(panel) for panel in figure.panels}) == 1
    coloured = [points(panel, (Categories, Continuous))[0].colour for panel in figure.panels]
    if isinstance(coloured[0], Continuous):
        assert len({part.limits for part in coloured}) == 1
    else:
        assert len({(part.labels, part.colours, part.counts) for part in coloured}) == 1
    drawn = to_plotly(figure).layout
    assert len({tuple(drawn[f"xaxis{place}"].range) for place in ("", "2", "3", "4", "5")}) == 1


def test_at_most_twelve_panels_the_largest_and_the_others_are_named():
    numbers = np.repeat(np.arange(15), np.arange(15) + 1)
    split = pd.Series([f"donor {number}" for number in numbers], name="donor")
    figure = cell_map_facets(places(n_cells=120), kinds(120), split)
    assert len(figure.panels) == MAX_PANELS
    assert [panel.title.split(" (")[0] for panel in figure.panels] == [f"donor {number}" for number in range(3, 15)]
    assert "12 are drawn at most" in figure.caption
    assert "donor 0, donor 1, donor 2." in figure.caption
    coloured = [points(panel, Categories)[0].colour for panel in figure.panels]
    assert sum(coloured[0].counts) == (kinds(120)[numbers >= 3] != "").sum()


def test_a_selection_alone_is_coloured():
    selected = places()[:, 0] > 0
    figure = cell_map_facets(places(), kinds(), batches(), selected=selected)
    for number, panel in enumerate(figure.panels):
        (coloured,) = points(panel, Categories)
        assert selected[coloured.cells].all()
        mine = (batches() == f"batch {number}").to_numpy()
        assert panel.title.endswith(f"(n = {(mine & selected).sum()} of 80)")


def test_at_most_a_hundred_thousand_points_are_drawn_each_panel_by_its_share():
    n_cells = 300_000
    split = pd.Series(np.where(np.arange(n_cells) < 60_000, "small", "large"), name="batch")
    rare = kinds(n_cells)
    rare[:30] = "rare"
    figure = cell_map_facets(places(n_cells=n_cells), rare, split)
    assert sum(len(mark.x) for panel in figure.panels for mark in panel.marks) <= MAX_DRAWN
    large, small = (sum(len(mark.x) for mark in panel.marks if "other" not in mark.label) for panel in figure.panels)
    assert small / large == pytest.approx(0.25, rel=0.02)
    (coloured,) = points(figure.panels[1], Categories)
    assert (coloured.colour.codes == coloured.colour.labels.index("rare")).sum() == 30
    assert "300\u202f000 cells are drawn in colour" in figure.caption


def test_cells_in_no_group_or_place_are_said_and_a_column_without_values_refused():
    split = batches().where(np.arange(240) >= 9, "")
    where = places()
    where[20:24] = np.nan
    figure = cell_map_facets(where, kinds(), split)
    assert "Cells in no group: 9." in figure.caption
    assert "no vector: 4" in figure.caption
    with pytest.raises(RequestError, match="'empty'"):
        cell_map_facets(places(), kinds(), pd.Series([""] * 240, name="empty"))
    with pytest.raises(RequestError, match="7 in split"):
        cell_map_facets(places(), kinds(), batches(7))
