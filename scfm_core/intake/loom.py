"""Reads loom files: genes in rows, cells in columns, everything in plain HDF5."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.errors import DatasetError
from scfm_core.intake.contents import Candidate, Contents, Dense, check_column
from scfm_core.intake.hdf5_guard import check_storable
from scfm_core.intake.limits import Limits

_GENE_NAMES = ("Gene", "gene", "GeneName", "gene_name", "gene_names", "var_names", "Symbol", "symbol", "name")
_GENE_IDS = ("Accession", "accession", "EnsemblID", "gene_ids", "gene_id", "ensembl_id", "ID")
_CELL_NAMES = ("CellID", "cell_id", "obs_names", "cell_names", "Barcode", "barcode", "barcodes")


def is_loom(file: Any) -> bool:
    """Whether an open HDF5 file is laid out as loom."""
    return "matrix" in file and "row_attrs" in file and "col_attrs" in file and not hasattr(file["matrix"], "keys")


def read_loom(file: Any, limits: Limits) -> Contents:
    """Read an open HDF5 file that `is_loom`."""
    n_genes, n_cells = (int(n) for n in file["matrix"].shape)
    genes = _named(_attributes(file["row_attrs"], n_genes, limits), (*_GENE_NAMES, *_GENE_IDS), n_genes)
    cells = _named(_attributes(file["col_attrs"], n_cells, limits), _CELL_NAMES, n_cells)
    nodes = {"X": file["matrix"]}
    layers = file.get("layers", {})
    for name in layers:
        nodes[f"layers/{name}"] = layers[name]
    candidates = []
    for name, node in nodes.items():
        check_storable(node)
        candidates.append(Candidate(name=name, values=Dense(node, limits, by_gene=True), genes=genes))
        if candidates[-1].values.shape != (n_cells, n_genes):
            msg = f"The layer {name!r} is not of the size of the main matrix. Write the file again."
            raise DatasetError(msg, "broken-matrix")
    return Contents(file_format="loom (.loom)", cells=cells, candidates=tuple(candidates))


def _attributes(group: Any, length: int, limits: Limits) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in group:
        node = group[name]
        if hasattr(node, "keys") or node.shape != (length,):
            continue
        check_storable(node)
        check_column(f"The column {name!r}", node, limits)
        values = node[...]
        if values.dtype.kind in "SO":
            texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]
            columns[name] = np.array(texts, dtype=object)
        else:
            columns[name] = values
    return columns


def _named(columns: dict[str, Any], known: tuple[str, ...], length: int) -> pd.DataFrame:
    """Make a table whose index is the first known name column; positions where there is none."""
    index_name = next((name for name in known if name in columns), None)
    index = [str(n) for n in range(length)] if index_name is None else [str(name) for name in columns[index_name]]
    rest = {name: values for name, values in columns.items() if name != index_name}
    return pd.DataFrame(rest, index=pd.Index(index, dtype=object))
