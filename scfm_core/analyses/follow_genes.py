"""Which other genes follow an edit, and which of them follow any edit?"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.checked_cells import studied
from scfm_core.analyses.measure_edits import EditedCells, apparatus_of
from scfm_core.analyses.measure_random_genes import MatchedGenes, match_random_genes
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.perturbation_passes import Apparatus, find_tokens, shift_genes
from scfm_core.analyses.perturbation_study import Edit, Study
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

MOST_GENES = 200
MIN_CELLS = 5  # in which the gene stands before and after, or all where fewer are asked for
MIN_RANDOM = 5  # random edits under which a gene was seen, for a statement about it
_ROUNDING = 1e-9  # a smaller spread, relative to the mean, is that of equal numbers
_TYPES = {
    "edit": str,
    "group": str,
    "gene_id": str,
    "symbol": str,
    "mean_shift": float,
    "n_cells": int,
    "random_mean": float,
    "random_sd": float,
    "n_random": int,
    "specific_z": float,
    "p_empirical": float,
}


@dataclass(frozen=True)
class FollowingGenes:
    """The genes whose vectors turned under an edit, beside how they turn under any.

    Attributes
    ----------
    table
        At most 200 rows per edit and group, largest ``specific_z`` first, genes without one last:

        - ``edit``, ``group``, ``gene_id``, ``symbol`` of the gene that follows;
        - ``mean_shift``, mean over cells of 1 - cosine of its contextual vector before and after, and ``n_cells``;
        - ``random_mean``, ``random_sd`` and ``n_random``: the same under random edits, where at least 5 of these
          (and as many cells of each) were seen;
        - ``specific_z``, ``(mean_shift - random_mean) / random_sd``: a gene that turns under any edit, because few
          hold it in place, has a large shift and a small z;
        - ``p_empirical``, share of the random edits and this one that turn the gene at least as far; at best
          ``1 / (n_random + 1)``.
    tested
        All genes that could have stood in the table, one row per edit, group and gene: ``edit``, ``group``, ``symbol``.
        A gene that no five of the cells hold is not among them.
    reason
        Why the table is empty, else empty.
    n_passes
        How many times a cell went through the model for it.
    """

    table: pd.DataFrame
    tested: pd.DataFrame
    reason: str
    n_passes: int


@dataclass(frozen=True)
class FollowGenes(Request[FollowingGenes]):
    """Measure how far every other gene's contextual vector turns under the edits of a question, and under random ones.

    The random edits are made to genes that match those of the edit for detection and rank in the same group, as for
    the question itself; each on cells that hold its gene, the cells of the edit before others.

    Parameters
    ----------
    null_genes
        Random genes, or sets of genes, per edit and group.
    null_cells
        On how many cells that hold it each edit is made.

    Raises
    ------
    RequestError
        If there are fewer than 0 random genes or fewer than 1 cell.

    References
    ----------
    Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9, Methods, for the shift of gene vectors. The comparison with
    random edits, gene by gene, is ours.
    """

    question: PerturbGenes
    null_genes: int = 20
    null_cells: int = 16

    version: ClassVar[int] = 3  # an edited gene does not follow itself
    result_type: ClassVar[type] = FollowingGenes

    def __post_init__(self) -> None:
        if self.null_genes < 0 or self.null_cells < 1:
            msg = f"Expected at least 0 random genes and 1 cell, found {self.null_genes} and {self.null_cells}."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> FollowingGenes:
        """See `Request.run`."""
        baseline = self.question.baseline
        if not baseline.model.has_gene_vectors:
            why = f"{baseline.model.title} gives no vectors of genes, so that no gene can be seen to follow."
            return FollowingGenes(_table([]), _tested([]), why, 0)
        edited = context.compute(self.question.exact)
        study = studied(context, self.question)
        apparatus = apparatus_of(context, baseline)
        matched = match_random_genes(context, apparatus, study, edited, n=self.null_genes)
        work, owners = self._work(study, edited, matched)
        shifts = _shifts(context, apparatus, work)
        rows, tested = [], []
        for (edit, group), numbers in owners.items():
            own, random = shifts[numbers[0]], [shifts[number] for number in numbers[1:]]
            name = {"edit": study.labels[edit], "group": group}
            rows.append(_named(study, compare_shifts(own, random, self._enough)).assign(**name))
            genes = own["genes"][own["n_cells"] >= self._enough]
            tested.append(pd.DataFrame({"symbol": [study.dataset.gene_symbols[gene] for gene in genes]}).assign(**name))
        n_passes = sum(2 * len(cells) for _, cells in work)
        why = "" if rows else f"No edit is held by at least {self._enough} cells of a group."
        return FollowingGenes(_table(rows), _tested(tested), why, n_passes)

    @property
    def _enough(self) -> int:
        return min(MIN_CELLS, self.null_cells)

    def _work(
        self, study: Study, edited: EditedCells, matched: MatchedGenes
    ) -> tuple[list[tuple[Edit, NDArray[np.int64]]], dict[tuple[int, str], list[int]]]:
        """Return edits and cells, and which of them belong to each edit and group: itself, then the random ones."""
        work: list[tuple[Edit, NDArray[np.int64]]] = []
        owners: dict[tuple[int, str], list[int]] = {}
        for group in study.group_names:
            order = study.in_random_order[group]
            for edit in range(len(study.edits)):
                cells = study.chosen[order[edited.holds[edit, order]]][: self.null_cells]
                if len(cells) < self._enough:
                    continue
                owners[edit, group] = [len(work)]
                work.append((study.edits[edit], np.sort(cells)))
                mine = matched.draws[(matched.draws["edit"] == edit) & (matched.draws["group"] == group)]
                for number in mine["number"].astype(int):
                    holders = matched.cells_of(number)
                    first = np.argsort(~np.isin(holders, cells), kind="stable")[: self.null_cells]
                    owners[edit, group].append(len(work))
                    work.append((matched.edits[number], np.sort(holders[first])))
        return work, owners


def compare_shifts(
    own: dict[str, NDArray[Any]], random: list[dict[str, NDArray[Any]]], enough: int
) -> pd.DataFrame:
    """Compare the shifts of genes under an edit with those of the same genes under random edits.

    Parameters
    ----------
    own, random
        As `perturbation_passes.shift_genes` returns them.
    enough
        In how many cells a gene must stand for its mean to count.

    Returns
    -------
    One row per gene, ``gene`` being its position in the dataset, the other columns as in `FollowingGenes`; the 200
    largest ``specific_z`` first.
    """
    kept = np.flatnonzero(own["n_cells"] >= enough)
    genes = own["genes"][kept]
    shifts = np.full((len(random), len(genes)), np.nan)
    for row, part in enumerate(random):
        seen = part["n_cells"] >= enough
        common, here, there = np.intersect1d(genes, part["genes"][seen], return_indices=True)
        shifts[row, here] = part["mean_shift"][seen][there]
    n_random = (~np.isnan(shifts)).sum(axis=0)
    compared = n_random >= MIN_RANDOM
    mean, spread, p = (np.full(len(genes), np.nan) for _ in range(3))
    mine = own["mean_shift"][kept]
    if compared.any():
        mean[compared] = np.nanmean(shifts[:, compared], axis=0)
        spread[compared] = np.nanstd(shifts[:, compared], axis=0, ddof=1)
        as_far = (shifts[:, compared] >= mine[compared]).sum(axis=0)
        p[compared] = (1 + as_far) / (1 + n_random[compared])
    differ = spread > _ROUNDING * mean
    z = np.divide(mine - mean, spread, out=np.full(len(genes), np.nan), where=differ)
    table = pd.DataFrame(
        {
            "gene": genes,
            "mean_shift": mine,
            "n_cells": own["n_cells"][kept],
            "random_mean": mean,
            "random_sd": spread,
            "n_random": n_random,
            "specific_z": z,
            "p_empirical": p,
        }
    )
    table = table.sort_values(["specific_z", "mean_shift"], ascending=False, kind="stable", na_position="last")
    return table.head(MOST_GENES).reset_index(drop=True)


def _shifts(
    context: Context, apparatus: Apparatus, work: list[tuple[Edit, NDArray[np.int64]]]
) -> list[dict[str, NDArray[Any]]]:
    if not work:
        return []
    tokens = context.call(partial(find_tokens, apparatus), step=f"Loading {apparatus.model.title}")
    sizes = [2 * len(cells) for _, cells in work]
    shift = partial(shift_genes, apparatus, tokens)
    return list(context.map(shift, work, step="Finding the genes that follow", sizes=sizes, unit="passes"))


def _named(study: Study, found: pd.DataFrame) -> pd.DataFrame:
    dataset = study.dataset
    genes = found.pop("gene")
    return found.assign(
        gene_id=[dataset.gene_ids[gene] for gene in genes], symbol=[dataset.gene_symbols[gene] for gene in genes]
    )


def _table(rows: list[pd.DataFrame]) -> pd.DataFrame:
    empty = pd.DataFrame({name: [] for name in _TYPES})
    filled = [row for row in rows if len(row)]
    table = pd.concat(filled, ignore_index=True) if filled else empty
    return table[list(_TYPES)].astype(_TYPES)


def _tested(parts: list[pd.DataFrame]) -> pd.DataFrame:
    columns = ["edit", "group", "symbol"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns, dtype=str)
