"""Measured edits and random genes with a known truth: genes that resemble each other, in cells of several donors."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scfm_core.analyses.measure_edits import EditedCells
from scfm_core.analyses.perturbation_null import Match
from scfm_core.analyses.perturbation_study import RandomGenes, Study, pool_order
from scfm_core.tokens import Delete

N_DONORS, CELLS_PER_DONOR, N_MODULES = 6, 20, 5
DONORS = np.repeat([f"donor {number}" for number in range(N_DONORS)], CELLS_PER_DONOR)
N_CELLS = len(DONORS)


@dataclass(frozen=True)
class World:
    """How genes, donors and cells differ; the unit is that of the logarithm of a size.

    Attributes
    ----------
    genes
        Between genes of like abundance. 0: all do the same on average.
    genes_in_donors
        What each gene does in one donor and not in others.
    donors, modules, noise
        Between donors; between cells, alike for the genes of one module; the rest.
    """

    genes: float = 0.5
    genes_in_donors: float = 0.25
    donors: float = 0.4
    modules: float = 0.3
    noise: float = 0.4


def simulate(dataset, rng, *, world=None, n_edits=10, n_null=40, null_cells=18, more=None, push=None):
    """Return a study of one group and one state, its edited cells and its random genes.

    Every edit has random genes of its own, so that p-values are independent given donors and cells. ``more`` adds to
    the log size of the tested gene in each donor and ``push`` to its shift, both of shape ``(n_edits, n_donors)``.
    """
    world = world or World()
    order = pool_order(np.arange(N_CELLS), DONORS, (int(rng.integers(1000)), "all"))
    study = study_of(dataset, n_edits, order, null_cells=null_cells)
    donor = np.unique(DONORS, return_inverse=True)[1]
    of_cells = rng.normal(0, world.donors, N_DONORS)[donor] + rng.normal(0, world.modules, (N_MODULES, N_CELLS))
    holds = np.zeros((n_edits, N_CELLS), dtype=bool)
    distance, shifts = np.full((n_edits, N_CELLS), np.nan), np.full((n_edits, 1, N_CELLS), np.nan)
    pairs, abundances = [], {}
    for edit in range(n_edits):
        abundance = rng.normal(size=(n_null + 1, 2))
        held = rng.random((n_null + 1, N_CELLS)) < 1 / (1 + np.exp(-0.6 * abundance[:, :1] - 0.8))
        own = rng.normal(0, world.genes, (n_null + 1, 1))
        in_donors = rng.normal(0, world.genes_in_donors, (n_null + 1, N_DONORS))[:, donor]
        noise = rng.normal(0, world.noise, held.shape)
        rest = of_cells[rng.integers(N_MODULES, size=n_null + 1)] + in_donors + noise
        log_size = 0.6 * abundance[:, :1] - 0.3 * abundance[:, 1:] + own + rest
        turned = rng.normal(0, world.genes, (n_null + 1, 1)) + rng.normal(0, world.genes_in_donors, in_donors.shape)
        turned = rng.normal(0, world.genes_in_donors, (n_null + 1, N_DONORS))[:, donor] + turned + 0.2
        shift = np.exp(0.3 * abundance[:, :1]) * turned
        log_size[0] += 0 if more is None else more[edit][donor]
        shift[0] += 0 if push is None else push[edit][donor]
        holds[edit] = held[0]
        distance[edit, held[0]], shifts[edit, 0, held[0]] = np.exp(log_size[0, held[0]]), shift[0, held[0]]
        abundances[edit, "all"] = abundance
        for draw in range(1, n_null + 1):
            cells = order[held[draw, order]][:null_cells]
            number = np.full(len(cells), edit * n_null + draw - 1)
            pairs.append((number, cells, np.exp(log_size[draw, cells]), shift[draw, cells]))
    return study, edited_of(holds, distance, shifts), random_of(abundances, n_null, pairs)


def study_of(dataset, n_edits, order, **fields):
    """Return a study of one group of all cells, and one state."""
    everything = np.arange(len(order))
    return Study(
        dataset=dataset,
        edits=tuple((Delete(gene_id),) for gene_id in dataset.gene_ids[:n_edits]),
        labels=tuple(dataset.gene_symbols[:n_edits]),
        kinds=("delete",) * n_edits,
        chosen=everything,
        groups=np.full(len(order), "all"),
        members={"all": everything},
        in_random_order={"all": order},
        **{"donors": DONORS, "states": ("ill",), "state_roles": ("goal",), "seed": 0, "null_genes": 1, **fields},
    )


def edited_of(holds, distance, shifts):
    """Return edited cells that land nowhere."""
    n_edits, n_chosen = holds.shape
    landing = np.full((n_edits, n_chosen, 1), -1, dtype=np.int32)
    return EditedCells(np.arange(n_chosen), holds, distance, shifts, landing[0], landing, 0.0, 0)


def random_of(abundances, n_null, pairs):
    """Return random genes, each measured on cells of its own."""
    rows = [(edit, group, draw, edit * n_null + draw) for edit, group in abundances for draw in range(n_null)]
    draws = pd.DataFrame(rows, columns=["edit", "group", "draw", "number"])
    draws["symbols"] = draws["gene_ids"] = [f"R{number}" for number in draws["number"]]
    number, cell, distance, shift = (np.concatenate(column) for column in zip(*pairs, strict=True))
    match = Match(np.zeros((n_null, 1), dtype=np.int64), 0.1, one_sided=False)
    return RandomGenes(
        draws, dict.fromkeys(abundances, match), abundances, number, cell, distance, shift[None],
        np.full((len(cell), 1), -1, dtype=np.int32), len(cell),
    )  # fmt: skip
