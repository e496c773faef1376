"""How well does an embedding keep cell types apart and mix batches?"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_neighbors import MIN_CELLS
from scfm_core.analyses.grouping import ByColumn, Grouping, group_codes
from scfm_core.analyses.metric_cells import ScoredCells, interval, random_halves, strata_of, stratified
from scfm_core.analyses.metric_library import library_scores, require_library
from scfm_core.analyses.metric_published import published_scores
from scfm_core.errors import RequestError
from scfm_core.metrics.catalogue import Family, Metric, metrics_of
from scfm_core.registry import find_model
from scfm_core.request import Context, Request

MOST_SCORED = 30_000  # one to two minutes on a core and 0.7 GB at most; by scib-metrics three and a half and 1.8 GB
_FAMILIES: dict[Family, Callable[..., pd.DataFrame]] = {"published": published_scores, "scib-metrics": library_scores}


@dataclass(frozen=True)
class EmbeddingScores:
    """The metrics of one embedding, of one family.

    Attributes
    ----------
    table
        One row per metric: ``metric`` (its key), ``title``, ``about`` (``biology`` or ``batch``), ``value`` (0 to 1;
        NaN where there is none), ``ci_low``, ``ci_high`` (95 % interval), ``higher_is_better``, ``n_cells``,
        ``meaning`` (one sentence), ``note`` (how it came about, or why there is no value).
    resampled
        One row per resample, one column per metric: the value plus the resample's deviation, on the scale of the
        interval. Two embeddings of the same cells have the same resamples, so differences can be taken row by row.
    unit
        What was drawn again for the intervals, in words; empty where nothing was.
    """

    table: pd.DataFrame
    resampled: pd.DataFrame
    unit: str


@dataclass(frozen=True)
class ScoreEmbedding(Request[EmbeddingScores]):
    """Score an embedding by labels and batches of its cells.

    Cells without a vector, a label, or a batch where batches are asked for, take no part. Intervals come from random
    halves, drawn without replacement: of the donors where there are six or more, else of the cells within each label
    and batch. All steps are done again on each half, so the choice of the best resolution is in the interval. Not in it
    are how labels were made, and with cells as the unit, other donors and other proportions of labels and batches. Of
    more than 5,000 cells, parts of 2,500 stand for halves, and intervals narrow by the root of the numbers; not those
    of clusters and kBET, whose spread hardly falls with the number of cells. Metrics on few neighbours depend a little
    on how many cells there are: the interval is centred on the value of all.

    Parameters
    ----------
    family
        ``published``: the definitions of scIB 1.1.7 recomputed; ``scib-metrics``: the library. Values of the two are
        not to be compared.
    n_bootstrap
        Number of halves; 0 for no intervals.
    donor_column
        Of the cell table; empty where donors are not known.
    most_cells
        Larger sets of cells are cut to a random sample within labels and batches. The published benchmark took 7,500.

    Raises
    ------
    RequestError
        If fewer than 3 cells can be scored, or the library of a family is not installed.
    """

    embedding: EmbedCells
    labels: Grouping
    batches: Grouping | None = None
    family: Family = "published"
    n_bootstrap: int = 20
    seed: int = 0
    donor_column: str = ""
    most_cells: int = MOST_SCORED

    result_type: ClassVar[type] = EmbeddingScores

    def __post_init__(self) -> None:
        if self.family not in _FAMILIES:
            msg = f"No family of metrics is called {self.family!r}. Choose one of: {', '.join(_FAMILIES)}."
            raise RequestError(msg, "unknown-family")
        if not 0 <= self.n_bootstrap <= 1_000 or self.most_cells < MIN_CELLS:
            msg = (
                f"Expected 0 to 1,000 resamples and at least {MIN_CELLS} cells, found {self.n_bootstrap:,} and "
                f"{self.most_cells:,}. Usual are 20, and {MOST_SCORED:,} cells."
            )
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> EmbeddingScores:
        """See `Request.run`."""
        if self.family == "scib-metrics":
            require_library()
        places, cells = self._cells(context)
        halves = random_halves(cells, self._donors(context, places), n_resamples=self.n_bootstrap, seed=self.seed)
        score = partial(_FAMILIES[self.family], seed=self.seed)
        title = self.embedding.model.title
        whole = context.call(partial(score, cells), step=f"Scoring {title}")
        parts = [cells.take(rows) for rows in halves.rows]
        sizes = [len(rows) for rows in halves.rows]
        step = f"Scoring {title} on random halves"
        again = list(context.map(score, parts, step=step, sizes=sizes)) if parts else []
        values = np.array([part["value"].to_numpy(dtype=np.float64) for part in again]).reshape(len(again), len(whole))
        scales = [halves.scale if metric.narrows else halves.steady_scale for metric in metrics_of(self.family)]
        return EmbeddingScores(
            table=_table(self.family, whole, values, scales=scales, n_cells=len(places)),
            resampled=_resampled(whole, values, scales),
            unit=halves.unit if len(again) else "",
        )

    def _cells(self, context: Context) -> tuple[NDArray[np.int64], ScoredCells]:
        """Return the places of the scored cells in the dataset, and the cells."""
        dataset = self.embedding.dataset
        points = np.asarray(context.compute(self.embedding).points)
        labels = group_codes(context, dataset, self.labels)[1].astype(np.int64)
        batches = None if self.batches is None else group_codes(context, dataset, self.batches)[1].astype(np.int64)
        known = labels >= 0 if batches is None else (labels >= 0) & (batches >= 0)
        usable = np.flatnonzero(known & np.isfinite(points).all(axis=1))
        if len(usable) < MIN_CELLS:
            msg = (
                f"Expected at least {MIN_CELLS} cells with a vector, a label and a batch, found {len(usable)} of "
                f"{dataset.n_cells:,}. Choose other columns for labels and batches, or another model."
            )
            raise RequestError(msg, "too-few-cells")
        strata = strata_of(labels[usable], None if batches is None else batches[usable])
        drawn = usable[stratified(strata, self.most_cells, np.random.default_rng(self.seed))]
        _say(context, n_all=dataset.n_cells, n_usable=len(usable), n_drawn=len(drawn))
        cells = ScoredCells(points[drawn], labels[drawn])
        if batches is not None:
            pca = EmbedCells(dataset, find_model("pca"))
            cells = replace(cells, batches=batches[drawn], before=np.asarray(context.compute(pca).points)[drawn])
        return drawn, cells

    def _donors(self, context: Context, places: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return the donor of each scored cell; None where that of one is not known."""
        if not self.donor_column:
            return None
        codes = group_codes(context, self.embedding.dataset, ByColumn(self.donor_column))[1][places]
        return codes.astype(np.int64) if (codes >= 0).all() else None


def _table(
    family: Family, whole: pd.DataFrame, values: NDArray[np.float64], *, scales: list[float], n_cells: int
) -> pd.DataFrame:
    rows = [
        _row(metric, float(whole["value"].iloc[place]), str(whole["note"].iloc[place]), values[:, place], scales[place])
        for place, metric in enumerate(metrics_of(family))
    ]
    table = pd.DataFrame(rows)
    table.insert(7, "n_cells", n_cells)
    return table


def _row(metric: Metric, value: float, note: str, resampled: NDArray[np.float64], scale: float) -> dict[str, object]:
    low, high = interval(value, resampled, scale)
    lacking = len(resampled) and np.isfinite(value) and not np.isfinite(low)
    why = " No interval: the halves are too small for this metric." if lacking else ""
    return {
        "metric": metric.key, "title": metric.title, "about": metric.about, "value": value,
        "ci_low": np.maximum(low, min(metric.lowest, value)), "ci_high": np.minimum(high, 1.0),
        "higher_is_better": metric.higher_is_better, "meaning": metric.meaning, "note": (note + why).strip(),
    }  # fmt: skip


def _resampled(whole: pd.DataFrame, values: NDArray[np.float64], scales: list[float]) -> pd.DataFrame:
    deviations = pd.DataFrame(values, columns=whole["metric"].tolist())
    return (deviations - deviations.mean()) * scales + whole["value"].to_numpy(dtype=np.float64)


def _say(context: Context, *, n_all: int, n_usable: int, n_drawn: int) -> None:
    if n_usable < n_all:
        context.log(f"{n_all - n_usable:,} of {n_all:,} cells lack a vector, a label or a batch and are left out")
    if n_drawn < n_usable:
        context.log(f"{n_drawn:,} of {n_usable:,} cells, drawn at random within labels and batches, are scored")
