"""Figures for print: a `Figure` drawn by matplotlib as SVG, PDF or PNG, with text that stays text."""

from scfm_core.plots.figure import Figure


def to_svg(figure: Figure) -> bytes:
    """Draw a figure as SVG."""
    raise NotImplementedError


def to_pdf(figure: Figure) -> bytes:
    """Draw a figure as PDF with embedded TrueType fonts."""
    raise NotImplementedError


def to_png(figure: Figure, dpi: int = 300) -> bytes:
    """Draw a figure as PNG."""
    raise NotImplementedError
