"""Words for questions about how well an embedding does by labels and batches."""

from collections.abc import Mapping

from scfm_core.analyses.find_neighbors import default_metric
from scfm_core.analyses.labels_from_pca import TraceLabelsToPca
from scfm_core.analyses.metric_cells import LEAST_DONORS, MOST_RESAMPLED
from scfm_core.analyses.perturbation_phrases import short
from scfm_core.analyses.score_embedding import ScoreEmbedding
from scfm_core.analyses.transfer_labels import N_RANDOM_FOLDS, TransferLabels
from scfm_core.report.citations import Citation
from scfm_core.report.wording import Wording, Words
from scfm_core.report.wordings.genes import grouping_in_words

_WORKS = (
    Citation(
        key="luecken2022", authors="Luecken, M. D. and Büttner, M. and Chaichoompu, K. and others", year=2022,
        title="Benchmarking atlas-level data integration in single-cell genomics", where="Nature Methods 19, 41-50",
        doi="10.1038/s41592-021-01336-8",
    ),
    Citation(
        key="buettner2019", authors="Büttner, M. and Miao, Z. and Wolf, F. A. and others", year=2019,
        title="A test metric for assessing single-cell RNA-seq batch correction", where="Nature Methods 16, 43-49",
        doi="10.1038/s41592-018-0254-1",
    ),
    Citation(
        key="korsunsky2019", authors="Korsunsky, I. and Millard, N. and Fan, J. and others", year=2019,
        title="Fast, sensitive and accurate integration of single-cell data with Harmony",
        where="Nature Methods 16, 1289-1296", doi="10.1038/s41592-019-0619-0",
    ),
    Citation(
        key="kedzierska2025", authors="Kedzierska, K. Z. and Crawford, L. and Amini, A. P. and Lu, A. X.", year=2025,
        title="Zero-shot evaluation reveals limitations of single-cell foundation models",
        where="Genome Biology 26, 101", doi="10.1186/s13059-025-03574-x",
    ),
    Citation(
        key="politis1994", authors="Politis, D. N. and Romano, J. P.", year=1994,
        title="Large sample confidence regions based on subsamples under minimal assumptions",
        where="Annals of Statistics 22, 2031-2050", doi="10.1214/aos/1176325770",
    ),
    Citation(
        key="wilson1927", authors="Wilson, E. B.", year=1927,
        title="Probable inference, the law of succession, and statistical inference",
        where="Journal of the American Statistical Association 22, 209-212", doi="10.1080/01621459.1927.10502953",
    ),
)  # fmt: skip


def _scored(asked: ScoreEmbedding) -> Wording:
    labels, questions = grouping_in_words(asked.labels)
    batches, of_batches = ("", ()) if asked.batches is None else grouping_in_words(asked.batches)
    by = f"{labels}, and by batches ({batches})" if batches else labels
    text = (
        f"The vectors of {asked.embedding.model.title} were scored by labels of cells ({by}); of more than "
        f"{asked.most_cells:,} cells with a vector a random sample within labels and batches was taken. "
        f"{_FAMILIES[asked.family]} {_intervals(asked)}"
    )
    return Wording(
        text=text, n="cells scored, column n_cells", works=_WORKS,
        questions=(asked.embedding, *questions, *of_batches),
    )  # fmt: skip


def _intervals(asked: ScoreEmbedding) -> str:
    if not asked.n_bootstrap:
        return "No intervals were computed."
    donors = f"halves of the donors ({short(asked.donor_column)}) where there are {LEAST_DONORS} or more, else "
    return (
        f"95 % intervals are Student's t times the spread over {asked.n_bootstrap} random parts drawn without "
        f"replacement {{politis1994}}: {donors if asked.donor_column else ''}halves of the cells within labels and "
        f"batches, of at most {MOST_RESAMPLED:,} cells; neighbours, clusters and resolutions were found anew in each."
    )


def _transferred(asked: TransferLabels) -> Wording:
    labels, questions = grouping_in_words(asked.labels)
    folds, of_folds = ("", ()) if asked.folds is None else grouping_in_words(asked.folds)
    parted = f"the cells of each of the other groups ({folds})" if folds else f"four of {N_RANDOM_FOLDS} random parts"
    text = (
        f"Each cell was given the label ({labels}) that most of its {asked.n_neighbors} nearest cells carry "
        f"{{cover1967}}, by weights that fall with distance, sought among {parted} in the "
        f"vectors of {asked.embedding.model.title} "
        f"({default_metric(asked.embedding.model)} distance); it is unknown where less than "
        f"{100 * asked.min_agreement:g} % agree. Recall is the share of cells that get their own label, of those whose "
        f"label stands in the other part. Intervals are over groups of cells where there are {LEAST_DONORS} or more, "
        "else over cells {wilson1927}."
    )
    return Wording(
        text=text, n="cells asked, column n_cells; folds where ci_unit says so", works=_WORKS,
        questions=(asked.embedding, *questions, *of_folds),
    )  # fmt: skip


def _traced(asked: TraceLabelsToPca) -> Wording:
    labels, questions = grouping_in_words(asked.labels)
    text = (
        f"Whether the labels ({labels}) were made from a PCA of these cells was judged by three signs: their names, "
        "the adjusted Rand index with Leiden clusters of the PCA {traag2019} at ten resolutions from 0.2 to 2, and how "
        "often cells between two labels carry the label of most of their 15 nearest cells, compared with the "
        "share of those that do."
    )
    return Wording(text=text, n="cells with a label and a vector in PCA, at most 10,000", questions=questions)


_FAMILIES = {
    "published": (
        "Metrics are those of scIB 1.1.7 {luecken2022}, recomputed with scikit-learn and scipy: mutual information "
        "and adjusted Rand index of the Leiden clustering (igraph, 15 neighbours, Euclidean distance) that tells most "
        "about the labels at ten resolutions from 0.2 to 2; silhouettes; isolated labels; LISI on paths of the graph "
        "{korsunsky2019}; graph connectivity; variance explained by batches; kBET {buettner2019} within labels among "
        "the nearest cells, every cell tested. AvgBIO and AvgBATCH are means as in the benchmark {kedzierska2025}."
    ),
    "scib-metrics": (
        "Metrics are those of the library scib-metrics {luecken2022} with exact neighbours (15 for graphs and "
        "clusters, 50 for kBET {buettner2019}, 90 for LISI {korsunsky2019}) and its own settings otherwise."
    ),
}

WORDINGS: Mapping[str, Words] = {
    "ScoreEmbedding": _scored, "TransferLabels": _transferred, "TraceLabelsToPca": _traced,
}  # fmt: skip
