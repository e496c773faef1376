"""Gene symbols and Ensembl ids: one table per organism, and the genes of a dataset by name.

Knows no file format; a reader hands over the names that it found.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property, lru_cache
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm_core.dataset import Dataset, Organism
from scfm_core.errors import RequestError
from scfm_core.resources import asset

_VERSIONED = re.compile(r"^(ENS[A-Z]*G\d+)\.\d+(_PAR_Y)?$")
_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d+$")
_GENOME_PREFIX = re.compile(r"^(?:GRCh3[78]|hg19|hg38|GRCm3[89]|mm10|mm39)_+")
_REPEAT_SUFFIX = re.compile(r"^(.+)[-.]\d+$")
_SMALLEST_KNOWN_SHARE = 0.2


@dataclass(frozen=True)
class GeneTable:
    """The genes of one organism.

    Attributes
    ----------
    symbols
        Ensembl id without version -> symbol; the id itself where the gene has no symbol.
    ids
        Symbol in capitals -> Ensembl id. Where several genes carry a symbol: the protein-coding one, and among those
        the one with the lowest Ensembl number. A symbol that no gene carries today leads to the gene that carried it in
        Ensembl 75, the release behind 10x Genomics' hg19 reference (human only).
    """

    symbols: MappingProxyType[str, str]
    ids: MappingProxyType[str, str]

    @cached_property
    def names(self) -> frozenset[str]:
        """All symbols as they are written."""
        return frozenset(symbol for gene_id, symbol in self.symbols.items() if symbol != gene_id)


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What the gene names of a file turned out to be.

    Attributes
    ----------
    gene_ids
        Ensembl ids without version where known, else the file's own name, length ``n_genes``; may hold one id twice.
    symbols
        Names for the eye, length ``n_genes``: the file's own symbol where it has one.
    n_mapped
        Genes that the table of the organism knows, under their own id or another.
    n_retired
        Genes whose Ensembl id the table no longer knows and whose symbol led to the current one.
    n_unknown
        Genes that the table does not know; they keep their own name.
    n_versions_stripped
        Ensembl ids that carried a version such as ``.14``.
    """

    gene_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    n_mapped: int
    n_retired: int
    n_unknown: int
    n_versions_stripped: int


@lru_cache(maxsize=4)
def gene_table(organism: Organism) -> GeneTable:
    """Return the gene table of an organism, an empty one where the organism is unknown.

    Examples
    --------
    >>> gene_table("human").ids["CD3D"]
    'ENSG00000167286'
    """
    if organism == "unknown":
        return GeneTable(MappingProxyType({}), MappingProxyType({}))
    path = asset("genes") / f"{organism}.csv.gz"
    genes = pd.read_csv(path, dtype=str, keep_default_na=False, engine="c")
    ensembl_ids, named = genes["ensembl_id"], genes["symbol"] != ""
    symbols = dict(zip(ensembl_ids, genes["symbol"].where(named, ensembl_ids), strict=True))
    coding = genes["biotype"] == "protein_coding"
    ids: dict[str, str] = {}
    for chosen in (named & coding, named & ~coding):  # the file is sorted by id
        for symbol, gene_id in zip(genes["symbol"][chosen].str.upper(), ensembl_ids[chosen], strict=True):
            ids.setdefault(symbol, gene_id)
    earlier = asset("genes") / f"{organism}_earlier.csv.gz"
    if earlier.is_file():
        genes = pd.read_csv(earlier, dtype=str, keep_default_na=False, engine="c")
        for symbol, gene_id in zip(genes["symbol"].str.upper(), genes["ensembl_id"], strict=True):
            ids.setdefault(symbol, gene_id)
    return GeneTable(MappingProxyType(symbols), MappingProxyType(ids))


@lru_cache(maxsize=2)
def gene_aliases(organism: Organism) -> MappingProxyType[str, tuple[str, ...]]:
    """Return other names of genes: name in capitals -> the Ensembl ids of all genes that have it, the lowest first.

    Symbols that a gene had before and names beside its symbol, from HGNC (human) and MGI (mouse); no name that a gene
    carries as its symbol today. They serve what a person types, not the reading of files: many name several genes.

    Examples
    --------
    >>> gene_aliases("human")["CD20"] == (gene_table("human").ids["MS4A1"],)
    True
    """
    path = asset("genes") / f"{organism}_aliases.csv.gz"
    if organism == "unknown":
        return MappingProxyType({})
    table = pd.read_csv(path, dtype=str, keep_default_na=False, engine="c")
    named: dict[str, list[str]] = {}
    for name, gene_id in zip(table["alias"].str.upper(), table["ensembl_id"], strict=True):
        named.setdefault(name, []).append(gene_id)
    return MappingProxyType({name: tuple(sorted(ids)) for name, ids in named.items()})


def without_version(name: str) -> str:
    """Return an Ensembl id without its version and any gene name without the prefix of its genome.

    Examples
    --------
    >>> [without_version(name) for name in ("ENSG00000167286.14", "GRCh38_CD3D", "RP11-34P13.7")]
    ['ENSG00000167286', 'CD3D', 'RP11-34P13.7']
    """
    plain = name.strip()
    if "." not in plain and "_" not in plain:  # nearly all; this runs for every gene of a file
        return plain
    return _VERSIONED.sub(r"\1", _GENOME_PREFIX.sub("", plain))


def typed_key(name: str) -> str:
    """Return a name as it is compared with others: in capitals, without version and genome.

    Examples
    --------
    >>> typed_key(" ensg00000167286.14 "), typed_key("hg19_Cd3d")
    ('ENSG00000167286', 'CD3D')
    """
    return without_version(without_version(name).upper())


def is_ensembl(name: str) -> bool:
    """Whether a name is an Ensembl gene id, with or without version."""
    return _ENSEMBL.match(without_version(name)) is not None


def detect_organism(names: Iterable[str]) -> Organism:
    """Return the organism that gene names belong to, from their Ensembl prefix or else from their symbols.

    Human and mouse symbols differ in their capitals (CD3D, Cd3d), so names are compared as they are written. At least a
    fifth of the names must be known.

    Examples
    --------
    >>> detect_organism(["Cd3d", "Lyz2"]), detect_organism(["ENSG00000167286.14"]), detect_organism(["q1", "q2"])
    ('mouse', 'human', 'unknown')
    """
    plain = {without_version(name) for name in names}
    needed = _SMALLEST_KNOWN_SHARE * max(len(plain), 1)
    by_prefix: dict[Organism, int] = {
        "human": sum(name.startswith("ENSG") for name in plain),
        "mouse": sum(name.startswith("ENSMUSG") for name in plain),
    }
    best = max(by_prefix, key=lambda organism: by_prefix[organism])
    if by_prefix[best] >= needed and by_prefix[best] > 0:
        return best
    known: dict[Organism, int] = {
        "human": len(plain & gene_table("human").names),
        "mouse": len(plain & gene_table("mouse").names),
    }
    best = max(known, key=lambda organism: known[organism])
    return best if known[best] >= needed and known[best] > 0 else "unknown"


def resolve(
    ids: Sequence[str], symbols: Sequence[str], organism: Organism, *, keep_retired: bool = False
) -> Resolution:
    """Find the current Ensembl id of each gene of a file.

    Parameters
    ----------
    ids
        Ensembl ids, length ``n_genes``, or empty where the file has symbols alone. A name that is no Ensembl id is read
        as a symbol.
    symbols
        Symbols, length ``n_genes``, or empty where the file has ids alone.
    organism
        Whose table to read; with "unknown" every gene keeps its own name.
    keep_retired
        Whether a gene keeps an Ensembl id that the table does not know, whatever its symbol.
    """
    n_genes = max(len(ids), len(symbols))
    if any(n not in (0, n_genes) for n in (len(ids), len(symbols))):
        msg = f"Expected as many symbols as Ensembl ids, found {len(symbols):,} and {len(ids):,}. Give one per gene."
        raise RequestError(msg, "shape-mismatch")
    table = gene_table(organism)
    own_ids = [without_version(name) for name in ids] or [""] * n_genes
    own_symbols = [without_version(name) for name in symbols] or [""] * n_genes
    written = {symbol.upper() for symbol in own_symbols}
    found = [
        (own_id, own_symbol or own_id)
        if keep_retired and _ENSEMBL.match(own_id) and own_id not in table.symbols
        else _resolve_one(own_id, own_symbol, table, written)
        for own_id, own_symbol in zip(own_ids, own_symbols, strict=True)
    ]
    known = [gene_id in table.symbols for gene_id, _ in found]
    retired = [
        ok and _ENSEMBL.match(own) is not None and own != gene_id
        for ok, own, (gene_id, _) in zip(known, own_ids, found, strict=True)
    ]
    return Resolution(
        gene_ids=tuple(gene_id for gene_id, _ in found),
        symbols=tuple(symbol for _, symbol in found),
        n_mapped=sum(known),
        n_retired=sum(retired),
        n_unknown=n_genes - sum(known),
        n_versions_stripped=sum("." in name and is_ensembl(name) for name in ids),
    )


def collapse(
    matrix: csr_matrix, gene_ids: Sequence[str], symbols: Sequence[str]
) -> tuple[csr_matrix, tuple[str, ...], tuple[str, ...], int]:
    """Sum the counts of genes that carry the same id.

    Parameters
    ----------
    matrix
        Counts, shape ``(n_cells, n_genes)``.
    gene_ids, symbols
        Length ``n_genes``; the first symbol of an id is kept.

    Returns
    -------
    Counts of shape ``(n_cells, n_unique)``, the unique ids in the order of their first appearance, their symbols, and
    ``n_genes - n_unique``.
    """
    first: dict[str, int] = {}
    column = np.fromiter((first.setdefault(gene_id, len(first)) for gene_id in gene_ids), np.int64, len(gene_ids))
    n_collapsed = len(gene_ids) - len(first)
    if n_collapsed == 0:
        return matrix, tuple(gene_ids), tuple(symbols), 0
    wide = {"u": np.uint64, "i": np.int64, "b": np.int64}.get(matrix.dtype.kind, np.float64)
    parts = (matrix.data.astype(wide), column[matrix.indices], matrix.indptr.copy())
    summed = csr_matrix(parts, shape=(matrix.shape[0], len(first)))
    summed.sum_duplicates()
    kept: dict[str, str] = {}
    for gene_id, symbol in zip(gene_ids, symbols, strict=True):
        kept.setdefault(gene_id, symbol)
    return summed, tuple(first), tuple(kept.values()), n_collapsed


def find_genes(dataset: Dataset, names: Sequence[str]) -> tuple[str, ...]:
    """Return the dataset's gene ids for names as a person types them, in their order.

    Parameters
    ----------
    names
        Symbols in any case, the dataset's or the current ones, earlier and other names that only one gene has,
        or Ensembl ids with or without version.

    Raises
    ------
    RequestError
        If a name is not among the dataset's genes; the message names all of them, with near matches.
    """
    found = known_genes(dataset, names)
    missing = [name for name in names if name not in found]
    if missing:
        words = "; ".join(_with_near_matches(dataset, name) for name in missing[:20])
        more = f"; and {len(missing) - 20:,} more" if len(missing) > 20 else ""
        msg = f"Not among the {dataset.n_genes:,} genes of this dataset: {words}{more}. Check the spelling."
        raise RequestError(msg, "unknown-gene")
    return tuple(found[name] for name in names)


def known_genes(dataset: Dataset, names: Iterable[str]) -> dict[str, str]:
    """Return the dataset's gene id of each name that it knows, by name as a person types it, see `find_genes`."""
    aliases = gene_aliases(dataset.organism)
    found: dict[str, str] = {}
    for name in names:
        named = aliases.get(typed_key(name), ())
        gene_ids = _gene_called(dataset, name) or (genes_named(dataset, name) if len(named) == 1 else ())
        if gene_ids:
            found[name] = gene_ids[0]
    return found


def genes_named(dataset: Dataset, name: str) -> tuple[str, ...]:
    """Return the ids of the dataset's genes that a name may mean: none, one, or several that have it as an alias."""
    aliases = gene_aliases(dataset.organism).get(typed_key(name), ())
    known = _names_of(dataset).symbols
    return _gene_called(dataset, name) or tuple(gene_id for gene_id in aliases if gene_id in known)


def near_symbols(dataset: Dataset, name: str) -> tuple[str, ...]:
    """Return up to three symbols of the dataset that are spelled almost as a name is, the closest first."""
    known, key = _names_of(dataset), typed_key(name)
    alike = [other for other in known.by_name if other[:1] == key[:1] and abs(len(other) - len(key)) <= 2]
    near = [known.symbols[known.by_name[other]] for other in get_close_matches(key, alike, n=3, cutoff=0.7)]
    return tuple(dict.fromkeys(near))


def symbol_of(dataset: Dataset, gene_id: str) -> str:
    """Return the name for the eye of one gene of the dataset; the id itself where the dataset lacks it."""
    return _names_of(dataset).symbols.get(gene_id, gene_id)


@dataclass(frozen=True)
class _DatasetNames:
    symbols: dict[str, str]
    by_name: dict[str, str] = field(repr=False)  # capitals -> gene id


@lru_cache(maxsize=16)
def _names_of(dataset: Dataset) -> _DatasetNames:
    symbols = dict(zip(dataset.gene_ids, dataset.gene_symbols, strict=True))
    preferred = gene_table(dataset.organism).ids
    by_name: dict[str, str] = {}
    for gene_id, symbol in symbols.items():
        key = symbol.upper()
        if key not in by_name or preferred.get(key) == gene_id:
            by_name[key] = gene_id
    by_name.update({gene_id.upper(): gene_id for gene_id in symbols})
    return _DatasetNames(symbols, by_name)


def _gene_called(dataset: Dataset, name: str) -> tuple[str, ...]:
    """Return the id of the dataset's gene that a symbol or an Ensembl id belongs to; empty where there is none."""
    known, key = _names_of(dataset), typed_key(name)
    gene_id = known.by_name.get(key) or gene_table(dataset.organism).ids.get(key, "")
    return (gene_id,) if gene_id in known.symbols else ()


def _with_near_matches(dataset: Dataset, name: str) -> str:
    several = [symbol_of(dataset, gene_id) for gene_id in genes_named(dataset, name)]
    if several:
        return f"{name} (a name of {' and of '.join(several)}: write which)"
    near = near_symbols(dataset, name)
    return f"{name} (did you mean {' or '.join(near)}?)" if near else name


def _resolve_one(own_id: str, own_symbol: str, table: GeneTable, written: set[str]) -> tuple[str, str]:
    """Return the gene id and the symbol of one gene, from its names in the file without version and genome."""
    if own_id in table.symbols:
        return own_id, _for_the_eye(own_id, own_symbol, table)
    name = own_symbol or ("" if _ENSEMBL.match(own_id) else own_id)
    gene_id = own_symbol if own_symbol in table.symbols else table.ids.get(name.upper(), "")
    repeated = _REPEAT_SUFFIX.match(name)
    if not gene_id and not own_id and repeated and repeated[1].upper() in written:
        # a second gene of one symbol: anndata writes TBCE-1, R writes TBCE.1
        gene_id = table.ids.get(repeated[1].upper(), "")
        name = repeated[1] if gene_id else name
    if gene_id:
        return gene_id, _for_the_eye(gene_id, name, table)
    return own_id or own_symbol, own_symbol or own_id


def _for_the_eye(gene_id: str, own_symbol: str, table: GeneTable) -> str:
    current = table.symbols[gene_id]
    if not own_symbol or _ENSEMBL.match(own_symbol) or own_symbol.upper() == current.upper():
        return current
    return own_symbol
