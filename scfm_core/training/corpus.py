"""What a network is trained on: counts of many cells become rank-value tokens of one vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scfm_core.dataset import CellCounts
from scfm_core.errors import DatasetError
from scfm_core.rank_values import rank_value_tokens
from scfm_core.tokens import Tokens, concatenate, counts_in_vocabulary

SPECIAL_TOKENS = ("<pad>", "<mask>")


@dataclass(frozen=True, kw_only=True)
class CorpusPart:
    """The cells of one source.

    Attributes
    ----------
    name
        How records call this source.
    counts
        Its counts. ``total_counts`` is NaN where the total over all genes is not known; such cells are trained on, but
        the genes' typical values are not learned from them.
    weight
        How often a cell of this part is drawn, relative to the others.
    """

    name: str
    counts: CellCounts
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The genes that a network reads, and what their values are compared with.

    Attributes
    ----------
    gene_ids
        Ensembl ids, sorted, length ``n_genes``.
    medians
        Median non-zero value per 10,000 counts of each gene over the training cells, shape ``(n_genes,)``.
    """

    gene_ids: tuple[str, ...]
    medians: NDArray[np.float64]

    @property
    def positions(self) -> dict[str, int]:
        """Token id of each gene; the special tokens come first."""
        return {gene_id: position for position, gene_id in enumerate(self.gene_ids, len(SPECIAL_TOKENS))}

    @property
    def size(self) -> int:
        """Number of token ids."""
        return len(self.gene_ids) + len(SPECIAL_TOKENS)

    def tokens(self, counts: CellCounts, *, max_tokens: int) -> Tokens:
        """Turn counts into tokens; a total that is not known does not change the order of a cell's genes."""
        matrix = counts_in_vocabulary(counts, self.positions, size=self.size)
        totals = np.where(np.isnan(counts.total_counts), 1.0, counts.total_counts)
        medians = np.concatenate([np.ones(len(SPECIAL_TOKENS)), self.medians])
        return rank_value_tokens(matrix, totals, medians, max_tokens=max_tokens)


def learn_vocabulary(parts: Sequence[CorpusPart], *, min_cells: int, prefix: str = "ENSG") -> Vocabulary:
    """Take the genes with an id of the wanted kind that enough cells express, and the median of their non-zero values.

    Parameters
    ----------
    min_cells
        A gene needs this many cells, with known totals, that express it.
    prefix
        How the ids of the wanted genes begin; by default human Ensembl ids.
    """
    names = sorted({gene for part in parts for gene in part.counts.gene_ids if gene.startswith(prefix)})
    everything = {gene: position for position, gene in enumerate(names)}
    genes, values = [], []
    for part in parts:
        matrix = counts_in_vocabulary(part.counts, everything, size=len(names))
        per_10k = matrix.data / np.repeat(part.counts.total_counts, np.diff(matrix.indptr)) * 10_000.0
        known = ~np.isnan(per_10k)
        genes.append(matrix.indices[known])
        values.append(per_10k[known])
    gene = np.concatenate(genes) if genes else np.zeros(0, dtype=np.int64)
    value = np.concatenate(values) if values else np.zeros(0)
    n_cells = np.bincount(gene, minlength=len(names))
    chosen = np.flatnonzero(n_cells >= min_cells)
    if len(chosen) == 0:
        msg = (
            f"No gene whose id begins with {prefix!r} is expressed in at least {min_cells} of the training cells. "
            "Train on more cells, or on files whose genes are known."
        )
        raise DatasetError(msg, "no-vocabulary")
    order = np.argsort(gene, kind="stable")
    starts = np.concatenate([[0], np.cumsum(n_cells)])
    ordered = value[order]
    medians = np.array([np.median(ordered[starts[column] : starts[column + 1]]) for column in chosen])
    return Vocabulary(gene_ids=tuple(names[column] for column in chosen), medians=medians)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Tokens of all training cells, and which of them are held out.

    Attributes
    ----------
    weights
        How often each cell is drawn, shape ``(n_cells,)``, sums to one over the cells that are not held out.
    held_out
        True for the cells of the validation curve, shape ``(n_cells,)``.
    """

    tokens: Tokens
    weights: NDArray[np.float64]
    held_out: NDArray[np.bool_]


def build_corpus(
    parts: Sequence[CorpusPart], vocabulary: Vocabulary, *, max_tokens: int, held_out_share: float, seed: int
) -> Corpus:
    """Tokenise all parts and hold a random share of the cells of each part out."""
    random = np.random.default_rng(seed)
    tokens = concatenate([vocabulary.tokens(part.counts, max_tokens=max_tokens) for part in parts])
    sizes = [part.counts.matrix.shape[0] for part in parts]
    held_out = np.concatenate([random.permutation(size) < round(size * held_out_share) for size in sizes])
    weights = np.repeat([part.weight for part in parts], sizes).astype(np.float64)
    weights[held_out | (tokens.lengths < 2)] = 0.0  # a single gene has no context to be told from
    if weights.sum() == 0.0:
        msg = "No cell is left to train on: every cell has fewer than two genes of the vocabulary. Add cells."
        raise DatasetError(msg, "no-training-cells")
    return Corpus(tokens=tokens, weights=weights / weights.sum(), held_out=held_out)
