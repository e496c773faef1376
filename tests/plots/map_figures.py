"""Figures of maps and of embeddings compared, from small tables, for the tests that hold for all figures."""

import numpy as np
import pandas as pd

from scfm_core.analyses.compare_neighbors import NeighborComparison, nearest_others, share_in_both
from scfm_core.analyses.neighbor_tables import kept_by_donor, kept_by_group, mixing_by_group, neighbor_composition
from scfm_core.plots.cell_density import cell_density
from scfm_core.plots.cell_map_3d import cell_map_3d, flat_views
from scfm_core.plots.cell_map_facets import cell_map_facets
from scfm_core.plots.figure import Figure, Space
from scfm_core.plots.neighbor_change import neighbor_change
from scfm_core.plots.neighbor_overlap import neighbor_mixing, overlap_by_group

N_CELLS = 240
NAMES = {"first": "PCA (baseline)", "second": "scFM mini"}


def places(n_dimensions: int = 2, n_cells: int = N_CELLS) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n_cells, n_dimensions)) * [3.0, 2.0, 1.5][:n_dimensions]


def kinds(n_cells: int = N_CELLS) -> pd.Series:
    return pd.Series([("B", "CD8 T", "NK", "")[place % 4] for place in range(n_cells)], name="cell type")


def batches(n_cells: int = N_CELLS, n_batches: int = 3) -> pd.Series:
    return pd.Series([f"batch {place % n_batches}" for place in range(n_cells)], name="batch")


def gene(n_cells: int = N_CELLS) -> pd.Series:
    counts = np.random.default_rng(2).poisson(1.0, n_cells)
    return pd.Series(np.log1p(counts), name="LYZ, ln(1 + counts per 10,000)")


def comparison(n_cells: int = N_CELLS, n_neighbors: int = 20) -> NeighborComparison:
    random = np.random.default_rng(3)
    shift = 3.0 * (kinds(n_cells) == "NK").to_numpy()[:, None]
    first = (random.normal(size=(n_cells, 6)) + shift).astype(np.float32)
    second = (first + 0.6 * random.normal(size=first.shape)).astype(np.float32)
    cells = np.arange(n_cells)
    one, two = (nearest_others(points, cells, n_neighbors=n_neighbors) for points in (first, second))
    return NeighborComparison(
        cells=cells,
        cells_in_second=cells,
        pool=cells,
        neighbors_first=one.astype(np.int32),
        neighbors_second=two.astype(np.int32),
        share_kept=share_in_both(one, two),
        share_by_chance=n_neighbors / (n_cells - 1),
        n_neighbors=n_neighbors,
    )


def space(**fields: object) -> Space:
    return cell_map_3d(places(3), kinds(), **fields)


def map_figures() -> dict[str, Figure]:
    answer, labels = comparison(), kinds().to_numpy(str)
    donors, selected = batches().to_numpy(str), places()[:, 0] > 0
    mixing = mixing_by_group(answer, donors)
    within = mixing_by_group(answer, donors, within=labels)
    kept = kept_by_group(answer, labels)
    return {
        "density": cell_density(places()),
        "density of a selection": cell_density(places(), selected=selected),
        "density of types": cell_density(places(), kinds()),
        "density of a gene": cell_density(places(), gene(), selected=selected, method="tsne"),
        "facets": cell_map_facets(places(), kinds(), batches()),
        "facets of a gene": cell_map_facets(places(), gene(), batches(n_batches=5), selected=selected),
        "flat views": flat_views(space(selected=selected)),
        "kept neighbours": overlap_by_group(kept, **NAMES, n_neighbors=20),
        "kept neighbours of donors": overlap_by_group(
            kept, **NAMES, n_neighbors=20, donors=kept_by_donor(answer, labels, donors)
        ),
        "mixing": neighbor_mixing(mixing, **NAMES, column="batch"),
        "mixing within types": neighbor_mixing(within, **NAMES, column="batch", within="cell type"),
        "change of neighbours": neighbor_change(neighbor_composition(answer, labels), **NAMES, column="cell type"),
    }
