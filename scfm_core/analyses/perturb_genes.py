"""Which cells move when a gene is switched off, and do they move more than for a random gene of like abundance?

`perturbation_steps` measures, with `perturbation_passes` on the workers, on what `perturbation_study` holds;
`perturbation_null` makes the comparison with random genes and the intervals, `perturbation_landing` finds the
neighbours, `perturbation_tables` builds the tables, `perturbation_words` the sentences.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk, model_arrays
from scfm_core.analyses.perturbation_landing import mean_positions
from scfm_core.analyses.perturbation_null import random_order
from scfm_core.analyses.perturbation_passes import Apparatus, find_tokens
from scfm_core.analyses.perturbation_steps import NOISE_CELLS, measure_edits, measure_genes, measure_noise, measure_null
from scfm_core.analyses.perturbation_study import Study
from scfm_core.analyses.perturbation_tables import (
    RARELY_HELD_BELOW,
    cells_table,
    effects_table,
    genes_table,
    null_table,
)
from scfm_core.analyses.perturbation_words import sentence
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request
from scfm_core.tokens import Delete

__all__ = ["LandingArrows", "PerturbGenes", "PerturbationEffects", "estimated_passes", "landing_arrows", "sentence"]
__all__ += ["RARELY_HELD_BELOW"]

NULL_CELLS = 16
ALL_CELLS = "all cells"
_CELLS_READ_AT_ONCE = 512


@dataclass(frozen=True)
class PerturbationEffects:
    """What switching genes off did to the vectors of cells.

    Attributes
    ----------
    effects
        One row per edit and group:

        - ``edit`` (symbols), ``gene_ids`` (joined with ``;``), ``group``;
        - ``n_cells`` (cells with a vector before and after), ``n_holding`` (those whose input the edit changes),
          ``share_holding``, ``n_expressing`` (those with counts of a gene of the edit, whether the model reads them or
          not);
        - ``effect``, mean of 1 - cosine over all cells of the group, where a cell that does not hold the gene counts
          exactly 0; ``ci_low`` and ``ci_high``, its 95 % bootstrap interval over ``ci_over`` (``"cells"`` or
          ``"donors"``); ``effect_holding``, the mean over holding cells, NaN if none;
        - ``null_effect``, the edit measured as the random genes are; ``null_mean`` and ``null_sd`` of the ``n_null``
          random genes at this edit's abundance, each measured on at most ``null_cells`` cells (``null_n_cells`` for
          this edit);
        - ``z``, ``p_empirical``, ``p_adjusted`` (Benjamini-Hochberg over all rows with a p);
        - ``match_distance`` and ``match_quality`` (``"close"``, ``"one-sided"``, ``"loose"``, or empty), see
          `perturbation_null`;
        - ``status``: ``"tested"``, ``"rarely held"`` (by less than 10 % of the cells) or ``"not held"``.
    cells
        One row per edit and cell: ``cell``, ``edit``, ``group``, ``cosine_similarity`` (exactly 1 where the edit
        changes nothing; NaN where the cell has no vector), ``holds``.
    genes
        The other genes whose contextual vectors turned most, at most 200 per edit and group, largest first: ``edit``,
        ``group``, ``gene_id``, ``symbol``, ``mean_shift`` (mean of 1 - cosine), ``n_cells``. Measured on the cells on
        which the edit is compared with random genes. Empty where the model has no gene vectors.
    null
        One row per random gene, or set of genes: ``edit``, ``group``, ``null_edit``, ``null_effect`` (levelled to the
        abundance of the tested gene, what ``p_empirical`` is computed from), ``null_measured`` (before that).
    landing_before
        The nearest unperturbed cells of each chosen cell as it was, itself left out, as positions in the dataset,
        shape ``(n_chosen, k)``, int32; -1 where the cell has no vector.
    landing_after
        The same for the cell as the edit leaves it, shape ``(n_edits, n_chosen, k)``, int32.
    chosen
        Positions of the perturbed cells in the dataset, ascending, shape ``(n_chosen,)``, int64.
    edits
        Labels of the edits in the order of the request, as in the column ``edit``.
    noise_floor
        Largest 1 - cosine between the stored vector of a cell and the same cell embedded again without an edit: an
        effect below it is arithmetic. About 1e-12 in float32; a cell whose input does not change is never embedded
        again and has no noise.
    n_passes
        How many times a cell went through the model for this answer, the stored baseline not counted.
    """

    effects: pd.DataFrame
    cells: pd.DataFrame
    genes: pd.DataFrame
    null: pd.DataFrame
    landing_before: NDArray[np.int32]
    landing_after: NDArray[np.int32]
    chosen: NDArray[np.int64]
    edits: tuple[str, ...]
    noise_floor: float
    n_passes: int


@dataclass(frozen=True)
class PerturbGenes(Request[PerturbationEffects]):
    """Switch genes off in the input of a model and measure how far each cell's vector moves.

    Parameters
    ----------
    baseline
        The unperturbed cells: dataset, model and options.
    edits
        Each inner tuple is applied together and is one line of the result.
    cells
        Which cells; all where None.
    group_by
        Column of the cell table; the effect is told per value of it. Cells without a value are left out.
        All chosen cells are one group where None.
    null_genes
        Random genes (or sets of genes) that each edit is compared with in each group; 0 for none.
    null_cells
        On how many cells that hold it each gene, tested or random, is measured for the comparison.
    seed
        Chooses the random genes, the cells for the comparison, and the resamples of the intervals.

    Raises
    ------
    RequestError
        If there is nothing to edit, a gene is not in the dataset, or the cells belong to another dataset.

    References
    ----------
    Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9, Methods, "In silico deletion", for the deletion. The
    comparison with matched random genes is ours; `perturbation_null` describes and justifies it.
    """

    baseline: EmbedCells
    edits: tuple[tuple[Delete, ...], ...]
    cells: CellSet | None = None
    group_by: str | None = None
    null_genes: int = 100
    null_cells: int = NULL_CELLS
    seed: int = 0

    result_type: ClassVar[type] = PerturbationEffects

    def __post_init__(self) -> None:
        _require_genes(self)
        n_cells = self.baseline.dataset.n_cells
        if self.cells is not None and (self.cells.n_cells != n_cells or not len(self.cells)):
            msg = f"Expected some of the dataset's {n_cells:,} cells, found {self.cells!r}. Choose the cells again."
            raise RequestError(msg, "no-cells")
        if self.null_genes < 0 or self.null_cells < 1 or self.seed < 0:
            msg = (
                "Expected at least 0 random genes, 1 cell per gene and a seed of at least 0, found "
                f"{self.null_genes}, {self.null_cells} and {self.seed}."
            )
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> PerturbationEffects:
        """See `Request.run`."""
        study = _prepare(context, self)
        moved = measure_edits(context, study)
        null = measure_null(context, study, moved)
        followers = measure_genes(context, study, moved)
        noise = measure_noise(context, study)
        n_passes = int(moved.holds.sum()) + null.n_passes + followers.n_passes + min(NOISE_CELLS, len(study.chosen))
        return PerturbationEffects(
            effects=effects_table(study, moved, null),
            cells=cells_table(study, moved),
            genes=genes_table(study, followers),
            null=null_table(study, null),
            landing_before=moved.landing_before,
            landing_after=moved.landing_after,
            chosen=study.chosen,
            edits=study.labels,
            noise_floor=noise,
            n_passes=n_passes,
        )


@dataclass(frozen=True)
class LandingArrows:
    """Where cells lie on a map before and after each edit, both told by their nearest unperturbed cells.

    Attributes
    ----------
    start, end
        Shape ``(n_edits, n_chosen, 2)``; NaN for a cell without a vector. Equal where the edit changes nothing.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]


def landing_arrows(effects: PerturbationEffects, coordinates: NDArray[np.floating[Any]]) -> LandingArrows:
    """Translate landing places into arrows on a map.

    Start and end are measured with the same ruler, the mean position of the nearest unperturbed cells other than the
    cell itself, so that a cell that did not move has an arrow of length exactly 0.

    Parameters
    ----------
    coordinates
        Position on the map of every cell of the dataset, shape ``(n_cells, 2)``.
    """
    start = mean_positions(effects.landing_before, coordinates)
    end = mean_positions(effects.landing_after, coordinates)
    return LandingArrows(start=np.broadcast_to(start, end.shape), end=end)


def estimated_passes(request: PerturbGenes) -> int:
    """Return about how many times a cell will go through the model, before anything is computed.

    An upper bound from the counts alone: genes outside the vocabulary, genes behind the longest input and random genes
    that several edits share make it fewer. The baseline's vectors are not counted.
    """
    dataset = request.baseline.dataset
    chosen, groups = _chosen_cells(request)
    members = [chosen[groups == name] for name in np.unique(groups)]
    passes = min(NOISE_CELLS, len(chosen))
    twice = 2 if request.baseline.model.has_gene_vectors else 0
    for edit in request.edits:
        holds = np.any([dataset.expression(single.gene_id) > 0 for single in edit], axis=0)
        for cells in members:
            n_holding = int(holds[cells].sum())
            passes += n_holding + min(request.null_cells, n_holding) * (request.null_genes + twice)
    return passes


def _require_genes(request: PerturbGenes) -> None:
    if not request.edits or not all(request.edits):
        msg = "Expected at least one gene in every edit, found none. Name the genes to switch off."
        raise RequestError(msg, "no-genes")
    known = set(request.baseline.dataset.gene_ids)
    unknown = [single.gene_id for edit in request.edits for single in edit if single.gene_id not in known]
    if unknown:
        msg = (
            f"Not among the {len(known):,} genes of this dataset: {', '.join(sorted(set(unknown)))}. "
            "Choose genes that were measured."
        )
        raise RequestError(msg, "unknown-gene")
    if len({frozenset(edit) for edit in request.edits}) < len(request.edits):
        msg = "The same edit stands in the request twice. Name each gene, or set of genes, once."
        raise RequestError(msg, "repeated-edit")


def _prepare(context: Context, request: PerturbGenes) -> Study:
    baseline = request.baseline
    dataset, model = baseline.dataset, baseline.model
    chosen, groups = _chosen_cells(request)
    points = np.asarray(context.compute(baseline).points)
    apparatus = Apparatus(dataset, model, baseline.chosen_options, model_arrays(context, dataset, model))
    donor = dataset.roles.get("donor")
    table = dataset.cells()
    n_left_out = (len(request.cells) if request.cells else dataset.n_cells) - len(chosen)
    if n_left_out:
        context.log(f"{n_left_out:,} cells have no {request.group_by} and are left out")
    there = ~np.isnan(points[chosen, 0])
    members = {str(name): np.flatnonzero((groups == name) & there) for name in np.unique(groups)}
    return Study(
        apparatus=apparatus,
        edits=request.edits,
        points=points,
        chosen=chosen,
        groups=groups,
        donors=table[donor].astype(str).to_numpy(dtype=str)[chosen] if donor in table else None,
        members=members,
        in_random_order={name: random_order(cells, seed=request.seed, group=name) for name, cells in members.items()},
        token_of_gene=context.call(partial(find_tokens, apparatus), step=f"Loading {model.title}"),
        null_genes=request.null_genes,
        null_cells=request.null_cells,
        seed=request.seed,
        passes_per_chunk=cells_per_chunk(model),
        cells_read_at_once=_CELLS_READ_AT_ONCE,
    )


def _chosen_cells(request: PerturbGenes) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Return the positions of the cells to perturb, and the group of each."""
    dataset, cells = request.baseline.dataset, request.cells
    chosen = np.arange(dataset.n_cells) if cells is None else cells.positions
    if request.group_by is None:
        return chosen, np.full(len(chosen), ALL_CELLS if cells is None else cells.label)
    table = dataset.cells()
    if request.group_by not in table:
        names = ", ".join(table.columns) or "none"
        msg = f"The cell table has no column {request.group_by!r}. Its columns: {names}."
        raise RequestError(msg, "unknown-column")
    column = table[request.group_by].iloc[chosen]
    kept = column.notna().to_numpy()
    if not kept.any():
        msg = f"No chosen cell has a value in column {request.group_by!r}. Choose another column or other cells."
        raise RequestError(msg, "no-groups")
    return chosen[kept], column[kept].astype(str).to_numpy(dtype=str)
