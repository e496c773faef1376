"""Rooms on the screen: a `Space` drawn by plotly, for a light or a dark page."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from scfm_core.plots.colours import THEMES, Theme, ThemeName
from scfm_core.plots.figure import (
    FAINT,
    MUTED,
    Axis,
    Categories,
    Cloud,
    Continuous,
    Space,
    grouped_number,
    wrap_title,
)
from scfm_core.plots.screen import colour_axis, page_template, safe_text

_HEIGHT = 640  # pixels
_TITLE_LINE = 21
_SMALLER = 0.62  # WebGL draws a diameter larger than SVG does
_REMOVED = ("sendChartToCloud", "toImage", "tableRotation", "resetCameraLastSave3d")


def space_to_plotly(space: Space, *, theme: ThemeName = "light", width: float = 900.0) -> go.Figure:
    """Draw a room with plotly; show it with ``st.plotly_chart(..., theme=None)``, since it carries its own theme.

    Parameters
    ----------
    width
        About how many pixels wide the page shows it; it decides where the title is cut into lines.
    """
    shades = THEMES[theme]
    chart = go.Figure()
    for cloud in space.clouds:
        _cloud(chart, cloud, shades)
    lines = wrap_title(space.title, max(24, int((width - 140) / 8.8)))
    chart.update_layout(
        template=page_template(shades),
        title={"text": "<br>".join(safe_text(line) for line in lines), "pad": {"t": 6 + 8 * (len(lines) - 1), "l": 8}},
        height=_HEIGHT,
        margin={"l": 0, "r": 8, "t": 20 + _TITLE_LINE * len(lines), "b": 0},
        uirevision="scfm",
        modebar={"remove": list(_REMOVED), "bgcolor": "rgba(0,0,0,0)", "orientation": "h"},
        legend={"title": {"text": safe_text(space.legend_title)}, "x": 1.02, "xanchor": "left", "y": 1},
        scene={
            **{f"{letter}axis": _axis(axis, shades) for letter, axis in zip("xyz", space.axes, strict=True)},
            "aspectmode": "data",
            "bgcolor": "rgba(0,0,0,0)",
            "dragmode": "orbit",
            "camera": {"eye": {"x": 1.55, "y": 1.55, "z": 0.95}, "center": {"x": 0, "y": 0, "z": -0.14}},
        },
    )
    return chart


def _cloud(chart: go.Figure, cloud: Cloud, theme: Theme) -> None:
    points, colour = cloud.points, cloud.points.colour
    everything = np.arange(len(points.x))
    if isinstance(colour, Categories):
        members = [np.flatnonzero(colour.codes == place) for place in range(len(colour.labels))]
        drawn = [place for place, cells in enumerate(members) if len(cells)]
        for place in sorted(drawn, key=lambda place: -len(members[place])):
            text = f"{colour.labels[place]} (n = {grouped_number(colour.counts[place])})"
            shade = {"color": theme.shade(colour.colours[place])}
            chart.add_trace(_scatter(cloud, members[place], shade, text, rank=place + 1))
    elif isinstance(colour, Continuous):
        chart.update_layout(coloraxis=colour_axis(colour, theme))
        chart.update_layout(coloraxis={"colorbar": {"y": 0.0, "yanchor": "bottom"}})
        chart.add_trace(_scatter(cloud, everything, {"color": colour.values, "coloraxis": "coloraxis"}, ""))
    else:
        chart.add_trace(_scatter(cloud, everything, {"color": theme.shade(colour.colour)}, points.label))


def _scatter(cloud: Cloud, chosen: Any, shade: dict[str, Any], name: str, *, rank: int = 1000) -> go.Scatter3d:
    points = cloud.points
    known: dict[str, Any] = {"hoverinfo": "none"}
    if points.hover:
        known = {"hoverinfo": "text", "hovertext": [safe_text(points.hover[place]) for place in chosen]}
    if points.cells is not None:
        known["customdata"] = points.cells[chosen]
    size = points.size[chosen] if isinstance(points.size, np.ndarray) else points.size
    marker = {"size": _SMALLER * size, "opacity": points.opacity, "line": {"width": 0}, **shade}
    places = {"x": points.x[chosen], "y": points.y[chosen], "z": cloud.z[chosen]}
    entry = {"name": safe_text(name), "showlegend": bool(name), "legendrank": rank}
    return go.Scatter3d(**places, mode="markers", marker=marker, **known, **entry)


def _axis(axis: Axis, theme: Theme) -> dict[str, Any]:
    return {
        "title": {"text": safe_text(axis.title), "font": {"size": 13}},
        "range": list(axis.limits),
        "showticklabels": axis.ticks != (),
        "showbackground": False,
        "gridcolor": theme.shade(FAINT),
        "linecolor": theme.shade(MUTED),
        "zeroline": False,
        "showspikes": False,
    }
