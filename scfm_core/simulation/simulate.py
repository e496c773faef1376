"""From settings and a seed to datasets with a known truth: unperturbed cells, knock-outs, and true changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.dataset import NewDataset
from scfm_core.simulation.cells import CellNature, draw_cells, steady_state, transcripts
from scfm_core.simulation.droplets import draw_counts
from scfm_core.simulation.network import GeneNetwork, NetworkSettings, build_network

KNOCKED_OUT, CONTROL = "knocked_out", "none"
ALL_CELLS = "all cells"
BOTH = "+"


@dataclass(frozen=True, kw_only=True)
class SimulationSettings:
    """How much is simulated, and how it is counted.

    Attributes
    ----------
    n_cells, n_donors
        Unperturbed cells, and donors they come from.
    donor_shift
        Standard deviation of the natural logarithm of a gene's level between donors.
    median_total, total_spread, dispersion
        See `scfm_core.simulation.droplets.draw_counts`.
    n_knock_out_cells
        Cells per knock-out of `simulate_knock_outs`.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    n_cells: int = 3000
    n_donors: int = 4
    donor_shift: float = 0.1
    median_total: float = 300.0
    total_spread: float = 0.35
    dispersion: float = 0.1
    n_knock_out_cells: int = 80


def simulate_cells(settings: SimulationSettings, seed: int) -> NewDataset:
    """Draw unperturbed cells; columns ``cell_type`` and ``donor``, which have these roles.

    Examples
    --------
    >>> simulate_cells(SimulationSettings(n_cells=12), 0).matrix.shape[0]
    12
    """
    network = build_network(settings.network, seed)
    nature = _nature(network, settings, settings.n_cells, seed)
    return _counted(network, settings, [nature], [()], seed=seed, title=f"Simulated cells, seed {seed}")


def simulate_knock_outs(settings: SimulationSettings, seed: int) -> NewDataset:
    """Draw other cells of the same network: controls, each regulator knocked out, and the planted pairs.

    The column ``knocked_out`` holds a gene id, two joined by ``+`` for the planted pairs, or ``none`` (twice as
    many cells as of a knock-out). No cell of `simulate_cells` is among them.
    """
    network = build_network(settings.network, seed)
    knock_outs = [(), (), *((gene,) for gene in network.regulators), *((a, b) for a, b, _ in network.pairs)]
    seeds = range(seed + 1000, seed + 1000 + len(knock_outs))
    natures = [_nature(network, settings, settings.n_knock_out_cells, each) for each in seeds]
    return _counted(
        network, settings, natures, knock_outs, seed=seed + 1000, title=f"Simulated knock-outs, seed {seed}"
    )


def true_changes(settings: SimulationSettings, seed: int) -> pd.DataFrame:
    """Return how the mean level of every gene changes when genes are knocked out in the cells of `simulate_cells`.

    Returns
    -------
    One row per knock-out (each regulator, and each planted pair), group (``"all cells"`` and each cell type) and other
    gene: ``knocked_out`` (ids joined by ``+``), ``group``, ``gene_id``, ``log2_fold_change`` (of the mean level at
    steady state, before any count is drawn; exactly 0 where the gene does not depend on what was knocked out).
    """
    network = build_network(settings.network, seed)
    nature = _nature(network, settings, settings.n_cells, seed)
    before = steady_state(network, nature)
    groups = {ALL_CELLS: np.ones(len(nature.types), dtype=bool)}
    groups |= {_type_name(number): nature.types == number for number in range(network.n_types)}
    parts = []
    for knocked_out in [*((gene,) for gene in network.regulators), *((a, b) for a, b, _ in network.pairs)]:
        after = steady_state(network, nature, knocked_out=knocked_out)
        others = np.array([gene not in knocked_out for gene in network.gene_ids])
        for group, members in groups.items():
            change = np.log2(after[members][:, others].mean(axis=0) / before[members][:, others].mean(axis=0))
            named = {"knocked_out": BOTH.join(knocked_out), "group": group}
            ids = np.array(network.gene_ids)[others]
            parts.append(pd.DataFrame({**named, "gene_id": ids, "log2_fold_change": change}))
    return pd.concat(parts, ignore_index=True)


def true_interactions(settings: SimulationSettings, seed: int, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return what double knock-outs truly do beyond the sum of the two single ones, in the cells of `simulate_cells`.

    Returns
    -------
    One row per pair: ``gene_id_a``, ``gene_id_b``; ``planted``, the kind of a planted pair, else empty;
    ``share_targets``, whether some gene depends on both, or one on the other; ``true_beyond``, the largest absolute
    difference over the other genes, in log2 fold change of the mean level, between the double knock-out and the sum of
    the two: 0 up to rounding for a pair without common targets.
    """
    network = build_network(settings.network, seed)
    nature = _nature(network, settings, settings.n_cells, seed)
    planted = {(a, b): kind for a, b, kind in network.pairs}
    before = np.log2(steady_state(network, nature).mean(axis=0))

    def change(*genes: str) -> NDArray[np.float64]:
        others = [place for place, gene in enumerate(network.gene_ids) if gene not in pair]
        after = steady_state(network, nature, knocked_out=genes).mean(axis=0)
        return np.asarray(np.log2(after[others]) - before[others])

    rows = []
    for pair in pairs:
        a, b = pair
        reach = [network.descendants(gene) | {gene} for gene in pair]
        rows.append(
            {
                "gene_id_a": a, "gene_id_b": b, "planted": planted.get((a, b), ""),
                "share_targets": bool(reach[0] & reach[1]),
                "true_beyond": float(np.abs(change(a, b) - change(a) - change(b)).max()),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _nature(network: GeneNetwork, settings: SimulationSettings, n_cells: int, seed: int) -> CellNature:
    return draw_cells(
        network, n_cells, n_donors=settings.n_donors, donor_shift=settings.donor_shift, seed=seed
    )


def _counted(
    network: GeneNetwork,
    settings: SimulationSettings,
    natures: Sequence[CellNature],
    knock_outs: Sequence[tuple[str, ...]],
    *,
    seed: int,
    title: str,
) -> NewDataset:
    levels = [
        steady_state(network, nature, knocked_out=genes) for nature, genes in zip(natures, knock_outs, strict=True)
    ]
    counts = draw_counts(
        transcripts(network, np.concatenate(levels)),
        median_total=settings.median_total,
        spread=settings.total_spread,
        dispersion=settings.dispersion,
        seed=seed,
    )
    sizes = [len(nature.types) for nature in natures]
    table = pd.DataFrame(
        {
            "cell_type": list(chain.from_iterable(map(_type_name, nature.types) for nature in natures)),
            "donor": [f"donor {donor + 1}" for nature in natures for donor in nature.donors],
            KNOCKED_OUT: np.repeat([BOTH.join(genes) or CONTROL for genes in knock_outs], sizes),
        },
        index=[f"cell {number + 1}" for number in range(sum(sizes))],
    )
    new = NewDataset(
        matrix=counts,
        gene_ids=network.gene_ids,
        gene_symbols=network.gene_ids,
        cells=table,
        organism="unknown",
        roles={"cell_type": "cell_type", "donor": "donor"},
        title=title,
        notes=("Simulated from a gene network with known edges; no cell of it was ever measured.",),
    )
    return replace(new, cells=table.drop(columns=KNOCKED_OUT)) if knock_outs == [()] else new


def _type_name(number: int) -> str:
    return f"type {number + 1}"
