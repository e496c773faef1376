"""Counts with a known truth, and a small model with real arithmetic."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts, Dataset, NewDataset, write_dataset
from scfm_core.model import Arrays, CellStates, EmbedOptions, ModelSpec
from scfm_core.tokens import GeneEdit, Tokens, without_genes

SIZE = 6


def dataset_of(root: Path, counts: NDArray[np.integer], cells: dict | None = None, **fields: object) -> Dataset:
    """Write counts as a dataset with the genes ENSG00000000000, ENSG00000000001 and so on."""
    n_cells, n_genes = counts.shape
    new = {
        "matrix": csr_matrix(counts),
        "gene_ids": tuple(f"ENSG{number:011d}" for number in range(n_genes)),
        "gene_symbols": tuple(f"G{number}" for number in range(n_genes)),
        "cells": pd.DataFrame(cells or {}, index=[f"cell{number}" for number in range(n_cells)]),
        "organism": "human",
        **fields,
    }
    return write_dataset(root, NewDataset(**new))


def grouped_counts(n_cells: int, n_genes: int, n_groups: int, seed: int) -> tuple[NDArray, NDArray]:
    """Poisson counts in which each group expresses ten genes of its own five times as strongly; and the groups."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, n_groups, n_cells)
    level = rng.gamma(0.5, 2.0, n_genes)
    means = np.repeat(level[None], n_groups, axis=0)
    for group in range(n_groups):
        means[group, 10 * group : 10 * group + 10] = 5 * (level[10 * group : 10 * group + 10] + 0.5)
    depth = rng.lognormal(0, 0.3, n_cells)
    return rng.poisson(means[groups] * depth[:, None]), groups


class BagModel:
    """Sums of fixed gene vectors, weighted by rank; as a transformer does, it reads at most ``max_tokens`` genes."""

    def __init__(self, gene_ids: Sequence[str], *, max_tokens: int = 64, memory: int = 10**9) -> None:
        self.vectors = np.random.default_rng(7).standard_normal((len(gene_ids), SIZE)).astype(np.float32)
        self.gene_ids = tuple(gene_ids)
        self.position = {gene_id: number for number, gene_id in enumerate(gene_ids)}
        self.max_tokens, self.memory = max_tokens, memory
        self.largest_batch = 0

    def encode(self, counts: CellCounts) -> Tokens:
        known = np.array([self.position.get(gene_id, -1) for gene_id in counts.gene_ids])
        cells = []
        for row in range(counts.matrix.shape[0]):
            line = counts.matrix[row]
            order = np.lexsort((known[line.indices], -line.data.astype(int)))
            genes = known[line.indices[order]]
            cells.append(genes[genes >= 0][: self.max_tokens])
        offsets = np.concatenate([[0], np.cumsum([len(cell) for cell in cells])]).astype(np.int64)
        genes = np.concatenate(cells).astype(np.int32)
        return Tokens(genes, np.ones(len(genes), dtype=np.float32), offsets)

    def edit(self, tokens: Tokens, edits: Sequence[GeneEdit]) -> Tokens:
        return without_genes(tokens, np.array([self.position[edit.gene_id] for edit in edits]))

    def embed(self, tokens: Tokens, options: EmbedOptions) -> CellStates:
        padded = tokens.n_cells * int(tokens.lengths.max(initial=0))
        if padded > self.memory:
            raise MemoryError
        self.largest_batch = max(self.largest_batch, padded)
        rank = np.arange(len(tokens.genes)) - np.repeat(tokens.offsets[:-1], tokens.lengths)
        genes = (self.vectors[tokens.genes] / (1 + rank)[:, None]).astype(np.float32)
        cells = np.full((tokens.n_cells, SIZE), np.nan, dtype=np.float32)
        for cell in np.flatnonzero(tokens.lengths):
            cells[cell] = genes[tokens.offsets[cell] : tokens.offsets[cell + 1]].sum(axis=0)
        return CellStates(cells, genes if options.gene_vectors else None)


def load_bag(folder: Path | None, device: str, fitted: Arrays) -> BagModel:
    """Load a model of the first 500 planted genes."""
    return BagModel([f"ENSG{number:011d}" for number in range(500)])


def bag_card(**fields: object) -> ModelSpec:
    """Return the card of a pre-trained model of human genes."""
    card = {
        "key": "bag",
        "title": "Bag of genes",
        "revision": "1",
        "summary": "Sums of gene vectors.",
        "organisms": ("human",),
        "vocabulary": "500 human genes",
        "embedding_size": SIZE,
        "max_tokens": 64,
        "n_parameters": 1_000_000,
        "licence": "",
        "citation": "",
        "doi": "",
        "training_data": "",
        "known_limits": (),
        "poolings": ("mean", "cls"),
        "n_layers": 2,
        "load": load_bag,
    }
    return ModelSpec(**{**card, **fields})
