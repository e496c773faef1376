"""Which gene is edited in which cell by an exact screen, and which random genes are edited for comparison."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import cells_per_chunk
from scfm_core.analyses.screen_calibration import NEIGHBOURS, Abundance
from scfm_core.analyses.screen_passes import read_tokens
from scfm_core.analyses.screen_setting import Setting
from scfm_core.analyses.screen_tables import RANKED_SHARE
from scfm_core.request import Context

READ_CELLS = 5000
_PER_DRAW = 1.5  # so many of the nearest genes stand behind each one drawn


@dataclass(frozen=True, eq=False)
class Held:
    """Which genes some cells hold.

    Attributes
    ----------
    n_cells
        Cells that were looked at.
    n, log_rank
        How many of them hold each gene, and the mean there of ``log(1 + rank)``, shape ``(n_positions,)``.
    pairs
        One row per gene and cell, the first cells of each gene in the order looked at: ``token``, ``cell``.
    """

    n_cells: int
    n: NDArray[np.int64]
    log_rank: NDArray[np.float64]
    pairs: pd.DataFrame

    def abundance(self, tokens: NDArray[np.int64]) -> Abundance:
        """Return how abundant some genes are; one that no cell holds ranks behind all."""
        log_rank = np.where(self.n > 0, self.log_rank, self.log_rank[self.n > 0].max(initial=0.0))
        return Abundance(self.n[tokens] / self.n_cells, log_rank[tokens], self.n_cells)


@dataclass(frozen=True, eq=False)
class Plan:
    """What an exact screen does.

    Attributes
    ----------
    cells
        The cells that were looked at, in random order, as positions in the dataset.
    listed, references
        Genes that were asked for and can be edited, and random ones, as positions in the vocabulary.
    pairs
        One row per edit of a cell, gene after gene, listed ones first in random order: ``token``, ``cell``.
    """

    cells: NDArray[np.int64]
    listed: NDArray[np.int64]
    references: NDArray[np.int64]
    pairs: pd.DataFrame
    held: Held

    def abundance(self, tokens: NDArray[np.int64]) -> Abundance:
        """Return how abundant some genes are."""
        return self.held.abundance(tokens)


@dataclass(frozen=True)
class Extent:
    """How an exact screen chooses: in how many cells each gene is edited, whether they must hold it, and the seed."""

    cells_per_gene: int
    any_cell: bool
    seed: int


def make_plan(context: Context, setting: Setting, listed: NDArray[np.int64] | None, *, extent: Extent) -> Plan:
    """Look at the cells and decide what is edited where.

    Parameters
    ----------
    listed
        Positions of the genes asked for; all that are held where None.
    """
    rng = np.random.default_rng(extent.seed)
    cells = rng.permutation(setting.cells)[:READ_CELLS]
    held = _read(context, setting, cells, most=extent.cells_per_gene)
    wanted = np.flatnonzero(held.n) if listed is None else listed
    wanted = rng.permutation(wanted if extent.any_cell else wanted[held.n[wanted] > 0])
    references = choose_references(held, wanted, rng) if len(wanted) else wanted
    order = np.concatenate([wanted, references])
    if extent.any_cell:
        first = cells[: extent.cells_per_gene]
        pairs = pd.DataFrame({"token": np.repeat(order, len(first)), "cell": np.tile(first, len(order))})
    else:
        place = np.full(len(held.n), -1)
        place[order] = np.arange(len(order))
        pairs = held.pairs[place[held.pairs["token"]] >= 0]
        pairs = pairs.iloc[np.argsort(place[pairs["token"]], kind="stable")].reset_index(drop=True)
    return Plan(cells=cells, listed=wanted, references=references, pairs=pairs, held=held)


def choose_references(held: Held, listed: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a hundred random genes of like abundance, or none where a hundred genes are listed.

    Every gene has one random priority. For each listed gene those with the lowest are drawn from its neighbours in the
    plane of `scfm_core.analyses.screen_calibration`; neighbours that listed genes share are drawn once. Only genes that
    a tenth of the cells hold are drawn.
    """
    often = np.flatnonzero(held.n >= RANKED_SHARE * held.n_cells)
    candidates = np.setdiff1d(often, listed)
    if len(listed) >= NEIGHBOURS or not len(candidates):
        return np.empty(0, dtype=np.int64)
    plane = held.abundance(np.concatenate([listed, candidates])).plane()
    priority = rng.permutation(len(candidates))
    distance = np.hypot(*(plane[: len(listed), None] - plane[None, len(listed) :]).transpose(2, 0, 1))
    nearest = np.argsort(distance, axis=1, kind="stable")
    drawn = np.empty(0, dtype=np.int64)
    for n_each in range(1, NEIGHBOURS + 1):
        near = nearest[:, : int(np.ceil(_PER_DRAW * n_each))]
        best = np.argsort(priority[near], axis=1)[:, :n_each]
        drawn = np.union1d(drawn, np.take_along_axis(near, best, axis=1))
        if len(drawn) >= min(NEIGHBOURS, len(candidates)):
            break
    return rng.permutation(candidates[drawn])[:NEIGHBOURS]


def _read(context: Context, setting: Setting, cells: NDArray[np.int64], *, most: int) -> Held:
    """Read which genes the cells hold, keeping the first ``most`` cells of each."""
    model, n_positions = setting.apparatus.model, len(setting.vocabulary)
    n, log_rank = np.zeros(n_positions, dtype=np.int64), np.zeros(n_positions)
    size = 4 * cells_per_chunk(model)
    work = [cells[start : start + size] for start in range(0, len(cells), size)]
    kept = []
    read, sizes = partial(read_tokens, setting.apparatus), [len(piece) for piece in work]
    parts = context.map(read, work, step="Reading which genes the cells hold", sizes=sizes)
    for piece, part in zip(work, parts, strict=True):
        rows = pd.DataFrame({"token": part["token"], "cell": np.repeat(piece, part["lengths"])})
        place = rows.groupby("token").cumcount().to_numpy() + n[part["token"]]
        kept.append(rows[place < most])
        n += np.bincount(part["token"], minlength=n_positions)
        log_rank += np.bincount(part["token"], np.log1p(part["rank"]), minlength=n_positions)
    pairs = pd.concat(kept, ignore_index=True)
    return Held(len(cells), n, log_rank / np.maximum(n, 1), pairs)
