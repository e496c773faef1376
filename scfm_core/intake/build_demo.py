"""Makes ``assets/demo/pbmc3k.h5ad`` from the wheel of desc 2.1.1: raw counts, and cell types by clusters and markers.

Run it as ``python -m scfm_core.intake.build_demo WHEEL OUT``; the application never does.
"""

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.intake.desc_wheel import RawCounts, read_desc_wheel

MARKERS = {
    "CD4 T naive": ("CCR7", "LEF1", "TCF7", "MAL", "FHIT"),
    "CD4 T memory": ("IL7R", "CD40LG", "AQP3", "TNFRSF4", "LTB", "IL32", "S100A4"),
    "CD8 T": ("CD8A", "CD8B", "GZMK", "CCL5", "KLRG1"),
    "NK": ("GNLY", "GZMB", "SPON2", "FGFBP2", "KLRF1", "PRF1"),
    "B": ("MS4A1", "CD79A", "CD79B", "TCL1A", "VPREB3"),
    "CD14+ monocyte": ("CD14", "S100A8", "S100A9", "S100A12", "LYZ", "FOLR3"),
    "FCGR3A+ monocyte": ("FCGR3A", "MS4A7", "CDKN1C", "RHOC", "HES4"),
    "Dendritic": ("FCER1A", "CLEC10A", "CD1C", "ENHO"),
    "Megakaryocyte": ("PPBP", "PF4", "GNG11", "TUBB1", "GP9"),
}
N_VARIABLE_GENES = 2000
N_COMPONENTS = 20
N_NEIGHBORS = 15
RESOLUTION = 1.0
SEED = 0


@dataclass(frozen=True)
class Annotation:
    """Which cluster and which cell type each cell belongs to.

    Attributes
    ----------
    clusters
        Shape ``(n_cells,)``.
    scores
        Mean standardised expression of each marker set (columns) in each cluster (rows).
    """

    clusters: NDArray[np.int64]
    scores: pd.DataFrame

    @property
    def cell_types(self) -> NDArray[np.str_]:
        """The marker set that scores best in the cell's cluster, shape ``(n_cells,)``."""
        return np.asarray(self.scores.idxmax(axis="columns"), dtype=np.str_)[self.clusters]

    @property
    def margins(self) -> NDArray[np.float64]:
        """How far the best score of each cluster lies above its second, in standard deviations, ``(n_clusters,)``."""
        ordered = np.sort(self.scores.to_numpy(), axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2], dtype=np.float64)


def annotate(raw: RawCounts) -> Annotation:
    """Cluster the cells and name each cluster by the marker set that scores best in it.

    Counts per 10,000, ln(1 + x), 2,000 highly variable genes, 20 principal components, 15 neighbours, Leiden at
    resolution 1. The score of a marker set in a cluster is the mean, over its genes and the cluster's cells, of the log
    expression standardised over all cells.
    """
    import scanpy as sc

    data = _as_anndata(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third-party deprecations
        sc.pp.filter_genes(data, min_cells=3)
        sc.pp.normalize_total(data, target_sum=1e4)
        sc.pp.log1p(data)
        sc.pp.highly_variable_genes(data, n_top_genes=N_VARIABLE_GENES)
        variable = data[:, data.var["highly_variable"].to_numpy()].copy()
        sc.pp.pca(variable, n_comps=N_COMPONENTS, random_state=SEED)
        sc.pp.neighbors(variable, n_neighbors=N_NEIGHBORS, random_state=SEED)
        sc.tl.leiden(
            variable, resolution=RESOLUTION, flavor="igraph", n_iterations=-1, directed=False, random_state=SEED
        )
    clusters = variable.obs["leiden"].astype(int).to_numpy()
    return Annotation(clusters, _marker_scores(data, clusters))


def build(wheel: Path, out: Path) -> Annotation:
    """Write the demo file ``out`` and return how its cells were named."""
    import anndata
    import h5py

    raw = read_desc_wheel(wheel)
    annotation = annotate(raw)
    data = _as_anndata(raw)
    data.X = raw.matrix
    data.obs["cell_type"] = pd.Categorical(annotation.cell_types, categories=list(MARKERS))
    data.obs["cluster"] = pd.Categorical(annotation.clusters.astype(str))
    data.obs["batch"] = pd.Categorical(["PBMC 3k"] * data.n_obs)
    data.obs["donor"] = pd.Categorical(["donor 1"] * data.n_obs)
    compact = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    with h5py.File(out, "w") as file:
        anndata.io.write_elem(file, "/", data, dataset_kwargs=compact)
    return annotation


def _as_anndata(raw: RawCounts) -> Any:
    import anndata

    symbols = pd.Index(raw.genes["gene_symbols"].astype(str), name=None)
    var = pd.DataFrame({"gene_ids": raw.genes["gene_ids"].to_numpy()}, index=anndata.utils.make_index_unique(symbols))
    return anndata.AnnData(raw.matrix.astype(np.float32), obs=pd.DataFrame(index=pd.Index(raw.barcodes)), var=var)


def _marker_scores(data: Any, clusters: NDArray[np.int64]) -> pd.DataFrame:
    genes = [gene for markers in MARKERS.values() for gene in markers]
    values = data[:, genes].X.toarray().astype(np.float64)
    standardised = pd.DataFrame((values - values.mean(axis=0)) / values.std(axis=0), columns=genes)
    by_cluster = standardised.groupby(clusters).mean()
    return pd.DataFrame({name: by_cluster[list(markers)].mean(axis=1) for name, markers in MARKERS.items()})


if __name__ == "__main__":
    made = build(Path(sys.argv[1]), Path(sys.argv[2]))
    table = made.scores.assign(n_cells=np.bincount(made.clusters), margin=made.margins)
    sys.stdout.write(table.round(2).to_string() + "\n")
