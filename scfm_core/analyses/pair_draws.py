"""Which random pairs of genes stand in for a tested pair, and in which cells; measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.pair_passes import Pair
from scfm_core.analyses.pair_steps import Bench
from scfm_core.analyses.perturbation_null import Match, Pool, generator, make_pool, match_genes
from scfm_core.analyses.perturbation_passes import read_genes
from scfm_core.request import Context
from scfm_core.tokens import GeneEdit, Overexpress, same_edit

_CELLS_READ_AT_ONCE = 512
_NO_PAIRS = np.empty((0, 2), dtype=np.int64)

Key = tuple[int, str]  # number of the tested pair, group


@dataclass(frozen=True, eq=False)
class Drawn:
    """The random pairs of one tested pair in one group.

    Attributes
    ----------
    first
        How many of the pairs, the first ones, are of two random genes each of which stands in no other of these.
    pairs, cells
        The edits, and the cells each is measured on, as positions in the dataset; none where no cell holds both.
    abundance
        Of the tested pair, then of the random ones, shape ``(n_pairs + 1, 2)``, see `Pool.abundance_of`.
    """

    match: Match
    first: int
    pairs: tuple[Pair, ...]
    cells: tuple[NDArray[np.int64], ...]
    abundance: NDArray[np.float64]


def draw_pairs(
    context: Context,
    bench: Bench,
    tested: Sequence[tuple[Key, tuple[int, int]]],
    *,
    n_pairs: tuple[int, int],
    n_cells: int,
) -> dict[Key, Drawn]:
    """Draw random pairs for tested pairs, and the first cells that hold both of each.

    The tested genes a and b stand before ``n`` matches each, as rows and columns of a grid of ``n + 1`` by ``n + 1``
    pairs. The first random pairs are its diagonal, match i of a with match i of b. More of them are further diagonals
    in random order, in which a and b meet matches of each other too: under random rows and columns the tested pair is
    as likely to be the most extreme on such diagonals as any other, so p stays valid, and a gene that adds up with no
    other cannot make each of its pairs stand out. All are near in abundance, and share single edits.

    Parameters
    ----------
    tested
        The keys, each with the numbers of its two edits.
    n_pairs
        How many random pairs at first, fewer where there are not enough genes, and how many at most are needed.
    n_cells
        On how many cells each is measured at most.
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
        match = match_genes(pool, genes, n=n_pairs[0], barred=barred, seed=(study.seed, group))
        order = generator(study.seed, group, "diagonals")
        drawn = _on_diagonals(genes, match.genes, order, n=n_pairs[1]) if match.genes.shape[1:] == (2,) else _NO_PAIRS
        (edit_a,), (edit_b,) = study.edits[one], study.edits[other]
        found[number, group] = Drawn(
            match=match,
            first=min(len(match.genes), len(drawn)),
            pairs=tuple((same_edit(edit_a, gene_ids[a]), same_edit(edit_b, gene_ids[b])) for a, b in drawn),
            cells=tuple(holding_both(pool, ((edit_a, int(a)), (edit_b, int(b))))[:n_cells] for a, b in drawn),
            abundance=np.array([pool.abundance_of(each) for each in (genes, *drawn.tolist())]),
        )
    return found


def _on_diagonals(
    genes: list[int], matches: NDArray[np.int64], order: np.random.Generator, *, n: int
) -> NDArray[np.int64]:
    """Return pairs of genes, shape ``(n_pairs, 2)``: the matches side by side, then whole diagonals until there are n.

    Parameters
    ----------
    genes, matches
        The tested genes, and those that stand in for them, shape ``(n_matches, 2)``.
    """
    side = len(matches) + 1
    rows = np.concatenate([[genes], matches])
    places = np.arange(side)
    n_more = max(0, -(-(n - len(matches)) // side))
    shifts = 1 + order.permutation(len(matches))[:n_more]
    further = [np.stack([rows[:, 0], rows[(places + shift) % side, 1]], axis=1) for shift in shifts]
    return np.concatenate([matches, *further])


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
