"""Gene sets made from a dataset itself: the genes that mark each value of a column, such as a cell type."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.grouping import ByColumn
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.gene_sets import GeneSet, GeneSets
from scfm_core.request import Context, Request

MAX_P_ADJUSTED = 0.05


@dataclass(frozen=True)
class MarkerGenes:
    """The genes that mark each group, ready to be read as gene sets.

    Attributes
    ----------
    table
        One row per group and marker, by group in reading order, strongest first: ``group``, ``gene_id``, ``symbol``,
        ``score``, ``log2_fold_change``, ``p_adjusted``, as in `scfm_core.analyses.find_markers.Markers`.
    column
        The column of the cell table that the groups are values of.
    """

    table: pd.DataFrame
    column: str

    @property
    def gene_sets(self) -> GeneSets:
        """One set per group, called by the group; symbols, strongest marker first."""
        groups = self.table.groupby("group", sort=False, observed=True)
        sets = tuple(
            GeneSet(str(group), f"marks {group} in this dataset", tuple(dict.fromkeys(rows["symbol"].astype(str))))
            for group, rows in groups
        )
        source = (
            f"computed from this dataset: the genes that mark each {self.column} against all other cells "
            f"(Wilcoxon, BH-adjusted p below {MAX_P_ADJUSTED}, more expressed)"
        )
        return GeneSets(name=f"Markers of {self.column}", source=source, sets=sets)


@dataclass(frozen=True)
class MarkerSets(Request[MarkerGenes]):
    """Find the genes that mark each value of a column, and keep the strongest.

    Parameters
    ----------
    group_by
        Column of the cell table.
    n_genes
        At most so many per group: those with the largest rank-sum score, of the genes with an adjusted p below 0.05
        that are more expressed in the group than in all other cells. A group without such a gene has no set.

    Raises
    ------
    RequestError
        If there is no such column, nothing to compare, or no group has a marker (code "no-markers").
    """

    dataset: Dataset
    group_by: str
    n_genes: int = 50

    result_type: ClassVar[type] = MarkerGenes

    def __post_init__(self) -> None:
        if self.n_genes < 1:
            msg = f"Expected at least 1 gene per set, found {self.n_genes}. Choose more."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> MarkerGenes:
        """See `Request.run`."""
        table = context.compute(FindMarkers(self.dataset, ByColumn(self.group_by))).table
        passed = table[(table["p_adjusted"] < MAX_P_ADJUSTED) & (table["log2_fold_change"] > 0)]
        kept = passed.groupby("group", sort=False, observed=True).head(self.n_genes)
        if kept.empty:
            msg = f"No gene marks a value of {self.group_by!r}. Choose another column, or gene sets from a file."
            raise RequestError(msg, "no-markers")
        columns = ["group", "gene_id", "symbol", "score", "log2_fold_change", "p_adjusted"]
        return MarkerGenes(kept[columns].reset_index(drop=True), self.group_by)
