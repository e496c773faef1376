"""Some genes in each donor, as a test between donors saw them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scfm_core.analyses.compare_donors import CompareDonors, DonorComparison
from scfm_core.analyses.donor_sides import DonorSides
from scfm_core.analyses.read_expression import gene_positions
from scfm_core.analyses.sum_pseudobulks import Pseudobulks


def donor_values(
    request: CompareDonors, found: DonorComparison, sums: Pseudobulks, *, group: str, gene_ids: Sequence[str]
) -> pd.DataFrame:
    """Return the counts of some genes in each sample of one group's comparison, scaled by size factor.

    Parameters
    ----------
    sums
        The answer to ``request.sums``.

    Returns
    -------
    One row per gene and sample: ``gene_id``, ``symbol``, ``donor``, ``side`` ("in", "out"), ``counts`` (as they were
    added up), ``log2_counts`` (scaled by the sample's size factor, 1 added).

    Raises
    ------
    RequestError
        If a gene is not in the dataset.
    """
    positions = gene_positions(request.dataset, gene_ids)
    sides = DonorSides.of(sums, group, request.reference)
    place = {donor: number for number, donor in enumerate(sides.donors)}
    samples = found.samples[found.samples["group"] == group]
    columns = np.asarray(sums.counts)[:, positions]
    rows = []
    for sample in samples.itertuples():
        members = (sides.donor == place[str(sample.donor)]) & (sides.side == (0 if sample.side == "in" else 1))
        rows.append(columns[members].sum(axis=0))
    counts = np.array(rows)
    scaled = np.log2(counts / samples["size_factor"].to_numpy()[:, None] + 1)
    symbols = dict(zip(request.dataset.gene_ids, request.dataset.gene_symbols, strict=True))
    parts = [
        pd.DataFrame({"gene_id": gene_id, "symbol": symbols[gene_id], "donor": samples["donor"].to_numpy(),
                      "side": samples["side"].to_numpy(), "counts": counts[:, at], "log2_counts": scaled[:, at]})
        for at, gene_id in enumerate(gene_ids)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)
