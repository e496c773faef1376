"""How are the values of a column of numbers spread over some cells, beside others?

Cells are no replicates: the spread is told with its numbers of cells, without a p-value.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.compose_cells import check_sides, sides
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

N_BINS = 40
QUANTILES = {"p05": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95}


@dataclass(frozen=True)
class Spread:
    """The values of some cells beside those of others.

    Attributes
    ----------
    table
        Two rows, the chosen cells and those beside them. Columns: ``cells`` (their name), ``n`` (with a value),
        ``n_missing``, ``mean``, ``sd``, ``minimum``, ``p05``, ``p25``, ``median``, ``p75``, ``p95``, ``maximum``; in
        the unit of the column, NaN where no cell has a value.
    edges
        Of the bins, shape ``(n_bins + 1,)``.
    counts
        Cells in each bin, shape ``(2, n_bins)``.
    """

    table: pd.DataFrame
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class CompareValues(Request[Spread]):
    """Describe a column of numbers over some cells, and over all other cells or another set.

    Parameters
    ----------
    against
        The cells beside them; all others where None. Cells that are also in ``cells`` are left out.

    Raises
    ------
    RequestError
        If the cells are none or of another dataset, or the column holds no numbers.
    """

    dataset: Dataset
    cells: CellSet
    column: str
    against: CellSet | None = None

    result_type: ClassVar[type] = Spread

    def __post_init__(self) -> None:
        check_sides(self.dataset, self.cells, self.against)

    def run(self, context: Context) -> Spread:
        """See `Request.run`."""
        values = _numbers(self.dataset, self.column)
        names = (self.cells.label, "all other cells" if self.against is None else self.against.label)
        parts = [values[side] for side in sides(self.cells, self.against)]
        finite = values[np.isfinite(values)]
        edges = np.histogram_bin_edges(finite, N_BINS) if len(finite) else np.linspace(0.0, 1.0, N_BINS + 1)
        counts = np.array([np.histogram(part[np.isfinite(part)], edges)[0] for part in parts], dtype=np.int64)
        rows = [_described(name, part) for name, part in zip(names, parts, strict=True)]
        return Spread(pd.DataFrame(rows), edges, counts)


def _numbers(dataset: Dataset, column: str) -> NDArray[np.float64]:
    values = dataset.cell_column(column)
    if not pd.api.types.is_numeric_dtype(values):
        msg = f"Expected numbers in column {column!r}, found {values.dtype}. Choose a column of numbers."
        raise RequestError(msg, "not-numbers")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _described(name: str, values: NDArray[np.float64]) -> dict[str, object]:
    known = values[np.isfinite(values)]
    row: dict[str, object] = {"cells": name, "n": len(known), "n_missing": len(values) - len(known)}
    if not len(known):
        return {**row, **dict.fromkeys(("mean", "sd", "minimum", *QUANTILES, "maximum"), np.nan)}
    spread = known.std(ddof=1) if len(known) > 1 else np.nan
    quantiles = dict(zip(QUANTILES, np.percentile(known, list(QUANTILES.values())).tolist(), strict=True))
    return {**row, "mean": known.mean(), "sd": spread, "minimum": known.min(), **quantiles, "maximum": known.max()}
