"""Figures for print: a `Figure` drawn by matplotlib as SVG, PDF or PNG, with text that stays text."""

import io
import textwrap
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scfm_core.errors import RequestError
from scfm_core.plots.colours import scale_colours
from scfm_core.plots.figure import (
    FAINT,
    INK,
    MUTED,
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
    Solid,
    Violin,
    grouped_number,
    wrap_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

SMALLEST_LETTERS = 0.72  # of 7 points; journals ask for 5 at least
MOST_DOTS = 60_000_000
POINTS_PER_PIXEL = 0.45  # a screen's figure is about twice as wide as a column of a journal
MOST_VECTOR_POINTS = 5000  # more become one picture inside the vector file; text and lines stay vectors
Style = dict[str, Any]
_LOCK = threading.Lock()  # matplotlib's settings belong to the whole process
_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.0,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # a label such as "$x$" is a label
    "text.usetex": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "scfm",
    "pdf.fonttype": 42,
    "savefig.transparent": False,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}


@dataclass(frozen=True, kw_only=True)
class PictureSize:
    """How large a picture of dots is.

    Attributes
    ----------
    width_mm
        The figure's own width where None.
    dpi
        Dots per inch.
    shape
        Width over height; the figure's own where None. Then what is empty at the foot is cut off.
    letters
        How large letters and lines are, 1 for 7 points; as large as fits, 5 to 7 points, where None.
    """

    width_mm: float | None = None
    dpi: int = 300
    shape: float | None = None
    letters: float | None = None


PICTURE_SIZES: Mapping[str, PictureSize] = {
    "As drawn": PictureSize(),
    "Single column, 89 mm": PictureSize(width_mm=89.0),
    "Double column, 183 mm": PictureSize(width_mm=183.0),
    "Slide, 16:9": PictureSize(width_mm=338.67, shape=16 / 9, letters=2.6),
}
_TITLE_SIZE, _LETTERS_PER_MM = 8.0, 0.5
_SYMBOLS = {"circle": "o", "diamond": "D", "square": "s", "triangle": "^", "cross": "X"}
_DASHES: Mapping[str, Any] = {"solid": "-", "dash": (0, (4, 2)), "dot": (0, (1, 1.5))}


def to_svg(figure: Figure) -> bytes:
    """Draw a figure as SVG; equal figures give equal bytes."""
    return _draw(figure, "svg", metadata={"Date": None})


def to_pdf(figure: Figure) -> bytes:
    """Draw a figure as PDF with embedded TrueType fonts; equal figures give equal bytes."""
    return _draw(figure, "pdf", metadata={"CreationDate": None})


def to_png(figure: Figure, size: PictureSize | None = None) -> bytes:
    """Draw a figure as PNG, as wide as `size` says; at 300 dots per inch in the figure's own size where None.

    Raises
    ------
    RequestError
        If the picture would be narrower than 20 mm or wider than 1,000 mm, coarser than 50 or finer than 1,200 dots
        per inch, or larger than 60 million dots.
    """
    chosen = size or PictureSize()
    wanted = figure.width_mm if chosen.width_mm is None else chosen.width_mm
    letters = chosen.letters or float(np.clip(wanted / figure.width_mm, SMALLEST_LETTERS, 1.0))
    width = wanted / letters
    height = figure.height_mm * width / figure.width_mm if chosen.shape is None else width / chosen.shape
    _require_drawable(wanted, height * letters, dpi=chosen.dpi)
    sheet = replace(figure, width_mm=width, height_mm=height)
    said = {"pil_kwargs": {"dpi": (chosen.dpi, chosen.dpi)}}  # the file says the size that was asked for
    return _draw(sheet, "png", dpi=chosen.dpi * letters, whole_sheet=chosen.shape is not None, **said)


def _require_drawable(width_mm: float, height_mm: float, *, dpi: int) -> None:
    n_dots = width_mm * height_mm * (dpi / 25.4) ** 2
    if not (20 <= width_mm <= 1000 and 50 <= dpi <= 1200 and n_dots <= MOST_DOTS):
        msg = (
            "Expected a picture of 20 to 1,000 mm width at 50 to 1,200 dots per inch, and at most "
            f"{MOST_DOTS / 1e6:.0f} million dots; found {width_mm:g} mm at {dpi:g} dpi, {n_dots / 1e6:.3g} "
            "million dots. Choose a smaller one."
        )
        raise RequestError(msg, "picture-size")


def _draw(
    figure: Figure,
    file_format: Literal["svg", "pdf", "png"],
    *,
    dpi: float = 400,
    whole_sheet: bool = False,
    **options: Any,
) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Sheet

    rows = -(-len(figure.panels) // figure.columns)
    with _LOCK, mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")  # an empty box says it
        sheet = Sheet(figsize=(figure.width_mm / 25.4, figure.height_mm / 25.4), layout="constrained", dpi=dpi)
        grid = sheet.subplots(rows, figure.columns, squeeze=False)
        drawing = _Drawing(sheet=sheet, axes=grid[0, 0])
        for place, axes in enumerate(grid.flat):
            if place < len(figure.panels):
                drawing.axes = axes
                _panel(drawing, figure.panels[place])
            else:
                axes.set_axis_off()
        _surroundings(drawing, figure)
        _settle(sheet, below=figure.legend == "below")
        out = io.BytesIO()
        kept = None if whole_sheet else _without_empty_foot(sheet)
        sheet.savefig(out, format=file_format, dpi=dpi, bbox_inches=kept, **options)
    return out.getvalue()


def _settle(sheet: "Sheet", *, below: bool) -> None:
    """Fix the layout, then move the legends on the right, which the layout puts beside the title, under it."""
    sheet.draw_without_rendering()
    sheet.set_layout_engine("none")
    title = sheet.texts[0].get_window_extent().transformed(sheet.transFigure.inverted())
    for legend in sheet.legends:
        if not below:
            legend.set_bbox_to_anchor((0, 0, 1, title.y0), transform=sheet.transFigure)


def _without_empty_foot(sheet: "Sheet") -> Any:
    """Return the part of the sheet to keep, in inches: its whole width, and its height down to the lowest mark."""
    from matplotlib.transforms import Bbox

    width, height = sheet.get_size_inches()
    lowest = sheet.get_tightbbox().y0 - 0.04
    return Bbox([[0.0, min(max(lowest, 0.0), 0.5 * height)], [width, height]])


@dataclass
class _Drawing:
    """A sheet being drawn on, and the axes that the next marks go to."""

    sheet: "Sheet"
    axes: "Axes"
    entries: dict[str, tuple[int, Any]] = field(default_factory=dict)  # words -> rank and the sign beside them
    scales: dict[str, tuple[Any, list[Any]]] = field(default_factory=dict)  # title -> (mappable, axes)
    ticks: dict[str, tuple[tuple[float, str], ...] | None] = field(default_factory=dict)  # of the scales
    size_keys: dict[str, tuple[SizeKey, bool]] = field(default_factory=dict)  # title -> key, whether widths of lines

    def entry(self, label: str, sign: Any, *, rank: int = 1) -> None:
        if label:
            self.entries.setdefault(label, (rank, sign))

    def scale(self, colour: Continuous) -> Any:
        """Return the colour map of a scale with its limits, remembered for the bar beside the panel."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        if colour.title not in self.scales:
            blend = LinearSegmentedColormap.from_list(colour.scale, list(scale_colours(colour.scale)))
            shades = blend.with_extremes(bad=(0.0, 0.0, 0.0, 0.0))
            self.scales[colour.title] = (ScalarMappable(Normalize(*colour.limits), shades), [])
            self.ticks[colour.title] = colour.ticks
        mappable, axes = self.scales[colour.title]
        if self.axes not in axes:
            axes.append(self.axes)
        return mappable


# --- marks -----------------------------------------------------------------------------------------------------------


def _points(drawing: _Drawing, mark: Points) -> None:
    diameter = np.broadcast_to(np.asarray(mark.size, dtype=np.float64) * POINTS_PER_PIXEL, mark.x.shape)
    shape: Style = {
        "marker": _SYMBOLS[mark.symbol],
        "alpha": mark.opacity,
        "linewidths": 0.5 if mark.outline else 0,
        "edgecolors": mark.outline or "none",
        "zorder": 2.2,  # above intervals, under rules
        "rasterized": len(mark.x) > MOST_VECTOR_POINTS,
    }
    colour = mark.colour
    if isinstance(colour, Categories):
        order = np.argsort(-np.bincount(colour.codes, minlength=len(colour.labels))[colour.codes], kind="stable")
        drawn = np.array(colour.colours)[colour.codes[order]]
        drawing.axes.scatter(mark.x[order], mark.y[order], s=diameter[order] ** 2, c=drawn, **shape)
        for label, shade, n in zip(colour.labels, colour.colours, colour.counts, strict=True):
            drawing.entry(f"{label} (n = {grouped_number(n)})", _sign(shade), rank=0)
        return
    shades = drawing.scale(colour).to_rgba(colour.values) if isinstance(colour, Continuous) else colour.colour
    drawing.axes.scatter(mark.x, mark.y, s=diameter**2, c=shades, **shape)
    if isinstance(colour, Solid):
        drawing.entry(mark.label, _sign(colour.colour, marker=shape["marker"]))
    if mark.size_key is not None:
        drawing.size_keys.setdefault(mark.size_key.title, (mark.size_key, False))


def _sign(colour: str, *, marker: Any = "o", size: float = 4.0) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", marker=marker, markersize=size, color=colour, markeredgewidth=0)


def _stroke(colour: str, **style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, **style)


def _bars(drawing: _Drawing, mark: Bars) -> None:
    spread = np.stack([mark.value - mark.low, mark.high - mark.value])
    look: Style = {"color": list(mark.colours), "linewidth": 0}
    bars: Style = {"ecolor": INK, "capsize": 1.2, "error_kw": {"elinewidth": 0.8, "capthick": 0.8}}
    if mark.orientation == "horizontal":
        drawing.axes.barh(mark.at, mark.value, height=mark.thickness, xerr=spread, **look, **bars)
    else:
        drawing.axes.bar(mark.at, mark.value, width=mark.thickness, yerr=spread, **look, **bars)
    if mark.colours:
        drawing.entry(mark.label, _sign(mark.colours[0], marker="s"))


def _intervals(drawing: _Drawing, mark: Intervals) -> None:
    horizontal = mark.orientation == "horizontal"
    lines, ticks = (drawing.axes.hlines, "|") if horizontal else (drawing.axes.vlines, "_")
    lines(mark.at, mark.low, mark.high, colors=mark.colour, linewidth=2.4)
    x, y = (mark.value, mark.at) if horizontal else (mark.at, mark.value)
    drawing.axes.plot(x, y, linestyle="none", marker=ticks, markersize=4, color=INK, markeredgewidth=1)
    drawing.entry(mark.label, _stroke(mark.colour, linewidth=2.4))


def _violin(drawing: _Drawing, mark: Violin) -> None:
    left, right = mark.at - mark.half_width, mark.at + mark.half_width
    face = (mark.colour, 0.45)
    drawing.axes.fill_betweenx(mark.levels, left, right, facecolor=face, edgecolor=mark.colour, linewidth=0.5)
    low, middle, high = mark.quartiles
    drawing.axes.vlines(mark.at, low, high, colors=INK, linewidth=1.8)
    dot: Style = {"markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 0.7, "markersize": 3}
    drawing.axes.plot([mark.at], [middle], marker="o", **dot)
    drawing.entry(mark.label, _sign(mark.colour, marker="s"))


def _heat_map(drawing: _Drawing, mark: HeatMap) -> None:
    mappable = drawing.scale(mark.colour)
    n_rows, n_columns = mark.colour.values.shape
    drawing.axes.imshow(
        mark.colour.values,
        cmap=mappable.cmap,
        norm=mappable.norm,
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        extent=(-0.5, n_columns - 0.5, -0.5, n_rows - 0.5),
    )


def _raster(drawing: _Drawing, mark: Raster) -> None:
    place: Style = {"extent": (*mark.x, *mark.y), "origin": "lower", "interpolation": "nearest", "aspect": "auto"}
    if isinstance(mark.colour, Continuous):
        mappable = drawing.scale(mark.colour)
        values = np.ma.masked_invalid(mark.colour.values)
        drawing.axes.imshow(values, cmap=mappable.cmap, norm=mappable.norm, **place)
        return
    drawing.axes.imshow(mark.shades(mark.colour.colours), **place)
    for label, shade, n in zip(mark.colour.labels, mark.colour.colours, mark.colour.counts, strict=True):
        drawing.entry(f"{label} (n = {grouped_number(n)})", _sign(shade, marker="s"), rank=0)


def _histogram(drawing: _Drawing, mark: Histogram) -> None:
    look: Style = {"color": mark.colour, "edgecolor": "white", "linewidth": 0.4}
    drawing.axes.bar(mark.edges[:-1], mark.counts, width=np.diff(mark.edges), align="edge", **look)
    drawing.entry(mark.label, _sign(mark.colour, marker="s"))


def _line(drawing: _Drawing, mark: Line) -> None:
    style: Style = {"linewidth": 0.6 * mark.width, "linestyle": _DASHES[mark.dash]}
    drawing.axes.plot(mark.x, mark.y, color=mark.colour, **style)
    drawing.entry(mark.label, _stroke(mark.colour, **style))


def _rule(drawing: _Drawing, mark: Rule) -> None:
    style: Style = {"color": mark.colour, "linewidth": 0.7, "linestyle": _DASHES[mark.dash], "zorder": 2.5}
    words: Style = {"fontsize": 6.0, "textcoords": "offset points", "zorder": 5}
    words["bbox"] = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6}
    axes = drawing.axes
    if mark.axis == "x":
        axes.axvline(mark.at, **style)
        place: Style = {"xy": (mark.at, 1.0), "xycoords": axes.get_xaxis_transform(), "xytext": (2, -2)}
        axes.annotate(mark.text, **place, ha="left", va="top", **words)
    else:
        axes.axhline(mark.at, **style)
        place = {"xy": (1.0, mark.at), "xycoords": axes.get_yaxis_transform(), "xytext": (-1, 1.5)}
        axes.annotate(mark.text, **place, ha="right", va="bottom", **words)


def _arrows(drawing: _Drawing, mark: Arrows) -> None:
    size = mark.head / 64
    style = f"-|>,head_width={size:.3g},head_length={2 * size:.3g}"
    head: Style = {"arrowstyle": style, "color": mark.colour, "linewidth": mark.width / 2}
    head |= {"shrinkA": 0, "shrinkB": 0, "joinstyle": "miter", "capstyle": "butt"}
    for x0, y0, x1, y1 in zip(mark.x0, mark.y0, mark.x1, mark.y1, strict=True):
        drawing.axes.annotate("", xy=(x1, y1), xytext=(x0, y0), arrowprops=head)
    drawing.entry(mark.label, _stroke(mark.colour, linewidth=0.8, marker=">", markersize=3, markevery=[1]))


def _segments(drawing: _Drawing, mark: Segments) -> None:
    from matplotlib.collections import LineCollection

    ends = np.stack([np.column_stack([mark.x0, mark.y0]), np.column_stack([mark.x1, mark.y1])], axis=1)
    style: Style = {"colors": mark.colour, "alpha": mark.opacity, "capstyle": "round", "zorder": 1.5}
    drawing.axes.add_collection(LineCollection(list(ends), linewidths=mark.width * POINTS_PER_PIXEL, **style))
    drawing.entry(mark.label, _stroke(mark.colour, linewidth=1.2))
    if mark.width_key is not None:
        drawing.size_keys.setdefault(mark.width_key.title, (mark.width_key, True))


def _ribbons(drawing: _Drawing, mark: Ribbons) -> None:
    for band, colour in enumerate(mark.colours):
        x, y = mark.outline(band)
        drawing.axes.fill(x, y, facecolor=(colour, mark.opacity), edgecolor=colour, linewidth=0.3)


def _beside(drawing: _Drawing, mark: Beside) -> None:
    axes = drawing.axes
    words: Style = {"xycoords": axes.get_yaxis_transform(), "xytext": (3, 0), "textcoords": "offset points"}
    words |= {"ha": "left", "va": "center", "fontsize": 6.0, "annotation_clip": False}
    for at, text, colour in zip(mark.at, mark.texts, mark.colours or (INK,) * len(mark.texts), strict=True):
        axes.annotate(text, xy=(1.0, at), color=colour, **words)


def _note(drawing: _Drawing, mark: Note) -> None:
    drawing.axes.annotate(
        mark.text,
        xy=(mark.x, mark.y),
        xytext=(mark.shift[0] * POINTS_PER_PIXEL, mark.shift[1] * POINTS_PER_PIXEL),
        textcoords="offset points",
        ha={"left": "left", "centre": "center", "right": "right"}[mark.anchor],
        va="center",
        fontsize=6.0,
        color=mark.colour,
        zorder=5,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.4} if mark.backed else None,
    )


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


def _panel(drawing: _Drawing, panel: Panel) -> None:
    axes = drawing.axes
    axes.set_xscale(panel.x.scale)
    axes.set_yscale(panel.y.scale)
    for mark in panel.marks:
        _DRAW[type(mark)](drawing, mark)
    axes.set_xlim(*panel.x.limits)
    axes.set_ylim(*panel.y.limits)
    axes.set_xlabel(panel.x.title)
    axes.set_ylabel(panel.y.title)
    axes.set_title(panel.title)
    axes.set_axisbelow(True)
    for axis, described in ((axes.xaxis, panel.x), (axes.yaxis, panel.y)):
        _ticks(axis, described)
    if panel.x.ticks:
        _turn_long_names(drawing, panel.x.ticks)
    axes.xaxis.set_visible(panel.x.visible)
    axes.yaxis.set_visible(panel.y.visible)
    axes.spines["bottom"].set_visible(panel.x.visible)
    axes.spines["left"].set_visible(panel.y.visible)
    if panel.equal_aspect:
        axes.set_aspect("equal", adjustable="box", anchor="NE")


def _ticks(axis: Any, described: Axis) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if described.grid:
        axis.grid(True, color=FAINT, linewidth=0.5)
    if described.ticks is not None:
        axis.set_major_locator(FixedLocator([place for place, _ in described.ticks]))
        axis.set_ticklabels([name for _, name in described.ticks])
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))


def _tick(value: float) -> str:
    if abs(value) >= 10_000:
        return grouped_number(value)
    return f"{round(value, 10):g}".replace("-", "\u2212")


def _turn_long_names(drawing: _Drawing, ticks: tuple[tuple[float, str], ...]) -> None:
    """Write the names under an axis aslant where they would touch each other."""
    width_mm = drawing.sheet.get_figwidth() * 25.4 * 0.7
    longest = max(len(line) for _, name in ticks for line in name.split("\n"))
    if longest * 1.5 > width_mm / len(ticks):
        for label in drawing.axes.get_xticklabels():
            label.set(rotation=90 if len(ticks) > 40 else 45, ha="right", va="top", rotation_mode="anchor")
            if len(ticks) > 40:
                label.set(va="center")


def _surroundings(drawing: _Drawing, figure: Figure) -> None:
    """Draw title, legends and colour bars, all outside of the data."""
    sheet = drawing.sheet
    title = wrap_title(figure.title, int(figure.width_mm * _LETTERS_PER_MM))
    sheet.suptitle("\n".join(title), x=0.01, ha="left", fontsize=_TITLE_SIZE, fontweight="bold")
    for name, (mappable, axes) in drawing.scales.items():
        bar = sheet.colorbar(mappable, ax=axes, shrink=0.6, aspect=18, pad=0.02, anchor=(0.0, 1.0), panchor=False)
        bar.set_label("\n".join(textwrap.wrap(name, int(figure.height_mm * 0.45))), fontsize=6.5)
        bar.outline.set_visible(False)
        ticks = drawing.ticks[name]
        if ticks is not None:
            bar.set_ticks([place for place, _ in ticks], labels=[words for _, words in ticks])
            bar.minorticks_off()
    look: Style = {"frameon": False, "handletextpad": 0.6, "handlelength": 1.6, "labelspacing": 0.35}
    look |= {"borderaxespad": 0.3, "alignment": "left"}
    right: Style = {"loc": "outside right upper"}
    words = sorted(drawing.entries, key=lambda label: drawing.entries[label][0])  # categories first
    signs = [drawing.entries[label][1] for label in words]
    if words and figure.legend == "below":
        for name, (key, lines) in drawing.size_keys.items():
            words += [f"{name} {label}" for label in key.labels]
            signs += [_size_sign(size, lines=lines) for size in key.sizes]
        columns = max(1, min(len(words), int(figure.width_mm / (1.35 * max(map(len, words)) + 8))))
        sheet.legend(signs, words, loc="outside lower left", ncols=columns, **look)
    elif words:
        sheet.legend(signs, words, title=figure.legend_title or None, ncols=1 + len(words) // 24, **right, **look)
    if figure.legend != "below":
        for name, (key, lines) in drawing.size_keys.items():
            signs = [_size_sign(size, lines=lines) for size in key.sizes]
            sheet.legend(signs, list(key.labels), title=name, **right, **look)


def _size_sign(size: float, *, lines: bool) -> Any:
    points = size * POINTS_PER_PIXEL
    return _stroke(MUTED, linewidth=points) if lines else _sign(MUTED, size=points)
