"""What may groups of cells be called, by the types that a CellTypist model gives to their cells?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.classify_cells import MIN_PROBABILITY, CellTypes, ClassifyCells
from scfm_core.analyses.group_names import UNKNOWN, group_table, groups_of, share_words
from scfm_core.analyses.grouping import Grouping, group_labels
from scfm_core.celltypist import CelltypistModel
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

_FEW_SHARED = 0.5


@dataclass(frozen=True)
class CelltypistNames:
    """Names of groups with the votes of their cells.

    Attributes
    ----------
    groups
        One row per group, columns as in `scfm_core.analyses.group_names`; ``confidence``: share of the group's cells
        whose best match is the name with a probability of at least 0.5. Then ``majority``, what CellTypist's majority
        voting calls the group whatever the probabilities; ``majority_share`` of its cells; ``unassigned_share``, cells
        in which no type reaches 0.5; ``median_probability`` of the best match.
    shares
        One row per group and type with a vote: ``group``, ``name``, ``share`` of the cells, ``passing_share`` with a
        probability of at least 0.5.
    remarks
        What a reader must know, such as how many genes of the model are missing.
    """

    groups: pd.DataFrame
    shares: pd.DataFrame
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class NameByCelltypist(Request[CelltypistNames]):
    """Name each group by the vote of its cells under a CellTypist model.

    CellTypist votes in clusters of its own that are finer than most; here the given groups vote. A group is "unknown"
    where less than ``min_share`` of its cells have the winning type as best match with a probability of at least 0.5.

    Raises
    ------
    RequestError
        If the dataset shares no gene with the model, or there is no group.
    """

    dataset: Dataset
    grouping: Grouping
    model: CelltypistModel
    min_share: float = 0.5

    result_type: ClassVar[type] = CelltypistNames

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= 1:
            msg = f"Expected a share between 0 and 1, found {self.min_share:g}. 0.5 is half of the cells."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> CelltypistNames:
        """See `Request.run`."""
        labels = group_labels(context, self.dataset, self.grouping)
        sizes = groups_of(labels)
        cells = context.compute(ClassifyCells(self.dataset, self.model))
        rows = [self._row(name, np.flatnonzero(labels == name), cells) for name in sizes]
        shares = [_shares(name, np.flatnonzero(labels == name), cells) for name in sizes]
        return CelltypistNames(group_table(rows), pd.concat(shares, ignore_index=True), self._remarks(cells))

    def _row(self, group: str, mine: NDArray[np.int64], cells: CellTypes) -> dict[str, object]:
        votes = majority_votes(mine, cells)
        majority, n_votes = votes[0]
        passing = (cells.probability[mine] >= MIN_PROBABILITY) & (cells.best[mine] >= 0)
        wins = float((passing & (cells.best[mine] == majority)).mean())
        name = cells.classes[majority] if majority >= 0 else ""
        unassigned = float(1 - passing.mean())
        median = float(np.median(cells.probability[mine])) if majority >= 0 else np.nan
        known = majority >= 0 and wins >= self.min_share
        reason = "" if known else (
            f"only {share_words(wins)} of its cells are {name} with a probability of at least {MIN_PROBABILITY:g}; "
            f"{share_words(unassigned)} reach it for no type"
            if majority >= 0 else "no cell has counts"
        )  # fmt: skip
        return {
            "group": group, "n_cells": len(mine), "name": name if known else UNKNOWN, "confidence": wins,
            "runner_up": cells.classes[votes[1][0]] if len(votes) > 1 else "",
            "runner_up_confidence": votes[1][1] / len(mine) if len(votes) > 1 else np.nan,
            "evidence": f"{share_words(n_votes / len(mine))} of cells are {name}, median probability {median:.2g}",
            "reason": reason, "majority": name, "majority_share": n_votes / len(mine),
            "unassigned_share": unassigned, "median_probability": median,
        }  # fmt: skip

    def _remarks(self, cells: CellTypes) -> tuple[str, ...]:
        share = cells.n_shared / cells.n_model_genes
        words = f"The dataset has {cells.n_shared:,} of the {cells.n_model_genes:,} genes of the model."
        more = " The rest count as average, which makes scores less sure." if share < _FEW_SHARED else ""
        return (words + more,)


def majority_votes(mine: NDArray[np.int64], cells: CellTypes) -> list[tuple[int, int]]:
    """Return the best matches of some cells with their numbers, most first, in the model's order where equal.

    Cells without counts have no vote, unless there are no others: then the only entry is ``(-1, 0)``.
    """
    best = cells.best[mine]
    counts = np.bincount(best[best >= 0], minlength=len(cells.classes))
    order = np.argsort(-counts, kind="stable")
    return [(int(place), int(counts[place])) for place in order if counts[place]] or [(-1, 0)]


def _shares(group: str, mine: NDArray[np.int64], cells: CellTypes) -> pd.DataFrame:
    votes = [(place, n) for place, n in majority_votes(mine, cells) if place >= 0]
    passing = [
        float(((cells.best[mine] == place) & (cells.probability[mine] >= MIN_PROBABILITY)).mean()) for place, _ in votes
    ]
    return pd.DataFrame({
        "group": group, "name": [cells.classes[place] for place, _ in votes],
        "share": [n / len(mine) for _, n in votes], "passing_share": passing,
    })  # fmt: skip
