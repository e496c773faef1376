"""Words for questions about two embeddings of the same cells."""

from collections.abc import Mapping

from scfm_core.analyses.compare_neighbors import CompareNeighbors
from scfm_core.analyses.find_neighbors import default_metric
from scfm_core.report.citations import Citation
from scfm_core.report.wording import Wording, Words

_LEE = Citation(
    key="lee2009", authors="Lee, J. A. and Verleysen, M.", year=2009,
    title="Quality assessment of dimensionality reduction: rank-based criteria",
    where="Neurocomputing 72, 1431-1443", doi="10.1016/j.neucom.2008.12.017",
)  # fmt: skip


def _compared(asked: CompareNeighbors) -> Wording:
    first, second = asked.first, asked.second
    metrics = [default_metric(embedding.model) for embedding in (first, second)]
    distance = (
        f"{metrics[0]} distance in both" if metrics[0] == metrics[1] else f"{metrics[0]} and {metrics[1]} distance"
    )
    matched = ""
    if first.dataset.identity != second.dataset.identity:
        matched = "; cells of the two datasets were matched by name, and neighbours sought among those in both"
    text = (
        f"For each cell the {asked.n_neighbors} nearest other cells (fewer where there are fewer than three times as "
        f"many cells) were found exactly in the vectors of {first.model.title} and of {second.model.title} ({distance}"
        f"{matched}), and the share of neighbours in common was taken {{{_LEE.key}}}. By chance it is the number of "
        "neighbours over that of the other cells. Where there are more cells than can be compared, a random sample of "
        "at most 50,000 was, with neighbours sought among all."
    )
    n = "cells with a vector in both embeddings, or a random sample of them"
    return Wording(text=text, n=n, works=(_LEE,), questions=(first, second))


WORDINGS: Mapping[str, Words] = {"CompareNeighbors": _compared}
