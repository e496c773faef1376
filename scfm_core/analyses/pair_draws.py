"""Which random pairs of genes stand in for a tested pair, and in which cells; measures nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.pair_passes import Pair
from scfm_core.analyses.pair_steps import MIN_CELLS, Bench
from scfm_core.analyses.perturbation_null import Match, Pool, generator, match_genes
from scfm_core.analyses.perturbation_pools import read_pools, same_token
from scfm_core.analyses.perturbation_study import Study
from scfm_core.request import Context
from scfm_core.tokens import GeneEdit, Overexpress, same_edit

Key = tuple[int, str]  # number of the tested pair, group


@dataclass(frozen=True, eq=False)
class Drawn:
    """The random pairs of one tested pair in one group.

    Attributes
    ----------
    first
        With how many of them, the first ones, every pair is compared.
    pairs, cells
        The edits, and the cells each is measured on, as positions in the dataset.
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
    other cannot make each of its pairs stand out. All are near in abundance, and share single edits. Pairs that too few
    cells hold together are passed over.

    Parameters
    ----------
    tested
        The keys, each with the numbers of its two edits.
    n_pairs
        How many random pairs at first, and how many at most are needed; whole diagonals, so it may be more.
    n_cells
        On how many cells each is measured at most.
    """
    study = bench.study
    groups = sorted({group for (_, group), _ in tested})
    orders = {group: study.chosen[study.in_random_order[group]] for group in groups}
    pools = read_pools(context, bench.apparatus, orders, bench.token_of_gene)
    position = {gene_id: number for number, gene_id in enumerate(study.dataset.gene_ids)}
    own = [same_token(bench.token_of_gene, position[edit.gene_id]) for (edit,) in study.edits]
    found = {}
    for (number, group), (one, other) in tested:
        (edit_a,), (edit_b,) = study.edits[one], study.edits[other]
        grid = _Grid(study, pools[group], (edit_a, edit_b), (own[one], own[other]))
        found[number, group] = grid.draw(np.unique(own), group, n_pairs, n_cells)
    return found


@dataclass(frozen=True, eq=False)
class _Grid:
    """A tested pair of genes, by their positions in the dataset, and all from which random ones are drawn."""

    study: Study
    pool: Pool
    edits: Pair
    genes: tuple[int, int]

    def draw(self, barred: NDArray[np.int64], group: str, n_pairs: tuple[int, int], n_cells: int) -> Drawn:
        seed, gene_ids = self.study.seed, self.study.dataset.gene_ids
        match = match_genes(self.pool, self.genes, n=n_pairs[0], barred=barred, seed=(seed, group))
        matches = match.genes if match.genes.shape[1:] == (2,) else np.empty((0, 2), dtype=np.int64)
        first, drawn, cells = None, [], []
        for diagonal in _diagonals(np.concatenate([[self.genes], matches]), generator(seed, group, "diagonals")):
            for pair in diagonal.tolist():
                both = holding_both(self.pool, tuple(zip(self.edits, pair, strict=True)))[:n_cells]
                if len(both) >= MIN_CELLS:
                    drawn.append(pair)
                    cells.append(both)
            if first is None and len(drawn) >= n_pairs[0]:
                first = len(drawn)
            if len(drawn) >= max(n_pairs):
                break
        return Drawn(
            match=match,
            first=len(drawn) if first is None else first,
            pairs=tuple(
                (same_edit(self.edits[0], gene_ids[a]), same_edit(self.edits[1], gene_ids[b])) for a, b in drawn
            ),
            cells=tuple(cells),
            abundance=np.array([self.pool.abundance_of(each) for each in (self.genes, *drawn)]),
        )


def _diagonals(rows: NDArray[np.int64], order: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield the diagonals of the grid of two columns of genes, shape ``(side, 2)`` each; the first without the tested.

    Parameters
    ----------
    rows
        The tested genes, then those that stand in for them, shape ``(side, 2)``.
    """
    yield rows[1:]
    side = len(rows)
    for shift in 1 + order.permutation(side - 1):
        yield np.stack([rows[:, 0], rows[(np.arange(side) + shift) % side, 1]], axis=1)


def holding_both(pool: Pool, members: Sequence[tuple[GeneEdit, int]]) -> NDArray[np.int64]:
    """Return the cells of a pool that hold both genes, in its order; a gene that is overexpressed need not be held."""
    places = np.arange(len(pool.cells))
    for edit, gene in members:
        if not isinstance(edit, Overexpress):
            places = np.intersect1d(places, pool.holders_of([gene]))
    return pool.cells[places]
