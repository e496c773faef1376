"""Cell types by the names people type: a search among the terms of the Cell Ontology; knows no dataset."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.resources import asset

RELEASE = "2026-03-26"
ADDRESS = "http://purl.obolibrary.org/obo/"  # of a term, with an underscore for the colon
_UNSAID = frozenset({"cell", "positive"})  # "CD14 monocyte" means the CD14-positive monocyte
_MOSTLY_UNSAID = frozenset({"alpha", "beta"})  # "CD4 T cell" means the alpha-beta T cell
_SHORT = {"dc": "dendritic", "ec": "endothelial", "fcgr3a": "cd16", "mk": "megakaryocyte", "rbc": "erythrocyte"}
_SHORTEST_BEGINNING = 3
_GREEK = str.maketrans({"α": " alpha ", "β": " beta ", "γ": " gamma ", "δ": " delta "})
_SAME, _SAME_SYNONYM, _SAME_WORDS, _SOME_WORDS = range(4)


@dataclass(frozen=True)
class CellType:
    """A term of the Cell Ontology.

    Attributes
    ----------
    id
        Such as ``"CL:0000236"``.
    synonyms
        Other names that the ontology has for it.
    parents
        Ids of the next more general terms.
    """

    id: str
    label: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]

    @property
    def address(self) -> str:
        """Where the ontology describes the term."""
        return ADDRESS + self.id.replace(":", "_")


def cell_type(term_id: str) -> CellType:
    """Return the term of an id; raises `RequestError` where the ontology has none.

    Examples
    --------
    >>> cell_type("CL:0000236").label
    'B cell'
    """
    found = _terms().get(term_id)
    if found is None:
        msg = (
            f"The Cell Ontology of {RELEASE} has no term {term_id!r}. Expected an id such as 'CL:0000236'. Search by "
            "name, or give the label without a term."
        )
        raise RequestError(msg, "unknown-term")
    return found


def search_cell_types(text: str, *, most: int = 10) -> list[CellType]:
    """Return the terms that a text may mean, the likeliest first.

    First the term of that very name, then of that synonym, then names of the same words (whatever their order, "cell"
    and "positive" may be left out, plurals and "+" are read), then names that hold all words or words that begin so.
    Among equals the name with the fewest other words, then the more general term. An id finds its term.

    Examples
    --------
    >>> [found.label for found in search_cell_types("nk", most=1)]
    ['natural killer cell']
    >>> [found.id for found in search_cell_types("CD14 mono", most=1)]
    ['CL:0001054']
    """
    exact = " ".join(text.casefold().split())
    if exact.upper() in _terms():
        return [_terms()[exact.upper()]]
    asked = _words(text)
    ranks = ((_best(exact, asked, names, depth), term) for term, names, depth in _names())
    ranked = [(rank, term) for rank, term in ranks if rank is not None]
    ranked.sort(key=lambda found: (found[0], found[1].label))
    return [term for _, term in ranked[:most]] if asked else []


def is_called(term: CellType, text: str) -> bool:
    """Say whether a text is a name of a term: its label, a synonym, or one of them in other words or order.

    Examples
    --------
    >>> is_called(cell_type("CL:0000623"), "NK cells"), is_called(cell_type("CL:0000623"), "odd NK cells")
    (True, False)
    """
    asked = _words(text)
    return any(asked == words for _, words in _read(term.label, *term.synonyms))


_Rank = tuple[int, int, int, int]
_Name = tuple[str, frozenset[str]]


def _best(exact: str, asked: frozenset[str], names: tuple[_Name, ...], depth: int) -> _Rank | None:
    """Return how well the best of a term's names fits, smaller is better; None where none does."""
    ranks = []
    for place, (name, words) in enumerate(names):
        begun = {start: [word for word in words if _begins(word, start)] for start in asked}
        if not all(begun.values()):
            continue
        meant = asked | {word for start in asked - words for word in begun[start]}
        others = len(words - meant - _MOSTLY_UNSAID) + (not asked <= words)
        ranks.append((_kind(exact, asked, name, words, is_synonym=place > 0), others, min(place, 1), depth))
    return min(ranks, default=None)


def _kind(exact: str, asked: frozenset[str], name: str, words: frozenset[str], *, is_synonym: bool) -> int:
    if name == exact:
        return _SAME_SYNONYM if is_synonym else _SAME
    return _SAME_WORDS if asked == words else _SOME_WORDS


def _begins(word: str, start: str) -> bool:
    return word == start or (len(start) >= _SHORTEST_BEGINNING and word.startswith(start))  # B is not the B of blood


def _words(text: str) -> frozenset[str]:
    """Return what a name is told by: its words without those that often go unsaid, unless there are no others.

    Examples
    --------
    >>> sorted(_words("CD14+ Monocytes")), sorted(_words("CD14-positive monocyte")), sorted(_words("Bcells"))
    (['cd14', 'monocyte'], ['cd14', 'monocyte'], ['b'])
    >>> sorted(_words("CD16- monocytes"))
    ['cd16', 'monocyte', 'negative']
    """
    spaced = re.sub(r"(?<=\w)-(?=[\s,/)]|$)", " negative ", text.casefold()).replace("(reg)", "reg").translate(_GREEK)
    words = {_SHORT.get(word, word) for word in map(_singular, re.findall(r"[^\W_]+", spaced))}
    return frozenset(words - _UNSAID or words)


def _singular(word: str) -> str:
    if match := re.fullmatch(r"(\w+)cells?", word):
        return match[1]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@cache
def _terms() -> dict[str, CellType]:
    table = pd.read_csv(asset("cell_types") / "cell_ontology.csv.gz", dtype=str, keep_default_na=False)
    rows = zip(table["id"], table["label"], map(_parts, table["synonyms"]), map(_parts, table["parents"]), strict=True)
    return {row[0]: CellType(*row) for row in rows}


@cache
def _names() -> tuple[tuple[CellType, tuple[_Name, ...], int], ...]:
    """Return each term with its names, the label first, and how many terms stand above it at most."""
    return tuple((term, tuple(_read(term.label, *term.synonyms)), _depth(term.id)) for term in _terms().values())


def _read(*names: str) -> Iterable[_Name]:
    return ((" ".join(name.casefold().split()), _words(name)) for name in names)


@cache
def _depth(term_id: str) -> int:
    return 1 + max((_depth(parent) for parent in _terms()[term_id].parents), default=0)


def _parts(joined: str) -> tuple[str, ...]:
    return tuple(joined.split("|")) if joined else ()
