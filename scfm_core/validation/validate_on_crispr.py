"""Does deleting a gene in a model change the genes that knocking it out changed? Asked of a real screen."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from scfm_core.analyses.embed_cells import EmbedCells, require_organism
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.genes import gene_table
from scfm_core.request import Context, Request
from scfm_core.validation.asking_models import ask_models, genes_table, left_out_table, score
from scfm_core.validation.cell_directions import compare_directions
from scfm_core.validation.measured_changes import LEAST_CELLS, Screen, measure_changes, read_screen
from scfm_core.validation.predicted_shifts import Effort
from scfm_core.validation.result import PAIR_COLUMNS, Validation
from scfm_core.validation.verdicts import directions_in_words, verdict


@dataclass(frozen=True)
class ValidateOnCrispr(Request[Validation]):
    """Compare a model's deletions with the knock-outs of a screen, beside baselines.

    The target of each knock-out is deleted in control cells that hold it, and the other genes are ranked by how far
    their vectors turn. The truth is what differs between the cells that carry the knock-out and the control cells.

    Parameters
    ----------
    baseline
        The dataset of the screen, and the model.
    target_column, control
        Column that says which gene is knocked out in each cell, by symbol or id, and its value in control cells.
    replicate_column
        Column of the replicates; the dataset's batch or donor where None, one replicate where there is neither.
    cells
        Control cells in which each target is deleted, at most.
    random_genes
        Genes of like abundance deleted beside each target.
    most_targets
        The knock-outs with the most cells are scored; the others are listed as left out.
    least_log2_fold_change, level
        When a gene counts as changed, see `measure_changes`.

    Raises
    ------
    RequestError
        If there is no such column, there are too few control cells, or no target can be scored.

    References
    ----------
    Ahlmann-Eltze, Huber, Anders 2025, doi:10.1038/s41592-025-02772-6, for simple baselines beside models of
    perturbations.
    """

    baseline: EmbedCells
    target_column: str
    control: str
    replicate_column: str | None = None
    cells: int = 100
    random_genes: int = 12
    most_targets: int = 50
    least_log2_fold_change: float = 0.25
    level: float = 0.05
    seed: int = 0

    result_type: ClassVar[type] = Validation

    def __post_init__(self) -> None:
        if self.replicate_column is None:
            roles = self.baseline.dataset.roles
            column = roles.get("batch") or roles.get("donor")
            object.__setattr__(self, "replicate_column", None if column == self.target_column else column)
        read_screen(self.baseline.dataset, self.target_column, self.control, self.replicate_column)

    def run(self, context: Context) -> Validation:
        """See `Request.run`."""
        dataset, model = self.baseline.dataset, self.baseline.model
        require_organism(dataset, model)
        screen = read_screen(dataset, self.target_column, self.control, self.replicate_column)
        targets, left_out = find_targets(dataset, screen, self.target_column, most=self.most_targets)
        context.log(f"{len(targets):,} of {len(targets) + len(left_out):,} targets can be asked for")
        changes = measure_changes(
            context, dataset, screen, targets, column=self.target_column,
            least_log2_fold_change=self.least_log2_fold_change, level=self.level,
        )  # fmt: skip
        effort = Effort(self.cells, self.random_genes, self.seed)
        asked = ask_models(context, [self.baseline], changes, screen.cells_with(self.control), effort)
        left_out |= asked.left_out
        if not asked.changes.targets:
            reasons = "; ".join(f"{target}: {reason}" for target, reason in list(left_out.items())[:5])
            msg = (
                f"None of the {len(left_out):,} targets can be scored with {model.title}: {reasons}. "
                "Choose another model, or a screen of genes that it reads."
            )
            raise RequestError(msg, "no-target")
        scored, summary = score(dataset, asked, self.seed)
        points = np.asarray(context.compute(self.baseline).points)
        shifts = dict(zip(asked.changes.targets, asked.predicted[model.title].cell_shift, strict=True))
        vectors = compare_directions(points, screen, shifts, seed=self.seed)
        vectors.insert(0, "model", model.title)
        return Validation(
            table=scored.table,
            summary=summary,
            vectors=vectors,
            genes=genes_table(dataset, asked),
            left_out=left_out_table(left_out),
            pairs=pd.DataFrame(columns=list(PAIR_COLUMNS)),
            in_words=(*verdict(scored, summary, model.title, self.seed), directions_in_words(vectors, model.title)),
            notes=self._notes(screen, asked.changes.how),
        )

    def _notes(self, screen: Screen, how: str) -> tuple[str, ...]:
        n_replicates = len(np.unique(screen.replicates[screen.labels == self.control]))
        replicates = (
            f"Replicates: {n_replicates}, by the column {self.replicate_column}."
            if self.replicate_column
            else "No replicates are known, so that cells of one culture stand for all."
        )
        return (
            f"A gene counts as changed by {how}.",
            replicates,
            "Cells count as knocked out by their label; cells in which the guide failed are among them.",
            "Intervals are 95 % bootstrap intervals over genes, and over targets for the means.",
        )


def find_targets(
    dataset: Dataset, screen: Screen, column: str, *, most: int
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the position of the knocked-out gene of each label, most cells first, and why the others are left out.

    Raises
    ------
    RequestError
        If there is none.
    """
    position = {gene_id.upper(): place for place, gene_id in enumerate(dataset.gene_ids)}
    by_symbol = {symbol.upper(): place for place, symbol in enumerate(dataset.gene_symbols)}
    table = gene_table(dataset.organism).ids
    labels = screen.labels[(screen.labels != "") & (screen.labels != screen.control)]
    sizes = pd.Series(labels).value_counts()
    targets: dict[str, int] = {}
    left_out: dict[str, str] = {}
    for label, n_cells in sizes.items():
        name = str(label)
        gene = position.get(name.upper(), by_symbol.get(name.upper(), position.get(table.get(name.upper(), ""))))
        if gene is None:
            left_out[name] = f"not among the {dataset.n_genes:,} measured genes"
        elif n_cells < LEAST_CELLS:
            left_out[name] = f"carried by {n_cells:,} cells, {LEAST_CELLS} are needed"
        elif len(targets) >= most:
            left_out[name] = f"beyond the {most:,} targets with the most cells"
        else:
            targets[name] = gene
    if not targets:
        shown = "; ".join(f"{target}: {reason}" for target, reason in list(left_out.items())[:5]) or "there is no label"
        msg = (
            f"Expected names of measured genes in the column {column!r} beside {screen.control!r}, found none that can "
            f"be scored: {shown}. Name the column that holds the knocked-out genes, by symbol or id."
        )
        raise RequestError(msg, "no-target")
    return targets, left_out
