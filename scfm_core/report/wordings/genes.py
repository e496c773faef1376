"""Words for questions about genes: markers, gene sets, expression, vectors of genes, attention."""

from collections.abc import Mapping
from typing import Any

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.embed_genes import EmbedGenes, StaticGeneVectors
from scfm_core.analyses.enrich_genes import EnrichGenes
from scfm_core.analyses.find_markers import MIN_CELLS_OF_GENE, FindMarkers
from scfm_core.analyses.grouping import ByClusters, ByColumn, BySelections
from scfm_core.analyses.marker_sets import MAX_P_ADJUSTED, MarkerSets
from scfm_core.analyses.perturbation_phrases import short
from scfm_core.analyses.rank_genes import REST
from scfm_core.analyses.read_attention import ReadAttention
from scfm_core.analyses.read_expression import ReadExpression
from scfm_core.dataset import Dataset
from scfm_core.report.citations import of_model
from scfm_core.report.wording import Wording, Words, these_cells
from scfm_core.request import Request

_TESTS = {
    "wilcoxon": ("Wilcoxon rank sum", "Wilcoxon's rank sum test with correction for ties {wilcoxon1945}"),
    "t-test": ("Welch's t-test", "Welch's t-test {welch1947}"),
}
_NO_REPLICATES = (
    "Cells of one donor are no independent replicates {squair2021}: these p-values rank genes within this dataset and "
    "are exploratory."
)


def grouping_in_words(grouping: Any) -> tuple[str, tuple[Request[Any], ...]]:
    """Return what cells are grouped by, and the questions behind it."""
    match grouping:
        case ByColumn():
            return f"the column {short(grouping.column)} of the cell table", ()
        case ByClusters():
            return f"Leiden clusters of the vectors of {grouping.clusters.embedding.model.title}", (grouping.clusters,)
        case BySelections():
            named = ", ".join(f"{short(cells.label)} (n = {len(cells):,})" for cells in grouping.selections)
            return f"selections drawn by hand ({named})", ()
    name = getattr(grouping, "name", "")
    return (f"the labels {short(name)} given by hand" if name else f"{type(grouping).__name__}"), ()


def _markers(asked: FindMarkers) -> Wording:
    name, in_words = _TESTS[asked.method]
    groups, questions = grouping_in_words(asked.grouping)
    against = "all other cells" if asked.reference == REST else f"the cells of {short(asked.reference)}"
    text = (
        f"Groups of cells were given by {groups}. Every gene that at least {MIN_CELLS_OF_GENE} cells express was "
        f"compared between each group and {against} by {in_words} on ln(1 + counts per 10,000), over all cells. Fold "
        "changes are log2 of the ratio of mean counts per 10,000, 1 added to both. p-values are "
        f"two-sided and were adjusted over the genes of each group {{benjamini1995}}. {_NO_REPLICATES}"
    )
    return Wording(
        text=text,
        test=f"{name} on ln(1 + counts per 10,000), two-sided, each group against {against}",
        correction="Benjamini-Hochberg over the genes of each group",
        n=f"{asked.dataset.n_cells:,} cells; cells in each group and compared with it: columns n_in and n_out",
        questions=questions,
    )


def _marker_sets(asked: MarkerSets) -> Wording:
    text = (
        f"Gene sets were made from this dataset: for each value of {short(asked.group_by)} at most {asked.n_genes} "
        f"genes with the largest Wilcoxon rank sum score {{wilcoxon1945}} of those with an adjusted p below "
        f"{MAX_P_ADJUSTED:g} {{benjamini1995}} that are more expressed in the group than in all other cells."
    )
    return Wording(
        text=text, test="Wilcoxon rank sum on ln(1 + counts per 10,000), each value against all other cells",
        correction="Benjamini-Hochberg over the genes of each group", n=f"{asked.dataset.n_cells:,} cells",
    )  # fmt: skip


def _enrichment(asked: EnrichGenes) -> Wording:
    text = (
        f"{len(asked.hits):,} genes were tested for over-representation of the gene sets of {short(asked.sets.name)} "
        f"({asked.sets.source.rstrip('.')}) by a one-sided hypergeometric test {{boyle2004}}, with the "
        f"{len(asked.universe):,} genes that were tested as universe, by GSEApy {{fang2023}}, offline. Sets with "
        f"{asked.min_size} to {asked.max_size} genes in the universe were tested, and p-values adjusted over all of "
        "them, those without a hit included {benjamini1995}."
    )
    return Wording(
        text=text, test="one-sided hypergeometric test", correction="Benjamini-Hochberg over all sets tested",
        n=f"{len(asked.hits):,} genes among {len(asked.universe):,} tested",
    )  # fmt: skip


def _expression(asked: ReadExpression) -> Wording:
    n_genes = f"{len(asked.gene_ids):,} {'gene' if len(asked.gene_ids) == 1 else 'genes'}"
    text = f"Expression of {n_genes} is ln(1 + counts per 10,000), over the counts of all measured genes of a cell."
    return Wording(text=text, n=f"{asked.dataset.n_cells:,} cells, {n_genes}")


def _gene_vectors(asked: EmbedGenes) -> Wording:
    baseline = asked.baseline
    text = (
        f"The vector of a gene is the mean of its contextual vectors in {baseline.model.title} (layer "
        f"{baseline.chosen_options.layer}, {baseline.chosen_options.precision}) {{{of_model(baseline.model).key}}} "
        f"over the cells that hold it {{theodoris2023}}, among {these_cells(baseline.dataset, asked.cells)}."
    )
    n_cells = baseline.dataset.n_cells if asked.cells is None else len(asked.cells)
    return Wording(text=text, n=f"{n_cells:,} cells", works=(of_model(baseline.model),))


def _static(asked: StaticGeneVectors) -> Wording:
    text = (
        f"The vector of a gene is its row in the table of word embeddings of {asked.model.title} "
        f"{{{of_model(asked.model).key}}}, before any cell is read."
    )
    return Wording(text=text, n=f"{asked.dataset.n_genes:,} genes", works=(of_model(asked.model),))


def _attention(asked: ReadAttention) -> Wording:
    baseline: EmbedCells = asked.baseline
    dataset: Dataset = baseline.dataset
    kept = "all tokens" if asked.top is None else f"the {asked.top} tokens that receive most attention"
    text = (
        f"Attention weights of layer {asked.layer} of {baseline.model.n_layers} of {baseline.model.title} "
        f"{{{of_model(baseline.model).key}}} were read for one cell (number {asked.cell + 1:,} of {dataset.n_cells:,}) "
        f"in float32, for {kept}. Attention shows what the network computes with; it is no evidence of regulation."
    )
    return Wording(text=text, n="1 cell", works=(of_model(baseline.model),))


WORDINGS: Mapping[str, Words] = {
    "FindMarkers": _markers,
    "MarkerSets": _marker_sets,
    "EnrichGenes": _enrichment,
    "ReadExpression": _expression,
    "EmbedGenes": _gene_vectors,
    "StaticGeneVectors": _static,
    "ReadAttention": _attention,
}
