"""Which random pairs of genes stand in for a tested pair, and in which cells; measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.pair_passes import Pair
from scfm_core.analyses.pair_steps import Bench
from scfm_core.analyses.perturbation_null import Match, Pool, make_pool, match_genes
from scfm_core.analyses.perturbation_passes import read_genes
from scfm_core.request import Context
from scfm_core.tokens import GeneEdit, Overexpress, same_edit

_CELLS_READ_AT_ONCE = 512

Key = tuple[int, str]  # number of the tested pair, group


@dataclass(frozen=True, eq=False)
class Drawn:
    """The random pairs of one tested pair in one group, in random order.

    Attributes
    ----------
    pairs, cells
        The edits, and the cells each is measured on, as positions in the dataset; none where no cell holds both.
    abundance
        Of the tested pair, then of the random ones, shape ``(n_pairs + 1, 2)``, see `Pool.abundance_of`.
    """

    match: Match
    pairs: tuple[Pair, ...]
    cells: tuple[NDArray[np.int64], ...]
    abundance: NDArray[np.float64]


def draw_pairs(
    context: Context, bench: Bench, tested: Sequence[tuple[Key, tuple[int, int]]], *, n_pairs: int, n_cells: int
) -> dict[Key, Drawn]:
    """Draw random pairs for tested pairs, and the first cells that hold both of each.

    Parameters
    ----------
    tested
        The keys, each with the numbers of its two edits.
    n_pairs, n_cells
        How many random pairs each, fewer where there are not enough genes; and on how many cells at most.
    """
    study = bench.study
    gene_ids = study.dataset.gene_ids
    pools = make_pools(context, bench, sorted({group for (_, group), _ in tested}))
    position = {gene_id: number for number, gene_id in enumerate(gene_ids)}
    own = [_same_token(bench.token_of_gene, position[edit.gene_id]) for (edit,) in study.edits]
    barred = np.unique(own)
    found = {}
    for (number, group), (one, other) in tested:
        pool, genes = pools[group], [own[one], own[other]]
        match = match_genes(pool, genes, n=n_pairs, barred=barred, seed=(study.seed, group))
        drawn = match.genes if match.genes.shape[1:] == (2,) else np.empty((0, 2), dtype=np.int64)
        (edit_a,), (edit_b,) = study.edits[one], study.edits[other]
        found[number, group] = Drawn(
            match=match,
            pairs=tuple((same_edit(edit_a, gene_ids[a]), same_edit(edit_b, gene_ids[b])) for a, b in drawn),
            cells=tuple(holding_both(pool, ((edit_a, int(a)), (edit_b, int(b))))[:n_cells] for a, b in drawn),
            abundance=np.array([pool.abundance_of(each) for each in (genes, *drawn.tolist())]),
        )
    return found


def holding_both(pool: Pool, members: tuple[tuple[GeneEdit, int], tuple[GeneEdit, int]]) -> NDArray[np.int64]:
    """Return the cells of a pool that hold both genes, in its order; a gene that is overexpressed need not be held."""
    places = np.arange(len(pool.cells))
    for edit, gene in members:
        if not isinstance(edit, Overexpress):
            places = np.intersect1d(places, pool.holders_of([gene]))
    return pool.cells[places]


def make_pools(context: Context, bench: Bench, groups: Sequence[str]) -> dict[str, Pool]:
    """Read which genes the cells hold on which genes are compared, group by group."""
    study = bench.study
    orders = {group: study.chosen[study.in_random_order[group]] for group in groups}
    chunks, owners = [], []
    for group, order in orders.items():
        for start in range(0, len(order), _CELLS_READ_AT_ONCE):
            chunks.append(order[start : start + _CELLS_READ_AT_ONCE])
            owners.append(group)
    read = partial(read_genes, bench.apparatus, bench.token_of_gene)
    sizes = [len(chunk) for chunk in chunks]
    parts = list(context.map(read, chunks, step="Looking for genes of like abundance", sizes=sizes))
    pools = {}
    for group, order in orders.items():
        mine = [part for part, owner in zip(parts, owners, strict=True) if owner == group]
        lengths = np.concatenate([np.diff(part["offsets"]) for part in mine])
        genes, ranks = (np.concatenate([part[name] for part in mine]) for name in ("genes", "ranks"))
        pools[group] = make_pool(order, (genes, ranks, np.concatenate([[0], np.cumsum(lengths)])))
    return pools


def _same_token(token_of_gene: NDArray[np.int32], gene: int) -> int:
    """Return the gene by which a pool knows a token, where several genes of the dataset share it."""
    token = token_of_gene[gene]
    return gene if token < 0 else int(np.flatnonzero(token_of_gene == token)[0])
