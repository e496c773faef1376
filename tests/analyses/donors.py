"""Counts of several donors with effects between donors, and with effects that are there in every donor."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scfm_core.dataset import Dataset
from tests.analyses.planted import dataset_of

RAISED = 30  # genes 0 to 29 are four times as high on side "b"


def donor_dataset(
    root: Path, *, n_donors: int = 6, paired: bool, planted: bool, seed: int = 0, n_genes: int = 600, n_cells: int = 60
) -> Dataset:
    """Write cells of donors, each with its own level of every gene (a factor of about 1.5), on sides "a" and "b".

    Parameters
    ----------
    n_donors
        In all.
    paired
        Whether each donor has cells on both sides; else the first half of the donors is on side "a".
    planted
        Whether the first 30 genes differ between the sides.
    n_cells
        Per donor, about.
    """
    rng = np.random.default_rng(seed)
    level = rng.gamma(1.0, 1.0, n_genes) + 0.3
    donor = np.repeat(np.arange(n_donors), n_cells)
    side = np.tile(np.arange(n_cells) % 2, n_donors) if paired else (donor >= n_donors // 2).astype(int)
    of_donor = rng.lognormal(0.0, 0.4, (n_donors, n_genes))
    of_sample = rng.lognormal(0.0, 0.2 if paired else 0.0, (n_donors, 2, n_genes))
    means = level * of_donor[donor] * of_sample[donor, side]
    if planted:
        means[:, :RAISED] *= np.where(side, 4.0, 1.0)[:, None]
    depth = rng.lognormal(0, 0.3, len(donor))
    counts: NDArray = rng.poisson(means * depth[:, None])
    cells = {
        "donor": [f"donor {number}" for number in donor],
        "side": np.where(side, "b", "a"),
        "kind": np.where(np.arange(len(donor)) % 4 < 2, "one", "other"),
        "lane": [f"lane {number % 2}" for number in donor],
    }
    return dataset_of(root, counts, cells)
