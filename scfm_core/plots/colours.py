"""Colours of categories and colour scales, each with a light and a dark form."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from scfm_core.plots.figure import FAINT, INK, MUTED, NO_VALUE, UNSELECTED, ScaleName

ThemeName = Literal["light", "dark"]

# The first eight: Okabe and Ito 2008, "Color Universal Design". The others were chosen one by one as the sRGB colour
# farthest (CIELAB distance, the smallest of normal, protanope and deuteranope sight after Machado 2009,
# doi:10.1109/TVCG.2009.113) from all before it and from the greys below, at a contrast of at least 1.7 on white.
CYCLE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000",
    "#1830C0", "#843018", "#90D884", "#1884FC", "#0048A8", "#6C3078", "#E41848", "#FC8454",
    "#84CC9C", "#249CF0", "#A83C00", "#78CCE4", "#905484", "#00783C", "#1860F0", "#FC186C",
    "#306CCC", "#A80060", "#FCB454", "#9C84C0", "#78C0A8", "#2454CC",
)  # fmt: skip
MAX_CATEGORIES = 30
OTHER = "other"
NOT_ASSIGNED = "not assigned"


@dataclass(frozen=True, kw_only=True)
class Theme:
    """What changes between a light and a dark page; everything else has one colour on both."""

    name: ThemeName
    background: str
    swaps: Mapping[str, str] = field(default_factory=dict)

    def shade(self, colour: str) -> str:
        """Return the colour as it is drawn under this theme."""
        return self.swaps.get(colour, colour)


LIGHT = Theme(name="light", background="#FFFFFF")
DARK = Theme(
    name="dark",
    background="#0E1117",
    swaps={INK: "#F2F4F7", MUTED: "#AEB4BE", FAINT: "#2E333D", UNSELECTED: "#3A404B", NO_VALUE: "#737B88"},
)
THEMES: Mapping[ThemeName, Theme] = {"light": LIGHT, "dark": DARK}

# ColorBrewer's RdBu with a middle that a point on white paper can be seen in
_SCALES: Mapping[ScaleName, tuple[str, ...]] = {
    "expression": ("#DADADA", "#B9A3CB", "#8F63B3", "#64289A", "#3A0068"),
    "signed": ("#2166AC", "#67A9CF", "#C3DCEB", "#E9E9E9", "#F9CDB5", "#EF8A62", "#B2182B"),
    "viridis": ("#440154", "#414487", "#2A788E", "#22A884", "#7AD151", "#FDE725"),
    "cividis": ("#00224E", "#35456C", "#666970", "#948E77", "#C8B866", "#FEE838"),
}
_DARK_SCALES: Mapping[ScaleName, tuple[str, ...]] = {  # nothing must end in the background
    "expression": ("#3A404B", "#5B4878", "#8757B4", "#B77FE6", "#EBCBFF"),
    "signed": ("#7FC4FF", "#4A90D0", "#2F4F73", "#2A2F39", "#73423B", "#D0664F", "#FF9C84"),
    "cividis": ("#1F4A94", "#4C5B7F", "#737679", "#9C9679", "#CBBB68", "#FEE838"),
    "viridis": ("#5B2A86", "#4C5496", "#2F8296", "#22A884", "#7AD151", "#FDE725"),
}


def category_colours(labels: Iterable[object]) -> dict[str, str]:
    """Give each label its colour, in sorted order, numbers as numbers.

    Pass all labels of the column, also those without a cell in view: then a label has the same colour everywhere.

    Parameters
    ----------
    labels
        Any values; they are compared as text. Empty ones are no labels and get no colour.

    Returns
    -------
    Label -> hex colour, in the order of the legend.

    Examples
    --------
    >>> list(category_colours(["10", "2", "1", "2"]))
    ['1', '2', '10']
    >>> category_colours(["T", "B"])
    {'B': '#0072B2', 'T': '#E69F00'}
    """
    names = sorted({str(label) for label in labels} - {""}, key=natural_order)
    return {name: CYCLE[place % len(CYCLE)] for place, name in enumerate(names)}


def natural_order(label: str) -> tuple[tuple[bool, float, str], ...]:
    """Return the key that sorts labels as a person does: 2 before 10, upper and lower case together.

    Examples
    --------
    >>> sorted(["B10", "b2", "A"], key=natural_order)
    ['A', 'b2', 'B10']
    """
    parts = re.split(r"([0-9]+(?:\.[0-9]+)?)", label)
    numbered = tuple(
        (False, float(part), "") if place % 2 else (True, 0.0, part.casefold()) for place, part in enumerate(parts)
    )
    return (*numbered, (True, 0.0, label))


def scale_colours(scale: ScaleName, theme: ThemeName = "light") -> tuple[str, ...]:
    """Return the colours of a scale from its lower to its upper end, evenly spaced, to be blended between."""
    return (_DARK_SCALES if theme == "dark" else _SCALES)[scale]
