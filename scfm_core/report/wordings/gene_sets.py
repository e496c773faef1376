"""Words for questions about sets of genes: means, scores, scores by group."""

from collections.abc import Mapping

from scfm_core.analyses.compare_set_scores import GENES_PER_BIN, CompareSetScores
from scfm_core.analyses.mean_expression import MOST_CELLS, MeasureMeanExpression
from scfm_core.analyses.perturbation_phrases import counted
from scfm_core.analyses.score_gene_set import ScoreGeneSet
from scfm_core.report.citations import Citation
from scfm_core.report.wording import Wording, Words
from scfm_core.report.wordings.genes import grouping_in_words

_TIROSH = Citation(
    key="tirosh2016", authors="Tirosh, I. and Izar, B. and Prakadan, S. M. and others", year=2016,
    title="Dissecting the multicellular ecosystem of metastatic melanoma by single-cell RNA-seq",
    where="Science 352, 189-196", doi="10.1126/science.aad0501",
)  # fmt: skip


def _means(asked: MeasureMeanExpression) -> Wording:
    n_cells = min(asked.dataset.n_cells, MOST_CELLS)
    return Wording(
        text=f"The mean of ln(1 + counts per 10,000) of each gene was taken over {n_cells:,} cells.",
        n=f"{n_cells:,} cells",
    )


def _score(asked: ScoreGeneSet) -> Wording:
    sampled = asked.dataset.n_cells > MOST_CELLS
    means = f" Mean expression was taken over {MOST_CELLS:,} cells drawn by chance." if sampled else ""
    text = (
        f"Each cell was scored by {counted(len(asked.gene_ids), 'gene')} as the mean of their ln(1 + counts per "
        "10,000) less the mean over reference genes {tirosh2016,satija2015}, as scanpy's score_genes defines it "
        f"{{wolf2018}}: genes were cut into {asked.n_bins} bins by their mean expression, and "
        f"{asked.reference_size} drawn from each bin that holds a gene of the set (seed {asked.seed}).{means}"
    )
    return Wording(text=text, n=f"{asked.dataset.n_cells:,} cells", works=(_TIROSH,))


def _by_group(asked: CompareSetScores) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    text = (
        f"Scores were summed up by {groups}. In each group the mean expression of the set was compared with that of "
        f"{asked.n_random:,} random sets of genes; each holds, for every gene of the set, one of {GENES_PER_BIN} genes "
        f"of like mean expression (seed {asked.seed}). p is the share of sets, the set itself among them, that are as "
        "high or higher, adjusted over the groups {benjamini1995}. Genes that go together stand out more easily than "
        "random ones, and cells of one donor are no independent replicates {squair2021}; means of donors stand beside."
    )
    return Wording(
        text=text,
        test=f"share of {asked.n_random:,} random gene sets of like expression that are as high or higher, one-sided",
        correction="Benjamini-Hochberg over the groups",
        n=f"{asked.score.dataset.n_cells:,} cells; cells and donors of each group: columns n_cells and n_donors",
        questions=(asked.score, *questions),
    )


WORDINGS: Mapping[str, Words] = {
    "MeasureMeanExpression": _means,
    "ScoreGeneSet": _score,
    "CompareSetScores": _by_group,
}
