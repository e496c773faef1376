"""Words for questions about groups of cells: what they are made of, what they express, and over donors."""

from collections.abc import Mapping

from scfm_core.analyses.coexpress_genes import CoexpressGenes
from scfm_core.analyses.compare_donors import CompareDonors
from scfm_core.analyses.compare_neighbors import CompareNeighbors
from scfm_core.analyses.compare_set_scores import CompareSetScores
from scfm_core.analyses.compare_values import CompareValues
from scfm_core.analyses.compose_cells import ComposeCells
from scfm_core.analyses.mean_expression import MeasureMeanExpression
from scfm_core.analyses.perturbation_phrases import listed, short
from scfm_core.analyses.rank_genes import REST
from scfm_core.analyses.sample_expression import SampleExpression
from scfm_core.analyses.score_gene_set import ScoreGeneSet
from scfm_core.analyses.sum_pseudobulks import SumPseudobulks
from scfm_core.analyses.summarise_groups import SummariseGroups
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.report.wording import Wording, Words, these_cells
from scfm_core.report.wordings.genes import grouping_in_words


def _donors(asked: CompareDonors) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    against = "all other cells" if asked.reference == REST else f"the cells of {short(asked.reference)}"
    batch = f" and the batch ({short(asked.batch_column)}) where it can be told apart" if asked.batch_column else ""
    text = (
        f"Groups of cells were given by {groups}. Donors (column {short(asked.donor_column)}) are the replicates "
        f"{{squair2021}}: the counts of each donor's cells, of {these_cells(asked.dataset, asked.within)}, were added "
        f"up to one sample for a group and one for {against}, where there were at least {asked.min_cells} of them. "
        "Genes with at least 10 counts in as many samples as the smaller side has were tested by DESeq2's model "
        "{love2014}, as PyDESeq2 has it {muzellec2023}, with the side, the donor where donors have cells on both sides"
        f"{batch}. "
        "p-values were adjusted over the genes of each group {benjamini1995}."
    )
    return Wording(
        text=text, test="negative binomial model of DESeq2 on counts added up per donor, two-sided",
        correction="Benjamini-Hochberg over the genes of each group",
        n="donors (samples) on each side, see the table; cells are no replicates", questions=questions,
    )  # fmt: skip


def _pseudobulks(asked: SumPseudobulks) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    columns = listed([short(column) for column in asked.columns])
    text = (
        f"The counts of the cells of each group ({groups}) were added up by {columns}, over "
        f"{these_cells(asked.dataset, asked.within)}."
    )
    return Wording(text=text, n=_cells(asked.dataset, asked.within), questions=questions)


def _composed(asked: ComposeCells) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    donors = f", and for each donor ({short(asked.donors)})" if asked.donors else ""
    text = (
        f"{_sides(asked.dataset, asked.cells, asked.against)} were counted by {groups}{donors}. Shares are told with "
        "their numbers of cells; cells are no replicates, so no p-value is given."
    )
    return Wording(text=text, n=_n_sides(asked.dataset, asked.cells, asked.against), questions=questions)


def _values(asked: CompareValues) -> Wording:
    text = (
        f"The values of {short(asked.column)} were described over {_lower(asked)}. Cells are no replicates, so no "
        "p-value is given."
    )
    return Wording(text=text, n=_n_sides(asked.dataset, asked.cells, asked.against))


def _lower(asked: CompareValues) -> str:
    text = _sides(asked.dataset, asked.cells, asked.against)
    return text[:1].lower() + text[1:]


def _coexpressed(asked: CoexpressGenes) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    names = dict(zip(asked.dataset.gene_ids, asked.dataset.gene_symbols, strict=True))
    first, second = (short(names.get(gene, gene)) for gene in (asked.first, asked.second))
    text = (
        f"Cells that hold {first}, {second}, both or neither were counted in each group ({groups}). The odds ratio has "
        "a 95 % interval {woolf1955}; the one at like depth is taken over cells with like counts {mantel1959}, because "
        "deep cells hold more of every gene. A gene that was missed counts as absent."
    )
    return Wording(
        text=text, test="odds ratio with 95 % interval, no p-value; cells are no replicates",
        n=f"{asked.dataset.n_cells:,} cells; of each group: in the table", questions=questions,
    )  # fmt: skip


def _summarised(asked: SummariseGroups) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    text = (
        f"For {len(asked.gene_ids):,} genes, the mean of ln(1 + counts per 10,000) and the share of cells that hold "
        f"the gene were taken over all cells of each group ({groups})."
    )
    return Wording(text=text, n=f"{asked.dataset.n_cells:,} cells", questions=questions)


def _sampled(asked: SampleExpression) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    text = (
        f"Expression of {len(asked.gene_ids):,} genes, ln(1 + counts per 10,000), is drawn for at most "
        f"{asked.n_cells:,} cells: of larger groups ({groups}) a random sample, seed {asked.seed}."
    )
    return Wording(text=text, n=f"at most {asked.n_cells:,} of {asked.dataset.n_cells:,} cells", questions=questions)


def _means(asked: MeasureMeanExpression) -> Wording:
    text = "The mean of ln(1 + counts per 10,000) of every gene was taken over at most 100,000 cells."
    return Wording(text=text, n=f"{min(asked.dataset.n_cells, 100_000):,} cells")


def _scored(asked: ScoreGeneSet) -> Wording:
    text = (
        f"Cells were scored by a set of {len(asked.gene_ids):,} genes: their mean ln(1 + counts per 10,000) less that "
        f"{asked.reference_size} reference genes drawn from each of the {asked.n_bins} bins of like mean expression "
        f"that hold a gene of the set {{tirosh2016,satija2015}}, as scanpy defines it {{wolf2018}}, seed {asked.seed}."
    )
    return Wording(text=text, n=f"{asked.dataset.n_cells:,} cells")


def _scores_compared(asked: CompareSetScores) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    text = (
        f"In each group ({groups}) the mean score was compared with that of {asked.n_random:,} random sets of genes of "
        "like mean expression: p is the share of sets, the set itself among them, that are as high or higher "
        "{phipson2010}, adjusted over the groups {benjamini1995}. It says nothing about other donors."
    )
    return Wording(
        text=text, test=f"empirical p among {asked.n_random:,} random sets of genes of like expression, one-sided",
        correction="Benjamini-Hochberg over the groups", n=f"{asked.score.dataset.n_cells:,} cells",
        questions=(*questions, asked.score),
    )  # fmt: skip


def _neighbours_compared(asked: CompareNeighbors) -> Wording:
    text = (
        f"For each cell, its {asked.n_neighbors} nearest cells in the vectors of {asked.first.model.title} were "
        f"with those in {asked.second.model.title}, exactly, by the share that is common {{lee2009}}; chance is the "
        "share that two random sets of neighbours have in common."
    )
    return Wording(
        text=text, n=f"{asked.first.dataset.n_cells:,} cells, or a random sample where the answer says so",
        questions=(asked.first, asked.second),
    )  # fmt: skip


def _sides(dataset: Dataset, cells: CellSet, against: CellSet | None) -> str:
    beside = "all other cells" if against is None else these_cells(dataset, against)
    return f"Cells selected by hand ({these_cells(dataset, cells)}) and {beside}"


def _n_sides(dataset: Dataset, cells: CellSet, against: CellSet | None) -> str:
    n_beside = dataset.n_cells - len(cells) if against is None else len(against)
    return f"{len(cells):,} cells beside {n_beside:,}"


def _cells(dataset: Dataset, cells: CellSet | None) -> str:
    return f"{dataset.n_cells if cells is None else len(cells):,} cells"


WORDINGS: Mapping[str, Words] = {
    "CompareDonors": _donors,
    "SumPseudobulks": _pseudobulks,
    "ComposeCells": _composed,
    "CompareValues": _values,
    "CoexpressGenes": _coexpressed,
    "SummariseGroups": _summarised,
    "SampleExpression": _sampled,
    "MeasureMeanExpression": _means,
    "ScoreGeneSet": _scored,
    "CompareSetScores": _scores_compared,
    "CompareNeighbors": _neighbours_compared,
}
