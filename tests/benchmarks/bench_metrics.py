"""Time and memory of the metrics of one embedding: simulated vectors, cells by number, both families.

    python tests/benchmarks/bench_metrics.py [--cells 3000 100000] [--dimensions 50] [--library]

Each number of cells runs in a process of its own, so that the largest memory is that of its run.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from scfm_core.analyses.embed_cells import EmbedCells, Embedding
from scfm_core.analyses.grouping import ByColumn
from scfm_core.analyses.score_embedding import ScoreEmbedding
from scfm_core.analyses.transfer_labels import TransferLabels
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.registry import find_model
from scfm_core.store import Store
from tests.analyses.planted import bag_card, dataset_of

N_TYPES, N_BATCHES = 12, 4
N_RESAMPLES = 20


def simulated(root: Path, n_cells: int, n_dimensions: int) -> tuple[Dataset, np.ndarray]:
    """Return cells of twelve types in four batches, and vectors in which they overlap."""
    rng = np.random.default_rng(0)
    types, batches = rng.integers(0, N_TYPES, n_cells), rng.integers(0, N_BATCHES, n_cells)
    points = rng.standard_normal((N_TYPES, n_dimensions))[types] + 0.3 * rng.standard_normal((N_BATCHES, 1))[batches]
    points = (points + rng.standard_normal((n_cells, n_dimensions))).astype(np.float32)
    columns = {"type": [f"type {one}" for one in types], "batch": [f"batch {one}" for one in batches]}
    return dataset_of(root, rng.poisson(1.0, (n_cells, 5)), columns), points


def megabytes() -> float:
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(n_cells: int, n_dimensions: int, family: str) -> None:
    """Print how long the scores take, without and with intervals, and the memory over that of the loaded program."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        dataset, points = simulated(Path(folder) / "data", n_cells, n_dimensions)
        engine = Engine(Store(Path(folder) / "store"), ThreadExecutor(["cpu"]))
        n_tokens = np.zeros(n_cells, dtype=np.int32)
        mine = EmbedCells(dataset, bag_card(key="vectors", is_baseline=True))
        for embedding in (mine, EmbedCells(dataset, find_model("pca"))):
            engine.store.put(embedding.identity, Embedding(points=points, n_tokens=n_tokens))
        asked = {"labels": ByColumn("type"), "batches": ByColumn("batch"), "family": family}
        engine.compute(ScoreEmbedding(mine, **asked, n_bootstrap=0, most_cells=1_000))  # compiles what is compiled
        before = megabytes()
        for n_resamples in (0, N_RESAMPLES):
            start = time.perf_counter()
            table = engine.compute(ScoreEmbedding(mine, **asked, n_bootstrap=n_resamples)).table
            print(
                f"{family}: {n_cells:,} cells x {n_dimensions}, {table['n_cells'].max():,} scored, {n_resamples} "
                f"resamples: {time.perf_counter() - start:.1f} s; {megabytes() - before:.0f} MB more at most"
            )
        start = time.perf_counter()
        engine.compute(TransferLabels(mine, ByColumn("type"), ByColumn("batch")))
        print(f"label transfer: {n_cells:,} cells: {time.perf_counter() - start:.1f} s; {megabytes() - before:.0f} MB")
        engine.close()


def main() -> None:
    """Measure each number of cells."""
    options = argparse.ArgumentParser()
    options.add_argument("--cells", type=int, nargs="+", default=[3_000, 100_000])
    options.add_argument("--dimensions", type=int, default=50)
    options.add_argument("--library", action="store_true", help="the family scib-metrics too")
    chosen = options.parse_args()
    families = ["published", "scib-metrics"] if chosen.library else ["published"]
    for family in families:
        for n_cells in chosen.cells:
            job = multiprocessing.get_context("spawn").Process(
                target=measure, args=(n_cells, chosen.dimensions, family)
            )
            job.start()
            job.join()


if __name__ == "__main__":
    main()
