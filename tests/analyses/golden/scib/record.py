"""Records what scIB's own code says of two small sets of cells; see README.md for the environment."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from scfm_core.analyses.cluster_cells import leiden_labels

HERE = Path(__file__).parent
SCANPY = {"flavor": "igraph", "n_iterations": 2, "directed": False, "random_state": 0}


def planted() -> dict[str, np.ndarray]:
    """Five types in three batches; one type in a single batch, one with few cells; the third batch is shifted."""
    rng = np.random.default_rng(6)
    labels = rng.choice(["B", "NK", "T", "mono"], 420, p=[0.2, 0.2, 0.4, 0.2]).astype("U6")
    batches = rng.choice(["one", "three", "two"], 420).astype("U6")
    labels[:14], batches[:14] = "pDC", "one"
    labels[14:19] = "mast"
    centres = {label: 2.2 * rng.standard_normal(6) for label in np.unique(labels)}
    shift = {
        batch: strength * rng.standard_normal(6) for batch, strength in (("one", 0.1), ("two", 0.3), ("three", 1.0))
    }
    before = np.array([centres[label] + shift[batch] for label, batch in zip(labels, batches, strict=True)])
    before = before + rng.standard_normal((420, 6))
    after = before - np.array([0.8 * shift[batch] for batch in batches])
    order = rng.permutation(420)
    return {
        "before": before[order].astype(np.float32), "after": after[order].astype(np.float32),
        "labels": labels[order], "batches": batches[order],
    }  # fmt: skip


def pbmc68k() -> dict[str, np.ndarray]:
    """700 cells that scanpy carries, with made-up batches."""
    import scanpy

    data = scanpy.datasets.pbmc68k_reduced()
    return {
        "before": np.asarray(data.obsm["X_pca"], dtype=np.float32),
        "after": np.asarray(data.obsm["X_pca"], dtype=np.float32)[:, 1:31],
        "labels": data.obs["bulk_labels"].astype(str).to_numpy(),
        "batches": np.array([f"batch {place % 3}" for place in range(data.n_obs)]),
    }


def leiden(data: AnnData, resolution: float, key_added: str) -> None:
    """Cluster as the app does: handed to scIB, whose own default needs leidenalg."""
    labels = leiden_labels(data.obsp["connectivities"].tocsr(), resolution=resolution, seed=0)
    data.obs[key_added] = pd.Categorical(labels.astype(str))


def recorded(case: dict[str, np.ndarray]) -> dict[str, object]:
    """Return each metric of the embedding ``after``, and of ``before`` where two are compared."""
    import scanpy
    import scib

    obs = pd.DataFrame({name: pd.Categorical(case[name]) for name in ("labels", "batches")})
    obs.index = [f"cell{place}" for place in range(len(obs))]
    data = AnnData(X=case["after"].astype(np.float64), obs=obs, obsm={"X_emb": case["after"].astype(np.float64)})
    before = AnnData(X=case["before"].astype(np.float64), obs=obs.copy())
    scanpy.pp.neighbors(data, use_rep="X_emb")
    resolution, nmi, profile = scib.me.cluster_optimal_resolution(
        data, "labels", "cluster", cluster_function=leiden, use_rep="X_emb", return_all=True, verbose=False
    )
    by_scanpy = scib.me.cluster_optimal_resolution(
        data.copy(), "labels", "scanpy", use_rep="X_emb", verbose=False, **SCANPY
    )
    for one in profile["resolution"]:
        data.obs[f"iso_label_{one}"] = data.obs[f"cluster_{one}"]
    where = {"label_key": "labels", "batch_key": "batches", "embed": "X_emb", "verbose": False}
    lisi = {"type_": "embed", "use_rep": "X_emb"}
    return {
        "resolution": resolution,
        "nmi": nmi,
        "ari": scib.me.ari(data, "cluster", "labels"),
        "asw_label": scib.me.silhouette(data, "labels", "X_emb"),
        "isolated_f1": scib.me.isolated_labels_f1(data, **where),
        "isolated_asw": scib.me.isolated_labels_asw(data, **where),
        "clisi": scib.me.clisi_graph(data, label_key="labels", **lisi),
        "asw_batch": scib.me.silhouette_batch(data, "batches", "labels", "X_emb", verbose=False),
        "graph_connectivity": scib.me.graph_connectivity(data, "labels"),
        "pcr_batch": scib.me.pcr(data, "batches", embed="X_emb"),
        "pcr_comparison": scib.me.pcr_comparison(before, data, "batches", embed="X_emb", linreg_method="sklearn"),
        "pcr_comparison_by_pinv": scib.me.pcr_comparison(before, data, "batches", embed="X_emb"),
        "ilisi": scib.me.ilisi_graph(data, batch_key="batches", **lisi),
        "nmi_with_leiden_of_scanpy": by_scanpy[1],
        "nmi_by_resolution": profile["score"].tolist(),
    }


def main() -> None:
    """Write the planted cells and what scIB says."""
    warnings.simplefilter("ignore")
    pd.value_counts = lambda values: pd.Series(values).value_counts()  # gone from pandas, and scIB asks for it
    np.savez_compressed(HERE / "planted.npz", **planted())
    answers = {"pbmc68k": recorded(pbmc68k()), "planted": recorded(dict(np.load(HERE / "planted.npz")))}
    (HERE / "scib.json").write_text(json.dumps(answers, indent=1, default=float) + "\n")
    print(json.dumps(answers, indent=1, default=float))


if __name__ == "__main__":
    main()
