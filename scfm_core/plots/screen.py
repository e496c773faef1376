"""Figures on the screen: a `Figure` drawn by plotly, for a light or a dark page."""

from typing import TYPE_CHECKING

from scfm_core.plots.colours import ThemeName
from scfm_core.plots.figure import Figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure


def to_plotly(figure: Figure, *, theme: ThemeName = "light") -> "PlotlyFigure":
    """Draw a figure with plotly; show it with ``st.plotly_chart(..., theme=None)``, since it carries its own theme.

    The background is transparent. Points that carry their cell have its position in the dataset as ``customdata``.
    """
    raise NotImplementedError
