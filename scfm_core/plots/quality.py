"""Figures of the quality of cells: counts, genes and mitochondrial share, with the thresholds."""

from typing import TYPE_CHECKING

import pandas as pd

from scfm_core.plots.figure import Figure

if TYPE_CHECKING:
    from scfm_core.analyses.measure_quality import Thresholds


def quality_scatter(table: pd.DataFrame, thresholds: "Thresholds") -> Figure:
    """Draw genes over counts, one point a cell, coloured by mitochondrial share, with the thresholds as lines."""
    raise NotImplementedError


def quality_violins(table: pd.DataFrame, column: str, thresholds: "Thresholds") -> Figure:
    """Draw one column of the quality table as a violin per sample, with its thresholds as lines."""
    raise NotImplementedError
