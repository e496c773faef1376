"""Sets of genes that mark cell types: a small curated table, sets from a file, or typed ones; knows no dataset."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.gene_sets import GeneSets
from scfm_core.resources import asset

MOST_GENES = 500
_SEPARATORS = str.maketrans({",": " ", ";": " ", "\t": " "})


@dataclass(frozen=True)
class CellMarkers:
    """Genes that are more expressed in a type of cell than in most others.

    Attributes
    ----------
    name
        What a group of cells is called where these genes stand out.
    genes
        Symbols or Ensembl ids, each once.
    ontology_id
        The term of the Cell Ontology, such as ``"CL:0000236"``; empty where none is known.
    lineage
        More general names of the same cells, from narrow to wide; used where two types of one lineage are not told
        apart.
    """

    name: str
    genes: tuple[str, ...]
    ontology_id: str = ""
    lineage: tuple[str, ...] = ()


@dataclass(frozen=True)
class MarkerTable:
    """Sets of marker genes of one source.

    Attributes
    ----------
    source
        Where they come from, in words.
    """

    source: str
    types: tuple[CellMarkers, ...]


def curated_markers(tissues: Iterable[str] = ()) -> MarkerTable:
    """Return the textbook markers that come with the application, for human symbols.

    Parameters
    ----------
    tissues
        Only types found there, as in `curated_tissues`; types of "many tissues" always stay. All where empty.

    Raises
    ------
    RequestError
        If a tissue is not known.

    Examples
    --------
    >>> [found.name for found in curated_markers().types if "MS4A1" in found.genes]
    ['B cell']
    """
    wanted = tuple(tissues)
    unknown = [tissue for tissue in wanted if tissue not in curated_tissues()]
    if unknown:
        msg = f"No markers are here for {', '.join(unknown)}. Choose among: {', '.join(curated_tissues())}."
        raise RequestError(msg, "unknown-tissue")
    table = _curated()
    kept = [not wanted or bool({*wanted, "many tissues"} & set(row.split(", "))) for row in table["tissue"]]
    rows = table[kept].itertuples()
    types = (
        CellMarkers(
            name=str(row.name),
            genes=tuple(str(row.genes).split(" ")),
            ontology_id=str(row.ontology_id),
            lineage=_parts(str(row.lineage)),
        )
        for row in rows
    )
    where = f" of {', '.join(wanted)} and many tissues" if wanted else ""
    return MarkerTable(source=f"the curated markers{where} that come with the application", types=tuple(types))


@cache
def curated_tissues() -> tuple[str, ...]:
    """Return the tissues that the curated markers tell apart, in reading order."""
    found = {part for row in _curated()["tissue"] for part in row.split(", ")}
    return tuple(sorted(found - {"many tissues"}))


def markers_of_sets(sets: GeneSets) -> MarkerTable:
    """Return gene sets of a file as markers, called as the sets are."""
    return MarkerTable(source=sets.source, types=tuple(CellMarkers(one.name, one.genes) for one in sets.sets))


def typed_markers(text: str) -> MarkerTable:
    """Return markers from lines such as ``B cell: MS4A1, CD79A``.

    Raises
    ------
    RequestError
        If there is no such line, a line has no name or no genes, or two lines have one name.

    Examples
    --------
    >>> typed_markers("B cell: MS4A1, CD79A").types[0].genes
    ('MS4A1', 'CD79A')
    """
    found: dict[str, CellMarkers] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        head, colon, tail = line.partition(":")
        name, genes = head.strip(), tuple(dict.fromkeys(tail.translate(_SEPARATORS).split()))
        if not (colon and name and genes) or name in found:
            msg = f"Expected lines such as 'B cell: MS4A1, CD79A', each name once; found {line[:60]!r}. Write it so."
            raise RequestError(msg, "bad-markers")
        found[name] = CellMarkers(name, genes)
    if not found:
        msg = "Expected at least one line such as 'B cell: MS4A1, CD79A', found none. Write one."
        raise RequestError(msg, "bad-markers")
    return MarkerTable(source="typed by hand", types=tuple(found.values()))


@cache
def ontology_ids() -> dict[str, str]:
    """Return the Cell Ontology term of each curated name."""
    return dict(zip(_curated()["name"], _curated()["ontology_id"], strict=True))


@cache
def _curated() -> pd.DataFrame:
    path = asset("markers") / "human_cell_types.tsv"
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split("; ") if part)
