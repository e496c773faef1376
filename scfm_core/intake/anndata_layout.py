"""Reads AnnData as it lies in HDF5 (``.h5ad``) or zarr, all its layouts since 0.5, without anndata.

Only the counts, the names of genes and cells and the two tables are touched; ``uns`` and the rest are never parsed.
"""

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.errors import DatasetError
from scfm_core.intake.contents import Candidate, Contents, Dense, Matrix, Sparse, check_column, check_numbers
from scfm_core.intake.hdf5_guard import check_storable
from scfm_core.intake.limits import Limits

_INDEX_NAMES = ("_index", "index", "cell_id", "barcodes", "obs_names", "var_names")


def is_anndata(root: Any) -> bool:
    """Whether an open HDF5 file or zarr group is laid out as AnnData."""
    return "obs" in root and "var" in root and ("X" in root or "layers" in root or "raw" in root or "raw.X" in root)


def read_anndata(root: Any, file_format: str, limits: Limits) -> Contents:
    """Read an open HDF5 file or zarr group that `is_anndata`.

    Raises
    ------
    DatasetError
        With code ``"broken-matrix"``, ``"unsafe-dtype"`` or ``"too-large"``.
    """
    cells = _table(root, "obs", limits)
    genes = _table(root, "var", limits)
    nodes: dict[str, tuple[Any, pd.DataFrame]] = {}
    if "X" in root:
        nodes["X"] = (root["X"], genes)
    layers = root.get("layers", {})
    for name in layers:
        nodes[f"layers/{name}"] = (layers[name], genes)
    if "raw.X" in root and "raw.var" in root:
        nodes["raw"] = (root["raw.X"], _table(root, "raw.var", limits))
    elif _is_group(root.get("raw")) and {"X", "var"} <= set(root["raw"]):  # anndata also writes an empty array
        nodes["raw"] = (root["raw"]["X"], _table(root["raw"], "var", limits))
    read = [(name, _matrix(node, limits), table) for name, (node, table) in nodes.items()]
    candidates = tuple(
        Candidate(name=name, values=values, genes=table) for name, values, table in read if values is not None
    )
    for candidate in candidates:
        _check_fit(candidate, len(cells))
    return Contents(file_format=file_format, cells=cells, candidates=candidates)


def _check_fit(candidate: Candidate, n_cells: int) -> None:
    if candidate.values.shape != (n_cells, len(candidate.genes)):
        found, expected = candidate.values.shape, (n_cells, len(candidate.genes))
        msg = (
            f"The matrix {candidate.name!r} has {found[0]:,} cells and {found[1]:,} genes, but the tables name "
            f"{expected[0]:,} cells and {expected[1]:,} genes. Write the file again from where it came."
        )
        raise DatasetError(msg, "broken-matrix")


def _matrix(node: Any, limits: Limits) -> Matrix | None:
    if not _is_group(node):
        return Dense(_checked(node), limits) if node.shape else None
    kind = _text(node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "")))
    shape = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    if kind[:3] not in ("csr", "csc") or shape is None or not {"data", "indices", "indptr"} <= set(node):
        return None
    parts = {name: _checked(node[name]) for name in ("data", "indices", "indptr")}
    return Sparse(parts, (int(shape[0]), int(shape[1])), limits, by_gene=kind.startswith("csc"))


def _table(root: Any, name: str, limits: Limits) -> pd.DataFrame:
    node = root[name]
    if not _is_group(node):
        return _compound_table(root, name, limits)
    index_name = _text(node.attrs.get("_index", "_index"))
    if index_name not in node:
        index_name = next((known for known in _INDEX_NAMES if known in node), "")
    if not index_name:
        msg = f"The table {name!r} does not say what its rows are called. Write the file again with anndata."
        raise DatasetError(msg, "broken-matrix")
    index = pd.Index(_array(node[index_name], limits).astype(str).astype(object))
    columns: dict[str, Any] = {}
    for column in _column_names(node):
        if column == index_name or column.startswith("__") or column not in node:
            continue
        values = _column(node, column, limits)
        if values is not None and len(values) == len(index):
            columns[column] = values
    return pd.DataFrame(columns, index=index)


def _column_names(node: Any) -> list[str]:
    order = node.attrs.get("column-order")
    names = [_text(name) for name in order] if order is not None else []
    return [*names, *sorted(set(node) - set(names))]


def _column(table: Any, name: str, limits: Limits) -> Any:
    """Return the values of one column, None where it is of a kind that no table needs."""
    node = table[name]
    if _is_group(node):
        if {"codes", "categories"} <= set(node):
            return _categorical(_array(node["codes"], limits), _array(node["categories"], limits))
        if {"values", "mask"} <= set(node):
            values, mask = _array(node["values"], limits), _array(node["mask"], limits).astype(bool)
            return pd.Series(values.astype(object)).mask(mask).infer_objects() if mask.any() else values
        return None
    if node.shape is None or len(node.shape) != 1:  # empty, or a column of vectors
        return None
    legacy = table.get("__categories", {})
    values = _array(node, limits)
    return _categorical(values, _array(legacy[name], limits)) if name in legacy else values


def _compound_table(root: Any, name: str, limits: Limits) -> pd.DataFrame:
    """Read a table of anndata before 0.7: one array of records, categories as codes with their names in ``uns``."""
    dataset = _checked(root[name])
    check_column(f"The table {name!r}", dataset, limits)
    records = dataset[:]
    fields = list(records.dtype.names or ())
    index_name = next((known for known in _INDEX_NAMES if known in fields), fields[0])
    columns: dict[str, Any] = {}
    for field in fields:
        values = _plain(records[field])
        levels = f"uns/{field}_categories"
        if field != index_name:
            columns[field] = values if levels not in root else _categorical(values, _array(root[levels], limits))
    return pd.DataFrame(columns, index=pd.Index(_plain(records[index_name]).astype(str).astype(object)))


def _categorical(codes: NDArray[Any], categories: NDArray[Any]) -> pd.Categorical:
    check_numbers(codes.dtype, "The codes of a category")
    if codes.size and (codes.min() < -1 or codes.max() >= len(categories)):
        msg = "A column of categories is broken: it names categories that do not exist. Write the file again."
        raise DatasetError(msg, "broken-matrix")
    names = pd.Index(categories.astype(str))
    unique = names.unique()
    codes = np.append(unique.get_indexer(names), -1)[codes.astype(np.int64)]
    return pd.Categorical.from_codes(codes, unique.astype(object))


def _array(node: Any, limits: Limits) -> NDArray[Any]:
    """Read a one-dimensional array; text comes back as str."""
    dataset = _checked(node)
    check_column("A column", dataset, limits)
    if isinstance(dataset, h5py.Dataset) and h5py.check_string_dtype(dataset.dtype) is not None:
        return np.asarray(dataset.asstr(errors="replace")[...], dtype=object)
    return _plain(np.asarray(dataset[...]))


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "S":
        return np.array([value.decode("utf-8", "replace") for value in values.ravel()], dtype=object)
    if values.dtype.kind == "O":
        return np.array([_text(value) for value in values.ravel()], dtype=object)
    return values.astype(object) if values.dtype.kind in "UT" else values


def _checked(node: Any) -> Any:
    if _is_group(node):
        msg = f"Expected an array at {node.name!r}, found a group. Write the file again with anndata."
        raise DatasetError(msg, "broken-matrix")
    if isinstance(node, h5py.Dataset):
        check_storable(node)
    return node


def _is_group(node: Any) -> bool:
    return isinstance(node, Mapping) or hasattr(node, "keys")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
