"""Do two edits do more together than the sum of what each does alone?

`pair_passes` embeds on the workers, `pair_steps` sends the work, `pair_draws` and `pair_null` make the comparison with
random pairs, `pair_tables` the tables, `pair_words` the sentences.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from math import ceil
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells, require_organism
from scfm_core.analyses.measure_edits import MeasureEdits, apparatus_of
from scfm_core.analyses.pair_draws import Key, draw_pairs
from scfm_core.analyses.pair_null import Compared, compare_pairs
from scfm_core.analyses.pair_steps import (
    MIN_CELLS,
    NOISE_CELLS,
    Bench,
    find_holding,
    measure_error,
    measure_on_cells,
)
from scfm_core.analyses.pair_tables import PairsFound, interactions_table, random_pairs_table
from scfm_core.analyses.pair_words import ALPHA, pair_sentence
from scfm_core.analyses.perturbation_null import generator
from scfm_core.analyses.perturbation_passes import find_tokens
from scfm_core.analyses.perturbation_study import Study, chosen_cells, make_study
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request
from scfm_core.tokens import GeneEdit, Overexpress

__all__ = ["PairInteractions", "PerturbPairs", "estimated_pair_passes", "pair_sentence"]

LEAST_GENES, MOST_GENES = 2, 15


@dataclass(frozen=True)
class PairInteractions:
    """What pairs of edits do beyond the sum of the two.

    In each cell that holds both genes, let e be its vector, and d_a, d_b, d_ab the shifts of e under each edit alone
    and under both. All means are over the measured cells.

    Attributes
    ----------
    table
        One row per pair and group:

        - ``edit_a``, ``edit_b`` (labels), ``gene_id_a``, ``gene_id_b``, ``group``; ``n_cells``; ``n_holding_both``,
          cells whose input both edits change; ``n_measured`` of these, drawn at random;
        - ``effect_a``, ``effect_b``, ``effect_both``: 1 - cosine of e with e + d_a, e + d_b, e + d_ab;
          ``effect_added``: 1 - cosine of e with e + d_a + d_b, what the sum of the two would do;
        - ``size_beyond``: ``effect_both`` less ``effect_added``, in units of 1 - cosine; above 0 the pair moves cells
          further than the sum. ``ci_low``, ``ci_high``: its 95 % interval over ``ci_over`` (``"donors"`` where at least
          three have three measured cells, else ``"cells"``);
        - ``null_effect``: the same on the first ``null_n_cells`` cells of the comparison, and ``null_mean``,
          ``null_sd`` of the ``n_null`` random pairs, levelled to this pair's abundance and brought to its
          ``effect_added``, in units of 1 - cosine; ``z``; ``p_empirical``, two-sided around the median of all;
          ``p_adjusted``, Benjamini-Hochberg over the rows of this table;
        - ``vector_beyond``: mean length of d_ab - d_a - d_b over the mean of the lengths of d_a and d_b together; 0
          where the edits add up, 0.5 where both do the same and together no more than one. ``vector_ci_low`` and so on
          as above, with a one-sided p; ``noise``, how large it may be where float32 and the network's own arithmetic
          are all there is;
        - ``match_distance``, ``match_quality``: how well the random pairs match, see `perturbation_null`;
        - ``kind_of``: ``"more than the sum"`` or ``"less than the sum"`` where ``p_adjusted`` is at most 0.05 and
          ``size_beyond`` lies on the same side of 0 as of the random pairs; ``"other than the sum"`` where only
          ``vector_p_adjusted`` is; where neither p is small, ``"additive"`` if ``vector_beyond`` is at most 0.1, else
          ``"like random pairs"``; ``"additive"`` where nothing but noise is left; ``"cannot tell"`` otherwise, with the
          ``reason``.

        Where a model reads ranks no pair adds up: one deletion moves all genes behind it by one place, two move them by
        two, and a network need not answer to both in proportion. So it is the random pairs that tell, not 0. A pair
        that no cell of a group holds together has NaN for all of these.
    null
        One row per random pair: ``edit_a``, ``edit_b``, ``group``; ``null_a``, ``null_b`` (symbols); ``size_beyond``
        and ``vector_beyond`` as they were compared. NaN where too few cells hold both, or where the comparison of this
        number had ended.
    edits
        Labels of the single edits in the order of the request.
    relative_error
        Largest difference between a stored vector and the same cell embedded again, over its length; at least that of
        float32.
    n_passes
        How many times a cell went through the model for this answer, the stored baseline not counted.
    """

    table: pd.DataFrame
    null: pd.DataFrame
    edits: tuple[str, ...]
    relative_error: float
    n_passes: int


@dataclass(frozen=True)
class PerturbPairs(Request[PairInteractions]):
    """Edit genes one by one and two by two, and measure what each pair does beyond the sum of the two.

    Parameters
    ----------
    genes
        2 to 15 edits of different genes; all pairs of them are made.
    cells, group_by
        As in `PerturbGenes`.
    null_pairs
        Random pairs that each pair is compared with; 0 for none. A pair that none of them reaches is compared with as
        many as the correction for all pairs tested needs, at most about ``most_null_pairs``.
    null_cells
        On how many cells that hold both genes each pair, tested or random, is measured for the comparison.
    max_cells
        On how many cells of a group that hold both a pair is measured, drawn at random.
    seed
        Draws cells, random pairs, and resamples.

    Raises
    ------
    RequestError
        If there are too few or too many edits, two of one gene, an edit that the model cannot make, or a number out of
        range.

    References
    ----------
    Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9, Fig. 4, compares the deletion of GATA4 and TBX5 together with
    those of the two alone, and random pairs. Definitions and comparison here are ours.
    """

    baseline: EmbedCells
    genes: tuple[GeneEdit, ...]
    cells: CellSet | None = None
    group_by: str | None = None
    null_pairs: int = 30
    null_cells: int = 16
    max_cells: int = 200
    most_null_pairs: int = 200
    seed: int = 0

    result_type: ClassVar[type] = PairInteractions

    def __post_init__(self) -> None:
        if not LEAST_GENES <= len(self.genes) <= MOST_GENES:
            msg = f"Pairs are made of {LEAST_GENES} to {MOST_GENES} edits, found {len(self.genes)}. Choose as many."
            raise RequestError(msg, "out-of-range")
        if len({edit.gene_id for edit in self.genes}) < len(self.genes):
            msg = "The list names the same gene twice, and a gene makes no pair with itself. Name each gene once."
            raise RequestError(msg, "repeated-edit")
        too_few = min(self.null_cells, self.max_cells) < MIN_CELLS
        if too_few or min(self.null_pairs, self.most_null_pairs, self.seed) < 0:
            msg = (
                f"Expected at least 0 random pairs, {MIN_CELLS} cells per pair and a seed of at least 0, found "
                f"{self.null_pairs} and {self.most_null_pairs}, {self.null_cells} and {self.max_cells}, {self.seed}."
            )
            raise RequestError(msg, "out-of-range")
        _ = self.singles  # checks the edits against the model and the dataset

    @property
    def singles(self) -> MeasureEdits:
        """Each edit alone, in the same cells."""
        edits = tuple((edit,) for edit in self.genes)
        return MeasureEdits(self.baseline, edits, cells=self.cells, group_by=self.group_by)

    def run(self, context: Context) -> PairInteractions:
        """See `Request.run`."""
        require_organism(self.baseline.dataset, self.baseline.model)
        points = np.asarray(context.compute(self.baseline).points)
        study = make_study(self.singles, ~np.isnan(points[:, 0]), seed=self.seed)
        apparatus = apparatus_of(context, self.baseline)
        tokens = context.call(partial(find_tokens, apparatus), step=f"Loading {self.baseline.model.title}")
        bench = Bench(apparatus, study, points, tokens)
        found, n_pairs = _measure(context, bench, self)
        compared, n_random = _compare(context, bench, found, self)
        found = replace(found, compared=compared)
        n_again = min(NOISE_CELLS, sum(len(members) for members in study.members.values()))
        return PairInteractions(
            table=interactions_table(found),
            null=random_pairs_table(found),
            edits=study.labels,
            relative_error=found.error,
            n_passes=n_pairs + n_random + n_again,
        )


def estimated_pair_passes(request: PerturbPairs) -> int:
    """Return about how many times a cell will go through the model, before anything is computed.

    Counted as if every random pair were held by enough cells and shared no single edit with another. A pair that no
    random pair reaches costs more: up to ``most_null_pairs`` of them, see `PerturbPairs`. The baseline's vectors are
    not counted.
    """
    dataset = request.baseline.dataset
    chosen, groups = chosen_cells(dataset, request.cells, request.group_by)
    expressed = [dataset.expression(edit.gene_id)[chosen] > 0 for edit in request.genes]
    holds = [mask | isinstance(edit, Overexpress) for mask, edit in zip(expressed, request.genes, strict=True)]
    passes = min(NOISE_CELLS, len(chosen))
    for group in np.unique(groups):
        mine = np.stack(holds)[:, groups == group].astype(np.int64)
        n_both = (mine @ mine.T)[np.triu_indices(len(mine), 1)]
        n_measured = np.minimum(n_both, request.max_cells)
        n_singles = int(mine[:, mine.sum(axis=0) > 1].sum())  # of all cells that hold one of the pairs
        n_random = 3 * request.null_pairs * np.minimum(n_both, request.null_cells)[n_both >= MIN_CELLS]
        passes += int(n_measured.sum() + n_random.sum()) + min(n_singles, 2 * int(n_measured.sum()))
    return passes


def _measure(context: Context, bench: Bench, request: PerturbPairs) -> tuple[PairsFound, int]:
    """Measure every pair in every group; nothing is compared yet."""
    study = bench.study
    holds = find_holding(context, bench)
    pairs = tuple(combinations(range(len(request.genes)), 2))
    samples: dict[Key, NDArray[np.int64]] = {}
    wanted = []
    for number, (one, other) in enumerate(pairs):
        for group in study.group_names:
            order = _in_order(study, group)
            samples[number, group] = order[holds[one, order] & holds[other, order]][: request.max_cells]
            wanted.append(((request.genes[one], request.genes[other]), study.chosen[samples[number, group]]))
    step = f"Editing {len(pairs):,} {'pair' if len(pairs) == 1 else 'pairs'} of genes"
    values, n_passes = measure_on_cells(context, bench, wanted, order="by cell", step=step)
    position = {gene_id: number for number, gene_id in enumerate(study.dataset.gene_ids)}
    unread = [bench.token_of_gene[position[edit.gene_id]] < 0 for edit in request.genes]
    found = PairsFound(
        study=study,
        pairs=pairs,
        holds=holds,
        samples=samples,
        values=dict(zip(samples, values, strict=True)),
        compared={},
        error=measure_error(context, bench),
        unread=frozenset(label for label, strange in zip(study.labels, unread, strict=True) if strange),
    )
    return found, n_passes


def _compare(
    context: Context, bench: Bench, found: PairsFound, request: PerturbPairs
) -> tuple[dict[Key, Compared], int]:
    """Compare the pairs with random ones of which enough cells hold both, and of which more than noise is left."""
    study = found.study
    values = {}
    for key, sample in found.samples.items():
        pool = study.in_random_order[key[1]]
        n_there = min(int(np.isin(sample, pool).sum()), request.null_cells)  # the pool's cells come first
        if np.count_nonzero(~np.isnan(found.values[key][0, :n_there])) >= MIN_CELLS and not found.is_noise(key):
            values[key] = found.values[key][:, :n_there]
    if not request.null_pairs or not values:
        return {}, 0
    needed = min(request.most_null_pairs, ceil(len(values) / ALPHA))
    tested = [(key, found.pairs[key[0]]) for key in values]
    drawn = draw_pairs(context, bench, tested, n_pairs=(request.null_pairs, needed), n_cells=request.null_cells)
    return compare_pairs(context, bench, {key: (drawn[key], values[key]) for key in values})


def _in_order(study: Study, group: str) -> NDArray[np.int64]:
    """Return the cells of a group in random order, those on which genes are compared first."""
    pool = study.in_random_order[group]
    others = np.setdiff1d(study.members[group], pool)
    return np.concatenate([pool, generator(study.seed, group, "other cells").permutation(others)])
