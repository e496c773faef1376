"""The steps of a perturbation: which work is sent to the workers, and what is made of their answers.

Knows neither `PerturbGenes` nor tables; `perturbation_passes` holds what the workers do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_landing import Landscape
from scfm_core.analyses.perturbation_null import Match, Pool, generator, level_null, make_pool, match_genes
from scfm_core.analyses.perturbation_passes import (
    Edit,
    Passes,
    all_pairs,
    embed_again,
    embed_edited,
    one_minus_cosine,
    read_genes,
    shift_genes,
    some_pairs,
)
from scfm_core.analyses.perturbation_study import Followers, Moved, Null, Study, mean_there
from scfm_core.request import Context
from scfm_core.tokens import Delete

NOISE_CELLS = 32
_MIN_CELLS_PER_GENE = 5
_AFFECTED_GENES_KEPT = 200

_Wanted = tuple[int, NDArray[np.int64]]  # the number of a random edit, and the cells it is measured on


def measure_edits(context: Context, study: Study) -> Moved:
    """Switch off the genes of every edit in every chosen cell."""
    n_edits, n_chosen = len(study.edits), len(study.chosen)
    landscape = Landscape.of(study.points)
    distance = np.where(np.isnan(study.points[study.chosen, 0]), np.nan, np.zeros((n_edits, n_chosen)))
    holds = np.zeros((n_edits, n_chosen), dtype=bool)
    before = landscape.neighbours(study.points[study.chosen], itself=study.chosen)
    after = np.repeat(before[None], n_edits, axis=0)
    work = all_pairs(study.chosen, n_edits, passes_per_chunk=study.passes_per_chunk)
    step = f"Switching off {_listed(study.labels)}"
    for passes, part in _embed(context, study, (study.edits, work, step)):
        edit, cell = passes.edit_of_pair[part["changed"]], passes.cells[passes.cell_of_pair[part["changed"]]]
        position = np.searchsorted(study.chosen, cell)
        holds[edit, position] = True
        distance[edit, position] = one_minus_cosine(study.points[cell], part["points"])
        after[edit, position] = landscape.neighbours(part["points"], itself=cell)
    return Moved(distance, holds, before, after)


def measure_null(context: Context, study: Study, moved: Moved) -> Null:
    """Switch off random genes like those of each edit, on the cells on which genes are compared."""
    pools = _make_pools(context, study) if study.null_genes and moved.holds.any() else {}
    members = _members(study)
    matches = _match_all(study, moved, (pools, members))
    numbers: dict[tuple[int, ...], int] = {}  # of the distinct random edits
    wanted: dict[tuple[int, str], list[_Wanted]] = {}
    for (edit, group), match in matches.items():
        for genes in match.genes:
            number = numbers.setdefault(tuple(sorted(int(gene) for gene in genes)), len(numbers))
            cells = pools[group].cells[pools[group].holders_of(genes)[: study.null_cells]]
            wanted.setdefault((edit, group), []).append((number, cells))
    pairs = _Measured.of(context, study, list(numbers), [each for row in wanted.values() for each in row])
    measured, levelled = {}, {}
    for (edit, group), row in wanted.items():
        means = np.array([pairs.mean(number, cells) for number, cells in row])
        measured[edit, group] = study.share(moved, edit, group) * means
        abundance = [pools[group].abundance_of(genes) for genes in (members[edit], *matches[edit, group].genes)]
        observed = study.observed(moved, edit, group)
        levelled[edit, group] = level_null(observed, measured[edit, group], np.array(abundance))
    return Null(matches, measured, levelled, len(pairs.keys))


def measure_genes(context: Context, study: Study, moved: Moved) -> Followers:
    """Find the other genes whose vectors turn most; none where the model has no gene vectors."""
    samples = {
        (edit, group): study.chosen[study.sample(moved, edit, group)]
        for edit in range(len(study.edits))
        for group in study.group_names
        if study.apparatus.model.has_gene_vectors
    }
    enough = min(_MIN_CELLS_PER_GENE, study.null_cells)
    samples = {key: cells for key, cells in samples.items() if len(cells) >= enough}
    work = [(study.edits[edit], np.sort(cells)) for (edit, _), cells in samples.items()]
    sizes = [2 * len(cells) for _, cells in work]
    shift = partial(shift_genes, study.apparatus, study.token_of_gene)
    parts = context.map(shift, work, step="Finding the genes that follow", sizes=sizes, unit="passes") if work else []
    most = {}
    for key, part in zip(samples, parts, strict=True):
        often = np.flatnonzero(part["n_cells"] >= enough)
        order = often[np.argsort(-part["mean_shift"][often], kind="stable")][:_AFFECTED_GENES_KEPT]
        most[key] = {name: values[order] for name, values in part.items()}
    return Followers(most, sum(sizes))


def measure_noise(context: Context, study: Study) -> float:
    """Return the largest 1 - cosine between a stored vector and the same cell embedded again."""
    sample = np.sort(generator(study.seed, "noise").permutation(study.chosen)[:NOISE_CELLS])
    again = context.call(partial(embed_again, study.apparatus, sample), step="Measuring the noise of the arithmetic")
    distance = one_minus_cosine(study.points[sample], again)
    return float(np.nanmax(distance)) if np.isfinite(distance).any() else float("nan")


@dataclass(frozen=True, eq=False)
class _Measured:
    """1 - cosine of pairs of random edit and cell, each pair measured once."""

    keys: NDArray[np.int64]  # cell * n_edits + edit, ascending
    distance: NDArray[np.float64]
    n_edits: int

    @classmethod
    def of(
        cls,
        context: Context,
        study: Study,
        drawn: list[tuple[int, ...]],
        wanted: list[_Wanted],
    ) -> "_Measured":
        if not wanted:
            return cls(np.empty(0, dtype=np.int64), np.empty(0), 0)
        gene_ids = study.apparatus.dataset.gene_ids
        edits = [tuple(Delete(gene_ids[gene]) for gene in genes) for genes in drawn]
        keys = np.unique(np.concatenate([cells * len(edits) + number for number, cells in wanted]))
        cells, numbers = np.divmod(keys, len(edits))
        work = some_pairs(cells, numbers, passes_per_chunk=study.passes_per_chunk)
        step = f"Switching off {len(edits):,} random {'genes' if len(drawn[0]) == 1 else 'sets of genes'}"
        distances = []
        for passes, part in _embed(context, study, (edits, work, step)):
            each = np.zeros(len(passes))
            cell = passes.cells[passes.cell_of_pair[part["changed"]]]
            each[part["changed"]] = one_minus_cosine(study.points[cell], part["points"])
            distances.append(each)
        return cls(keys, np.concatenate(distances), len(edits))

    def mean(self, number: int, cells: NDArray[np.int64]) -> float:
        return mean_there(self.distance[np.searchsorted(self.keys, cells * self.n_edits + number)])


def _embed(
    context: Context, study: Study, job: tuple[Sequence[Edit], list[Passes], str]
) -> Iterator[tuple[Passes, dict[str, NDArray[Any]]]]:
    edits, work, step = job
    function = partial(embed_edited, study.apparatus, edits)
    parts = context.map(function, work, step=step, sizes=[len(passes) for passes in work], unit="edited cells")
    return zip(work, parts, strict=True)


def _make_pools(context: Context, study: Study) -> dict[str, Pool]:
    """Read which genes the cells hold on which genes are compared."""
    orders = {group: study.chosen[study.in_random_order[group]] for group in study.group_names}
    cells = np.concatenate(list(orders.values()))
    at_once = study.cells_read_at_once
    chunks = [cells[start : start + at_once] for start in range(0, len(cells), at_once)]
    read = partial(read_genes, study.apparatus, study.token_of_gene)
    parts = list(context.map(read, chunks, step="Looking for genes of like abundance", sizes=[len(c) for c in chunks]))
    genes = np.concatenate([part["genes"] for part in parts])
    ranks = np.concatenate([part["ranks"] for part in parts])
    ends = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part["offsets"]) for part in parts]))])
    pools, start = {}, 0
    for group, order in orders.items():
        offsets = ends[start : start + len(order) + 1]
        where = slice(int(offsets[0]), int(offsets[-1]))
        pools[group] = make_pool(order, (genes[where], ranks[where], offsets - offsets[0]))
        start += len(order)
    return pools


def _members(study: Study) -> list[list[int]]:
    """Return the genes of each edit, as pools know them."""
    position = {gene_id: number for number, gene_id in enumerate(study.apparatus.dataset.gene_ids)}
    return [[_same_token(study, position[single.gene_id]) for single in edit] for edit in study.edits]


def _match_all(
    study: Study, moved: Moved, known: tuple[dict[str, Pool], list[list[int]]]
) -> dict[tuple[int, str], Match]:
    pools, members = known
    barred = np.unique(np.concatenate(members))
    matches = {}
    for group, pool in pools.items():
        for edit in range(len(study.edits)):
            if moved.holds[edit, study.members[group]].any():
                drawn = match_genes(pool, members[edit], n=study.null_genes, barred=barred, seed=(study.seed, group))
                matches[edit, group] = drawn
    return matches


def _same_token(study: Study, gene: int) -> int:
    """Return the gene by which a pool knows a token, where several genes of the dataset share it."""
    token = study.token_of_gene[gene]
    return gene if token < 0 else int(np.flatnonzero(study.token_of_gene == token)[0])


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= 3 else f"{len(labels):,} genes or sets of genes"
