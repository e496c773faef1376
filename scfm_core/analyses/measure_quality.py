"""How good is each cell, before any model reads it?

Counts, genes and mitochondrial share are judged together: a dying cell has few genes and a high share.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.analyses.embed_cells import chunks_of
from scfm_core.dataset import Dataset, Organism
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

ALL_CELLS = "all cells"
MIN_CELLS_FOR_DOUBLETS = 100
MAX_CELLS_FOR_DOUBLETS = 100_000  # of one sample; no droplet run gives more, and scrublet would take hours
_CELLS_PER_CHUNK = 8192
_MAD_TO_SD = 1.4826  # of normally distributed values
_MIN_LOG_SPREAD = 0.1  # a tenth of the counts; keeps half of the cells from falling where all are alike
_MIN_SHARE_LIMIT = 0.05
_MIN_DOUBLET_LIMIT = 0.25
_PATTERNS: dict[Organism, tuple[str, str]] = {
    "human": (r"MT-", r"RP[SL](?!\d+K)"),  # RPS6KA1 and its like are kinases
    "mouse": (r"mt-", r"Rp[sl](?!\d+k)"),
    "unknown": (r"(?i:MT-)", r"(?i:RP[SL](?!\d+K))"),
}


@dataclass(frozen=True)
class Quality:
    """The quality of each cell, in the order of the dataset's cells.

    Attributes
    ----------
    table
        One row per cell, indexed by the cell's name. Columns: ``sample`` (donor, else batch, else all cells);
        ``total_counts`` (over all measured genes); ``n_genes`` (genes with a count); ``mitochondrial_share``,
        ``ribosomal_share`` (of the total counts, 0 to 1; NaN where the dataset has no such gene); ``doublet_score``
        (0 to 1, the higher the more like two cells at once; NaN where it could not be computed).
    """

    table: pd.DataFrame


@dataclass(frozen=True)
class MeasureQuality(Request[Quality]):
    """Measure counts, genes, mitochondrial and ribosomal share and likeness to doublets of every cell.

    Doublets are scored within each sample by scrublet: two cells are added up many times, and a cell scores high where
    such sums are its neighbours. A doublet of two cells of one kind is not found this way. Samples of fewer than 100 or
    more than 100,000 cells get no score.

    References
    ----------
    Wolock, Lopez, Klein 2019, doi:10.1016/j.cels.2018.11.005.
    """

    dataset: Dataset

    version: ClassVar[int] = 2  # very large samples get no doublet score since then
    result_type: ClassVar[type] = Quality

    def run(self, context: Context) -> Quality:
        """See `Request.run`."""
        cells = self.dataset.cells()
        sample = samples_of(self.dataset, cells)
        shares = gene_classes(self.dataset.gene_symbols, self.dataset.organism)
        for name, genes in shares.items():
            if not genes.any():
                context.log(f"No {name} gene was measured, so there is no {name} share")
        spans = chunks_of(self.dataset.n_cells, _CELLS_PER_CHUNK)
        sizes = [stop - start for start, stop in spans]
        count = partial(_count_chunk, self.dataset, shares)
        parts = list(context.map(count, spans, step="Counting", sizes=sizes))
        counted = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        doublet_score = _doublets(context, self.dataset, sample)
        columns = {"sample": pd.Categorical(sample), **counted, "doublet_score": doublet_score}
        return Quality(pd.DataFrame(columns, index=cells.index))


@dataclass(frozen=True)
class Thresholds:
    """What a cell must satisfy to be kept; limits belong to what is kept.

    Attributes
    ----------
    min_counts, max_counts
        Of the total counts.
    min_genes, max_genes
        Of the genes with a count.
    max_mitochondrial_share, max_doublet_score
        Between 0 and 1; a cell for which they are not known passes.
    """

    min_counts: float
    max_counts: float
    min_genes: float
    max_genes: float
    max_mitochondrial_share: float
    max_doublet_score: float


def suggest_thresholds(table: pd.DataFrame, n_mads: float = 5.0) -> Thresholds:
    """Suggest where to cut, by how far a cell lies from the median of all.

    Counts and genes may lie ``n_mads`` median absolute deviations (times 1.4826) from the median on the scale
    ln(1 + x), to both sides; the mitochondrial share and the doublet score above the median alone. So that cells that
    are all alike do not exclude each other, the deviation of counts and genes is taken as 0.1 at least, and the
    limits above are never lower than 0.05 (mitochondrial share) and 0.25 (doublet score).

    Parameters
    ----------
    table
        As in `Quality`.

    References
    ----------
    Heumos et al. 2023, doi:10.1038/s41576-023-00586-w, "Quality control"; Germain et al. 2020,
    doi:10.1186/s13059-020-02136-7.
    """
    if n_mads <= 0:
        msg = f"Expected a positive number of deviations, found {n_mads:g}. Usual values lie between 3 and 5."
        raise RequestError(msg, "bad-thresholds")
    counts = _range_on_log_scale(table["total_counts"].to_numpy(), n_mads)
    genes = _range_on_log_scale(table["n_genes"].to_numpy(), n_mads)
    return Thresholds(
        min_counts=counts[0],
        max_counts=counts[1],
        min_genes=genes[0],
        max_genes=genes[1],
        max_mitochondrial_share=_upper_limit(table["mitochondrial_share"].to_numpy(), n_mads, floor=_MIN_SHARE_LIMIT),
        max_doublet_score=_upper_limit(table["doublet_score"].to_numpy(), n_mads, floor=_MIN_DOUBLET_LIMIT),
    )


def passing(table: pd.DataFrame, thresholds: Thresholds) -> NDArray[np.bool_]:
    """Return which cells satisfy all thresholds together, shape ``(n_cells,)``."""
    keep = (
        table["total_counts"].between(thresholds.min_counts, thresholds.max_counts)
        & table["n_genes"].between(thresholds.min_genes, thresholds.max_genes)
        & ~(table["mitochondrial_share"] > thresholds.max_mitochondrial_share)
        & ~(table["doublet_score"] > thresholds.max_doublet_score)
    )
    return np.asarray(keep, dtype=bool)


def before_after(table: pd.DataFrame, keep: NDArray[np.bool_]) -> pd.DataFrame:
    """Count the cells of each sample before and after a filter.

    Returns
    -------
    Columns ``sample``, ``cells_before``, ``cells_after``, ``share_kept`` (0 to 1), one row per sample.
    """
    kept = pd.Series(keep, index=table.index).groupby(table["sample"], observed=True, sort=True)
    counted = pd.DataFrame({"cells_before": kept.size(), "cells_after": kept.sum().astype(int)})
    counted["share_kept"] = counted["cells_after"] / counted["cells_before"]
    counted.index = counted.index.astype(str)
    return counted.rename_axis("sample").reset_index()


def samples_of(dataset: Dataset, cells: pd.DataFrame) -> NDArray[np.str_]:
    """Return the sample of each cell: its donor, else its batch, else one sample for all; shape ``(n_cells,)``."""
    column = dataset.roles.get("donor") or dataset.roles.get("batch")
    if column is None or column not in cells:
        return np.full(len(cells), ALL_CELLS)
    values = cells[column]
    return np.asarray(values.astype(object).where(values.notna(), "unknown").map(str), dtype=np.str_)


def gene_classes(symbols: Sequence[str], organism: Organism) -> dict[str, NDArray[np.bool_]]:
    """Return which genes are mitochondrial and which ribosomal, by their symbols, each of shape ``(n_genes,)``.

    Examples
    --------
    >>> gene_classes(["MT-ND1", "RPS6", "RPS6KA1", "CD3D"], "human")["ribosomal"]
    array([False,  True, False, False])
    """
    mitochondrial, ribosomal = (re.compile(pattern) for pattern in _PATTERNS[organism])
    return {
        "mitochondrial": np.array([bool(mitochondrial.match(symbol)) for symbol in symbols]),
        "ribosomal": np.array([bool(ribosomal.match(symbol)) for symbol in symbols]),
    }


def doublet_scores(counts: csr_matrix, *, seed: int = 0) -> NDArray[np.float64]:
    """Return scrublet's doublet score of each cell of one sample; NaN for a cell that it leaves out.

    Parameters
    ----------
    counts
        Raw counts, shape ``(n_cells, n_genes)``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scanpy and what it imports, on pandas and on threads
        import anndata
        import scanpy

        cells = pd.DataFrame(index=pd.RangeIndex(counts.shape[0]).astype(str))
        data = anndata.AnnData(counts.astype(np.float32), obs=cells)
        scanpy.pp.scrublet(data, threshold=1.0, random_state=seed, verbose=False)  # no cell is called, only scored
    return np.asarray(data.obs["doublet_score"], dtype=np.float64)


def _count_chunk(
    dataset: Dataset, classes: dict[str, NDArray[np.bool_]], span: tuple[int, int]
) -> dict[str, NDArray[Any]]:
    counts = dataset.counts(slice(*span))
    total = counts.total_counts
    found: dict[str, NDArray[Any]] = {"total_counts": total, "n_genes": np.diff(counts.matrix.indptr).astype(np.int32)}
    for name, genes in classes.items():
        in_class = np.asarray(counts.matrix.astype(np.float64) @ genes.astype(np.float64))
        share = np.divide(in_class, total, out=np.zeros(len(total)), where=total > 0)
        found[f"{name}_share"] = share if genes.any() else np.full(len(total), np.nan)
    return found


def _doublets(context: Context, dataset: Dataset, sample: NDArray[np.str_]) -> NDArray[np.float64]:
    members = {str(name): np.flatnonzero(sample == name) for name in np.unique(sample)}
    fits = range(MIN_CELLS_FOR_DOUBLETS, MAX_CELLS_FOR_DOUBLETS + 1)
    scored = {name: cells for name, cells in members.items() if len(cells) in fits}
    score = np.full(dataset.n_cells, np.nan)
    chosen = list(scored.values())
    sizes = [len(cells) for cells in chosen]
    parts = context.map(partial(_doublets_of_sample, dataset), chosen, step="Looking for doublets", sizes=sizes)
    for (name, cells), part in zip(scored.items(), parts, strict=True):
        score[cells] = part["score"]
        if part["failure"]:
            context.log(f"No doublet scores for {name}: {part['failure']}")
    left_out = [name for name in members if name not in scored]
    if left_out:
        bounds = f"fewer than {MIN_CELLS_FOR_DOUBLETS} or more than {MAX_CELLS_FOR_DOUBLETS:,} cells"
        context.log(f"No doublet scores for samples of {bounds}: {', '.join(left_out)}")
    return score


def _doublets_of_sample(dataset: Dataset, cells: NDArray[np.int64]) -> dict[str, Any]:
    """Return ``score`` and, where scrublet cannot work on these cells, the reason as ``failure``."""
    try:
        return {"score": doublet_scores(dataset.counts(cells).matrix), "failure": ""}
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, KeyError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return {"score": np.full(len(cells), np.nan), "failure": f"scrublet could not work on them ({reason})"}


def _range_on_log_scale(values: NDArray[np.float64], n_mads: float) -> tuple[float, float]:
    logs = np.log1p(values)
    middle = float(np.median(logs))
    reach = n_mads * max(_spread(logs), _MIN_LOG_SPREAD)
    return max(float(np.expm1(middle - reach)), 0.0), float(np.expm1(middle + reach))


def _upper_limit(values: NDArray[np.float64], n_mads: float, *, floor: float) -> float:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return 1.0
    return float(np.clip(np.median(known) + n_mads * _spread(known), floor, 1.0))


def _spread(values: NDArray[np.float64]) -> float:
    return _MAD_TO_SD * float(np.median(np.abs(values - np.median(values))))
