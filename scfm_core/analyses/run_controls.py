"""Controls beside an answer: what must move nothing, what should move little, and what should move much."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from scfm_core.analyses.checked_cells import read_held_genes, studied, with_verdicts
from scfm_core.analyses.control_steps import (
    HOUSEKEEPING,
    MARKER,
    SCRAMBLED,
    SILENT,
    Bench,
    deletion_controls,
    marker_genes,
    scrambled_control,
    silent_control,
)
from scfm_core.analyses.measure_edits import apparatus_of
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.perturbation_passes import find_tokens
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

_EXPECTED = {
    SILENT: "exactly 0: the same bits before and after",
    HOUSEKEEPING: "no more than random genes of like abundance",
    SCRAMBLED: "less than the edit asked for",
    MARKER: "more than random genes of like abundance",
}
_COLUMNS = (
    "group",
    "kind",
    "edit",
    "gene_id",
    "symbol",
    "n_cells",
    "n_holding",
    "effect",
    "null_mean",
    "null_sd",
    "n_null",
    "z",
    "p_empirical",
    "expected",
    "passed",
    "reason",
)


@dataclass(frozen=True)
class Controls:
    """What the controls of a question did.

    Attributes
    ----------
    table
        One row per group and control:

        - ``group``; ``kind``: ``"silent gene"``, ``"housekeeping gene"``, ``"scrambled edit"`` or ``"top marker"``;
        - ``edit``, the edit of the question that was scrambled, else empty; ``gene_id`` and ``symbol`` of the gene that
          was deleted, empty for a scrambled edit;
        - ``n_cells`` tried, ``n_holding`` of them whose input the edit changes;
        - ``effect``, mean of 1 - cosine on the cells of the comparison. For a scrambled edit it is the edit's own
          effect, and ``null_mean``, ``null_sd`` and ``n_null`` are those of its scrambles; else those of random genes;
        - ``z`` and ``p_empirical`` of the effect against these, one-sided; NaN where nothing was compared;
        - ``expected`` in words; ``passed``: True or False, None where the control could not be made or
          decides nothing; ``reason`` says why, or how the verdict was reached.
    n_passes
        About how many times a cell went through the model for it, the stored baseline not counted.
    """

    table: pd.DataFrame
    n_passes: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", with_verdicts(self.table, "passed"))


@dataclass(frozen=True)
class RunControls(Request[Controls]):
    """Make the edits whose outcome is known beforehand, in the cells of a question.

    In every group: a gene that the model reads and that no chosen cell expresses is deleted and the cells are embedded
    again, which must change no bit; up to four housekeeping genes are deleted; each edit asked for is scrambled, that
    is, made to other genes at the same place of each cell's ranking, another gene in every cell and draw; and the gene
    that marks the group best against all other cells is deleted.

    Parameters
    ----------
    question
        What was asked. Its own edits are made exactly first, where that has not been done.
    null_genes
        Random genes for each gene of a control, and scrambles of each edit.
    null_cells
        On how many cells each gene, control or random, and each scramble is measured.

    Raises
    ------
    RequestError
        If there are fewer than 1 random gene or cell.
    """

    question: PerturbGenes
    null_genes: int = 20
    null_cells: int = 8

    version: ClassVar[int] = 2  # a control larger than most random edits has not failed
    result_type: ClassVar[type] = Controls

    def __post_init__(self) -> None:
        if self.null_genes < 1 or self.null_cells < 1:
            msg = f"Expected at least 1 random gene and 1 cell, found {self.null_genes} and {self.null_cells}."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> Controls:
        """See `Request.run`."""
        question = self.question
        apparatus = apparatus_of(context, question.baseline)
        tokens = context.call(partial(find_tokens, apparatus), step=f"Loading {apparatus.model.title}")
        bench = Bench(
            question=question,
            study=studied(context, question),
            edited=context.compute(question.exact),
            apparatus=apparatus,
            token_of_gene=tokens,
            null_genes=self.null_genes,
            null_cells=self.null_cells,
        )
        markers, why_none = marker_genes(context, question)
        rows: list[dict[str, Any]] = []
        n_passes = 0
        for group in bench.study.group_names:
            cells = bench.sample(group)
            if not len(cells):
                continue
            held = read_held_genes(context, apparatus, tokens, cells)
            made = [
                silent_control(context, bench, group),
                scrambled_control(context, bench, held, group),
                deletion_controls(context, bench, held, (group, markers.get(group, []), why_none)),
            ]
            rows += [row | {"group": group} for part, _ in made for row in part]
            n_passes += sum(n for _, n in made)
        return Controls(_table(rows), n_passes)


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    empty: dict[str, Any] = dict.fromkeys(("edit", "gene_id", "symbol", "reason"), "")
    empty |= dict.fromkeys(("n_cells", "n_holding", "n_null"), 0) | {"passed": None}
    empty |= dict.fromkeys(("effect", "null_mean", "null_sd", "z", "p_empirical"), float("nan"))
    filled = [empty | row | {"expected": _EXPECTED[row["kind"]]} for row in rows]
    table = pd.DataFrame(filled, columns=list(_COLUMNS))
    order = {kind: number for number, kind in enumerate(_EXPECTED)}
    key = table["kind"].map(order)
    groups = table["group"].map({name: number for number, name in enumerate(dict.fromkeys(table["group"]))})
    return table.iloc[np.lexsort((key, groups))].reset_index(drop=True)
