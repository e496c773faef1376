"""How many counts of each gene do the cells of one group and one donor have together?"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.group_sums import holding_by_code, present_groups, spans_of_genes, sums_by_code
from scfm_core.analyses.grouping import ByColumn, Grouping
from scfm_core.analyses.read_expression import scale_to_depth
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

NO_GROUP = ""


@dataclass(frozen=True)
class Pseudobulks:
    """Cells added up to samples, one for each group and value of some columns that occur together.

    Attributes
    ----------
    samples
        One row per sample, shape ``(n_samples, ...)``: ``group`` (empty: the cells in no group), the columns added up
        by under their numbers ``"0"``, ``"1"`` (their values as text), and ``n_cells``.
    counts
        Counts of each gene, shape ``(n_samples, n_genes)``, whole numbers.
    holding
        Cells that hold the gene, shape ``(n_samples, n_genes)``.
    normalised
        Sum over the cells of counts per 10,000, shape ``(n_samples, n_genes)``.
    n_left_out
        Cells without a value in one of the columns, or outside of the cells asked about.
    """

    samples: pd.DataFrame
    counts: NDArray[np.int64]
    holding: NDArray[np.int64]
    normalised: NDArray[np.float64]
    n_left_out: int


@dataclass(frozen=True)
class SumPseudobulks(Request[Pseudobulks]):
    """Add up the counts of the cells of each group and donor, over all genes.

    Parameters
    ----------
    columns
        Columns of the cell table; cells are added up where all of them agree, such as ``("donor",)``. A cell without
        a value in one of them is left out.
    within
        Only these cells count; all where None.

    Raises
    ------
    RequestError
        If there is no such column, the cells are of another dataset, or none is left ("no-cells").
    """

    dataset: Dataset
    grouping: Grouping
    columns: tuple[str, ...]
    within: CellSet | None = None

    result_type: ClassVar[type] = Pseudobulks

    def __post_init__(self) -> None:
        if self.within is not None and self.within.n_cells != self.dataset.n_cells:
            msg = (
                f"{self.within.label!r} was chosen among {self.within.n_cells:,} cells, but this dataset has "
                f"{self.dataset.n_cells:,}. Choose the cells again."
            )
            raise RequestError(msg, "other-dataset")

    def run(self, context: Context) -> Pseudobulks:
        """See `Request.run`."""
        samples, codes = self._samples(context)
        spans = spans_of_genes(self.dataset.n_cells, self.dataset.n_genes)
        add = partial(_add_up, self.dataset, codes, len(samples))
        sizes = [stop - start for start, stop in spans]
        step = f"Adding up the cells of {len(samples):,} samples"
        parts = list(context.map(add, spans, step=step, sizes=sizes, unit="genes"))
        joined = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
        return Pseudobulks(
            samples=samples,
            counts=joined["counts"],
            holding=joined["holding"],
            normalised=joined["normalised"],
            n_left_out=int((codes < 0).sum()),
        )

    def _samples(self, context: Context) -> tuple[pd.DataFrame, NDArray[np.int64]]:
        """Return the samples, and the sample of each cell, -1 for none."""
        keyed = [present_groups(context, self.dataset, ByColumn(column)) for column in self.columns]
        there = np.ones(self.dataset.n_cells, dtype=bool) if self.within is None else self.within.mask
        for _, codes in keyed:
            there = there & (codes >= 0)
        if not there.any():
            msg = (
                f"None of the {self.dataset.n_cells:,} cells has a value in {' and '.join(map(repr, self.columns))}"
                f"{'' if self.within is None else f' and is in {self.within.label!r}'}. Choose other columns or cells."
            )
            raise RequestError(msg, "no-cells")
        groups, of_group = present_groups(context, self.dataset, self.grouping)
        keys = [((*groups, NO_GROUP), np.where(of_group < 0, len(groups), of_group)), *keyed]
        shape = tuple(len(names) for names, _ in keys)
        joint = np.ravel_multi_index(tuple(codes[there] for _, codes in keys), shape)
        found, of_cell, n_cells = np.unique(joint, return_inverse=True, return_counts=True)
        headed = zip(("group", *map(str, range(len(self.columns)))), keys, np.unravel_index(found, shape), strict=True)
        samples = pd.DataFrame({name: np.array(words, dtype=object)[row] for name, (words, _), row in headed})
        out = np.full(self.dataset.n_cells, -1, dtype=np.int64)
        out[there] = of_cell
        return samples.assign(n_cells=n_cells), out


def _add_up(
    dataset: Dataset, codes: NDArray[np.int64], n_samples: int, span: tuple[int, int]
) -> dict[str, NDArray[Any]]:
    counts = dataset.counts_of_genes(np.arange(*span))
    normalised = counts.astype(np.float64)
    normalised.data *= scale_to_depth(dataset)[normalised.indices]
    return {
        "counts": np.rint(sums_by_code(counts, codes, n_samples)).astype(np.int64),
        "holding": holding_by_code(counts, codes, n_samples),
        "normalised": sums_by_code(normalised, codes, n_samples),
    }
