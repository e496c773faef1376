"""How strongly, and in how many of its cells, does each group express some genes? Over all its cells."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.group_sums import holding_by_code, present_groups, spans_of_genes, sums_by_code
from scfm_core.analyses.grouping import Grouping
from scfm_core.analyses.read_expression import gene_positions, normalised_genes
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request


@dataclass(frozen=True)
class GroupExpression:
    """Expression of some genes in groups of cells.

    Attributes
    ----------
    groups
        Names of the groups with a cell, in reading order.
    n_cells
        Of each group, shape ``(n_groups,)``.
    symbols
        Of the genes, in the order they were asked for.
    means
        Mean over the cells of the group of ln(1 + counts per 10,000), shape ``(n_groups, n_genes)``.
    shares
        Share of the cells of the group that hold the gene, shape ``(n_groups, n_genes)``.
    """

    groups: tuple[str, ...]
    n_cells: NDArray[np.int64]
    symbols: tuple[str, ...]
    means: NDArray[np.float64]
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class SummariseGroups(Request[GroupExpression]):
    """Average some genes, given by their ids, over all cells of each group.

    Raises
    ------
    RequestError
        If a gene is not in the dataset, or no cell is in a group ("no-groups").
    """

    dataset: Dataset
    grouping: Grouping
    gene_ids: tuple[str, ...]

    result_type: ClassVar[type] = GroupExpression

    def __post_init__(self) -> None:
        gene_positions(self.dataset, self.gene_ids)

    def run(self, context: Context) -> GroupExpression:
        """See `Request.run`."""
        groups, codes = present_groups(context, self.dataset, self.grouping)
        if not groups or not self.gene_ids:
            msg = "Expected at least one gene and one group with a cell, found none. Choose other genes or groups."
            raise RequestError(msg, "no-groups")
        n_cells = np.bincount(codes[codes >= 0], minlength=len(groups))
        positions = gene_positions(self.dataset, self.gene_ids)
        spans = spans_of_genes(self.dataset.n_cells, len(positions))
        average = partial(_sums, self.dataset, codes, len(groups))
        step = f"Averaging {len(positions):,} genes over {len(groups):,} groups"
        chunks = [positions[start:stop] for start, stop in spans]
        parts = list(context.map(average, chunks, step=step, sizes=[len(c) for c in chunks], unit="genes"))
        by_symbol = dict(zip(self.dataset.gene_ids, self.dataset.gene_symbols, strict=True))
        return GroupExpression(
            groups=groups,
            n_cells=n_cells,
            symbols=tuple(by_symbol[gene_id] for gene_id in self.gene_ids),
            means=np.concatenate([part["logs"] for part in parts], axis=1) / n_cells[:, None],
            shares=np.concatenate([part["holding"] for part in parts], axis=1) / n_cells[:, None],
        )


def _sums(
    dataset: Dataset, codes: NDArray[np.integer[Any]], n_groups: int, positions: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    matrix = normalised_genes(dataset, positions)
    return {
        "logs": sums_by_code(matrix.log1p(), codes, n_groups),
        "holding": holding_by_code(matrix, codes, n_groups),
    }
