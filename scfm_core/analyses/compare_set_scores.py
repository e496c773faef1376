"""In which groups of cells is a set of genes expressed, and more than random sets of like expression are?"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.find_markers import adjusted_p_values
from scfm_core.analyses.grouping import Grouping, group_codes
from scfm_core.analyses.mean_expression import MeasureMeanExpression, bins_of_like_expression
from scfm_core.analyses.read_expression import gene_positions
from scfm_core.analyses.score_gene_set import ScoreGeneSet, SetScores, log_genes, spans_of_counts
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

GENES_PER_BIN = 100
MIN_CELLS_OF_DONOR = 5
_DRAWS_AT_ONCE = 100


@dataclass(frozen=True)
class SetScoresOfGroups:
    """The scores of a set of genes, group by group.

    Attributes
    ----------
    table
        One row per group with a cell, in reading order: ``group``, ``n_cells``, ``mean``, ``lower_quartile``,
        ``median``, ``upper_quartile`` of the scores; ``share_held`` (mean share of the set's genes that a cell holds);
        ``n_donors``, ``donor_mean``, ``donor_sd`` (of the means of donors with at least 5 cells in the group; NaN where
        there are none, or one); ``n_as_high`` (random sets whose mean is as high or higher), ``p_value`` and
        ``p_adjusted`` (Benjamini-Hochberg over the groups).
    donors
        One row per group and donor: ``group``, ``donor``, ``n_cells``, ``mean``; empty without a column of donors.
    n_random
        Random sets drawn.
    """

    table: pd.DataFrame
    donors: pd.DataFrame
    n_random: int


@dataclass(frozen=True)
class CompareSetScores(Request[SetScoresOfGroups]):
    """Sum the scores of a gene set up by group, and compare them with random sets of genes.

    A random set holds, for each gene of the set, a gene among the 100 of like rank of mean expression, in all cells.
    In a group the mean over the cells of a random set is compared with that of the set: p is the share of sets, the
    set itself among them, that are as high or higher. It says whether these genes, taken together, stand out in these
    cells; it says nothing about other donors, and the genes of any set that go together stand out more easily.

    Parameters
    ----------
    n_random
        Random sets, at least 1; p is no smaller than 1 / (``n_random`` + 1).

    Raises
    ------
    RequestError
        If no cell is in a group.
    """

    score: ScoreGeneSet
    grouping: Grouping
    n_random: int = 1000
    seed: int = 0

    result_type: ClassVar[type] = SetScoresOfGroups

    def __post_init__(self) -> None:
        if self.n_random < 1:
            msg = f"Expected at least 1 random set, found {self.n_random}. Usual is 1,000."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> SetScoresOfGroups:
        """See `Request.run`."""
        dataset = self.score.dataset
        names, found = group_codes(context, dataset, self.grouping)
        codes = np.asarray(found, dtype=np.int64)
        present = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(names)))
        if not len(present):
            msg = f"Expected cells in groups, found none among {dataset.n_cells:,}. Choose another grouping."
            raise RequestError(msg, "nothing-to-compare")
        lookup = np.full(len(names) + 1, -1)
        lookup[present] = np.arange(len(present))
        codes, groups = lookup[codes], [names[place] for place in present]
        scores = context.compute(self.score)
        donors = _by_donor(dataset, scores, codes, groups)
        table = _by_group(scores, codes, groups).merge(_over_donors(donors), on="group", how="left")
        table["n_donors"] = table["n_donors"].fillna(0).astype(int)
        n_as_high = self._as_high(context, codes, len(groups))
        p_value = (1 + n_as_high) / (1 + self.n_random)
        table = table.assign(n_as_high=n_as_high, p_value=p_value, p_adjusted=adjusted_p_values(p_value))
        return SetScoresOfGroups(table, donors, self.n_random)

    def _as_high(self, context: Context, codes: NDArray[np.int64], n_groups: int) -> NDArray[np.int64]:
        """Count the random sets whose mean is as high as the set's or higher, shape ``(n_groups,)``."""
        dataset = self.score.dataset
        mean = context.compute(MeasureMeanExpression(dataset))
        genes = np.sort(gene_positions(dataset, self.score.gene_ids))
        bins = bins_of_like_expression(np.asarray(mean.means), GENES_PER_BIN)
        pool = np.flatnonzero(np.isin(bins, bins[genes]))
        spans = spans_of_counts(np.asarray(mean.share_held)[pool] * dataset.n_cells)
        add_up = partial(_log_sums, dataset, codes, n_groups)
        items, sizes = [pool[start:stop] for start, stop in spans], [stop - start for start, stop in spans]
        step = f"Reading genes of like expression for {self.n_random:,} random sets"
        parts = list(context.map(add_up, items, step=step, sizes=sizes, unit="genes"))
        sums = np.concatenate(parts, axis=1)
        return count_as_high(sums, np.isin(pool, genes), bins[pool], n_random=self.n_random, seed=self.seed)


def count_as_high(
    sums: NDArray[np.float64], is_set: NDArray[np.bool_], bins: NDArray[np.int64], *, n_random: int, seed: int
) -> NDArray[np.int64]:
    """Count the random sets whose sum is as high as that of the set, group by group.

    A random set has as many genes of each bin as the set; all such sets are equally likely, the set among them, so
    that (1 + count) / (1 + ``n_random``) is a p-value for a set drawn by chance.

    Parameters
    ----------
    sums
        Of each group and gene, shape ``(n_groups, n_genes)``.
    is_set, bins
        Whether a gene is in the set, and its bin, shape ``(n_genes,)``.

    Returns
    -------
    Shape ``(n_groups,)``.
    """
    random = np.random.default_rng(seed)
    drawn = np.zeros((n_random, len(sums)))
    for number in np.unique(bins[is_set]):
        alike = np.flatnonzero(bins == number)
        n_genes = int(is_set[alike].sum())
        for start in range(0, n_random, _DRAWS_AT_ONCE):
            rows = drawn[start : start + _DRAWS_AT_ONCE]
            order = np.argsort(random.random((len(rows), len(alike))), axis=1)[:, :n_genes]
            rows += sums[:, alike[order]].sum(axis=2).T
    own = sums[:, is_set].sum(axis=1)
    return np.asarray((drawn >= own - 1e-9 * np.maximum(np.abs(own), 1.0)).sum(axis=0), dtype=np.int64)


def _log_sums(
    dataset: Dataset, codes: NDArray[np.int64], n_groups: int, genes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the sum of log expression over each group's cells, shape ``(n_groups, n_genes)``."""
    found = [
        np.bincount(codes[cells] + 1, weights=logs, minlength=n_groups + 1)[1:]
        for cells, logs in log_genes(dataset, genes)
    ]
    return np.array(found, dtype=np.float64).T


def _by_group(scores: SetScores, codes: NDArray[np.int64], groups: list[str]) -> pd.DataFrame:
    values, held = np.asarray(scores.scores, dtype=np.float64), np.asarray(scores.share_held, dtype=np.float64)
    rows = []
    for number, name in enumerate(groups):
        inside = codes == number
        known = values[inside & np.isfinite(values)]
        low, middle, high = np.percentile(known, [25, 50, 75]) if len(known) else (np.nan,) * 3
        rows.append(
            {"group": name, "n_cells": int(inside.sum()), "mean": known.mean() if len(known) else np.nan,
             "lower_quartile": low, "median": middle, "upper_quartile": high, "share_held": held[inside].mean()}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _by_donor(dataset: Dataset, scores: SetScores, codes: NDArray[np.int64], groups: list[str]) -> pd.DataFrame:
    column = dataset.roles.get("donor")
    cells = dataset.cells()
    if column is None or column not in cells:
        return pd.DataFrame({"group": [], "donor": [], "n_cells": [], "mean": []})
    table = pd.DataFrame({"code": codes, "donor": cells[column].astype(object).to_numpy(), "score": scores.scores})
    table = table[(table["code"] >= 0) & table["donor"].notna() & table["score"].notna()]
    found = table.groupby(["code", "donor"], sort=True)["score"].agg(["size", "mean"]).reset_index()
    return pd.DataFrame(
        {"group": [groups[code] for code in found["code"]], "donor": found["donor"].astype(str),
         "n_cells": found["size"], "mean": found["mean"].astype(float)}
    )  # fmt: skip


def _over_donors(donors: pd.DataFrame) -> pd.DataFrame:
    enough = donors[donors["n_cells"] >= MIN_CELLS_OF_DONOR].groupby("group", sort=False)["mean"]
    found = pd.DataFrame({"n_donors": enough.size(), "donor_mean": enough.mean(), "donor_sd": enough.std(ddof=1)})
    return found.rename_axis("group").reset_index()
