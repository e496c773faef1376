"""Reads the files behind the demos, our own and scanpy's; a stranger's file goes through the guarded readers."""

import importlib.util
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm_core.resources import asset


@dataclass(frozen=True)
class DemoFile:
    """One file: ``X`` (or ``raw.X``), the cell table and the gene table, as they stand in it."""

    matrix: csr_matrix
    obs: pd.DataFrame
    var: pd.DataFrame


def read_pbmc3k() -> DemoFile:
    """Read our own file without anndata, whose import takes longer than the reading."""
    import h5py

    with h5py.File(asset("demo") / "pbmc3k.h5ad") as file:
        data, indices, indptr = (np.asarray(file["X"][part]) for part in ("data", "indices", "indptr"))
        tables: list[pd.DataFrame] = []
        for name in ("obs", "var"):
            group = file[name]
            table = {column: _read_column(group[column]) for column in group.attrs["column-order"]}
            tables.append(pd.DataFrame(table, index=_read_column(group[group.attrs["_index"]])))
    matrix = csr_matrix((data, indices, indptr), shape=(len(tables[0]), len(tables[1])))
    return DemoFile(matrix, *tables)


def _read_column(node: Any) -> Any:
    if node.attrs["encoding-type"] != "categorical":
        return node.asstr()[()]
    return pd.Categorical(node["categories"].asstr()[()][np.asarray(node["codes"])])


def read_pbmc68k_reduced() -> DemoFile:
    """Read scanpy's file; importing scanpy for it takes seconds and is left to releases that keep it otherwise."""
    path = scanpy_file()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata on its own old format
        if path is None:
            import scanpy

            data: Any = scanpy.datasets.pbmc68k_reduced()
        else:
            import anndata

            data = anndata.read_h5ad(path)
    return DemoFile(csr_matrix(data.raw.X), data.obs, data.raw.var)


def scanpy_file() -> Path | None:
    """Return the file in the installed scanpy, None where it keeps it otherwise; does not import scanpy."""
    spec = importlib.util.find_spec("scanpy")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    return path if path.is_file() else None
