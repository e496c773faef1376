"""How well cell types can be told from the vectors of each model, with PCA beside them.

For a file with a column of labels: share of cells whose type the 15 nearest other cells tell right by vote, over all
cells and as a mean over types, and the adjusted Rand index of Leiden clusters (15 neighbours, resolution 1, seed 0)
against the labels. Run as ``python tests/benchmarks/quality_of_models.py FILE COLUMN [N_CELLS] [MODEL...]``.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import embed_tokens, token_budget_of
from scfm_core.dataset import Dataset, subset_dataset
from scfm_core.devices import use_device
from scfm_core.intake import admit_file
from scfm_core.registry import find_model
from scfm_core.weights import loaded_model

NO_LABEL = ("", "nan", "unassigned")
N_NEIGHBORS = 15


def told_by_neighbours(points: NDArray[np.float32], labels: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the most frequent label among each cell's nearest other cells."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(points).kneighbors(return_distance=False)
    types, codes = np.unique(labels, return_inverse=True)
    votes = np.stack([(codes[near] == number).sum(axis=1) for number in range(len(types))], axis=1)
    return types[votes.argmax(axis=1)]


def clusters(points: NDArray[np.float32]) -> NDArray[np.str_]:
    """Return Leiden clusters."""
    import scanpy as sc
    from anndata import AnnData

    data = AnnData(points)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.neighbors(data, n_neighbors=N_NEIGHBORS, use_rep="X", random_state=0)
        sc.tl.leiden(data, resolution=1.0, random_state=0, flavor="igraph", n_iterations=2, directed=False)
    return data.obs["leiden"].to_numpy().astype(str)


def vectors(dataset: Dataset, key: str) -> NDArray[np.float32]:
    """Embed all cells."""
    spec = find_model(key)
    model = loaded_model(spec, {} if spec.fit is None else spec.fit(dataset))
    tokens = model.encode(dataset.counts())
    return embed_tokens(model, tokens, spec.default_options(), token_budget=token_budget_of(spec)).cells


def main(path: Path, column: str, n_cells: int, keys: list[str]) -> None:
    """Print one line per model."""
    from sklearn.metrics import adjusted_rand_score

    use_device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        dataset = admit_file(path, Path(folder))
        labels = dataset.cells()[column].astype(str).to_numpy()
        usable = np.flatnonzero(~np.isin(labels, NO_LABEL))
        chosen = np.zeros(dataset.n_cells, dtype=bool)
        chosen[np.random.default_rng(0).permutation(usable)[:n_cells]] = True
        some = subset_dataset(dataset, chosen, title="chosen", note="")
        labels = labels[chosen]
        print(f"{path.name}: {len(labels)} cells, {len(set(labels))} labels in {column!r}")
        for key in keys:
            points = vectors(some, key)
            there = np.isfinite(points).all(axis=1)
            right = told_by_neighbours(points[there], labels[there]) == labels[there]
            by_type = [right[labels[there] == label].mean() for label in np.unique(labels[there])]
            rand = adjusted_rand_score(labels[there], clusters(points[there]))
            print(f"{key}: neighbours right {right.mean():.3f}, mean over types {np.mean(by_type):.3f}, ARI {rand:.3f}")


if __name__ == "__main__":
    file, name, *rest = sys.argv[1:]
    main(Path(file), name, int(rest[0]) if rest else 1_000_000, rest[1:] or ["pca", "scfm-mini"])
