"""A dataset of a million cells on disk, made from the cells of the PBMC 3k demo; built once and kept.

    python -m tests.benchmarks.million_cells --workspace FOLDER [--cells 1000000] [--genes 20000]

A made-up cell holds some half of the molecules of each of two real cells of one type, so no two are equal while genes
keep going together as they do in blood. Its place on the map, its point and its cluster are those of the first of the
two, with a little noise: they lie in the workspace as if they had been computed, so that a map opens without hours of
UMAP. Batch and donor are made up. It takes about 10 GB of disk; memory stays below 2 GB.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm_core.analyses.cluster_cells import ClusterCells, Clusters
from scfm_core.analyses.embed_cells import EmbedCells, Embedding
from scfm_core.analyses.project_cells import ProjectCells, Projection
from scfm_core.dataset import Dataset, NewDataset, open_dataset, write_dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.intake.demo import open_demo
from scfm_core.registry import find_model
from scfm_core.request import Request, recipe
from scfm_core.store import Store

SEED = 5
CELLS_PER_PIECE = 20_000
SHARE_KEPT = 0.47  # of the molecules of each of the two real cells
JITTER_PLACE, JITTER_POINT = 0.12, 0.2
N_BATCHES, N_DONORS = 2, 6


@dataclass(frozen=True)
class Parents:
    """The two real cells that each made-up cell comes from, each of shape ``(n_cells,)``."""

    first: np.ndarray
    second: np.ndarray


def build_million(workspace: Path, n_cells: int = 1_000_000, n_genes: int = 20_000) -> Dataset:
    """Return the dataset in a workspace, built now where it is not there yet."""
    note = workspace / f"made-up-{n_cells}-{n_genes}.json"
    if note.is_file():
        return open_dataset(workspace / "datasets" / json.loads(note.read_text())["sha256"])
    demo = open_demo("pbmc3k", workspace / "demo")
    parents = _parents(demo, n_cells)
    genes = _most_held(demo, n_genes)
    new = NewDataset(
        matrix=_pieces(demo, parents, genes),
        gene_ids=tuple(demo.gene_ids[gene] for gene in genes),
        gene_symbols=tuple(demo.gene_symbols[gene] for gene in genes),
        cells=_cell_table(demo, parents),
        organism="human",
        roles={"cell_type": "cell_type", "batch": "batch", "donor": "donor"},
        title=f"{n_cells:,} made-up cells",
        notes=("Made up from the cells of the PBMC 3k demo, to measure speed; batch and donor mean nothing.",),
    )
    dataset = write_dataset(workspace / "datasets", new)
    _store_answers(workspace, demo, dataset, parents)
    note.write_text(json.dumps({"sha256": dataset.sha256}))
    return dataset


def _parents(demo: Dataset, n_cells: int) -> Parents:
    rng = np.random.default_rng(SEED)
    labels = demo.cells()["cell_type"].cat.codes.to_numpy()
    first = rng.permutation(np.resize(np.arange(demo.n_cells), n_cells))
    second = np.empty_like(first)
    for label in np.unique(labels):
        mine = labels[first] == label
        second[mine] = rng.choice(np.flatnonzero(labels == label), mine.sum())
    return Parents(first, second)


def _most_held(demo: Dataset, n_genes: int) -> np.ndarray:
    """Return the genes that most cells hold, in the order of the dataset."""
    if n_genes > demo.n_genes:
        msg = f"The demo has {demo.n_genes:,} genes; choose at most so many."
        raise ValueError(msg)
    held = np.bincount(demo.counts().matrix.indices, minlength=demo.n_genes)
    return np.sort(np.argsort(-held, kind="stable")[:n_genes])


def _pieces(demo: Dataset, parents: Parents, genes: np.ndarray) -> Iterator[csr_matrix]:
    real = demo.counts().matrix.astype(np.int32)[:, genes]
    for start in range(0, len(parents.first), CELLS_PER_PIECE):
        rng = np.random.default_rng([SEED, start])
        rows = slice(start, start + CELLS_PER_PIECE)
        yield _thinned(real[parents.first[rows]], rng) + _thinned(real[parents.second[rows]], rng)


def _thinned(counts: csr_matrix, rng: np.random.Generator) -> csr_matrix:
    counts.data = rng.binomial(counts.data, SHARE_KEPT).astype(np.int32)
    return counts


def _cell_table(demo: Dataset, parents: Parents) -> pd.DataFrame:
    n_cells = len(parents.first)
    rng = np.random.default_rng([SEED, 1])
    donors = rng.integers(0, N_DONORS, n_cells)
    return pd.DataFrame(
        {
            "cell_type": demo.cells()["cell_type"].array[parents.first],
            "batch": pd.Categorical.from_codes(donors % N_BATCHES, [f"batch {n + 1}" for n in range(N_BATCHES)]),
            "donor": pd.Categorical.from_codes(donors, [f"donor {n + 1}" for n in range(N_DONORS)]),
        },
        index=pd.Index([f"cell-{number:07d}" for number in range(n_cells)]),
    )


def _store_answers(workspace: Path, demo: Dataset, dataset: Dataset, parents: Parents) -> None:
    model = find_model("pca")
    of_demo, of_dataset = EmbedCells(demo, model), EmbedCells(dataset, model)
    engine = Engine(Store(workspace / "demo-answers"), ThreadExecutor(["cpu"]))
    points = engine.compute(of_demo).points
    places = engine.compute(ProjectCells(of_demo)).coordinates
    clusters = engine.compute(ClusterCells(of_demo))
    engine.close()
    rng = np.random.default_rng([SEED, 2])
    n_tokens = np.concatenate([np.diff(dataset.counts(rows).matrix.indptr) for rows in _row_slices(dataset)])
    answers: dict[Request, object] = {
        of_dataset: Embedding(_near(points[parents.first], JITTER_POINT, rng), n_tokens.astype(np.int32)),
        ProjectCells(of_dataset): Projection(_near(places[parents.first], JITTER_PLACE, rng)),
        ClusterCells(of_dataset): Clusters(np.asarray(clusters.labels)[parents.first], clusters.n_clusters),
    }
    store = Store(workspace)
    for request, answer in answers.items():
        store.put(request.identity, answer, recipe(request))


def _row_slices(dataset: Dataset) -> list[slice]:
    return [slice(start, start + CELLS_PER_PIECE) for start in range(0, dataset.n_cells, CELLS_PER_PIECE)]


def _near(values: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    return values + np.float32(spread) * rng.standard_normal(values.shape, dtype=np.float32)


def main() -> None:
    """Build the dataset and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=20_000)
    asked = parser.parse_args()
    start = time.perf_counter()
    dataset = build_million(asked.workspace, asked.cells, asked.genes)
    gigabytes = sum(file.stat().st_size for file in dataset.path.iterdir()) / 1e9
    n_stored = int(np.load(dataset.path / "by_cell_indptr.npy", mmap_mode="r")[-1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{dataset.n_cells:,} cells x {dataset.n_genes:,} genes, {n_stored:,} stored counts, {gigabytes:.1f} GB on disk"
    )
    print(f"{time.perf_counter() - start:.0f} s, {peak:.1f} GB of memory at most\n{dataset.sha256}")


if __name__ == "__main__":
    main()
