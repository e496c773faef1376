"""The metrics of both families: what each is called, which direction is good, and what it means in one sentence."""

from dataclasses import dataclass
from typing import Literal

Family = Literal["published", "scib-metrics"]
About = Literal["biology", "batch", "neighbourhood"]


@dataclass(frozen=True)
class Metric:
    """A metric of an embedding; none is above 1.

    Attributes
    ----------
    about
        Whether it asks for cell types kept apart, or for batches mixed.
    meaning
        One plain sentence, for a reader who never saw the metric.
    lowest
        No value is below.
    narrows
        Whether its spread over samples falls with the root of the number of cells. That of clusters hardly does, as
        another clustering may win; nor does that of a test, whose power grows.
    """

    key: str
    title: str
    about: About
    meaning: str
    higher_is_better: bool = True
    lowest: float = 0.0
    narrows: bool = True


def metrics_of(family: Family) -> tuple[Metric, ...]:
    """Return the metrics of a family, in the order of its table.

    Examples
    --------
    >>> [metric.key for metric in metrics_of("published") if not metric.higher_is_better]
    ['pcr_batch']
    """
    return _PUBLISHED if family == "published" else _LIBRARY


_PUBLISHED = (
    Metric(
        "avg_bio", "AvgBIO", "biology",
        "The mean of NMI, ARI and label silhouette: how well cell types stay apart.", narrows=False,
    ),
    Metric(
        "nmi", "NMI", "biology",
        "How much the clusters tell about the labels, at the resolution that tells most.", narrows=False,
    ),
    Metric(
        "ari", "ARI", "biology",
        "How often clusters and labels agree on pairs of cells; 0 is chance.", lowest=-0.5, narrows=False,
    ),
    Metric(
        "asw_label", "Label silhouette", "biology",
        "Whether cells lie nearer to their own label than to the next; 0.5 is no difference.",
    ),
    Metric(
        "isolated_f1", "Isolated labels, F1", "biology",
        "How well a cluster picks out the labels that stand in the fewest batches.", narrows=False,
    ),
    Metric(
        "isolated_asw", "Isolated labels, silhouette", "biology",
        "The silhouette of the labels that stand in the fewest batches.",
    ),
    Metric(
        "clisi", "cLISI", "biology",
        "Whether the neighbours of a typical cell carry one label; 1 is a single label.",
    ),
    Metric(
        "avg_batch", "AvgBATCH", "batch",
        "The mean of batch silhouette and graph connectivity: how well batches mix within labels.",
    ),
    Metric(
        "asw_batch", "Batch silhouette within labels", "batch",
        "Whether, within a label, cells of one batch lie among those of the others.",
    ),
    Metric(
        "graph_connectivity", "Graph connectivity", "batch",
        "Which share of a label's cells hangs together in the graph of neighbours.",
    ),
    Metric(
        "pcr_batch", "Variance explained by batch", "batch",
        "Which share of the embedding's variance the batches explain.", higher_is_better=False,
    ),
    Metric(
        "pcr_comparison", "Batch variance removed", "batch",
        "By which share the variance explained by batches fell, compared with PCA.",
    ),
    Metric(
        "ilisi", "iLISI", "batch",
        "Whether the neighbours of a typical cell come from all batches; 0 is a single batch.",
    ),
    Metric(
        "kbet", "kBET", "batch",
        "Which share of cells has neighbours from all batches in due proportion, within labels.", narrows=False,
    ),
)  # fmt: skip

_LIBRARY = (
    Metric(
        "silhouette_label", "Label silhouette", "biology",
        "Whether cells lie nearer to their own label than to the next; 0.5 is no difference.",
    ),
    Metric(
        "leiden_nmi", "Leiden NMI", "biology",
        "How much Leiden clusters tell about the labels, at the resolution that tells most.", narrows=False,
    ),
    Metric(
        "leiden_ari", "Leiden ARI", "biology",
        "How often Leiden clusters and labels agree on pairs of cells; 0 is chance.", lowest=-0.5, narrows=False,
    ),
    Metric(
        "kmeans_nmi", "KMeans NMI", "biology",
        "How much as many k-means clusters as there are labels tell about the labels.", narrows=False,
    ),
    Metric(
        "kmeans_ari", "KMeans ARI", "biology",
        "How often k-means clusters and labels agree on pairs of cells; 0 is chance.", lowest=-0.5, narrows=False,
    ),
    Metric(
        "isolated_labels", "Isolated labels", "biology",
        "The silhouette of the labels that stand in the fewest batches.",
    ),
    Metric(
        "clisi", "cLISI", "biology",
        "Whether the neighbours of a typical cell carry one label; 1 is a single label.",
    ),
    Metric(
        "silhouette_batch", "Batch silhouette within labels", "batch",
        "Whether, within a label, cells of one batch lie among those of the others.",
    ),
    Metric(
        "bras", "BRAS", "batch",
        "Whether, within a label, cells are as far from other batches as from their own.",
    ),
    Metric(
        "graph_connectivity", "Graph connectivity", "batch",
        "Which share of a label's cells hangs together in the graph of neighbours.",
    ),
    Metric(
        "pcr_comparison", "Batch variance removed", "batch",
        "By which share the variance explained by batches fell, compared with PCA.",
    ),
    Metric(
        "ilisi", "iLISI", "batch",
        "Whether the neighbours of a typical cell come from all batches; 0 is a single batch.",
    ),
    Metric(
        "kbet", "kBET", "batch",
        "Which share of cells has neighbours from all batches in due proportion, within labels.", narrows=False,
    ),
)  # fmt: skip
