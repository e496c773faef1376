"""Which single deletion moves these cells most, or toward a goal: all genes estimated, the first of them exact."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk, require_organism
from scfm_core.analyses.fit_model import model_arrays
from scfm_core.analyses.perturbation_passes import Apparatus, embed_edited, some_pairs
from scfm_core.analyses.screen_passes import Estimation, estimate_cells, known_gene_ids
from scfm_core.analyses.screen_tables import Confirmed, Gathered, agreement, in_order, screen_table
from scfm_core.cell_set import CellSet
from scfm_core.errors import ModelError, RequestError
from scfm_core.model import ScreenEffort
from scfm_core.request import Context, Request
from scfm_core.tokens import Delete


@dataclass(frozen=True)
class GeneScreen:
    """The genes of some cells, by how far deleting each alone would move the cells in a model.

    Attributes
    ----------
    table
        One row per gene that a chosen cell holds, ranked genes first, largest ``size_estimate`` first:

        - ``gene_id``, ``symbol``; ``n_cells`` that hold it and ``share_holding``;
        - ``size_estimate``: 1 - cosine of a cell's vector before and after, estimated, mean over the cells holding it;
        - ``goal_estimate``: cosine to the goal state after minus before, estimated, likewise; NaN without a goal;
        - ``rank`` by size and ``goal_rank`` by shift toward the goal, 1 for the largest, among the genes that a tenth
          of the cells hold; NaN for the others, whose mean is one of few cells;
        - ``n_exact``: cells on which the deletion was computed exactly; 0 for a gene that was not confirmed;
        - ``size_exact``, ``goal_exact``: means over these cells, exact; NaN where not confirmed;
        - ``size_estimate_there``, ``goal_estimate_there``: means of the estimates over the same cells.
    n_cells
        Chosen cells with a vector.
    confirm_cells
        On how many cells that hold it a gene was confirmed at most, drawn at random.
    goal
        The goal state in words, empty without one; ``n_goal_cells`` is the number of its cells.
    size_agreement, goal_agreement
        Spearman correlation of estimate and exact value over the confirmed genes, on the same cells; NaN where there
        are fewer than three.
    n_estimated
        Deletions estimated, one per gene and cell: what an exact screen would have to compute.
    n_passes, n_backward_passes
        How many times a cell went forward through the model, exact deletions among them, and back.
    """

    table: pd.DataFrame
    n_cells: int
    confirm_cells: int
    goal: str
    n_goal_cells: int
    size_agreement: float
    goal_agreement: float
    n_estimated: int
    n_passes: int
    n_backward_passes: int


@dataclass(frozen=True)
class ScreenGenes(Request[GeneScreen]):
    """Estimate for every gene how far its deletion moves cells, and confirm the first genes exactly.

    Parameters
    ----------
    baseline
        The unperturbed cells: dataset, model and options.
    cells
        Which cells; all where None.
    goal
        The state toward which a shift is measured: the mean vector of its cells. Sizes alone where None.
    confirm_top
        How many genes of each ranking are deleted exactly; 0 for none.
    confirm_cells
        On how many of the cells that hold the gene, drawn at random, each of them is at most.
    n_axes, n_cuts
        What the estimate may cost, see `scfm_core.model.ScreenEffort`.
    seed
        Draws the cells for the exact deletions.

    Raises
    ------
    RequestError
        If the model's card states no quality of such a screen (code "no-screen"), it was not measured for this pooling
        or layer, or there are no cells.

    References
    ----------
    The estimate is ours: `scfm_core.first_order`. It predicts a deletion as in Theodoris et al. 2023,
    doi:10.1038/s41586-023-06139-9, Methods, "In silico deletion".
    """

    baseline: EmbedCells
    cells: CellSet | None = None
    goal: State | None = None
    confirm_top: int = 20
    confirm_cells: int = 50
    n_axes: int = ScreenEffort.n_axes
    n_cuts: int = ScreenEffort.n_cuts
    seed: int = 0

    result_type: ClassVar[type] = GeneScreen

    def __post_init__(self) -> None:
        _require_screen(self.baseline)
        n_cells = self.baseline.dataset.n_cells
        if self.cells is not None and (self.cells.n_cells != n_cells or not len(self.cells)):
            msg = f"Expected some of the dataset's {n_cells:,} cells, found {self.cells!r}. Choose the cells again."
            raise RequestError(msg, "no-cells")
        if min(self.confirm_top, self.n_axes, self.n_cuts, self.seed) < 0 or self.confirm_cells < 1:
            msg = (
                "Expected at least 0 genes to confirm, axes and cuts, a seed of at least 0 and 1 cell to confirm on, "
                f"found {self.confirm_top}, {self.n_axes}, {self.n_cuts}, {self.seed} and {self.confirm_cells}."
            )
            raise RequestError(msg, "out-of-range")

    @property
    def effort(self) -> ScreenEffort:
        """What the estimate may cost per cell."""
        return ScreenEffort(n_axes=self.n_axes, n_cuts=self.n_cuts)

    def run(self, context: Context) -> GeneScreen:
        """See `Request.run`."""
        baseline = self.baseline
        dataset, model = baseline.dataset, baseline.model
        require_organism(dataset, model)
        points = np.asarray(context.compute(baseline).points)
        chosen = np.arange(dataset.n_cells) if self.cells is None else self.cells.positions
        chosen = chosen[~np.isnan(points[chosen, 0])]
        if not len(chosen):
            msg = f"None of the chosen cells holds a gene that {model.title} reads. Choose other cells."
            raise RequestError(msg, "no-cells")
        goals, n_goal_cells = _goal_vector(self, points)
        apparatus = Apparatus(dataset, model, baseline.chosen_options, model_arrays(context, dataset, model))
        estimation = Estimation(apparatus, goals, self.effort)
        gene_ids = np.array(context.call(partial(known_gene_ids, apparatus), step=f"Loading {model.title}"))
        gathered = Gathered(len(gene_ids), most_single=self.confirm_cells)
        for part in _estimates(context, estimation, np.random.default_rng(self.seed).permutation(chosen)):
            gathered.add(part)
        table = screen_table(dataset, gene_ids, gathered, n_cells=len(chosen))
        first = table[(table[["rank", "goal_rank"]] <= self.confirm_top).any(axis=1)]
        confirmed = _confirm(context, estimation, first, gathered.singles(first["token"]), points)
        table = in_order(confirmed.into(table))
        return GeneScreen(
            table=table,
            n_cells=len(chosen),
            confirm_cells=self.confirm_cells,
            goal="" if self.goal is None else f"{self.goal.column}={self.goal.value}",
            n_goal_cells=n_goal_cells,
            size_agreement=agreement(table, "size"),
            goal_agreement=agreement(table, "goal"),
            n_estimated=int(gathered.n.sum()),
            n_passes=len(chosen) * (3 + self.n_cuts) + confirmed.n_passes,
            n_backward_passes=len(chosen) * (self.n_axes + len(goals)),
        )


def _require_screen(baseline: EmbedCells) -> None:
    model, options = baseline.model, baseline.chosen_options
    if model.screen is None:
        msg = (
            f"How well all deletions can be estimated at once was not measured for {model.title}: it is not offered. "
            "Delete the genes exactly, or choose a model whose card states the quality of a screen, such as scfm-mini."
        )
        raise RequestError(msg, "no-screen")
    default = model.default_options()
    if (options.layer, options.pooling) != (default.layer, default.pooling):
        msg = (
            f"A screen of {model.title} was measured for layer {default.layer} and pooling {default.pooling!r}, found "
            f"layer {options.layer} and pooling {options.pooling!r}. Use the model's defaults, or delete exactly."
        )
        raise RequestError(msg, "no-screen")


def _goal_vector(request: ScreenGenes, points: NDArray[np.float32]) -> tuple[NDArray[np.float64], int]:
    """Return the mean vector of the goal's cells, shape ``(1 or 0, embedding_size)``, and their number."""
    if request.goal is None:
        return np.empty((0, points.shape[1])), 0
    vectors = points[request.goal.mask(request.baseline.dataset)]
    vectors = vectors[~np.isnan(vectors[:, 0])].astype(np.float64)
    if not len(vectors):
        msg = f"No cell with {request.goal.value!r} in column {request.goal.column!r} has a vector. Choose another."
        raise RequestError(msg, "no-cells")
    return vectors.mean(axis=0, keepdims=True), len(vectors)


def _estimates(
    context: Context, estimation: Estimation, cells: NDArray[np.int64]
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the estimates of cells in random order, so that the first ones to hold a gene are a random sample."""
    model = estimation.apparatus.model
    size = max(1, cells_per_chunk(model) // 4)
    work = [np.sort(cells[start : start + size]) for start in range(0, len(cells), size)]
    step = f"Estimating all deletions with {model.title}"
    return context.map(partial(estimate_cells, estimation), work, step=step, sizes=[len(piece) for piece in work])


def _confirm(
    context: Context, estimation: Estimation, genes: pd.DataFrame, pairs: pd.DataFrame, points: NDArray[np.float32]
) -> Confirmed:
    """Delete the first genes of each ranking exactly, in the cells that were drawn for them."""
    if pairs.empty:
        return Confirmed.none()
    tokens, edit = np.unique(pairs["token"].to_numpy(), return_inverse=True)
    gene_of = genes.set_index("token")["gene_id"]
    edits = [(Delete(gene_of[token]),) for token in tokens]
    at_once = cells_per_chunk(estimation.apparatus.model)
    work = some_pairs(pairs["cell"].to_numpy(), edit.ravel(), passes_per_chunk=at_once)
    delete = partial(embed_edited, estimation.apparatus, edits)
    sizes = [len(piece) for piece in work]
    parts = context.map(delete, work, step="Confirming the first genes exactly", sizes=sizes, unit="deletions")
    found = list(parts)
    if not all(part["changed"].all() for part in found):
        msg = "A deletion left a cell as it was that was read with the gene. Compute the screen again."
        raise ModelError(msg, "changed-input")
    after = np.concatenate([part["points"] for part in found])
    return Confirmed.of(pairs, points[pairs["cell"]], after, estimation.goals)
