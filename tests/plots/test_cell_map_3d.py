"""The room holds every cell at its place, with the colours and the words of the flat map."""

import numpy as np
import pandas as pd
import pytest

from scfm_core.errors import RequestError
from scfm_core.plots.cell_map import MAX_DRAWN, cell_map
from scfm_core.plots.cell_map_3d import cell_map_3d, flat_views
from scfm_core.plots.colours import THEMES
from scfm_core.plots.figure import INK, Categories, Points
from scfm_core.plots.screen_3d import space_to_plotly
from tests.plots.example_figures import HOSTILE
from tests.plots.map_figures import gene, kinds, places, space


def test_every_cell_stands_at_its_place_in_the_colour_of_the_flat_map():
    room = space()
    where = np.concatenate([np.column_stack([c.points.x, c.points.y, c.z]) for c in room.clouds])
    cells = np.concatenate([cloud.points.cells for cloud in room.clouds])
    np.testing.assert_array_equal(where, places(3)[cells])
    assert sorted(cells) == list(range(240))
    flat = cell_map(places(), kinds())
    mine, theirs = (
        next(points.colour for points in some if isinstance(points.colour, Categories))
        for some in ([cloud.points for cloud in room.clouds], flat.panels[0].marks)
    )
    assert (mine.labels, mine.colours, mine.counts) == (theirs.labels, theirs.colours, theirs.counts)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("colour", [kinds(), gene()])
def test_plotly_draws_the_room_with_our_theme(theme, colour):
    room = cell_map_3d(places(3), colour, hover=pd.DataFrame({"cell": range(240)}), selected=places()[:, 0] > 0)
    chart = space_to_plotly(room, theme=theme)
    assert {trace.type for trace in chart.data} == {"scatter3d"}
    drawn = np.concatenate([trace.customdata for trace in chart.data])
    assert sorted(drawn) == list(range(240))
    assert chart.layout.template.layout.font.color == THEMES[theme].shade(INK)
    assert chart.layout.scene.aspectmode == "data"
    assert [chart.layout.scene[f"{letter}axis"].title.text for letter in "xyz"] == ["UMAP 1", "UMAP 2", "UMAP 3"]
    assert "sendChartToCloud" in chart.layout.modebar.remove
    assert all(trace.hovertext[0].startswith("cell: ") for trace in chart.data)


def test_at_most_a_hundred_thousand_cells_are_drawn_and_it_is_said():
    n_cells = 150_000
    room = cell_map_3d(places(3, n_cells), kinds(n_cells))
    assert sum(len(cloud.z) for cloud in room.clouds) <= MAX_DRAWN
    assert "150\u202f000 cells are drawn" in room.caption
    share = [len(cloud.z) for cloud in room.clouds]
    assert share[1] / share[0] == pytest.approx(3, rel=0.02)  # three of four have a type


def test_flat_views_show_the_same_cells_in_the_same_unit():
    room = space()
    figure = flat_views(room)
    assert [(panel.x.title[-1], panel.y.title[-1]) for panel in figure.panels] == [("1", "2"), ("1", "3"), ("3", "2")]
    spans = {round(axis.limits[1] - axis.limits[0], 9) for panel in figure.panels for axis in (panel.x, panel.y)}
    assert len(spans) == 1
    for panel, (across, up) in zip(figure.panels, ((0, 1), (0, 2), (2, 1)), strict=True):
        for mark in panel.marks:
            assert isinstance(mark, Points)
            np.testing.assert_array_equal(np.column_stack([mark.x, mark.y]), places(3)[mark.cells][:, [across, up]])
    assert "turn the room" not in figure.caption


def test_names_from_files_stay_text():
    labels = pd.Series([HOSTILE[place % 4] for place in range(240)], name="<i>type</i>")
    text = space_to_plotly(cell_map_3d(places(3), labels)).to_json().replace("\\u003c", "<")
    assert "<img" not in text
    assert "<b>bold" not in text


@pytest.mark.parametrize("n_cells", [0, 1])
def test_no_cell_and_one_cell_can_be_drawn(n_cells):
    room = cell_map_3d(places(3, n_cells), kinds(n_cells))
    drawn = [trace for trace in space_to_plotly(room).data if trace.x is not None and len(trace.x)]
    assert len(drawn) == n_cells
    assert len(flat_views(room).panels) == 3


def test_two_coordinates_are_refused():
    with pytest.raises(RequestError, match="three coordinates"):
        cell_map_3d(places(), kinds())
