"""Words for the questions of the report card: embeddings beside PCA, and batches in the data itself."""

from collections.abc import Mapping

from scfm_core.analyses.batch_structure import DescribeBatches
from scfm_core.analyses.perturbation_phrases import listed, short
from scfm_core.report.citations import Citation
from scfm_core.report.wording import Wording, Words
from scfm_core.report.wordings.genes import grouping_in_words

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


def _batches(asked: DescribeBatches) -> Wording:
    model = asked.embedding.model.title
    within, questions = "", (asked.embedding,)
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


WORDINGS: Mapping[str, Words] = {"DescribeBatches": _batches}
