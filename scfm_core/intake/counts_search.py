"""Finds the raw counts among the matrices of a file, or says in plain words why there are none."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm_core.errors import DatasetError
from scfm_core.intake.contents import Candidate
from scfm_core.intake.findings import Finding
from scfm_core.intake.values import Judgement, Kind, common_offset, data_over, judge

_AS_THEY_ARE: tuple[Kind, ...] = ("counts", "thinned", "binary")
_RECOVERABLE: tuple[Kind, ...] = ("times-constant", "normalised", "log")
_COUNTS_NAME = re.compile(r"(^|[/_.])(raw_?)?(counts?|umis?|raw)($|[_.])", re.IGNORECASE)
_PARTIAL_NAME = re.compile(r"spliced|ambiguous|denois|decont|ambient|soup|binar|knn|imput|smooth|magic", re.IGNORECASE)

_IN_WORDS: dict[Kind, str] = {
    "counts": "raw counts",
    "thinned": "counts thinned to one total",
    "rounded-normalised": "normalised values rounded to whole numbers",
    "times-constant": "counts times a constant",
    "ambient-corrected": "ambient-corrected counts with fractions",
    "normalised": "normalised values",
    "log": "log-transformed values",
    "scaled": "z-scores",
    "residuals": "centred residuals",
    "negative": "values below zero",
    "not-finite": "missing or infinite values",
    "binary": "only zeros and ones",
    "empty": "nothing but zeros",
}
_WHY_NOT: dict[Kind, str] = {
    "rounded-normalised": (
        "The values are whole numbers, but no counts: inside the cells small integers are missing that raw counts "
        "always have, or the totals of all cells are nearly equal. That happens when normalised values are rounded."
    ),
    "ambient-corrected": (
        "Most values lie a little below a whole number, as they do after ambient RNA was subtracted (SoupX, DecontX). "
        "The models need whole counts; the part that was subtracted cannot be computed back."
    ),
    "normalised": (
        "The values have fractions and were divided by the depth of the cell (CPM, counts per 10,000, TPM or the "
        "like), and they cannot be turned back into counts exactly."
    ),
    "log": "The values are logarithms of normalised counts, and they cannot be turned back into counts exactly.",
    "scaled": (
        "Every gene was centred on zero and divided by its standard deviation (scaling, z-scores). "
        "Counts cannot be computed back from that."
    ),
    "residuals": (
        "Every gene is centred on zero with a spread of its own, as residuals of a model are (SCTransform, Pearson "
        "residuals). Counts cannot be computed back from that."
    ),
    "negative": (
        "Some values are below zero, as after batch correction or the subtraction of a background. Counts never are."
    ),
    "not-finite": "Some values are missing (NaN) or infinite, so the numbers of this matrix cannot be trusted.",
    "binary": "Every value is zero or one. The counts were reduced to present or absent.",
    "empty": "The matrix holds nothing but zeros.",
}
_TITLES: dict[Kind, str] = {
    "rounded-normalised": "These are rounded normalised values, not counts",
    "ambient-corrected": "These counts have fractions: ambient RNA was subtracted",
    "normalised": "The file holds normalised values, not counts",
    "log": "The file holds log-transformed values, not counts",
    "scaled": "The file holds scaled values, not counts",
    "residuals": "The file holds residuals, not counts",
    "negative": "The file holds values below zero, so these are no counts",
    "not-finite": "The file holds missing or infinite values",
    "binary": "The file says only present or absent, not how many",
    "empty": "The file holds no counts at all",
}
_BRING = (
    "Bring the matrix of raw UMI counts: the filtered matrix that Cell Ranger or STARsolo writes, adata.raw or "
    'adata.layers["counts"] in Python, or the "counts" layer of the RNA assay in Seurat.'
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The counts of a file.

    Attributes
    ----------
    source
        As `Choices.counts_from` names it; empty where the file has none.
    matrix
        Whole numbers, shape ``(n_cells, n_genes)``; None where the file has none.
    genes
        Gene table of the matrix.
    finding
        Where they were found and what was done, or why there are none.
    round_from
        The matrix that could be rounded to whole counts with one click; empty where none.
    """

    source: str
    matrix: csr_matrix | None
    genes: pd.DataFrame
    shape: tuple[int, int]
    finding: Finding
    round_from: str = ""


def find_counts(candidates: tuple[Candidate, ...], wanted: str = "") -> Found:
    """Look at the values of every matrix and return the raw counts.

    Matrices of counts come first, among those the one with the most genes, then the one whose name says counts. Where
    there is none, a matrix from which the counts can be computed back exactly is taken.

    Parameters
    ----------
    candidates
        The matrices of the file, at least one.
    wanted
        The matrix a person chose, as `Choices.counts_from` names it; empty for the best one.
    """
    judged = [(candidate, judge(candidate.values.sample())) for candidate in candidates]
    if wanted:
        return _as_wanted(judged, wanted)
    ranked = sorted(enumerate(judged), key=lambda item: (_rank(item[1][0]), item[0]))
    failed: tuple[Candidate, Judgement] | None = None
    for _, (candidate, judgement) in ranked:
        if judgement.kind not in _AS_THEY_ARE:
            continue
        matrix = candidate.values.load()
        whole = judge(matrix)
        if whole.kind in ("counts", "thinned"):
            return _direct(candidate, whole, matrix, judged)
        failed = failed or (candidate, whole)
    for _, (candidate, judgement) in ranked:
        if judgement.kind in _RECOVERABLE:
            recovered = _recovered(candidate, judgement)
            if recovered is not None:
                return recovered
    return _refused(*(failed or judged[0]), judged)


def _rank(candidate: Candidate) -> tuple[bool, int, bool]:
    by_name = bool(_COUNTS_NAME.search(candidate.name))
    return bool(_PARTIAL_NAME.search(candidate.name)), -candidate.values.shape[1], not by_name


def _as_wanted(judged: list[tuple[Candidate, Judgement]], wanted: str) -> Found:
    how, _, name = wanted.rpartition(":")
    by_name = {candidate.name: (candidate, judgement) for candidate, judgement in judged}
    if name not in by_name or how not in ("", "recovered", "rounded"):
        msg = f"The file has no matrix {wanted!r}; it has {', '.join(by_name)}. Choose one of these."
        raise DatasetError(msg, "no-such-matrix")
    candidate, _ = by_name[name]
    matrix = candidate.values.load()
    judgement = judge(matrix)
    if how == "rounded" and judgement.kind == "ambient-corrected":
        return _rounded(candidate, matrix)
    if how == "recovered" and judgement.kind in _RECOVERABLE:
        return _recovered(candidate, judgement) or _refused(candidate, judgement, judged)
    if judgement.kind in ("counts", "thinned"):
        return _direct(candidate, judgement, matrix, judged)
    return _refused(candidate, judgement, judged)


def _direct(
    candidate: Candidate, judgement: Judgement, matrix: csr_matrix, judged: list[tuple[Candidate, Judgement]]
) -> Found:
    where = place(candidate.name)
    others = _others(candidate.name, judged)
    if judgement.kind == "thinned":
        finding = Finding(
            code="thinned-counts",
            level="note",
            title=f"Raw counts in {where}, thinned to one total",
            reason=f"Most cells have exactly the same total, as after downsampling. These are counts still.{others}",
        )
        return _found(candidate.name, candidate, matrix, finding)
    main = candidate.name == "X"
    finding = Finding(
        code="counts-found" if main else "counts-elsewhere",
        level="good" if main else "note",
        title=f"Raw counts in {where}",
        reason=f"All values are whole numbers and lie as molecule counts do.{others}",
    )
    return _found(candidate.name, candidate, matrix, finding)


def _others(chosen: str, judged: list[tuple[Candidate, Judgement]]) -> str:
    rest = [
        f"{place(candidate.name)} ({_IN_WORDS[judgement.kind]}, {candidate.values.shape[1]:,} genes)"
        for candidate, judgement in judged
        if candidate.name != chosen
    ]
    return f" Not taken: {'; '.join(rest)}." if rest else ""


def _recovered(candidate: Candidate, judgement: Judgement) -> Found | None:
    """Compute counts back from a matrix; None where that is not exact."""
    from scfm_core.intake.recover import recover_counts

    where = place(candidate.name)
    loaded = candidate.values.load()
    if loaded.data.size and not np.isfinite(loaded.data).all():
        return None
    if judgement.kind == "times-constant":
        whole = judge(loaded)
        if whole.kind != "times-constant":
            return None
        matrix = csr_matrix((data_over(loaded, whole.factor), loaded.indices, loaded.indptr), loaded.shape)
        how = f"All values of {where} are whole multiples of {whole.factor:g}, so they were divided by it."
    else:
        back = recover_counts(loaded)
        offset = common_offset(loaded) if back is None else 0.0
        if offset:
            back = recover_counts(csr_matrix((loaded.data - offset, loaded.indices, loaded.indptr), loaded.shape))
        if back is None or judge(back).kind not in ("counts", "thinned"):
            return None
        matrix = back
        how = (
            f"{where[0].upper()}{where[1:]} holds {_IN_WORDS[judgement.kind]}, but inside every cell the values are "
            "whole multiples of one number, the value of a single molecule. Dividing by it gives the counts back."
        )
        how += f" A constant of {offset:.1g} that had been added to every value was taken off first." if offset else ""
    finding = Finding(
        code="counts-recovered",
        level="note",
        title=f"Raw counts computed back from {where}",
        reason=f"{how} The result is whole numbers that lie as molecule counts do.",
    )
    return _found(f"recovered:{candidate.name}", candidate, matrix, finding)


def _rounded(candidate: Candidate, matrix: csr_matrix) -> Found:
    whole = csr_matrix((data_over(matrix, 1.0), matrix.indices, matrix.indptr), matrix.shape)
    whole.eliminate_zeros()
    kept = float(whole.sum()) / max(float(matrix.sum()), 1.0)
    finding = Finding(
        code="counts-rounded",
        level="warning",
        title=f"Ambient-corrected values of {place(candidate.name)} rounded to whole counts",
        reason=f"Rounding changes the total by {kept - 1:+.1%}. Genes with little expression are affected most.",
    )
    return _found(f"rounded:{candidate.name}", candidate, whole, finding)


def _refused(candidate: Candidate, judgement: Judgement, judged: list[tuple[Candidate, Judgement]]) -> Found:
    kind = judgement.kind
    finding = Finding(
        code=kind if kind != "times-constant" else "rounded-normalised",
        level="refusal",
        title=_TITLES.get(kind, "The file holds no raw counts"),
        reason=f"{_WHY_NOT.get(kind, '')}{_where_else(candidate, judged)} {_BRING}".strip(),
    )
    round_from = candidate.name if kind == "ambient-corrected" else ""
    return Found(
        source="",
        matrix=None,
        genes=candidate.genes,
        shape=candidate.values.shape,
        finding=finding,
        round_from=round_from,
    )


def _where_else(candidate: Candidate, judged: list[tuple[Candidate, Judgement]]) -> str:
    others = [f"{place(c.name)} holds {_IN_WORDS[j.kind]}" for c, j in judged if c.name != candidate.name]
    said = f" This is {place(candidate.name)}"
    return f"{said}; {'; '.join(others)}." if others else ""


def _found(source: str, candidate: Candidate, matrix: csr_matrix, finding: Finding) -> Found:
    return Found(source=source, matrix=matrix, genes=candidate.genes, shape=matrix.shape, finding=finding)


def place(name: str) -> str:
    """Return the name of a matrix in words.

    Examples
    --------
    >>> place("layers/counts")
    'the layer "counts"'
    """
    if name.startswith("layers/"):
        return f'the layer "{name.removeprefix("layers/")}"'
    return {"X": "the main matrix (X)", "raw": "the raw matrix (raw.X)"}.get(name, name)


