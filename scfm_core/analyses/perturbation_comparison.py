"""An edit beside its random genes, cell by cell, in one group; knows no tables."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.measure_edits import EditedCells
from scfm_core.analyses.perturbation_null import Match
from scfm_core.analyses.perturbation_study import RandomGenes, Study

Level = Callable[[float, NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Comparison:
    """On which cells one edit and its random genes are compared in one group.

    Attributes
    ----------
    cells
        Positions in ``Study.chosen`` of the cells on which the edit or one of its random genes was measured, ascending,
        shape ``(n_cells,)``.
    tested
        Which of them are the comparison cells of the edit itself, shape ``(n_cells,)``.
    pairs
        Where `RandomGenes` holds each random gene in each of the cells, shape ``(n_draws, n_cells)``; -1 for nowhere.
    names
        The random genes, shape ``(n_draws,)``.
    abundance
        Shape ``(n_draws + 1, n_covariates)``, the tested gene first.
    match
        None where there are no random genes.
    """

    cells: NDArray[np.int64]
    tested: NDArray[np.bool_]
    pairs: NDArray[np.int64]
    names: tuple[str, ...]
    abundance: NDArray[np.float64]
    match: Match | None

    def values(self, tested: NDArray[np.float64], random: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a number of the tested gene (first row) and of the random genes in each cell.

        Parameters
        ----------
        tested
            Of the edit in each chosen cell, shape ``(n_chosen,)``.
        random
            Of each pair of random edit and cell, shape ``(n_pairs,)``.

        Returns
        -------
        Shape ``(n_draws + 1, n_cells)``; NaN where a gene was not measured in a cell.
        """
        own = np.where(self.tested, tested[self.cells], np.nan)
        others = np.where(self.pairs >= 0, random[self.pairs] if len(random) else np.nan, np.nan)
        return np.concatenate([own[None], others])


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Finds what each edit is compared with.

    Attributes
    ----------
    random
        None where the question asks for no random genes.
    """

    study: Study
    edited: EditedCells
    random: RandomGenes | None

    def of(self, edit: int, group: str) -> Comparison:
        """Return on which cells an edit and its random genes are compared in a group."""
        sample = self.study.sample(self.edited, edit, group)
        rows = self._rows.get((edit, group))
        if self.random is None or rows is None:
            cells, nothing = np.sort(sample), np.empty((0, len(sample)), dtype=np.int64)
            return Comparison(cells, np.ones(len(cells), dtype=bool), nothing, (), np.empty((1, 0)), None)
        numbers, names = rows
        order, sorted_numbers, position = self._pairs
        starts = np.searchsorted(sorted_numbers, numbers)
        lengths = np.searchsorted(sorted_numbers, numbers, side="right") - starts
        draw = np.repeat(np.arange(len(numbers)), lengths)
        ends = np.cumsum(lengths)
        found = order[np.arange(len(draw)) + np.repeat(starts - ends + lengths, lengths)]
        cells = np.unique(np.concatenate([sample, position[found]]))
        pairs = np.full((len(numbers), len(cells)), -1, dtype=np.int64)
        pairs[draw, np.searchsorted(cells, position[found])] = found
        abundance, match = self.random.abundance[edit, group], self.random.matches[edit, group]
        return Comparison(cells, np.isin(cells, sample), pairs, names, abundance, match)

    @cached_property
    def _rows(self) -> dict[tuple[int, str], tuple[NDArray[np.int64], tuple[str, ...]]]:
        """The distinct random edits of each edit and group, in the order of the draws, and what they are called."""
        if self.random is None:
            return {}
        tables = self.random.draws.sort_values("draw", kind="stable").groupby(["edit", "group"], sort=False)
        found = {}
        for _, rows in tables:
            key = (int(rows["edit"].iloc[0]), str(rows["group"].iloc[0]))
            found[key] = (rows["number"].to_numpy(dtype=np.int64), tuple(rows["symbols"].astype(str)))
        return found

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The pairs ordered by number, these numbers, and the cell of each pair as a position in ``Study.chosen``."""
        nothing = np.empty(0, dtype=np.int64)
        number, cell = (nothing, nothing) if self.random is None else (self.random.number, self.random.cell)
        order = np.argsort(number, kind="stable")
        return order, number[order], np.searchsorted(self.study.chosen, cell)


@dataclass(frozen=True, eq=False)
class Levelled:
    """One statistic of an edit and of its random genes.

    Attributes
    ----------
    observed
        Of the edit, measured as the random genes are; NaN where no cell holds it.
    measured, levelled
        Of the random genes as measured, and as they would be at the abundance of the tested gene, shape
        ``(n_draws,)``; NaN for a gene that no cell could tell of.
    """

    observed: float
    measured: NDArray[np.float64]
    levelled: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64], abundance: NDArray[np.float64], level: Level) -> "Levelled":
        """Average the values over cells, shape ``(n_draws + 1, n_cells)``, and level the random genes' means."""
        means = means_there(values)
        there = np.flatnonzero(~np.isnan(means[1:]))
        levelled = np.full(len(means) - 1, np.nan)
        levelled[there] = level(float(means[0]), means[1:][there], abundance[np.concatenate([[0], there + 1])])
        return cls(float(means[0]), means[1:], levelled)

    def cells(self, values: NDArray[np.float64], *, signed: bool) -> NDArray[np.float64]:
        """Return the random genes' values in each cell as they would be at the tested gene's abundance.

        One number per gene levels it in all cells: it is added to numbers with a sign, and multiplies sizes.
        """
        if signed:
            return values + (self.levelled - self.measured)[:, None]
        return values * (self.levelled / np.where(self.measured > 0, self.measured, np.nan))[:, None]

    @property
    def null(self) -> NDArray[np.float64]:
        """The levelled statistics that are there; none where the edit itself has none."""
        return self.levelled[~np.isnan(self.levelled)] if not np.isnan(self.observed) else np.empty(0)


def means_there(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of what is there in each row, shape ``(n_rows,)``; NaN of nothing."""
    there = ~np.isnan(values)
    n_there = there.sum(axis=-1)
    total = np.where(there, values, 0.0).sum(axis=-1)
    means: NDArray[np.float64] = np.where(n_there > 0, total / np.maximum(n_there, 1), np.nan)
    return means
