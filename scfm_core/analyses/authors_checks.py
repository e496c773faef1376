"""What an authors' readout refuses, in words; runs no model."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.edited_cells import Kind, kind_of
from scfm_core.errors import RequestError
from scfm_core.tokens import GeneEdit

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_as_authors import PerturbAsAuthors

MAX_GENE_ROWS = 200_000_000
_NAMED = 12


def require_edits(request: "PerturbAsAuthors") -> None:
    """Raise a `RequestError` where the edits of a request contradict each other, or there are none."""
    if bool(request.edits) == (request.every_gene is not None) or not all(request.edits):
        msg = "Expected genes to edit, or every gene of each cell, and not both. Name the genes, or choose the screen."
        raise RequestError(msg, "no-genes")
    if any(len({type(single) for single in edit}) > 1 for edit in request.edits):
        msg = "Expected edits of one kind in a group, found several. Ask for deletions and other edits one by one."
        raise RequestError(msg, "mixed-edit")
    if len({_key(edit) for edit in request.edits}) < len(request.edits):
        msg = "The same edit stands in the request twice. Name each gene, or group of genes, once."
        raise RequestError(msg, "repeated-edit")
    if request.max_genes is not None and (request.every_gene is None or request.max_genes < 1):
        msg = f"Expected at least 1 gene per cell, and every gene of a cell asked for; found {request.max_genes}."
        raise RequestError(msg, "out-of-range")
    if not 1 <= request.quartiles <= 3:
        msg = f"A gene moves by 1 to 3 quartiles of the ranks, found {request.quartiles}."
        raise RequestError(msg, "out-of-range")


def _key(edit: tuple[GeneEdit, ...]) -> tuple[Kind, frozenset[str] | tuple[str, ...]]:
    """Return what makes an edit another one: the order of the genes only where they are put to the front by it."""
    kind, gene_ids = kind_of(edit[0]), tuple(single.gene_id for single in edit)
    return kind, gene_ids if kind == "overexpress" else frozenset(gene_ids)


def require_model(request: "PerturbAsAuthors") -> None:
    """Raise a `RequestError` where the model cannot make the edits, or does not read ranked genes."""
    model = request.baseline.model
    wanted = {kind_of(single) for edit in request.edits for single in edit}
    wanted |= {request.every_gene} if request.every_gene else set()
    if not model.has_gene_vectors:
        msg = (
            f"{model.title} does not read genes by rank, so the authors' readout means nothing for it. Choose a model "
            "such as scfm-mini or Geneformer, or the other readout."
        )
        raise RequestError(msg, "no-ranks")
    missing = sorted(wanted - set(model.gene_edits))
    if missing:
        can = ", ".join(model.gene_edits) or "edit none"
        msg = f"{model.title} cannot {' or '.join(missing)} a gene. It can: {can}."
        raise RequestError(msg, "unknown-edit")


def require_vocabulary(request: "PerturbAsAuthors", gene_ids: list[str], positions: NDArray[np.int64]) -> None:
    """Raise a `RequestError` where the model does not know a gene.

    (The authors' code looks up nothing, finds no cell that holds it, and fails on that.)
    """
    missing = [gene_id for gene_id, position in zip(gene_ids, positions, strict=True) if position < 0]
    if missing:
        title = request.baseline.model.title
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        msg = (
            f"{title} does not know {', '.join(missing[:_NAMED])}{more}. It reads {request.baseline.model.vocabulary}. "
            "Choose genes that it reads."
        )
        raise RequestError(msg, "not-in-vocabulary")


def require_rows(n_rows: int) -> None:
    """Raise a `RequestError` where a table of single genes would become too long."""
    if n_rows > MAX_GENE_ROWS:
        msg = (
            f"Comparing every gene under every edit would give {n_rows:,} rows, more than {MAX_GENE_ROWS:,}. "
            "Choose fewer cells, fewer genes per cell, or named genes."
        )
        raise RequestError(msg, "too-many-rows")
