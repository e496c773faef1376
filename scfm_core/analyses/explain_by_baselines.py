"""How much of a model's ranking of genes is known without it: from abundance, and from the same edit under PCA?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import pandas as pd

from scfm_core.analyses.baseline_verdicts import explain_ranking
from scfm_core.analyses.checked_cells import read_held_genes, studied, with_verdicts
from scfm_core.analyses.measure_edits import apparatus_of
from scfm_core.analyses.measure_random_genes import random_genes
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.perturbation_passes import find_tokens
from scfm_core.analyses.ranked_genes import kinds_of, more_genes, random_ones, tested_genes
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

DESCRIBED_CELLS = 256  # of each group, in which genes are described


@dataclass(frozen=True)
class BaselineExplanation:
    """What the baselines say about the genes that a model was asked about.

    Attributes
    ----------
    genes
        One row per group and gene, or set of genes, tested or random: ``group``, ``kind`` (the edit, with "gene" for
        its gene), ``gene_id`` (joined with ``;``), ``symbol`` (joined with ``+``), ``tested``; ``model_effect``, mean
        of 1 - cosine on the cells of the comparison; ``pca_effect``, the same edit under PCA, exactly 0 where PCA does
        not read the gene, which ``pca_reads`` tells (PCA reads the 2,000 most variable genes; whether it reads a gene
        is itself offered to the fit); ``detection``, ``mean_expression`` and ``mean_rank`` in the group, see
        `baseline_genes.Identity`; ``model_percentile`` and ``expected``: the gene's percentile, 0 to 100, among the
        genes of these rows under the model, and as the baselines predict it.
    summary
        One row per group and kind: ``group``, ``kind``, ``n_genes``; ``explained_identity``, ``explained_pca`` and
        ``explained_together``, cross-validated share of the variance of the model's ranks (as normal scores) that
        abundance alone, PCA alone and both explain, 0 to 1; ``ci_low`` and ``ci_high``, 95 % bootstrap interval of the
        last over genes. NaN below 30 genes, and for PCA where the model is PCA.
    edits
        One row per edit and group: ``edit``, ``group``, ``model_percentile``, ``expected_percentile``, ``residual_z``
        (how far the model lies above what the baselines say, in standard deviations of the random genes),
        ``explained`` (True within 1.64 of them, which 90 % of random genes are; None where it cannot be told, such as
        within 1.64 where the interval of ``explained_together`` reaches 0), and ``in_words``, one sentence.
    n_passes
        About how many times a cell went through the model for it, what the question itself measured not counted.
    """

    genes: pd.DataFrame
    summary: pd.DataFrame
    edits: pd.DataFrame
    n_passes: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "edits", with_verdicts(self.edits, "explained"))


@dataclass(frozen=True)
class ExplainByBaselines(Request[BaselineExplanation]):
    """Predict the model's ranking of genes from what is known without it, and look where the edits asked for stand.

    The genes are those of the question, its random genes, and more that are spread over all abundances: the random
    genes of a question are like its own genes, and a ranking of like genes is no ranking of all. Each gene is predicted
    by a fit that has not seen it.

    Parameters
    ----------
    more_genes
        Random genes over all abundances, per group and kind of edit; for edits of one gene.
    more_cells
        On how many cells that hold it each of these is measured, and not more than ``question.null_cells``.

    Raises
    ------
    RequestError
        If a number is negative, or no cell at all would be measured.

    References
    ----------
    Ahlmann-Eltze, Huber & Anders 2025, doi:10.1038/s41592-025-02772-6, for why a simple baseline belongs beside a
    model. The regression is ours.
    """

    question: PerturbGenes
    more_genes: int = 60
    more_cells: int = 8

    version: ClassVar[int] = 2  # baselines that foretell nothing explain nothing
    result_type: ClassVar[type] = BaselineExplanation

    def __post_init__(self) -> None:
        if self.more_genes < 0 or self.more_cells < 1:
            msg = f"Expected at least 0 more genes and 1 cell, found {self.more_genes} and {self.more_cells}."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> BaselineExplanation:
        """See `Request.run`."""
        question = self.question
        edited = context.compute(question.exact)
        study = replace(studied(context, question), null_cells=question.null_cells)
        random = None
        if question.null_genes and edited.holds.any():
            random = random_genes(context, question.exact, (question.null_genes, question.null_cells), seed=study.seed)
        apparatus = apparatus_of(context, question.baseline)
        tokens = context.call(partial(find_tokens, apparatus), step=f"Loading {apparatus.model.title}")
        genes, summaries, rows = [], [], []
        n_passes = 0
        wanted = (self.more_genes, min(self.more_cells, question.null_cells))
        for group in study.group_names:
            cells = study.chosen[study.in_random_order[group]][:DESCRIBED_CELLS]
            if not len(cells):
                continue
            held = read_held_genes(context, apparatus, tokens, cells)
            for kind, numbers in kinds_of(study).items():
                measured = tested_genes(study, edited, group, numbers) + random_ones(study, random, group, numbers)
                more, n = more_genes(context, apparatus, (held, study, group), measured=measured, n=wanted)
                n_passes += n
                explained = explain_ranking(context, apparatus, held, (kind, group, measured + more, study.seed))
                genes.append(explained.genes)
                summaries.append(explained.summary)
                rows += explained.edits
        edits = _edits_table(rows, study.labels)
        return BaselineExplanation(pd.concat(genes, ignore_index=True), pd.DataFrame(summaries), edits, n_passes)


def _edits_table(rows: list[dict[str, Any]], labels: Sequence[str]) -> pd.DataFrame:
    columns = ["edit", "group", "model_percentile", "expected_percentile", "residual_z", "explained", "in_words"]
    order = {label: number for number, label in enumerate(labels)}
    rows = sorted(rows, key=lambda row: order[row["edit"]])
    return pd.DataFrame(rows, columns=columns)
