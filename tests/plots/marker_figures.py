"""Figures of markers from small tables, for the tests that hold for every figure."""

import numpy as np
import pandas as pd

from scfm_core.analyses.sample_expression import SampledExpression
from scfm_core.analyses.summarise_groups import GroupExpression
from scfm_core.plots.donor_strips import donor_strips
from scfm_core.plots.dot_plot import dot_plot
from scfm_core.plots.figure import Figure
from scfm_core.plots.marker_heat_map import marker_heat_map
from scfm_core.plots.marker_violins import marker_violins
from scfm_core.plots.matrix_plot import matrix_plot
from scfm_core.plots.volcano import volcano

GROUPS = ("B", "CD8 T", "NK")
SYMBOLS = ("CD3D", "NKG7", "LYZ")


def sample(n_cells: int = 90, n_genes: int = 3, n_groups: int = 3) -> SampledExpression:
    """Cells of equally large groups, of which as many again were not drawn."""
    random = np.random.default_rng(2)
    values = np.log1p(random.poisson(random.choice([0.3, 2.0, 5.0], n_genes), (n_cells, n_genes))).astype(np.float32)
    codes = np.sort(np.arange(n_cells) % n_groups)
    return SampledExpression(
        groups=GROUPS if n_groups == 3 else tuple(f"group {place}" for place in range(n_groups)),
        n_cells=2 * np.bincount(codes),
        cells=np.arange(n_cells),
        codes=codes,
        symbols=SYMBOLS if n_genes == 3 else tuple(f"GENE{place}" for place in range(n_genes)),
        values=values,
    )


def summary(n_cells: int = 90, n_genes: int = 3, n_groups: int = 3) -> GroupExpression:
    """Means over all cells of a sample that left none out."""
    drawn = sample(n_cells, n_genes, n_groups)
    members = [drawn.codes == place for place in range(n_groups)]
    return GroupExpression(
        groups=drawn.groups,
        n_cells=np.bincount(drawn.codes),
        symbols=drawn.symbols,
        means=np.stack([drawn.values[cells].mean(axis=0) for cells in members]).astype(np.float64),
        shares=np.stack([(drawn.values[cells] > 0).mean(axis=0) for cells in members]),
    )


def marker_table() -> pd.DataFrame:
    """300 genes of one group; one with p = 0, one without p."""
    random = np.random.default_rng(4)
    table = pd.DataFrame({"group": "B", "symbol": [f"GENE{place}" for place in range(300)]})
    table["gene_id"] = [f"ENSG{place:011d}" for place in range(300)]
    table["log2_fold_change"] = random.normal(0, 1.5, 300)
    table["p_adjusted"] = np.minimum(1.0, 10.0 ** -(random.gamma(1, 4, 300) * np.abs(table["log2_fold_change"])))
    table.loc[0, ["log2_fold_change", "p_adjusted"]] = [4.0, 0.0]
    table.loc[1, "p_adjusted"] = np.nan
    return table.assign(n_in=40, n_out=2660)


def donor_values(n_genes: int = 6) -> pd.DataFrame:
    """Five donors, four with both sides."""
    random = np.random.default_rng(5)
    rows = [
        {"symbol": f"GENE{gene}", "donor": f"donor {donor}", "side": side, "log2_counts": random.gamma(4, 1.5)}
        for gene in range(n_genes)
        for donor in range(5)
        for side in ("in", "out")
        if donor or side == "in"
    ]
    return pd.DataFrame(rows)


def marker_figures() -> dict[str, Figure]:
    donors = marker_table().assign(n_donors_in=4, n_donors_out=4)
    return {
        "dot plot": dot_plot(summary(), groups_are="cell type"),
        "dot plot of many genes": dot_plot(summary(900, 90, 9), groups_are="cluster"),
        "violins": marker_violins(sample(), groups_are="cell type"),
        "matrix plot": matrix_plot(summary(), groups_are="cell type"),
        "matrix plot of many genes": matrix_plot(summary(900, 60, 20), scale="per gene"),
        "matrix plot of scores": matrix_plot(summary(), scale="z-score"),
        "heat map of cells": marker_heat_map(sample(), standardise=False, groups_are="cell type"),
        "heat map of scores": marker_heat_map(sample(3000, 30)),
        "volcano": volcano(marker_table(), "B"),
        "volcano of donors": volcano(donors, "B", picked=("ENSG00000000007",)),
        "donors of genes": donor_strips(donor_values(), inside="stim", outside="ctrl"),
        "donors of a gene": donor_strips(donor_values(1), inside="stim", outside="ctrl"),
    }
