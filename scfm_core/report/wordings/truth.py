"""Words for questions that compare a model with a known truth; knows their fields, and does not import them."""

from collections.abc import Mapping
from typing import Any

from scfm_core.analyses.perturbation_phrases import short
from scfm_core.report.wording import Wording, Words

_SCORES = (
    "Genes were ranked by how far their vectors turn when the target is deleted from the input {theodoris2023}, and "
    "scored by the area under the ROC curve (0.5 is chance) and by Spearman correlation with the true change, beside "
    "rankings by mean expression and detection, by co-expression with the target, and by PCA {ahlmann2025}. Intervals "
    "are 95 %, by resampling of genes and targets."
)


def _crispr(asked: Any) -> Wording:
    column = asked.replicate_column
    replicates = f", replicates by {short(column)}" if column else ", without replicates"
    text = (
        f"The target of each knock-out (column {short(asked.target_column)}; control: {short(asked.control)}"
        f"{replicates}; at most {asked.most_targets} targets) was deleted in up to {asked.cells:,} control cells, "
        f"beside {asked.random_genes:,} genes of like abundance. A gene counts as changed where its log2 fold change "
        f"is at least {asked.least_log2_fold_change:g} and its adjusted p at most {asked.level:g}. "
        f"{_SCORES} Seed {asked.seed}."
    )
    return Wording(
        text=text, test="scores with 95 % intervals by resampling; changed genes by the test named in the notes",
        correction="Benjamini-Hochberg over the genes of each knock-out, for which genes changed",
        n=f"up to {asked.cells:,} control cells per target; targets: column n_targets", questions=(asked.baseline,),
    )  # fmt: skip


def _simulated(asked: Any) -> Wording:
    text = (
        "A gene network with known knock-outs was simulated, and small networks "
        f"({', '.join(map(str, asked.networks))}) were trained on its unperturbed cells alone. Each regulator was "
        f"deleted in up to {asked.cells:,} cells, beside {asked.random_genes:,} genes of like abundance; a gene counts "
        f"as changed where its mean level changes by a log2 fold of at least {asked.least_log2_fold_change:g}. "
        f"{_SCORES} Seed {asked.seed}."
    )
    return Wording(
        text=text, test="scores with 95 % intervals by resampling", n=f"up to {asked.cells:,} cells per target"
    )


def _trained(asked: Any) -> Wording:
    text = (
        f"A small network ({asked.kind}) was trained on the unperturbed cells of a simulated gene network, seed "
        f"{asked.seed}; it saw no knock-out."
    )
    return Wording(text=text)


WORDINGS: Mapping[str, Words] = {
    "ValidateOnCrispr": _crispr,
    "ValidateOnSimulation": _simulated,
    "TrainOnSimulation": _trained,
}
