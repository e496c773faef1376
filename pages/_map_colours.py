"""Colours of cells as the WebGL map takes them: a byte a cell, and what each byte means."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.plots.cell_map import read_colours
from scfm_core.plots.colours import THEMES, ThemeName, scale_colours
from scfm_core.plots.figure import FAINT, INK, MUTED, NO_VALUE, UNSELECTED, FloatArray, plain_number

NO_CODE = 255
_STEPS = 254  # values are told apart in so many steps
_ACCENT = {"light": "#0b5c86", "dark": "#6cb6e0"}
_PANEL = {"light": "#eef3f6", "dark": "#1b242c"}
_N_TICKS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class MapColours:
    """A byte for each cell.

    Attributes
    ----------
    name
        Tells the content.
    codes
        Shape ``(n_cells,)``, uint8: the place of the category, or the step on the scale; 255 for none.
    sentence
        What the colours leave out or bring to the front, for the caption.
    missing_label
        What cells without a code are called.
    labels, colours
        Of the categories; empty where the colours are a scale.
    scale, limits
        The scale's colours from its lower end, and the values of its ends; empty where there are categories.
    """

    name: str
    title: str
    codes: NDArray[np.uint8]
    sentence: str
    missing_label: str
    labels: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    scale: tuple[str, ...] = ()
    limits: tuple[float, float] = (0.0, 1.0)


def colour_codes(name: str, colour: "pd.Series", theme: ThemeName) -> MapColours:
    """Turn one value per cell into one byte per cell."""
    read = read_colours(colour)
    common = {"name": name, "title": read.title or "value", "sentence": read.sentence(), "missing_label": read.no_value}
    if read.groups is not None:
        codes = np.where(read.groups.codes < 0, NO_CODE, read.groups.codes).astype(np.uint8)
        shades = tuple(THEMES[theme].shade(shade) for shade in read.groups.colours)
        return MapColours(codes=codes, labels=read.groups.labels, colours=shades, **common)
    steps = _steps(read.values, *read.limits)
    return MapColours(codes=steps, scale=scale_colours(read.scale, theme), limits=read.limits, **common)


def colour_data(colours: MapColours, points: NDArray[np.float32]) -> dict[str, Any]:
    """Return what the map is told of its colours.

    Parameters
    ----------
    points
        Where the cells stand on the map, shape ``(n_cells, 2)``; names are written at the median of their cells.
    """
    placed = np.isfinite(points[:, 0])
    missing = int((placed & (colours.codes == NO_CODE)).sum())
    common = {"title": colours.title, "missing": missing, "missing_label": colours.missing_label}
    if not colours.scale:
        middles = _middles(colours.codes, points, len(colours.labels))
        counts = np.bincount(colours.codes, minlength=NO_CODE + 1)
        entries = [
            {"label": label, "colour": shade, "count": int(counts[place]), **middles[place]}
            for place, (label, shade) in enumerate(zip(colours.labels, colours.colours, strict=True))
        ]
        return {**common, "kind": "category", "entries": entries, "scale": [], "ticks": []}
    low, high = colours.limits
    places = np.linspace(low, high, _N_TICKS)
    ticks = [[float((value - low) / (high - low)), plain_number(float(value))] for value in places]
    return {**common, "kind": "value", "entries": [], "scale": list(colours.scale), "ticks": ticks}


def theme_colours(theme: ThemeName) -> dict[str, str]:
    """Return the colours of a map beside those of its cells, by the names of its style sheet."""
    shades = THEMES[theme]
    return {
        "background": shades.background,
        "ink": shades.shade(INK),
        "muted": shades.shade(MUTED),
        "faint": shades.shade(FAINT),
        "unselected": shades.shade(UNSELECTED),
        "missing": shades.shade(NO_VALUE),
        "accent": _ACCENT[theme],
        "panel": _PANEL[theme],
    }


def _steps(values: FloatArray, low: float, high: float) -> NDArray[np.uint8]:
    with np.errstate(invalid="ignore"):
        steps = np.clip((values - low) / (high - low) * _STEPS, 0, _STEPS)
    known = np.isfinite(values)
    return np.where(known, np.rint(np.where(known, steps, 0)), NO_CODE).astype(np.uint8)


def _middles(codes: NDArray[np.uint8], points: NDArray[np.float32], n_labels: int) -> list[dict[str, float | None]]:
    """Return the median place of each category's cells, and how far half of them lie from it at most.

    Computed from at most 2,000 cells of each, which moves no name visibly.
    """
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n_labels + 1))
    middles: list[dict[str, float | None]] = []
    for first, last in zip(starts[:-1], starts[1:], strict=True):
        cells = order[first:last][:: max(1, (last - first) // 2000)]
        own = points[cells][np.isfinite(points[cells, 0])]
        if not len(own):
            middles.append({"x": None, "y": None, "reach": None})
            continue
        x, y = (float(value) for value in np.median(own, axis=0))
        middles.append({"x": x, "y": y, "reach": float(np.median(np.hypot(own[:, 0] - x, own[:, 1] - y)))})
    return middles
