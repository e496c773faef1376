"""The input doctor: looks at a file before anything is computed, and says in plain words what it found.

Pure functions over what a reader handed over; opens no file.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.dataset import NewDataset, Organism
from scfm_core.errors import DatasetError
from scfm_core.genes import Resolution, collapse, detect_organism, resolve
from scfm_core.intake.advice import Advice, CountsInHand
from scfm_core.intake.cell_steps import columns, columns_chosen, emptied, plausible, totals, unique_cells
from scfm_core.intake.contents import Candidate, Contents, InMemory
from scfm_core.intake.counts_search import Found, find_counts
from scfm_core.intake.findings import Choices, Finding, Remedy
from scfm_core.intake.gene_names import expression_features, read_names, share_of_genes


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What the doctor found, and the dataset that the file becomes.

    Attributes
    ----------
    dataset
        None where a finding is a refusal.
    """

    n_cells: int
    n_genes: int
    choices: Choices
    findings: tuple[Finding, ...]
    dataset: NewDataset | None


def examine(contents: Contents, wanted: Choices | None = None, *, title: str = "untitled") -> Examination:
    """Look at a file and decide how it becomes a dataset.

    Parameters
    ----------
    wanted
        Choices of a person; None for the recommended ones. An empty ``counts_from`` and an unknown organism are found
        out; columns and empty cells and genes are taken as the person says.
    title
        Name of the dataset for the eye.

    Raises
    ------
    DatasetError
        If a wanted column or matrix is not in the file.
    """
    contents, advice = _with_cells_in_rows(contents)
    if not contents.candidates:
        msg = "The file names cells and genes, but holds no matrix of values. Bring the file with the raw counts."
        raise DatasetError(msg, "no-matrix")
    found = find_counts(contents.candidates, wanted.counts_from if wanted else "")
    advice = [*map(Advice, contents.findings), *advice, *_counts_advice(found)]
    choices = replace(columns_chosen(contents.cells, wanted), counts_from=found.source)
    if found.matrix is None:
        choices = choices if choices.organism != "unknown" else replace(choices, organism=_organism(found.genes))
        return Examination(
            n_cells=found.shape[0],
            n_genes=found.shape[1],
            choices=choices,
            findings=_findings(advice, choices),
            dataset=None,
        )
    counts, choices, more = _named(contents, found.matrix, found.genes, choices)
    advice += more
    for step in (unique_cells, totals, emptied, plausible, columns):
        counts, choices, more = step(counts, choices, wanted)
        advice += more
    findings = _findings(advice, choices)
    done = tuple(
        f"{finding.title}. {finding.reason}" for finding in findings if finding.level == "note" or _acted(finding)
    )
    refused = any(finding.level == "refusal" for finding in findings)
    dataset = None if refused else _new_dataset(counts, choices, title, notes=done)
    return Examination(
        n_cells=found.shape[0], n_genes=found.shape[1], choices=choices, findings=findings, dataset=dataset
    )


def _acted(finding: Finding) -> bool:
    return finding.code in ("counts-found", "counts-rounded")


def _findings(advice: list[Advice], choices: Choices) -> tuple[Finding, ...]:
    order = {"refusal": 0, "warning": 1, "note": 2, "good": 3}
    said = [
        replace(item.finding, remedy=Remedy(item.label, replace(choices, **dict(item.change))))
        if item.label
        else item.finding
        for item in advice
    ]
    return tuple(sorted(said, key=lambda finding: order[finding.level]))


def _new_dataset(counts: CountsInHand, choices: Choices, title: str, *, notes: tuple[str, ...]) -> NewDataset:
    return NewDataset(
        matrix=counts.matrix,
        gene_ids=counts.gene_ids,
        gene_symbols=counts.symbols,
        cells=counts.cells,
        organism=choices.organism,
        total_counts=counts.totals,
        roles=choices.roles,
        title=title,
        notes=notes,
    )


def _with_cells_in_rows(contents: Contents) -> tuple[Contents, list[Advice]]:
    """Turn a matrix around whose rows are genes although its format says cells."""
    names = [str(name) for name in contents.cells.index]
    first = contents.candidates[0] if contents.candidates else None
    if first is None or contents.cells.shape[1] > 3 or share_of_genes(names) < 0.3:
        return contents, []
    if share_of_genes([str(name) for name in first.genes.index]) > 0.1:
        return contents, []
    turned = tuple(
        Candidate(
            name=candidate.name,
            values=InMemory(candidate.values.load().T.tocsr(), candidate.values.limits),
            genes=contents.cells,
        )
        for candidate in contents.candidates
        if candidate.values.shape == first.values.shape
    )
    finding = Finding(
        code="turned",
        level="note",
        title="Rows and columns were exchanged",
        reason="The rows of the matrix carry gene names, so the file was read with its columns as cells.",
    )
    return replace(contents, cells=first.genes, candidates=turned), [Advice(finding)]


def _counts_advice(found: Found) -> list[Advice]:
    if found.round_from:
        change = (("counts_from", f"rounded:{found.round_from}"),)
        return [Advice(found.finding, "Round to whole counts", change)]
    return [Advice(found.finding)]


def _organism(genes: pd.DataFrame) -> Organism:
    names = read_names(genes)
    return detect_organism(names.ids or names.symbols)


def _named(
    contents: Contents, matrix: csr_matrix, genes: pd.DataFrame, choices: Choices
) -> tuple[CountsInHand, Choices, list[Advice]]:
    """Keep genes, find their Ensembl ids, sum genes of one id."""
    advice: list[Advice] = []
    is_gene = expression_features(genes)
    if is_gene is not None:
        matrix, genes = matrix[:, np.flatnonzero(is_gene)], genes[is_gene]
        advice.append(Advice(_other_features(is_gene)))
    names = read_names(genes)
    said = choices.organism != "unknown"
    organism = choices.organism if said else _organism(genes)
    resolved = resolve(names.ids, names.symbols, organism, keep_retired=choices.keep_retired_ids)
    matrix, gene_ids, symbols, n_collapsed = collapse(matrix, resolved.gene_ids, resolved.symbols)
    counts = CountsInHand(matrix=matrix, gene_ids=gene_ids, symbols=symbols, cells=contents.cells)
    advice += _organism_advice(organism, has_ids=bool(names.ids), said=said)
    advice += _gene_advice(resolved, n_collapsed, organism)
    return counts, replace(choices, organism=organism), advice


def _other_features(is_gene: NDArray[np.bool_]) -> Finding:
    n_other = int(np.count_nonzero(~is_gene))
    return Finding(
        code="other-features",
        level="note",
        title=f"{n_other:,} features that are no genes were left out",
        reason="The file also measures proteins, peaks or guides. The models read genes alone.",
    )


def _organism_advice(organism: Organism, *, has_ids: bool, said: bool) -> list[Advice]:
    names = "Ensembl gene ids" if has_ids else "gene symbols"
    if organism == "unknown":
        finding = Finding(
            code="organism-unknown",
            level="warning",
            title="The organism is not recognised",
            reason="Too few of the names are known human or mouse genes. Models that need them will find no genes.",
        )
        return [Advice(finding, "These are human genes", (("organism", "human"),))]
    how = "as you said" if said else f"from its {names}"
    finding = Finding(
        code="organism",
        level="good",
        title=f"{organism.capitalize()} genes, {how}",
        reason=f"The genes are named by {'Ensembl id' if has_ids else 'symbol'}.",
    )
    return [Advice(finding)]


def _gene_advice(resolved: Resolution, n_collapsed: int, organism: Organism) -> list[Advice]:
    n_genes = len(resolved.gene_ids)
    share = resolved.n_mapped / max(n_genes, 1)
    done = [
        f"{n:,} {words}"
        for n, words in (
            (resolved.n_versions_stripped, "ids lost their version number"),
            (resolved.n_retired, "retired ids were replaced by the current ones of their symbols"),
            (n_collapsed, "rows named a gene that was already there, and their counts were summed"),
            (resolved.n_unknown, "genes are not in the gene table and keep the name that the file gives them"),
        )
        if n
    ]
    few = organism != "unknown" and share < 0.5
    finding = Finding(
        code="few-genes-known" if few else "genes-known",
        level="warning" if few else ("note" if done else "good"),
        title=f"{share:.1%} of {n_genes:,} genes have a known Ensembl id",
        reason=f"{'; '.join(done)}." if done else "Every gene has a known Ensembl id.",
    )
    if resolved.n_retired:
        return [Advice(finding, "Keep the retired ids", (("keep_retired_ids", True),))]
    return [Advice(finding)]
