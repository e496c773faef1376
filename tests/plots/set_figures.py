"""Figures of gene sets and gates, from small tables, for the tests that hold for all figures."""

import numpy as np
import pandas as pd

from scfm_core.gates import GateAxis, quadrants
from scfm_core.plots.figure import Figure
from scfm_core.plots.gate import gate_scatter
from scfm_core.plots.set_scores import set_score_violins

N_CELLS = 200


def gate_axes() -> tuple[GateAxis, GateAxis, GateAxis]:
    """A gene with many zeros, another with some cells unknown, and counts on a log axis."""
    random = np.random.default_rng(3)
    gene, other = (np.where(random.random(N_CELLS) < 0.6, 0.0, random.gamma(4.0, 0.4, N_CELLS)) for _ in range(2))
    other[:3] = np.nan
    counts = random.poisson(30, N_CELLS) * (random.random(N_CELLS) > 0.1)
    return (
        GateAxis(name="CD3D", title="CD3D, ln(1 + counts per 10,000)", values=gene, seed=1),
        GateAxis(name="MS4A1", title="MS4A1, ln(1 + counts per 10,000)", values=other, seed=2),
        GateAxis(name="counts", title="Counts per cell (UMI)", values=counts.astype(float), log=True, seed=2),
    )


def kinds() -> pd.Series:
    return pd.Series(pd.Categorical([("B", "T", None)[place % 3] for place in range(N_CELLS)]), name="cell type")


def set_figures() -> dict[str, Figure]:
    x, y, counts = gate_axes()
    scores = np.random.default_rng(4).normal(size=N_CELLS)
    scores[5] = np.nan
    donors = pd.DataFrame(
        {"group": ["B", "B", "T"], "donor": ["d1", "d2", "d1"], "n_cells": [30, 36, 60], "mean": [0.4, 0.2, -0.1]}
    )
    triangle = np.array([[0.2, 0.2], [3.0, 0.2], [1.0, 2.0]])
    parted = ((0.0, 0.0), quadrants(x, y, (0.0, 0.0)))
    selected = np.arange(N_CELLS) < 150
    return {
        "gate": gate_scatter(x, y, kinds(), parted=parted, outlines=[triangle]),
        "gate of counts": gate_scatter(x, counts, selected=selected),
        "gate coloured by values": gate_scatter(x, counts, pd.Series(scores, name="a score"), selected=selected),
        "gene set by group": set_score_violins(scores, kinds(), donors, name="B cells"),
        "gene set without donors": set_score_violins(scores, kinds(), donors.iloc[:0], name="B cells"),
    }
