"""Places for the nodes of a small network of hubs and their followers; the same network always gets the same places."""

import numpy as np
from numpy.typing import NDArray

from scfm_core.plots.figure import FloatArray

RING = (1.0, 1.0)  # half width and half height of the ring of followers
_INNER = (0.36, 0.72)


def hub_places(n_hubs: int) -> FloatArray:
    """Return places of the hubs, shape ``(n_hubs, 2)``: in turn left and right, no two at one height.

    So no name of a hub covers another one's. A single hub stands in the middle.

    Examples
    --------
    >>> hub_places(1).tolist()
    [[0.0, 0.0]]
    """
    if n_hubs == 1:
        return np.zeros((1, 2))
    side = np.where(np.arange(n_hubs) % 2, 1.0, -1.0)
    return np.column_stack([_INNER[0] * side, np.linspace(_INNER[1], -_INNER[1], n_hubs)])


def ring_places(pull: FloatArray) -> FloatArray:
    """Return places on the outer ring, half of them left and half right, evenly spaced in height.

    Even heights keep the names, which stand outside of the ring, from covering each other.

    Parameters
    ----------
    pull
        Where each node would like to stand, as the weighted mean of its hubs' places, shape ``(n_nodes, 2)``.

    Returns
    -------
    Shape ``(n_nodes, 2)``.
    """
    n_nodes = len(pull)
    places = np.zeros((n_nodes, 2))
    by_side = np.lexsort((pull[:, 1], pull[:, 0].round(9)))
    left = by_side[: n_nodes // 2]
    right = by_side[n_nodes // 2 :]
    for nodes, sign in ((left, -1.0), (right, 1.0)):
        heights = _even_heights(len(nodes))
        order: NDArray[np.int64] = nodes[np.argsort(-pull[nodes, 1], kind="stable")]
        places[order, 1] = RING[1] * heights
        places[order, 0] = sign * RING[0] * np.sqrt(np.maximum(1.0 - (0.85 * heights) ** 2, 0.0))
    return places


def _even_heights(n_nodes: int) -> FloatArray:
    """Return heights from the top to the bottom; few nodes stand close to the middle."""
    if n_nodes <= 1:
        return np.zeros(n_nodes)
    reach = min(1.0, 0.22 * (n_nodes - 1))
    return np.linspace(reach, -reach, n_nodes)
