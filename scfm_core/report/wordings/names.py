"""Words for questions about what groups of cells may be called."""

from collections.abc import Mapping

from scfm_core.analyses.classify_cells import ClassifyCells
from scfm_core.analyses.match_cells import MatchCells
from scfm_core.analyses.name_by_celltypist import NameByCelltypist
from scfm_core.analyses.name_by_markers import NameByMarkers
from scfm_core.analyses.name_by_reference import NameByReference
from scfm_core.analyses.perturbation_phrases import short
from scfm_core.report.wording import Wording, Words
from scfm_core.report.wordings.genes import grouping_in_words


def _classified(asked: ClassifyCells) -> Wording:
    text = (
        f"Cells were classified by the CellTypist model {short(asked.model.title)} {{dominguez2022,xu2023}}: counts "
        "were scaled to 10,000 per cell and log-transformed, genes scaled by the model's mean and standard deviation, "
        "and scored by its logistic regressions, one type against the rest."
    )
    return Wording(text=text, n=f"{asked.dataset.n_cells:,} cells")


def _by_celltypist(asked: NameByCelltypist) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    text = (
        f"Each group ({groups}) was named by the vote of its cells; it is called unknown where less than "
        f"{100 * asked.min_share:g} % of them have the winning type as best match with a probability of at least 0.5."
    )
    return Wording(
        text=text, n=f"{asked.dataset.n_cells:,} cells; of each group: column n_cells",
        questions=(*questions, ClassifyCells(asked.dataset, asked.model)),
    )  # fmt: skip


def _by_markers(asked: NameByMarkers) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    text = (
        f"Each group ({groups}) was named by the set of marker genes that stands out most in it against all other "
        "cells. Genes were ranked by the standardised difference of means; a set's score is the mean of its normal "
        "scores. A name had to be higher than 20,000 random sets of like abundance {subramanian2005}, its genes held "
        "more by the cells of the group than by random cells {wu2012} (the larger p counts, adjusted over groups "
        f"and sets {{benjamini1995}}, at most {asked.max_p_adjusted:g}), and first in at least "
        f"{100 * asked.min_support:g} % of 1,000 Bayesian bootstrap resamples of the genes "
        f"{{rubin1981}}, seed {asked.seed}; else the group is unknown. "
        "Cells of one donor are no independent replicates {squair2021}: p ranks names."
    )
    return Wording(
        text=text, test="the larger p of two nulls: random sets of genes, and random cells",
        correction="Benjamini-Hochberg over groups x sets",
        n=f"{asked.dataset.n_cells:,} cells; of each group: n_cells", questions=questions,
    )  # fmt: skip


def _matched(asked: MatchCells) -> Wording:
    reference = asked.reference.dataset
    text = (
        f"Cells were matched to {short(reference.title)} ({reference.n_cells:,} cells, sha256 {reference.sha256[:12]}) "
        f"by the labels ({short(asked.column)}) of the {asked.n_neighbors} nearest reference cells {{cover1967}} in "
        f"the vectors of {asked.query.model.title}, weighted by distance {{lotfollahi2022}}. A label needed "
        f"{100 * asked.min_agreement:g} % of the weights. The mean of a cell and its ten nearest cells had to lie no "
        "farther from the mean of its reference cells than in "
        f"{100 * asked.distance_quantile:g} % of the cells of that label in one random half of the reference, measured "
        "by the other half; else the cell has none."
    )
    if asked.query.model.fit is not None:
        text += " The model was fitted to both datasets over the genes they share, and both fits applied to both."
    n = f"{asked.query.dataset.n_cells:,} cells against {reference.n_cells:,}"
    return Wording(text=text, n=n, questions=(asked.query,))


def _by_reference(asked: NameByReference) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    text = (
        f"Each group ({groups}) was named by the label that most of its cells got; it is called unknown where fewer "
        f"than {100 * asked.min_share:g} % of them have one label."
    )
    n = f"{asked.matching.query.dataset.n_cells:,} cells; of each group: column n_cells"
    return Wording(text=text, n=n, questions=(*questions, asked.matching))


WORDINGS: Mapping[str, Words] = {
    "ClassifyCells": _classified,
    "NameByCelltypist": _by_celltypist,
    "NameByMarkers": _by_markers,
    "MatchCells": _matched,
    "NameByReference": _by_reference,
}
