"""Reads what cells hold on which genes are compared; draws and measures nothing."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_null import Pool, make_pool
from scfm_core.analyses.perturbation_passes import Apparatus, read_genes
from scfm_core.request import Context

_CELLS_READ_AT_ONCE = 512


def read_pools(
    context: Context, apparatus: Apparatus, orders: Mapping[str, NDArray[np.int64]], token_of_gene: NDArray[np.int32]
) -> dict[str, Pool]:
    """Read which genes the cells of each group hold.

    Parameters
    ----------
    orders
        The cells of each group in the shared random order, as positions in the dataset; none for a group without a
        vector.
    token_of_gene
        As `perturbation_passes.find_tokens` returns it.
    """
    cells = np.concatenate([np.empty(0, dtype=np.int64), *orders.values()])
    chunks = [cells[start : start + _CELLS_READ_AT_ONCE] for start in range(0, len(cells), _CELLS_READ_AT_ONCE)]
    read = partial(read_genes, apparatus, token_of_gene)
    sizes = [len(chunk) for chunk in chunks]
    parts = list(context.map(read, chunks, step="Looking for genes of like abundance", sizes=sizes))
    genes = np.concatenate([np.empty(0, dtype=np.int32), *(part["genes"] for part in parts)])
    ranks = np.concatenate([np.empty(0, dtype=np.float32), *(part["ranks"] for part in parts)])
    ends = np.concatenate([[0], *(np.diff(part["offsets"]) for part in parts)]).cumsum().astype(np.int64)
    pools, start = {}, 0
    for group, order in orders.items():
        offsets = ends[start : start + len(order) + 1]
        where = slice(int(offsets[0]), int(offsets[-1]))
        pools[group] = make_pool(order, (genes[where], ranks[where], offsets - offsets[0]))
        start += len(order)
    return pools


def same_token(token_of_gene: NDArray[np.int32], gene: int) -> int:
    """Return the gene by which a pool knows a token, where several genes of the dataset share it."""
    token = token_of_gene[gene]
    return gene if token < 0 else int(np.flatnonzero(token_of_gene == token)[0])
