"""What a knock-out truly did: measured in cells that carry it against control cells, replicate by replicate."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.grouping import ByColumn
from scfm_core.analyses.read_expression import normalised_genes
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context

LEAST_CELLS = 20  # of a knock-out, for its changes to be measured
_CELLS_OF_REPLICATE = 10
_GENES_AT_ONCE = 2000
_PSEUDO_COUNT = 1.0  # counts per 10,000, as in `find_markers`


@dataclass(frozen=True)
class Changes:
    """How genes changed under each knock-out.

    Attributes
    ----------
    targets
        Labels of the knock-outs.
    genes
        Position of the gene that each knocks out, in the dataset's genes, shape ``(n_targets,)``.
    log2_fold_change
        As the truth has it, or as `measure_changes` estimates it, shape ``(n_targets, n_genes)``; NaN where not
        measured, and for the knocked-out gene itself.
    changed
        Whether a gene counts as changed, same shape.
    p_adjusted
        Same shape; NaN where nothing was tested, as in a simulation.
    how
        By which rule a gene counts as changed, in words.
    """

    targets: tuple[str, ...]
    genes: NDArray[np.int64]
    log2_fold_change: NDArray[np.float64]
    changed: NDArray[np.bool_]
    p_adjusted: NDArray[np.float64]
    how: str


@dataclass(frozen=True)
class Screen:
    """A perturbation screen as the cell table tells it.

    Attributes
    ----------
    labels
        What each cell carries, shape ``(n_cells,)``; empty for a cell without a label.
    control
        The label of cells without a knock-out.
    replicates
        Replicate of each cell, shape ``(n_cells,)``; one and the same where the table has none.
    """

    labels: NDArray[np.str_]
    control: str
    replicates: NDArray[np.str_]

    def cells_with(self, label: str) -> NDArray[np.int64]:
        """Return the positions of the cells that carry a label."""
        return np.flatnonzero(self.labels == label)

    def replicates_with(self, label: str) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return cells with a label and controls, for each replicate that has enough of both; else all as one."""
        own, control = self.cells_with(label), self.cells_with(self.control)
        pairs = [
            (own[self.replicates[own] == name], control[self.replicates[control] == name])
            for name in np.unique(self.replicates[own])
        ]
        enough = [pair for pair in pairs if min(map(len, pair)) >= _CELLS_OF_REPLICATE]
        return enough or [(own, control)]


def read_screen(dataset: Dataset, target_column: str, control: str, replicate_column: str | None) -> Screen:
    """Read which cell carries which knock-out.

    Raises
    ------
    RequestError
        If there is no such column, or too few control cells.
    """
    cells = dataset.cells()
    for column in (target_column, *([replicate_column] if replicate_column else [])):
        if column not in cells:
            known = ", ".join(map(str, cells.columns)) or "none"
            msg = f"The cell table has no column {column!r}. Its columns: {known}. Name the one that is meant."
            raise RequestError(msg, "unknown-column")
    labels = _text(cells[target_column])
    n_controls = int((labels == control).sum())
    if n_controls < LEAST_CELLS:
        common = ", ".join(pd.Series(labels[labels != ""]).value_counts().index[:8])
        msg = (
            f"Expected at least {LEAST_CELLS} control cells with {control!r} in the column {target_column!r}, found "
            f"{n_controls:,}. Its commonest values: {common}. Give the label that cells without a knock-out carry."
        )
        raise RequestError(msg, "no-control-cells")
    replicates = np.zeros(len(labels), dtype=np.str_) if replicate_column is None else _text(cells[replicate_column])
    return Screen(labels, control, replicates)


def measure_changes(
    context: Context,
    dataset: Dataset,
    screen: Screen,
    targets: dict[str, int],
    *,
    column: str,
    least_log2_fold_change: float,
    level: float,
) -> Changes:
    """Compare the cells of each knock-out with the control cells, gene by gene.

    The fold change of a gene is that of its mean counts per 10,000, averaged over replicates and centred on the median
    of the better expressed half of the genes: where few strong genes fall, the share of all others rises, and nothing
    has happened to them. It is then shrunken toward 0 by its own error, as far as the spread over all genes says that
    most are noise, so that a gene with few counts does not count as strongly changed.

    A gene counts as changed where a two-sided rank sum test over cells (Benjamini-Hochberg over the genes of the
    knock-out) reaches ``level``, the absolute log2 fold change is large enough, and every replicate with at least ten
    cells of both agrees on its sign. A test over replicates alone cannot reach any level after correction where there
    are three, as is usual.

    Parameters
    ----------
    targets
        Position of the knocked-out gene of each label.
    """
    markers = context.compute(FindMarkers(dataset, ByColumn(column), reference=screen.control)).table
    shape = (len(targets), dataset.n_genes)
    position = {gene_id: place for place, gene_id in enumerate(dataset.gene_ids)}
    p_adjusted = np.full(shape, np.nan)
    for row, label in enumerate(targets):
        mine = markers[markers["group"] == label]
        p_adjusted[row, mine["gene_id"].map(position).to_numpy(dtype=np.int64)] = mine["p_adjusted"]
    step = "Measuring the knock-outs"
    measure = partial(_fold_changes, dataset, screen)
    parts = list(context.map(measure, list(targets), step=step, unit="knock-outs"))
    change: NDArray[np.float64] = np.stack([shrunken(part["log2_fold_change"], part["error"]) for part in parts])
    agree: NDArray[np.bool_] = np.stack([part["agree"] for part in parts])
    change[np.isnan(p_adjusted)] = np.nan
    genes = np.array(list(targets.values()), dtype=np.int64)
    change[np.arange(len(genes)), genes] = np.nan
    with np.errstate(invalid="ignore"):
        changed = (p_adjusted <= level) & (np.abs(change) >= least_log2_fold_change) & agree
    how = (
        f"a two-sided rank sum test over cells, Benjamini-Hochberg adjusted p of at most {level:g} over the genes of a "
        f"knock-out, an absolute log2 fold change (centred on the median gene, shrunken by its error) of at least "
        f"{least_log2_fold_change:g}, and the same sign in every replicate"
    )
    return Changes(tuple(targets), genes, change, changed & ~np.isnan(change), p_adjusted, how)


def shrunken(change: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shrink noisy changes toward 0: each times the share of its variance that is not error, under a normal prior.

    Parameters
    ----------
    change, error
        Estimates and their standard errors, shape ``(n,)``.

    Examples
    --------
    >>> shrunken(np.array([3.0, -3.0, 0.5]), np.array([1.0, 0.0, 1.0])).round(2).tolist()
    [2.53, -3.0, 0.42]
    """
    usable = np.isfinite(change) & np.isfinite(error)
    variance = max(float(np.mean(change[usable] ** 2) - np.mean(error[usable] ** 2)), 1e-6) if usable.any() else 1e-6
    return np.asarray(change * variance / (variance + error**2))


def _fold_changes(dataset: Dataset, screen: Screen, label: str) -> dict[str, NDArray[Any]]:
    """Return the centred log2 fold change of each gene, its error, and whether all replicates agree in sign."""
    pairs = screen.replicates_with(label)
    spans = np.array_split(np.arange(dataset.n_genes), -(-dataset.n_genes // _GENES_AT_ONCE))
    parts = [_compared(normalised_genes(dataset, genes).tocsr(), pairs) for genes in spans]
    change, variance, level = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    expressed = level.mean(axis=0)
    change -= np.median(change[:, expressed >= np.median(expressed)], axis=1, keepdims=True)
    agree = (change > 0).all(axis=0) | (change < 0).all(axis=0)
    error = np.sqrt(variance.sum(axis=0)) / len(pairs)
    return {"log2_fold_change": change.mean(axis=0), "error": error, "agree": agree}


def _compared(
    values: csr_matrix, pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return log2 fold changes, their variances and the mean of the controls, each ``(n_replicates, n_genes)``."""
    change, variance, level = [], [], []
    for pair in pairs:
        means, relative = [], []
        for cells in pair:
            chosen = values[cells]
            mean = np.asarray(chosen.mean(axis=0)).ravel()
            square = np.asarray(chosen.multiply(chosen).mean(axis=0)).ravel()
            means.append(mean + _PSEUDO_COUNT)
            relative.append(np.maximum(square - mean**2, 0) / len(cells) / means[-1] ** 2)  # by the delta method
        change.append(np.log2(means[0] / means[1]))
        variance.append((relative[0] + relative[1]) / np.log(2) ** 2)
        level.append(means[1])
    return np.stack(change), np.stack(variance), np.stack(level)


def _text(column: "pd.Series[str]") -> NDArray[np.str_]:
    return np.asarray(column.astype(object).where(column.notna(), "").map(str), dtype=np.str_)
