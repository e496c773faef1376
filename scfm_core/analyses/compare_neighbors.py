"""Do two embeddings agree on which cells lie next to each cell?

Groups play no part in the question: `scfm_core.analyses.neighbor_tables` counts one answer by any column.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells, chunks_of
from scfm_core.analyses.find_neighbors import MIN_CELLS, comparable, default_metric
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

MOST_COMPARED = 50_000
_MOST_DISTANCES = 5 * 10**9  # for each embedding: 16 s for 50 dimensions, 100 s for 512, on one idle core
_PIECES = 12
_MIN_PIECE = 250  # cells
_LARGEST_PART = 3  # a neighbourhood holds at most a third of the cells, or all embeddings agree


@dataclass(frozen=True)
class NeighborComparison:
    """The nearest cells of each compared cell in both embeddings.

    All positions are those of the first embedding's dataset, except for ``cells_in_second``.

    Attributes
    ----------
    cells
        The compared cells, ascending, shape ``(n_compared,)``, int64.
    cells_in_second
        Positions of the same cells in the second embedding's dataset, shape ``(n_compared,)``, int64.
    pool
        The cells that could be neighbours: those with a vector in both, shape ``(n_pool,)``, int64.
    neighbors_first, neighbors_second
        The nearest other cells, nearest first, shape ``(n_compared, n_neighbors)``, int32.
    share_kept
        Share of a cell's neighbours in the first embedding that are its neighbours in the second one, 0 to 1, shape
        ``(n_compared,)``, float32.
    share_by_chance
        What two embeddings without anything in common would reach on average: ``n_neighbors / (n_pool - 1)``.
    n_neighbors
        Number of neighbours, the cell itself not counted.
    """

    cells: NDArray[np.int64]
    cells_in_second: NDArray[np.int64]
    pool: NDArray[np.int64]
    neighbors_first: NDArray[np.int32]
    neighbors_second: NDArray[np.int32]
    share_kept: NDArray[np.float32]
    share_by_chance: float
    n_neighbors: int

    def kept_per_cell(self, n_cells: int) -> NDArray[np.float32]:
        """Return the share kept of each cell of the first dataset, NaN where not compared, shape ``(n_cells,)``."""
        return _spread(self.share_kept, self.cells, n_cells)

    def kept_per_cell_in_second(self, n_cells: int) -> NDArray[np.float32]:
        """Return the share kept of each cell of the second dataset, NaN where not compared, shape ``(n_cells,)``."""
        return _spread(self.share_kept, self.cells_in_second, n_cells)


@dataclass(frozen=True)
class CompareNeighbors(Request[NeighborComparison]):
    """Compare the nearest cells of each cell in two embeddings.

    Neighbours are exact, by the metric that `FindNeighbors` takes for each model, among the cells that have a vector in
    both embeddings. Where the product of cells is too large, a random sample of at most 50,000 cells is compared, and
    fewer above 100,000 cells; their neighbours are still sought among all. The two datasets may differ where one was
    cut out of the other: cells are then matched by name.

    Parameters
    ----------
    n_neighbors
        How many neighbours are compared, the cell itself not counted; at most a third of the cells.

    Raises
    ------
    RequestError
        If the datasets hold different cells, or fewer than 3 cells have a vector in both.

    References
    ----------
    Overlap of nearest neighbours as a measure of how far a representation was kept: Lee and Verleysen 2009,
    doi:10.1016/j.neucom.2008.12.017, Section 4; for single cells: Cooley et al. 2019, doi:10.1101/689851.
    """

    first: EmbedCells
    second: EmbedCells
    n_neighbors: int = 30

    result_type: ClassVar[type] = NeighborComparison

    def __post_init__(self) -> None:
        if self.n_neighbors < 1:
            msg = f"Expected at least 1 neighbour to compare, found {self.n_neighbors}. Usual values: 15 to 50."
            raise RequestError(msg, "too-few-neighbors")

    def run(self, context: Context) -> NeighborComparison:
        """See `Request.run`."""
        in_first, in_second = matched_cells(self.first.dataset, self.second.dataset)
        points = [np.asarray(context.compute(embedding).points) for embedding in (self.first, self.second)]
        placed = _with_vector(points[0][in_first]) & _with_vector(points[1][in_second])
        if int(placed.sum()) < MIN_CELLS:
            msg = (
                f"Expected at least {MIN_CELLS} cells with a vector in both embeddings, found {int(placed.sum())} of "
                f"{len(placed):,}. Choose models that read more of this dataset's genes, or more cells."
            )
            raise RequestError(msg, "too-few-cells")
        if not placed.all():
            context.log(f"{int((~placed).sum()):,} of {len(placed):,} cells lack a vector in one and are left out")
        in_first, in_second = in_first[placed], in_second[placed]
        n_pool = len(in_first)
        n_neighbors = self._fitting_neighbors(context, n_pool)
        asked = _asked_cells(context, n_pool)
        first = _nearest(context, self.first, points[0][in_first], asked, n_neighbors)
        second = _nearest(context, self.second, points[1][in_second], asked, n_neighbors)
        return NeighborComparison(
            cells=in_first[asked],
            cells_in_second=in_second[asked],
            pool=in_first,
            neighbors_first=in_first[first].astype(np.int32),
            neighbors_second=in_first[second].astype(np.int32),
            share_kept=share_in_both(first, second),
            share_by_chance=n_neighbors / (n_pool - 1),
            n_neighbors=n_neighbors,
        )

    def _fitting_neighbors(self, context: Context, n_pool: int) -> int:
        most = max(1, (n_pool - 1) // _LARGEST_PART)
        if most < self.n_neighbors:
            context.log(f"Only {n_pool:,} cells can be neighbours, so {most} are compared, not {self.n_neighbors}")
        return min(self.n_neighbors, most)


def matched_cells(first: Dataset, second: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the same cells in two datasets, in the order of the first one.

    Returns
    -------
    Two arrays of shape ``(n_matched,)``.

    Raises
    ------
    RequestError
        If neither dataset holds all cells of the other, by name and by total counts.
    """
    if first.identity == second.identity:
        return np.arange(first.n_cells), np.arange(first.n_cells)
    place = second.cells().index.get_indexer(first.cells().index)
    in_first = np.flatnonzero(place >= 0)
    in_second = place[in_first].astype(np.int64)
    n_same = int((first.total_counts[in_first] == second.total_counts[in_second]).sum())
    smaller = min(first.n_cells, second.n_cells)
    if len(in_first) < smaller or n_same < smaller:
        msg = (
            f"Expected two embeddings of the same cells, or of one dataset and a part of it. Of {first.n_cells:,} and "
            f"{second.n_cells:,} cells {len(in_first):,} have a name in common, and {n_same:,} of these the same total "
            "counts. Choose two embeddings of one dataset, or of a dataset and of a selection saved as a dataset."
        )
        raise RequestError(msg, "other-cells")
    return in_first, in_second


def share_in_both(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the share of each row of ``first`` that stands in the same row of ``second``; no row repeats a value.

    Parameters
    ----------
    first, second
        Shape ``(n_rows, n_values)``.

    Examples
    --------
    >>> share_in_both(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [4, 5]])).tolist()
    [1.0, 0.5]
    """
    both = np.sort(np.hstack([first, second]), axis=1)
    n_common = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    return np.asarray(n_common / first.shape[1], dtype=np.float32)


def nearest_others(vectors: NDArray[np.float32], rows: NDArray[np.int64], *, n_neighbors: int) -> NDArray[np.int64]:
    """Return the nearest other rows of some rows by Euclidean distance, exact, nearest first.

    Parameters
    ----------
    vectors
        Shape ``(n_pool, n_dimensions)``.
    rows
        Positions whose neighbours are sought, shape ``(n_rows,)``.

    Returns
    -------
    Positions, shape ``(n_rows, n_neighbors)``.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=n_neighbors + 1, algorithm="brute").fit(vectors)
    found = search.kneighbors(vectors[rows], return_distance=False)
    order = np.argsort(found == rows[:, None], axis=1, kind="stable")[:, :n_neighbors]  # the cell itself last
    return np.asarray(np.take_along_axis(found, order, axis=1), dtype=np.int64)


def _asked_cells(context: Context, n_pool: int) -> NDArray[np.int64]:
    """Return the rows of the pool that are compared: all, or a random sample that is the same each time."""
    most = min(MOST_COMPARED, max(_MIN_PIECE, _MOST_DISTANCES // n_pool))
    if n_pool <= most:
        return np.arange(n_pool)
    context.log(f"{most:,} of {n_pool:,} cells, drawn at random, are compared; neighbours are sought among all")
    return np.sort(np.random.default_rng(0).choice(n_pool, most, replace=False))


def _nearest(
    context: Context, embedding: EmbedCells, points: NDArray[np.float32], asked: NDArray[np.int64], n_neighbors: int
) -> NDArray[np.int64]:
    vectors = comparable(points, default_metric(embedding.model))
    piece = max(_MIN_PIECE, -(-len(asked) // _PIECES))  # few, as each carries the vectors to its worker
    pieces = [asked[start:stop] for start, stop in chunks_of(len(asked), piece)]
    search = partial(nearest_others, vectors, n_neighbors=n_neighbors)
    step = f"Finding neighbours in {embedding.model.title}"
    found = list(context.map(search, pieces, step=step, sizes=[len(rows) for rows in pieces]))
    return np.concatenate(found)


def _with_vector(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(points).all(axis=1), dtype=bool)


def _spread(values: NDArray[np.float32], cells: NDArray[np.int64], n_cells: int) -> NDArray[np.float32]:
    spread = np.full(n_cells, np.nan, dtype=np.float32)
    spread[cells] = values
    return spread
