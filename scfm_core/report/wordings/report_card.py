"""Words for the questions of the report card: embeddings beside PCA, and batches in the data itself."""

from collections.abc import Mapping
from typing import Any

from scfm_core.analyses.batch_structure import DescribeBatches
from scfm_core.analyses.compare_model_verdicts import BIOLOGY_WEIGHT, MARGIN
from scfm_core.analyses.compare_models import CompareModels
from scfm_core.analyses.perturbation_phrases import listed, short
from scfm_core.report.citations import Citation
from scfm_core.report.wording import Wording, Words
from scfm_core.report.wordings.genes import grouping_in_words
from scfm_core.request import Request

_BUETTNER = Citation(
    key="buettner2019", authors="Büttner, M. and Miao, Z. and Wolf, F. A. and others", year=2019,
    title="A test metric for assessing single-cell RNA-seq batch correction", where="Nature Methods 16, 43-49",
    doi="10.1038/s41592-018-0254-1",
)  # fmt: skip
_BERGSMA = Citation(
    key="bergsma2013", authors="Bergsma, W.", year=2013,
    title="A bias-correction for Cramér's V and Tschuprow's T", where="Journal of the Korean Statistical Society 42, "
    "323-328", doi="10.1016/j.jkss.2012.10.002",
)  # fmt: skip


def _compared(asked: CompareModels) -> Wording:
    titles = listed([embedding.model.title for embedding in asked.candidates])
    text = (
        f"The embeddings of {titles} were compared on the cells that have a vector in all of them "
        f"{{kedzierska2025}}. Scores are told as they are, and scaled so that random vectors have 0 and PCA has 1. "
        "For each score the difference from PCA was taken on the same resampled cells; an embedding is called as good "
        f"as PCA where the 95 % interval of the difference lies within {MARGIN:g} of 0, else better or worse where it "
        "lies on one side of 0, and undecided otherwise. Recommended is PCA, unless another embedding is better at "
        "biology or batches and worse or undecided at neither; of several the one with the highest "
        f"{BIOLOGY_WEIGHT:g} x biology + {1 - BIOLOGY_WEIGHT:g} x batch {{luecken2022}}. The share of the "
        f"{asked.n_neighbors} nearest cells in PCA that each embedding keeps was computed beside."
    )
    last = asked.candidates[-1]
    scores = [asked.score(last, family) for family in asked.families]
    behind: tuple[Request[Any], ...] = (*scores, asked.transfer(last), asked.trace)
    return Wording(
        text=text, test="none: 95 % intervals of paired differences from PCA, see the unit beside the scores",
        correction="none: each interval stands for itself", n="cells with a vector, a label and a batch: n_cells",
        questions=(*asked.candidates, *behind),
    )  # fmt: skip


def _batches(asked: DescribeBatches) -> Wording:
    model = asked.embedding.model.title
    within = ""
    questions: tuple[Request[Any], ...] = (asked.embedding,)
    if asked.labels is not None:
        labels, behind = grouping_in_words(asked.labels)
        within = f", and of the variance left within the labels ({labels})"
        questions = (*behind, asked.embedding)
    text = (
        f"The share of the variance of {model}'s vectors that lies between the groups of each column "
        f"({listed([short(name) for name in asked.columns])}) was computed{within} {{{_BUETTNER.key}}}. How far two "
        f"columns tell each other is Cramer's V without the bias of small samples {{{_BERGSMA.key}}}."
    )
    n = "cells with a vector and a value in the column: n_cells"
    return Wording(text=text, n=n, works=(_BUETTNER, _BERGSMA), questions=questions)


WORDINGS: Mapping[str, Words] = {"CompareModels": _compared, "DescribeBatches": _batches}
