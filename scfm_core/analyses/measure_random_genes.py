"""What would edits of random genes of like abundance do? Measured on a few cells first, on more when asked again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import cells_per_chunk
from scfm_core.analyses.measure_edits import EditedCells, Measure, MeasureEdits, apparatus_of
from scfm_core.analyses.perturbation_null import Match, Pool, generator, match_genes
from scfm_core.analyses.perturbation_passes import (
    Apparatus,
    embed_edited,
    find_tokens,
    one_minus_cosine,
    some_pairs,
)
from scfm_core.analyses.perturbation_pools import read_pools, same_token
from scfm_core.analyses.perturbation_study import Edit, RandomGenes, Study, make_study
from scfm_core.request import Context, Request
from scfm_core.tokens import Overexpress, same_edit

_SLICES = (0, 16, 64, 256, 1000)  # of the cells that hold a gene: each slice is measured once and kept


@dataclass(frozen=True)
class MeasuredRandomGenes:
    """What random genes did on some of the cells that hold them.

    Attributes
    ----------
    draws
        As in `RandomGenes`.
    matches
        One row per edit and group: ``edit``, ``group``, ``distance``, ``one_sided`` as in `Match`, and ``odds`` and
        ``rank`` of the tested gene.
    number, cell, distance, shifts, landing
        As in `RandomGenes`.
    """

    draws: pd.DataFrame
    matches: pd.DataFrame
    number: NDArray[np.int64]
    cell: NDArray[np.int64]
    distance: NDArray[np.float64]
    shifts: NDArray[np.float64]
    landing: NDArray[np.int32]


@dataclass(frozen=True)
class MeasureRandomGenes(Request[MeasuredRandomGenes]):
    """Make each edit to random genes of like abundance instead, on some of the cells that hold these.

    Parameters
    ----------
    exact
        The edits, cells and states.
    null_genes
        Random genes, or sets of genes, for each edit and group.
    first, stop
        Which of the cells that hold a random gene, in the shared random order of its group: ``first:stop``. An
        overexpressed gene need not be held: all cells of the group count.
    seed
        Chooses the random genes and the order of the cells.
    """

    exact: MeasureEdits
    null_genes: int
    first: int
    stop: int
    seed: int

    result_type: ClassVar[type] = MeasuredRandomGenes

    def run(self, context: Context) -> MeasuredRandomGenes:
        """See `Request.run`."""
        points = np.asarray(context.compute(self.exact.baseline).points)
        edited = context.compute(self.exact)
        study = make_study(self.exact, ~np.isnan(points[:, 0]), seed=self.seed)
        apparatus = apparatus_of(context, self.exact.baseline)
        matched = match_random_genes(context, apparatus, study, edited, n=self.null_genes)
        cells = [matched.cells_of(number)[self.first : self.stop] for number in range(len(matched.edits))]
        numbers = np.repeat(np.arange(len(cells)), [len(some) for some in cells])
        cell = np.concatenate([np.empty(0, dtype=np.int64), *cells])
        measure = Measure.of(self.exact, points)
        distance = np.full(len(cell), np.nan)
        shifts = np.full((len(self.exact.states), len(cell)), np.nan)
        once, place_of_cell = np.unique(cell, return_inverse=True)
        landing = measure.landscape.neighbours(points[once], itself=once)[place_of_cell]
        order = np.lexsort((numbers, cell))  # by cell, so that each piece of work reads few cells
        work = some_pairs(cell[order], numbers[order], passes_per_chunk=cells_per_chunk(self.exact.baseline.model))
        parts = context.map(
            partial(embed_edited, apparatus, matched.edits),
            work,
            step=f"Editing {len(matched.edits):,} random genes or sets of genes",
            sizes=[len(passes) for passes in work],
            unit="edited cells",
        )
        start = 0
        for passes, part in zip(work, parts, strict=True):
            place = order[start : start + len(passes)][part["changed"]]
            start += len(passes)
            distance[place] = one_minus_cosine(points[cell[place]], part["points"])
            shifts[:, place] = measure.shifts(cell[place], part["points"])
            landing[place] = measure.landscape.neighbours(part["points"], itself=cell[place])
        return MeasuredRandomGenes(matched.draws, matched.matches, numbers, cell, distance, shifts, landing)


@dataclass(frozen=True, eq=False)
class MatchedGenes:
    """Random genes that stand in for those of each edit, in each group.

    Attributes
    ----------
    edits, genes, groups
        The distinct random edits, their genes as positions in the dataset's genes, and the group of each.
    draws, matches
        As in `MeasuredRandomGenes`.
    pools
        The cells of each group on which genes are compared.
    """

    edits: tuple[Edit, ...]
    genes: tuple[tuple[int, ...], ...]
    groups: tuple[str, ...]
    draws: pd.DataFrame
    matches: pd.DataFrame
    pools: dict[str, Pool]

    def cells_of(self, number: int) -> NDArray[np.int64]:
        """Return the cells that a random edit can be made in, in the shared order of their group."""
        pool = self.pools[self.groups[number]]
        if any(isinstance(single, Overexpress) for single in self.edits[number]):
            return pool.cells
        return pool.cells[pool.holders_of(self.genes[number])]


def random_genes(context: Context, exact: MeasureEdits, null: tuple[int, int], *, seed: int) -> RandomGenes:
    """Measure random genes on as many of the cells that hold them as asked for.

    Slices of the cells that were measured before are not measured again.

    Parameters
    ----------
    null
        The numbers of random genes for each edit and group, and of cells for each gene.
    """
    ends = sorted({min(end, null[1]) for end in _SLICES})
    slices = [MeasureRandomGenes(exact, null[0], first, stop, seed) for first, stop in pairwise(ends)]
    parts = [context.compute(piece) for piece in slices]
    return joined(parts)


def joined(parts: Sequence[MeasuredRandomGenes]) -> RandomGenes:
    """Return slices of one measurement as one; the cells of each random edit keep their order."""
    number = np.concatenate([part.number for part in parts])
    order = np.argsort(number, kind="stable")
    draws, matches = parts[0].draws, parts[0].matches
    found: dict[tuple[int, str], Match] = {}
    abundance = {}
    own = ("edit", "group", "distance", "one_sided", "odds", "rank")
    rows = draws.groupby(["edit", "group"], sort=False).indices
    for edit, group, distance, one_sided, odds, rank in zip(*(matches[name].tolist() for name in own), strict=True):
        drawn = draws.iloc[rows.get((edit, group), [])]
        genes = [[int(gene) for gene in text.split(";")] for text in drawn["genes"]]
        found[edit, group] = Match(np.array(genes, dtype=np.int64), distance, one_sided)
        abundance[edit, group] = np.concatenate([[[odds, rank]], drawn[["odds", "rank"]].to_numpy(dtype=np.float64)])
    return RandomGenes(
        draws=draws,
        matches=found,
        abundance=abundance,
        number=number[order],
        cell=np.concatenate([part.cell for part in parts])[order],
        distance=np.concatenate([part.distance for part in parts])[order],
        shifts=np.concatenate([part.shifts for part in parts], axis=1)[:, order],
        landing=np.concatenate([part.landing for part in parts])[order],
        n_passes=len(number),
    )


def match_random_genes(
    context: Context, apparatus: Apparatus, study: Study, edited: EditedCells, *, n: int
) -> MatchedGenes:
    """Draw random genes, or sets of genes, like those of each edit, in each group where the edit changes a cell."""
    token_of_gene = context.call(partial(find_tokens, apparatus), step=f"Loading {apparatus.model.title}")
    orders = {group: study.chosen[study.in_random_order[group]] for group in study.group_names}
    pools = read_pools(context, apparatus, orders, token_of_gene)
    gene_ids, symbols = study.dataset.gene_ids, study.dataset.gene_symbols
    position = {gene_id: number for number, gene_id in enumerate(gene_ids)}
    members = [[same_token(token_of_gene, position[single.gene_id]) for single in edit] for edit in study.edits]
    drawer = _Drawer(study, token_of_gene, np.unique(np.concatenate(members)), n)
    numbers: dict[tuple[str, frozenset[object]], int] = {}
    edits: list[Edit] = []
    positions: list[tuple[int, ...]] = []
    abundance: list[NDArray[np.float64]] = []
    draws, matches = [], []
    for group, pool in pools.items():
        for edit, own in enumerate(members):
            if not edited.holds[edit, study.members[group]].any():
                continue
            match, used = drawer.draw(pool, own, study.edits[edit], group)
            matches.append((edit, group, match.distance, match.one_sided, *pool.abundance_of(own)))
            for draw, genes in enumerate(match.genes.tolist()):
                made = tuple(same_edit(single, gene_ids[gene]) for single, gene in zip(used, genes, strict=True))
                number = numbers.setdefault((group, frozenset(made)), len(numbers))
                if number == len(edits):
                    edits.append(made)
                    positions.append(tuple(genes))
                    abundance.append(pool.abundance_of(genes))
                named = ["+".join(symbols[gene] for gene in genes), ";".join(gene_ids[gene] for gene in genes)]
                where = ";".join(map(str, genes))
                draws.append((edit, group, draw, number, *named, where, *abundance[number]))
    columns = ["edit", "group", "draw", "number", "symbols", "gene_ids", "genes", "odds", "rank"]
    return MatchedGenes(
        edits=tuple(edits),
        genes=tuple(positions),
        groups=tuple(group for group, _ in numbers),
        draws=_table(draws, columns),
        matches=_table(matches, ["edit", "group", "distance", "one_sided", "odds", "rank"]),
        pools=pools,
    )


@dataclass(frozen=True, eq=False)
class _Drawer:
    study: Study
    token_of_gene: NDArray[np.int32]
    barred: NDArray[np.int64]
    n: int

    def draw(self, pool: Pool, own: list[int], edit: Edit, group: str) -> tuple[Match, Edit]:
        """Return random genes for an edit, one column per member that can be matched, and these members.

        A gene that the pool does not hold can be overexpressed all the same: others that it does not hold stand in.
        """
        held = np.isin(own, pool.genes)
        seed = (self.study.seed, group)
        match = match_genes(pool, [gene for gene, there in zip(own, held, strict=True) if there], n=self.n,
                            barred=self.barred, seed=seed)  # fmt: skip
        used = [single for single, there in zip(edit, held, strict=True) if there]
        absent = [single for single, there in zip(edit, held, strict=True) if not there]
        absent = [single for single in absent if isinstance(single, Overexpress)]
        if not absent:
            return match, tuple(used)
        readable = np.unique(self.token_of_gene, return_index=True)[1]
        readable = readable[self.token_of_gene[readable] >= 0]
        unheld = np.setdiff1d(readable, np.concatenate([pool.genes, self.barred]))
        drawn = generator(*seed, "unheld").permutation(unheld)
        n_each = min(self.n, len(drawn) // len(absent))
        columns = [drawn[place * n_each : (place + 1) * n_each] for place in range(len(absent))]
        if used:
            n_each = min(n_each, len(match.genes))
            columns = [*match.genes.T[:, :n_each], *(column[:n_each] for column in columns)]
        return replace(match, genes=np.stack(columns, axis=1)), (*used, *absent)


def _table(rows: list[tuple[object, ...]], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    numbers = {"edit": int, "draw": int, "number": int, "odds": float, "rank": float, "distance": float}
    numbers |= {"one_sided": bool}
    return table.astype({name: kind for name, kind in numbers.items() if name in columns})
