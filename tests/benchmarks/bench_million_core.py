"""A million cells in the core: opening, colours, markers; with the memory each takes, and scanpy beside it, in one run.

    python -m tests.benchmarks.bench_million_core --workspace FOLDER [--cells 1000000] [--genes 20000] [--subset 100000]

Each step runs in a process of its own, so that its memory is its own. scanpy would need the whole matrix in memory, so
it is asked about a part of the cells, and so are we, beside the whole. The dataset is that of `million_cells`.
"""

import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.grouping import BySelections
from scfm_core.analyses.read_expression import log_expression
from scfm_core.cell_set import CellSet
from scfm_core.cluster import DaskExecutor, start_cluster
from scfm_core.dataset import Dataset, list_datasets, open_dataset, subset_dataset
from scfm_core.engine import Engine, Executor, ThreadExecutor
from scfm_core.store import Store
from scfm_core.workspace import Workspace
from tests.benchmarks.million_cells import build_million

GENES = ("LYZ", "MALAT1", "CD3D", "NKG7", "MS4A1")
SHARE_SELECTED = 0.3
_METHODS = ("wilcoxon", "t-test")


def selected(dataset: Dataset) -> CellSet:
    """Return three tenths of the cells: those of some types, and others until there are enough."""
    wanted = dataset.cell_column("cell_type").isin(["CD14+ monocyte", "FCGR3A+ monocyte", "Dendritic"]).to_numpy()
    order = np.argsort(~wanted, kind="stable")[: int(SHARE_SELECTED * dataset.n_cells)]
    return CellSet.from_positions("selection", order.tolist(), dataset.n_cells)


def seconds_of(work: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def opening(path: Path) -> dict[str, float]:
    """Open the dataset as the app does, and colour its cells."""
    found = {"list and open": seconds_of(lambda: list_datasets(path.parent))}
    dataset = open_dataset(path)
    found["cell table"] = seconds_of(dataset.cells)
    ids = dict(zip(dataset.gene_symbols, dataset.gene_ids, strict=True))
    for word in ("first", "again"):
        times = [seconds_of(lambda gene=gene: log_expression(dataset, ids[gene])) for gene in GENES]
        found[f"colour by gene, {word} (slowest of {len(GENES)})"] = max(times)
    found["colour by category"] = seconds_of(lambda: dataset.cell_column("cell_type").cat.codes.to_numpy())
    return found


def markers(path: Path, method: str) -> dict[str, float]:
    """Ask for the markers of the selection against the rest, on a thread of this process."""
    return {"": ask(path, method, ThreadExecutor(["cpu"]))}


def ask(path: Path, method: str, executor: Executor) -> float:
    """Return the seconds from question to stored answer."""
    dataset = open_dataset(path)
    request = FindMarkers(dataset, BySelections((selected(dataset),)), method)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Store(Path(folder)), executor)
        seconds = seconds_of(lambda: engine.compute(request))
        engine.close()
    return seconds


def scanpys(path: Path, method: str) -> dict[str, float]:
    """Ask scanpy the same, with the correction for ties; the time of reading and normalising is not counted."""
    warnings.simplefilter("ignore")
    import anndata
    import scanpy

    dataset = open_dataset(path)
    data = anndata.AnnData(dataset.counts().matrix.astype(np.float32))
    data.obs["selected"] = np.where(selected(dataset).mask, "in", "out")
    scanpy.pp.normalize_total(data, target_sum=1e4)
    scanpy.pp.log1p(data)
    scanpy.pp.filter_genes(data, min_cells=3)
    ties = {"tie_correct": True} if method == "wilcoxon" else {}
    arguments = {"groups": ["in"], "method": method, "pts": True, **ties}
    return {"": seconds_of(lambda: scanpy.tl.rank_genes_groups(data, "selected", **arguments))}


def most_memory() -> float:
    """Return the most memory that this process held, mapped files included, in GB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**20


def _measured(pipe: Any, work: Callable[..., dict[str, float]], arguments: tuple[Any, ...]) -> None:
    found = work(*arguments)
    pipe.send((found, time.process_time(), most_memory()))


def measured(work: Callable[..., dict[str, float]], *arguments: Any) -> tuple[dict[str, float], float, float]:
    """Run work in a new process; return its seconds, the processor's seconds, and its most memory in GB."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(sender, work, arguments))
    process.start()
    sender.close()
    found: tuple[dict[str, float], float, float] = receiver.recv()
    process.join()
    return found


def part_of(dataset: Dataset, n_cells: int) -> Dataset:
    """Return a dataset of some of the cells, beside the whole."""
    keep = np.zeros(dataset.n_cells, dtype=bool)
    keep[np.linspace(0, dataset.n_cells - 1, n_cells).astype(int)] = True
    return subset_dataset(dataset, keep, title=f"{n_cells:,} of the made-up cells", note="For a benchmark.")


def on_a_cluster(dataset: Dataset, workspace: Path, method: str) -> float:
    """Ask for the markers on a Dask cluster of one worker."""
    with start_cluster(1, workspace=Workspace(workspace)) as cluster:
        return ask(dataset.path, method, DaskExecutor(cluster.address))


def compare(whole: Dataset, part: Dataset, workspace: Path) -> None:
    """Print what the markers take: ours of all cells, and ours and scanpy's of a part of them."""
    for method in _METHODS:
        print(f"\nMarkers of {SHARE_SELECTED:.0%} of the cells against the rest, {method}:")
        for name, work, dataset in (
            ("ours, all", markers, whole),
            ("ours, part", markers, part),
            ("scanpy, part", scanpys, part),
        ):
            seconds, processor, gigabytes = measured(work, dataset.path, method)
            print(
                f"{name} ({dataset.n_cells:,} cells): {seconds['']:.1f} s; the whole process {processor:.1f} s of "
                f"processor time, {gigabytes:.2f} GB of memory at most",
                flush=True,
            )
        print(f"ours, all, on a Dask cluster: {on_a_cluster(whole, workspace, method):.1f} s", flush=True)


def main() -> None:
    """Print what each step takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--subset", type=int, default=100_000)
    asked = parser.parse_args()
    whole = build_million(asked.workspace, asked.cells, asked.genes)
    load = os.getloadavg()[0]
    print(f"{whole.n_cells:,} cells x {whole.n_genes:,} genes, {whole.cells_per_gene.sum():,} stored counts")
    print(f"{os.cpu_count()} cores; load of the machine before we began: {load:.1f}")
    found, _, gigabytes = measured(opening, whole.path)
    for name, seconds in found.items():
        print(f"{name}: {1000 * seconds:.0f} ms")
    print(f"most memory of the process so far: {gigabytes:.2f} GB")
    part = part_of(whole, asked.subset)
    try:
        compare(whole, part, asked.workspace)
    finally:
        shutil.rmtree(part.path)


if __name__ == "__main__":
    main()
