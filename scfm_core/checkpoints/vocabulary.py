"""Four dictionaries of a checkpoint -> its vocabulary, checked against each other and the network."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scfm_core.checkpoints.catalogue import DICTIONARY_HASHES, SPECIAL_TOKENS, SUFFIXES, Series
from scfm_core.checkpoints.layout import FoundFiles
from scfm_core.checkpoints.pickled import read_dictionary
from scfm_core.errors import ModelError

Entries = Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What a network reads.

    Attributes
    ----------
    tokens
        Name of each position: special tokens in angle brackets, else Ensembl ids.
    medians
        Typical value of each gene, None for special tokens; as long as ``tokens``.
    aliases
        Gene id in capitals -> the vocabulary's id that it stands for; empty text for a gene of the vocabulary that the
        authors' mapping does not lead to it, and which their code therefore never reads.
    symbols
        Gene symbol -> Ensembl id, where the vocabulary has it.
    """

    tokens: tuple[str, ...]
    medians: tuple[float | None, ...]
    aliases: dict[str, str]
    symbols: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``vocabulary.json``."""
        return {"tokens": self.tokens, "medians": self.medians, "aliases": self.aliases, "symbols": self.symbols}


def read_vocabulary(series: Series, files: FoundFiles, vocab_size: int) -> Vocabulary:
    """Read and check the dictionaries of a checkpoint.

    Parameters
    ----------
    vocab_size
        Number of positions that the network has, from its ``config.json``.

    Raises
    ------
    ModelError
        If the dictionaries are no dictionaries, or not those of this network.
    """
    for path in (files.tokens, files.medians, files.names, files.mapping):
        if path is not None:
            _check_series(series, path)
    tokens = _ordered_tokens(read_dictionary(files.tokens), files.tokens.name)
    _check_fit(series, tokens, files.tokens.name, vocab_size)
    specials = frozenset(SPECIAL_TOKENS[series])
    medians = _medians(tokens, specials, read_dictionary(files.medians), files.medians.name)
    genes = frozenset(tokens) - specials
    names = read_dictionary(files.names) if files.names else {}
    return Vocabulary(
        tokens=tokens,
        medians=medians,
        aliases=_aliases(genes, read_dictionary(files.mapping)) if files.mapping else {},
        symbols={symbol: gene_id for symbol, gene_id in names.items() if isinstance(gene_id, str) and gene_id in genes},
    )


def _check_series(series: Series, path: Path) -> None:
    """Refuse a published dictionary that was published for other checkpoints."""
    with path.open("rb") as file:
        known = DICTIONARY_HASHES.get(hashlib.file_digest(file, "sha256").hexdigest())
    if known is not None and series not in known:
        msg = (
            f"The file {path.name} is the one published for the {SUFFIXES[known[0]][0]} checkpoints, and this model "
            f"needs that of {SUFFIXES[series][0]}. Name the folder with the right dictionaries (--dictionaries DIR)."
        )
        raise ModelError(msg, "other-series")


def _ordered_tokens(entries: Entries, name: str) -> tuple[str, ...]:
    """Return the names by position."""
    by_position = {position: token for token, position in entries.items() if type(position) is int}
    if sorted(by_position) != list(range(len(entries))):
        msg = (
            f"The token dictionary {name} should number its {len(entries):,} entries from 0 without a gap; found "
            f"{len(by_position):,} different whole numbers. Get the file again."
        )
        raise ModelError(msg, "broken-numbering")
    return tuple(by_position[position] for position in range(len(entries)))


def _check_fit(series: Series, tokens: tuple[str, ...], name: str, vocab_size: int) -> None:
    if len(tokens) != vocab_size:
        msg = (
            f"The token dictionary {name} has {len(tokens):,} entries, but the config.json of the weights says "
            f"{vocab_size:,}. It belongs to another model; name the folder with the right one (--dictionaries DIR)."
        )
        raise ModelError(msg, "wrong-dictionary")
    found = tuple(token for token in tokens if token.startswith("<"))
    if sorted(found) != sorted(SPECIAL_TOKENS[series]):
        msg = (
            f"The token dictionary {name} should have the special tokens {', '.join(SPECIAL_TOKENS[series])}, found "
            f"{', '.join(found) or 'none'}. It belongs to another series of Geneformer; choose the model whose weights "
            "these are, or the dictionaries of this model (--dictionaries DIR)."
        )
        raise ModelError(msg, "wrong-special-tokens")


def _medians(
    tokens: tuple[str, ...], specials: frozenset[str], entries: Entries, name: str
) -> tuple[float | None, ...]:
    bad = [token for token in tokens if token not in specials and not _is_positive(entries.get(token))]
    if bad:
        msg = (
            f"The dictionary {name} should have a positive number for every gene of the vocabulary; it lacks one for "
            f"{len(bad):,} of them, such as {bad[0]}. Take it from the same place as the token dictionary."
        )
        raise ModelError(msg, "missing-medians")
    return tuple(None if token in specials else float(entries[token]) for token in tokens)


def _is_positive(value: str | int | float | None) -> bool:
    return isinstance(value, int | float) and value < 1e300 and value > 0 and math.isfinite(value)


def _aliases(genes: frozenset[str], mapping: Entries) -> dict[str, str]:
    """Return where known ids lead to.

    Only items that lead into the vocabulary count, and the authors' code looks ids up in capitals, so that an entry
    with a small letter is never found.
    """
    leads = {known: gene for known, gene in mapping.items() if isinstance(gene, str) and gene in genes}
    aliases = {known: gene for known, gene in leads.items() if known != gene and known == known.upper()}
    return aliases | {gene: "" for gene in genes if gene.upper() not in leads}
