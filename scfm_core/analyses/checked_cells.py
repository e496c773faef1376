"""The cells on which an answer is checked, and what a model reads in them; knows no check."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk
from scfm_core.analyses.perturbation_passes import (
    Apparatus,
    cells_that_differ,
    embed_edited,
    one_minus_cosine,
    read_genes,
    some_pairs,
)
from scfm_core.analyses.perturbation_study import Edit, Study, make_study
from scfm_core.request import Context

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbGenes

_CELLS_READ_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class HeldGenes:
    """What some cells hold, ragged like the rows of a CSR matrix.

    Attributes
    ----------
    cells
        Positions in the dataset, shape ``(n_cells,)``.
    genes, ranks
        Positions in the dataset's genes, and 0 for the strongest of the cell, shape ``(n_tokens,)``.
    offsets
        Cell ``i`` holds the tokens ``offsets[i]:offsets[i + 1]``, shape ``(n_cells + 1,)``.
    """

    cells: NDArray[np.int64]
    genes: NDArray[np.int64]
    ranks: NDArray[np.float64]
    offsets: NDArray[np.int64]

    def of(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the genes of one cell, and their ranks."""
        where = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return self.genes[where], self.ranks[where]

    def n_holding(self, n_genes: int) -> NDArray[np.int64]:
        """Return how many of the cells hold each gene of the dataset, shape ``(n_genes,)``."""
        return np.bincount(self.genes, minlength=n_genes)


def with_verdicts(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a table in which a column of verdicts holds True, False and None and nothing that only equals them.

    A table that was stored comes back with the verdicts as numpy's, and a missing one as NaN.
    """
    verdicts = [None if pd.isna(value) else bool(value) for value in table[column]]
    return table.assign(**{column: pd.Series(verdicts, index=table.index, dtype=object)})


def studied(context: Context, question: "PerturbGenes") -> Study:
    """Return the cells and groups of a question."""
    points = np.asarray(context.compute(question.baseline).points)
    return make_study(question.exact, ~np.isnan(points[:, 0]), seed=question.seed)


def read_held_genes(
    context: Context, apparatus: Apparatus, token_of_gene: NDArray[np.int32], cells: NDArray[np.int64]
) -> HeldGenes:
    """Read which genes some cells hold, and at which rank."""
    chunks = [cells[start : start + _CELLS_READ_AT_ONCE] for start in range(0, len(cells), _CELLS_READ_AT_ONCE)]
    read = partial(read_genes, apparatus, token_of_gene)
    sizes = [len(chunk) for chunk in chunks]
    parts = list(context.map(read, chunks, step="Reading the genes of the cells", sizes=sizes)) if chunks else []
    lengths = np.concatenate([np.empty(0, dtype=np.int64), *(np.diff(part["offsets"]) for part in parts)])
    return HeldGenes(
        cells=cells,
        genes=np.concatenate([np.empty(0, dtype=np.int64), *(part["genes"] for part in parts)]),
        ranks=np.concatenate([np.empty(0), *(part["ranks"] for part in parts)]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def changed_cells(apparatus: Apparatus, edits: Sequence[Edit], cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which edits change the input of which cells, shape ``(n_edits, n_cells)``; nothing is embedded."""
    before = apparatus.tokens(cells)
    return np.stack([cells_that_differ(before, apparatus.network.edit(before, edit)) for edit in edits])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Which edit is made in which cell.

    Attributes
    ----------
    edits
        The distinct edits.
    number, cell
        The number of the edit, and the cell as a position in the dataset, both of shape ``(n_pairs,)``.
    """

    edits: Sequence[Edit]
    number: NDArray[np.int64]
    cell: NDArray[np.int64]


def measure_pairs(context: Context, apparatus: Apparatus, pairs: Pairs, *, step: str) -> NDArray[np.float64]:
    """Return how far each cell moves under its edit, 1 - cosine, shape ``(n_pairs,)``; NaN where nothing changes."""
    found = np.full(len(pairs.number), np.nan)
    if not len(found):
        return found
    baseline = EmbedCells(apparatus.dataset, apparatus.model, apparatus.options)
    points = np.asarray(context.compute(baseline).points)
    order = np.lexsort((pairs.number, pairs.cell))  # by cell, so that each piece of work reads few cells
    at_once = cells_per_chunk(apparatus.model)
    work = some_pairs(pairs.cell[order], pairs.number[order], passes_per_chunk=at_once)
    embed = partial(embed_edited, apparatus, pairs.edits)
    parts = context.map(embed, work, step=step, sizes=[len(each) for each in work], unit="edited cells")
    start = 0
    for passes, part in zip(work, parts, strict=True):
        place = order[start : start + len(passes)][part["changed"]]
        start += len(passes)
        found[place] = one_minus_cosine(points[pairs.cell[place]], part["points"])
    return found
