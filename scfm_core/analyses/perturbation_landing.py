"""Among which unperturbed cells does a vector lie? Knows vectors and maps, no edits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_passes import unit_vectors

N_NEIGHBOURS = 15


@dataclass(frozen=True, eq=False)
class Landscape:
    """The unperturbed cells, ready to be searched for the nearest by cosine.

    Attributes
    ----------
    index
        A fitted `sklearn.neighbors.NearestNeighbors` of vectors at length 1, whose order by distance is that by cosine
        and takes an eighth of the time; None where fewer than two cells have a vector.
    cells
        Positions in the dataset of the cells that have a vector, shape ``(n_with_vector,)``.
    """

    index: Any
    cells: NDArray[np.int32]

    @classmethod
    def of(cls, points: NDArray[np.float32]) -> "Landscape":
        """Index the vectors of all cells, shape ``(n_cells, size)``; a cell without a vector is NaN."""
        from sklearn.neighbors import NearestNeighbors

        units = _units(points)
        cells = np.flatnonzero(~np.isnan(units).any(axis=1)).astype(np.int32)
        if len(cells) < 2:
            return cls(None, cells)
        index = NearestNeighbors(n_neighbors=min(N_NEIGHBOURS + 1, len(cells)), algorithm="brute")
        return cls(index.fit(units[cells]), cells)

    def neighbours(self, points: NDArray[np.float32], *, itself: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the nearest unperturbed cells of some vectors, the nearest first.

        Parameters
        ----------
        points
            Shape ``(n, size)``.
        itself
            The cell that each vector belongs to and that may not be its own neighbour, shape ``(n,)``.

        Returns
        -------
        Positions in the dataset, shape ``(n, k)`` with ``k = 15``, or one less than the cells with a vector where
        these are fewer; -1 where a vector is NaN or has no direction.
        """
        k = max(min(N_NEIGHBOURS, len(self.cells) - 1), 0)
        found = np.full((len(points), k), -1, dtype=np.int32)
        units = _units(points)
        there = np.flatnonzero(~np.isnan(units).any(axis=1))
        if not k or not len(there):
            return found
        near = self.cells[self.index.kneighbors(units[there], return_distance=False)]
        others = near != itself[there, None]
        others[others.all(axis=1), -1] = False  # the cell itself is not among them: the farthest goes instead
        found[there] = near[others].reshape(len(there), k)
        return found


def mean_positions(
    neighbours: NDArray[np.integer[Any]], coordinates: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the mean position on a map of some cells.

    Parameters
    ----------
    neighbours
        Positions in the dataset, shape ``(..., k)``; -1 for none.
    coordinates
        Shape ``(n_cells, 2)``; NaN for a cell that is not on the map.

    Returns
    -------
    Shape ``(..., 2)``; NaN where no neighbour is on the map.

    Examples
    --------
    >>> mean_positions(np.array([[0, 1], [-1, -1]]), np.array([[0.0, 0.0], [2.0, 4.0]])).tolist()
    [[1.0, 2.0], [nan, nan]]
    """
    places = np.asarray(coordinates, dtype=np.float64)[neighbours]
    there = (neighbours >= 0) & ~np.isnan(places).any(axis=-1)
    n_there = there.sum(axis=-1)[..., None]
    total = np.where(there[..., None], places, 0.0).sum(axis=-2)
    return np.where(n_there > 0, total / np.maximum(n_there, 1), np.nan)


def _units(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return unit_vectors(points).astype(np.float32)
