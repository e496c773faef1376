"""Colours of cells as the WebGL map takes them: a byte a cell, and what each byte means."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.plots.cell_map import is_category, scale_of
from scfm_core.plots.colours import NOT_ASSIGNED, THEMES, ThemeName, scale_colours
from scfm_core.plots.figure import FAINT, INK, MUTED, NO_VALUE, UNSELECTED, ScaleName, one_line, plain_number
from scfm_core.plots.groups import group_cells

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
    labels, colours
        Of the categories; empty where the colours are a scale.
    scale, limits
        The scale's name, and the values of its ends.
    """

    name: str
    title: str
    codes: NDArray[np.uint8]
    labels: tuple[str, ...]
    colours: tuple[str, ...]
    scale: tuple[str, ...]
    limits: tuple[float, float]
    theme: ThemeName


def colour_codes(name: str, colour: "pd.Series", theme: ThemeName) -> MapColours:
    """Turn one value per cell into one byte per cell."""
    title = one_line(colour.name) if colour.name is not None else "value"
    if is_category(colour):
        groups = group_cells(colour)
        codes = np.where(groups.codes < 0, NO_CODE, groups.codes).astype(np.uint8)
        shades = tuple(THEMES[theme].shade(shade) for shade in groups.colours)
        return MapColours(
            name=name, title=title, codes=codes, labels=groups.labels, colours=shades, scale=(), limits=(0.0, 1.0),
            theme=theme,
        )  # fmt: skip
    values = pd.to_numeric(colour).to_numpy(dtype=np.float32, na_value=np.nan)
    scale, (low, high) = scale_of(colour, values)
    codes = _steps(values, low, high)
    return MapColours(
        name=name, title=title, codes=codes, labels=(), colours=(), scale=_stops(scale, theme), limits=(low, high),
        theme=theme,
    )  # fmt: skip


def colour_data(colours: MapColours, points: NDArray[np.float32], url: str) -> dict[str, Any]:
    """Return what the map is told of its colours.

    Parameters
    ----------
    points
        Where the cells stand on the map, shape ``(n_cells, 2)``; names are written at the median of their cells.
    """
    placed = np.isfinite(points[:, 0])
    missing = int((placed & (colours.codes == NO_CODE)).sum())
    common = {"url": url, "title": colours.title, "missing": missing}
    if not colours.scale:
        middles = _middles(colours.codes, points, len(colours.labels))
        counts = np.bincount(colours.codes, minlength=NO_CODE + 1)
        entries = [
            {"label": label, "colour": shade, "count": int(counts[place]), "x": middles[place][0], "y": middles[place][1]}
            for place, (label, shade) in enumerate(zip(colours.labels, colours.colours, strict=True))
        ]
        return {**common, "kind": "category", "entries": entries, "scale": [], "ticks": [],
                "missing_label": NOT_ASSIGNED}  # fmt: skip
    low, high = colours.limits
    places = np.linspace(low, high, _N_TICKS)
    ticks = [[float((value - low) / (high - low)), plain_number(float(value))] for value in places]
    return {**common, "kind": "value", "entries": [], "scale": list(colours.scale), "ticks": ticks,
            "missing_label": "no value"}  # fmt: skip


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


def _steps(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    with np.errstate(invalid="ignore"):
        steps = np.clip((values - low) / (high - low) * _STEPS, 0, _STEPS)
    known = np.isfinite(values)
    return np.where(known, np.rint(np.where(known, steps, 0)), NO_CODE).astype(np.uint8)


def _stops(scale: ScaleName, theme: ThemeName) -> tuple[str, ...]:
    return scale_colours(scale, theme)


def _middles(
    codes: NDArray[np.uint8], points: NDArray[np.float32], n_labels: int
) -> list[tuple[float | None, float | None]]:
    """Return the median place of each category's cells; of at most 2,000 of them, which moves no name visibly."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n_labels + 1))
    middles: list[tuple[float | None, float | None]] = []
    for first, last in zip(starts[:-1], starts[1:], strict=True):
        cells = order[first:last][:: max(1, (last - first) // 2000)]
        own = points[cells][np.isfinite(points[cells, 0])]
        middles.append((float(np.median(own[:, 0])), float(np.median(own[:, 1]))) if len(own) else (None, None))
    return middles
