"""The input doctor: looks at a file before anything is computed, and says in plain words what it found.

Pure functions over what a reader handed over; opens no file.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.dataset import NewDataset, Organism, Role
from scfm_core.errors import DatasetError
from scfm_core.genes import Resolution, collapse, detect_organism, resolve
from scfm_core.intake.columns import confounding, covers, find_roles, find_totals
from scfm_core.intake.contents import Candidate, Contents, InMemory
from scfm_core.intake.counts_search import Found, find_counts
from scfm_core.intake.findings import Choices, Finding, Remedy
from scfm_core.intake.gene_names import expression_features, read_names, share_of_genes, unique_names

_FEW_CELLS = 50
_FEW_GENES = 10_000
_EMPTY_DROPLET = 100  # molecules; Cell Ranger's cells have more


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


@dataclass(frozen=True)
class _Advice:
    """A finding, and the change of the choices that its button would make."""

    finding: Finding
    label: str = ""
    change: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """The counts on their way to a dataset."""

    matrix: csr_matrix
    gene_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    cells: pd.DataFrame
    totals: NDArray[np.float64] | None = None


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
    advice = [*map(_Advice, contents.findings), *advice, *_counts_advice(found)]
    choices = replace(_columns_chosen(contents.cells, wanted), counts_from=found.source)
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
    for step in (_unique_cells, _totals, _emptied, _plausible, _columns):
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


def _findings(advice: list[_Advice], choices: Choices) -> tuple[Finding, ...]:
    order = {"refusal": 0, "warning": 1, "note": 2, "good": 3}
    said = [
        replace(item.finding, remedy=Remedy(item.label, replace(choices, **dict(item.change))))
        if item.label
        else item.finding
        for item in advice
    ]
    return tuple(sorted(said, key=lambda finding: order[finding.level]))


def _new_dataset(counts: _Counts, choices: Choices, title: str, *, notes: tuple[str, ...]) -> NewDataset:
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


def _with_cells_in_rows(contents: Contents) -> tuple[Contents, list[_Advice]]:
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
    return replace(contents, cells=first.genes, candidates=turned), [_Advice(finding)]


def _counts_advice(found: Found) -> list[_Advice]:
    if found.round_from:
        change = (("counts_from", f"rounded:{found.round_from}"),)
        return [_Advice(found.finding, "Round to whole counts", change)]
    return [_Advice(found.finding)]


def _organism(genes: pd.DataFrame) -> Organism:
    names = read_names(genes)
    return detect_organism(names.ids or names.symbols)


def _named(
    contents: Contents, matrix: csr_matrix, genes: pd.DataFrame, choices: Choices
) -> tuple[_Counts, Choices, list[_Advice]]:
    """Keep genes, find their Ensembl ids, sum genes of one id."""
    advice: list[_Advice] = []
    is_gene = expression_features(genes)
    if is_gene is not None:
        matrix, genes = matrix[:, np.flatnonzero(is_gene)], genes[is_gene]
        advice.append(_Advice(_other_features(is_gene)))
    names = read_names(genes)
    said = choices.organism != "unknown"
    organism = choices.organism if said else _organism(genes)
    resolved = resolve(names.ids, names.symbols, organism)
    matrix, gene_ids, symbols, n_collapsed = collapse(matrix, resolved.gene_ids, resolved.symbols)
    counts = _Counts(matrix=matrix, gene_ids=gene_ids, symbols=symbols, cells=contents.cells)
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


def _organism_advice(organism: Organism, *, has_ids: bool, said: bool) -> list[_Advice]:
    names = "Ensembl gene ids" if has_ids else "gene symbols"
    if organism == "unknown":
        finding = Finding(
            code="organism-unknown",
            level="warning",
            title="The organism is not recognised",
            reason="Too few of the names are known human or mouse genes. Models that need them will find no genes.",
        )
        return [_Advice(finding, "These are human genes", (("organism", "human"),))]
    how = "as you said" if said else f"from its {names}"
    finding = Finding(
        code="organism",
        level="good",
        title=f"{organism.capitalize()} genes, {how}",
        reason=f"The genes are named by {'Ensembl id' if has_ids else 'symbol'}.",
    )
    return [_Advice(finding)]


def _gene_advice(resolved: Resolution, n_collapsed: int, organism: Organism) -> list[_Advice]:
    n_genes = len(resolved.gene_ids)
    share = resolved.n_mapped / max(n_genes, 1)
    done = [
        f"{n:,} {words}"
        for n, words in (
            (resolved.n_versions_stripped, "ids lost their version number"),
            (resolved.n_retired, "retired ids were replaced by the current ones"),
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
    return [_Advice(finding)]


def _unique_cells(
    counts: _Counts, choices: Choices, wanted: Choices | None
) -> tuple[_Counts, Choices, list[_Advice]]:
    names = [str(name) for name in counts.cells.index]
    n_repeated = len(names) - len(set(names))
    cells = counts.cells.copy()
    cells.index = pd.Index(unique_names(names), dtype=object)
    if not n_repeated:
        return replace(counts, cells=cells), choices, []
    finding = Finding(
        code="cell-names-repeated",
        level="note",
        title=f"{n_repeated:,} cell names were made unique",
        reason="Several cells carried the same name, as when samples are put together. A number was added to each.",
    )
    return replace(counts, cells=cells), choices, [_Advice(finding)]


def _totals(counts: _Counts, choices: Choices, wanted: Choices | None) -> tuple[_Counts, Choices, list[_Advice]]:
    """Take the counts over all measured genes from the cell table where the file holds only some of the genes."""
    sums = np.asarray(counts.matrix.sum(axis=1, dtype=np.float64)).ravel()
    if wanted is None:
        column = find_totals(counts.cells, sums)
    else:
        column = wanted.totals_from or find_totals(counts.cells, sums)
    if column is None:
        n_genes = len(counts.gene_ids)
        advice = [_Advice(_cut_genes(n_genes))] if n_genes < _FEW_GENES else []
        return counts, replace(choices, totals_from=None), advice
    values = _numbers(counts.cells, column)
    if not covers(values, sums):
        msg = f"Column {column!r} is smaller than the counts of some cells, so it is not their total. Choose another."
        raise DatasetError(msg, "not-totals")
    share = float(sums.sum() / max(values.sum(), 1.0))
    finding = Finding(
        code="totals-from-column",
        level="note",
        title=f'The total count of each cell is taken from column "{column}"',
        reason=(
            f"The file holds {share:.0%} of the molecules that this column counts, so it was cut to fewer genes. "
            "Normalising by the full total keeps values comparable with other files."
        ),
    )
    return replace(counts, totals=np.maximum(values, sums)), replace(choices, totals_from=column), [_Advice(finding)]


def _numbers(cells: pd.DataFrame, column: str) -> NDArray[np.float64]:
    if column not in cells.columns or not pd.api.types.is_numeric_dtype(cells[column]):
        msg = f"The cell table has no column of numbers named {column!r}. Choose one of its columns."
        raise DatasetError(msg, "no-such-column")
    return np.asarray(cells[column].to_numpy(dtype=np.float64, na_value=np.nan))


def _cut_genes(n_genes: int) -> Finding:
    return Finding(
        code="cut-genes",
        level="warning",
        title=f"The file holds only {n_genes:,} genes",
        reason=(
            "It seems to have been cut to a selection, and no column tells the full count of each cell. The total of a "
            "cell is then the sum over these genes, and models that rank or normalise genes see a distorted cell. "
            "Bring the full matrix where you can."
        ),
    )


def _emptied(counts: _Counts, choices: Choices, wanted: Choices | None) -> tuple[_Counts, Choices, list[_Advice]]:
    """Report cells and genes without counts, and leave them out where a person wants that."""
    full_cells = np.asarray(counts.matrix.sum(axis=1, dtype=np.float64)).ravel() > 0
    full_genes = np.asarray(counts.matrix.sum(axis=0, dtype=np.float64)).ravel() > 0
    drop_cells = bool(wanted and wanted.drop_empty_cells and not full_cells.all())
    drop_genes = bool(wanted and wanted.drop_empty_genes and not full_genes.all())
    advice = [
        *_empty_advice("cells", int(np.count_nonzero(~full_cells)), dropped=drop_cells),
        *_empty_advice("genes", int(np.count_nonzero(~full_genes)), dropped=drop_genes),
    ]
    kept_cells = np.flatnonzero(full_cells) if drop_cells else np.arange(len(full_cells))
    kept_genes = np.flatnonzero(full_genes) if drop_genes else np.arange(len(full_genes))
    if drop_cells or drop_genes:
        counts = _Counts(
            matrix=counts.matrix[kept_cells][:, kept_genes],
            gene_ids=tuple(counts.gene_ids[i] for i in kept_genes),
            symbols=tuple(counts.symbols[i] for i in kept_genes),
            cells=counts.cells.iloc[kept_cells],
            totals=None if counts.totals is None else counts.totals[kept_cells],
        )
    return counts, choices, advice


def _empty_advice(what: str, n_empty: int, *, dropped: bool) -> list[_Advice]:
    if not n_empty:
        return []
    if dropped:
        title, reason = f"{n_empty:,} {what} without any count were left out", "You asked for it."
        return [_Advice(Finding(code=f"empty-{what}-dropped", level="note", title=title, reason=reason))]
    reasons = {
        "cells": "They are kept, but models give them no vector and maps do not draw them.",
        "genes": "They are kept, so that a gene that was measured and not seen can be told from one not measured.",
    }
    finding = Finding(
        code=f"empty-{what}",
        level="warning" if what == "cells" else "note",
        title=f"{n_empty:,} {what} have no counts",
        reason=reasons[what],
    )
    return [_Advice(finding, f"Leave out empty {what}", ((f"drop_empty_{what}", True),))]


def _plausible(counts: _Counts, choices: Choices, wanted: Choices | None) -> tuple[_Counts, Choices, list[_Advice]]:
    n_cells, n_genes = counts.matrix.shape
    if n_cells == 0 or n_genes == 0:
        finding = Finding(
            code="empty",
            level="refusal",
            title="Nothing is left",
            reason=f"The file has {n_cells:,} cells and {n_genes:,} genes with counts. Bring a file that holds both.",
        )
        return counts, choices, [_Advice(finding)]
    advice = []
    if n_cells < _FEW_CELLS:
        finding = Finding(
            code="few-cells",
            level="warning",
            title=f"Only {n_cells:,} cells",
            reason="Maps, clusters and tests between groups say little with so few cells.",
        )
        advice.append(_Advice(finding))
    sums = np.asarray(counts.matrix.sum(axis=1, dtype=np.float64)).ravel()
    if n_cells > 20_000 and float(np.mean(sums < _EMPTY_DROPLET)) > 0.5 and n_genes >= _FEW_GENES:
        finding = Finding(
            code="unfiltered",
            level="warning",
            title="Most of these are empty droplets, not cells",
            reason=(
                f"{float(np.mean(sums < _EMPTY_DROPLET)):.0%} of {n_cells:,} barcodes have fewer than "
                f"{_EMPTY_DROPLET} molecules. This looks like the raw matrix; bring the filtered one."
            ),
        )
        advice.append(_Advice(finding, "Leave out empty cells", (("drop_empty_cells", True),)))
    return counts, choices, advice


def _columns_chosen(cells: pd.DataFrame, wanted: Choices | None) -> Choices:
    if wanted is None:
        roles: dict[Role, str] = find_roles(cells)
        return Choices(
            batch=roles.get("batch"),
            donor=roles.get("donor"),
            condition=roles.get("condition"),
            cell_type=roles.get("cell_type"),
        )
    missing = [column for column in wanted.roles.values() if column not in cells.columns]
    if missing:
        msg = (
            f"The cell table has no column {missing[0]!r}. Choose one of: "
            f"{', '.join(str(name) for name in cells.columns) or 'it has none'}."
        )
        raise DatasetError(msg, "no-such-column")
    return wanted


def _columns(counts: _Counts, choices: Choices, wanted: Choices | None) -> tuple[_Counts, Choices, list[_Advice]]:
    """Say which columns play which part, and whether condition and batch can be told apart."""
    if not choices.roles:
        finding = Finding(
            code="no-columns",
            level="note",
            title="No column names batch, donor, condition or cell type",
            reason="Cells can be coloured and grouped by clusters. To compare samples, bring a cell table with them.",
        )
        return counts, choices, [_Advice(finding)]
    words = [
        f'{role.replace("_", " ")} in "{column}" ({counts.cells[column].nunique():,} groups)'
        for role, column in choices.roles.items()
    ]
    finding = Finding(
        code="columns",
        level="good",
        title="Columns: " + ", ".join(words),
        reason="Chosen by name and content. Change them where this is wrong.",
    )
    return counts, choices, [_Advice(finding), *_confounding_advice(counts.cells, choices)]


def _confounding_advice(cells: pd.DataFrame, choices: Choices) -> list[_Advice]:
    batch = choices.batch or choices.donor
    if choices.condition is None or batch is None or choices.condition == batch:
        return []
    how = confounding(cells[choices.condition], cells[batch])
    if how == "crossed":
        return []
    names = f'"{choices.condition}" and "{batch}"'
    if how == "nested":
        finding = Finding(
            code="condition-nested",
            level="note",
            title=f"Every batch holds one condition ({names})",
            reason="Each condition has several batches, so compare conditions between batches, not between cells.",
        )
        return [_Advice(finding)]
    finding = Finding(
        code="condition-confounded",
        level="warning",
        title=f"Condition and batch cannot be told apart ({names})",
        reason=(
            "Every batch holds one condition, and a condition has a single batch. A difference between the conditions "
            "may come from the handling of the samples; correcting for batch would remove the effect as well."
        ),
    )
    return [_Advice(finding)]
