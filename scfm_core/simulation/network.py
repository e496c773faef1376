"""A gene network with known, signed edges: which gene regulates which, and how its inputs are combined.

The network has no loops: genes stand in an order in which every regulator comes before what it regulates, so that the
steady state of a cell is found in one sweep and what a knock-out can reach is known exactly.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Logic = Literal["sum", "and", "or"]
Kind = Literal["master", "regulator", "target", "housekeeping"]


@dataclass(frozen=True)
class Input:
    """One regulator of a gene, by its position; ``sign`` is +1 where it activates, -1 where it represses."""

    regulator: int
    sign: int


@dataclass(frozen=True)
class SimulatedGene:
    """How one gene is made.

    Attributes
    ----------
    kind
        Masters are on in one cell type alone; regulators and masters regulate; housekeeping genes have no inputs.
    module
        Which planted group it belongs to, in words; empty for none.
    inputs, logic
        Its regulators. "and": all are needed; "or": one is enough; "sum": each adds its share.
    share_on
        Share of the cells in which the gene can be made at all, as in bursts.
    abundance
        Transcripts of it at full production, relative to the other genes.
    noise
        Standard deviation of the natural logarithm of its level over cells that are alike.
    """

    gene_id: str
    kind: Kind
    module: str
    inputs: tuple[Input, ...]
    logic: Logic
    share_on: float
    abundance: float
    noise: float


@dataclass(frozen=True)
class GeneNetwork:
    """All genes, regulators before what they regulate; ``pairs`` are the planted pairs by kind: two gene ids each."""

    genes: tuple[SimulatedGene, ...]
    n_types: int
    pairs: tuple[tuple[str, str, str], ...]

    @property
    def gene_ids(self) -> tuple[str, ...]:
        """Ids in the order of the genes."""
        return tuple(gene.gene_id for gene in self.genes)

    @property
    def regulators(self) -> tuple[str, ...]:
        """Ids of the genes that regulate others."""
        return tuple(gene.gene_id for gene in self.genes if gene.kind in ("master", "regulator"))

    def edges(self) -> pd.DataFrame:
        """Return one row per edge: ``regulator``, ``target``, ``sign`` (+1 or -1), ``logic`` of the target's inputs."""
        rows = [
            {"regulator": self.genes[each.regulator].gene_id, "target": gene.gene_id, "sign": each.sign,
             "logic": gene.logic if len(gene.inputs) > 1 else "sum"}
            for gene in self.genes for each in gene.inputs
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["regulator", "target", "sign", "logic"])

    def descendants(self, gene_id: str) -> frozenset[str]:
        """Return all genes that a gene regulates, directly or through others; not the gene itself."""
        reached = {self.gene_ids.index(gene_id)}
        for position, gene in enumerate(self.genes):
            if any(each.regulator in reached for each in gene.inputs):
                reached.add(position)
        return frozenset(self.gene_ids[position] for position in reached) - {gene_id}


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The size and the strengths of a network.

    Attributes
    ----------
    n_types
        Cell types, each with a master regulator of its own.
    n_regulators
        Regulators beside the masters; the first four are the two planted pairs.
    n_module_targets
        Targets of each planted pair that nothing else regulates.
    log_abundance_of_modules
        Mean natural logarithm of the abundance of these targets. They are few and weak, so that a cell's counts of them
        do not tell all about the module without its regulators.
    n_targets
        Targets beside those of the planted pairs.
    n_housekeeping
        Genes without a regulator.
    share_repressed
        Share of a common target's inputs that repress.
    regulator_noise, target_noise
        See `SimulatedGene.noise`.
    share_on, share_on_of_pairs
        Share of the cells in which a regulator that is no master can be made; those of the planted pairs.
    """

    n_types: int = 3
    n_regulators: int = 13
    n_module_targets: int = 12
    n_targets: int = 134
    n_housekeeping: int = 20
    share_repressed: float = 0.25
    regulator_noise: float = 0.3
    target_noise: float = 0.25
    log_abundance_of_modules: float = -1.3
    share_on: float = 0.25
    share_on_of_pairs: float = 0.5


def build_network(settings: NetworkSettings, seed: int) -> GeneNetwork:
    """Draw a network.

    Planted are two pairs of regulators that stand alone, each with targets of its own: a cooperative pair (AND: both
    are needed, as GATA4 and TBX5 at their common genes) and redundant paralogs (OR: one is enough). All other targets
    have one to three regulators whose shares add up. One regulator in three beyond the pairs is itself regulated by a
    master.
    """
    random = np.random.default_rng([seed, 1])
    genes: list[SimulatedGene] = []

    def add(kind: Kind, module: str = "", inputs: tuple[Input, ...] = (), logic: Logic = "sum") -> int:
        typical = settings.log_abundance_of_modules if module else 0.0
        of_pair = settings.share_on_of_pairs if module else settings.share_on
        regulates = kind in ("master", "regulator")
        genes.append(
            SimulatedGene(
                gene_id=f"SIM{len(genes) + 1:04d}",
                kind=kind,
                module=module,
                inputs=inputs,
                logic=logic,
                share_on=of_pair if kind == "regulator" else 1.0,
                abundance=float(np.exp(random.normal(0.3, 0.2) if regulates else random.normal(typical, 0.6))),
                noise=settings.regulator_noise if regulates else settings.target_noise,
            )
        )
        return len(genes) - 1

    masters = [add("master", f"type {number + 1}") for number in range(settings.n_types)]
    both = [add("regulator", "cooperative pair") for _ in range(2)]
    either = [add("regulator", "redundant pair") for _ in range(2)]
    others = [
        add("regulator", inputs=(Input(int(random.choice(masters)), 1),) if number % 3 == 2 else ())
        for number in range(settings.n_regulators - 4)
    ]
    for _ in range(settings.n_module_targets):
        add("target", "needs both", tuple(Input(each, 1) for each in both), "and")
    for _ in range(settings.n_module_targets):
        add("target", "needs either", tuple(Input(each, 1) for each in either), "or")
    usual = [*masters, *others]
    for number in range(settings.n_targets):
        add("target", inputs=_usual_inputs(usual, number, settings.share_repressed, random))
    for _ in range(settings.n_housekeeping):
        add("housekeeping")
    names = [gene.gene_id for gene in genes]
    network = GeneNetwork(tuple(genes), settings.n_types, ())
    pairs = [(names[both[0]], names[both[1]], "cooperative"), (names[either[0]], names[either[1]], "redundant")]
    pairs += [(a, b, "independent") for a, b in _independent(network, [names[each] for each in others])]
    return GeneNetwork(tuple(genes), settings.n_types, tuple(pairs))


def _usual_inputs(
    regulators: list[int], number: int, share_repressed: float, random: np.random.Generator
) -> tuple[Input, ...]:
    """Return one to three inputs; the first goes round the regulators, so that each has targets, and activates."""
    first = regulators[number % len(regulators)]
    rest = [each for each in regulators if each != first]
    more = random.choice(rest, size=int(random.choice([0, 1, 2], p=[0.6, 0.3, 0.1])), replace=False)
    signs = np.where(random.random(len(more)) < share_repressed, -1, 1)
    return (Input(first, 1), *(Input(int(each), int(sign)) for each, sign in zip(more, signs, strict=True)))


def _independent(network: GeneNetwork, regulators: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of regulators that share no descendant and do not regulate each other."""
    reach = {each: network.descendants(each) | {each} for each in regulators}
    pairs = [(a, b) for place, a in enumerate(regulators) for b in regulators[place + 1 :]]
    return [(a, b) for a, b in pairs if not reach[a] & reach[b]]


def hill(level: NDArray[np.float64], *, half: float = 0.4, steepness: float = 4.0) -> NDArray[np.float64]:
    """Return how far a regulator at some level turns a gene on, between 0 and 1.

    Examples
    --------
    >>> hill(np.array([0.0, 0.4])).tolist()
    [0.0, 0.5]
    """
    raised = np.power(level, steepness)
    return np.asarray(raised / (raised + half**steepness))
