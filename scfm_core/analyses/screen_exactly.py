"""Which single edit moves these cells most, or toward a goal: the genes of a list, or all held ones, done exactly."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd

from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk
from scfm_core.analyses.perturbation_passes import Passes
from scfm_core.analyses.screen_genes import GeneScreen
from scfm_core.analyses.screen_passes import EDITS, ExactWork, Measurement, measure_exactly
from scfm_core.analyses.screen_plan import Extent, Plan, make_plan
from scfm_core.analyses.screen_setting import Setting, listed_tokens, nothing_held, plain_genes, require_cells, set_up
from scfm_core.analyses.screen_showing import Showing
from scfm_core.analyses.screen_tables import (
    RANKED_SHARE,
    donors_of,
    exact_means,
    ranked,
    screened_genes,
    with_exact,
)
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

ANY_CELL = "overexpress"  # of the edits, the one that a cell need not hold the gene for


@dataclass(frozen=True)
class ScreenExactly(Request[GeneScreen]):
    """Edit every gene of a list, or every held gene, alone and exactly, in some of the cells.

    For models without an estimate of all deletions, and for edits other than a deletion. Each gene is edited in the
    first ``cells_per_gene`` cells of one random order that hold it; to overexpress it, in the first cells whether they
    hold it or not. Fewer than a hundred genes are compared with a hundred random genes of like abundance, which are
    edited too. While it runs it shows the genes done so far.

    Parameters
    ----------
    baseline
        The unperturbed cells: dataset, model and options.
    genes
        Gene ids; all that the cells hold where None.
    kind
        ``"delete"``, ``"overexpress"``, ``"inhibit"`` or ``"activate"``, as far as the model's card offers it.
    cells
        Which cells; all where None. At most 5,000 of them, drawn at random, are looked at.
    goal
        The state toward which a shift is measured: the mean vector of its cells. Sizes alone where None.
    cells_per_gene
        In how many cells each gene is edited at most.
    seed
        Draws the cells and the random genes.

    Raises
    ------
    RequestError
        If the model cannot make the edit (code "unknown-edit"), there are no cells ("no-cells"), the list is empty
        ("no-genes"), or no cell holds a listed gene ("not-held").
    """

    baseline: EmbedCells
    genes: tuple[str, ...] | None = None
    kind: str = "delete"
    cells: CellSet | None = None
    goal: State | None = None
    cells_per_gene: int = 16
    seed: int = 0

    result_type: ClassVar[type] = GeneScreen

    def __post_init__(self) -> None:
        model = self.baseline.model
        offered = [kind for kind in EDITS if kind in model.gene_edits]
        if self.kind not in offered:
            msg = f"{model.title} cannot {self.kind} a gene in a screen. It can: {', '.join(offered) or 'edit none'}."
            raise RequestError(msg, "unknown-edit")
        require_cells(self.baseline.dataset, self.cells)
        object.__setattr__(self, "genes", plain_genes(self.genes))
        if self.cells_per_gene < 1 or self.seed < 0:
            found = f"{self.cells_per_gene} and {self.seed}"
            msg = f"Expected at least 1 cell per gene and a seed of at least 0, found {found}."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> GeneScreen:
        """See `Request.run`."""
        setting = set_up(context, self.baseline, cells=self.cells, goal=self.goal)
        listed = None if self.genes is None else listed_tokens(context, setting, self.genes)
        extent = Extent(self.cells_per_gene, any_cell=self.kind == ANY_CELL, seed=self.seed)
        plan = make_plan(context, setting, listed, extent=extent)
        if not len(plan.listed):
            raise nothing_held(setting.apparatus.model, self.genes or ())
        if len(plan.references):
            context.log(f"{len(plan.references):,} random genes of like abundance are edited for comparison")
        running = _Running(self, setting, plan)
        with Showing(context, running.so_far) as showing:
            for rows in _edits(context, self.kind, setting, plan):
                running.done.append(rows)
                showing.update()
        return running.answer()


class _Running:
    """What one screen has so far."""

    def __init__(self, request: ScreenExactly, setting: Setting, plan: Plan) -> None:
        self._request, self._setting, self._plan = request, setting, plan
        self._donors = donors_of(request.baseline.dataset, plan.cells)
        self.done: list[pd.DataFrame] = []

    def so_far(self) -> GeneScreen | None:
        """Return the screen of the genes that are done in all their cells; None while there is none."""
        if not self.done or self.done[-1]["token"].iloc[-1] == self.done[0]["token"].iloc[0]:
            return None
        return self.answer(whole=False)

    def answer(self, *, whole: bool = True) -> GeneScreen:
        """Return the screen."""
        rows, plan, setting = pd.concat(self.done, ignore_index=True), self._plan, self._setting
        if not whole:
            rows = rows[rows["token"] != rows["token"].iloc[-1]]  # the last one may not be done
        measured = rows[rows["size_exact"].notna()]
        tokens = rows["token"].drop_duplicates().to_numpy(dtype=np.int64)
        abundance = plan.abundance(tokens)
        table = screened_genes(self._request.baseline.dataset, setting.vocabulary, tokens, abundance)
        table = table.assign(size_estimate=np.nan, goal_estimate=np.nan)
        table = with_exact(table, exact_means(measured, self._donors)).assign(method="exact")
        listed = np.isin(tokens, plan.listed)
        share = 0.0 if self._request.kind == ANY_CELL else RANKED_SHARE
        compared = None if not len(plan.references) else ~listed
        table = ranked(table, abundance, values="exact", listed=listed, fewest_share=share, compared=compared)
        n_asked = len(plan.listed) if self._request.genes is None else len(self._request.genes)
        return GeneScreen(
            table=table.drop(columns="token"),
            n_cells=len(plan.cells),
            confirm_cells=self._request.cells_per_gene,
            goal=setting.goal,
            n_goal_cells=setting.n_goal_cells,
            size_agreement=float("nan"),
            goal_agreement=float("nan"),
            n_estimated=0,
            n_passes=len(measured),
            n_backward_passes=0,
            edit=self._request.kind,
            n_references=int((~listed).sum()),
            n_left_out=n_asked - len(plan.listed),
            so_far="" if whole else self._how_far(int(listed.sum()), int((~listed).sum())),
        )

    def _how_far(self, n_done: int, n_compared: int) -> str:
        words = f"{n_done:,} of {len(self._plan.listed):,} genes done"
        n_references = len(self._plan.references)
        return f"{words}, {n_compared:,} of {n_references:,} for comparison" if n_references else words


def _edits(context: Context, kind: str, setting: Setting, plan: Plan) -> Iterator[pd.DataFrame]:
    """Edit gene after gene in its cells; yield rows ``token``, ``cell``, ``size_exact`` and ``goal_exact``."""
    model, pairs = setting.apparatus.model, plan.pairs
    used = np.unique(pairs["cell"])
    measurement = Measurement(setting.apparatus, setting.goals, kind, cells=used, before=setting.points[used])
    work = []
    for start in range(0, len(pairs), cells_per_chunk(model)):
        some = pairs.iloc[start : start + cells_per_chunk(model)]
        tokens, edit_of_pair = np.unique(some["token"], return_inverse=True)
        cells, cell_of_pair = np.unique(some["cell"], return_inverse=True)
        gene_ids = tuple(setting.vocabulary[tokens].tolist())
        work.append(ExactWork(gene_ids, Passes(cells, cell_of_pair.ravel(), edit_of_pair.ravel())))
    sizes, start = [len(one.passes) for one in work], 0
    step = f"Editing gene after gene with {model.title} ({kind})"
    parts = context.map(partial(measure_exactly, measurement), work, step=step, sizes=sizes, unit="edits")
    for n, part in zip(sizes, parts, strict=True):
        rows, start = pairs.iloc[start : start + n], start + n
        yield rows.assign(size=np.nan, goal=np.nan, size_exact=part["size"], goal_exact=part["goal"])
