"""What do single cells of each group express? Of some cells, where there are too many to draw."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.group_sums import present_groups
from scfm_core.analyses.grouping import Grouping
from scfm_core.analyses.read_expression import gene_positions, normalised_genes
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

MOST_CELLS = 50_000
_VALUES_PER_CHUNK = 60_000_000  # cells of the dataset x genes


@dataclass(frozen=True)
class SampledExpression:
    """Expression of some genes in some cells, sorted by group.

    Attributes
    ----------
    groups
        Names of the groups with a cell, in reading order.
    n_cells
        All cells of each group, drawn or not, shape ``(n_groups,)``.
    cells
        Positions of the drawn cells, shape ``(n_drawn,)``: by group, then by position.
    codes
        Group of each drawn cell, shape ``(n_drawn,)``.
    symbols
        Of the genes, in the order they were asked for.
    values
        ln(1 + counts per 10,000), shape ``(n_drawn, n_genes)``, float32.
    """

    groups: tuple[str, ...]
    n_cells: NDArray[np.int64]
    cells: NDArray[np.int64]
    codes: NDArray[np.int64]
    symbols: tuple[str, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class SampleExpression(Request[SampledExpression]):
    """Read some genes, given by their ids, in at most ``n_cells`` cells.

    Where there are more, large groups are sampled, each down to the same number, and small ones stay whole.

    Raises
    ------
    RequestError
        If a gene is not in the dataset, or no cell is in a group ("no-groups").
    """

    dataset: Dataset
    grouping: Grouping
    gene_ids: tuple[str, ...]
    n_cells: int = MOST_CELLS
    seed: int = 0

    result_type: ClassVar[type] = SampledExpression

    def __post_init__(self) -> None:
        gene_positions(self.dataset, self.gene_ids)

    def run(self, context: Context) -> SampledExpression:
        """See `Request.run`."""
        groups, codes = present_groups(context, self.dataset, self.grouping)
        if not groups or not self.gene_ids:
            msg = "Expected at least one gene and one group with a cell, found none. Choose other genes or groups."
            raise RequestError(msg, "no-groups")
        counts = np.bincount(codes[codes >= 0], minlength=len(groups))
        quota = quota_of_groups(counts, self.n_cells)
        random = np.random.default_rng(self.seed)
        drawn = [_draw(np.flatnonzero(codes == place), quota, random) for place in range(len(groups))]
        cells = np.concatenate(drawn)
        positions = gene_positions(self.dataset, self.gene_ids)
        size = int(np.clip(_VALUES_PER_CHUNK // self.dataset.n_cells, 1, 50))
        chunks = [positions[start : start + size] for start in range(0, len(positions), size)]
        step = f"Reading {len(positions):,} genes in {len(cells):,} cells"
        parts = context.map(
            partial(_read, self.dataset, cells), chunks, step=step, sizes=list(map(len, chunks)), unit="genes"
        )
        by_symbol = dict(zip(self.dataset.gene_ids, self.dataset.gene_symbols, strict=True))
        return SampledExpression(
            groups=groups,
            n_cells=counts,
            cells=cells,
            codes=np.repeat(np.arange(len(groups)), [len(each) for each in drawn]),
            symbols=tuple(by_symbol[gene_id] for gene_id in self.gene_ids),
            values=np.concatenate(list(parts), axis=1),
        )


def quota_of_groups(n_cells: NDArray[np.integer], most: int) -> int:
    """Return how many cells each group may show, so that all groups together show no more than ``most``.

    Every group shows at least one.

    Examples
    --------
    >>> quota_of_groups(np.array([5, 100, 100]), 105)
    50
    >>> quota_of_groups(np.array([5, 10]), 105)
    105
    """
    if n_cells.sum() <= most:
        return most
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(n_cells, middle).sum() <= most else (low, middle - 1)
    return low


def _draw(cells: NDArray[np.int64], quota: int, random: np.random.Generator) -> NDArray[np.int64]:
    return cells if len(cells) <= quota else np.sort(random.choice(cells, quota, replace=False))


def _read(dataset: Dataset, cells: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = normalised_genes(dataset, positions)[cells].log1p().toarray().astype(np.float32)
    return values
