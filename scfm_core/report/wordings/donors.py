"""Words for questions about groups of cells behind the figures of markers, and for differences between donors."""

from collections.abc import Mapping

from scfm_core.analyses.coexpress_genes import CoexpressGenes
from scfm_core.analyses.compare_donors import CompareDonors
from scfm_core.analyses.donor_design import MIN_DONORS
from scfm_core.analyses.negative_binomial import ALPHA, MIN_COUNTS
from scfm_core.analyses.perturbation_phrases import short
from scfm_core.analyses.rank_genes import REST
from scfm_core.analyses.sample_expression import SampleExpression
from scfm_core.analyses.sum_pseudobulks import SumPseudobulks
from scfm_core.analyses.summarise_groups import SummariseGroups
from scfm_core.report.citations import Citation
from scfm_core.report.wording import Wording, Words, these_cells
from scfm_core.report.wordings.genes import grouping_in_words

_WOOLF = Citation(
    key="woolf1955", authors="Woolf, Barnet", year=1955,
    title="On estimating the relation between blood group and disease", where="Annals of Human Genetics 19, 251-253",
    doi="10.1111/j.1469-1809.1955.tb01348.x",
)  # fmt: skip
_MANTEL = Citation(
    key="mantel1959", authors="Mantel, Nathan and Haenszel, William", year=1959,
    title="Statistical aspects of the analysis of data from retrospective studies of disease",
    where="Journal of the National Cancer Institute 22, 719-748", doi="10.1093/jnci/22.4.719",
)  # fmt: skip


def _donors(asked: CompareDonors) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    against = "all other cells" if asked.reference == REST else f"the cells of {short(asked.reference)}"
    told = f", and with the batch ({short(asked.batch_column)}) where it can be told from them"
    batch = told if asked.batch_column else ""
    text = (
        f"Groups of cells were given by {groups}, in {these_cells(asked.dataset, asked.within)}. Donors "
        f"({short(asked.donor_column)}) are the replicates: counts of each gene were added up over the cells of a "
        f"donor on each side, where these are at least {asked.min_cells} cells, and each group was compared with "
        f"{against} by the negative binomial model of DESeq2 {{love2014}} as PyDESeq2 computes it {{muzellec2023}}, "
        f"within donors where they have both sides{batch}. At least {MIN_DONORS} donors on each side, or with both, "
        f"were needed. Genes with at least {MIN_COUNTS} counts in as many samples as the smaller side has were tested "
        "by Wald's test; fold changes are the model's, not shrunken. p-values were adjusted over the genes of each "
        f"group {{benjamini1995}} after independent filtering at {ALPHA:g}; genes with an outlier by Cook's distance "
        "have no p, genes left out by the filter no adjusted p."
    )
    return Wording(
        text=text,
        test=f"Wald's test of DESeq2's model over donors, two-sided, each group against {against}",
        correction="Benjamini-Hochberg over the genes of each group, after DESeq2's independent filtering",
        n="donors: columns n_donors_in and n_donors_out; their cells: n_in and n_out",
        questions=questions,
    )


def _sums(asked: SumPseudobulks) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    columns = " and ".join(short(column) for column in asked.columns)
    text = (
        f"Counts of each gene were added up over the cells of each group ({groups}) and value of {columns}, in "
        f"{these_cells(asked.dataset, asked.within)}."
    )
    return Wording(text=text, n="cells of each sample: column n_cells", questions=questions)


def _means(asked: SummariseGroups) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    text = (
        f"For {len(asked.gene_ids):,} genes the mean of ln(1 + counts per 10,000), and the share of cells with at "
        f"least one count, were taken over all cells of each group ({groups})."
    )
    return Wording(text=text, n="all cells in a group", questions=questions)


def _cells(asked: SampleExpression) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    text = (
        f"For {len(asked.gene_ids):,} genes ln(1 + counts per 10,000) was read in the cells of each group ({groups}), "
        f"in at most {asked.n_cells:,} cells: larger groups were sampled, each down to the same number."
    )
    return Wording(text=text, n="cells drawn, of all in a group", questions=questions)


def _together(asked: CoexpressGenes) -> Wording:
    groups, questions = grouping_in_words(asked.grouping)
    symbols = dict(zip(asked.dataset.gene_ids, asked.dataset.gene_symbols, strict=True))
    first, second = (short(symbols.get(gene, gene)) for gene in (asked.first, asked.second))
    text = (
        f"Cells with at least one count of {first}, of {second}, of both and of neither were counted in each group "
        f"({groups}). Odds ratios of holding both are given with Woolf's 95 % interval over cells {{woolf1955}}, and "
        "among cells of like total counts (tenths of each group) after Mantel and Haenszel {mantel1959}, because deep "
        "cells hold more of every gene. Cells are no replicates, so the intervals speak about these cells alone."
    )
    return Wording(text=text, n="all cells in a group", works=(_WOOLF, _MANTEL), questions=questions)


WORDINGS: Mapping[str, Words] = {
    "CompareDonors": _donors,
    "SumPseudobulks": _sums,
    "SummariseGroups": _means,
    "SampleExpression": _cells,
    "CoexpressGenes": _together,
}
