"""What may groups of cells be called, from the genes that mark cell types?

A name needs two tests, both against a null, and has to come first again when the genes are resampled. Cells of one
donor are no independent replicates: the p-values rank names, they do not speak about people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.find_markers import adjusted_p_values
from scfm_core.analyses.group_names import UNKNOWN, group_table, groups_of, share_words
from scfm_core.analyses.grouping import Grouping, group_labels
from scfm_core.analyses.marker_scores import (
    MIN_CELLS,
    GeneStatistics,
    first_places,
    gene_statistics,
    places_of,
    raised_cells_p,
    random_set_p,
)
from scfm_core.cell_markers import MOST_GENES, CellMarkers, MarkerTable
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.genes import known_genes
from scfm_core.request import Context, Request

MOST_SETS = 300
MIN_GENES = 3
MIN_RAISED = 2
RAISED = 1.645  # among the highest 5 % of the genes of a group
_SHOWN_GENES = 5


@dataclass(frozen=True)
class MarkerNames:
    """Names of groups with the evidence for them.

    Attributes
    ----------
    groups
        One row per group in reading order, columns as in `scfm_core.analyses.group_names`: ``name`` is "unknown" where
        ``reason`` says why; ``confidence``, ``runner_up_confidence``: share of resamples of the genes in which the name
        comes first.
    scores
        One row per tested group and scored set: ``group``, ``set``; ``z``, standard deviations above random genes of
        like abundance; ``p_genes``, against random genes; ``p_cells``, against random cells; ``p``, the larger;
        ``p_adjusted`` (Benjamini-Hochberg over all rows); ``support``, share of resamples in which the set is first;
        ``n_raised`` genes among the highest 5 % of the group; ``n_expressed`` genes held by at least 3 cells;
        ``n_measured``; ``n_set``.
    genes
        One row per tested group and expressed gene of its first two sets: ``group``, ``set``, ``symbol``, ``score``
        (normal score of its rank among all genes of the group), ``share_in``, ``share_out`` (of cells that hold it).
    source
        Where the sets come from.
    remarks
        What a reader must know, such as how many sets were not scored.
    """

    groups: pd.DataFrame
    scores: pd.DataFrame
    genes: pd.DataFrame
    source: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class NameByMarkers(Request[MarkerNames]):
    """Name each group by the set of marker genes that stands out most in it against all other cells.

    In each group all genes are ranked by the standardised difference of their mean ln(1 + counts per 10,000) from that
    of all other cells; ranks become normal scores, and the score of a set is their mean. A set passes where it is
    higher than 20,000 random sets of as many genes of like abundance, AND where the cells of the group hold its genes
    more than random cells would (rank sum test of the cells' mean standardised expression, which heeds that genes of a
    set go together). The larger p counts, adjusted over groups x sets. It must also be first in 80 % of 1,000 Bayesian
    bootstrap resamples of the genes; where sets of one lineage share the first place, the lineage is the name.

    Parameters
    ----------
    markers
        At most 300 sets.
    max_p_adjusted
        Largest adjusted p of a name.
    min_support
        Smallest share of resamples in which a name comes first.

    Raises
    ------
    RequestError
        If there is nothing to compare (code "nothing-to-compare"), a set cannot be used ("bad-markers"), or the
        dataset expresses no set ("no-genes").

    References
    ----------
    Subramanian et al. 2005, doi:10.1073/pnas.0506580102, and Wu & Smyth 2012, doi:10.1093/nar/gks461, for the two nulls
    and why neither alone is enough; Rubin 1981, doi:10.1214/aos/1176345338, for the bootstrap.
    """

    dataset: Dataset
    grouping: Grouping
    markers: MarkerTable
    max_p_adjusted: float = 0.05
    min_support: float = 0.8
    seed: int = 0

    result_type: ClassVar[type] = MarkerNames

    def __post_init__(self) -> None:
        _check(self.markers)
        if not 0 < self.max_p_adjusted <= 1 or not 0 <= self.min_support <= 1:
            msg = "Expected an adjusted p above 0 and a share of resamples, both at most 1. Choose others."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> MarkerNames:
        """See `Request.run`."""
        labels = group_labels(context, self.dataset, self.grouping)
        sizes = groups_of(labels)
        tested = [name for name, n in sizes.items() if min(n, len(labels) - n) >= MIN_CELLS]
        if not tested:
            msg = (
                f"Expected a group of at least {MIN_CELLS} cells and as many others to compare it with, found "
                f"{len(sizes):,} among {len(labels):,} cells. Choose a column with more groups, or larger ones."
            )
            raise RequestError(msg, "nothing-to-compare")
        statistics = gene_statistics(context, self.dataset, labels, tested)
        found = self._scored_sets(statistics)
        scores = self._scores(context, labels, statistics, found)
        rows = [self._row(name, n, found, scores, statistics) for name, n in sizes.items()]
        return MarkerNames(
            groups=group_table(rows),
            scores=scores,
            genes=_evidence_genes(self.dataset, statistics, found, scores),
            source=self.markers.source,
            remarks=_remarks(self.dataset, self.markers, found, set(sizes) - set(tested)),
        )

    def _scored_sets(self, statistics: GeneStatistics) -> "list[_ScoredSet]":
        place = {self.dataset.gene_ids[gene]: at for at, gene in enumerate(statistics.genes.tolist())}
        found = []
        for one in self.markers.types:
            measured = set(known_genes(self.dataset, one.genes).values())
            at = np.array(sorted(place[gene_id] for gene_id in measured if gene_id in place), dtype=np.int64)
            if len(at) >= MIN_GENES:
                found.append(_ScoredSet(one, at, len(measured)))
        if not found:
            shown = ", ".join(self.markers.types[0].genes[:4])
            msg = (
                f"None of {len(self.markers.types):,} sets has {MIN_GENES} genes that this dataset expresses; they "
                f"look like {shown}. Choose sets of genes of this organism, or a dataset with more genes."
            )
            raise RequestError(msg, "no-genes")
        return found

    def _scores(
        self, context: Context, labels: NDArray[np.str_], statistics: GeneStatistics, found: "list[_ScoredSet]"
    ) -> pd.DataFrame:
        places = [one.places for one in found]
        against_genes = partial(random_set_p, statistics, seed=self.seed)
        parts = list(context.map(against_genes, list(enumerate(places)), step="Drawing random genes", unit="sets"))
        z, p_genes, centre, spread = (np.array([part[name] for part in parts]).T for name in ("z", "p", "mean", "sd"))
        against_cells = partial(
            raised_cells_p, self.dataset, places_of(labels, statistics.groups), len(statistics.groups)
        )
        positions = [statistics.genes[at] for at in places]
        p_cells = np.array(list(context.map(against_cells, positions, step="Scoring cells", unit="sets"))).T
        resample = partial(first_places, statistics.scores, places, centre, spread, seed=self.seed)
        support = context.call(resample, step="Resampling the genes")
        raised = np.array([(statistics.scores[:, at] > RAISED).sum(axis=1) for at in places]).T
        p = np.maximum(p_genes, p_cells)
        n_groups = len(statistics.groups)
        return pd.DataFrame({
            "group": np.repeat(np.array(statistics.groups, dtype=object), len(found)),
            "set": np.tile(np.array([one.markers.name for one in found], dtype=object), n_groups),
            "z": z.ravel(), "p_genes": p_genes.ravel(), "p_cells": p_cells.ravel(), "p": p.ravel(),
            "p_adjusted": adjusted_p_values(p.ravel()), "support": support.ravel(), "n_raised": raised.ravel(),
            "n_expressed": np.tile([len(at) for at in places], n_groups),
            "n_measured": np.tile([one.n_measured for one in found], n_groups),
            "n_set": np.tile([len(one.markers.genes) for one in found], n_groups),
        })  # fmt: skip

    def _row(
        self, group: str, n_cells: int, found: "list[_ScoredSet]", scores: pd.DataFrame, statistics: GeneStatistics
    ) -> dict[str, object]:
        mine = scores[scores["group"] == group].sort_values("z", ascending=False, kind="stable")
        if mine.empty:
            return {"group": group, "n_cells": n_cells, "name": UNKNOWN, "confidence": np.nan, "runner_up": "",
                    "runner_up_confidence": np.nan, "evidence": "",
                    "reason": f"fewer than {MIN_CELLS} cells on one side of the comparison"}  # fmt: skip
        best, second = mine.iloc[0], mine.iloc[1] if len(mine) > 1 else None
        name, confidence, reason = self._decided(mine, found)
        by_name = {one.markers.name: one for one in found}
        return {
            "group": group, "n_cells": n_cells, "name": name, "confidence": confidence,
            "runner_up": "" if second is None else second["set"],
            "runner_up_confidence": np.nan if second is None else second["support"],
            "evidence": ("" if name == best["set"] else f"{best['set']}: ")
            + _evidence(self.dataset, statistics, group, by_name[best["set"]]),
            "reason": reason,
        }  # fmt: skip

    def _decided(self, mine: pd.DataFrame, found: "list[_ScoredSet]") -> tuple[str, float, str]:
        """Return name, confidence and, where it is unknown, why."""
        best, support = mine.iloc[0], dict(zip(mine["set"], mine["support"], strict=True))
        if best["p_adjusted"] > self.max_p_adjusted or best["z"] <= 0:
            words = f"no set passes; the highest is {best['set']} with adjusted p {best['p_adjusted']:.2g}"
            return UNKNOWN, float(best["support"]), words
        if best["n_raised"] < MIN_RAISED:
            return UNKNOWN, float(best["support"]), f"fewer than {MIN_RAISED} genes of {best['set']} stand out"
        if best["support"] >= self.min_support:
            return str(best["set"]), float(best["support"]), ""
        lineage = next(one.markers.lineage for one in found if one.markers.name == best["set"])
        for wider in lineage:
            share = sum(support[s.markers.name] for s in found if wider in (s.markers.name, *s.markers.lineage))
            if share >= self.min_support:
                return wider, float(share), ""
        rival = mine[mine["set"] != best["set"]].sort_values("support", ascending=False).iloc[0]
        words = (
            f"not told apart: {best['set']} comes first in {share_words(best['support'])} of resamples of the genes, "
            f"{rival['set']} in {share_words(rival['support'])}"
        )
        return UNKNOWN, float(best["support"]), words


@dataclass(frozen=True, eq=False)
class _ScoredSet:
    markers: CellMarkers
    places: NDArray[np.int64]  # among the genes of the statistics
    n_measured: int


def _check(markers: MarkerTable) -> None:
    names = [one.name for one in markers.types]
    if not 1 <= len(names) <= MOST_SETS or len(set(names)) < len(names) or UNKNOWN in names:
        msg = (
            f"Expected 1 to {MOST_SETS} sets of marker genes, each with a name of its own other than {UNKNOWN!r}; "
            f"found {len(names):,} with {len(set(names)):,} names. Keep the sets of cell types that may be here."
        )
        raise RequestError(msg, "bad-markers")
    large = [one.name for one in markers.types if len(one.genes) > MOST_GENES]
    if large:
        msg = f"Expected at most {MOST_GENES} genes in a set; {large[0]!r} holds more. Keep those that mark the type."
        raise RequestError(msg, "bad-markers")


def _strongest(statistics: GeneStatistics, row: int, one: _ScoredSet) -> NDArray[np.int64]:
    return one.places[np.argsort(-statistics.scores[row, one.places], kind="stable")]


def _evidence(dataset: Dataset, statistics: GeneStatistics, group: str, one: _ScoredSet) -> str:
    row = statistics.groups.index(group)
    at = [place for place in _strongest(statistics, row, one) if statistics.scores[row, place] > RAISED]
    parts = [
        f"{dataset.gene_symbols[statistics.genes[place]]} {share_words(statistics.share_in[row, place])} of cells "
        f"({share_words(statistics.share_out[row, place])} of the others)"
        for place in at[:_SHOWN_GENES]
    ]
    more = f" and {len(at) - _SHOWN_GENES} more" if len(at) > _SHOWN_GENES else ""
    return f"{', '.join(parts) or 'no gene stands out'}{more}"


def _evidence_genes(
    dataset: Dataset, statistics: GeneStatistics, found: Sequence[_ScoredSet], scores: pd.DataFrame
) -> pd.DataFrame:
    by_name = {one.markers.name: one for one in found}
    rows: list[dict[str, Any]] = []
    for row, group in enumerate(statistics.groups):
        for name in scores[scores["group"] == group].nlargest(2, "z")["set"]:
            rows += [
                {"group": group, "set": name, "symbol": dataset.gene_symbols[statistics.genes[at]],
                 "score": statistics.scores[row, at], "share_in": statistics.share_in[row, at],
                 "share_out": statistics.share_out[row, at]}
                for at in _strongest(statistics, row, by_name[name])
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=["group", "set", "symbol", "score", "share_in", "share_out"])


def _remarks(
    dataset: Dataset, markers: MarkerTable, found: Sequence[_ScoredSet], untested: set[str]
) -> tuple[str, ...]:
    n_lost = len(markers.types) - len(found)
    remarks = []
    if n_lost:
        remarks.append(
            f"{n_lost:,} of {len(markers.types):,} sets have fewer than {MIN_GENES} genes that this dataset expresses "
            "and were not scored; their cells, if there are any, cannot be named."
        )
    if dataset.organism == "mouse":
        remarks.append("Genes are matched by symbol, whatever its capitals: human sets find mouse genes of that name.")
    if untested:
        many = "group has" if len(untested) == 1 else "groups have"
        remarks.append(f"{len(untested):,} {many} fewer than {MIN_CELLS} cells, or fewer others: no name for them.")
    return tuple(remarks)
