"""Which cells move when a gene is switched off, and do they move more than for a random gene of like abundance?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request
from scfm_core.tokens import Delete

NULL_CELLS = 16


@dataclass(frozen=True)
class PerturbationEffects:
    """What switching genes off did to the vectors of cells.

    Attributes
    ----------
    effects
        One row per edit and group: ``edit`` (symbols), ``gene_ids`` (joined with ``;``), ``group``, ``n_cells``,
        ``n_holding``, ``share_holding``, ``effect`` (mean of 1 - cosine over all cells of the group), ``ci_low``,
        ``ci_high``, ``ci_over`` (``"cells"`` or ``"donors"``), ``effect_holding``, ``null_effect``, ``null_mean``,
        ``null_sd``, ``n_null``, ``null_n_cells``, ``z``, ``p_empirical``, ``p_adjusted``, ``match_distance``,
        ``match_quality`` and ``status``.
    cells
        One row per edit and cell: ``cell``, ``edit``, ``group``, ``cosine_similarity``, ``holds``.
    genes
        The other genes whose contextual vectors turned most: ``edit``, ``group``, ``gene_id``, ``symbol``,
        ``mean_shift`` (mean of 1 - cosine), ``n_cells``; empty where the model has no gene vectors.
    null
        One row per random gene, or set of genes: ``edit``, ``group``, ``null_edit``, ``null_effect``.
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
        effect below it is arithmetic.
    n_passes
        Cells that went through the model.
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
    """

    baseline: EmbedCells
    edits: tuple[tuple[Delete, ...], ...]
    cells: CellSet | None = None
    group_by: str | None = None
    null_genes: int = 100
    null_cells: int = NULL_CELLS
    seed: int = 0

    result_type: ClassVar[type] = PerturbationEffects

    def run(self, context: Context) -> PerturbationEffects:
        """See `Request.run`."""
        raise NotImplementedError
