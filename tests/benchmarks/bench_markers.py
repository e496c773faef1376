"""Time of marker genes on the PBMC 3k demo: ours, and the call of scanpy that a user would write; in one run.

    python tests/benchmarks/bench_markers.py
"""

import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.grouping import ByColumn
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.intake.demo import open_demo
from scfm_core.store import Store

N_RUNS = 2


def ours(dataset: Dataset, method: str, folder: Path) -> tuple[float, np.ndarray]:
    """Return the seconds from question to stored answer, and the p-values of the first group by gene id."""
    engine = Engine(Store(folder), ThreadExecutor(["cpu"]))
    start = time.perf_counter()
    table = engine.compute(FindMarkers(dataset, ByColumn("cell_type"), method)).table
    seconds = time.perf_counter() - start
    engine.close()
    first = table[table["group"] == table["group"].iloc[0]]
    return seconds, first.set_index("gene_id")["p_value"].sort_index().to_numpy()


def scanpys(dataset: Dataset, method: str) -> tuple[float, np.ndarray]:
    """Return the seconds of the same analysis as scanpy's tutorial does it, with the correction for ties."""
    import anndata
    import scanpy

    counts = dataset.counts()
    data = anndata.AnnData(counts.matrix.astype(np.float32), obs=dataset.cells())
    data.var_names = list(dataset.gene_ids)
    start = time.perf_counter()
    scanpy.pp.normalize_total(data, target_sum=1e4)
    scanpy.pp.log1p(data)
    scanpy.pp.filter_genes(data, min_cells=3)
    ties = {"tie_correct": True} if method == "wilcoxon" else {}
    scanpy.tl.rank_genes_groups(data, "cell_type", method=method, pts=True, **ties)
    seconds = time.perf_counter() - start
    group = min(data.obs["cell_type"].astype(str))
    return seconds, scanpy.get.rank_genes_groups_df(data, group).set_index("names")["pvals"].sort_index().to_numpy()


def main() -> None:
    """Print both times and their ratio for each test."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as root:
        dataset = open_demo("pbmc3k", Path(root) / "datasets")
        n_groups = dataset.cells()["cell_type"].nunique()
        print(f"{dataset.n_cells:,} cells, {dataset.n_genes:,} genes, {n_groups} groups; best of {N_RUNS} (first)")
        for method in ("wilcoxon", "t-test"):
            own = [ours(dataset, method, Path(root) / f"{method}{run}") for run in range(N_RUNS)]
            theirs = [scanpys(dataset, method) for _ in range(N_RUNS)]
            best = min(seconds for seconds, _ in own), min(seconds for seconds, _ in theirs)
            largest = np.nanmax(np.abs(own[0][1] - theirs[0][1]))
            print(
                f"{method}: ours {best[0]:.1f} s ({own[0][0]:.1f}), scanpy {best[1]:.1f} s ({theirs[0][0]:.1f}); "
                f"ratio {best[0] / best[1]:.2f}; p-values differ by {largest:.1e} at most"
            )


if __name__ == "__main__":
    main()
