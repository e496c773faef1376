"""The tables of the authors' readout; knows no workers and runs no model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.edited_cells import Kind, kind_of
from scfm_core.dataset import Dataset
from scfm_core.genes import gene_table
from scfm_core.tokens import GeneEdit


@dataclass(frozen=True, eq=False)
class Asked:
    """Which edits were asked for, with what the model calls their genes.

    Attributes
    ----------
    edits
        As in the request; empty where every gene is edited.
    positions
        Of the genes of each edit in the vocabulary.
    every_gene
        As in the request.
    vocabulary
        Gene id at each position of the vocabulary; empty for a special token.
    """

    edits: tuple[tuple[GeneEdit, ...], ...]
    positions: tuple[NDArray[np.int64], ...]
    every_gene: Kind | None
    vocabulary: NDArray[np.str_]

    @property
    def labels(self) -> list[str]:
        """What each edit of the request is called."""
        return [f"{kind_of(edit[0])}:{'+'.join(single.gene_id for single in edit)}" for edit in self.edits]


@dataclass(frozen=True, eq=False)
class Scanned:
    """What the cells hold that may be edited.

    Attributes
    ----------
    cells
        Positions in the dataset, shape ``(n_cells,)``.
    n_genes
        How many genes the model reads of each, shape ``(n_cells,)``.
    holds
        Whether each cell holds all genes of each edit, shape ``(n_cells, n_edits)``.
    """

    cells: NDArray[np.int64]
    n_genes: NDArray[np.int32]
    holds: NDArray[np.bool_]

    def usable(self, asked: Asked) -> NDArray[np.bool_]:
        """Return which cells each edit is made in, shape ``(n_cells, n_edits)``."""
        anywhere = np.array([kind_of(edit[0]) == "overexpress" for edit in asked.edits], dtype=bool)
        usable: NDArray[np.bool_] = (self.holds | anywhere) & (self.n_genes > 0)[:, None]
        return usable

    def pairs(self, asked: Asked, max_genes: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the place in `cells`, and the number of the edit or the rank of the gene, of each pair, by cell."""
        if asked.every_gene is None:
            place, number = np.nonzero(self.usable(asked))
            return place, number
        first = 1 if asked.every_gene == "overexpress" else 0  # the strongest gene is at the front already
        n_edits = np.maximum(np.minimum(self.n_genes, max_genes or np.iinfo(np.int32).max).astype(np.int64) - first, 0)
        place = np.repeat(np.arange(len(self.cells)), n_edits)
        rank = np.arange(len(place)) - np.repeat(np.cumsum(n_edits) - n_edits, n_edits) + first
        return place, rank


@dataclass(frozen=True, eq=False)
class Measured:
    """What the workers measured, pairs ordered by cell.

    Attributes
    ----------
    cell, number
        Of each pair the place in `Scanned.cells`, and the number of the edit or, where every gene is edited, the
        position of the gene in the vocabulary, shape ``(n_pairs,)``.
    values
        Shape ``(n_pairs, n_values)``; NaN where the edit left no gene.
    pair, gene, similarity
        Of single genes: the pair, the position in the vocabulary, and the cosine, shape ``(n_compared,)``.
    """

    asked: Asked
    cell: NDArray[np.int64]
    number: NDArray[np.integer[Any]]
    values: NDArray[np.float64]
    pair: NDArray[np.int64]
    gene: NDArray[np.integer[Any]]
    similarity: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.object_]:
        """What the edit of each pair is called, shape ``(n_pairs,)``; equal labels are one object."""
        kind, names = self.asked.every_gene, self.asked.labels
        if kind is not None:
            names = [f"{kind}:{gene_id}" for gene_id in self.asked.vocabulary]
        labels: NDArray[np.object_] = np.array(names, dtype=object)[self.number]
        return labels


def cells_table(dataset: Dataset, scanned: Scanned, measured: Measured, states: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per cell and edit, see `AuthorsReadout.cells`."""
    names = _cell_names(dataset, scanned)[measured.cell]
    columns = [f"shift_to:{state}" for state in states] or ["cosine_similarity"]
    table = pd.DataFrame({"cell": names, "edit": measured.labels})
    for number, column in enumerate(columns):
        table[column] = measured.values[:, number]
    return table.iloc[np.flatnonzero(np.isfinite(measured.values).all(axis=1))].reset_index(drop=True)


def genes_table(dataset: Dataset, scanned: Scanned, measured: Measured) -> pd.DataFrame:
    """Return one row per cell, edit and gene, see `AuthorsReadout.genes`."""
    return pd.DataFrame(
        {
            "cell": _cell_names(dataset, scanned)[measured.cell[measured.pair]],
            "edit": measured.labels[measured.pair],
            "gene_id": measured.asked.vocabulary.astype(object)[measured.gene],
            "cosine_similarity": measured.similarity,
        }
    )


def edits_table(dataset: Dataset, measured: Measured) -> pd.DataFrame:
    """Return one row per edit, see `AuthorsReadout.edits`."""
    asked = measured.asked
    usable = np.isfinite(measured.values).all(axis=1)
    numbers, n_cells = np.unique(measured.number[usable], return_counts=True)
    if asked.every_gene is None:
        genes = [asked.positions[number].tolist() for number in numbers]
        labels = [asked.labels[number] for number in numbers]
        kinds: list[str] = [kind_of(asked.edits[number][0]) for number in numbers]
    else:
        genes = [[int(number)] for number in numbers]
        labels = [f"{asked.every_gene}:{asked.vocabulary[number]}" for number in numbers]
        kinds = [asked.every_gene] * len(numbers)
    ids = [[str(asked.vocabulary[gene]) for gene in row] for row in genes]
    symbol = symbols_of(dataset)
    return pd.DataFrame(
        {
            "edit": np.array(labels, dtype=object),
            "kind": np.array(kinds, dtype=object),
            "gene_ids": np.array([";".join(row) for row in ids], dtype=object),
            "symbols": np.array([";".join(symbol.get(each, each) for each in row) for row in ids], dtype=object),
            "tokens": np.array([";".join(map(str, row)) for row in genes], dtype=object),
            "n_cells": n_cells,
        }
    )


def symbols_of(dataset: Dataset) -> dict[str, str]:
    """Return the symbol of each gene that the dataset or the gene table knows."""
    own = dict(zip(dataset.gene_ids, dataset.gene_symbols, strict=True))
    return {**gene_table(dataset.organism).symbols, **own}


def _cell_names(dataset: Dataset, scanned: Scanned) -> NDArray[np.object_]:
    return dataset.cells().index.to_numpy(dtype=object)[scanned.cells]
