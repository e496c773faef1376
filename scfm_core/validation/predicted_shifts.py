"""What a model says of each knock-out: how far the genes of unperturbed cells turn when the target is deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_passes import Apparatus, cells_that_differ, find_tokens, shift_genes
from scfm_core.request import Context
from scfm_core.tokens import Delete

LEAST_CELLS = 10  # that hold the target
_SEEN_IN = 3  # cells in which a gene must stand for its mean shift to count
_LEAST_RANDOM = 5  # random deletions under which a gene must be seen to say what is usual for it
_CANDIDATES = 3  # times as many expressing cells as wanted are looked at, since some are cut off by the model

Work = tuple[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Effort:
    """How much is computed per target: cells that hold it, and random genes deleted beside it."""

    cells: int
    random_genes: int
    seed: int


@dataclass(frozen=True)
class Predicted:
    """What deleting each target did to the model's vectors.

    Attributes
    ----------
    n_cells
        Cells on which each target was deleted, shape ``(n_targets,)``; too few of them give no prediction.
    shift
        Mean 1 - cosine of the vector of each other gene, shape ``(n_targets, n_genes)``; NaN where it was not seen, or
        the model has no gene vectors.
    specific
        The same against deletions of random genes of like abundance: less their mean, over their spread. Same shape.
    cell_shift
        Mean change of the cell vector, shape ``(n_targets, size)``; NaN where nothing was deleted.
    """

    n_cells: NDArray[np.int64]
    shift: NDArray[np.float64]
    specific: NDArray[np.float64]
    cell_shift: NDArray[np.float64]


def predict(
    context: Context,
    apparatus: Apparatus,
    targets: NDArray[np.int64],
    control: NDArray[np.int64],
    *,
    statistics: dict[str, NDArray[np.float64]],
    effort: Effort,
) -> Predicted:
    """Delete each target, and random genes of like abundance, in control cells that hold them.

    Parameters
    ----------
    targets
        Positions of the knocked-out genes.
    control
        Positions of the control cells.
    statistics
        As `baseline_rankings.gene_statistics` returns them.
    """
    dataset, title = apparatus.dataset, apparatus.model.title
    random = np.random.default_rng(effort.seed)
    n_random = effort.random_genes if apparatus.model.has_gene_vectors else 0
    beside = [matched_genes(statistics, target, targets, n_random, random) for target in targets]
    edited = [gene for target, genes in zip(targets, beside, strict=True) for gene in (target, *genes)]
    tokens = context.call(partial(find_tokens, apparatus), step=f"Loading {title}")
    work = [
        (dataset.gene_ids[gene], _candidates(dataset.expression(dataset.gene_ids[gene]), control, effort.cells, random))
        for gene in edited
    ]
    delete = partial(delete_one, apparatus, tokens, effort.cells)
    sizes = [2 * min(effort.cells, len(cells)) for _, cells in work]
    parts = list(context.map(delete, work, step=f"Deleting the targets in {title}", sizes=sizes, unit="passes"))
    starts = np.cumsum([0, *(1 + len(genes) for genes in beside)])
    own = [parts[start] for start in starts[:-1]]
    shift = np.stack([_by_gene(part, dataset.n_genes) for part in own])
    specific = np.full_like(shift, np.nan)
    for row, (start, stop) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
        others = [_by_gene(part, dataset.n_genes) for part in parts[start + 1 : stop]]
        specific[row] = against_random(shift[row], others)
    size = max(len(part["cell_shift"]) for part in own)
    cell_shift = np.stack([part["cell_shift"] if len(part["cell_shift"]) else np.full(size, np.nan) for part in own])
    return Predicted(np.array([int(part["held"][0]) for part in own]), shift, specific, cell_shift)


def delete_one(
    apparatus: Apparatus, token_of_gene: NDArray[np.int32], most: int, work: Work
) -> dict[str, NDArray[Any]]:
    """Delete a gene in the first cells that hold it, and measure how genes and cells turn.

    Returns
    -------
    ``genes``, ``mean_shift`` and ``n_cells`` as from `shift_genes`; ``cell_shift``, the mean shift of the cell vectors,
    shape ``(size,)``, empty where too few cells hold the gene; ``held``, in how many it was deleted, shape ``(1,)``.
    """
    gene_id, candidates = work
    edit = (Delete(gene_id),)
    before = apparatus.tokens(candidates)
    held = np.flatnonzero(cells_that_differ(before, apparatus.network.edit(before, edit)))[:most]
    if len(held) < LEAST_CELLS:
        nothing = np.empty(0)
        return {
            "genes": nothing.astype(np.int32), "mean_shift": nothing, "n_cells": nothing.astype(np.int64),
            "cell_shift": nothing, "held": np.array([len(held)]),
        }  # fmt: skip
    before = before.take(held)
    was, now = apparatus.embed(before).cells, apparatus.embed(apparatus.network.edit(before, edit)).cells
    cell_shift = np.nanmean(now.astype(np.float64) - was, axis=0)
    found: dict[str, NDArray[Any]] = {
        "genes": np.empty(0, np.int32), "mean_shift": np.empty(0), "n_cells": np.empty(0, np.int64)
    }  # fmt: skip
    if apparatus.model.has_gene_vectors:
        found = shift_genes(apparatus, token_of_gene, (edit, candidates[held]))
    return {**found, "cell_shift": cell_shift, "held": np.array([len(held)])}


def matched_genes(
    statistics: dict[str, NDArray[np.float64]],
    target: int,
    targets: NDArray[np.int64],
    n: int,
    random: np.random.Generator,
) -> list[int]:
    """Draw ``n`` genes, no targets, from the ``3 * n`` nearest to a target in detection and mean expression."""
    distance = sum(
        np.abs(statistics[name] - statistics[name][target]) / max(float(statistics[name].std()), 1e-12)
        for name in ("detection", "mean")
    )
    order = np.argsort(distance, kind="stable")
    order = order[~np.isin(order, targets) & (statistics["detection"][order] > 0)][: 3 * n]
    return [int(gene) for gene in random.permutation(order)[:n]]


def against_random(shift: NDArray[np.float64], others: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the shift of each gene less its mean under random deletions, over their spread; 0 where nothing is known.

    Half the median spread of all genes is added to each one's, so that a gene that happened to turn alike under few
    random deletions does not stand out by chance.

    Parameters
    ----------
    shift, others
        Shape ``(n_genes,)`` each; NaN for a gene that was not seen.
    """
    if not others:
        return np.where(np.isnan(shift), np.nan, 0.0)
    usual = np.stack(list(others))
    known = (~np.isnan(usual)).sum(axis=0) >= _LEAST_RANDOM
    specific = np.where(np.isnan(shift), np.nan, 0.0)
    if not known.any():
        return specific
    mean, spread = np.nanmean(usual[:, known], axis=0), np.nanstd(usual[:, known], axis=0, ddof=1)
    steadied = spread + 0.5 * np.median(spread)
    specific[known] = np.divide(shift[known] - mean, steadied, out=np.zeros(len(mean)), where=steadied > 0)
    return specific


def _candidates(
    counts: NDArray[Any], control: NDArray[np.int64], n: int, random: np.random.Generator
) -> NDArray[np.int64]:
    holding = control[np.asarray(counts)[control] > 0]
    return np.asarray(random.permutation(holding)[: _CANDIDATES * n])


def _by_gene(part: dict[str, NDArray[Any]], n_genes: int) -> NDArray[np.float64]:
    shift = np.full(n_genes, np.nan)
    seen = part["n_cells"] >= _SEEN_IN
    shift[part["genes"][seen]] = part["mean_shift"][seen]
    return shift
