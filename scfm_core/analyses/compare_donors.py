"""Which genes differ between groups of cells in donor after donor?

Donors are the replicates of an experiment; cells of one donor are not. Tests over cells take them for replicates and
find differences where none are (Squair et al. 2021, doi:10.1038/s41467-021-25960-2). Here the counts of a donor's cells
are added up to one sample for each side, and samples are compared.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from scfm_core.analyses.donor_sides import Contrast, DonorSides
from scfm_core.analyses.grouping import Grouping, in_reading_order
from scfm_core.analyses.negative_binomial import fit_samples
from scfm_core.analyses.rank_genes import REST
from scfm_core.analyses.sum_pseudobulks import NO_GROUP, SumPseudobulks
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

MIN_CELLS_OF_SAMPLE = 10
OUTLIER, FEW_COUNTS = "outlier", "few counts"
COLUMNS = (
    "group", "gene_id", "symbol", "score", "log2_fold_change", "log2_fold_change_error", "p_value", "p_adjusted",
    "note", "base_mean", "share_in", "share_out", "mean_in", "mean_out", "n_in", "n_out", "n_donors_in", "n_donors_out",
)  # fmt: skip


@dataclass(frozen=True)
class DonorComparison:
    """How each tested gene differs between groups, donors taken for replicates.

    Attributes
    ----------
    table
        One row per group and tested gene, by group in reading order, then by falling score: ``group``, ``gene_id``,
        ``symbol``; ``score`` (Wald's z); ``log2_fold_change`` (of the model, not shrunken) and its standard error
        ``log2_fold_change_error``; ``p_value`` (two-sided), ``p_adjusted`` (Benjamini-Hochberg over the genes of the
        group that pass DESeq2's independent filter); ``note``, why one of them is missing: "outlier" (a sample
        far from the others by Cook's distance: no p), "few counts" (left out by the filter: no adjusted p), else
        empty; ``base_mean`` (counts per sample, scaled by size factor); over the cells of the samples ``share_in``,
        ``share_out`` (that hold the gene), ``mean_in``, ``mean_out`` (counts per 10,000), ``n_in``, ``n_out``
        (cells); ``n_donors_in``, ``n_donors_out``.
    samples
        One row per sample that was compared: ``group``, ``side`` ("in", "out"), ``donor``, ``n_cells``,
        ``total_counts``, ``size_factor``.
    designs
        One row per group asked about: ``group``, ``tested``, ``formula``, ``paired``, ``n_donors_in``,
        ``n_donors_out``, ``n_in``, ``n_out`` (cells), ``n_genes`` (tested), ``remarks`` (sentences; why it was not
        tested where it was not).
    """

    table: pd.DataFrame
    samples: pd.DataFrame
    designs: pd.DataFrame


@dataclass(frozen=True)
class CompareDonors(Request[DonorComparison]):
    """Add up counts per donor and side, and test every gene with DESeq2's model.

    The model is ``donor + side`` where donors have cells on both sides, else ``side``, see
    `scfm_core.analyses.donor_design.design_of`. A batch joins it where it can be told from the side and the donors.
    Genes with at least 10 counts in as many samples as the smaller side has are tested. In simulations without a
    difference, 5 % of the p-values lie below 0.05 with eight donors a side, 3 % with six pairs, about 7 % with three
    donors a side, where the model knows little of the variance between donors.

    Parameters
    ----------
    donor_column
        Column of the cell table that names the donor. A cell without one is left out.
    reference
        ``"rest"``: all other cells that are asked about, in a group or not. Or the name of a group.
    groups
        Which groups to test; all where empty. One without donors enough is left out, and said so.
    within
        Only these cells count, such as those of one cell type; all where None.
    batch_column
        Column of the cell table that names the batch; empty for none.
    min_cells
        A donor's cells on one side are a sample if there are so many.

    Raises
    ------
    RequestError
        If no group can be tested ("few-donors"), a column or group is not there, or the donors are the groups.
    """

    dataset: Dataset
    grouping: Grouping
    donor_column: str
    reference: str = REST
    groups: tuple[str, ...] = ()
    within: CellSet | None = None
    batch_column: str = ""
    min_cells: int = MIN_CELLS_OF_SAMPLE

    result_type: ClassVar[type] = DonorComparison

    def __post_init__(self) -> None:
        if self.min_cells < 1:
            msg = f"Expected at least 1 cell per sample, found {self.min_cells}. {MIN_CELLS_OF_SAMPLE} are usual."
            raise RequestError(msg, "out-of-range")

    @property
    def sums(self) -> SumPseudobulks:
        """The question for the sums of counts that are compared."""
        batches = (self.batch_column,) if self.batch_column not in ("", self.donor_column) else ()
        return SumPseudobulks(self.dataset, self.grouping, (self.donor_column, *batches), self.within)

    def run(self, context: Context) -> DonorComparison:
        """See `Request.run`."""
        sums = context.compute(self.sums)
        groups = self._to_test(in_reading_order({str(name) for name in sums.samples["group"]} - {NO_GROUP}))
        sides = (DonorSides.of(sums, group, self.reference) for group in groups)
        contrasts = [Contrast.of(each, min_cells=self.min_cells) for each in sides]
        for each in contrasts:
            if each.refused:
                context.log(f"{each.sides.group} is left out. {each.refused}")
        tested = [each for each in contrasts if not each.refused]
        if not tested:
            raise RequestError(_none_tested(contrasts), "few-donors")
        step = f"Fitting the model to {len(tested)} group{'s' if len(tested) > 1 else ''}"
        samples, sizes = [each.samples() for each in tested], [len(each.genes) for each in tested]
        fits = list(context.map(fit_samples, samples, step=step, sizes=sizes, unit="genes"))
        found = list(zip(tested, fits, strict=True))
        remarks = {each.sides.group: fit["remarks"] for each, fit in found}
        return DonorComparison(
            table=pd.concat([_rows(self.dataset, each, fit) for each, fit in found], ignore_index=True),
            samples=pd.concat([each.cells().assign(size_factor=fit["size_factor"]) for each, fit in found]),
            designs=pd.DataFrame([_about(each, remarks.get(each.sides.group, [])) for each in contrasts]),
        )

    def _to_test(self, names: list[str]) -> list[str]:
        """Return the groups to test; refuse those, and a reference, that no cell is in."""
        asked = [*self.groups, *([] if self.reference == REST else [self.reference])]
        unknown = [name for name in asked if name not in names]
        if unknown:
            msg = (
                f"No cell with a donor is in the group {unknown[0]!r}. Choose among: {', '.join(names) or 'none'}; "
                "'rest' stands for all other cells."
            )
            raise RequestError(msg, "unknown-group")
        return [name for name in names if name != self.reference and (not self.groups or name in self.groups)]


def _none_tested(contrasts: list[Contrast]) -> str:
    if not contrasts:
        return "Expected a group of cells with donors besides the one that is compared with, found none. Choose others."
    n_more = len(contrasts) - 1
    more = f" Of the other groups ({n_more}) none has donors enough either." if n_more else ""
    return f"{contrasts[0].sides.group}: {contrasts[0].refused}{more}"


def _rows(dataset: Dataset, contrast: Contrast, fit: dict[str, Any]) -> pd.DataFrame:
    """Return the rows of one group, by falling score; genes without one at the end."""
    cells = contrast.cells()
    is_in = cells["side"] == "in"
    p_value, p_adjusted = np.asarray(fit["p_value"]), np.asarray(fit["p_adjusted"])
    note = np.where(np.isnan(p_value), OUTLIER, np.where(np.isnan(p_adjusted), FEW_COUNTS, ""))
    columns = {
        "group": contrast.sides.group,
        "gene_id": np.array(dataset.gene_ids, dtype=object)[contrast.genes],
        "symbol": np.array(dataset.gene_symbols, dtype=object)[contrast.genes],
        "note": note,
        **{name: fit[name] for name in COLUMNS if name in fit},
        **contrast.over_cells(),
        "n_in": int(cells.loc[is_in, "n_cells"].sum()),
        "n_out": int(cells.loc[~is_in, "n_cells"].sum()),
        "n_donors_in": int(is_in.sum()),
        "n_donors_out": int((~is_in).sum()),
    }
    table = pd.DataFrame(columns)[list(COLUMNS)]
    return table.sort_values("score", ascending=False, kind="stable", na_position="last")


def _about(contrast: Contrast, remarks: list[str]) -> dict[str, Any]:
    group = contrast.sides.group
    if contrast.design is None:
        nothing = {"formula": "", "paired": False, "n_donors_in": 0, "n_donors_out": 0, "n_in": 0, "n_out": 0}
        return {"group": group, "tested": False, **nothing, "n_genes": 0, "remarks": contrast.refused}
    cells = contrast.cells()
    is_in = cells["side"] == "in"
    return {
        "group": group,
        "tested": True,
        "formula": contrast.design.formula,
        "paired": contrast.design.paired,
        "n_donors_in": int(is_in.sum()),
        "n_donors_out": int((~is_in).sum()),
        "n_in": int(cells.loc[is_in, "n_cells"].sum()),
        "n_out": int(cells.loc[~is_in, "n_cells"].sum()),
        "n_genes": len(contrast.genes),
        "remarks": " ".join([*contrast.design.remarks, *remarks]),
    }
