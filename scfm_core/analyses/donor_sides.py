"""The two sides of one comparison between donors: which sums of cells belong to them, and what they hold together."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.donor_design import Design, design_of
from scfm_core.analyses.negative_binomial import Samples, genes_to_test
from scfm_core.analyses.rank_genes import REST
from scfm_core.analyses.sum_pseudobulks import Pseudobulks
from scfm_core.errors import RequestError

MIN_GENES = 20
_SEVERAL = -1  # batches in one sample


@dataclass(frozen=True, eq=False)
class DonorSides:
    """One group of cells and what it is compared with, by donor.

    Attributes
    ----------
    sums
        Of each group, donor and batch.
    donors
        Their names, in reading order.
    side
        0 for sums of the group, 1 for those of what it is compared with, -1 for others, shape ``(n_sums,)``.
    donor
        Position of the donor of each sum, shape ``(n_sums,)``.
    """

    group: str
    sums: Pseudobulks
    donors: tuple[str, ...]
    side: NDArray[np.int64]
    donor: NDArray[np.int64]

    @classmethod
    def of(cls, sums: Pseudobulks, group: str, reference: str) -> "DonorSides":
        """Sort the sums into the two sides of a group's comparison."""
        groups = sums.samples["group"].astype(str).to_numpy()
        other = groups != group if reference == REST else groups == reference
        donors, donor = np.unique(sums.samples["0"].astype(str), return_inverse=True)
        side = np.where(groups == group, 0, np.where(other, 1, -1))
        return cls(group, sums, tuple(donors.tolist()), side, donor)

    def n_cells(self) -> NDArray[np.int64]:
        """Return the cells of each side and donor, shape ``(2, n_donors)``."""
        n_cells = self.sums.samples["n_cells"].to_numpy()
        sides = [np.bincount(self.donor[self.side == s], n_cells[self.side == s], len(self.donors)) for s in (0, 1)]
        return np.stack(sides).astype(np.int64)

    def batches(self) -> NDArray[np.int64] | None:
        """Return the batch of each side and donor, -1 where there are several, shape ``(2, n_donors)``; None: none."""
        if "1" not in self.sums.samples:
            return None
        _, codes = np.unique(self.sums.samples["1"].astype(str), return_inverse=True)
        out = np.full((2, len(self.donors)), _SEVERAL, dtype=np.int64)
        for place in np.ndindex(out.shape):
            found = np.unique(codes[(self.side == place[0]) & (self.donor == place[1])])
            out[place] = found[0] if len(found) == 1 else _SEVERAL
        return out

    def members(self, design: Design) -> NDArray[np.int64]:
        """Return 1 where a sum belongs to a sample of the design, else 0, shape ``(n_samples, n_sums)``."""
        side = np.where(design.inside, 0, 1)
        belongs: NDArray[np.bool_] = (self.side == side[:, None]) & (self.donor == design.donors[:, None])
        return belongs.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Contrast:
    """A comparison with its model, or the reason why there is none.

    Attributes
    ----------
    design
        None where the group cannot be tested; ``refused`` then says why.
    genes
        Positions of the genes to test.
    """

    sides: DonorSides
    design: Design | None
    genes: NDArray[np.int64]
    refused: str = ""

    @classmethod
    def of(cls, sides: DonorSides, *, min_cells: int) -> "Contrast":
        """Choose samples, model and genes."""
        nothing = np.empty(0, dtype=np.int64)
        try:
            design = design_of(sides.n_cells(), sides.batches(), min_cells=min_cells)
        except RequestError as error:
            return cls(sides, None, nothing, str(error))
        genes = genes_to_test(sides.members(design) @ sides.sums.counts, design.inside)
        if len(genes) < MIN_GENES:
            words = (
                f"Expected at least {MIN_GENES} genes with 10 counts or more in most samples, found {len(genes)}: the "
                "model learns the variance between donors from many genes. Choose larger groups."
            )
            return cls(sides, None, nothing, words)
        return cls(sides, design, genes)

    def samples(self) -> Samples:
        """Return the counts and the model matrix."""
        design = self.known_design()
        counts = self.sides.members(design) @ self.sides.sums.counts[:, self.genes]
        return Samples(counts, design.matrix)

    def known_design(self) -> Design:
        """Return the design; raises `RequestError` where there is none."""
        if self.design is None:
            raise RequestError(self.refused, "few-donors")
        return self.design

    def cells(self) -> pd.DataFrame:
        """Return one row per sample: ``group``, ``side`` ("in", "out"), ``donor``, ``n_cells``, ``total_counts``."""
        design = self.known_design()
        members = self.sides.members(design)
        return pd.DataFrame(
            {
                "group": self.sides.group,
                "side": np.where(design.inside, "in", "out"),
                "donor": np.array(self.sides.donors, dtype=object)[design.donors],
                "n_cells": members @ self.sides.sums.samples["n_cells"].to_numpy(),
                "total_counts": members @ np.asarray(self.sides.sums.counts).sum(axis=1),
            }
        )

    def over_cells(self) -> dict[str, NDArray[np.float64]]:
        """Return shares of holding cells and mean counts per 10,000 of each side, shape ``(n_genes,)`` each."""
        design = self.known_design()
        members = self.sides.members(design)
        n_cells = members @ self.sides.sums.samples["n_cells"].to_numpy()
        out = {}
        for name, inside in (("in", design.inside), ("out", ~design.inside)):
            of_side = members[inside].sum(axis=0)
            n = n_cells[inside].sum()
            out[f"share_{name}"] = of_side @ self.sides.sums.holding[:, self.genes] / n
            out[f"mean_{name}"] = of_side @ self.sides.sums.normalised[:, self.genes] / n
        return out
