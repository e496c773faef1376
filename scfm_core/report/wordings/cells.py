"""Words for questions about whole cells: quality, neighbours, maps, clusters."""

from collections.abc import Mapping

from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.analyses.find_neighbors import FindNeighbors
from scfm_core.analyses.measure_quality import MeasureQuality
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.report.wording import Wording, Words


def _neighbours(asked: FindNeighbors) -> Wording:
    text = (
        f"Each cell was linked with its {asked.n_neighbors} nearest neighbours, itself counted, by {asked.metric} "
        f"distance between the vectors of {asked.embedding.model.title}, weighted as UMAP does {{mcinnes2018}} by "
        "scanpy {wolf2018}."
    )
    return Wording(text=text, questions=(asked.embedding,))


def _map(asked: ProjectCells) -> Wording:
    model = asked.embedding.model.title
    number = {2: "two", 3: "three"}[asked.n_dimensions]
    if asked.method == "umap":
        text = (
            f"The vectors of {model} were laid out in {number} dimensions by UMAP {{mcinnes2018}} on a graph of "
            f"{asked.n_neighbors} neighbours ({asked.metric} distance), smallest distance {asked.min_dist:g}"
        )
    else:
        text = (
            f"The vectors of {model} were laid out in {number} dimensions by t-SNE {{maaten2014,kobak2019}}, "
            f"perplexity {asked.perplexity:g} or a third of the cells where that is less, {asked.metric} distance"
        )
    text += (
        f", from the first {number} principal components on {{kobak2021}}, seed {asked.seed}. The map is for the eye: "
        "distances between groups and their sizes on it were not interpreted."
    )
    return Wording(text=text, questions=(asked.embedding,))


def _clusters(asked: ClusterCells) -> Wording:
    text = (
        f"Cells were grouped by the Leiden algorithm {{traag2019}} on the graph of {asked.n_neighbors} neighbours "
        f"({asked.metric} distance between the vectors of {asked.embedding.model.title}), by modularity at resolution "
        f"{asked.resolution:g}, two iterations, seed {asked.seed}. Clusters are numbered from the largest, 0, to the "
        "smallest."
    )
    return Wording(text=text, questions=(asked.embedding,))


def _quality(asked: MeasureQuality) -> Wording:
    text = (
        "For each cell, counts, genes with a count, and the shares of counts of mitochondrial and of ribosomal genes "
        "were computed, and doublets were scored sample by sample by Scrublet {wolock2019} through scanpy {wolf2018}. "
        "Limits were set at a number of median absolute deviations from the median, see the limits beside the table."
    )
    return Wording(text=text, n=f"{asked.dataset.n_cells:,} cells")


WORDINGS: Mapping[str, Words] = {
    "FindNeighbors": _neighbours,
    "ProjectCells": _map,
    "ClusterCells": _clusters,
    "MeasureQuality": _quality,
}
