"""The description of a figure: what is drawn, with which words, colours and limits; it knows no drawing library.

`scfm_core.plots.screen` and `scfm_core.plots.print` draw the same description, so that a figure on the screen and
its vector file show the same data.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]
ScaleName = Literal["expression", "signed", "viridis", "cividis"]
Orientation = Literal["horizontal", "vertical"]
Symbol = Literal["circle", "diamond", "square", "triangle", "cross"]
Anchor = Literal["left", "centre", "right"]
INK = "#000000"  # these four greys are the only colours that change with the theme
MUTED = "#595959"
FAINT = "#E4E4E4"
UNSELECTED = "#D5D5D5"
NO_VALUE = "#8C8C8C"
THIN_SPACE = "\u202f"
NO_BREAK_SPACE = "\u00a0"


@dataclass(frozen=True, eq=False)
class Solid:
    """One colour for all points."""

    colour: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Categories:
    """A colour for each category.

    Attributes
    ----------
    codes
        Category of each drawn point, shape ``(n,)``.
    labels, colours, counts
        One per category, in the order of the legend; the counts are over all cells, drawn or not.
    title
        What the categories are.
    """

    codes: NDArray[np.integer[Any]]
    labels: tuple[str, ...]
    colours: tuple[str, ...]
    counts: tuple[int, ...]
    title: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Continuous:
    """Values on a colour scale.

    Attributes
    ----------
    values
        Shape ``(n,)`` for points, ``(n_rows, n_columns)`` for a heat map.
    limits
        Values of the two ends of the scale.
    title
        What is measured, with its unit.
    ticks
        Values and their names beside the scale; None leaves them to the renderer. They let logarithms be values.
    """

    values: FloatArray
    scale: ScaleName
    limits: tuple[float, float]
    title: str
    ticks: tuple[tuple[float, str], ...] | None = None


Colour = Solid | Categories | Continuous


@dataclass(frozen=True, kw_only=True, eq=False)
class SizeKey:
    """What sizes mean: a few example sizes (as in `Points.size`, or widths as in `Segments.width`) with their words."""

    title: str
    sizes: tuple[float, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """Points; the diameter ``size`` is in pixels on the screen, half as many points (1/72 inch) in print."""

    x: FloatArray
    y: FloatArray
    colour: Colour
    size: float | FloatArray = 5.0
    opacity: float = 1.0
    symbol: Symbol = "circle"
    outline: str = ""  # colour of a thin ring around each point; none where empty
    cells: NDArray[np.int64] | None = None  # position of each point in the dataset
    hover: tuple[str, ...] = ()  # one plain text per point, lines separated by "\n"
    label: str = ""  # the entry in the legend, where the colour is solid
    size_key: SizeKey | None = None

    def raised_to_ten(self) -> "Points":
        """Return the points on a logarithmic vertical axis: their values were logarithms."""
        return replace(self, y=10.0**self.y)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bars:
    """Bars from zero with intervals around their ends; all arrays have shape ``(n_bars,)``."""

    at: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray
    colours: tuple[str, ...]
    orientation: Orientation = "horizontal"
    thickness: float = 0.6
    label: str = ""
    hover: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Intervals:
    """Means as ticks with the range around them, without bars; all arrays have shape ``(n,)``."""

    at: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray
    colour: str
    orientation: Orientation = "horizontal"
    label: str = ""
    hover: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Violin:
    """The distribution of many values as a curve on both sides of ``at``.

    Attributes
    ----------
    levels
        Values at which the density stands, shape ``(n_levels,)``.
    half_width
        Half the width of the violin there, in units of the category axis, shape ``(n_levels,)``.
    quartiles
        25 %, 50 % and 75 % of the values.
    """

    at: float
    levels: FloatArray
    half_width: FloatArray
    quartiles: tuple[float, float, float]
    colour: str
    label: str = ""

    def raised_to_ten(self) -> "Violin":
        """Return the violin on a logarithmic axis: its values were logarithms."""
        low, middle, high = (10.0**value for value in self.quartiles)
        return replace(self, levels=10.0**self.levels, quartiles=(low, middle, high))


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatMap:
    """Coloured cells; row ``i`` and column ``j`` stand at ``y = i`` and ``x = j``."""

    colour: Continuous
    hover: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """A picture of more cells than can be drawn one by one, in pixels on the axes.

    Attributes
    ----------
    x, y
        Where the picture begins and ends on the axes, the smaller value first.
    colour
        ``values`` or ``codes`` of shape ``(n_rows, n_columns)``, the lowest row first; NaN or -1 is clear.
    counts
        Cells in each pixel, of the same shape.
    opacity
        Between 0 and 1, of the same shape; 1 where None.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    colour: Continuous | Categories
    counts: NDArray[np.integer[Any]]
    opacity: FloatArray | None = None

    def shades(self, colours: Sequence[str]) -> NDArray[np.uint8]:
        """Return the pixels of categories as red, green, blue and opacity, shape ``(n_rows, n_columns, 4)``.

        Parameters
        ----------
        colours
            Of the categories, as the theme shades them.
        """
        if not isinstance(self.colour, Categories):
            msg = "Values stand on a colour scale, which the renderer applies."
            raise TypeError(msg)
        table = [[int(colour[start : start + 2], 16) for start in (1, 3, 5)] for colour in colours]
        known = self.colour.codes >= 0
        pixels = np.zeros((*known.shape, 4), dtype=np.uint8)
        pixels[known, :3] = np.array(table, dtype=np.uint8).reshape(-1, 3)[self.colour.codes[known]]
        opacity = np.ones(known.shape) if self.opacity is None else self.opacity
        pixels[known, 3] = np.rint(255 * np.clip(opacity[known], 0, 1)).astype(np.uint8)
        return pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """Counts between edges: ``counts`` has shape ``(n,)``, ``edges`` ``(n + 1,)``."""

    edges: FloatArray
    counts: NDArray[np.integer[Any]]
    colour: str
    label: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A line through points, shape ``(n,)`` each."""

    x: FloatArray
    y: FloatArray
    colour: str
    width: float = 1.5
    dash: Literal["solid", "dash", "dot"] = "solid"
    label: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """A straight line across the panel where one axis has the value ``at``; its text stands at its end."""

    at: float
    axis: Literal["x", "y"]
    text: str = ""
    colour: str = MUTED
    dash: Literal["solid", "dash", "dot"] = "dash"


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrows:
    """Arrows from ``(x0, y0)`` to ``(x1, y1)``, in the units of the axes, shape ``(n,)`` each."""

    x0: FloatArray
    y0: FloatArray
    x1: FloatArray
    y1: FloatArray
    colour: str = INK
    label: str = ""
    head: float = 9.0  # pixels
    width: float = 1.6  # pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """Straight lines from ``(x0, y0)`` to ``(x1, y1)``, each with its own width in pixels, shape ``(n,)`` each."""

    x0: FloatArray
    y0: FloatArray
    x1: FloatArray
    y1: FloatArray
    width: FloatArray
    colour: str
    opacity: float = 1.0
    hover: tuple[str, ...] = ()  # shown at the middle of each line
    label: str = ""
    width_key: SizeKey | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Ribbons:
    """Curved bands, each from a stretch of the line ``x = x0`` to a stretch of the line ``x = x1``.

    Attributes
    ----------
    low0, high0, low1, high1
        Lower and upper end of each band on the left and on the right, shape ``(n,)`` each.
    """

    x0: float
    x1: float
    low0: FloatArray
    high0: FloatArray
    low1: FloatArray
    high1: FloatArray
    colours: tuple[str, ...]
    opacity: float = 0.6
    hover: tuple[str, ...] = ()

    def outline(self, band: int, n_steps: int = 40) -> tuple[FloatArray, FloatArray]:
        """Return the corners of one band, shape ``(2 * n_steps,)`` each: along its lower side, back along its upper."""
        part = np.linspace(0.0, 1.0, n_steps)
        bend = part**2 * (3.0 - 2.0 * part)  # level at both ends
        x = self.x0 + (self.x1 - self.x0) * part
        low = self.low0[band] + (self.low1[band] - self.low0[band]) * bend
        high = self.high0[band] + (self.high1[band] - self.high0[band]) * bend
        return np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Beside:
    """Words in a column to the right of the panel, outside of the data, at the heights ``at``."""

    at: FloatArray
    texts: tuple[str, ...]
    colours: tuple[str, ...] = ()  # INK where empty


@dataclass(frozen=True, kw_only=True, eq=False)
class Note:
    """Words at a place; ``shift`` moves them by pixels, to the right and upwards."""

    x: float
    y: float
    text: str
    anchor: Anchor = "centre"
    shift: tuple[float, float] = (0.0, 0.0)
    colour: str = INK
    backed: bool = False  # on a patch of the page's colour, where it stands on other marks


Mark = (
    Points | Bars | Intervals | Violin | HeatMap | Raster | Histogram | Line | Rule | Arrows | Segments | Ribbons
    | Beside | Note
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """One axis of a panel.

    Attributes
    ----------
    title
        What is measured, with its unit in brackets.
    limits
        Values at the two ends, in data units also on a log scale; the first may be the larger one.
    ticks
        Places and their names; None leaves them to the renderer, ``()`` draws none.
    visible
        Whether the axis is drawn at all.
    """

    title: str
    limits: tuple[float, float]
    scale: Literal["linear", "log"] = "linear"
    ticks: tuple[tuple[float, str], ...] | None = None
    grid: bool = False
    visible: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """One pair of axes with its marks, drawn in order."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    title: str = ""
    equal_aspect: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    """A whole figure.

    Attributes
    ----------
    panels
        Laid out row by row; panels of one column share the width.
    title
        The finding, where there is one, with n.
    caption
        What one sees, in plain words, with everything that was left out of the drawing.
    caveat
        What the figure does not prove.
    columns
        Number of panels side by side.
    width_mm, height_mm
        Size in print; on the screen the width is the page's and the height follows `height_mm`.
    legend
        Where the legend stands; always outside of the data.
    legend_title
        What the entries of the legend are.
    """

    panels: tuple[Panel, ...]
    title: str
    caption: str
    caveat: str
    columns: int = 1
    width_mm: float = 120.0
    height_mm: float = 90.0
    legend: Literal["right", "below"] = "right"
    legend_title: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cloud:
    """Points in a room: ``points`` hold two coordinates and the looks, ``z`` the third, shape ``(n,)``."""

    points: Points
    z: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Space:
    """A figure in three dimensions, to be turned on a screen; `scfm_core.plots.cell_map_3d` lays it flat for print.

    Attributes
    ----------
    axes
        Of the three coordinates.
    title, caption, caveat, legend_title
        As in `Figure`.
    """

    axes: tuple[Axis, Axis, Axis]
    clouds: tuple[Cloud, ...]
    title: str
    caption: str
    caveat: str
    legend_title: str = ""


def grouped_number(value: float) -> str:
    """Write a count with a thin space between the thousands.

    Examples
    --------
    >>> grouped_number(1234567).split(THIN_SPACE)
    ['1', '234', '567']
    """
    return f"{round(value):,}".replace(",", THIN_SPACE)


def plain_number(value: float) -> str:
    """Write a measured value with three significant digits.

    Examples
    --------
    >>> plain_number(0.012345), plain_number(0.0000123), plain_number(2.0), plain_number(float("nan"))
    ('0.0123', '1.23e-5', '2', 'not defined')
    """
    if not np.isfinite(value):
        return "not defined"
    if abs(value) >= 1000:
        return grouped_number(value)
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def log_ticks(limits: tuple[float, float]) -> tuple[tuple[float, str], ...]:
    """Return places and names of ticks on a log axis: powers of ten, with 2 and 5 between where there are few.

    Examples
    --------
    >>> [place for place, _ in log_ticks((150, 4000))]
    [200.0, 500.0, 1000.0, 2000.0]
    """
    low, high = np.log10(limits)
    steps = (1, 2, 5) if high - low < 2 else (1,)
    places = [float(step * 10.0**power) for power in range(int(np.floor(low)), int(high) + 1) for step in steps]
    return tuple((place, plain_number(place)) for place in places if limits[0] <= place <= limits[1])


def one_line(text: object, *, longest: int = 60) -> str:
    r"""Return a label as one line without control characters, cut at ``longest`` characters.

    Examples
    --------
    >>> one_line("T\tcell\x00\n(naive)")
    'T cell (naive)'
    """
    words = "".join(letter if letter.isprintable() else " " for letter in str(text)).split(" ")
    line = " ".join(word for word in words if word)
    return line if len(line) <= longest else line[: longest - 1] + "\u2026"


def wrap_title(title: str, letters: int) -> list[str]:
    """Cut a title into lines, never beside an equals sign.

    Examples
    --------
    >>> [line.replace(NO_BREAK_SPACE, " ") for line in wrap_title("Genes of cells, n = 12", 19)]
    ['Genes of cells,', 'n = 12']
    """
    return textwrap.wrap(title.replace(" = ", f"{NO_BREAK_SPACE}={NO_BREAK_SPACE}"), letters) or [""]


def distribution(values: ArrayLike, *, at: float, colour: str, label: str = "") -> Violin | Points:
    """Describe the distribution of some values as a violin; as points where a density would be an invention.

    The density is a Gaussian kernel estimate with Scott's bandwidth, cut at the smallest and the largest value. Fewer
    than three values, or values that are all equal, are drawn as points.

    Parameters
    ----------
    values
        Shape ``(n_values,)``; NaN are left out.
    at
        Place on the category axis; the violin is 0.8 wide.
    """
    data = np.asarray(values, dtype=np.float64)
    data = data[np.isfinite(data)]
    if len(data) < 3 or np.ptp(data) <= 1e-9 * max(1.0, float(np.abs(data).max())):
        unique = np.unique(data)
        return Points(x=np.full(len(unique), float(at)), y=unique, colour=Solid(colour), size=7.0, label=label)
    levels, density = _density(data)
    low, middle, high = np.percentile(data, [25, 50, 75])
    quartiles = (float(low), float(middle), float(high))
    half_width = 0.4 * density / density.max()
    return Violin(at=float(at), levels=levels, half_width=half_width, quartiles=quartiles, colour=colour, label=label)


def _density(data: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return 101 levels and the kernel density there; many values are binned first, which moves no curve visibly."""
    from scipy.stats import gaussian_kde

    levels = np.linspace(data.min(), data.max(), 101)
    if len(data) > 2000:
        counts, edges = np.histogram(data, bins=400)
        centres, weights = (edges[:-1] + edges[1:]) / 2, counts / counts.sum()
        width = len(data) ** -0.2 * data.std(ddof=1)
        smooth = np.exp(-0.5 * ((levels[:, None] - centres) / width) ** 2) @ weights / (width * np.sqrt(2 * np.pi))
        return levels, smooth
    return levels, np.asarray(gaussian_kde(data)(levels))
