"""Trains small models with CellTypist and records what CellTypist makes of cells that it did not see.

Run where celltypist is installed, never by the tests: python record.py path/to/pbmc3k.h5ad
"""

import sys
from pathlib import Path

import anndata
import numpy as np

HERE = Path(__file__).parent
N_GENES, EVERY = 400, 9


def main(path: str) -> None:
    import celltypist
    import scanpy as sc

    cells = anndata.read_h5ad(path)
    cells.var_names = cells.var_names.astype(str)
    cells.var_names_make_unique()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    is_test = np.arange(cells.n_obs) % EVERY == 0
    train, test = cells[~is_test].copy(), cells[is_test].copy()
    test.X = test.X.toarray()
    sc.pp.filter_genes(train, min_cells=150)
    sc.pp.highly_variable_genes(train, n_top_genes=N_GENES)
    few = train[:, train.var["highly_variable"]].copy()
    for name, chosen, options in (
        ("blood", few, {}),
        ("blood_sgd", few, {"use_SGD": True, "with_mean": False}),
        ("two_types", few[few.obs["cell_type"].isin(["B", "NK"])].copy(), {}),
    ):
        model = celltypist.train(chosen, labels="cell_type", check_expression=False, **options)
        model.description["date"] = "2026-01-01"
        model.write(str(HERE / f"{name}.pkl"))
        best = celltypist.annotate(
            test, model=str(HERE / f"{name}.pkl"), majority_voting=True, over_clustering=test.obs["cell_type"].to_list()
        )
        prob = celltypist.annotate(test, model=str(HERE / f"{name}.pkl"), mode="prob match")
        np.savez_compressed(
            HERE / f"{name}.npz",
            cells=np.flatnonzero(is_test),
            classes=best.decision_matrix.columns.to_numpy(dtype=str),
            decision=best.decision_matrix.to_numpy(),
            probability=best.probability_matrix.to_numpy(),
            best=best.predicted_labels["predicted_labels"].to_numpy(dtype=str),
            several=prob.predicted_labels["predicted_labels"].to_numpy(dtype=str),
            majority=best.predicted_labels["majority_voting"].to_numpy(dtype=str),
        )


if __name__ == "__main__":
    main(sys.argv[1])
