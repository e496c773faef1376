"""The map of cells: one point a cell, coloured by a column or a value, with selections and arrows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import RequestError
from scfm_core.plots.colours import MAX_CATEGORIES, NOT_ASSIGNED
from scfm_core.plots.figure import (
    NO_VALUE,
    UNSELECTED,
    Arrows,
    Axis,
    Categories,
    Continuous,
    Figure,
    FloatArray,
    Panel,
    Points,
    ScaleName,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)
from scfm_core.plots.groups import Groups, group_cells

MAX_DRAWN = 100_000
MAX_ARROWS = 150
_RARE = 50  # cells of a category that are drawn whatever its share
_FULL_HOVER = 20_000  # above that many drawn cells only the first two columns are told
METHOD_NAMES = {"umap": "UMAP", "tsne": "t-SNE"}
EACH_POINT = "Each point is one cell; cells whose vectors are alike stand near each other."
MAP_CAVEAT = (
    "Distances between groups, their sizes and the empty space between them are products of the {method} layout, not "
    "measurements; two groups that look apart may be close in the embedding. Check a pattern in the vectors or the "
    "counts."
)


def cell_map(
    coordinates: FloatArray,
    colour: "pd.Series[Any]",
    *,
    title: str = "",
    method: Literal["umap", "tsne"] = "umap",
    hover: pd.DataFrame | None = None,
    selected: NDArray[np.bool_] | None = None,
) -> Figure:
    """Draw every cell at its place on the map.

    Parameters
    ----------
    coordinates
        Shape ``(n_cells, 2)``; NaN where a cell has none.
    colour
        One value per cell in the order of the dataset; its ``name`` heads the legend. Text, booleans, categories and
        whole numbers with at most 30 values are categories (pass a categorical with all categories, so that colours
        stay the same everywhere; "", missing values and negative whole numbers are drawn grey). Other numbers are a
        continuous scale: signed where one is negative, else of expression; ``colour.attrs["scale"]`` chooses another,
        ``colour.attrs["limits"]`` the values of its two ends, ``colour.attrs["missing"]`` how a legend of categories
        calls the cells without one.
    title
        The finding; made from the colour and n where empty.
    hover
        What a cell is, one row per cell; its column names are shown. Text is shown as it stands, never as HTML.
    selected
        Shape ``(n_cells,)``; the other cells stay as grey points. All where None.

    Raises
    ------
    RequestError
        If the parts have different numbers of cells.
    """
    coordinates = np.asarray(coordinates, dtype=np.float64).reshape(-1, 2)
    check_lengths(len(coordinates), colour=colour, hover=hover, selected=selected)
    placed = rows_without_nan(coordinates)
    chosen = placed if selected is None else placed & np.asarray(selected, dtype=bool)
    colours = read_colours(colour)
    drawn = sample_cells(placed, chosen + 2 * colours.strata)
    pen = CellPen(coordinates, hover, int(drawn.sum()))
    known = colours.known
    marks: list[Points] = [
        pen.grey(drawn & ~chosen, UNSELECTED, "not selected", n=int((placed & ~chosen).sum())),
        pen.grey(drawn & chosen & ~known, NO_VALUE, colours.no_value, n=int((chosen & ~known).sum())),
    ]
    shown = colours.in_drawing_order(np.flatnonzero(drawn & chosen & known))
    marks.append(pen.points(shown, colours.of(shown, chosen)))
    name = METHOD_NAMES[method]
    x, y = map_limits(coordinates[placed])
    panel = Panel(
        x=Axis(title=f"{name} 1", limits=x, ticks=()),
        y=Axis(title=f"{name} 2", limits=y, ticks=()),
        marks=tuple(mark for mark in marks if len(mark.x)),
        equal_aspect=True,
    )
    return Figure(
        panels=(panel,),
        title=title or _title(name, colours.title or "group", n_cells=int(placed.sum()), n_chosen=int(chosen.sum())),
        caption=_caption(placed, drawn, colours),
        caveat=MAP_CAVEAT.format(method=name),
        height_mm=96.0,
        legend_title=colours.legend_title,
    )


class CellPen:
    """Draws cells as points, in one size for the whole map."""

    def __init__(self, coordinates: FloatArray, hover: pd.DataFrame | None, n_drawn: int) -> None:
        self.coordinates = coordinates
        self.hover = hover if hover is None or n_drawn <= _FULL_HOVER else hover.iloc[:, :2]
        self.size = point_size(n_drawn)
        self.opacity = float(np.clip(1.1 - 0.09 * np.log10(max(n_drawn, 1)), 0.6, 0.95))

    def points(self, cells: NDArray[np.int64], colour: Categories | Continuous | Solid, label: str = "") -> Points:
        """Return some cells as points."""
        return Points(
            x=self.coordinates[cells, 0],
            y=self.coordinates[cells, 1],
            colour=colour,
            size=self.size,
            opacity=self.opacity,
            cells=cells,
            hover=() if self.hover is None else hover_words(self.hover.iloc[cells]),
            label=label,
        )

    def grey(self, mask: NDArray[np.bool_], colour: str, label: str, *, n: int) -> Points:
        """Return the cells of a mask as points of one colour; ``n`` counts all that they stand for."""
        return self.points(np.flatnonzero(mask), Solid(colour), f"{label} (n = {grouped_number(n)})")


def point_size(n_points: int) -> float:
    """Return the diameter in pixels at which that many points can be told apart on a map.

    Examples
    --------
    >>> [round(point_size(n), 1) for n in (100, 3000, 100_000)]
    [9.0, 4.3, 1.9]
    """
    return float(np.clip(26 * max(n_points, 1) ** -0.225, 1.8, 9.0))


def hover_words(table: pd.DataFrame) -> tuple[str, ...]:
    """Write one text per row, a line per column."""
    lines = np.full(len(table), "", dtype=object)
    for number, name in enumerate(table.columns):
        column = table[name]
        numeric = pd.api.types.is_float_dtype(column.dtype)
        words = [plain_number(value) if numeric else one_line(value) for value in column]
        start = ("\n" if number else "") + one_line(name, longest=30) + ": "
        lines = lines + np.array([start + word for word in words], dtype=object)
    return tuple(lines)


def sample_points(n_points: int) -> NDArray[np.bool_]:
    """Choose at most 100,000 points to draw, the same ones each time, shape ``(n_points,)``."""
    return sample_cells(np.ones(n_points, dtype=bool), np.zeros(n_points, dtype=np.int64))


def drawn_sentence(n_drawn: int, n_points: int) -> str:
    """Say how many points were drawn; empty where all were."""
    if n_drawn == n_points:
        return ""
    return (
        f"{grouped_number(n_drawn)} of {grouped_number(n_points)} cells are drawn, a random sample in which each "
        "category keeps its share and small ones are kept whole."
    )


def unplaced_sentence(placed: NDArray[np.bool_]) -> str:
    """Say how many cells stand nowhere on the map; empty where all have a place."""
    n_missing = int((~placed).sum())
    if not n_missing:
        return ""
    return f"Cells without a place on the map, because they have no vector: {grouped_number(n_missing)}."


def check_lengths(n_cells: int, **parts: Any) -> None:
    """Raise a `RequestError` where a part, named by its keyword, has another length; None is no part."""
    wrong = [f"{len(part):,} in {name}" for name, part in parts.items() if part is not None and len(part) != n_cells]
    if wrong:
        msg = f"The map has {n_cells:,} cells, but there are {' and '.join(wrong)}. Give one entry per cell."
        raise RequestError(msg, "shape-mismatch")


def rows_without_nan(places: FloatArray) -> NDArray[np.bool_]:
    """Return which cells have a place, shape ``(n_cells,)``."""
    return np.asarray(np.isfinite(places).all(axis=1), dtype=bool)


def is_category(colour: "pd.Series[Any]") -> bool:
    """Whether a map draws values as categories, see `cell_map`; else they stand on a continuous scale."""
    kind = colour.dtype
    if pd.api.types.is_bool_dtype(kind) or not pd.api.types.is_numeric_dtype(kind):
        return True
    return pd.api.types.is_integer_dtype(kind) and colour.nunique() <= MAX_CATEGORIES


def sample_cells(placed: NDArray[np.bool_], strata: NDArray[np.int64], *, most: int = MAX_DRAWN) -> NDArray[np.bool_]:
    """Choose at most ``most`` of the placed cells, each stratum by its share, rare ones first of all.

    Parameters
    ----------
    placed, strata
        Shape ``(n_cells,)``.
    """
    if placed.sum() <= most:
        return placed.copy()
    random = np.random.default_rng(0)
    kinds, codes, sizes = np.unique(strata[placed], return_inverse=True, return_counts=True)
    rare = min(_RARE, most // (2 * len(kinds)))
    room = most - rare * len(kinds)
    quotas = np.maximum(np.minimum(sizes, rare), (sizes * room) // sizes.sum())
    order = np.lexsort((random.random(len(codes)), codes))
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    drawn = np.zeros_like(placed)
    drawn[np.flatnonzero(placed)[rank < quotas[codes]]] = True
    return drawn


@dataclass(frozen=True, kw_only=True, eq=False)
class CellColours:
    """The colouring of all cells, read once.

    Attributes
    ----------
    groups
        Where the colours are categories, else None.
    values
        Where they are a scale, shape ``(n_cells,)``; empty for categories.
    known
        Whether a cell has a category or a value, shape ``(n_cells,)``.
    scale, limits, title
        Of the scale; the title is that of the colouring in both cases, "" where it has none.
    missing
        What cells without a category or a value are called; the usual words where empty.
    """

    groups: Groups | None
    values: FloatArray
    known: NDArray[np.bool_]
    scale: ScaleName
    limits: tuple[float, float]
    title: str
    missing: str = ""

    @property
    def strata(self) -> NDArray[np.int64]:
        """A number for each kind of cell, of which a sample should keep the shares, shape ``(n_cells,)``."""
        return self.groups.codes + 1 if self.groups else self.known.astype(np.int64)

    @property
    def no_value(self) -> str:
        """What cells without a colour are called."""
        return self.missing or (NOT_ASSIGNED if self.groups else "no value")

    @property
    def legend_title(self) -> str:
        """What heads the legend of categories; a scale carries its title itself."""
        return self.groups.title if self.groups else ""

    def in_drawing_order(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return positions of cells so that large values come last and are drawn on top."""
        if self.groups:
            return cells
        return cells[np.argsort(np.abs(self.values[cells]), kind="stable")]

    def of(self, cells: NDArray[np.int64], counted: NDArray[np.bool_]) -> Categories | Continuous:
        """Return the colours of some cells; the legend counts, and names the categories of, the ``counted`` ones."""
        if self.groups is None:
            title = self.title or "value"
            return Continuous(values=self.values[cells], scale=self.scale, limits=self.limits, title=title)
        return coloured_groups(self.groups, self.groups.codes[cells], counted)

    def sentence(self) -> str:
        """Say in a caption what the colours leave out or bring to the front."""
        if self.groups:
            return self.groups.merged_sentence()
        beyond = self.known & ((self.values < self.limits[0]) | (self.values > self.limits[1]))
        ends = "; the colour scale ends at the 99.5th percentile" if beyond.any() else ""
        return f"Large values are drawn on top{ends}."


def coloured_groups(groups: Groups, codes: NDArray[np.int64], counted: NDArray[np.bool_]) -> Categories:
    """Return the groups that have a counted cell as categories of points or of pixels.

    Parameters
    ----------
    codes
        Group of each point or pixel, -1 for none, of any shape.
    counted
        The cells that the legend counts, shape ``(n_cells,)``.
    """
    counts = groups.counts(counted)
    present = np.flatnonzero(counts)
    place = np.full(len(counts) + 1, -1)  # the last one stands for code -1
    place[present] = np.arange(len(present))
    return Categories(
        codes=place[codes],
        labels=tuple(groups.labels[number] for number in present),
        colours=tuple(groups.colours[number] for number in present),
        counts=tuple(int(counts[number]) for number in present),
        title=groups.title,
    )


def read_colours(colour: "pd.Series[Any]") -> CellColours:
    """Read what the cells are coloured by, see `cell_map`."""
    title = one_line(colour.name) if colour.name is not None else ""
    if is_category(colour):
        groups = group_cells(colour)
        nothing: FloatArray = np.zeros(0)
        return CellColours(
            groups=groups, values=nothing, known=groups.codes >= 0, scale="viridis", limits=(0.0, 1.0), title=title,
            missing=str(colour.attrs.get("missing", "")),
        )  # fmt: skip
    values = pd.to_numeric(colour).to_numpy(dtype=np.float64, na_value=np.nan)
    scale, limits = scale_of(colour, values)
    return CellColours(groups=None, values=values, known=np.isfinite(values), scale=scale, limits=limits, title=title)


def scale_of(colour: "pd.Series[Any]", values: FloatArray) -> tuple[ScaleName, tuple[float, float]]:
    """Return the scale of a colouring and the values of its two ends.

    The ends are the 0.5th and the 99.5th percentile, so that one odd cell does not flatten the rest, or those that
    ``colour.attrs["limits"]`` gives.

    Parameters
    ----------
    colour
        As in `cell_map`.
    values
        Its numbers, shape ``(n_cells,)``; NaN where a cell has none.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(end) for end in np.percentile(finite, [0.5, 99.5])) if len(finite) else (0.0, 1.0)
    scale: ScaleName = colour.attrs.get("scale", "signed" if len(finite) and finite.min() < 0 else "expression")
    if "limits" in colour.attrs:
        first, last = colour.attrs["limits"]
        return scale, (float(first), float(last))
    if scale == "signed":
        reach = max(abs(low), abs(high))
        low, high = -reach, reach
    if scale == "expression":
        low = 0.0
    if high <= low:
        high = max(float(finite.max()) if len(finite) else 0.0, low + 1.0)
    return scale, (low, high)


def map_limits(points: FloatArray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the limits of both axes of a map, with a margin; points have shape ``(n_placed, 2)``."""
    if not len(points):
        return (0.0, 1.0), (0.0, 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.04 * max(float((high - low).max()), 1.0)
    (x0, y0), (x1, y1) = low - margin, high + margin
    return (float(x0), float(x1)), (float(y0), float(y1))


def _title(method: str, name: str, *, n_cells: int, n_chosen: int) -> str:
    n = f"{grouped_number(n_chosen)} of {grouped_number(n_cells)}" if n_chosen < n_cells else grouped_number(n_cells)
    return f"{method} coloured by {name}, n = {n} cells"


def _caption(placed: NDArray[np.bool_], drawn: NDArray[np.bool_], colours: CellColours) -> str:
    sentences = [EACH_POINT, colours.sentence()]
    sentences.append(drawn_sentence(int(drawn.sum()), int(placed.sum())))
    sentences.append(unplaced_sentence(placed))
    return " ".join(sentence for sentence in sentences if sentence)


# --- arrows ----------------------------------------------------------------------------------------------------------


def with_arrows(figure: Figure, start: FloatArray, end: FloatArray) -> Figure:
    """Add arrows to a cell map, from ``start`` to ``end``, shape ``(n_arrows, 2)`` each, in the units of the map.

    More than 150 arrows are averaged over the squares of a grid, and the caption says it. Arrows that are shorter
    than 1 % of the map, or have an end without a place, are left out and counted.

    Raises
    ------
    RequestError
        If ``start`` and ``end`` have different shapes.
    """
    start, end = (np.asarray(place, dtype=np.float64).reshape(-1, 2) for place in (start, end))
    if start.shape != end.shape:
        msg = f"Every arrow needs a start and an end, found {len(start):,} starts and {len(end):,} ends."
        raise RequestError(msg, "shape-mismatch")
    panel = figure.panels[0]
    n_all = len(start)
    placed = rows_without_nan(np.hstack([start, end]))
    start, end, sentence = _readable(panel, start[placed], end[placed])
    span = max(abs(panel.x.limits[1] - panel.x.limits[0]), abs(panel.y.limits[1] - panel.y.limits[0]))
    visible = np.hypot(*(end - start).T) >= 0.01 * span
    caption = [figure.caption, sentence, "Arrows have their true length and direction on the map."]
    if (~visible).any():
        caption.append(f"Arrows shorter than 1 % of the map are not drawn: {grouped_number((~visible).sum())}.")
    if not placed.all():
        caption.append(f"Cells without an arrow, because one end has no place: {grouped_number(n_all - placed.sum())}.")
    start, end = start[visible], end[visible]
    arrows = Arrows(x0=start[:, 0], y0=start[:, 1], x1=end[:, 0], y1=end[:, 1], label="from a cell to where it lands")
    marks = (*panel.marks, arrows) if len(start) else panel.marks
    return replace(figure, panels=(replace(panel, marks=marks), *figure.panels[1:]), caption=" ".join(caption))


def _readable(panel: Panel, start: FloatArray, end: FloatArray) -> tuple[FloatArray, FloatArray, str]:
    """Average arrows over the squares of a grid where there are too many."""
    if len(start) <= MAX_ARROWS:
        return start, end, f"Each of the {len(start)} arrows is one cell." if len(start) else "No cell has an arrow."
    for n_squares in (22, 18, 14, 12, 10):
        low = np.array([panel.x.limits[0], panel.y.limits[0]])
        high = np.array([panel.x.limits[1], panel.y.limits[1]])
        square = np.floor((start - low) / (high - low).max() * n_squares).astype(np.int64)
        _, codes, sizes = np.unique(square[:, 0] * 1000 + square[:, 1], return_inverse=True, return_counts=True)
        kept = sizes >= 3 if (sizes >= 3).any() else sizes >= 1
        if kept.sum() <= MAX_ARROWS:
            break
    means = [
        np.column_stack([np.bincount(codes, weights=place[:, side]) / sizes for side in (0, 1)])[kept]
        for place in (start, end)
    ]
    few = " with at least 3 cells" if (sizes >= 3).any() else ""
    sentence = (
        f"Each arrow is the mean over the cells in one square of the map: {grouped_number(sizes[kept].sum())} cells in "
        f"{int(kept.sum())} squares{few}; single cells can move otherwise."
    )
    return means[0], means[1], sentence


# --- selection -------------------------------------------------------------------------------------------------------


def polygon_selection(coordinates: FloatArray, event_selection: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Find the cells inside the lassos and boxes of a selection event, over all cells, drawn or not.

    Parameters
    ----------
    coordinates
        Shape ``(n_cells, 2)``; NaN lies in no polygon.
    event_selection
        The ``selection`` of what ``st.plotly_chart(on_select="rerun")`` returns; several polygons are united.

    Returns
    -------
    True where a cell lies in one, shape ``(n_cells,)``.

    Examples
    --------
    >>> polygon_selection(np.array([[0.5, 0.5], [2.0, 0.5]]), {"box": [{"x": [0, 1], "y": [1, 0]}]})
    array([ True, False])
    """
    coordinates = np.asarray(coordinates, dtype=np.float64).reshape(-1, 2)
    inside = np.zeros(len(coordinates), dtype=bool)
    x, y = np.ascontiguousarray(coordinates.T)
    for polygon in _polygons(event_selection):
        (x0, y0), (x1, y1) = polygon.min(axis=0), polygon.max(axis=0)
        near = np.flatnonzero((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))  # NaN compares as false
        inside[near[_inside(coordinates[near], polygon)]] = True
    return inside


def _polygons(event_selection: Mapping[str, Any]) -> Iterable[FloatArray]:
    for lasso in event_selection.get("lasso") or ():
        corners = np.column_stack([np.asarray(lasso[axis], dtype=np.float64) for axis in ("x", "y")])
        if len(corners) >= 3:
            yield corners
    for box in event_selection.get("box") or ():
        (x0, x1), (y0, y1) = sorted(map(float, box["x"])), sorted(map(float, box["y"]))
        yield np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _inside(points: FloatArray, polygon: FloatArray) -> NDArray[np.bool_]:
    """Count the edges to the right of each point: odd means inside. Sorted by y, an edge touches one run of points."""
    order = np.argsort(points[:, 1], kind="stable")
    x, y = np.ascontiguousarray(points[order].T)
    inside = np.zeros(len(points), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        first, last = np.searchsorted(y, sorted((y0, y1)))
        if first < last:
            run = slice(first, last)
            inside[run] ^= x[run] < x0 + (y[run] - y0) * ((x1 - x0) / (y1 - y0))
    found = np.empty_like(inside)
    found[order] = inside
    return found
