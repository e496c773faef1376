"""What are some cells made of, beside others: groups of a column, or values of one?

Cells are no replicates: shares are told with their numbers of cells, and per donor where donors are known; no p-value.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.grouping import Grouping, group_codes
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

NO_GROUP = "in no group"
MOST_DONOR_ROWS = 20_000
COLUMNS = ("group", "n_in", "n_out", "share_in", "share_out", "share_of_group")
DONOR_COLUMNS = ("donor", "group", "n_in", "n_donor_in", "share_in", "n_out", "n_donor_out", "share_out")


@dataclass(frozen=True)
class Composition:
    """How many of some cells, and of the cells beside them, are in each group.

    Attributes
    ----------
    table
        One row per group that has a cell on either side, in reading order, then the cells ``"in no group"`` where
        there are some. Columns: ``group``; ``n_in``, ``n_out`` (cells on either side); ``share_in``, ``share_out`` (of
        the cells of that side); ``share_of_group`` (part of the group's cells on both sides that is among the chosen).
    donors
        The same in each donor: ``donor``, ``group``, ``n_in``, ``n_donor_in`` (the donor's cells on that side),
        ``share_in`` (NaN where the donor has none there), and so for ``out``. No row without donors.
    """

    table: pd.DataFrame
    donors: pd.DataFrame

    def range_over_donors(self) -> pd.DataFrame:
        """Return the smallest and the largest share over donors, per group; NaN where no donor has cells on a side.

        Columns: ``low_in``, ``high_in``, ``low_out``, ``high_out``, ``donors_in``, ``donors_out`` (how many donors
        have cells on that side); the index is ``group``, in the order of ``table``.
        """
        by_group = self.donors.groupby("group", sort=False)
        ranges: dict[str, pd.Series[Any]] = {}
        for side in ("in", "out"):
            shares = by_group[f"share_{side}"]
            ranges |= {f"low_{side}": shares.min(), f"high_{side}": shares.max(), f"donors_{side}": shares.count()}
        return pd.DataFrame(ranges).reindex(self.table["group"].tolist())


@dataclass(frozen=True)
class ComposeCells(Request[Composition]):
    """Count the groups among some cells, and among all other cells or another set.

    Parameters
    ----------
    against
        The cells beside them; all others where None. Cells that are also in ``cells`` are left out.
    donors
        Column of the cell table that tells donors apart; none where None.

    Raises
    ------
    RequestError
        If the cells are none or of another dataset, or there is no such column.
    """

    dataset: Dataset
    cells: CellSet
    grouping: Grouping
    against: CellSet | None = None
    donors: str | None = None

    result_type: ClassVar[type] = Composition

    def __post_init__(self) -> None:
        check_sides(self.dataset, self.cells, self.against)

    def run(self, context: Context) -> Composition:
        """See `Request.run`."""
        names, codes = group_codes(context, self.dataset, self.grouping)
        inside, outside = sides(self.cells, self.against)
        counts = np.stack([_counts(codes[side], len(names)) for side in (inside, outside)], axis=1)
        none = NO_GROUP if NO_GROUP not in names else f"{NO_GROUP} (no value)"
        table = _table((*names, none), counts)
        if self.donors is None:
            return Composition(table, pd.DataFrame(columns=list(DONOR_COLUMNS)))
        people = _codes_of_donors(self.dataset, self.donors)
        kept = np.append(np.arange(len(names)), -1)[counts.sum(axis=1) > 0]
        return Composition(table, _per_donor(people, (codes, kept, table["group"]), (inside, outside)))


def check_sides(dataset: Dataset, cells: CellSet, against: CellSet | None) -> None:
    """Raise a `RequestError` where cells are none or another dataset's."""
    for side in (cells, *([] if against is None else [against])):
        if side.n_cells != dataset.n_cells:
            msg = (
                f"{side.label!r} was selected among {side.n_cells:,} cells, but this dataset has {dataset.n_cells:,}. "
                "Select the cells again."
            )
            raise RequestError(msg, "other-dataset")
    if not len(cells):
        msg = f"Expected at least one cell in {cells.label!r}, found none. Select some cells first."
        raise RequestError(msg, "no-cells")


def sides(cells: CellSet, against: CellSet | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the chosen cells and those beside them, shape ``(n_cells,)`` each, no cell in both."""
    inside = cells.mask
    return inside, ~inside if against is None else against.mask & ~inside


def _counts(codes: NDArray[np.integer[Any]], n_groups: int) -> NDArray[np.int64]:
    """Return the number of cells of each group, and last of those in none."""
    counts = np.bincount(np.asarray(codes, dtype=np.int64) + 1, minlength=n_groups + 1)
    return np.append(counts[1:], counts[0])


def _table(names: tuple[str, ...], counts: NDArray[np.int64]) -> pd.DataFrame:
    n_in, n_out = counts.T
    share_in, share_out = (_share(side, side.sum()) for side in (n_in, n_out))
    columns = dict(zip(COLUMNS[1:], (n_in, n_out, share_in, share_out, _share(n_in, n_in + n_out)), strict=True))
    table = pd.DataFrame({"group": np.array(names, dtype=object), **columns})
    held: pd.DataFrame = table[counts.sum(axis=1) > 0].reset_index(drop=True)
    return held


def _share(part: NDArray[np.int64], whole: Any) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(part / np.asarray(whole), dtype=np.float64)


def _codes_of_donors(dataset: Dataset, column: str) -> "pd.Categorical[Any]":
    return pd.Categorical(dataset.cell_column(column).astype("category"))


def _per_donor(
    people: "pd.Categorical[Any]",
    groups: tuple[NDArray[np.integer[Any]], NDArray[np.int64], "pd.Series[Any]"],
    of_sides: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> pd.DataFrame:
    codes, kept, names = groups
    donors = [str(name) for name in people.categories]
    if len(donors) * len(names) > MOST_DONOR_ROWS:
        msg = (
            f"{len(donors):,} donors and {len(names):,} groups make more than {MOST_DONOR_ROWS:,} shares. Choose a "
            "column with fewer groups, or none for the donors."
        )
        raise RequestError(msg, "too-many-groups")
    counts = [_crossed(people, codes, side, kept) for side in of_sides]
    columns: dict[str, Any] = {"donor": np.repeat(donors, len(names)), "group": np.tile(names, len(donors))}
    for name, table, side in zip(("in", "out"), counts, of_sides, strict=True):
        of_donor = np.repeat(_counts(people.codes[side], len(donors))[:-1], len(names))
        columns |= {f"n_{name}": table.ravel(), f"n_donor_{name}": of_donor}
        columns[f"share_{name}"] = _share(table.ravel(), of_donor)
    return pd.DataFrame(columns)[list(DONOR_COLUMNS)]


def _crossed(
    people: "pd.Categorical[Any]",
    codes: NDArray[np.integer[Any]],
    side: NDArray[np.bool_],
    kept: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the cells of one side by donor and kept group, shape ``(n_donors, n_kept)``."""
    width = int(kept.max()) + 2  # one more in front for cells in no group
    known = side & (people.codes >= 0)
    crossed = np.asarray(people.codes[known], dtype=np.int64) * width + codes[known] + 1
    counts = np.bincount(crossed, minlength=len(people.categories) * width)
    return counts.reshape(len(people.categories), width)[:, kept + 1]
