"""What the steps of a perturbation share: the cells and edits of one question, and what was measured so far.

Knows neither `PerturbGenes` nor tables; `perturbation_steps` measures, `perturbation_tables` reads.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_null import Match
from scfm_core.analyses.perturbation_passes import Apparatus, Edit


@dataclass(frozen=True, eq=False)
class Moved:
    """What the edits of the request did.

    Attributes
    ----------
    distance
        1 - cosine, shape ``(n_edits, n_chosen)``; NaN where there is no vector before or after.
    holds
        Whether the edit changes the input of the cell, shape ``(n_edits, n_chosen)``.
    landing_before, landing_after
        As in `PerturbationEffects`.
    """

    distance: NDArray[np.float64]
    holds: NDArray[np.bool_]
    landing_before: NDArray[np.int32]
    landing_after: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Null:
    """What random genes did, by number of the edit and group.

    Attributes
    ----------
    matches
        The draws.
    measured, levelled
        The statistic of each draw as measured, and levelled to the abundance of the tested gene, shape ``(n_draws,)``.
    n_passes
        How many times a cell went through the model for it.
    """

    matches: dict[tuple[int, str], Match]
    measured: dict[tuple[int, str], NDArray[np.float64]]
    levelled: dict[tuple[int, str], NDArray[np.float64]]
    n_passes: int


@dataclass(frozen=True, eq=False)
class Followers:
    """The other genes that turned most, by number of the edit and group.

    Attributes
    ----------
    most
        As `perturbation_passes.shift_genes` returns them, largest shift first.
    n_passes
        How many times a cell went through the model for it.
    """

    most: dict[tuple[int, str], dict[str, NDArray[Any]]]
    n_passes: int


@dataclass(frozen=True, eq=False)
class Study:
    """A question with everything looked up that its steps share.

    Attributes
    ----------
    points
        Unperturbed vectors of all cells of the dataset, shape ``(n_cells, embedding_size)``.
    chosen
        Positions of the perturbed cells in the dataset, shape ``(n_chosen,)``.
    groups, donors
        Of the chosen cells, shape ``(n_chosen,)``.
    members
        The chosen cells of each group that have a vector, as positions in ``chosen``.
    in_random_order
        The cells of each group on which genes are compared, as positions in ``chosen``.
    token_of_gene
        The token by which the model reads each gene of the dataset, shape ``(n_genes,)``; -1 where it reads none.
    null_genes, null_cells, seed
        As in `PerturbGenes`.
    passes_per_chunk, cells_read_at_once
        How the work is cut; the answer depends on it by rounding at most.
    """

    apparatus: Apparatus
    edits: tuple[Edit, ...]
    points: NDArray[np.float32]
    chosen: NDArray[np.int64]
    groups: NDArray[np.str_]
    donors: NDArray[np.str_] | None
    members: dict[str, NDArray[np.int64]]
    in_random_order: dict[str, NDArray[np.int64]]
    token_of_gene: NDArray[np.int32]
    null_genes: int
    null_cells: int
    seed: int
    passes_per_chunk: int
    cells_read_at_once: int

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The edits named by symbols; by gene ids where two edits would be called the same."""
        dataset = self.apparatus.dataset
        symbol = dict(zip(dataset.gene_ids, dataset.gene_symbols, strict=True))
        labels = ["+".join(symbol[single.gene_id] for single in edit) for edit in self.edits]
        ids = ["+".join(single.gene_id for single in edit) for edit in self.edits]
        names = zip(labels, ids, strict=True)
        return tuple(gene_ids if labels.count(label) > 1 else label for label, gene_ids in names)

    @property
    def group_names(self) -> list[str]:
        """The groups in the order of their names."""
        return list(self.members)

    def expresses(self, gene_id: str) -> NDArray[np.bool_]:
        """Return which chosen cells have counts of a gene."""
        return self.apparatus.dataset.expression(gene_id)[self.chosen] > 0

    def sample(self, moved: Moved, edit: int, group: str) -> NDArray[np.int64]:
        """Return the cells on which an edit is compared with random genes, as positions in `chosen`."""
        order = self.in_random_order[group]
        holding: NDArray[np.int64] = order[moved.holds[edit, order]]
        return holding[: self.null_cells]

    def share(self, moved: Moved, edit: int, group: str) -> float:
        """Return the share of the pool's cells that hold an edit."""
        return float(moved.holds[edit, self.in_random_order[group]].mean())

    def observed(self, moved: Moved, edit: int, group: str) -> float:
        """Return the statistic of an edit, measured as that of random genes is; NaN where no cell holds it."""
        sample = self.sample(moved, edit, group)
        if not len(sample):
            return float("nan")
        return self.share(moved, edit, group) * mean_there(moved.distance[edit, sample])


def mean_there(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are there; NaN of none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
