"""What does an edit of the input do to cells, read out as the authors of Geneformer do?

`authors_states` chooses the cells, `authors_passes` holds what the workers do, `authors_tables` builds the tables,
`authors_statistics` what the authors compute from them; `scfm_core.token_shifts` says what is compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.authors_checks import require_edits, require_model, require_rows, require_vocabulary
from scfm_core.analyses.authors_passes import (
    Readout,
    compare_edits,
    compare_every_gene,
    find_positions,
    scan_cells,
)
from scfm_core.analyses.authors_states import AverageStates, State, States, require_different
from scfm_core.analyses.authors_tables import Asked, Measured, Scanned, cells_table, edits_table, genes_table
from scfm_core.analyses.authors_words import chosen_cells, left_out_words
from scfm_core.analyses.edited_cells import Kind
from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk, require_organism
from scfm_core.analyses.perturbation_passes import Passes, some_pairs
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request
from scfm_core.tokens import GeneEdit

if TYPE_CHECKING:
    from scfm_core.token_shifts import Reading

__all__ = ["AuthorsReadout", "Kind", "PerturbAsAuthors", "State", "States"]

_CELLS_READ_AT_ONCE = 512


@dataclass(frozen=True)
class AuthorsReadout:
    """What edits did to cells.

    Attributes
    ----------
    cells
        One row per cell and edit, cells in the order of the dataset: ``cell``, ``edit`` (such as
        ``delete:ENSG00000136997``, a group joined by ``+``), and ``cosine_similarity`` (1: nothing moved), or, where
        states were given, ``shift_to:<state>`` for start, goal and each alternative (above 0: closer to it).
    genes
        One row per cell, edit and other gene, where asked for: ``cell``, ``edit``, ``gene_id``, ``cosine_similarity``.
    edits
        One row per edit: ``edit``, ``kind``, ``gene_ids``, ``symbols`` and ``tokens`` (positions in the vocabulary),
        each joined with ``;``, and ``n_cells``.
    states
        What the states are called: start, goal, alternatives; empty without states.
    state_vectors
        Their mean vectors, shape ``(n_states, embedding_size)``, float64.
    left_out
        What took no part, and why: one sentence each.
    n_passes
        How many times a cell went through the model.
    every_gene
        Whether every gene of each cell was edited, one at a time.
    """

    cells: pd.DataFrame
    genes: pd.DataFrame
    edits: pd.DataFrame
    states: tuple[str, ...]
    state_vectors: NDArray[np.float64]
    left_out: tuple[str, ...]
    n_passes: int
    every_gene: bool


@dataclass(frozen=True)
class PerturbAsAuthors(Request[AuthorsReadout]):
    """Edit genes in the input of cells, and compare as Geneformer's own code does.

    Deletion, inhibition and activation are made in cells that hold all genes of the edit; overexpression in all cells.
    With states, only cells of the start state are edited. A column ``filter_pass`` of the cell table is heeded as the
    authors do: cells where it is not 1 take no part.

    Parameters
    ----------
    baseline
        Dataset, model and options. The pooling decides what is compared, see `scfm_core.token_shifts.compare`.
    edits
        Each inner tuple is made together, all of one kind.
    every_gene
        Instead of ``edits``: make this edit with each gene of each cell, one at a time. Overexpression begins at the
        second gene, as the first is at the front already.
    max_genes
        With ``every_gene``: only so many genes of each cell, the highest-ranked.
    cells
        Which cells; all where None.
    states
        Measure shifts toward states instead of similarities.
    gene_level
        Also compare every other gene before and after.
    quartiles
        By how many quartiles of the ranks ``every_gene`` inhibits or activates.

    Raises
    ------
    RequestError
        If there is nothing to edit, the model does not read ranked genes, or a gene, column or value is unknown.

    References
    ----------
    Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9, Methods, and the class ``InSilicoPerturber`` published with
    the model; where that code contradicts itself, `tests/analyses/test_perturb_as_authors.py` names the case.
    """

    baseline: EmbedCells
    edits: tuple[tuple[GeneEdit, ...], ...] = ()
    every_gene: Kind | None = None
    max_genes: int | None = None
    cells: CellSet | None = None
    states: States | None = None
    gene_level: bool = False
    quartiles: int = 1

    result_type: ClassVar[type] = AuthorsReadout

    def __post_init__(self) -> None:
        require_edits(self)
        require_model(self)
        n_cells = self.baseline.dataset.n_cells
        if self.cells is not None and (self.cells.n_cells != n_cells or not len(self.cells)):
            msg = f"Expected some of the dataset's {n_cells:,} cells, found {self.cells!r}. Choose the cells again."
            raise RequestError(msg, "no-cells")
        if self.states is not None:
            require_different(self.states.all)
            for state in self.states.all:
                state.mask(self.baseline.dataset)

    def run(self, context: Context) -> AuthorsReadout:
        """See `Request.run`."""
        dataset, model = self.baseline.dataset, self.baseline.model
        require_organism(dataset, model)
        readout = Readout(dataset, model, self.baseline.chosen_options)
        cells, words = chosen_cells(self)
        asked = _asked(context, self, readout)
        averages = None if self.states is None else context.compute(AverageStates(self.baseline, self.states.all))
        vectors = np.zeros((0, model.embedding_size)) if averages is None else np.asarray(averages.vectors)
        scanned = _scan(context, readout, asked, cells)
        words += left_out_words(self, asked, scanned)
        for sentence in words:
            context.log(sentence)
        measured = _measure(context, self, asked, (readout, scanned, vectors))
        n_unusable = int(np.isnan(measured.values).any(axis=1).sum())
        if n_unusable:
            edits = "edit" if n_unusable == 1 else "edits"
            words.append(f"{n_unusable:,} {edits} took the last gene of a cell, so that nothing could be compared.")
        states = () if self.states is None else self.states.names
        n_state_cells = 0 if averages is None else int(averages.n_cells.sum())
        return AuthorsReadout(
            cells=cells_table(dataset, scanned, measured, states),
            genes=genes_table(dataset, scanned, measured),
            edits=edits_table(dataset, measured),
            states=states,
            state_vectors=vectors,
            left_out=tuple(words),
            n_passes=len(measured.values) + len(np.unique(measured.cell)) + n_state_cells,
            every_gene=self.every_gene is not None,
        )


def estimated_passes(request: PerturbAsAuthors, *, genes_per_cell: int = 1000) -> int:
    """Return about how many times a cell will go through the model, from the number of cells alone."""
    n_cells = len(chosen_cells(request)[0])
    per_cell = len(request.edits) if request.every_gene is None else min(request.max_genes or 10**9, genes_per_cell)
    return n_cells * (per_cell + 1)


def _asked(context: Context, request: PerturbAsAuthors, readout: Readout) -> Asked:
    gene_ids = [single.gene_id for edit in request.edits for single in edit]
    step = f"Loading {readout.model.title}"
    found = context.call(partial(find_positions, readout, gene_ids), step=step)
    require_vocabulary(request, gene_ids, found["positions"])
    ends = np.cumsum([0, *(len(edit) for edit in request.edits)])
    positions = [found["positions"][start:stop] for start, stop in pairwise(ends)]
    return Asked(request.edits, tuple(positions), request.every_gene, found["vocabulary"])


def _scan(context: Context, readout: Readout, asked: Asked, cells: NDArray[np.int64]) -> Scanned:
    pieces = [cells[start : start + _CELLS_READ_AT_ONCE] for start in range(0, len(cells), _CELLS_READ_AT_ONCE)]
    function = partial(scan_cells, readout, asked.positions)
    sizes = [len(piece) for piece in pieces]
    parts = list(context.map(function, pieces, step="Looking which cells hold the genes", sizes=sizes))
    n_genes = np.concatenate([part["n_genes"] for part in parts])
    return Scanned(cells, n_genes, np.concatenate([part["holds"] for part in parts]))


def _measure(
    context: Context, request: PerturbAsAuthors, asked: Asked, known: tuple[Readout, Scanned, NDArray[np.float64]]
) -> Measured:
    from scfm_core.token_shifts import Reading  # torch is slow to import

    readout, scanned, vectors = known
    place, number = scanned.pairs(asked, request.max_genes)
    if request.gene_level:
        require_rows(int(scanned.n_genes[place].sum(dtype=np.int64)))
    work = some_pairs(scanned.cells[place], number, passes_per_chunk=cells_per_chunk(readout.model))
    parts = list(_parts(context, request, (readout, Reading(readout.options, vectors, request.gene_level)), work))
    starts = np.cumsum([0, *(len(passes) for passes in work)])
    return Measured(
        asked=asked,
        cell=place,
        number=number if request.every_gene is None else np.concatenate([part["edited_gene"] for part in parts]),
        values=np.concatenate([part["values"] for part in parts]),
        pair=np.concatenate([part["pair"] + start for part, start in zip(parts, starts[:-1], strict=True)]),
        gene=np.concatenate([part["gene"] for part in parts]),
        similarity=np.concatenate([part["similarity"] for part in parts]),
    )


def _parts(
    context: Context, request: PerturbAsAuthors, known: tuple[Readout, "Reading"], work: list[Passes]
) -> Iterator[dict[str, NDArray[Any]]]:
    readout, reading = known
    sizes = [len(passes) for passes in work]
    if request.every_gene is None:
        function = partial(compare_edits, readout, reading, request.edits)
        return context.map(function, work, step="Editing cells", sizes=sizes, unit="passes")
    screen = partial(compare_every_gene, readout, reading, request.every_gene, request.quartiles)
    return context.map(screen, work, step="Editing every gene", sizes=sizes, unit="passes")
