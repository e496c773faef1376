"""The genes of which a model's ranking is made: those asked about, their random ones, and more of all abundances."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.checked_cells import HeldGenes, Pairs, measure_pairs
from scfm_core.analyses.measure_edits import EditedCells
from scfm_core.analyses.perturbation_null import generator
from scfm_core.analyses.perturbation_passes import Apparatus
from scfm_core.analyses.perturbation_study import Edit, RandomGenes, Study
from scfm_core.request import Context
from scfm_core.tokens import edit_in_words, same_edit

MIN_HOLDING = 3


@dataclass(frozen=True)
class RankedGene:
    """A gene, or set of genes, as the model was asked about it; ``label`` is empty for a random one."""

    edit: Edit
    effect: float
    label: str


def more_genes(
    context: Context,
    apparatus: Apparatus,
    where: tuple[HeldGenes, Study, str],
    *,
    measured: Sequence[RankedGene],
    n: tuple[int, int],
) -> tuple[list[RankedGene], int]:
    """Make an edit of one gene to random genes over all abundances.

    Parameters
    ----------
    where
        What the cells of the group hold, the question, and the name of the group.
    measured
        The genes that were measured already; the edit is like theirs.
    n
        How many genes, and on how many cells that hold it each is measured.

    Returns
    -------
    The genes, and how many times a cell went through the model for them; none for an edit of several genes.
    """
    held, study, group = where
    template = measured[0].edit
    if len(template) > 1 or not n[0]:
        return [], 0
    gene_ids = study.dataset.gene_ids
    n_holding = held.n_holding(study.dataset.n_genes)
    position = {gene_id: place for place, gene_id in enumerate(gene_ids)}
    n_holding[[position[single.gene_id] for gene in measured for single in gene.edit]] = 0
    drawn = spread_over(n_holding, n[0], generator(study.seed, group, "spread"))
    edits = [(same_edit(template[0], gene_ids[gene]),) for gene in drawn]
    cells = [_holders(held, int(gene))[: n[1]] for gene in drawn]
    numbers = np.repeat(np.arange(len(drawn)), [len(some) for some in cells])
    pairs = Pairs(edits, numbers, np.concatenate([np.empty(0, dtype=np.int64), *cells]))
    distance = measure_pairs(context, apparatus, pairs, step="Making the edit to genes of all abundances")
    there = np.isfinite(distance)
    effects = [float(distance[there & (numbers == number)].mean()) for number in np.unique(numbers[there])]
    made = [edits[number] for number in np.unique(numbers[there])]
    return [RankedGene(edit, effect, "") for edit, effect in zip(made, effects, strict=True)], int(there.sum())


def spread_over(n_holding: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw genes over all abundances: one from each of ``n`` equal parts of the genes in the order of abundance.

    Parameters
    ----------
    n_holding
        How many cells hold each gene, shape ``(n_genes,)``; genes held by fewer than 3 are passed over.
    """
    held = np.flatnonzero(n_holding >= MIN_HOLDING)
    order = held[np.lexsort((rng.random(len(held)), n_holding[held]))]
    parts = np.array_split(order, n) if n else []
    return np.array([rng.choice(part) for part in parts if len(part)], dtype=np.int64)


def kinds_of(study: Study) -> dict[str, list[int]]:
    """Return the numbers of the edits that differ in nothing but their genes, by what they do."""
    kinds: dict[str, list[int]] = {}
    for number, edit in enumerate(study.edits):
        words = (edit_in_words(single, "gene") for single in edit)
        named = [f"delete {each}" if each == "gene" else each for each in words]
        kinds.setdefault("+".join(named), []).append(number)
    return kinds


def tested_genes(study: Study, edited: EditedCells, group: str, numbers: Sequence[int]) -> list[RankedGene]:
    """Return the genes of some edits, with what they did on the cells of the comparison; NaN where none holds them."""
    found = []
    for number in numbers:
        own = edited.distance[number, study.sample(edited, number, group)]
        effect = float(np.nanmean(own)) if np.isfinite(own).any() else float("nan")
        found.append(RankedGene(study.edits[number], effect, study.labels[number]))
    return found


def random_ones(study: Study, random: RandomGenes | None, group: str, numbers: Sequence[int]) -> list[RankedGene]:
    """Return the distinct random edits of a group that are like some edits."""
    if random is None:
        return []
    draws = random.draws
    mine = draws[(draws["group"] == group) & draws["edit"].isin(numbers)].drop_duplicates("number")
    ends = np.searchsorted(random.number, [mine["number"], mine["number"] + 1])
    found = []
    for edit, gene_ids, start, stop in zip(mine["edit"], mine["gene_ids"], *ends, strict=True):
        genes, template = str(gene_ids).split(";"), study.edits[int(edit)]
        own = random.distance[start:stop]
        if len(genes) == len(template) and np.isfinite(own).any():  # members that no cell holds are not replaced
            made = tuple(same_edit(single, gene_id) for single, gene_id in zip(template, genes, strict=True))
            found.append(RankedGene(made, float(np.nanmean(own)), ""))
    return found


def _holders(held: HeldGenes, gene: int) -> NDArray[np.int64]:
    """Return the cells that hold a gene, in the order in which they were read."""
    cell = np.repeat(np.arange(len(held.cells)), np.diff(held.offsets))
    holders: NDArray[np.int64] = held.cells[np.unique(cell[held.genes == gene])]
    return holders
