"""Names of single points in a figure, placed where no name covers another one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scfm_core.plots.figure import Anchor, FloatArray, Note

_WIDTH, _HEIGHT = 380.0, 300.0  # pixels of the smallest panel that the names must fit into
_LETTER, _LINE = 7.0, 14.0
_PLACES: tuple[tuple[Anchor, tuple[float, float]], ...] = (
    ("left", (6, 0)),
    ("right", (-6, 0)),
    ("centre", (0, 12)),
    ("centre", (0, -12)),
)
_MOST_COVERED = 2  # points that a name may cover
Box = tuple[float, float, float, float]


def name_points(
    names: Sequence[str],
    x: FloatArray,
    y: FloatArray,
    *,
    chosen: NDArray[np.bool_],
    limits: tuple[tuple[float, float], tuple[float, float]],
    n_labels: int,
) -> list[Note]:
    """Name the chosen points farthest from ``(0, 0)``, each where its name covers no other name and few points.

    Parameters
    ----------
    names
        One per point.
    x, y
        Shape ``(n_points,)``.
    chosen
        Points that may be named, shape ``(n_points,)``.
    limits
        Those of the two axes.
    n_labels
        How many points are named at most; those that find no place stay without a name.
    """
    (x0, x1), (y0, y1) = limits
    across, up = (x - x0) / (x1 - x0) * _WIDTH, (y - y0) / (y1 - y0) * _HEIGHT
    distance = np.hypot(x / (x1 - x0), y / (y1 - y0))
    order = [int(place) for place in np.argsort(-distance, kind="stable") if chosen[place]]
    taken: list[Box] = []
    notes: list[Note] = []
    points = np.column_stack([across, up])
    for place in order[: 4 * n_labels]:
        if len(notes) == n_labels:
            break
        width = _LETTER * len(names[place]) + 4
        boxes = [_box(points[place], width, anchor, shift) for anchor, shift in _PLACES]
        free = [box[0] >= 0 and box[1] <= _WIDTH and not any(_overlap(box, o) for o in taken) for box in boxes]
        pairs = zip(boxes, free, strict=True)
        covered = [_n_covered(points, chosen, box) if found else _MOST_COVERED + 1 for box, found in pairs]
        best = int(np.argmin(covered))
        if covered[best] <= _MOST_COVERED:
            at_x, at_y = points[place]
            taken += [boxes[best], (at_x - 4, at_x + 4, at_y - 4, at_y + 4)]
            anchor, shift = _PLACES[best]
            notes.append(Note(x=float(x[place]), y=float(y[place]), text=names[place], anchor=anchor, shift=shift))
    return notes


def _box(point: FloatArray, width: float, anchor: Anchor, shift: tuple[float, float]) -> Box:
    left = float(point[0]) + shift[0] - {"left": 0.0, "right": width, "centre": width / 2}[anchor]
    low = float(point[1]) + shift[1] - _LINE / 2
    return left, left + width, low, low + _LINE


def _n_covered(points: FloatArray, chosen: NDArray[np.bool_], box: Box) -> int:
    """Count the points that a name would cover, chosen ones threefold."""
    x, y = points.T
    inside = (x > box[0] - 2) & (x < box[1] + 2) & (y > box[2] - 3) & (y < box[3] + 3)
    return int(inside.sum() + 2 * (inside & chosen).sum())


def _overlap(box: Box, other: Box) -> bool:
    return box[0] < other[1] and other[0] < box[1] and box[2] < other[3] and other[2] < box[3]
