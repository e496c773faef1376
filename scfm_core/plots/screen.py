"""Figures on the screen: a `Figure` drawn by plotly, for a light or a dark page."""

import base64
import html
import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from scfm_core.plots.colours import THEMES, Theme, ThemeName, scale_colours
from scfm_core.plots.figure import (
    FAINT,
    INK,
    MUTED,
    THIN_SPACE,
    Arrows,
    Axis,
    Bars,
    Beside,
    Categories,
    Continuous,
    Figure,
    HeatMap,
    Histogram,
    Intervals,
    Line,
    Note,
    Panel,
    Points,
    Raster,
    Ribbons,
    Rule,
    Segments,
    SizeKey,
    Violin,
    grouped_number,
    plain_number,
    wrap_title,
)

MOST_SVG_POINTS = 3000
NARROW_BELOW = 600
PIXELS_PER_MM = 5.2
FONT = "Source Sans, Source Sans Pro, Arial, DejaVu Sans, sans-serif"
_TITLE_LINE = 21
_SHORT_LABEL = 28  # characters that half a narrow figure holds
_LETTER = 6.7  # pixels, the mean width of a letter beside the data
_BAR_BELOW = 64  # pixels that a colour bar under the figure takes
_SHARP_FROM = 1200  # pixels along the longer side of a picture whose edges look sharp
_GRID = 60  # points along each side of a picture that tell of a lasso
_SYMBOLS = {"circle": "circle", "diamond": "diamond", "square": "square", "triangle": "triangle-up", "cross": "x"}
# "Share chart" would send the data to a company's server
_REMOVED = (
    "sendChartToCloud",
    "autoScale2d",
    "zoomIn2d",
    "zoomOut2d",
    "toImage",
    "hoverClosestCartesian",
    "hoverCompareCartesian",
)


def to_plotly(figure: Figure, *, theme: ThemeName = "light", width: float = 900.0) -> go.Figure:
    """Draw a figure with plotly; show it with ``st.plotly_chart(..., theme=None)``, since it carries its own theme.

    The background is transparent. Points that carry their cell have its position in the dataset as ``customdata``.
    Up to 3,000 points are drawn as SVG, more with WebGL.

    Parameters
    ----------
    width
        About how many pixels wide the page shows it. It decides where the title is cut into lines; below 600 the
        legend stands under the figure.
    """
    rows = -(-len(figure.panels) // figure.columns)
    height = _height(figure, width)
    chart = make_subplots(
        rows=rows,
        cols=figure.columns,
        subplot_titles=[safe_text(panel.title) for panel in figure.panels],
        vertical_spacing=min(_between(figure) / height, 0.9 / max(rows - 1, 1)),
        horizontal_spacing=0.1,
    )
    drawing = _Drawing(chart=chart, theme=THEMES[theme], webgl=_n_points(figure) > MOST_SVG_POINTS)
    for place, panel in enumerate(figure.panels):
        drawing.start_panel(place, figure.columns)
        _axes(drawing, panel)
        for mark in panel.marks:
            _DRAW[type(mark)](drawing, mark)
    narrow = replace(figure, legend="below") if width < NARROW_BELOW else figure
    _layout(drawing, narrow, height, wrap_title(figure.title, max(24, int((width - 140) / 8.8))))
    return chart


def _between(figure: Figure) -> float:
    """Return the pixels between two rows of panels: more where the upper ones name their axis."""
    upper = figure.panels[: -figure.columns]
    return 66.0 if any(panel.x.title and panel.x.visible for panel in upper) else 22.0


def safe_text(text: str) -> str:
    r"""Return plain text as plotly shows it: no HTML, no TeX, line ends kept.

    Examples
    --------
    >>> safe_text("<b>T$1$\nn = 3")
    '&lt;b&gt;T&#36;1&#36;<br>n = 3'
    """
    return html.escape(text, quote=False).replace("$", "&#36;").replace("\n", "<br>")


@dataclass
class _Drawing:
    """A plotly figure being drawn, and where in it."""

    chart: go.Figure
    theme: Theme
    webgl: bool
    place: int = 0
    row: int = 1
    column: int = 1
    named: set[str] = field(default_factory=set)  # entries that stand in the legend already
    size_keys: set[str] = field(default_factory=set)
    scales: dict[str, str] = field(default_factory=dict)  # title of a colour scale -> its coloraxis
    right: float = 8.0  # pixels that words beside the panel take

    def start_panel(self, place: int, columns: int) -> None:
        self.place, self.row, self.column = place, place // columns + 1, place % columns + 1

    @property
    def suffix(self) -> str:
        return "" if self.place == 0 else str(self.place + 1)

    def add(self, trace: Any) -> None:
        self.chart.add_trace(trace, row=self.row, col=self.column)

    def shade(self, colour: str) -> str:
        return self.theme.shade(colour)

    def entry(self, label: str, *, rank: int = 1000) -> dict[str, Any]:
        """Return what puts a trace into the legend, once per label."""
        if not label:
            return {"showlegend": False}
        fresh = label not in self.named
        self.named.add(label)
        return {"name": safe_text(label), "legendgroup": safe_text(label), "showlegend": fresh, "legendrank": rank}

    def scale(self, colour: Continuous) -> str:
        """Return the name of the colour axis, set up on first use."""
        if colour.title not in self.scales:
            name = f"coloraxis{len(self.scales) + 1}" if self.scales else "coloraxis"
            self.scales[colour.title] = name
            axis = colour_axis(colour, self.theme)
            self.chart.update_layout({name: axis})
        return self.scales[colour.title]


def colour_axis(colour: Continuous, theme: Theme) -> dict[str, Any]:
    """Return a colour scale with its bar, as plotly takes it."""
    shades = scale_colours(colour.scale, theme.name)
    bar: dict[str, Any] = {
        "title": {"text": safe_text("\n".join(textwrap.wrap(colour.title, 24))), "side": "top"},
        "thickness": 12,
        "outlinewidth": 0,
        "lenmode": "pixels",
        "len": 190,
        "x": 1.02,
        "xanchor": "left",
        "tickfont": {"size": 12},
        "nticks": 5,
        "exponentformat": "e",
    }
    if colour.ticks is not None:
        names = [safe_text(name) for _, name in colour.ticks]
        bar |= {"tickmode": "array", "tickvals": [place for place, _ in colour.ticks], "ticktext": names}
    return {
        "cmin": colour.limits[0],
        "cmax": colour.limits[1],
        "colorscale": [[place / (len(shades) - 1), shade] for place, shade in enumerate(shades)],
        "colorbar": bar,
    }


def _n_points(figure: Figure) -> int:
    return sum(len(mark.x) for panel in figure.panels for mark in panel.marks if isinstance(mark, Points))


# --- marks -----------------------------------------------------------------------------------------------------------


def _points(drawing: _Drawing, mark: Points) -> None:
    if isinstance(mark.colour, Categories):
        _categories(drawing, mark, mark.colour)
        return
    everything = np.arange(len(mark.x))
    marker = _marker(mark, everything)
    if mark.outline:
        marker["line"] = {"width": 1.2, "color": drawing.shade(mark.outline)}
    if isinstance(mark.colour, Continuous):
        marker |= {"color": mark.colour.values, "coloraxis": drawing.scale(mark.colour)}
    else:
        marker["color"] = drawing.shade(mark.colour.colour)
    _scatter(drawing, mark, everything, marker, drawing.entry(mark.label))
    if mark.size_key is not None:
        _size_key(drawing, mark.size_key)


def _categories(drawing: _Drawing, mark: Points, colour: Categories) -> None:
    members = [np.flatnonzero(colour.codes == place) for place in range(len(colour.labels))]
    drawn = [place for place, cells in enumerate(members) if len(cells)]  # an empty trace would hide its legend entry
    for place in sorted(drawn, key=lambda place: -len(members[place])):  # small groups on top
        text = f"{colour.labels[place]} (n = {grouped_number(colour.counts[place])})"
        marker = _marker(mark, members[place]) | {"color": drawing.shade(colour.colours[place])}
        _scatter(drawing, mark, members[place], marker, drawing.entry(text, rank=place + 1))


def _marker(mark: Points, chosen: Any) -> dict[str, Any]:
    size = mark.size[chosen] if isinstance(mark.size, np.ndarray) else mark.size
    return {"size": size, "opacity": mark.opacity, "symbol": _SYMBOLS[mark.symbol], "line": {"width": 0}}


def _scatter(drawing: _Drawing, mark: Points, chosen: Any, marker: dict[str, Any], entry: dict[str, Any]) -> None:
    kind = go.Scattergl if drawing.webgl else go.Scatter
    known: dict[str, Any] = {"hoverinfo": "none"}
    if mark.hover:
        known = {"hoverinfo": "text", "hovertext": [safe_text(mark.hover[place]) for place in chosen]}
    if mark.cells is not None:
        known["customdata"] = mark.cells[chosen]
        known["unselected"] = {"marker": {"opacity": 0.25 * mark.opacity}}
    drawing.add(kind(x=mark.x[chosen], y=mark.y[chosen], mode="markers", marker=marker, **known, **entry))


def _size_key(drawing: _Drawing, key: SizeKey, *, lines: bool = False) -> None:
    if key.title in drawing.size_keys:
        return
    drawing.size_keys.add(key.title)
    colour = drawing.shade(MUTED)
    for size, label in zip(key.sizes, key.labels, strict=True):
        sign: dict[str, Any] = {"mode": "markers", "marker": {"size": size, "color": colour, "line": {"width": 0}}}
        if lines:
            sign = {"mode": "lines", "line": {"width": size, "color": colour}}
        group = {"legendgroup": safe_text(key.title), "legendgrouptitle": {"text": safe_text(key.title)}}
        drawing.add(
            go.Scatter(x=[None], y=[None], **sign, name=safe_text(label), legend="legend2", hoverinfo="skip", **group)
        )
    drawing.chart.update_layout(legend2={"itemsizing": "trace", "groupclick": "togglegroup"})


def _bars(drawing: _Drawing, mark: Bars) -> None:
    horizontal = mark.orientation == "horizontal"
    along, across = ("x", "y") if horizontal else ("y", "x")
    interval = _spread(drawing, mark.value, mark.low, mark.high, colour=INK)
    values = {along: mark.value, across: mark.at, f"error_{along}": interval}
    colours = [drawing.shade(colour) for colour in mark.colours]
    drawing.add(
        go.Bar(
            **values,
            orientation="h" if horizontal else "v",
            width=mark.thickness,
            marker={"color": colours, "line": {"width": 0}},
            **_hover(mark.hover),
            **drawing.entry(mark.label),
        )
    )


def _intervals(drawing: _Drawing, mark: Intervals) -> None:
    horizontal = mark.orientation == "horizontal"
    along, across = ("x", "y") if horizontal else ("y", "x")
    spread = _spread(drawing, mark.value, mark.low, mark.high, colour=mark.colour) | {"thickness": 5, "width": 0}
    symbol = "line-ns" if horizontal else "line-ew"
    drawing.add(
        go.Scatter(
            **{along: mark.value, across: mark.at, f"error_{along}": spread},
            mode="markers",
            marker={
                "symbol": symbol,
                "size": 7,
                "color": drawing.shade(INK),
                "line": {"width": 2, "color": drawing.shade(INK)},
            },
            **_hover(mark.hover),
            showlegend=False,
        )
    )
    line = {"color": drawing.shade(mark.colour), "width": 5}
    drawing.add(go.Scatter(x=[None], y=[None], mode="lines", line=line, hoverinfo="skip", **drawing.entry(mark.label)))


def _spread(drawing: _Drawing, value: Any, low: Any, high: Any, *, colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": np.asarray(high) - np.asarray(value),
        "arrayminus": np.asarray(value) - np.asarray(low),
        "color": drawing.shade(colour),
        "thickness": 1.4,
        "width": 3,
    }


def _violin(drawing: _Drawing, mark: Violin) -> None:
    colour = drawing.shade(mark.colour)
    x = np.concatenate([mark.at - mark.half_width, (mark.at + mark.half_width)[::-1]])
    y = np.concatenate([mark.levels, mark.levels[::-1]])
    shape = {"mode": "lines", "line": {"width": 1, "color": colour}, "fill": "toself", "fillcolor": _faded(colour)}
    drawing.add(go.Scatter(x=x, y=y, **shape, hoverinfo="skip", **drawing.entry(mark.label)))
    low, middle, high = mark.quartiles
    words = f"median {plain_number(middle)}\nmiddle half {plain_number(low)} to {plain_number(high)}"
    ink: dict[str, Any] = {"color": drawing.shade(INK)}
    middle_half = {"mode": "lines", "line": ink | {"width": 4}, "hoverinfo": "skip", "showlegend": False}
    drawing.add(go.Scatter(x=[mark.at, mark.at], y=[low, high], **middle_half))
    dot = {"color": drawing.theme.background, "size": 7, "line": ink | {"width": 1.5}}
    drawing.add(go.Scatter(x=[mark.at], y=[middle], mode="markers", marker=dot, showlegend=False, **_hover((words,))))


def _heat_map(drawing: _Drawing, mark: HeatMap) -> None:
    known: dict[str, Any] = {"hoverinfo": "none"}
    if mark.hover:
        known = {"hoverinfo": "text", "text": [[safe_text(text) for text in row] for row in mark.hover]}
    n_rows, n_columns = mark.colour.values.shape
    drawing.add(
        go.Heatmap(
            z=mark.colour.values,
            x=np.arange(n_columns),
            y=np.arange(n_rows),
            coloraxis=drawing.scale(mark.colour),
            **known,
        )
    )


def _raster(drawing: _Drawing, mark: Raster) -> None:
    (x0, x1), (y0, y1) = mark.x, mark.y
    n_rows, n_columns = mark.counts.shape
    dx, dy = (x1 - x0) / n_columns, (y1 - y0) / n_rows
    place = {"x0": x0 + dx / 2, "dx": dx, "y0": y0 + dy / 2, "dy": dy}
    words = "%{customdata:,} cells in this pixel"
    known: dict[str, Any] = {"customdata": _small(mark.counts), "hoverongaps": False, "zsmooth": False}
    if isinstance(mark.colour, Continuous):
        own = "" if mark.colour.ticks is not None else f"<br>{safe_text(mark.colour.title)}: %{{z:.3g}}"
        known |= {"coloraxis": drawing.scale(mark.colour), "hovertemplate": words + own + "<extra></extra>"}
        drawing.add(go.Heatmap(z=mark.colour.values.astype(np.float32), **place, **known))
    else:
        _picture(drawing, mark, mark.colour)
        clear = {"colorscale": [[0, "rgba(0,0,0,0)"], [1, "rgba(0,0,0,0)"]], "showscale": False}
        z = np.where(mark.colour.codes >= 0, 1.0, np.nan).astype(np.float32)
        drawing.add(go.Heatmap(z=z, **place, **known, **clear, hovertemplate=words + "<extra></extra>"))
    _lasso_grid(drawing, mark)


def _small(counts: Any) -> Any:
    """Return counts in as few bytes as hold them; plotly takes at most four."""
    return counts.astype(np.uint16 if counts.max(initial=0) < 2**16 else np.uint32)


def _picture(drawing: _Drawing, mark: Raster, colour: Categories) -> None:
    pixels = mark.shades([drawing.shade(shade) for shade in colour.colours])[::-1]
    larger = max(2, -(-_SHARP_FROM // max(pixels.shape[:2])))
    large = pixels.repeat(larger, axis=0).repeat(larger, axis=1)  # a browser would blur the edges of pixels
    (x0, x1), (y0, y1) = mark.x, mark.y
    drawing.chart.add_layout_image(
        source=_png(large),
        xref=f"x{drawing.suffix}",
        yref=f"y{drawing.suffix}",
        x=x0,
        y=y1,
        sizex=x1 - x0,
        sizey=y1 - y0,
        sizing="stretch",
        layer="below",
    )
    for place, (label, shade, n) in enumerate(zip(colour.labels, colour.colours, colour.counts, strict=True)):
        entry = drawing.entry(f"{label} (n = {grouped_number(n)})", rank=place + 1)
        sign = {"mode": "markers", "marker": {"size": 9, "color": drawing.shade(shade)}, "hoverinfo": "skip"}
        drawing.add(go.Scatter(x=[None], y=[None], **sign, **entry))


def _png(pixels: Any) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def _lasso_grid(drawing: _Drawing, mark: Raster) -> None:
    """Lay points that nobody sees over a picture: without points under it a lasso tells nothing."""
    x, y = np.meshgrid(np.linspace(*mark.x, _GRID), np.linspace(*mark.y, _GRID))
    unseen: dict[str, Any] = {"marker": {"opacity": 0}}
    looks = {"mode": "markers", "hoverinfo": "skip", "showlegend": False, "selected": unseen, "unselected": unseen}
    drawing.add(go.Scattergl(x=x.ravel(), y=y.ravel(), marker={"opacity": 0, "size": 1}, **looks))


def _histogram(drawing: _Drawing, mark: Histogram) -> None:
    centres, widths = (mark.edges[:-1] + mark.edges[1:]) / 2, np.diff(mark.edges)
    words = tuple(
        f"{plain_number(low)} to {plain_number(high)}\nn = {grouped_number(n)}"
        for low, high, n in zip(mark.edges[:-1], mark.edges[1:], mark.counts, strict=True)
    )
    marker = {"color": drawing.shade(mark.colour), "line": {"width": 1, "color": drawing.theme.background}}
    drawing.add(
        go.Bar(x=centres, y=mark.counts, width=widths, marker=marker, **_hover(words), **drawing.entry(mark.label))
    )


def _line(drawing: _Drawing, mark: Line) -> None:
    line = {"color": drawing.shade(mark.colour), "width": mark.width, "dash": mark.dash}
    drawing.add(go.Scatter(x=mark.x, y=mark.y, mode="lines", line=line, hoverinfo="skip", **drawing.entry(mark.label)))


def _rule(drawing: _Drawing, mark: Rule) -> None:
    x, y = f"x{drawing.suffix}", f"y{drawing.suffix}"
    line = {"color": drawing.shade(mark.colour), "width": 1.3, "dash": mark.dash}
    upright = mark.axis == "x"
    ends = (
        {"x0": mark.at, "x1": mark.at, "y0": 0, "y1": 1, "xref": x, "yref": f"{y} domain"}
        if upright
        else {"x0": 0, "x1": 1, "y0": mark.at, "y1": mark.at, "xref": f"{x} domain", "yref": y}
    )
    drawing.chart.add_shape(type="line", line=line, **ends)
    if mark.text:
        at = _annotated(drawing, mark.at, mark.axis)
        where = (
            {"x": at, "y": 1, "xref": x, "yref": f"{y} domain", "xanchor": "left", "yanchor": "top", "xshift": 3}
            if upright
            else {"x": 1, "y": at, "xref": f"{x} domain", "yref": y, "xanchor": "right", "yanchor": "bottom"}
        )
        words = {"text": safe_text(mark.text), "showarrow": False, "font": {"size": 12, "color": drawing.shade(INK)}}
        drawing.chart.add_annotation(**where, **words, bgcolor=_faded(drawing.theme.background, 0.75))


def _arrows(drawing: _Drawing, mark: Arrows) -> None:
    gap = np.full(len(mark.x0), np.nan)
    head = {
        "symbol": "arrow",
        "angleref": "previous",
        "size": np.tile([0.0, mark.head, 0.0], len(mark.x0)),
        "color": drawing.shade(mark.colour),
        "line": {"width": 0},
        "opacity": 1,
    }
    drawing.add(
        go.Scatter(
            x=np.column_stack([mark.x0, mark.x1, gap]).ravel(),
            y=np.column_stack([mark.y0, mark.y1, gap]).ravel(),
            mode="lines+markers",
            line={"width": mark.width, "color": drawing.shade(mark.colour)},
            marker=head,
            hoverinfo="skip",
            **drawing.entry(mark.label),
        )
    )


def _segments(drawing: _Drawing, mark: Segments) -> None:
    colour = drawing.shade(mark.colour)
    widths = np.maximum(np.round(2 * mark.width) / 2, 0.5)
    for width in np.unique(widths):  # plotly knows one width per trace
        ends = [np.column_stack(pair)[widths == width] for pair in ((mark.x0, mark.x1), (mark.y0, mark.y1))]
        x, y = (np.column_stack([pair, np.full(len(pair), np.nan)]).ravel() for pair in ends)
        line = {"width": width, "color": colour}
        drawing.add(
            go.Scatter(
                x=x, y=y, mode="lines", line=line, opacity=mark.opacity, hoverinfo="skip", **drawing.entry(mark.label)
            )
        )
    if mark.hover:
        x, y = (mark.x0 + mark.x1) / 2, (mark.y0 + mark.y1) / 2
        hidden = {"size": 12, "color": colour, "opacity": 0.0}
        drawing.add(go.Scatter(x=x, y=y, mode="markers", marker=hidden, showlegend=False, **_hover(mark.hover)))
    if mark.width_key is not None:
        _size_key(drawing, mark.width_key, lines=True)


def _ribbons(drawing: _Drawing, mark: Ribbons) -> None:
    for band, colour in enumerate(mark.colours):
        x, y = mark.outline(band)
        shade = drawing.shade(colour)
        words = {"hoverinfo": "text", "text": safe_text(mark.hover[band])} if mark.hover else {"hoverinfo": "skip"}
        drawing.add(
            go.Scatter(
                x=x,
                y=y,
                mode="lines",
                line={"width": 0.5, "color": shade},
                fill="toself",
                fillcolor=_faded(shade, mark.opacity),
                hoveron="fills",
                showlegend=False,
                **words,
            )
        )


def _beside(drawing: _Drawing, mark: Beside) -> None:
    colours = mark.colours or (INK,) * len(mark.texts)
    for at, text, colour in zip(mark.at, mark.texts, colours, strict=True):
        drawing.chart.add_annotation(
            x=1,
            y=_annotated(drawing, float(at), "y"),
            xref=f"x{drawing.suffix} domain",
            yref=f"y{drawing.suffix}",
            text=safe_text(text),
            showarrow=False,
            xanchor="left",
            align="left",
            xshift=6,
            font={"size": 12, "color": drawing.shade(colour)},
        )
        longest = max(map(len, text.split("\n")))
        drawing.right = max(drawing.right, 14 + _LETTER * longest)


def _note(drawing: _Drawing, mark: Note) -> None:
    side = {"left": "left", "centre": "center", "right": "right"}[mark.anchor]
    drawing.chart.add_annotation(
        x=_annotated(drawing, mark.x, "x"),
        y=_annotated(drawing, mark.y, "y"),
        xref=f"x{drawing.suffix}",
        yref=f"y{drawing.suffix}",
        text=safe_text(mark.text),
        showarrow=False,
        xanchor=side,
        align=side,
        xshift=mark.shift[0],
        yshift=mark.shift[1],
        font={"size": 12, "color": drawing.shade(mark.colour)},
        bgcolor=_faded(drawing.theme.background, 0.75) if mark.backed else None,
        borderpad=0 if mark.backed else 1,
    )


def _annotated(drawing: _Drawing, value: float, axis: str) -> float:
    """Return where plotly wants an annotation: on a log axis it counts in powers of ten."""
    layout = drawing.chart.layout[f"{axis}axis{drawing.suffix}"]
    return float(np.log10(value)) if layout.type == "log" else value


def _hover(words: tuple[str, ...]) -> dict[str, Any]:
    if not words:
        return {"hoverinfo": "skip"}
    return {"hoverinfo": "text", "hovertext": [safe_text(text) for text in words]}


def _faded(colour: str, opacity: float = 0.45) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


_DRAW: dict[type, Callable[[_Drawing, Any], None]] = {
    Points: _points,
    Bars: _bars,
    Intervals: _intervals,
    Violin: _violin,
    HeatMap: _heat_map,
    Raster: _raster,
    Histogram: _histogram,
    Line: _line,
    Rule: _rule,
    Arrows: _arrows,
    Segments: _segments,
    Ribbons: _ribbons,
    Beside: _beside,
    Note: _note,
}


# --- around the marks ------------------------------------------------------------------------------------------------


def _axes(drawing: _Drawing, panel: Panel) -> None:
    for name, axis in (("x", panel.x), ("y", panel.y)):
        drawing.chart.update_layout({f"{name}axis{drawing.suffix}": _axis(axis)})
    if panel.equal_aspect:
        own = {"scaleanchor": f"x{drawing.suffix}", "scaleratio": 1, "constrain": "domain", "constraintoward": "top"}
        drawing.chart.update_layout({f"yaxis{drawing.suffix}": own})
        right = {"constrain": "domain", "constraintoward": "right"}
        drawing.chart.update_layout({f"xaxis{drawing.suffix}": right})


def _axis(axis: Axis) -> dict[str, Any]:
    limits = np.log10(axis.limits) if axis.scale == "log" else np.asarray(axis.limits)
    own: dict[str, Any] = {
        "title": {"text": safe_text(axis.title), "standoff": 8},
        "range": limits.tolist(),
        "type": axis.scale,
        "showgrid": axis.grid,
    }
    if axis.scale == "log":
        own |= {"dtick": 1}
    if axis.ticks is not None:
        own |= {
            "tickmode": "array",
            "tickvals": [place for place, _ in axis.ticks],
            "ticktext": [safe_text(name) for _, name in axis.ticks],
        }
    if not axis.visible:
        return {"range": limits.tolist(), "visible": False}
    if axis.ticks == ():
        own |= {"showticklabels": False, "ticks": "", "title": own["title"] | {"standoff": 4}}
    return own


def _height(figure: Figure, width: float) -> float:
    """Return the height of the panels in pixels: as described, but not much more than equal axes can fill.

    A third is added, as ``width`` is that of a small window.
    """
    height = max(300.0, figure.height_mm * PIXELS_PER_MM)
    panel = figure.panels[0]
    if len(figure.panels) > 1 or not panel.equal_aspect:
        return height
    (left, right), (bottom, top) = panel.x.limits, panel.y.limits
    beside = 24 if width < NARROW_BELOW else 200  # the name of the axis; the legend
    filled = 1.35 * (width - beside) * (top - bottom) / max(right - left, 1e-9) + 40
    return float(np.clip(filled, 260.0, height))


def _layout(drawing: _Drawing, figure: Figure, height: float, lines: list[str]) -> None:
    chart, theme = drawing.chart, drawing.theme
    below = figure.legend == "below"
    heights = _heights_below(drawing) if below else {}
    whole = round(height + _TITLE_LINE * len(lines) + sum(heights.values()))
    chart.update_layout(
        template=page_template(theme),
        title={"text": "<br>".join(safe_text(line) for line in lines), "pad": {"t": 6 + 8 * (len(lines) - 1), "l": 8}},
        height=whole,
        margin={
            "l": 8,
            "r": drawing.right,
            "t": 20 + _TITLE_LINE * len(lines) + 14 * bool(figure.panels[0].title),
            "b": 8,
        },
        uirevision="scfm",
        dragmode="lasso" if any(panel.equal_aspect for panel in figure.panels) else "zoom",
        modebar={"remove": list(_REMOVED), "bgcolor": "rgba(0,0,0,0)", "orientation": "h"},
        barmode="overlay",
        separators=f".{THIN_SPACE}",
        hovermode="closest",
    )
    side = {"side": "top left"} if below else {}
    chart.update_layout(legend=_legend_place(below) | {"title": {"text": safe_text(figure.legend_title)} | side})
    if below:
        chart.update_xaxes(constraintoward="left")
        _place_below(drawing, heights, whole)
    else:
        _place_beside(drawing)


def _heights_below(drawing: _Drawing) -> dict[str, int]:
    """Return how many pixels each thing under the panels takes, from the bottom to the top."""
    bars = dict.fromkeys(drawing.scales.values(), _BAR_BELOW)
    keys = {"legend2": 62} if drawing.size_keys else {}
    n_lines = sum(label.count("\n") for label in drawing.named)
    return bars | keys | {"legend": 20 * (1 + -(-len(drawing.named) // 2) + n_lines)}


def _place_below(drawing: _Drawing, heights: dict[str, int], whole: float) -> None:
    """Stack colour bars, the key of sizes and the legend under the panels."""
    chart, low = drawing.chart, 0.0
    bar: dict[str, Any] = {"orientation": "h", "xref": "container", "x": 0.02, "xanchor": "left", "len": 280}
    bar |= {"yref": "container", "yanchor": "bottom"}
    titles = {name: "\n".join(textwrap.wrap(title, 42)) for title, name in drawing.scales.items()}
    for name, height in heights.items():
        if name in titles:
            place = {"y": low / whole, "title": {"text": safe_text(titles[name]), "side": "bottom"}}
            chart.update_layout({name: {"colorbar": bar | place}})
        else:
            chart.update_layout({name: _legend_place(below=True) | {"y": low / whole - 0.02 * (low == 0)}})
        low += height
    if len(drawing.named) > 2 and max(map(len, drawing.named)) <= _SHORT_LABEL:
        chart.update_layout(legend={"entrywidth": 0.46, "entrywidthmode": "fraction"})  # a third column would be cut


def _place_beside(drawing: _Drawing) -> None:
    for number, name in enumerate(drawing.scales.values()):
        lower = {"y": 0.0, "yanchor": "bottom"} if drawing.named else {"y": 1 - 0.55 * number, "yanchor": "top"}
        drawing.chart.update_layout({name: {"colorbar": lower}})
    if drawing.size_keys:
        drawing.chart.update_layout(legend2=_legend_place(below=False) | {"y": 0.0, "yanchor": "bottom"})


def _legend_place(below: bool) -> dict[str, Any]:
    if below:
        bottom = {"y": -0.02, "yref": "container", "yanchor": "bottom"}
        return {"orientation": "h", "x": 0, "xref": "container", "xanchor": "left"} | bottom
    return {"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"}


def page_template(theme: Theme) -> go.layout.Template:
    """Return everything that all figures share under one theme."""
    ink, muted, faint = theme.shade(INK), theme.shade(MUTED), theme.shade(FAINT)
    clear = "rgba(0,0,0,0)"
    axis = {
        "linecolor": muted,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": muted,
        "tickfont": {"size": 12},
        "gridcolor": faint,
        "zeroline": False,
        "automargin": True,
        "exponentformat": "none",
        "separatethousands": True,
        "title": {"font": {"size": 13}},
    }
    hover = {"bgcolor": theme.background, "bordercolor": muted, "font": {"color": ink, "size": 12}, "align": "left"}
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": ink},
            "paper_bgcolor": clear,
            "plot_bgcolor": clear,
            "title": {
                "font": {"size": 16, "weight": 600},
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "y": 1,
                "yanchor": "top",
            }
            | {"yref": "container"},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": hover | {"namelength": -1},
            "legend": {"bgcolor": clear, "itemsizing": "constant", "font": {"size": 12}, "tracegroupgap": 2},
            "colorway": [muted],
            "annotationdefaults": {"font": {"size": 13, "color": ink}},
            "modebar": {"color": muted, "activecolor": ink},
        }
    )
