"""Where the cells of a subset stood on a map of the dataset that they were chosen from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError


def places_in_parent(dataset: Dataset, parent: Dataset, coordinates: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the places of a subset's cells on a map of its parent, matched by the names of the cells.

    A map of the subset beside it shows what a new embedding of these cells alone changes.

    Parameters
    ----------
    parent
        See `scfm_core.dataset.parent_of`.
    coordinates
        Of the parent's cells, shape ``(n_cells of the parent, n_dimensions)``.

    Returns
    -------
    Shape ``(n_cells, n_dimensions)``; NaN for a cell that has no place there.

    Raises
    ------
    RequestError
        If the parent has none of the cells, or the map is another dataset's.
    """
    if len(coordinates) != parent.n_cells:
        msg = f"Expected places of the parent's {parent.n_cells:,} cells, found {len(coordinates):,}."
        raise RequestError(msg, "other-dataset")
    rows = parent.cells().index.get_indexer(dataset.cells().index)
    if (rows < 0).all():
        msg = f"None of the {dataset.n_cells:,} cells is in {parent.title!r}. Choose the dataset they were taken from."
        raise RequestError(msg, "other-dataset")
    padded = np.concatenate([coordinates, np.full((1, coordinates.shape[1]), np.nan)])  # the last for row -1
    return np.asarray(padded[rows], dtype=np.float32)
