"""Reads what Cell Ranger, STARsolo and their kind write: HDF5 in two layouts, and folders of text files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from scfm_core.errors import DatasetError
from scfm_core.intake.contents import Candidate, Contents, InMemory, Sparse, check_column, check_numbers, check_shape
from scfm_core.intake.findings import Finding
from scfm_core.intake.hdf5_guard import check_storable
from scfm_core.intake.limits import Limits, check_declared

_PARTS = {"data", "indices", "indptr", "shape", "barcodes"}
_PARTNER = r"\.(tsv|csv|txt)$"
_VELOCITY = re.compile(r"spliced|unspliced|ambiguous|spanning", re.IGNORECASE)


def is_tenx_h5(file: Any) -> bool:
    """Whether an open HDF5 file is laid out as Cell Ranger writes it, version 2 or 3."""
    return bool(_genomes(file))


def read_tenx_h5(file: Any, limits: Limits) -> Contents:
    """Read an open HDF5 file that `is_tenx_h5`; of several genomes, the one with the most values."""
    genomes = _genomes(file)
    name = max(genomes, key=lambda genome: file[genome]["data"].shape[0])
    group = file[name]
    n_genes, n_cells = (int(n) for n in _numbers(group["shape"], limits)[:2])
    parts = {part: group[part] for part in ("data", "indices", "indptr")}
    for part in parts.values():
        check_storable(part)
    values = Sparse(parts, (n_cells, n_genes), limits)
    genes = _features(group, limits)
    barcodes = pd.Index(_texts(group["barcodes"], limits))
    _check_names(n_cells, n_genes, len(barcodes), len(genes))
    layout = "version 3" if "features" in group else "version 2"
    findings = () if len(genomes) == 1 else (_one_genome(name, genomes),)
    return Contents(
        file_format=f"10x HDF5, {layout} (.h5)",
        cells=pd.DataFrame(index=barcodes),
        candidates=(Candidate(name="X", values=values, genes=genes),),
        findings=findings,
    )


def _genomes(file: Any) -> list[str]:
    groups = [name for name in file if hasattr(file[name], "keys") and set(file[name]) >= _PARTS]
    return [name for name in groups if "features" in file[name] or {"genes", "gene_names"} & set(file[name])]


def _features(group: Any, limits: Limits) -> pd.DataFrame:
    if "features" in group:
        table = group["features"]
        columns = {name: _texts(table[name], limits) for name in ("feature_type", "genome") if name in table}
        ids = _texts(table["id"], limits)
        names = _texts(table["name"], limits) if "name" in table else ids
    else:
        columns = {}
        ids = _texts(group["genes" if "genes" in group else "gene_names"], limits)
        names = _texts(group["gene_names"], limits) if "gene_names" in group else ids
    return pd.DataFrame({"gene_ids": ids, **columns}, index=pd.Index(names))


def _one_genome(name: str, genomes: list[str]) -> Finding:
    return Finding(
        code="one-genome",
        level="warning",
        title=f"Only the genome {name!r} was read",
        reason=f"The file holds a matrix for each of {', '.join(genomes)}; the one with the most values was taken.",
    )


def _texts(dataset: Any, limits: Limits) -> list[str]:
    check_storable(dataset)
    check_column("A column of names", dataset, limits)
    values = dataset[...].ravel()
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def _numbers(dataset: Any, limits: Limits) -> Any:
    check_storable(dataset)
    check_numbers(dataset.dtype, "The shape")
    check_declared("The shape", int(np.prod(dataset.shape, dtype=object)) * 8, 1024)
    return dataset[...]


def _check_names(n_cells: int, n_genes: int, n_barcodes: int, n_features: int) -> None:
    if (n_cells, n_genes) != (n_barcodes, n_features):
        msg = (
            f"The matrix has {n_cells:,} cells and {n_genes:,} genes, but {n_barcodes:,} barcodes and "
            f"{n_features:,} genes are named. Bring the three files of one and the same run."
        )
        raise DatasetError(msg, "broken-matrix")


@dataclass(frozen=True)
class Triplet:
    """The three text files of one matrix; ``sample`` is what tells it from the others beside it."""

    sample: str
    matrix: Path
    features: Path
    barcodes: Path


def find_triplets(files: Sequence[Path], root: Path) -> list[Triplet]:
    """Find the matrices among unpacked files, at any depth and with any prefix.

    Where a run holds both its filtered and its raw matrix, the filtered one is taken.

    Raises
    ------
    DatasetError
        With code ``"incomplete-matrix"`` if a matrix lacks its genes or its barcodes.
    """
    found = [path for path in files if path.name.lower().endswith(".mtx")]
    plain = [path for path in found if not _VELOCITY.search(path.name)]
    found = plain or found
    filtered = [path for path in found if "filtered" in str(path.relative_to(root)).lower()]
    found = filtered or [path for path in found if "raw_" not in str(path.relative_to(root)).lower()] or found
    return [_triplet(path, files, root, alone=sum(p.parent == path.parent for p in found) == 1) for path in found]


def _triplet(matrix: Path, files: Sequence[Path], root: Path, *, alone: bool) -> Triplet:
    prefix = re.sub(r"(matrix)?\.mtx$", "", matrix.name, flags=re.IGNORECASE)
    beside = [path for path in files if path.parent == matrix.parent]
    partners = []
    for words in (r"(features|genes|peaks)", r"(barcodes|cells|cellnames)"):
        fits = [path for path in beside if re.search(rf"{words}.*{_PARTNER}", path.name, re.IGNORECASE)]
        named = [path for path in fits if path.name.startswith(prefix)]
        chosen = named if named and not (alone and len(fits) == 1) else (fits if alone else [])
        if not chosen:
            msg = (
                f"Beside {matrix.name!r} expected the names of genes (features.tsv or genes.tsv) and of cells "
                f"(barcodes.tsv), found {', '.join(path.name for path in beside)}. Pack all three files together."
            )
            raise DatasetError(msg, "incomplete-matrix")
        partners.append(min(chosen, key=lambda path: len(path.name)))
    folder = str(matrix.parent.relative_to(root))
    return Triplet(prefix.strip("._-") or folder, matrix, partners[0], partners[1])


def read_triplets(triplets: Sequence[Triplet], limits: Limits) -> Contents:
    """Read one matrix, or several of the same genes one below the other, with a column that tells the samples apart.

    Raises
    ------
    DatasetError
        With code ``"several-matrices"`` if their genes differ.
    """
    read = [_read_triplet(triplet, limits) for triplet in triplets]
    matrix, genes, barcodes = read[0]
    cells = pd.DataFrame(index=pd.Index(barcodes))
    findings: tuple[Finding, ...] = ()
    if len(read) > 1:
        if any(not other.index.equals(genes.index) for _, other, _ in read):
            names = ", ".join(triplet.sample for triplet in triplets)
            msg = f"The file holds {len(read)} matrices of different genes: {names}. Bring each as a file of its own."
            raise DatasetError(msg, "several-matrices")
        matrix = vstack([each for each, _, _ in read], format="csr")
        samples = [triplet.sample for triplet, (_, _, names) in zip(triplets, read, strict=True) for _ in names]
        index = [
            f"{triplet.sample}_{name}" for triplet, (_, _, names) in zip(triplets, read, strict=True) for name in names
        ]
        cells = pd.DataFrame({"sample": pd.Categorical(samples)}, index=pd.Index(index))
        findings = (_stacked(triplets),)
    return Contents(
        file_format="10x matrix folder (matrix.mtx, genes, barcodes)",
        cells=cells,
        candidates=(Candidate(name="X", values=InMemory(matrix, limits), genes=genes),),
        findings=findings,
    )


def _stacked(triplets: Sequence[Triplet]) -> Finding:
    return Finding(
        code="samples-stacked",
        level="note",
        title=f"{len(triplets)} samples were put together",
        reason=f'Column "sample" names them: {", ".join(triplet.sample for triplet in triplets[:20])}.',
    )


def _read_triplet(triplet: Triplet, limits: Limits) -> tuple[csr_matrix, pd.DataFrame, list[str]]:
    features = _rows(triplet.features)
    barcodes = [row[0] for row in _rows(triplet.barcodes)]
    matrix = _read_mtx(triplet.matrix, limits)
    n_rows, n_columns = matrix.shape
    if len(features) == n_rows + 1 or len(features) == n_columns + 1:
        features = features[1:]  # a header
    if len(barcodes) in (n_columns + 1, n_rows + 1) and len(features) in (n_rows, n_columns):
        barcodes = barcodes[1:]
    if (len(features), len(barcodes)) == (n_rows, n_columns):
        matrix = matrix.T
    _check_names(matrix.shape[0], matrix.shape[1], len(barcodes), len(features))
    names = [row[1] if len(row) > 1 and row[1] else row[0] for row in features]
    genes = pd.DataFrame({"gene_ids": [row[0] for row in features]}, index=pd.Index(names))
    if all(len(row) > 2 for row in features):
        genes["feature_types"] = [row[2] for row in features]
    return matrix.tocsr(), genes, barcodes


def _rows(path: Path) -> list[list[str]]:
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = "," if lines and "\t" not in lines[0] and "," in lines[0] else "\t"
    return [[part.strip().strip('"') for part in line.split(delimiter)] for line in lines]


def _read_mtx(path: Path, limits: Limits) -> Any:
    """Read a Matrix Market file after its header was held against the size of the file."""
    from scipy.io import mmread

    with path.open("rb") as file:
        banner = file.readline(1000).decode("ascii", "replace").lower().split()
        line = b"%"
        while line.startswith(b"%"):
            line = file.readline(10_000)
    declared = [int(part) for part in line.split() if part.isdigit()]
    if banner[:2] != ["%%matrixmarket", "matrix"] or "complex" in banner or len(declared) not in (2, 3):
        msg = f"{path.name!r} is no Matrix Market file of counts: it starts with {' '.join(banner)[:80]!r}."
        raise DatasetError(msg, "broken-matrix")
    check_shape((declared[0], declared[1]))
    size, n_values = path.stat().st_size, declared[2] if len(declared) == 3 else declared[0] * declared[1]
    if n_values * (4 if len(declared) == 3 else 2) > size + 64:
        msg = f"{path.name!r} declares {n_values:,} values, more than its {size:,} bytes can hold. Download it again."
        raise DatasetError(msg, "broken-matrix")
    check_declared("The matrix", n_values * 16, limits.array_bytes * 2)
    matrix = mmread(path)
    return csr_matrix(matrix) if isinstance(matrix, np.ndarray) else matrix
