"""Do edited cells land among cells of another type? Knows neighbours and labels, no vectors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.measure_edits import EditedCells
from scfm_core.analyses.perturbation_comparison import Comparison, means_there
from scfm_core.analyses.perturbation_null import empirical_p
from scfm_core.analyses.perturbation_study import RandomGenes, Study

_COUNTED_AT_ONCE = 8_000_000  # vectors times labels: a column may have a value of its own for every cell


def majority_labels(neighbours: NDArray[np.integer[Any]], labels: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the commonest label among some neighbours; among equally common ones that of the nearest neighbour.

    Parameters
    ----------
    neighbours
        Positions in the dataset, nearest first, shape ``(..., k)``; -1 for none.
    labels
        Of every cell of the dataset, shape ``(n_cells,)``; empty for none, which has no vote.

    Returns
    -------
    Shape ``(...)``; empty where no neighbour has a label.

    Examples
    --------
    >>> majority_labels(np.array([[0, 1, 2], [3, 0, 2], [-1, -1, -1]]), np.array(["T", "B", "B", ""])).tolist()
    ['B', 'T', '']
    """
    names, codes = np.unique(np.concatenate([[""], labels]), return_inverse=True)  # "" sorts first: its code is 0
    codes = np.append(codes[1:], 0)  # the neighbour -1 reads the last one
    rows = neighbours.reshape(-1, neighbours.shape[-1]) if neighbours.size else np.empty((0, 1), dtype=np.int64)
    found = np.zeros(int(np.prod(neighbours.shape[:-1])), dtype=np.int64)
    step = max(1, _COUNTED_AT_ONCE // max(len(names), neighbours.shape[-1], 80))
    for start in range(0, len(rows), step):
        votes = codes[rows[start : start + step]]
        each = np.arange(len(votes))
        counts = np.zeros((len(votes), len(names)), dtype=np.int64)
        np.add.at(counts, (each[:, None], votes), 1)
        counts[:, 0] = 0
        nearest = np.argmax(counts[each[:, None], votes], axis=1)
        winner = votes[each, nearest]
        found[start : start + len(votes)] = np.where(counts[each, winner] > 0, winner, 0)
    return names[found].reshape(neighbours.shape[:-1])


@dataclass(frozen=True, eq=False)
class Identities:
    """Among which cells each chosen cell lies before and after each edit, told by the labels of its neighbours.

    Attributes
    ----------
    before
        Shape ``(n_chosen,)``; empty where unknown.
    after
        Shape ``(n_edits, n_chosen)``.
    random
        Of each pair of random edit and cell, whether the label changes: 1 or 0, NaN if unknown; shape ``(n_pairs,)``.
    """

    before: NDArray[np.str_]
    after: NDArray[np.str_]
    random: NDArray[np.float64]

    @classmethod
    def of(cls, study: Study, edited: EditedCells, random: RandomGenes | None) -> "Identities | None":
        """Label all landing places; None where no column names an identity."""
        if study.identity is None:
            return None
        before = majority_labels(edited.landing_before, study.identity)
        after = majority_labels(edited.landing_after, study.identity)
        if random is None:
            return cls(before, after, np.empty(0))
        landed = majority_labels(random.landing, study.identity)
        return cls(before, after, _changed(before[np.searchsorted(study.chosen, random.cell)], landed))

    def switched(self, edit: int) -> NDArray[np.float64]:
        """Return whether each chosen cell's label changes, shape ``(n_chosen,)``: 1 or 0, NaN if unknown."""
        return _changed(self.before, self.after[edit])


def switching(
    identities: Identities, edit: int, cells: NDArray[np.int64], comparison: Comparison
) -> dict[str, float | int | str]:
    """Return how many of the cells that hold an edit switch, and how rarely random genes do as much.

    Shares are not levelled for abundance: most random genes switch no cell at all, and a share of 0 has no logarithm.

    Parameters
    ----------
    cells
        The holding cells of the group, as positions in ``Study.chosen``.
    """
    switched = identities.switched(edit)
    new = identities.after[edit][cells[switched[cells] == 1.0]]
    names, counts = np.unique(new, return_counts=True)
    shares = random_switching(identities, edit, comparison)
    null = shares[1:][~np.isnan(shares[1:])]
    return {
        "share_switching": float(means_there(switched[cells])),
        "switch_to": str(names[np.argmax(counts)]) if len(names) else "",
        "n_switching": len(new),
        "null_switching": float(means_there(null)),
        "p_switching": empirical_p(float(shares[0]), null),
    }


def random_switching(identities: Identities, edit: int, comparison: Comparison) -> NDArray[np.float64]:
    """Return the share of switching cells of an edit and of its random genes, shape ``(n_draws + 1,)``."""
    return means_there(comparison.values(identities.switched(edit), identities.random))


def _changed(before: NDArray[np.str_], after: NDArray[np.str_]) -> NDArray[np.float64]:
    return np.where((before == "") | (after == ""), np.nan, (before != after).astype(np.float64))
