"""Which cells an authors' readout leaves out, in words, and what it refuses; knows the request, runs no model."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.authors_states import FILTER_COLUMN, passes_filter, start_cells
from scfm_core.analyses.authors_tables import Asked, Scanned
from scfm_core.errors import RequestError

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_as_authors import AuthorsReadout, PerturbAsAuthors

_NAMED = 12
_TOLD = 3


def chosen_cells(request: "PerturbAsAuthors") -> tuple[NDArray[np.int64], list[str]]:
    """Return the positions of the cells that may be edited, and what is left out by the cell table.

    Raises
    ------
    RequestError
        If no cell is left.
    """
    dataset, states = request.baseline.dataset, request.states
    wanted = np.ones(dataset.n_cells, dtype=bool) if request.cells is None else request.cells.mask
    passes = passes_filter(dataset)
    words = []
    n_failing = int((wanted & ~passes).sum())
    if n_failing:
        words.append(
            f"{_counted(n_failing)} left out, as the authors' code does: {FILTER_COLUMN} is not 1. They are part of "
            "embeddings, but of no state and no perturbation."
        )
    start = start_cells(dataset, states)
    n_others = int((wanted & passes & ~start).sum())
    if states is not None and n_others:
        words.append(f"{_counted(n_others)} left out: not in the start state {states.start.value}.")
    cells = np.flatnonzero(wanted & passes & start)
    if not len(cells):
        msg = "No cell is left to edit. " + " ".join(words) + " Choose other cells."
        raise RequestError(msg, "no-cells")
    return cells, words


def left_out_words(request: "PerturbAsAuthors", asked: Asked, scanned: Scanned) -> list[str]:
    """Say which cells each edit leaves out, and that a pooling is not the authors' own.

    Raises
    ------
    RequestError
        If no edit can be made in any cell.
    """
    words = []
    n_empty = int((scanned.n_genes == 0).sum())
    if n_empty:
        words.append(f"{_counted(n_empty)} left out, without a gene of the model.")
    usable = scanned.usable(asked)
    n_cells, n_usable = len(scanned.cells), usable.sum(axis=0)
    if n_empty == n_cells or (asked.edits and not n_usable.any()):
        what = ", ".join(asked.labels[:_NAMED]) or "the genes"
        msg = (
            f"None of the {n_cells:,} cells holds all genes of {what}, so there is nothing to edit. Choose other "
            "genes or cells; overexpression needs no cell that holds the gene."
        )
        raise RequestError(msg, "gene-not-held")
    for label, number in list(zip(asked.labels, n_usable, strict=True))[:_NAMED]:
        without = n_cells - n_empty - int(number)
        if without:
            words.append(f"{label}: {_counted(without)} left out, without all of its genes.")
    return words + pooling_words(request, asked)


def pooling_words(request: "PerturbAsAuthors", asked: Asked) -> list[str]:
    """Say where what is asked for goes beyond what the authors' code does."""
    model, pooling = request.baseline.model, request.baseline.chosen_options.pooling
    words = []
    if "cls" in model.poolings and pooling != "cls":
        words.append(
            f"Read from the mean of the genes: the authors read {model.title} from the vector of <cls> (--pool cls) "
            "and their code refuses this one."
        )
    if asked.every_gene in ("inhibit", "activate") or any(label.startswith(("i", "a")) for label in asked.labels):
        words.append("Inhibition and activation are described by the authors, but their code does not make them.")
    return words


def readout_sentences(readout: "AuthorsReadout") -> list[str]:
    """Say what edits did on average, the strongest first; at most three of them."""
    column = f"shift_to:{readout.states[1]}" if readout.states else "cosine_similarity"
    means = readout.cells.groupby("edit", sort=False)[column].mean().sort_values(ascending=not readout.states)
    n_cells = dict(zip(readout.edits["edit"], readout.edits["n_cells"], strict=True))
    symbols = dict(zip(readout.edits["edit"], readout.edits["symbols"].str.replace(";", " and "), strict=True))
    words = []
    for edit, mean in list(means.items())[:_TOLD]:
        kind, where = str(edit).partition(":")[0], "1 cell" if n_cells[edit] == 1 else f"{n_cells[edit]:,} cells"
        if readout.states:
            toward = "closer to" if mean > 0 else "away from"
            told = f"shifts them {toward} {readout.states[1]}, by {mean:+.3g} on average as a difference of cosines"
        else:
            told = f"leaves them at a mean cosine similarity of {mean:.6f}, where 1 means that nothing moved"
        words.append(f"To {kind} {symbols[edit]} in {where} {told}.")
    if len(means) > _TOLD:
        words.append(f"These are the strongest of {len(means):,} edits.")
    return [*words, "This is a statement about the model's input, not an experiment; cells are not replicates."]


def _counted(n_cells: int) -> str:
    return "1 cell is" if n_cells == 1 else f"{n_cells:,} cells are"
