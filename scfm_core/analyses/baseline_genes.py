"""What is known of genes without a model's network: abundance, place in the ranking, and the same edit under PCA."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.checked_cells import HeldGenes, Pairs, measure_pairs
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.measure_edits import apparatus_of
from scfm_core.analyses.perturbation_study import Edit
from scfm_core.analyses.read_expression import normalised_genes
from scfm_core.dataset import Dataset
from scfm_core.registry import find_model
from scfm_core.request import Context
from scfm_core.tokens import Overexpress

PCA = "pca"
PCA_CELLS = 32  # that express a gene; the mean over them is sharper than the model's, and costs next to nothing


@dataclass(frozen=True, eq=False)
class Identity:
    """What genes, or sets of genes, are in some cells, whatever they do.

    Attributes
    ----------
    detection
        Share of the cells that have counts of at least one gene of the set, shape ``(n_sets,)``.
    mean_expression
        log(1 + mean counts per 10,000), summed over the set, shape ``(n_sets,)``.
    mean_rank
        Mean rank, 0 for the strongest, of the genes where the model reads them, shape ``(n_sets,)``; where it reads
        none of them, one more than the largest of all.
    """

    detection: NDArray[np.float64]
    mean_expression: NDArray[np.float64]
    mean_rank: NDArray[np.float64]

    @property
    def features(self) -> NDArray[np.float64]:
        """All of it, shape ``(n_sets, 3)``."""
        return np.stack([self.detection, self.mean_expression, self.mean_rank], axis=1)


def gene_identity(context: Context, dataset: Dataset, held: HeldGenes, sets: Sequence[Sequence[int]]) -> Identity:
    """Describe sets of genes, given as positions in the dataset's genes, in the cells that were read."""
    genes = np.unique(np.concatenate([np.asarray(members, dtype=np.int64) for members in sets]))
    read = partial(_expression, dataset, genes, held.cells)
    expression = context.call(read, step="Reading how abundant the genes are")
    column = {int(gene): place for place, gene in enumerate(genes)}
    sums = np.bincount(held.genes, weights=held.ranks, minlength=dataset.n_genes)
    n_holding = held.n_holding(dataset.n_genes)
    lowest = float(held.ranks.max(initial=0.0)) + 1
    detection, mean, rank = [], [], []
    for members in sets:
        columns = [column[int(gene)] for gene in members]
        detection.append(float((expression[:, columns] > 0).any(axis=1).mean()))
        mean.append(float(np.log1p(expression[:, columns].mean(axis=0).sum())))
        own = [sums[gene] / n_holding[gene] for gene in members if n_holding[gene]]
        rank.append(float(np.mean(own)) if own else lowest)
    return Identity(np.array(detection), np.array(mean), np.array(rank))


def pca_effects(
    context: Context, dataset: Dataset, edits: Sequence[Edit], cells: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Make edits under PCA, on the first 32 of some cells that each edit can change.

    Returns
    -------
    Mean of 1 - cosine over these cells, exactly 0 where PCA reads none of the genes or none of the cells holds them,
    shape ``(n_edits,)``; and whether PCA reads a gene of the edit, same shape.
    """
    baseline = EmbedCells(dataset, find_model(PCA))
    apparatus = apparatus_of(context, baseline)
    read = set(map(str, apparatus.fitted["gene_ids"]))
    reads = np.array([any(single.gene_id in read for single in edit) for edit in edits])
    position = {gene_id: place for place, gene_id in enumerate(dataset.gene_ids)}
    numbers, chosen = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for number in np.flatnonzero(reads).tolist():
        genes = [position[single.gene_id] for single in edits[number]]
        some = cells
        if not any(isinstance(single, Overexpress) for single in edits[number]):
            some = cells[np.diff(dataset.counts_of_genes(np.array(genes)).tocsr()[cells].indptr) > 0]
        chosen.append(some[:PCA_CELLS])
        numbers.append(np.full(len(chosen[-1]), number))
    pairs = Pairs(edits, np.concatenate(numbers), np.concatenate(chosen))
    distance = measure_pairs(context, apparatus, pairs, step="Making the same edits under PCA")
    there = np.isfinite(distance)
    sums = np.bincount(pairs.number[there], weights=distance[there], minlength=len(edits))
    return sums / np.maximum(np.bincount(pairs.number[there], minlength=len(edits)), 1), reads


def _expression(dataset: Dataset, genes: NDArray[np.int64], cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return counts per 10,000 of some genes in some cells, shape ``(n_cells, n_genes)``."""
    found: NDArray[np.float64] = normalised_genes(dataset, genes).tocsr()[cells].toarray()
    return found
