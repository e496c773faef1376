"""Which single deletion moves these cells most, or toward a goal: all genes estimated, the first of them exact."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk
from scfm_core.analyses.perturbation_passes import embed_edited, one_minus_cosine, some_pairs
from scfm_core.analyses.screen_passes import Estimation, estimate_cells, shift_toward
from scfm_core.analyses.screen_setting import Setting, listed_tokens, nothing_held, plain_genes, require_cells, set_up
from scfm_core.analyses.screen_showing import Showing
from scfm_core.analyses.screen_tables import (
    Gathered,
    agreement,
    donors_of,
    exact_means,
    ranked,
    screened_genes,
    with_exact,
)
from scfm_core.cell_set import CellSet
from scfm_core.errors import ModelError, RequestError
from scfm_core.model import ScreenEffort
from scfm_core.request import Context, Request
from scfm_core.tokens import Delete


@dataclass(frozen=True)
class GeneScreen:
    """The genes of some cells, by how far editing each alone would move the cells in a model.

    Attributes
    ----------
    table
        One row per gene that was asked for and that a chosen cell holds, ranked genes first, largest size first:

        - ``gene_id``, ``symbol``; ``n_cells`` that hold it and ``share_holding``;
        - ``method``: ``"exact"`` where the edit was computed exactly, else ``"estimated"``;
        - ``size_estimate``: 1 - cosine of a cell's vector before and after, estimated, mean over the cells holding it;
        - ``goal_estimate``: cosine to the goal state after minus before, estimated, likewise; NaN without a goal;
        - ``rank`` by size and ``goal_rank`` by shift toward the goal, 1 for the largest, among the listed genes that a
          tenth of the cells hold; NaN for the others, whose mean is one of few cells. They rest on the estimates where
          there are any, else on the exact values; so do the next six:
        - ``size_z``, ``size_p``, ``size_p_adjusted``, ``goal_z``, ``goal_p``, ``goal_p_adjusted``: against the screened
          genes of like abundance, see `scfm_core.analyses.screen_calibration`; NaN where a gene is not ranked;
        - ``n_exact``: cells on which the edit was computed exactly; 0 for a gene that was not;
        - ``size_exact``, ``goal_exact``: means over these cells, exact; NaN where there are none;
        - ``size_estimate_there``, ``goal_estimate_there``: means of the estimates over the same cells;
        - ``n_donors``, ``donors_agree``, only where the cells come from three donors or more: donors with three of the
          exact cells or more, and those of them whose mean shift toward the goal has the sign of the overall one.
    n_cells
        Chosen cells with a vector, so far.
    confirm_cells
        On how many cells that hold it a gene was edited exactly at most, drawn at random.
    goal
        The goal state in words, empty without one; ``n_goal_cells`` is the number of its cells.
    size_agreement, goal_agreement
        Spearman correlation of estimate and exact value over the confirmed genes, on the same cells; NaN where there
        are fewer than three.
    n_estimated
        Deletions estimated, one per gene and cell: what an exact screen would have to compute.
    n_passes, n_backward_passes
        How many times a cell went forward through the model, exact edits among them, and back.
    edit
        What was done to each gene: ``"delete"``, ``"overexpress"``, ``"inhibit"`` or ``"activate"``.
    n_references
        Random genes of like abundance that were edited for the calibration alone and stand in no row.
    n_left_out
        Genes that were asked for and that no chosen cell holds, or the model does not read.
    so_far
        What a screen that is not finished rests on, in words; empty for a whole one.
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
    edit: str = "delete"
    n_references: int = 0
    n_left_out: int = 0
    so_far: str = ""


@dataclass(frozen=True)
class ScreenGenes(Request[GeneScreen]):
    """Estimate for every gene how far its deletion moves cells, and confirm the first genes exactly.

    While it runs it shows what it has: the genes ranked by the cells estimated so far, then the confirmations.

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
    genes
        Gene ids that are ranked, confirmed and told; all where None. All genes are estimated in any case, and the
        listed ones are compared with all of them.

    Raises
    ------
    RequestError
        If the model's card states no quality of such a screen (code "no-screen"), it was not measured for this pooling
        or layer, there are no cells ("no-cells"), or no cell holds a listed gene ("not-held").

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
    genes: tuple[str, ...] | None = None

    result_type: ClassVar[type] = GeneScreen

    def __post_init__(self) -> None:
        _require_screen(self.baseline)
        require_cells(self.baseline.dataset, self.cells)
        object.__setattr__(self, "genes", plain_genes(self.genes))
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
        setting = set_up(context, self.baseline, cells=self.cells, goal=self.goal)
        listed = None if self.genes is None else listed_tokens(context, setting, self.genes)
        if listed is not None and not len(listed):
            raise nothing_held(setting.apparatus.model, self.genes or ())
        running = _Running(self, setting, listed)
        with Showing(context, running.so_far) as showing:
            for n_cells, part in _estimates(context, self, setting):
                running.gathered.add(part, n_cells=n_cells)
                showing.update()
            running.finish_estimates()
            for rows in _confirmations(context, setting, running.to_confirm()):
                running.exact.append(rows)
                showing.update()
        return running.answer()


class _Running:
    """What one screen has so far."""

    def __init__(self, request: ScreenGenes, setting: Setting, listed: NDArray[np.int64] | None) -> None:
        self._request, self._setting, self._listed = request, setting, listed
        self._donors = donors_of(request.baseline.dataset, setting.cells)
        self._table: pd.DataFrame | None = None
        self._n_to_confirm = 0
        self.gathered = Gathered(len(setting.vocabulary), most_single=request.confirm_cells)
        self.exact: list[pd.DataFrame] = []

    def finish_estimates(self) -> None:
        """Keep the table: no more cells come."""
        self._table = self._estimated()
        if self._table.empty:
            raise nothing_held(self._setting.apparatus.model, self._request.genes or ())

    def to_confirm(self) -> pd.DataFrame:
        """Return which genes are deleted exactly in which cells, first genes first, with their estimates there."""
        table, most = self._estimated(), self._request.confirm_top
        first = table[(table[["rank", "goal_rank"]] <= most).any(axis=1)]
        self._n_to_confirm = len(first)
        return self.gathered.singles(first["token"].loc[first[["rank", "goal_rank"]].min(axis=1).sort_values().index])

    def so_far(self) -> GeneScreen | None:
        """Return the screen as it stands; None while no cell is estimated."""
        return self.answer(whole=False) if self.gathered.n_cells else None

    def answer(self, *, whole: bool = True) -> GeneScreen:
        """Return the screen."""
        request, setting, gathered = self._request, self._setting, self.gathered
        exact = pd.concat(self.exact, ignore_index=True) if self.exact else None
        means = None if exact is None else exact_means(exact, self._donors)
        table = with_exact(self._estimated(), means).drop(columns="token")
        n_cells = gathered.n_cells
        return GeneScreen(
            table=table,
            n_cells=n_cells,
            confirm_cells=request.confirm_cells,
            goal=setting.goal,
            n_goal_cells=setting.n_goal_cells,
            size_agreement=agreement(table, "size"),
            goal_agreement=agreement(table, "goal"),
            n_estimated=int(gathered.n.sum()),
            n_passes=n_cells * (3 + request.n_cuts) + (0 if exact is None else len(exact)),
            n_backward_passes=n_cells * (request.n_axes + len(setting.goals)),
            n_left_out=0 if request.genes is None else len(request.genes) - len(table),
            so_far="" if whole else self._how_far(table),
        )

    def _estimated(self) -> pd.DataFrame:
        if self._table is not None:
            return self._table
        gathered, setting = self.gathered, self._setting
        tokens = np.flatnonzero(gathered.n)
        abundance = gathered.abundance(tokens)
        table = screened_genes(self._request.baseline.dataset, setting.vocabulary, tokens, abundance)
        estimates = {name: getattr(gathered, name)[tokens] / gathered.n[tokens] for name in ("size", "goal")}
        table = table.assign(size_estimate=estimates["size"], goal_estimate=estimates["goal"])
        listed = np.ones(len(tokens), dtype=bool) if self._listed is None else np.isin(tokens, self._listed)
        return ranked(table, abundance, values="estimate", listed=listed)

    def _how_far(self, table: pd.DataFrame) -> str:
        n_cells, n_chosen = self.gathered.n_cells, len(self._setting.cells)
        if self._table is None:
            return f"estimated in {n_cells:,} of {n_chosen:,} cells"
        n_exact = int((table["n_exact"] > 0).sum())
        return f"estimated in all {n_chosen:,} cells, {n_exact:,} of the {self._n_to_confirm:,} first genes confirmed"


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


def _estimates(
    context: Context, request: ScreenGenes, setting: Setting
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Yield the estimates of cells in random order, so that the first ones to hold a gene are a random sample."""
    estimation = Estimation(setting.apparatus, setting.goals, request.effort)
    model = setting.apparatus.model
    cells = np.random.default_rng(request.seed).permutation(setting.cells)
    size = max(1, cells_per_chunk(model) // 4)
    first = max(1, size // 4)  # small, so that there is soon something to show
    work = [np.sort(piece) for piece in np.split(cells, range(first, len(cells), size)) if len(piece)]
    sizes = [len(piece) for piece in work]
    step = f"Estimating all deletions with {model.title}"
    yield from zip(sizes, context.map(partial(estimate_cells, estimation), work, step=step, sizes=sizes), strict=True)


def _confirmations(context: Context, setting: Setting, pairs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Delete genes exactly in the cells that were drawn for them; yield the pairs with what that did."""
    if pairs.empty:
        return
    tokens, edit = np.unique(pairs["token"].to_numpy(), return_inverse=True)
    edits = [(Delete(str(setting.vocabulary[token])),) for token in tokens]
    at_once = cells_per_chunk(setting.apparatus.model)
    work = some_pairs(pairs["cell"].to_numpy(), edit.ravel(), passes_per_chunk=at_once)
    delete = partial(embed_edited, setting.apparatus, edits)
    sizes, start = [len(piece) for piece in work], 0
    for n, part in zip(
        sizes,
        context.map(delete, work, step="Confirming the first genes exactly", sizes=sizes, unit="deletions"),
        strict=True,
    ):
        rows, start = pairs.iloc[start : start + n], start + n
        if not part["changed"].all():
            msg = "A deletion left a cell as it was that was read with the gene. Compute the screen again."
            raise ModelError(msg, "changed-input")
        before, after = setting.points[rows["cell"]], part["points"]
        shift = shift_toward(setting.goals[0], before, after) if len(setting.goals) else np.nan
        yield rows.assign(size_exact=one_minus_cosine(before, after), goal_exact=shift)
