"""Words for questions about edits of a model's input, and for the checks beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from scfm_core.analyses.authors_states import AverageStates
from scfm_core.analyses.compare_groups import CompareGroups
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.explain_by_baselines import ExplainByBaselines
from scfm_core.analyses.follow_genes import FollowGenes
from scfm_core.analyses.measure_edits import MeasureEdits
from scfm_core.analyses.measure_random_genes import MeasureRandomGenes
from scfm_core.analyses.perturb_as_authors import PerturbAsAuthors
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.perturb_pairs import PerturbPairs
from scfm_core.analyses.perturbation_phrases import listed, short
from scfm_core.analyses.run_controls import RunControls
from scfm_core.analyses.screen_exactly import ScreenExactly
from scfm_core.analyses.screen_genes import ScreenGenes
from scfm_core.report.methods import EDIT_TEXTS, measures_text, null_text
from scfm_core.report.wording import NOT_CORRECTED, NOTHING_TESTED, Wording, Words, these_cells
from scfm_core.tokens import GeneEdit, edit_in_words

_MOST_NAMED = 20
_NO_EXPERIMENT = "These are edits of the model's input {theodoris2023}, not experiments."
_EMPIRICAL = "empirical p among random genes matched for detection and rank in the same cells"
_MARKS = {"(Phipson & Smyth 2010)": "{phipson2010}", "by Benjamini & Hochberg (1995)": "{benjamini1995}"}


def _perturbed(asked: PerturbGenes) -> Wording:
    parts = [
        _edited(asked.baseline, asked.edits),
        f"Effects were measured in {_studied(asked)}.",
        measures_text(asked),
        _marked(null_text(asked)),
        "Where donors are named and enough of them hold the gene, p is the larger one of this and of a paired t-test "
        "over donor means {squair2021}; elsewhere p rests on cells and is exploratory.",
    ]
    if not asked.null_genes:
        return Wording(text=" ".join(parts[:-1]), n=_n(asked.baseline, asked.cells), questions=(asked.baseline,))
    return Wording(
        text=" ".join(parts),
        test=f"{_EMPIRICAL} ({asked.null_genes:,}); with donors the larger one of this and of a paired t-test over "
        "donor means",
        correction="Benjamini-Hochberg over all rows with a p",
        n=f"{_n(asked.baseline, asked.cells)}; cells that hold the gene: column n_holding; donors: n_donors",
        questions=(asked.baseline,),
    )


def _measured(asked: MeasureEdits) -> Wording:
    text = f"{_edited(asked.baseline, asked.edits)} Measured in {_studied(asked)}: 1 - cosine before and after."
    return Wording(text=text, n=_n(asked.baseline, asked.cells), questions=(asked.baseline,))


def _random(asked: MeasureRandomGenes) -> Wording:
    text = (
        f"The same edits were made to {asked.null_genes:,} random genes each, drawn without replacement from the genes "
        f"nearest in detection rate and median rank, in cells {asked.first + 1:,} to {asked.stop:,} of one random "
        f"order of those that hold the gene; seed {asked.seed}."
    )
    return Wording(text=text, n=_n(asked.exact.baseline, asked.exact.cells), questions=(asked.exact,))


def _states(asked: AverageStates) -> Wording:
    names = listed([f"{short(state.column)} = {short(state.value)}" for state in asked.states])
    text = f"The vector of a state ({names}) is the mean of the vectors of its unperturbed cells {{theodoris2023}}."
    return Wording(text=text, questions=(asked.baseline,))


def _as_authors(asked: PerturbAsAuthors) -> Wording:
    baseline = asked.baseline
    if asked.every_gene:
        first = "" if asked.max_genes is None else f"the {asked.max_genes:,} highest-ranked of "
        made = f"{EDIT_TEXTS[asked.every_gene.capitalize()]} This was done with {first}all genes of a cell, one by one."
    else:
        made = _edited(baseline, asked.edits)
    states = "" if asked.states is None else (
        f" Shifts from {short(asked.states.start.value)} toward {short(asked.states.goal.value)} were measured as "
        "differences of cosines with the exact mean vectors of the states."
    )  # fmt: skip
    text = (
        f"{made} {_NO_EXPERIMENT} Cells before and after were compared as the code published with Geneformer does "
        f"{{theodoris2023}}, in {these_cells(baseline.dataset, asked.cells)}.{states} Its statistics take cells for "
        "replicates, which they are not {squair2021}."
    )
    return Wording(
        text=text, test="as the authors compute it: see 'statistic' and 'what it says' where a table has them",
        correction="Benjamini-Hochberg over the rows of a table that has p-values", n=_n(baseline, asked.cells),
        questions=(baseline,),
    )  # fmt: skip


def _screened(asked: ScreenGenes) -> Wording:
    goal = "" if asked.goal is None else f", and its shift toward {short(asked.goal.value)},"
    text = (
        f"For every gene, the effect of its deletion (1 - cosine of a cell's vector before and after){goal} was "
        f"estimated in {these_cells(asked.baseline.dataset, asked.cells)} to first order, from three passes per cell "
        f"and gradients along {asked.n_axes} directions, with exact moves behind {asked.n_cuts} ranks. The first "
        f"{asked.confirm_top} genes of each ranking were deleted exactly in up to {asked.confirm_cells} cells that "
        f"hold them, seed {asked.seed}. {_NO_EXPERIMENT} Each gene was compared with the screened genes of like "
        "abundance, and p adjusted over all genes {benjamini1995}."
    )
    return Wording(
        text=text, test="z and p of each gene against the screened genes of like abundance",
        correction="Benjamini-Hochberg over all genes screened",
        n=f"{_n(asked.baseline, asked.cells)}; cells deleted exactly: column n_exact", questions=(asked.baseline,),
    )  # fmt: skip


def _screened_exactly(asked: ScreenExactly) -> Wording:
    which = "every gene that the cells hold" if asked.genes is None else f"{len(asked.genes):,} listed genes"
    text = (
        f"{EDIT_TEXTS[asked.kind.capitalize()]} This was done with {which}, one by one, in up to "
        f"{asked.cells_per_gene} cells each, of {these_cells(asked.baseline.dataset, asked.cells)}, seed {asked.seed}. "
        f"{_NO_EXPERIMENT} Each gene was compared with genes of like abundance, and p adjusted over all genes "
        "{benjamini1995}."
    )
    return Wording(
        text=text, test="z and p of each gene against edited genes of like abundance",
        correction="Benjamini-Hochberg over all genes screened",
        n=f"{_n(asked.baseline, asked.cells)}; cells edited: column n_exact", questions=(asked.baseline,),
    )  # fmt: skip


def _pairs(asked: PerturbPairs) -> Wording:
    text = (
        f"{_edited(asked.baseline, tuple((gene,) for gene in asked.genes))} All pairs were edited together, too, in up "
        f"to {asked.max_cells:,} cells of a group that hold both, in {_studied(asked)}. What a pair does beyond the "
        f"sum of its single shifts was compared with {asked.null_pairs:,} random pairs of like abundance, or more "
        f"where none of them reached it (at most about {asked.most_null_pairs:,}), on {asked.null_cells:,} cells each; "
        "p is (1 + random pairs at least as extreme) / (1 + random pairs) {phipson2010}, adjusted over all rows "
        f"{{benjamini1995}}. Seed {asked.seed}."
    )
    return Wording(
        text=text, test="empirical p among random pairs of like abundance",
        correction="Benjamini-Hochberg over all rows with a p",
        n=f"{_n(asked.baseline, asked.cells)}; cells that hold both genes: column n_holding_both",
        questions=(asked.baseline,),
    )  # fmt: skip


def _controls(asked: RunControls) -> Wording:
    text = (
        "Controls in every group of cells: a gene that is read but silent was deleted, which must move nothing; up to "
        "four housekeeping genes; the edit was made to other genes at the same place of each cell's ranking; the "
        f"group's best marker was deleted. Each was compared with {asked.null_genes:,} random genes of like abundance "
        f"in {asked.null_cells:,} cells {{phipson2010}}."
    )
    return _beside(asked, text, test="empirical p and z beside random genes of like abundance", correction=_EACH)


def _compared(asked: CompareGroups) -> Wording:
    text = (
        "The edits were made in the other groups of cells, too. Effects were divided by the median effect of "
        f"{asked.null_genes:,} random genes of like abundance in the same cells ({asked.null_cells:,} each); an edit "
        "is called specific where this is at least twice its median over the other groups, generic below 1.5 times."
    )
    return _beside(asked, text)


def _explained(asked: ExplainByBaselines) -> Wording:
    text = (
        "The model's ranking of genes was predicted by cross-validation from detection, mean expression and the same "
        f"edits under PCA, over the edited genes, their random genes and {asked.more_genes:,} more of all abundances; "
        "the share of variance explained has a bootstrap interval over genes. A simple baseline belongs beside a model "
        "of perturbations {ahlmann2025}."
    )
    return _beside(asked, text)


def _followed(asked: FollowGenes) -> Wording:
    text = (
        "Other genes were ranked by how far their contextual vectors turn (mean of 1 - cosine) under the edit "
        f"{{theodoris2023}}, beside edits of {asked.null_genes:,} random genes of like abundance, on "
        f"{asked.null_cells:,} cells each; p is empirical, one-sided and not adjusted {{phipson2010}}: it ranks genes."
    )
    return _beside(
        asked, text, test="one-sided empirical p against the same gene under edits of random genes",
        correction="none: genes are ranked by specific_z",
    )  # fmt: skip


_EACH = "none: each control stands for itself"


def _beside(asked: Any, text: str, *, test: str = NOTHING_TESTED, correction: str = NOT_CORRECTED) -> Wording:
    question: PerturbGenes = asked.question
    n = _n(question.baseline, question.cells)
    return Wording(text=text, test=test, correction=correction, n=n, questions=(question,))


def _edited(baseline: EmbedCells, edits: Sequence[tuple[GeneEdit, ...]]) -> str:
    kinds = dict.fromkeys(type(single).__name__ for edit in edits for single in edit)
    symbols = dict(zip(baseline.dataset.gene_ids, baseline.dataset.gene_symbols, strict=True))
    names = [
        " + ".join(edit_in_words(single, symbols.get(single.gene_id, single.gene_id)) for single in edit)
        for edit in edits
    ]
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    named = ", ".join(short(name) for name in names[:_MOST_NAMED])
    return f"{' '.join(EDIT_TEXTS[kind] for kind in kinds)} Edits (deletions by the gene alone): {named}{more}."


def _studied(asked: PerturbGenes | MeasureEdits | PerturbPairs) -> str:
    by = f", told for each {short(asked.group_by)}" if asked.group_by else ""
    return f"{these_cells(asked.baseline.dataset, asked.cells)}{by}"


def _n(baseline: EmbedCells, cells: Any) -> str:
    return f"{baseline.dataset.n_cells if cells is None else len(cells):,} cells"


def _marked(text: str) -> str:
    for words, mark in _MARKS.items():
        text = text.replace(words, mark)
    return text


WORDINGS: Mapping[str, Words] = {
    "PerturbGenes": _perturbed,
    "MeasureEdits": _measured,
    "MeasureRandomGenes": _random,
    "AverageStates": _states,
    "PerturbAsAuthors": _as_authors,
    "ScreenGenes": _screened,
    "ScreenExactly": _screened_exactly,
    "PerturbPairs": _pairs,
    "RunControls": _controls,
    "CompareGroups": _compared,
    "ExplainByBaselines": _explained,
    "FollowGenes": _followed,
}
