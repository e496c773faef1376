"""Masked batches for the masked-gene objective: which cells, which genes are hidden, what is to be told."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scfm_core.tensors import padded
from scfm_core.tokens import Tokens, batches_by_length
from scfm_core.training.corpus import SPECIAL_TOKENS, Corpus

_MASK = SPECIAL_TOKENS.index("<mask>")
_FIRST_GENE = len(SPECIAL_TOKENS)
_BATCHES_DRAWN_TOGETHER = 8


@dataclass(frozen=True)
class MaskedBatch:
    """Some cells with hidden genes.

    Attributes
    ----------
    ids
        Token ids with the hidden ones replaced, shape ``(n_cells, n_tokens)``.
    real
        True where a token is no padding, same shape.
    hidden
        True where the gene is to be told, same shape.
    genes
        The true token ids there, shape ``(n_hidden,)``.
    """

    ids: NDArray[np.int64]
    real: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    genes: NDArray[np.int64]


def masked(tokens: Tokens, n_tokens: int, random: np.random.Generator, *, share: float = 0.15) -> MaskedBatch:
    """Hide a share of the genes: 80 % become ``<mask>``, 10 % a random gene, 10 % stay as they are.

    Parameters
    ----------
    n_tokens
        Number of token ids in the vocabulary.

    References
    ----------
    Devlin et al. 2019, arXiv:1810.04805, section 3.1.
    """
    ids, real = padded(tokens)
    hidden = real & (random.random(ids.shape) < share)
    if not hidden.any():
        hidden[:, 0] = real[:, 0]
    genes = ids[hidden]
    fate = random.random(len(genes))
    shown = np.where(fate < 0.8, _MASK, genes)
    shown = np.where(fate >= 0.9, random.integers(_FIRST_GENE, n_tokens, len(genes)), shown)
    ids[hidden] = shown
    return MaskedBatch(ids, real, hidden, genes)


def shortened(tokens: Tokens, max_tokens: int) -> Tokens:
    """Return the cells with only their first ``max_tokens`` genes."""
    place = np.arange(len(tokens.genes)) - tokens.offsets[:-1][tokens.cell_of_token()]
    return tokens.keep(place < max_tokens)


def drawn_batches(
    corpus: Corpus, random: np.random.Generator, *, token_budget: int, contexts: tuple[int, ...]
) -> Iterator[Tokens]:
    """Draw cells by weight without end, in batches of about equally long cells.

    Parameters
    ----------
    contexts
        Context lengths; one is drawn for each group of batches, since short ones cost less and teach as well.
    """
    while True:
        context = int(random.choice(contexts))
        n_cells = _BATCHES_DRAWN_TOGETHER * max(1, token_budget // context)
        cells = random.choice(len(corpus.weights), size=n_cells, p=corpus.weights)
        group = shortened(corpus.tokens.take(cells), context)
        batches = list(batches_by_length(group.lengths, token_budget=token_budget))
        for position in random.permutation(len(batches)):
            yield group.take(batches[position])
