"""Do the genes that stand out belong together more often than chance would have it?"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.gene_sets import GeneSets
from scfm_core.request import Context, Request

MIN_HITS = 3
_NAMED = 8
COLUMNS = ("term", "overlap", "n_set", "n_hits", "n_universe", "odds_ratio", "p", "p_adjusted", "genes")


@dataclass(frozen=True)
class Enrichment:
    """How many of the hits each gene set holds, against what drawing as many tested genes at random would give.

    Attributes
    ----------
    table
        One row per set tested, smallest p first: ``term``; ``overlap``, hits in the set; ``n_set``, genes of the set
        that were tested; ``n_hits``, ``n_universe``; ``odds_ratio`` of being in the set for a hit against the other
        tested genes, 0.5 added to each of the four counts (Haldane-Anscombe), so that it is never infinite; ``p``,
        one-sided hypergeometric, 1 where no hit is in the set; ``p_adjusted``, Benjamini-Hochberg over ALL rows, sets
        without a hit among them; ``genes``, the hits in the set joined with ``;``, in the order given.
    name, source
        Of the gene sets.
    n_left_out
        Sets that were not tested, because too few or too many of their genes were.
    remarks
        What a reader must know beside the table, such as that there are too few hits.
    """

    table: pd.DataFrame
    name: str
    source: str
    n_left_out: int
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class EnrichGenes(Request[Enrichment]):
    """Test each gene set for over-representation among some genes, against the genes that could have been among them.

    Symbols are compared upper-cased, in hits, universe and sets alike. So mouse symbols meet human sets of the same
    name, which is right for most genes, not for all.

    Parameters
    ----------
    hits
        Symbols of the genes that stood out.
    universe
        Symbols of all genes that were tested and could have stood out, the hits among them. A gene that was never
        tested must not be in it: the sets are cut to it too.
    sets
        The gene sets.
    min_size, max_size
        A set is tested if so many of its genes are in the universe.

    Raises
    ------
    RequestError
        If there is no hit (code "no-hits"), a hit is not in the universe ("outside-universe"), or no set has enough
        genes in the universe ("no-sets").

    References
    ----------
    Boyle et al. 2004, doi:10.1093/bioinformatics/bth456, for the test; computed by gseapy, Fang et al. 2023,
    doi:10.1093/bioinformatics/btac757, offline. gseapy's adjusted p leaves out the sets without a hit; ours does not.
    """

    hits: tuple[str, ...]
    universe: tuple[str, ...]
    sets: GeneSets
    min_size: int = 5
    max_size: int = 500

    result_type: ClassVar[type] = Enrichment

    def __post_init__(self) -> None:
        if not self.hits:
            msg = "Expected at least one gene that stood out, found none. Loosen the cut-off, or choose genes by hand."
            raise RequestError(msg, "no-hits")
        known = set(_upper(self.universe))
        strange = [symbol for symbol in dict.fromkeys(self.hits) if symbol.upper() not in known]
        if strange:
            more = f" and {len(strange) - _NAMED:,} more" if len(strange) > _NAMED else ""
            msg = (
                f"Expected the hits among the {len(known):,} tested genes, but {', '.join(strange[:_NAMED])}{more} "
                "are not. Give all genes that were tested as the universe."
            )
            raise RequestError(msg, "outside-universe")
        if not 1 <= self.min_size <= self.max_size:
            msg = (
                f"Expected sets of at least 1 gene, and a largest size no smaller than the smallest, found "
                f"{self.min_size} to {self.max_size}. Choose other sizes."
            )
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> Enrichment:
        """See `Request.run`."""
        hits, universe = _upper(self.hits), set(_upper(self.universe))
        tested = {}
        for number, each in enumerate(self.sets.sets):
            genes = set(_upper(each.genes)) & universe
            if self.min_size <= len(genes) <= self.max_size:
                tested[number] = genes
        if not tested:
            msg = (
                f"None of the {len(self.sets.sets):,} sets of {self.sets.name} has {self.min_size} to {self.max_size} "
                f"of the {len(universe):,} tested genes. Choose sets of this organism, or other sizes."
            )
            raise RequestError(msg, "no-sets")
        n_left_out = len(self.sets.sets) - len(tested)
        context.log(f"{len(hits):,} genes in {len(tested):,} sets; {n_left_out:,} sets are too small or too large")
        return Enrichment(
            table=_table([each.name for each in self.sets.sets], tested, hits, universe),
            name=self.sets.name,
            source=self.sets.source,
            n_left_out=n_left_out,
            remarks=_remarks(hits, universe),
        )


def _upper(symbols: Iterable[str]) -> tuple[str, ...]:
    """Return symbols as they are compared, each once, in the order given."""
    return tuple(dict.fromkeys(symbol.upper() for symbol in symbols))


def _table(names: list[str], tested: dict[int, set[str]], hits: tuple[str, ...], universe: set[str]) -> pd.DataFrame:
    from gseapy.stats import calc_pvalues
    from scipy.stats import false_discovery_control

    found = {each[0]: each[1:] for each in zip(*calc_pvalues(set(hits), tested, universe), strict=True)}
    rows = []
    for number, genes in tested.items():
        without = (1.0, _odds_of_none(len(genes), len(hits), len(universe)))
        p, odds_ratio = found.get(number, without)[:2]
        shared = [symbol for symbol in hits if symbol in genes]
        row = (names[number], len(shared), len(genes), len(hits), len(universe), odds_ratio, p)
        rows.append((*row, np.nan, ";".join(shared)))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["p_adjusted"] = false_discovery_control(table["p"].clip(0, 1))
    order = np.lexsort((table["term"], -table["odds_ratio"], table["p"]))
    return table.iloc[order].reset_index(drop=True)


def _odds_of_none(n_set: int, n_hits: int, n_universe: int) -> float:
    """Return the odds ratio of a set without a hit, of which gseapy says nothing."""
    return 0.5 * (n_universe - n_set - n_hits + 0.5) / ((n_set + 0.5) * (n_hits + 0.5))


def _remarks(hits: tuple[str, ...], universe: set[str]) -> tuple[str, ...]:
    said = []
    if len(hits) < MIN_HITS:
        counted = "is only 1 gene" if len(hits) == 1 else f"are only {len(hits)} genes"
        said.append(f"There {counted} to look for; with fewer than {MIN_HITS} a set is found by chance too easily.")
    if len(hits) == len(universe):
        said.append("All tested genes are hits: no set can stand out.")
    return tuple(said)
