"""Which of the tested genes are worth showing: cut-offs that a person sets, and how many genes per group."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from scfm_core.errors import RequestError

Direction = Literal["higher", "lower", "both"]


@dataclass(frozen=True, kw_only=True)
class Cutoffs:
    """What a gene must reach to be shown.

    Attributes
    ----------
    n_per_group
        At most so many genes of each group, those with the largest score; None: all.
    max_p_adjusted
        Genes without an adjusted p (see the note in their table) pass only at 1.
    min_log2_fold_change
        In the direction asked for, so never negative.
    min_share
        Share of cells that hold the gene, on the side where it is higher.
    max_share_other
        Share of cells that hold the gene, on the side where it is lower.
    direction
        Genes that are higher in the group than in what it is compared with, lower, or both.

    Raises
    ------
    RequestError
        If a value is out of its range.
    """

    n_per_group: int | None = None
    max_p_adjusted: float = 0.05
    min_log2_fold_change: float = 0.25
    min_share: float = 0.1
    max_share_other: float = 1.0
    direction: Direction = "higher"

    def __post_init__(self) -> None:
        shares = {
            "share of cells": self.min_share,
            "share out": self.max_share_other,
            "adjusted p": self.max_p_adjusted,
        }
        wrong = [f"{name} {value:g}" for name, value in shares.items() if not 0 <= value <= 1]
        if not self.min_log2_fold_change >= 0:
            wrong.append(f"log2 fold change {self.min_log2_fold_change:g}")
        if self.n_per_group is not None and self.n_per_group < 1:
            wrong.append(f"{self.n_per_group} genes")
        if wrong:
            msg = (
                "Expected shares and p between 0 and 1, a log2 fold change of 0 or more and at least 1 gene; found "
                f"{', '.join(wrong)}. Change the cut-offs."
            )
            raise RequestError(msg, "out-of-range")

    @property
    def words(self) -> str:
        """What passes, in one line for headers.

        Examples
        --------
        >>> Cutoffs(n_per_group=5).words
        'adjusted p <= 0.05, log2 fold change >= 0.25, share in >= 0.1, share out <= 1, higher, at most 5 per group'
        """
        count = "all of them" if self.n_per_group is None else f"at most {self.n_per_group} per group"
        return (
            f"adjusted p <= {self.max_p_adjusted:g}, log2 fold change >= {self.min_log2_fold_change:g}, share in >= "
            f"{self.min_share:g}, share out <= {self.max_share_other:g}, {self.direction}, {count}"
        )


def choose_markers(table: pd.DataFrame, cutoffs: Cutoffs) -> pd.DataFrame:
    """Return the genes of each group that pass the cut-offs, in the order of the groups, strongest first.

    Parameters
    ----------
    table
        Of `scfm_core.analyses.find_markers.Markers` or `scfm_core.analyses.compare_donors.DonorComparison`.
    """
    is_up = table["log2_fold_change"] >= 0
    held = table["share_in"].where(is_up, table["share_out"])
    held_other = table["share_out"].where(is_up, table["share_in"])
    passed = (
        (table["p_adjusted"].fillna(1.0) <= cutoffs.max_p_adjusted)
        & (table["log2_fold_change"].abs() >= cutoffs.min_log2_fold_change)
        & (held >= cutoffs.min_share)
        & (held_other <= cutoffs.max_share_other)
    )
    if cutoffs.direction != "both":
        passed &= is_up if cutoffs.direction == "higher" else ~is_up
    kept = table[passed]
    place = {group: number for number, group in enumerate(dict.fromkeys(table["group"]))}
    keys = pd.DataFrame(
        {"group": kept["group"].map(place), "score": kept["score"].where(~is_up, -kept["score"])}, index=kept.index
    )
    kept = kept.loc[keys.sort_values(["group", "score"], kind="stable").index]
    if cutoffs.n_per_group is not None:
        kept = kept.groupby("group", sort=False, observed=True).head(cutoffs.n_per_group)
    return kept.reset_index(drop=True)
