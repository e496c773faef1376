"""What may groups of cells be called, by the labels of the reference cells that lie next to their cells?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.group_names import UNKNOWN, group_table, groups_of, share_words
from scfm_core.analyses.grouping import Grouping, group_labels
from scfm_core.analyses.match_cells import FAR, MATCHED, NO_VECTOR, SPLIT, CellMatches, MatchCells
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request


@dataclass(frozen=True)
class ReferenceNames:
    """Names of groups with the votes of their cells.

    Attributes
    ----------
    groups
        One row per group, columns as in `scfm_core.analyses.group_names`; ``confidence``: share of the group's cells
        that are matched to the name. Then ``far_share``, ``split_share``, ``no_vector_share`` of the cells, which have
        no label and why; ``reference_found``: share of the reference's own cells of that label that get it again when
        left out.
    shares
        One row per group and label that one of its cells has: ``group``, ``name``, ``share`` of all its cells.
    self_test
        As in `CellMatches`.
    remarks
        How the cells were compared, and what a reader must know.
    """

    groups: pd.DataFrame
    shares: pd.DataFrame
    self_test: pd.DataFrame
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class NameByReference(Request[ReferenceNames]):
    """Name each group by the label that most of its cells get from a reference.

    A group is "unknown" where fewer than ``min_share`` of its cells are matched to one label; cells that lie too far
    from the reference, or whose neighbours do not agree, are matched to none.

    Raises
    ------
    RequestError
        As `MatchCells`, or if there is no group.
    """

    matching: MatchCells
    grouping: Grouping
    min_share: float = 0.5

    result_type: ClassVar[type] = ReferenceNames

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= 1:
            msg = f"Expected a share between 0 and 1, found {self.min_share:g}. 0.5 is half of the cells."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> ReferenceNames:
        """See `Request.run`."""
        labels = group_labels(context, self.matching.query.dataset, self.grouping)
        sizes = groups_of(labels)
        cells = context.compute(self.matching)
        rows = [self._row(name, np.flatnonzero(labels == name), cells) for name in sizes]
        shares = [_shares(name, np.flatnonzero(labels == name), cells) for name in sizes]
        remarks = (*cells.remarks, _self_test_words(cells.self_test))
        return ReferenceNames(group_table(rows), pd.concat(shares, ignore_index=True), cells.self_test.copy(), remarks)

    def _row(self, group: str, mine: NDArray[np.int64], cells: CellMatches) -> dict[str, object]:
        shares = _shares(group, mine, cells)
        states = {state: float((cells.state[mine] == state).mean()) for state in (FAR, SPLIT, NO_VECTOR)}
        best = float(shares["share"].iloc[0]) if len(shares) else 0.0
        name = str(shares["name"].iloc[0]) if len(shares) else ""
        known = bool(name) and best >= self.min_share
        found = cells.self_test.set_index("label")["found"]
        return {
            "group": group, "n_cells": len(mine), "name": name if known else UNKNOWN, "confidence": best,
            "runner_up": str(shares["name"].iloc[1]) if len(shares) > 1 else "",
            "runner_up_confidence": float(shares["share"].iloc[1]) if len(shares) > 1 else np.nan,
            "evidence": _evidence(name, best, mine, cells),
            "reason": "" if known else _reason(name, best, states),
            "far_share": states[FAR], "split_share": states[SPLIT], "no_vector_share": states[NO_VECTOR],
            "reference_found": float(found[name]) if name else np.nan,
        }  # fmt: skip


def _shares(group: str, mine: NDArray[np.int64], cells: CellMatches) -> pd.DataFrame:
    matched = cells.label[mine][cells.state[mine] == MATCHED]
    counts = np.bincount(matched, minlength=len(cells.labels))
    order = [place for place in np.argsort(-counts, kind="stable") if counts[place]]
    names, shares = [cells.labels[place] for place in order], [counts[place] / len(mine) for place in order]
    return pd.DataFrame({"group": [group] * len(order), "name": names, "share": shares})


def _evidence(name: str, best: float, mine: NDArray[np.int64], cells: CellMatches) -> str:
    if not name:
        return "no cell is matched to a label"
    is_mine = (cells.state[mine] == MATCHED) & (cells.label[mine] == cells.labels.index(name))
    agreement = float(cells.agreement[mine][is_mine].mean())
    found = float(cells.self_test.set_index("label")["found"][name])
    return (
        f"{share_words(best)} of cells lie among {name}, whose neighbours agree by {share_words(agreement)}; the "
        f"reference finds {share_words(found)} of its own {name} again"
    )


def _reason(name: str, best: float, states: dict[int, float]) -> str:
    most = f"only {share_words(best)} of its cells are matched to {name}" if name else "no cell is matched"
    parts = [
        f"{share_words(states[state])} {words}"
        for state, words in (
            (FAR, "lie farther from the reference than one half of it from the other"),
            (SPLIT, "have neighbours that do not agree"),
            (NO_VECTOR, "have no vector"),
        )
        if states[state]
    ]
    return f"{most}; {', '.join(parts)}" if parts else most


def _self_test_words(table: pd.DataFrame) -> str:
    row = table[table["label"] == "all"].iloc[-1]
    return (
        f"The reference itself, each cell left out in turn: {share_words(row['found'])} of {row['n_cells']:,} cells "
        f"get their own label; {share_words(row['named'])} keep a label by the same rules, {share_words(row['right'])} "
        "of them the right one. Cells of one batch find each other easily, so a new batch does worse."
    )
