"""Cells of planted types in planted batches, with the counts of a droplet experiment."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm_core.dataset import Dataset, NewDataset, write_dataset

N_GENES = 240


def planted(
    folder: Path, *, n_cells: int = 480, n_types: int = 3, shift: float = 0.5, empty: tuple[int, ...] = ()
) -> Dataset:
    """Write a dataset whose types have 15 markers each, and whose second batch shifts half of all genes at random.

    The cells ``empty`` have no counts.
    """
    random = np.random.default_rng(0)
    kind, batch = np.arange(n_cells) % n_types, (np.arange(n_cells) // n_types) % 2
    log_rate = random.normal(0.0, 0.8, N_GENES)[None, :].repeat(n_cells, axis=0)
    for number in range(n_types):
        log_rate[np.ix_(kind == number, np.arange(15 * number, 15 * (number + 1)))] += 2.0
    moved = random.random(N_GENES) < 0.5
    log_rate[np.ix_(batch == 1, np.flatnonzero(moved))] += random.normal(0.0, shift, int(moved.sum()))[None, :]
    depth = random.lognormal(np.log(600), 0.3, n_cells)
    rate = np.exp(log_rate)
    counts = random.poisson(rate / rate.sum(axis=1, keepdims=True) * depth[:, None])
    counts[list(empty)] = 0
    genes = tuple(f"ENSG{number:011d}" for number in range(N_GENES))
    cells = pd.DataFrame(
        {
            "kind": pd.Categorical([f"type {number}" for number in kind]),
            "lane": pd.Categorical([f"lane {number}" for number in batch]),
            "one": pd.Categorical(["same"] * n_cells),
            "barcode": [f"cell {number}" for number in range(n_cells)],
            "some": pd.Categorical(np.where(np.arange(n_cells) < 5, None, "known")),
        },
        index=[f"cell {number}" for number in range(n_cells)],
    )
    new = NewDataset(
        matrix=csr_matrix(counts), gene_ids=genes, gene_symbols=genes, cells=cells, organism="human",
        roles={"cell_type": "kind", "batch": "lane"}, title="planted",
    )  # fmt: skip
    return write_dataset(folder, new)


def mixing(points: np.ndarray, batch: np.ndarray, n_neighbors: int = 15) -> float:
    """Return the share of neighbours from another batch, divided by what a perfect mixture has: 1 is mixed, 0 apart."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=n_neighbors + 1).fit(points).kneighbors(return_distance=False)[:, 1:]
    shares = np.array([(batch == name).mean() for name in np.unique(batch)])
    return float((batch[near] != batch[:, None]).mean() / (1 - (shares**2).sum()))


def purity(points: np.ndarray, kind: np.ndarray, n_neighbors: int = 15) -> float:
    """Return the share of neighbours of the cell's own type."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=n_neighbors + 1).fit(points).kneighbors(return_distance=False)[:, 1:]
    return float((kind[near] == kind[:, None]).mean())
