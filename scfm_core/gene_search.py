"""Finds the genes of a dataset by what a person types: symbols, other names, Ensembl ids; knows no page."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from scfm_core.dataset import Dataset
from scfm_core.genes import gene_aliases, gene_table, genes_named, is_ensembl, near_symbols, symbol_of, typed_key

_BETWEEN = re.compile(r"[\s,;]+")
_MOST_SEVERAL = 6


@dataclass(frozen=True)
class FoundGene:
    """A gene of the dataset under the name that a person typed.

    Attributes
    ----------
    name
        As it was typed.
    symbol
        The dataset's own name of the gene.
    """

    name: str
    gene_id: str
    symbol: str

    @property
    def renamed(self) -> bool:
        """Whether the name is another than the dataset's, so that a person should be told which gene is meant."""
        key = typed_key(self.name)
        return not is_ensembl(key) and key not in (self.symbol.upper(), self.gene_id.upper())


@dataclass(frozen=True)
class MissingGene:
    """A name that leads to no gene of the dataset, or to several.

    Attributes
    ----------
    several
        Symbols of the dataset's genes that all have this other name.
    elsewhere
        Symbol of the gene that the name means and that the dataset does not hold; empty where the name means none.
    near
        Symbols of the dataset that are spelled almost alike, the closest first.
    """

    name: str
    several: tuple[str, ...] = ()
    elsewhere: str = ""
    near: tuple[str, ...] = ()

    @property
    def offered(self) -> tuple[str, ...]:
        """Symbols that a person may have meant."""
        return self.several or self.near

    @property
    def words(self) -> str:
        """What is the matter, in one sentence.

        Examples
        --------
        >>> MissingGene("CD16", several=("FCGR3A", "FCGR3B")).words
        'CD16 is another name of FCGR3A and FCGR3B: choose one.'
        """
        if self.several:
            return f"{self.name} is another name of {_listed(self.several[:_MOST_SEVERAL])}: choose one."
        if self.elsewhere.upper() == self.name.upper():
            return f"{self.name} is a gene, but not among those of this dataset."
        if self.elsewhere:
            return f"{self.name} is {self.elsewhere}, which is not among the genes of this dataset."
        closest = f" The closest: {', '.join(self.near)}." if self.near else ""
        return f"{self.name} is no gene of this dataset.{closest}"


@dataclass(frozen=True)
class GeneSearch:
    """What some names lead to.

    Attributes
    ----------
    found, missing
        In the order of the names; together one for each name.
    """

    found: tuple[FoundGene, ...]
    missing: tuple[MissingGene, ...]

    @property
    def gene_ids(self) -> tuple[str, ...]:
        """The genes that were found, each once."""
        return tuple(dict.fromkeys(gene.gene_id for gene in self.found))


def search_genes(dataset: Dataset, names: Iterable[str]) -> GeneSearch:
    """Find the genes that a person names; every name is answered, each once."""
    found, missing = [], []
    for name in dict.fromkeys(each.strip() for each in names):
        gene_ids = genes_named(dataset, name)
        if len(gene_ids) == 1:
            found.append(FoundGene(name, gene_ids[0], symbol_of(dataset, gene_ids[0])))
        elif name:
            missing.append(_missing(dataset, name, gene_ids))
    return GeneSearch(tuple(found), tuple(missing))


def names_in(text: str) -> list[str]:
    r"""Return the names of a typed or pasted list, whatever stands between them.

    Examples
    --------
    >>> names_in("CD3D, LYZ;MS4A1\n NKG7")
    ['CD3D', 'LYZ', 'MS4A1', 'NKG7']
    """
    return [name for name in _BETWEEN.split(text.strip()) if name]


@lru_cache(maxsize=16)
def gene_labels(dataset: Dataset) -> MappingProxyType[str, str]:
    """Return the name that each gene is offered under -> its id, sorted by name; equal symbols carry their id."""
    symbols = dataset.gene_symbols
    twice = {symbol for symbol, n in Counter(symbols).items() if n > 1}
    labels = {
        f"{symbol} ({gene_id})" if symbol in twice else symbol: gene_id
        for gene_id, symbol in zip(dataset.gene_ids, symbols, strict=True)
    }
    return MappingProxyType(dict(sorted(labels.items(), key=lambda item: item[0].casefold())))


@lru_cache(maxsize=16)
def labels_of_genes(dataset: Dataset) -> MappingProxyType[str, str]:
    """Return the id of each gene -> the name that it is offered under, see `gene_labels`."""
    return MappingProxyType({gene_id: label for label, gene_id in gene_labels(dataset).items()})


def _missing(dataset: Dataset, name: str, several: tuple[str, ...]) -> MissingGene:
    if several:
        return MissingGene(name, several=tuple(symbol_of(dataset, gene_id) for gene_id in several))
    key, table = typed_key(name), gene_table(dataset.organism)
    known = (table.ids.get(key, key), *gene_aliases(dataset.organism).get(key, ()))
    elsewhere = next((table.symbols[gene_id] for gene_id in known if gene_id in table.symbols), "")
    return MissingGene(name, elsewhere=elsewhere, near=() if elsewhere else near_symbols(dataset, name))


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
