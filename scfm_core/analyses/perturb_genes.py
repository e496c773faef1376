"""Which cells move when genes are edited, where to, and is it more than what random genes of like abundance do?

`measure_edits` measures the edits exactly, `measure_random_genes` the random genes, both with `perturbation_passes` on
the workers; `perturbation_null` makes the comparison, `perturbation_donors` looks at donors, `perturbation_tables`
builds the tables, `perturbation_words` the sentences.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.measure_edits import NOISE_CELLS, MeasureEdits
from scfm_core.analyses.measure_random_genes import random_genes
from scfm_core.analyses.perturbation_landing import mean_positions
from scfm_core.analyses.perturbation_null import POOL_CELLS
from scfm_core.analyses.perturbation_study import Edit, chosen_cells, column_of, make_study
from scfm_core.analyses.perturbation_tables import (
    RARELY_HELD_BELOW,
    cells_table,
    donors_table,
    effects_table,
    null_table,
    shifts_table,
    switches_table,
)
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request
from scfm_core.tokens import Overexpress

__all__ = ["LandingArrows", "PerturbGenes", "PerturbationEffects", "estimated_passes", "landing_arrows", "require_held"]
__all__ += ["ALL_HOLDING", "NULL_CELLS", "RARELY_HELD_BELOW"]

NULL_CELLS = 16
MOST_EDITED_CELLS = 5_000_000  # one line each in a table of the answer
ALL_HOLDING = POOL_CELLS


@dataclass(frozen=True)
class PerturbationEffects:
    """What edits did to the vectors of cells, beside random genes of like abundance.

    All means are over the cells whose input the edit changes, the cells that *hold* it; elsewhere numbers are NaN.

    Attributes
    ----------
    effects
        One row per edit and group:

        - ``edit`` (its label), ``kind`` (``"delete"``, ``"overexpress"``, ... joined with ``+``), ``gene_ids`` (joined
          with ``;``), ``group``;
        - ``n_cells`` (with a vector), ``n_holding``, ``share_holding``, ``n_expressing`` (with counts of a gene of the
          edit, whether the model reads them or not); ``status``: ``"tested"``, ``"rarely held"`` (by less than 10 % of
          the cells) or ``"not held"``;
        - ``effect``, mean of 1 - cosine; ``ci_low`` and ``ci_high``, its 95 % interval over ``ci_over``: a t interval
          over ``"donors"`` where three or more hold it, else a bootstrap interval over ``"cells"``;
        - ``null_effect``, the edit measured as the random genes are, on ``null_n_cells`` cells; ``null_mean`` and
          ``null_sd`` of the ``n_null`` random genes at this edit's abundance; ``z``; ``p_empirical``, one-sided, and
          ``p_low`` to ``p_high``, where it would lie had other cells been drawn (95 %);
        - ``n_donors``, ``donors_agree`` (donors in which the edit moves cells more than the mean random gene),
          ``p_donors`` (paired t-test over donor means; not to be read alone), ``p`` (the larger of the two, or
          ``p_empirical`` without donors), ``evidence`` (``"donors"`` or ``"cells"``: exploratory), ``p_adjusted``
          (Benjamini-Hochberg over all rows with a p);
        - ``match_distance`` and ``match_quality`` (``"close"``, ``"one-sided"``, ``"loose"``, or empty);
        - ``share_switching``: share of the holding cells whose nearest unperturbed cells are of another type than
          before; ``switch_to``, the commonest new type; ``n_switching``; ``null_switching``, mean share under random
          genes; ``p_switching``, one-sided. NaN, or empty, where no column names cell types.
    shifts
        One row per edit, group and state: ``edit``, ``group``, ``state``, ``role``, ``n_cells`` (holding), ``shift``
        (cosine with the state's mean vector, after minus before), ``ci_low``, ``ci_high``, ``ci_over``,
        ``share_toward``, and as in ``effects``, two-sided, ``null_effect``, ``null_mean``, ``null_sd``, ``n_null``,
        ``z``, ``p_empirical``, ``n_donors``, ``donors_agree`` (same sign), ``p_donors``, ``p``, ``evidence``,
        ``p_adjusted``.
    donors
        One row per edit, group and donor: ``edit``, ``group``, ``donor``, ``n_cells``, ``n_holding``, ``effect``,
        ``null_mean``, ``above``, and ``shift:<state>`` for each state. Empty without donors.
    switches
        One row per edit, group and pair of cell types: ``edit``, ``group``, ``label_before``, ``label_after``,
        ``n_cells``.
    cells
        One row per edit and chosen cell: ``cell``, ``edit``, ``group``, ``holds``, ``cosine_similarity``,
        ``shift:<state>``, ``label_before``, ``label_after``.
    null
        One row per random gene, or set of genes: ``edit``, ``group``, ``null_edit``, ``null_effect`` (levelled to the
        abundance of the tested gene), ``null_measured``, ``null_switching``, ``shift:<state>``.
    landing_before, landing_after
        As in `EditedCells`.
    chosen
        Positions of the edited cells in the dataset, ascending, shape ``(n_chosen,)``, int64.
    edits
        Labels of the edits in the order of the request, as in the column ``edit``.
    states
        Names of the states, the goal first.
    identity_by
        The column that named cell types; empty where there was none.
    noise_floor
        As in `EditedCells`: a smaller effect is arithmetic.
    n_passes
        How many times a cell went through the model for this answer, the stored baseline not counted.
    """

    effects: pd.DataFrame
    shifts: pd.DataFrame
    donors: pd.DataFrame
    switches: pd.DataFrame
    cells: pd.DataFrame
    null: pd.DataFrame
    landing_before: NDArray[np.int32]
    landing_after: NDArray[np.int32]
    chosen: NDArray[np.int64]
    edits: tuple[str, ...]
    states: tuple[str, ...]
    identity_by: str
    noise_floor: float
    n_passes: int


@dataclass(frozen=True)
class PerturbGenes(Request[PerturbationEffects]):
    """Edit genes in the input of a model and measure how far each cell's vector moves, and where to.

    Parameters
    ----------
    baseline
        The unperturbed cells: dataset, model and options.
    edits
        Each inner tuple is made together and is one line of the result.
    cells
        Which cells; all where None.
    group_by
        Column of the cell table; the effect is told per value of it. Cells without a value are left out.
        All chosen cells are one group where None.
    goal, alternatives
        States toward which shifts are measured: where one hopes the cells go, and where they might go instead.
    identity_by
        Column that names cell types; the dataset's own where None and it has one.
    null_genes
        Random genes (or sets of genes) that each edit is compared with in each group; 0 for none.
    null_cells
        On how many cells that hold it each gene, tested or random, is measured for the comparison; `ALL_HOLDING` for
        all of them, up to 1,000 cells of a group.
    seed
        Chooses the random genes, the cells for the comparison, and the resamples of the intervals.

    Raises
    ------
    RequestError
        If there is nothing to edit, the model cannot make an edit, a gene is not in the dataset, the cells belong to
        another dataset, or there are more than 5,000,000 edited cells.

    References
    ----------
    Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9, Methods, "In silico deletion", for the edits. The comparison
    with matched random genes is ours; `perturbation_null` describes and justifies it.
    """

    baseline: EmbedCells
    edits: tuple[Edit, ...]
    cells: CellSet | None = None
    group_by: str | None = None
    goal: State | None = None
    alternatives: tuple[State, ...] = ()
    identity_by: str | None = None
    null_genes: int = 100
    null_cells: int = NULL_CELLS
    seed: int = 0

    version: ClassVar[int] = 2  # means over holding cells, states, identity, donors
    result_type: ClassVar[type] = PerturbationEffects

    def __post_init__(self) -> None:
        _ = self.exact  # which looks at the edits and cells
        if self.identity_by is None:
            object.__setattr__(self, "identity_by", self.baseline.dataset.roles.get("cell_type"))
        if self.null_genes < 0 or self.null_cells < 1 or self.seed < 0:
            msg = (
                "Expected at least 0 random genes, 1 cell per gene and a seed of at least 0, found "
                f"{self.null_genes}, {self.null_cells} and {self.seed}."
            )
            raise RequestError(msg, "out-of-range")
        n_cells = self.baseline.dataset.n_cells if self.cells is None else len(self.cells)
        if len(self.edits) * n_cells > MOST_EDITED_CELLS:
            msg = (
                f"{len(self.edits):,} edits of {n_cells:,} cells are more than the {MOST_EDITED_CELLS:,} edited cells "
                "that one answer holds. Choose fewer cells or edits, or screen the genes instead."
            )
            raise RequestError(msg, "too-many")

    @property
    def exact(self) -> MeasureEdits:
        """The edits alone, which need no comparison."""
        return MeasureEdits(self.baseline, self.edits, self.cells, self.group_by, self.states)

    @property
    def states(self) -> tuple[State, ...]:
        """The states toward which shifts are measured, the goal first."""
        return (() if self.goal is None else (self.goal,)) + self.alternatives

    def run(self, context: Context) -> PerturbationEffects:
        """See `Request.run`."""
        identity = None if self.identity_by is None else column_of(self.baseline.dataset, self.identity_by)
        edited = context.compute(self.exact)
        points = np.asarray(context.compute(self.baseline).points)
        goals = 0 if self.goal is None else 1
        study = replace(
            make_study(self.exact, ~np.isnan(points[:, 0]), seed=self.seed),
            state_roles=("goal",) * goals + ("alternative",) * len(self.alternatives),
            identity=identity,
            null_genes=self.null_genes,
            null_cells=self.null_cells,
        )
        random = None
        if self.null_genes and edited.holds.any():
            random = random_genes(context, self.exact, (self.null_genes, self.null_cells), seed=self.seed)
        return PerturbationEffects(
            effects=effects_table(study, edited, random),
            shifts=shifts_table(study, edited, random),
            donors=donors_table(study, edited, random),
            switches=switches_table(study, edited),
            cells=cells_table(study, edited),
            null=null_table(study, edited, random),
            landing_before=edited.landing_before,
            landing_after=edited.landing_after,
            chosen=study.chosen,
            edits=study.labels,
            states=study.states,
            identity_by=self.identity_by or "",
            noise_floor=edited.noise_floor,
            n_passes=edited.n_passes + (0 if random is None else random.n_passes),
        )


def require_held(effects: PerturbationEffects) -> None:
    """Raise a `RequestError` where no edit changes the input of any cell: there is nothing to say of them."""
    table = effects.effects
    if (table["n_holding"] > 0).any():
        return
    n_expressing, n_cells = int(table["n_expressing"].max()), int(table.groupby("edit")["n_cells"].sum().max())
    cut = (
        f" Up to {n_expressing:,} of them express it, but the model does not read it there: it knows no such gene, or "
        "the gene stands behind the longest input."
        if n_expressing
        else ""
    )
    msg = (
        f"Expected cells whose input holds {', '.join(effects.edits)}; none of the {n_cells:,} cells does, so nothing "
        f"can be edited.{cut} Choose other cells, genes that these cells express, or another model."
    )
    raise RequestError(msg, "not-held")


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

    From the counts alone, and as if as many cells held each random gene as hold the tested one: genes outside the
    vocabulary, genes behind the longest input and random genes that several edits share make it fewer. The baseline's
    vectors are not counted.
    """
    dataset = request.baseline.dataset
    chosen, groups = chosen_cells(dataset, request.cells, request.group_by)
    members = [chosen[groups == name] for name in np.unique(groups)]
    passes = min(NOISE_CELLS, len(chosen))
    for edit in request.edits:
        holds = np.any([dataset.expression(single.gene_id) > 0 for single in edit], axis=0)
        holds |= any(isinstance(single, Overexpress) for single in edit)
        for cells in members:
            n_holding = int(holds[cells].sum())
            passes += n_holding + min(request.null_cells, POOL_CELLS, n_holding) * request.null_genes
    return passes

