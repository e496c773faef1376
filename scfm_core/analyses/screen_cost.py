"""What a screen of genes costs before it is asked: how many times a cell goes through the model."""

from functools import lru_cache

import numpy as np

from scfm_core.analyses.screen_calibration import NEIGHBOURS
from scfm_core.analyses.screen_exactly import ANY_CELL, ScreenExactly
from scfm_core.analyses.screen_genes import ScreenGenes
from scfm_core.analyses.screen_plan import READ_CELLS

_LOOKED_AT = 200  # cells; enough to tell how many genes are held how often
_BACKWARD = 2  # forward passes that one backward pass costs


@lru_cache(maxsize=64)
def estimated_screen_passes(request: ScreenExactly | ScreenGenes) -> int:
    """Return about how many forward passes a screen takes, without loading a model.

    An estimate takes a few passes per cell, counted as in `scfm_core.model.ScreenEffort`, and at most the
    confirmations asked for. An exact screen takes one per gene and cell; how many genes are held how often is seen in
    the counts of 200 of the chosen cells, so a model that reads fewer genes than the dataset has takes fewer.
    """
    if isinstance(request, ScreenExactly):
        return _exact_passes(request)
    n_cells = request.baseline.dataset.n_cells if request.cells is None else len(request.cells)
    n_goals = 0 if request.goal is None else 1
    n_listed = request.confirm_top if request.genes is None else min(request.confirm_top, len(request.genes))
    n_confirmed = n_listed * (1 + n_goals) * min(request.confirm_cells, n_cells)
    return n_cells * (3 + request.n_cuts + _BACKWARD * (request.n_axes + n_goals)) + n_confirmed


def _exact_passes(request: ScreenExactly) -> int:
    dataset, most = request.baseline.dataset, request.cells_per_gene
    chosen = np.arange(dataset.n_cells) if request.cells is None else request.cells.positions
    n_chosen = min(len(chosen), READ_CELLS)
    some = np.sort(np.random.default_rng(0).permutation(chosen)[:_LOOKED_AT])
    matrix = dataset.counts(some).matrix
    share = np.bincount(matrix.indices, minlength=dataset.n_genes) / len(some)
    per_gene = np.minimum(most, share * n_chosen)
    if request.kind == ANY_CELL:
        per_gene = np.where(share > 0, min(most, n_chosen), 0)
    if request.genes is None:
        return int(np.ceil(per_gene.sum()))
    place = {gene_id: number for number, gene_id in enumerate(dataset.gene_ids)}
    listed = np.array([place[gene_id] for gene_id in request.genes if gene_id in place], dtype=np.int64)
    n_unseen = len(request.genes) - len(listed) if request.kind == ANY_CELL else 0
    n_listed = int(np.ceil(per_gene[listed].sum())) + n_unseen * min(most, n_chosen)
    n_compared = NEIGHBOURS if len(request.genes) < NEIGHBOURS else 0
    return n_listed + n_compared * min(most, n_chosen)
