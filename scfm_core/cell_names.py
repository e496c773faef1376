"""Whether names of cell types mean the same, by the Cell Ontology; knows no dataset."""

from collections.abc import Sequence
from functools import lru_cache

from scfm_core.cell_markers import curated_markers, ontology_ids
from scfm_core.cell_types import cell_type, search_cell_types

UNKNOWN = "unknown"


def agreement(names: Sequence[str]) -> str:
    """Say whether names that several ways gave to one group fit together.

    Two names fit where they are the same, mean the same term of the Cell Ontology, or one term is a kind of the other;
    they are of the same lineage where both are a kind of one of the lineages of the curated markers, such as T cells.
    What the ontology does not know is compared as it is written.

    Examples
    --------
    >>> agreement(["B cell", "B"]), agreement(["CD14+ monocyte", "monocyte"])
    ('all agree', 'all agree')
    >>> agreement(["CD4 T", "CD8 T"]), agreement(["classical monocyte", "CD14+ monocyte"])
    ('same lineage', 'same lineage')
    >>> agreement(["B cell", "NK cell"]), agreement(["B cell", "unknown"]), agreement(["unknown"])
    ('differ', 'one names it', 'none names it')
    """
    known = [name for name in names if name and name != UNKNOWN]
    if len(known) < 2:
        return "one names it" if known else "none names it"
    if not all(fit_together(one, other) for place, one in enumerate(known) for other in known[:place]):
        return "same lineage" if _share_a_lineage(known) else "differ"
    return "all agree" if len(known) == len(names) else f"{len(known)} agree"


@lru_cache(maxsize=4096)
def fit_together(one: str, other: str) -> bool:
    """Whether two names mean the same cells, or one a kind of the other."""
    if one.casefold() == other.casefold():
        return True
    first, second = _likely_term(one), _likely_term(other)
    if not first or not second:
        return False
    return first in _with_wider(second) or second in _with_wider(first)


@lru_cache(maxsize=4096)
def term_of(name: str) -> str:
    """Return the id of the term of exactly this name, or of this synonym; empty where the ontology has none.

    Examples
    --------
    >>> term_of("B cell"), term_of("my favourite cells")
    ('CL:0000236', '')
    """
    known = ontology_ids().get(name)
    if known:
        return known
    found = search_cell_types(name, most=1)
    same = found and name.casefold() in {text.casefold() for text in (found[0].label, *found[0].synonyms)}
    return found[0].id if same else ""


def _share_a_lineage(names: Sequence[str]) -> bool:
    lineages = {term_of(wider) for one in curated_markers().types for wider in one.lineage}
    terms = [_likely_term(name) for name in names]
    return all(terms) and bool(lineages.intersection(*(_with_wider(term) for term in terms)))


def _likely_term(name: str) -> str:
    exact = term_of(name)
    found = [] if exact else search_cell_types(name, most=1)
    return exact or (found[0].id if found else "")


@lru_cache(maxsize=4096)
def _with_wider(term_id: str) -> frozenset[str]:
    wider = (_with_wider(parent) for parent in cell_type(term_id).parents)
    return frozenset({term_id}).union(*wider)
