"""Cells of a network: what makes them differ, their steady state, and the same cells with genes knocked out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scfm_core.simulation.network import GeneNetwork, SimulatedGene, hill

_LEAK = 0.005  # what is made of a gene that is off


@dataclass(frozen=True)
class CellNature:
    """All that makes cells differ before any gene regulates another; a knock-out leaves it as it is.

    Attributes
    ----------
    types, donors
        Numbers of the cell type and the donor, shape ``(n_cells,)``.
    factors
        Noise and donor shift that multiply the production of each gene, and 0 where the gene is not in a burst, shape
        ``(n_cells, n_genes)``.
    """

    types: NDArray[np.int64]
    donors: NDArray[np.int64]
    factors: NDArray[np.float64]


def draw_cells(network: GeneNetwork, n_cells: int, *, n_donors: int, donor_shift: float, seed: int) -> CellNature:
    """Draw cells of all types and donors in equal shares, in random order.

    Parameters
    ----------
    donor_shift
        Standard deviation of the natural logarithm of a gene's level between donors; the donors of one network are the
        same whatever the seed.
    """
    random = np.random.default_rng([seed, 2])
    types = random.permutation(np.arange(n_cells) % network.n_types)
    donors = random.permutation(np.arange(n_cells) % n_donors)
    n_genes = len(network.genes)
    noise = np.array([gene.noise for gene in network.genes])
    share_on = np.array([gene.share_on for gene in network.genes])
    of_donor = np.random.default_rng([n_donors, n_genes]).normal(0.0, donor_shift, (n_donors, n_genes))
    factors = np.exp(random.normal(0.0, 1.0, (n_cells, n_genes)) * noise - noise**2 / 2 + of_donor[donors])
    factors *= random.random((n_cells, n_genes)) < share_on
    return CellNature(types, donors, factors)


def steady_state(network: GeneNetwork, cells: CellNature, *, knocked_out: Sequence[str] = ()) -> NDArray[np.float64]:
    """Return the level of each gene in each cell, 1 for full production, shape ``(n_cells, n_genes)``.

    A gene's level is its production, since all decay alike: a leak, and what its inputs turn on by Hill functions,
    times the cell's own factor. Production of a knocked-out gene is 0; all else about the cell stays.

    Examples
    --------
    >>> from scfm_core.simulation.network import NetworkSettings, build_network
    >>> network = build_network(NetworkSettings(), 0)
    >>> cells = draw_cells(network, 60, n_donors=2, donor_shift=0.1, seed=0)
    >>> lost = steady_state(network, cells) != steady_state(network, cells, knocked_out=["SIM0004"])
    >>> changed = {network.gene_ids[gene] for gene in np.flatnonzero(lost.any(axis=0))}
    >>> changed == network.descendants("SIM0004") | {"SIM0004"}
    True
    """
    levels = np.zeros_like(cells.factors)
    silent = set(knocked_out)
    for position, gene in enumerate(network.genes):
        if gene.gene_id in silent:
            continue
        activity = _activity(gene, levels)
        if gene.kind == "master":
            activity = (cells.types == position).astype(np.float64)
        levels[:, position] = (_LEAK + (1.0 - _LEAK) * activity) * cells.factors[:, position]
    return levels


def transcripts(network: GeneNetwork, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return levels as relative numbers of transcripts, same shape."""
    return np.asarray(levels * np.array([gene.abundance for gene in network.genes]))


def _activity(gene: SimulatedGene, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the inputs turn a gene on, between 0 and 1, shape ``(n_cells,)``; 1 without inputs."""
    if not gene.inputs:
        return np.ones(len(levels))
    turned_on = np.stack([hill(levels[:, each.regulator]) for each in gene.inputs])
    repressing = np.array([each.sign < 0 for each in gene.inputs])
    terms = np.where(repressing[:, None], 1.0 - turned_on, turned_on)
    if gene.logic == "and":
        return np.asarray(terms.prod(axis=0))
    if gene.logic == "or":
        return np.asarray(1.0 - (1.0 - terms).prod(axis=0))
    return np.asarray(terms.mean(axis=0))
