"""The methods of a question of edits as text for a paper, made from the request, and what it cites."""

from scfm_core import __version__
from scfm_core.analyses.export_dataset import versions
from scfm_core.analyses.perturb_genes import ALL_HOLDING, PerturbGenes
from scfm_core.analyses.perturbation_landing import N_NEIGHBOURS
from scfm_core.analyses.perturbation_null import MIN_CELLS_PER_DONOR, MIN_DONORS, POOL_CELLS
from scfm_core.analyses.perturbation_phrases import counted, edit_in_words, group_in_words, listed, short
from scfm_core.model import ModelSpec
from scfm_core.report.findings import Findings

ISP = "Theodoris et al. 2023, Transfer learning enables predictions in network biology, doi:10.1038/s41586-023-06139-9"
PERMUTATIONS = "Phipson & Smyth 2010, Permutation p-values should never be zero, doi:10.2202/1544-6115.1585"
FDR = "Benjamini & Hochberg 1995, Controlling the false discovery rate, doi:10.1111/j.2517-6161.1995.tb02031.x"
DONORS = (
    "Squair et al. 2021, Confronting false discoveries in single-cell differential expression, "
    "doi:10.1038/s41467-021-25960-2"
)
SCANPY = "Wolf et al. 2018, SCANPY: large-scale single-cell gene expression analysis, doi:10.1186/s13059-017-1382-0"
ANNDATA = "Virshup et al. 2024, anndata: Access and store annotated data matrices, doi:10.21105/joss.04371"
GSEAPY = "Fang et al. 2023, GSEApy: gene set enrichment analysis in Python, doi:10.1093/bioinformatics/btac757"
_NAMEDEDIT_TEXTS = 6
EDIT_TEXTS = {
    "Delete": "A gene was deleted by taking it out of the input of every cell that holds it, the genes behind it "
    "moving up where the model reads ranks.",
    "Overexpress": "A gene was overexpressed by putting it before all other genes of a cell.",
    "Inhibit": "A gene was inhibited by moving it down the ranks of a cell by one to three quartiles.",
    "Activate": "A gene was activated by moving it up the ranks of a cell by one to three quartiles.",
    "Scale": "A gene was scaled by multiplying its counts.",
}


def methods_text(findings: Findings) -> str:
    """Return how the findings were made, as paragraphs with an empty line between; names as they are, unescaped."""
    parts = [
        _cells_and_model(findings.question),
        _edits_made(findings),
        measures_text(findings.question),
        null_text(findings.question),
        _donors(findings),
        _checks(findings),
        _closing(findings.question),
    ]
    return "\n\n".join(part for part in parts if part)


def question_in_words(question: PerturbGenes, edits: tuple[str, ...]) -> str:
    """Return what was asked, as a question.

    Parameters
    ----------
    edits
        Labels of the edits.
    """
    what = _what(edits)
    cells = "all cells" if question.cells is None else group_in_words({"group": question.cells.label})
    by = f", told for each {short(question.group_by)}" if question.group_by else ""
    start = f"In {cells}{by}, as {question.baseline.model.title} reads them:"
    if question.goal is None:
        return f"{start} how far does {what} move the cells, and further than a random gene does?"
    goal = short(question.goal.value)
    return f"{start} does {what} move the cells toward {goal}, and further than a random gene does?"


def citations(findings: Findings) -> list[str]:
    """Return what a paper that uses the findings cites: the model first, then methods, then software."""
    said = [_model_citation(findings.question.baseline.model), ISP]
    if findings.baseline is not None:
        said.append(_model_citation(findings.baseline_model))
    said += [PERMUTATIONS, FDR] if findings.question.null_genes else []
    said += [DONORS] if _has_donors(findings) else []
    said += [SCANPY, ANNDATA, *([GSEAPY] if findings.enrichment else [])]
    return list(dict.fromkeys(said))


def _cells_and_model(question: PerturbGenes) -> str:
    dataset, model, options = question.baseline.dataset, question.baseline.model, question.baseline.chosen_options
    chosen = dataset.n_cells if question.cells is None else len(question.cells)
    read = f"layer {options.layer}, {options.pooling} pooling, " if model.n_layers else ""
    return (
        f"Of {short(dataset.title)} ({dataset.organism}; {dataset.n_cells:,} cells, {dataset.n_genes:,} genes; sha256 "
        f"of the counts {dataset.sha256[:12]}), {counted(chosen)} were studied. Cells were embedded with {model.title} "
        f"(revision {model.revision}; {read}{options.precision}; {model.citation}, doi:{model.doi}) in scFM Explorer "
        f"{__version__}."
    )


def _edits_made(findings: Findings) -> str:
    kinds = dict.fromkeys(type(single).__name__ for edit in findings.question.edits for single in edit)
    said = [edit_in_words({"edit": label}).rstrip(",") for label in findings.effects.edits]
    named = "; ".join(said[:40]) + (f"; and {len(said) - 40:,} more" if len(said) > 40 else "")
    return (
        f"{' '.join(EDIT_TEXTS[kind] for kind in kinds)} These are edits of the model's input (Theodoris et al. 2023), "
        f"not experiments. Edits: {named}. An edit was measured in the cells whose input it changes (cells that hold "
        "the gene after the input is cut to the model's length); elsewhere numbers are missing, not zero. Edits held "
        "by less than 10 % of a group are marked, edits held by none are refused."
    )


def measures_text(question: PerturbGenes) -> str:
    """Say what an effect, a shift and a change of type are."""
    said = [
        "The effect is 1 - cosine between the vector of a cell before and after, averaged over the cells that hold it; "
        "intervals are 95 %, by bootstrap over cells (1,000 resamples), or by a t distribution over donor means."
    ]
    if question.states:
        names = listed([f"{short(state.column)} = {short(state.value)}" for state in question.states])
        said.append(
            f"The shift toward a state ({names}) is the cosine with the mean unperturbed vector of its cells, after "
            "minus before."
        )
    if question.identity_by:
        said.append(
            f"The identity of a cell is the commonest {short(question.identity_by)} among its {N_NEIGHBOURS} nearest "
            "unperturbed cells by cosine, itself left out; a cell switches where it differs after the edit."
        )
    return " ".join(said)


def null_text(question: PerturbGenes) -> str:
    """Say what each edit was compared with, and how p was adjusted."""
    if not question.null_genes:
        return "Edits were not compared with random genes."
    if question.null_cells >= ALL_HOLDING:
        where = f"every cell that holds the gene, up to {POOL_CELLS:,} cells of a group"
    else:
        where = f"the first {counted(question.null_cells)} that hold it in one random order, donors taking turns"
    return (
        f"Each edit was compared with the same edit of {question.null_genes:,} random genes, drawn without replacement "
        "from the genes nearest to it in detection rate and median rank among the group's cells (as ranks among the "
        f"genes held there). Every gene, tested or random, was measured on {where}. What was left of the difference in "
        "abundance was levelled by a straight line through tested and random genes alike. z is the difference from the "
        "mean of the random genes in their standard deviations. p is (1 + random genes at least as extreme) / (1 + "
        f"random genes) (Phipson & Smyth 2010), so at best {1 / (question.null_genes + 1):.3g}; one-sided for sizes, "
        "two-sided for shifts. The range of p tells where it would lie had other cells been drawn (95 %). Values of p "
        "were adjusted over all rows of a table by Benjamini & Hochberg (1995). Random choices are fixed by seed "
        f"{question.seed}."
    )


def _donors(findings: Findings) -> str:
    if not _has_donors(findings):
        named = len(findings.effects.donors) > 0
        why = f"Fewer than {MIN_DONORS} donors could be compared." if named else "No donors are named in this dataset."
        return f"{why} Cells are not replicates, so intervals and p describe these cells only and are exploratory."
    return (
        f"Donors are the replicates where at least {MIN_DONORS} of them hold the gene in {MIN_CELLS_PER_DONOR} or more "
        "cells of a group: a paired t-test compared each donor's mean with its mean under the random genes, and p is "
        "the larger one of this and of the comparison with random genes (Squair et al. 2021). Elsewhere p rests on "
        "cells and is exploratory."
    )


def _checks(findings: Findings) -> str:
    said = []
    if findings.baseline is not None:
        said.append("The same question was asked of PCA fitted to this dataset, as a baseline without pre-training.")
    if findings.controls is not None:
        said.append(
            "Controls in every group: a gene that is read but silent must move nothing; housekeeping genes should move "
            "cells no more than random ones; the edit made to other genes at the same place of each cell should do "
            "less; the group's top marker should do more."
        )
    if findings.comparison is not None:
        said.append(
            "The edits were made in the other groups too, relative to random genes there, to tell specific from "
            "generic effects."
        )
    if findings.explanation is not None:
        said.append(
            "The model's ranking of genes was predicted from detection, mean expression and PCA by cross-validation; "
            "the share of variance explained is reported with a bootstrap interval over genes."
        )
    if findings.followers is not None:
        said.append(
            "Downstream genes are those whose contextual vectors turn more under the edit than under edits of random "
            "genes."
        )
    if findings.pairs is not None:
        said.append("Pairs were compared with the sum of the two single shifts, and with random pairs.")
    if findings.enrichment:
        said.append(
            "Gene sets were tested for over-representation among the downstream genes by a one-sided hypergeometric "
            "test, with the genes that were followed as universe, by GSEApy; p adjusted over all sets tested."
        )
    return " ".join(said)


def _closing(question: PerturbGenes) -> str:
    found = versions()
    software = ", ".join(f"{name} {version}" for name, version in found.items() if name != "scfm-explorer")
    return f"Software: scFM Explorer {__version__}, {software}. Request {question.identity[:12]}."


def _model_citation(model: ModelSpec) -> str:
    return f"{model.citation}, doi:{model.doi}" if model.doi else model.citation


def _has_donors(findings: Findings) -> bool:
    return bool((findings.effects.effects["evidence"] == "donors").any())


def _what(edits: tuple[str, ...]) -> str:
    """Name the edits as alternatives: genes after one verb where all are deleted alone."""
    first = [edit_in_words({"edit": edit}).rstrip(",") for edit in edits[:_NAMEDEDIT_TEXTS]]
    verb = "Deleting "
    alone = all(words.startswith(verb) and not words.endswith(" together") for words in first)
    named = [words.removeprefix(verb) if alone else _lower(words) for words in first]
    named += [f"one of {len(edits) - _NAMEDEDIT_TEXTS:,} other edits"] if len(edits) > _NAMEDEDIT_TEXTS else []
    *most, last = named
    return f"{'deleting ' if alone else ''}{', '.join(most)}{' or ' if most else ''}{last}"


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]
