"""Figures of marker genes: dot plot, violins, heat map and volcano."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.plots.figure import Figure, FloatArray


def dot_plot(values: FloatArray, symbols: Sequence[str], groups: "pd.Series | NDArray[np.str_]") -> Figure:
    """Draw, for each group and gene, the share of cells that express it (size) and the mean expression (colour).

    Parameters
    ----------
    values
        ln(1 + counts per 10,000), shape ``(n_cells, n_genes)``.
    symbols
        Names of the genes, length ``n_genes``.
    groups
        Group of each cell, length ``n_cells``; "" is no group. A categorical keeps its order and colours.
    """
    raise NotImplementedError


def marker_violins(values: FloatArray, symbols: Sequence[str], groups: "pd.Series | NDArray[np.str_]") -> Figure:
    """Draw a row per gene and a violin per group; the parameters are those of `dot_plot`."""
    raise NotImplementedError


def heat_map(
    values: FloatArray,
    symbols: Sequence[str],
    groups: "pd.Series | NDArray[np.str_]",
    *,
    rows: Literal["groups", "cells"] = "groups",
    standardise: bool = True,
) -> Figure:
    """Draw genes over groups (means) or over cells sorted by group (at most 2,000, sampled evenly by group).

    With ``standardise`` each gene is shown as z-score (signed colours), else as it is. The other parameters are those
    of `dot_plot`.
    """
    raise NotImplementedError


def volcano(
    table: pd.DataFrame,
    group: str,
    *,
    max_p_adjusted: float = 0.05,
    min_log2_fold_change: float = 1.0,
    n_labels: int = 12,
) -> Figure:
    """Draw fold change against adjusted p of every gene tested for one group of a table of `FindMarkers`."""
    raise NotImplementedError
