"""Records what the library scib-metrics says of the cells of ../scib, in double precision; see README.md."""

import json
import os
import warnings
from pathlib import Path

import numpy as np

from scfm_core.analyses.find_neighbors import nearest
from tests.analyses.golden.scib.record import HERE as CASES
from tests.analyses.golden.scib.record import pbmc68k

N_LISI, N_TESTED = 91, 20  # the cell itself counted


def recorded(case: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the metrics whose definition is that of scIB, or that are given the same neighbours as ours."""
    import scib_metrics as library
    from scib_metrics.nearest_neighbors import NeighborsResults
    from scib_metrics.utils import principal_component_regression

    labels, batches = case["labels"], case["batches"]
    before, after = (case[name].astype(np.float64) for name in ("before", "after"))
    indices, distances = nearest(after, n_neighbors=N_LISI)
    near = NeighborsResults(indices=indices, distances=distances)
    return {
        "silhouette_label": library.silhouette_label(after, labels),
        "silhouette_batch": library.silhouette_batch(after, labels, batches),
        "isolated_labels": library.isolated_labels(after, labels, batches),
        "pcr": principal_component_regression(after, batches, categorical=True),
        "pcr_comparison": library.pcr_comparison(before, after, batches, categorical=True),
        "clisi": library.clisi_knn(near, labels),
        "ilisi": library.ilisi_knn(near, batches),
        "kbet": library.kbet(near.subset_neighbors(N_TESTED), batches)[0],
    }


def main() -> None:
    """Write what the library says."""
    os.environ["JAX_ENABLE_X64"] = "1"
    warnings.simplefilter("ignore")
    answers = {"pbmc68k": recorded(pbmc68k()), "planted": recorded(dict(np.load(CASES / "planted.npz")))}
    text = json.dumps(answers, indent=1, default=float) + "\n"
    (Path(__file__).parent / "scib_metrics.json").write_text(text)


if __name__ == "__main__":
    main()
