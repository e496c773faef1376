"""Named lists of genes, such as pathways."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GeneSet:
    """Genes that belong together: a name, a few words, and the genes' symbols."""

    name: str
    description: str
    genes: tuple[str, ...]


@dataclass(frozen=True)
class GeneSets:
    """Gene sets of one source.

    Attributes
    ----------
    name
        How the collection is called.
    source
        Where it comes from, in words.
    """

    name: str
    source: str
    sets: tuple[GeneSet, ...]
