"""The trap of every comparison with PCA: were the labels themselves made from a PCA of these cells?

Most published labels were given to clusters of one. A comparison by such labels favours PCA.
"""

import re
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.cluster_cells import leiden_labels
from scfm_core.analyses.compared_cells import words_of
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_neighbors import MIN_CELLS, Neighbors, nearest, neighbor_graph
from scfm_core.analyses.grouping import ByClusters, Grouping, group_codes
from scfm_core.analyses.metric_cells import stratified
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.metrics.agreement import RESOLUTIONS, rand_index
from scfm_core.registry import find_model
from scfm_core.request import Context, Request

Verdict = Literal["yes", "likely", "possible", "not seen"]
MOST_CELLS = 10_000
_N_NEIGHBORS = 15
_BORDER = (0.4, 0.8)  # share of the neighbours with one label, where two labels meet
_SAME, _ALIKE, _SHARP = 0.9, 0.8, 4.0
_RELATED = 0.6
_HINT = re.compile(r"leiden|louvain|clust|seurat|k-?means|snn_res", re.IGNORECASE)


@dataclass(frozen=True)
class LabelTrace:
    """Whether labels look as if they were made from a PCA of these cells.

    Attributes
    ----------
    verdict
        ``yes``: they are clusters of an embedding of this dataset; ``likely``: a clustering of its PCA gives them, with
        the borders that only a clustering has; ``possible``: some sign; ``not seen``: none, which does not exclude it.
    reason
        Why, in a sentence or two.
    consequence
        What it means for a comparison with PCA.
    table
        The evidence: ``evidence``, ``value``, ``meaning``.
    """

    verdict: Verdict
    reason: str
    consequence: str
    table: pd.DataFrame


@dataclass(frozen=True)
class TraceLabelsToPca(Request[LabelTrace]):
    """Look for signs that labels were made from a PCA of the cells that they are given to.

    Three signs: the labels are clusters, by the question itself or by their names; a Leiden clustering of the PCA gives
    nearly the same groups; and where two labels meet, they part sharply. Labels that do not come from the PCA are mixed
    at a border: of cells whose neighbours are to 60 % of one label, 60 % carry it. Labels that were cut out of the PCA
    follow the majority more often than that. Labels whose groups lie far apart have no border, and cannot be judged.

    Raises
    ------
    RequestError
        If fewer than 3 cells have a label and a vector in PCA.
    """

    dataset: Dataset
    labels: Grouping
    seed: int = 0

    result_type: ClassVar[type] = LabelTrace

    def run(self, context: Context) -> LabelTrace:
        """See `Request.run`."""
        points = np.asarray(context.compute(EmbedCells(self.dataset, find_model("pca"))).points)
        names, labels = group_codes(context, self.dataset, self.labels)
        usable = np.flatnonzero((labels >= 0) & np.isfinite(points).all(axis=1))
        if len(usable) < MIN_CELLS:
            msg = (
                f"Expected at least {MIN_CELLS} cells with a label and a vector in PCA, found {len(usable)} of "
                f"{self.dataset.n_cells:,}. Choose another column for the labels."
            )
            raise RequestError(msg, "too-few-cells")
        chosen = labels[usable].astype(np.int64)
        drawn = stratified(chosen, MOST_CELLS, np.random.default_rng(self.seed))
        trace = partial(label_signs, points[usable[drawn]], chosen[drawn], seed=self.seed)
        signs = context.call(trace, step="Comparing the labels with clusters of the PCA")
        used = [names[code] for code in np.unique(chosen)]
        verdict, reason = self._judged(signs, named_as_clusters(words_of(self.labels), used))
        return LabelTrace(verdict, reason, _CONSEQUENCES[verdict], _evidence(signs))

    def _judged(self, signs: dict[str, float], hint: str) -> tuple[Verdict, str]:
        if isinstance(self.labels, ByClusters):
            title = self.labels.clusters.embedding.model.title
            return "yes", f"The labels are clusters of the vectors of {title}, computed here."
        close = f"A clustering of the PCA gives nearly the same groups (adjusted Rand index {signs['rand_index']:.2f})"
        sharp = signs["sharpness"] > _SHARP
        if signs["rand_index"] >= _SAME and sharp:
            return (
                "likely",
                f"{close}, and where two labels meet, they follow the PCA more sharply than mixed labels do.",
            )
        if signs["n_border"] == 0 and signs["rand_index"] >= _ALIKE:
            return "possible", f"{close}; but the groups lie so far apart that any good embedding would find them."
        if signs["rand_index"] >= _ALIKE:
            return "possible", f"{close}."
        if hint:
            return "possible", hint
        if sharp and signs["rand_index"] >= _RELATED:
            return "possible", "Where two labels meet, they follow the PCA more sharply than mixed ones."
        return "not seen", (
            f"No clustering of the PCA gives these groups (adjusted Rand index {signs['rand_index']:.2f} at most), and "
            "nothing in their names points to clusters. The file does not say how the labels were made."
        )


def label_signs(points: NDArray[np.float32], labels: NDArray[np.int64], *, seed: int) -> dict[str, float]:
    """Return what of the labels can be seen in the PCA, see `LabelTrace.table`.

    Returns
    -------
    ``rand_index`` with the closest of ten Leiden clusterings, at ``resolution``; ``n_border`` cells whose neighbours
    are to 40 to 80 % of one label; ``followed``, share of these that carry it; ``expected``, the mean of those shares;
    ``sharpness``, the difference in standard errors, as if cells were independent; NaN without such cells.
    """
    graph = Neighbors(**neighbor_graph(points, n_neighbors=_N_NEIGHBORS, metric="euclidean")).graph
    indices = [rand_index(labels, leiden_labels(graph, resolution=one, seed=seed)) for one in RESOLUTIONS]
    near = nearest(points, n_neighbors=min(_N_NEIGHBORS + 1, len(points)))[0][:, 1:]
    codes = np.unique(labels, return_inverse=True)[1]
    shares = np.stack([(codes[near] == one).mean(axis=1) for one in range(int(codes.max()) + 1)], axis=1)
    most = shares.max(axis=1)
    border = (most >= _BORDER[0]) & (most <= _BORDER[1])
    n_border, followed, expected = int(border.sum()), np.nan, np.nan
    sharpness = np.nan
    if n_border:
        followed, expected = float((shares.argmax(axis=1) == codes)[border].mean()), float(most[border].mean())
        sharpness = (followed - expected) / np.sqrt((most * (1 - most))[border].sum()) * n_border
    best = int(np.argmax(indices))
    return {
        "rand_index": indices[best], "resolution": RESOLUTIONS[best], "n_border": float(n_border),
        "border_share": n_border / len(points), "followed": followed, "expected": expected,
        "sharpness": float(sharpness),
    }  # fmt: skip


def named_as_clusters(column: str, names: list[str]) -> str:
    """Say in a sentence that labels are named as clusters are; empty where they are not.

    Examples
    --------
    >>> named_as_clusters("cell_type", ["B", "T"]), named_as_clusters("cell_type", ["0", "1"])
    ('', 'The labels are numbers, as clusters have.')
    """
    if _HINT.search(column):
        return f"The name of the labels, {column!r}, is that of a clustering."
    return "The labels are numbers, as clusters have." if all(name.isdecimal() for name in names) else ""


_FAVOURS = "A comparison by these labels favours PCA: PCA is measured against itself."
_CONSEQUENCES: dict[Verdict, str] = {
    "yes": "A comparison by these labels favours the model whose clusters they are: it is measured against itself.",
    "likely": _FAVOURS,
    "possible": "If the labels were made from a PCA, a comparison by them favours PCA. Look up how they were made.",
    "not seen": "Nothing was found that favours PCA; most published labels were given to clusters of a PCA, so look up "
    "how these were made.",
}


def _evidence(signs: dict[str, float]) -> pd.DataFrame:
    rows = [
        ("closest clustering", signs["rand_index"],
         f"Adjusted Rand index of the labels with Leiden clusters of the PCA at resolution {signs['resolution']:g}; "
         "1 is the same groups."),
        ("cells at a border", signs["border_share"],
         "Share of cells whose 15 nearest cells are to 40 to 80 % of one label."),
        ("follow the majority", signs["followed"], "Share of these that carry the label of the majority."),
        ("expected of mixed labels", signs["expected"], "Mean share of the majority around them."),
        ("sharpness", signs["sharpness"], "Their difference in standard errors, as if cells were independent."),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["evidence", "value", "meaning"])
