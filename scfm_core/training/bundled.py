"""How the bundled weights of scfm-mini were made: which cells of which public files, and how often each is drawn.

Run as ``python -m scfm_core.training.bundled FOLDER OUT MINUTES [START]`` on a folder that holds the five files;
with the folder of an earlier run as ``START``, its network is trained further.
"""

import logging
import sys
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts
from scfm_core.training.corpus import CorpusPart
from scfm_core.training.pretrain import CurvePoint, PretrainSettings, pretrain_on

_log = logging.getLogger(__name__)


def bundled_parts(folder: Path) -> list[CorpusPart]:
    """Read the training cells of the bundled weights.

    Full transcriptomes are drawn three times as often as the large CITE-seq set, which holds 4,000 genes only. The
    400 cells that stand in both CITE-seq files are taken from the one with all genes, so that no cell is on both
    sides of the held-out split. The totals of the 4,000-gene cells are not known and stay NaN. Of the lung cell
    lines only the cells that genotypes call singlets are used.
    """
    full = _read(folder / "pbmc_cite_scvi_400.h5ad")
    parts = [
        CorpusPart(name="pbmc3k", counts=_read(folder / "pbmc3k.h5ad")[0], weight=3.0),
        CorpusPart(name="pbmc_cite_scvi_400", counts=full[0], weight=3.0),
        CorpusPart(
            name="pbmc_cite_10k_5k",
            counts=_read(folder / "pbmc_cite_10k_5k.h5ad", without=frozenset(full[1]), all_genes=False)[0],
        ),
        CorpusPart(
            name="lung_cellline_mixture",
            counts=_read(folder / "lung_cellline_mixture.h5ad", where=("demuxlet_class", "SNG"))[0],
            weight=3.0,
        ),
        CorpusPart(name="celltypist_sample_559", counts=_read(folder / "celltypist_sample_559.h5ad")[0], weight=3.0),
    ]
    for part in parts:
        _log.info("%s: %d cells", part.name, part.counts.matrix.shape[0])
    return parts


def _read(
    path: Path,
    *,
    without: frozenset[str] = frozenset(),
    where: tuple[str, str] | None = None,
    all_genes: bool = True,
) -> tuple[CellCounts, list[str]]:
    """Return the counts of a file, and the names of its cells."""
    import anndata

    data = anndata.read_h5ad(path)
    keep = ~data.obs_names.isin(list(without))
    if where is not None:
        keep &= (data.obs[where[0]].astype(str) == where[1]).to_numpy()
    matrix = csr_matrix(data.X)[keep]
    totals = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
    counts = CellCounts(
        matrix=matrix,
        gene_ids=tuple(data.var["ensembl_id"].astype(str)),
        total_counts=totals if all_genes else np.full(len(totals), np.nan),
    )
    return counts, list(data.obs_names[keep])


def _say(point: CurvePoint) -> None:
    _log.info("%s", point)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    source, out, minutes, *start = sys.argv[1:]
    settings = PretrainSettings(minutes=float(minutes))
    pretrain_on(bundled_parts(Path(source)), Path(out), settings, _say, start=Path(start[0]) if start else None)
