"""A dataset is a handle to counts on disk, kept by cell and by gene; nothing here knows file formats of others."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, issparse

from scfm_core.count_files import (
    LineWriter,
    cut_lines,
    mapped_array,
    pieces_of_values,
    read_lines,
    write_transposed,
)
from scfm_core.errors import DatasetError

Organism = Literal["human", "mouse", "unknown"]
Role = Literal["batch", "donor", "condition", "cell_type"]
FORMAT_VERSION = 1
_LARGEST_COUNT = 2**53  # whole numbers up to here are exact as floats too
_COUNTS_PER_PIECE = 2**24
_HASHED = {"by_cell_data": "<u8", "by_cell_indices": "<i8", "by_cell_indptr": "<i8", "total_counts": "<f8"}


@dataclass(frozen=True, kw_only=True)
class CellCounts:
    """Raw counts of some cells, the one input of every model.

    Attributes
    ----------
    matrix
        UMI counts, shape ``(n_cells, n_genes)``, non-negative integers of any width.
    gene_ids
        Ensembl gene ids without version, length ``n_genes``; the file's own names where no Ensembl id is known.
    total_counts
        Counts of each cell over *all* measured genes, before any gene filter, shape ``(n_cells,)``.
    """

    matrix: csr_matrix
    gene_ids: tuple[str, ...]
    total_counts: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An admitted dataset, named by the hash of its content."""

    path: Path
    sha256: str
    organism: Organism
    n_cells: int
    n_genes: int

    @property
    def identity(self) -> str:
        """What a result computed from this dataset depends on."""
        return self.sha256

    @property
    def title(self) -> str:
        """The name a person gave it; no part of the identity."""
        return str(self._manifest["title"])

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the file on its way in, one sentence each."""
        return tuple(self._manifest["notes"])

    @property
    def parent(self) -> str:
        """Identity of the dataset whose cells these were chosen from; empty where it is no subset."""
        return str(self._manifest.get("parent", ""))

    @property
    def roles(self) -> dict[Role, str]:
        """Which column of `cells` plays which part: role -> column."""
        return cast(dict[Role, str], dict(self._manifest["roles"]))

    @property
    def gene_ids(self) -> tuple[str, ...]:
        """Ensembl gene ids without version, length ``n_genes``."""
        return _gene_names(self.path, "gene_id")

    @property
    def gene_symbols(self) -> tuple[str, ...]:
        """Names for the eye, length ``n_genes``; the gene id where no symbol is known."""
        return _gene_names(self.path, "symbol")

    @property
    def total_counts(self) -> NDArray[np.float64]:
        """Counts of each cell over all measured genes, shape ``(n_cells,)``."""
        return np.asarray(mapped_array(self.path / "total_counts.npy"))

    def cells(self) -> pd.DataFrame:
        """Return the cell table, one row per cell, indexed by the cell's name."""
        return pd.read_parquet(self.path / "cells.parquet")

    @property
    def cell_columns(self) -> tuple[str, ...]:
        """Names of the columns of the cell table; nothing else of it is read."""
        return _cell_columns(self.path)

    def cell_column(self, name: str) -> "pd.Series[Any]":
        """Read one column of the cell table, indexed by the position of the cell; the names of cells are not read.

        Raises
        ------
        DatasetError
            If there is no such column.
        """
        if name not in self.cell_columns:
            msg = f"The cell table has no column {name!r}. Its columns: {', '.join(self.cell_columns) or 'none'}."
            raise DatasetError(msg, "unknown-column")
        import pyarrow.parquet as pq

        table: pd.DataFrame = pq.read_table(self.path / "cells.parquet", columns=[name]).to_pandas()
        return table[name].reset_index(drop=True)

    @property
    def cells_per_gene(self) -> NDArray[np.int64]:
        """In how many cells each gene is expressed, shape ``(n_genes,)``."""
        return np.asarray(np.diff(mapped_array(self.path / "by_gene_indptr.npy")))

    def counts(self, cells: slice | NDArray[np.integer[Any]] = slice(None)) -> CellCounts:
        """Read the counts of some cells; only those rows are read from disk.

        Parameters
        ----------
        cells
            A slice, or positions of cells in any order, shape ``(n_chosen,)``.
        """
        rows = np.arange(self.n_cells)[cells]
        matrix = read_lines(self.path / "by_cell", rows, self.n_genes)
        return CellCounts(
            matrix=csr_matrix(matrix, shape=(len(rows), self.n_genes)),
            gene_ids=self.gene_ids,
            total_counts=self.total_counts[rows],
        )

    def expression(self, gene_id: str) -> NDArray[np.integer[Any]]:
        """Read the counts of one gene, shape ``(n_cells,)``; only that column is read from disk."""
        position = _gene_positions(self.path).get(gene_id)
        if position is None:
            msg = f"Gene {gene_id!r} is not among the {self.n_genes:,} genes of this dataset. Choose one of them."
            raise DatasetError(msg, "unknown-gene")
        values, indices, _ = read_lines(self.path / "by_gene", np.array([position]), self.n_cells)
        dense = np.zeros(self.n_cells, dtype=values.dtype)
        dense[indices] = values
        return dense

    def counts_of_genes(self, genes: slice | NDArray[np.integer[Any]]) -> csc_matrix:
        """Read the counts of some genes, shape ``(n_cells, n_chosen)``; only those columns are read from disk.

        Parameters
        ----------
        genes
            A slice, or positions of genes in any order, shape ``(n_chosen,)``.
        """
        columns = np.arange(self.n_genes)[genes]
        return csc_matrix(read_lines(self.path / "by_gene", columns, self.n_cells), shape=(self.n_cells, len(columns)))

    @property
    def _manifest(self) -> dict[str, Any]:
        return _manifest(self.path)

    def __repr__(self) -> str:
        return f"Dataset({self.sha256[:12]}, {self.n_cells} cells x {self.n_genes} genes)"


@dataclass(frozen=True, kw_only=True)
class NewDataset:
    """Everything that a dataset is made from; `write_dataset` turns it into a store on disk.

    Attributes
    ----------
    matrix
        Counts, shape ``(n_cells, n_genes)``, non-negative whole numbers of any dtype. Or any iterable over pieces
        of it, some ten thousand cells each, one after the other, where the whole does not fit into memory.
    gene_ids, gene_symbols
        Length ``n_genes``; the ids are unique.
    cells
        Cell table, shape ``(n_cells, n_columns)``, indexed by the cell's name (unique).
    total_counts
        Counts of each cell over all measured genes, shape ``(n_cells,)``; the row sums where None.
    roles
        Which column is the batch, the donor, the condition, the cell type.
    title, notes
        Words for the eye; no part of the identity.
    parent
        Identity of the dataset whose cells these were chosen from; no part of the identity.
    """

    matrix: csr_matrix
    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    cells: pd.DataFrame
    organism: Organism
    total_counts: NDArray[np.float64] | None = None
    roles: Mapping[Role, str] = field(default_factory=dict)
    title: str = "untitled"
    notes: tuple[str, ...] = ()
    parent: str = ""


def open_dataset(path: Path) -> Dataset:
    """Return the handle of a dataset that `write_dataset` wrote."""
    if not (path / "manifest.json").is_file():
        msg = f"No dataset lies at {path.name!r}: expected a folder with a manifest.json. Add the file again."
        raise DatasetError(msg, "no-dataset")
    manifest = _manifest(path)
    if manifest["format_version"] != FORMAT_VERSION:
        msg = f"Dataset {path.name[:12]} was written by another version of scFM Explorer. Add the file again."
        raise DatasetError(msg, "old-dataset")
    return Dataset(
        path=path,
        sha256=manifest["sha256"],
        organism=manifest["organism"],
        n_cells=manifest["n_cells"],
        n_genes=manifest["n_genes"],
    )


def list_datasets(root: Path) -> list[Dataset]:
    """Return the datasets in a folder, newest first; not those of another version, nor those being written."""
    paths = [path.parent for path in root.glob("*/manifest.json") if not path.parent.name.startswith(".")]
    paths.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [open_dataset(path) for path in paths if _manifest(path)["format_version"] == FORMAT_VERSION]


def parent_of(dataset: Dataset) -> Dataset | None:
    """Return the dataset whose cells a subset was chosen from; None where it is no subset, or its parent is gone."""
    path = dataset.path.parent / dataset.parent
    return open_dataset(path) if dataset.parent and (path / "manifest.json").is_file() else None


def write_dataset(root: Path, new: NewDataset) -> Dataset:
    """Write a dataset under ``root``, in a folder named by its content; whole or not at all.

    The counts are kept twice, by cell (CSR) and by gene (CSC), as plain arrays: a chunk of cells or one gene is read
    without touching the rest. Counts keep their smallest integer type. Where the counts come in pieces, the memory
    taken depends on their size, and on the cell table, alone.

    Returns
    -------
    The handle; an existing dataset of equal content is returned as it is.

    Raises
    ------
    DatasetError
        If the parts do not fit together or the counts are no whole numbers.
    """
    _check(new)
    cells = _plain_table(new.cells)
    partial = root / f".new-{uuid.uuid4().hex}"
    partial.mkdir(parents=True)
    try:
        totals = _totals(new, _write_by_cell(partial / "by_cell", new))
        np.save(partial / "total_counts.npy", totals)
        sha256 = _content_hash(new, partial, cells)
        folder = root / sha256
        if not (folder / "manifest.json").is_file():
            write_transposed(partial / "by_cell", partial / "by_gene", (len(cells), len(new.gene_ids)))
            cells.to_parquet(partial / "cells.parquet")
            genes = pd.DataFrame({"gene_id": list(new.gene_ids), "symbol": list(new.gene_symbols)})
            genes.to_parquet(partial / "genes.parquet")
            (partial / "manifest.json").write_text(json.dumps(_new_manifest(new, sha256), indent=1))
            _move_whole(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_dataset(folder)


def _move_whole(partial: Path, folder: Path) -> None:
    try:
        if not folder.exists():
            partial.rename(folder)
    except OSError:
        if not (folder / "manifest.json").is_file():  # else another writer was first, and equal content is as good
            raise


def _write_by_cell(stem: Path, new: NewDataset) -> NDArray[np.float64]:
    """Write the counts by cell, and return their sum for each cell."""
    n_cells, n_genes = len(new.cells), len(new.gene_ids)
    writer = LineWriter(stem, n_genes)
    sums = [np.empty(0)]
    for piece in _pieces(new.matrix):
        matrix = _smallest_integers(piece)
        if matrix.shape[1] != n_genes or sum(map(len, sums)) + matrix.shape[0] > n_cells:
            msg = f"Expected pieces of {n_genes:,} genes and {n_cells:,} cells in all, found one of {matrix.shape}."
            raise DatasetError(msg, "shape-mismatch")
        writer.append(matrix)
        sums.append(np.asarray(matrix.sum(axis=1, dtype=np.float64), dtype=np.float64).ravel())
    writer.close()
    found = np.concatenate(sums)
    if len(found) != n_cells:
        msg = f"The counts have {len(found):,} cells, but there are {n_cells:,} rows in the cell table."
        raise DatasetError(msg, "shape-mismatch")
    return found


def _pieces(counts: csr_matrix) -> Iterator[csr_matrix]:
    """Yield counts some cells at a time."""
    if not issparse(counts):
        yield from counts
    elif counts.nnz <= _COUNTS_PER_PIECE:
        yield counts
    else:
        for start, stop in cut_lines(counts.indptr, _COUNTS_PER_PIECE):
            yield counts[start:stop]


def subset_dataset(dataset: Dataset, keep: NDArray[np.bool_], *, title: str, note: str) -> Dataset:
    """Write a new dataset beside ``dataset`` with the cells where ``keep`` is true, shape ``(n_cells,)``."""
    if keep.dtype != np.bool_ or keep.shape != (dataset.n_cells,):
        msg = f"Expected one true or false for each of {dataset.n_cells:,} cells, found {keep.dtype} of {keep.shape}."
        raise DatasetError(msg, "shape-mismatch")
    chosen = np.flatnonzero(keep)
    lengths = np.diff(mapped_array(dataset.path / "by_cell_indptr.npy"))[chosen]
    spans = cut_lines(np.concatenate([[0], np.cumsum(lengths)]), _COUNTS_PER_PIECE)
    new = NewDataset(
        matrix=(dataset.counts(chosen[start:stop]).matrix for start, stop in spans),
        gene_ids=dataset.gene_ids,
        gene_symbols=dataset.gene_symbols,
        cells=dataset.cells().iloc[chosen],
        organism=dataset.organism,
        total_counts=dataset.total_counts[chosen],
        roles=dataset.roles,
        title=title,
        notes=(*dataset.notes, note),
        parent=dataset.sha256,
    )
    return write_dataset(dataset.path.parent, new)


def _check(new: NewDataset) -> None:
    n_cells, n_genes = new.matrix.shape if issparse(new.matrix) else (len(new.cells), len(new.gene_ids))
    found = {"gene ids": len(new.gene_ids), "gene symbols": len(new.gene_symbols)}
    wrong = [f"{n:,} {what}" for what, n in found.items() if n != n_genes]
    if len(new.cells) != n_cells:
        wrong.append(f"{len(new.cells):,} rows in the cell table")
    if wrong:
        msg = f"The counts have {n_cells:,} cells and {n_genes:,} genes, but there are {', '.join(wrong)}."
        raise DatasetError(msg, "shape-mismatch")
    if n_cells == 0 or n_genes == 0:
        msg = f"Expected at least one cell and one gene, found {n_cells:,} cells and {n_genes:,} genes."
        raise DatasetError(msg, "empty")
    names = (("gene id", pd.Index(new.gene_ids)), ("cell name", new.cells.index), ("column", new.cells.columns))
    for what, index in names:
        text = index.astype(str)
        if not text.is_unique:
            msg = f"Every {what} must be unique; {text[text.duplicated()][0]!r} stands more than once. Rename one."
            raise DatasetError(msg, "duplicate-names")
    missing = [f"{column} ({role})" for role, column in new.roles.items() if column not in new.cells.columns]
    if missing:
        known = ", ".join(map(str, new.cells.columns)) or "none"
        msg = f"The cell table has no column {', '.join(missing)}. Its columns: {known}."
        raise DatasetError(msg, "unknown-column")


def _smallest_integers(matrix: csr_matrix) -> csr_matrix:
    """Return a copy with sorted indices, without zeros and repeats, in the smallest integer type."""
    data = np.asarray(matrix.data)
    whole = data.dtype.kind in "biu" or (data.dtype.kind == "f" and np.array_equal(data, np.rint(data)))
    if not whole or (data.size and not 0 <= data.min() <= data.max() <= _LARGEST_COUNT):
        msg = "Expected raw counts (whole numbers, none negative, none missing), found other values."
        raise DatasetError(msg, "not-counts")
    # repeats are summed in 64 bits: 200 + 200 does not fit the type that 200 fits
    dtype = np.min_scalar_type(int(data.max()) if data.size else 0) if matrix.has_canonical_format else np.int64
    out = csr_matrix((data.astype(dtype), matrix.indices.copy(), matrix.indptr.copy()), shape=matrix.shape)
    out.sum_duplicates()
    out.eliminate_zeros()
    out.data = out.data.astype(np.min_scalar_type(int(out.data.max()) if out.nnz else 0), copy=False)
    return out


def _totals(new: NewDataset, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    if new.total_counts is None:
        return sums
    totals = np.asarray(new.total_counts, dtype=np.float64)
    if totals.shape != sums.shape:
        msg = f"Expected one total per cell, {len(sums):,} in all, found {totals.shape}."
        raise DatasetError(msg, "shape-mismatch")
    if not (np.isfinite(totals) & (totals >= sums)).all():
        msg = (
            f"The total counts of a cell are over all measured genes and no less than the sum of those in the file; "
            f"found less, or none, in {np.count_nonzero(~(totals >= sums)):,} cells. Use the sums."
        )
        raise DatasetError(msg, "bad-totals")
    return totals


def _new_manifest(new: NewDataset, sha256: str) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "sha256": sha256,
        "organism": new.organism,
        "n_cells": len(new.cells),
        "n_genes": len(new.gene_ids),
        "roles": dict(new.roles),
        "title": new.title,
        "notes": list(new.notes),
        "parent": new.parent,
    }


def _plain_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Keep numbers, booleans and categories; everything else becomes text."""
    columns = {str(name): _plain_column(cells[name]) for name in cells.columns}
    return pd.DataFrame(columns, index=pd.Index(cells.index.astype(str), name="cell"))


def _plain_column(column: "pd.Series[Any]") -> Any:
    dtype = column.dtype
    if pd.api.types.is_bool_dtype(dtype) and not isinstance(dtype, pd.CategoricalDtype):
        return column.array
    if pd.api.types.is_numeric_dtype(dtype):
        return column.to_numpy(np.float32) if dtype == np.float16 else column.array
    if isinstance(dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories()
        names = used.cat.categories.astype(str)
        if names.is_unique:
            return used.cat.rename_categories(list(names)).array
    return column.astype(object).map(str, na_action="ignore").astype("category").array


def _content_hash(new: NewDataset, folder: Path, cells: pd.DataFrame) -> str:
    digest = hashlib.sha256(f"scfm-dataset-{FORMAT_VERSION}".encode())
    for name, dtype in _HASHED.items():
        for values in pieces_of_values(folder / f"{name}.npy"):
            digest.update(values.astype(dtype).tobytes())
    names = [list(new.gene_ids), list(new.gene_symbols), list(cells.index), new.organism, sorted(new.roles.items())]
    digest.update(json.dumps(names).encode())
    for name in cells.columns:
        kind = "text" if isinstance(cells[name].dtype, pd.CategoricalDtype) else "number"
        digest.update(json.dumps([name, kind, cells[name].astype(str).tolist()]).encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


@lru_cache(maxsize=64)
def _cell_columns(folder: Path) -> tuple[str, ...]:
    import pyarrow.parquet as pq

    schema = pq.read_schema(folder / "cells.parquet")
    index = schema.pandas_metadata["index_columns"]
    return tuple(name for name in schema.names if name not in index)


@lru_cache(maxsize=64)
def _gene_names(folder: Path, column: str) -> tuple[str, ...]:
    return tuple(pd.read_parquet(folder / "genes.parquet", columns=[column])[column])


@lru_cache(maxsize=64)
def _gene_positions(folder: Path) -> dict[str, int]:
    return {gene_id: position for position, gene_id in enumerate(_gene_names(folder, "gene_id"))}
