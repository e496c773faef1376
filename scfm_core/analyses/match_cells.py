"""Which labelled cells of a reference lie next to each cell, and what do they agree on?"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells, chunks_of
from scfm_core.analyses.find_neighbors import comparable, default_metric
from scfm_core.analyses.grouping import ByColumn, group_labels, in_reading_order
from scfm_core.analyses.reference_space import check_same_space, shared_space
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

MOST_REFERENCE_CELLS = 50_000
MOST_LABELS = 1_000
FEW_CELLS = 20
MATCHED, FAR, SPLIT, NO_VECTOR, NOT_MEASURED = range(5)
_DISTANCES_PER_CHUNK = 20_000_000
_TOGETHER = 11  # a cell and ten others make a mean
_MANY_FAR = 0.5


@dataclass(frozen=True)
class CellMatches:
    """A label for each cell of the query, in the order of its cells, and how far the reference trusts itself.

    Attributes
    ----------
    label
        Place in ``labels`` of the label with most votes, shape ``(n_cells,)``, int16; -1 without a vector.
    agreement
        Its share of the votes, shape ``(n_cells,)``, float32.
    distance
        From the mean of the cell and its nearest cells of the query to the mean of its neighbours in the reference,
        shape ``(n_cells,)``, float32.
    state
        0 where the label is kept; 1 where the cell lies farther from the reference than half of the reference does from
        the other half, 2 where the neighbours do not agree, 3 without a vector; shape ``(n_cells,)``, int8.
    labels
        Of the reference, in reading order.
    self_test
        One row per label, then one for "all": ``label``; ``n_cells`` of the reference; ``found``, share of them that
        get their own label when each is left out; ``named``, share of those of one half that keep any label by
        the rules above; ``right``, share of these that is right; ``cut_off``, the distance beyond which a cell is far.
    remarks
        How the space was made, and what a reader must know.
    """

    label: NDArray[np.int16]
    agreement: NDArray[np.float32]
    distance: NDArray[np.float32]
    state: NDArray[np.int8]
    labels: tuple[str, ...]
    self_test: pd.DataFrame
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class MatchCells(Request[CellMatches]):
    """Label each cell by its nearest cells in a reference, in the space of one model.

    The nearest reference cells vote, each with a Gaussian weight whose width is their mean distance. A vote counts
    where the winner has ``min_agreement`` of the weights and the cell is not too far. Far is measured between means,
    because the noise of single cells hides whole types: from the mean of the cell and its nearest cells of the query to
    the mean of the reference cells that vote. The reference sets the scale: one random half of it plays the query, and
    95 % of its cells of a label lie nearer. A shift between batches makes all cells far; `remarks` says so.

    Parameters
    ----------
    query, reference
        Two datasets, embedded by the same model; see `shared_space` for baselines.
    column
        Of the reference's cell table; a cell without a value has no vote.
    n_neighbors
        How many reference cells vote.
    min_agreement
        Smallest share of the votes.
    distance_quantile
        Of the reference's own distances; 1 keeps cells at any distance, types that the reference lacks among them.

    Raises
    ------
    RequestError
        If the spaces differ, the reference is the dataset itself, it has too few labelled cells or no such column.

    References
    ----------
    Cover & Hart 1967, doi:10.1109/TIT.1967.1053964; Lotfollahi et al. 2022, doi:10.1038/s41587-021-01001-7, for votes
    weighted by distance and cells left unnamed.
    """

    query: EmbedCells
    reference: EmbedCells
    column: str
    n_neighbors: int = 15
    min_agreement: float = 0.6
    distance_quantile: float = 0.95

    result_type: ClassVar[type] = CellMatches

    def __post_init__(self) -> None:
        check_same_space(self.query, self.reference)
        shares = (self.min_agreement, self.distance_quantile)
        if not 1 <= self.n_neighbors <= 200 or not all(0 <= share <= 1 for share in shares):
            msg = "Expected 1 to 200 neighbours, and an agreement and a quantile between 0 and 1. Choose others."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> CellMatches:
        """See `Request.run`."""
        values = group_labels(context, self.reference.dataset, ByColumn(self.column))
        space = shared_space(context, self.query, self.reference)
        usable = np.flatnonzero((values != "") & np.isfinite(space.reference).all(axis=1))
        labels = tuple(in_reading_order(np.unique(values[usable]).tolist()))
        self._check(len(usable), labels)
        chosen = usable[balanced(values[usable], most=MOST_REFERENCE_CELLS)]
        metric = default_metric(self.query.model)
        points = comparable(space.reference[chosen], metric)
        place = {label: number for number, label in enumerate(labels)}
        codes = np.array([place[value] for value in values[chosen].tolist()], dtype=np.int64)
        own, measured = self._of_reference(context, points, codes)
        cut_offs = distance_limits(own["distance"], codes, len(labels), quantile=self.distance_quantile)
        placed = np.flatnonzero(np.isfinite(space.query).all(axis=1))
        cells = comparable(space.query[placed], metric)
        found = self._votes(context, points, codes, cells=cells, step="Finding neighbours in the reference")
        states, own_states = self._states(found, cut_offs), self._states(own, cut_offs)
        own_states[~measured] = NOT_MEASURED
        return CellMatches(
            **_spread(found, states, placed, len(space.query)),
            labels=labels,
            self_test=self_test(own["label"] == codes, own_states, codes, labels=labels, cut_offs=cut_offs),
            remarks=_remarks(space.words, len(chosen), len(usable), states),
        )

    def _check(self, n_cells: int, labels: tuple[str, ...]) -> None:
        if n_cells < 2 * (self.n_neighbors + 1) or not 2 <= len(labels) <= MOST_LABELS:
            msg = (
                f"Expected a reference of at least {2 * (self.n_neighbors + 1)} cells with 2 to {MOST_LABELS:,} labels "
                f"in {self.column!r}, found {n_cells:,} cells with a vector and {len(labels):,} labels. Choose another "
                "column, another reference, or fewer neighbours."
            )
            raise RequestError(msg, "unsuitable-reference")

    def _votes(
        self,
        context: Context,
        points: NDArray[np.float32],
        codes: NDArray[np.int64],
        *,
        step: str,
        cells: NDArray[np.float32] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Let reference cells vote on some cells, or where there are none on each other."""
        asked = points if cells is None else cells
        pool = asked[np.sort(np.random.default_rng(0).permutation(len(asked))[:MOST_REFERENCE_CELLS])]
        spans = chunks_of(len(asked), max(1, _DISTANCES_PER_CHUNK // len(points)))
        vote = partial(_vote, points, codes, self.n_neighbors, None if cells is None else pool)
        chunks = [(start, asked[start:stop]) for start, stop in spans]
        parts = list(context.map(vote, chunks, step=step, sizes=[stop - start for start, stop in spans]))
        if not parts:
            return {"label": np.empty(0, np.int16), "agreement": np.empty(0), "distance": np.empty(0)}
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _of_reference(
        self, context: Context, points: NDArray[np.float32], codes: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
        """Return the votes of the reference on itself, and for one half of it the distance to the other half."""
        own = self._votes(context, points, codes, step="Leaving each reference cell out")
        asking = np.zeros(len(points), dtype=bool)
        asking[np.random.default_rng(1).permutation(len(points))[: len(points) // 2]] = True
        step = "Measuring one half of the reference by the other"
        found = self._votes(context, points[~asking], codes[~asking], cells=points[asking], step=step)
        own["distance"][asking] = found["distance"]
        return own, asking

    def _states(self, found: dict[str, NDArray[Any]], cut_offs: NDArray[np.float64]) -> NDArray[np.int8]:
        far = found["distance"] > cut_offs[found["label"]]  # never where it was not measured
        split = found["agreement"] < self.min_agreement
        return np.where(far, FAR, np.where(split, SPLIT, MATCHED)).astype(np.int8)


def balanced(labels: NDArray[np.str_], *, most: int) -> NDArray[np.int64]:
    """Return positions of at most so many cells, ascending: rare labels whole, of the others equally many at random.

    Examples
    --------
    >>> chosen = balanced(np.array(["a"] * 90 + ["b"] * 10), most=40)
    >>> len(chosen), int((chosen >= 90).sum())
    (40, 10)
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    sizes = np.sort(np.unique(labels, return_counts=True)[1])
    left, cap = most, 0
    for place, size in enumerate(sizes):
        cap = left // (len(sizes) - place)
        left -= min(int(size), cap)
    random = np.random.default_rng(0)
    parts = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        parts.append(mine if len(mine) <= cap else random.choice(mine, cap, replace=False))
    return np.sort(np.concatenate(parts))


def distance_limits(
    distances: NDArray[np.float64], codes: NDArray[np.int64], n_labels: int, *, quantile: float
) -> NDArray[np.float64]:
    """Return a quantile of the distances of each label, of all where a label has fewer than 20; none where it is 1."""
    if quantile >= 1:
        return np.full(n_labels, np.inf)
    limits = np.full(n_labels, float(np.nanquantile(distances, quantile)))
    for label in range(n_labels):
        mine = distances[(codes == label) & np.isfinite(distances)]
        if len(mine) >= FEW_CELLS:
            limits[label] = np.quantile(mine, quantile)
    return limits


def self_test(
    right: NDArray[np.bool_],
    states: NDArray[np.int8],
    codes: NDArray[np.int64],
    *,
    labels: tuple[str, ...],
    cut_offs: NDArray[np.float64],
) -> pd.DataFrame:
    """Return how often reference cells get their own label when they are left out, see `CellMatches`."""

    def row(label: str, mine: NDArray[np.bool_], cut_off: float) -> dict[str, object]:
        measured, kept = mine & (states != NOT_MEASURED), mine & (states == MATCHED)
        return {
            "label": label, "n_cells": int(mine.sum()), "found": float(right[mine].mean()),
            "named": float(kept.sum() / measured.sum()) if measured.any() else np.nan,
            "right": float(right[kept].mean()) if kept.any() else np.nan, "cut_off": cut_off,
        }  # fmt: skip

    rows = [row(label, codes == place, float(cut_offs[place])) for place, label in enumerate(labels)]
    return pd.DataFrame([*rows, row("all", np.ones(len(codes), dtype=bool), np.nan)])


def _remarks(words: str, n_chosen: int, n_usable: int, states: NDArray[np.int8]) -> tuple[str, ...]:
    remarks = [f"Compared in {words}."]
    if n_chosen < n_usable:
        remarks.append(f"{n_chosen:,} of {n_usable:,} labelled reference cells were drawn, rare labels whole.")
    far = float((states == FAR).mean()) if len(states) else 0.0
    if far > _MANY_FAR:
        remarks.append(
            f"{100 * far:.0f} % of all cells lie farther from the reference than one half of it from the other. So "
            "many point to a shift between two batches rather than to new types; the distance cannot tell these "
            "apart. Keep cells at any distance, and check the names by markers."
        )
    return tuple(remarks)


def _vote(
    points: NDArray[np.float32],
    codes: NDArray[np.int64],
    n_neighbors: int,
    pool: NDArray[np.float32] | None,
    chunk: tuple[int, NDArray[np.float32]],
) -> dict[str, NDArray[Any]]:
    """Let the nearest points vote on some cells of a pool; without a pool the cells are the points themselves."""
    start, cells = chunk
    if pool is None:
        distances, indices = _nearest(points, cells, n_neighbors + 1)
        own = indices == (start + np.arange(len(cells)))[:, None]
        others = np.argsort(own, axis=1, kind="stable")[:, :n_neighbors]  # the cell itself last
        distances, indices = np.take_along_axis(distances, others, 1), np.take_along_axis(indices, others, 1)
        gap = np.full(len(cells), np.nan)
    else:
        distances, indices = _nearest(points, cells, n_neighbors)
        smooth = _means(pool, _nearest(pool, cells, min(_TOGETHER, len(pool)))[1])
        gap = np.sqrt(((smooth - _means(points, indices)) ** 2).sum(axis=1))
    mean = distances.mean(axis=1)
    weights = np.exp(-0.5 * (distances / np.where(mean > 0, mean, 1.0)[:, None]) ** 2)
    votes = np.zeros((len(cells), int(codes.max()) + 1))
    np.add.at(votes, (np.repeat(np.arange(len(cells)), n_neighbors), codes[indices].ravel()), weights.ravel())
    winner = votes.argmax(axis=1)
    agreement = votes[np.arange(len(cells)), winner] / weights.sum(axis=1)
    return {"label": winner.astype(np.int16), "agreement": agreement, "distance": gap}


def _nearest(
    points: NDArray[np.float32], cells: NDArray[np.float32], n_neighbors: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    from sklearn.neighbors import NearestNeighbors

    distances, indices = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(points).kneighbors(cells)
    return np.asarray(distances, dtype=np.float64), np.asarray(indices, dtype=np.int64)


def _means(points: NDArray[np.float32], indices: NDArray[np.int64]) -> NDArray[np.float64]:
    total = np.zeros((len(indices), points.shape[1]))
    for column in indices.T:
        total += points[column]
    return np.asarray(total / indices.shape[1])


def _spread(
    found: dict[str, NDArray[Any]], states: NDArray[np.int8], placed: NDArray[np.int64], n_cells: int
) -> dict[str, NDArray[Any]]:
    """Put the answers of the cells that have a vector in their places."""
    label, state = np.full(n_cells, -1, dtype=np.int16), np.full(n_cells, NO_VECTOR, dtype=np.int8)
    agreement, distance = np.full(n_cells, np.nan, dtype=np.float32), np.full(n_cells, np.nan, dtype=np.float32)
    label[placed], state[placed] = found["label"], states
    agreement[placed], distance[placed] = found["agreement"], found["distance"]
    return {"label": label, "state": state, "agreement": agreement, "distance": distance}
