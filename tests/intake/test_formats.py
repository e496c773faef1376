"""One small real dataset, written in every format by other people's libraries, is always the same dataset."""

import gzip
import io
import shutil
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy.io import mmwrite
from scipy.sparse import csc_matrix, csr_matrix

from scfm_core.dataset import Dataset, write_dataset
from scfm_core.errors import DatasetError
from scfm_core.genes import gene_table
from scfm_core.intake import admit_file, inspect_file
from scfm_core.intake.doctor import Examination, examine
from scfm_core.intake.limits import Limits
from scfm_core.intake.readers import open_contents

LIMITS = Limits(memory_bytes=4 << 30, time_seconds=60, unpacked_bytes=1 << 30)


class Counts:
    """60 cells and about 900 genes whose symbol and Ensembl id name each other."""

    def __init__(self, dataset: Dataset) -> None:
        table = gene_table("human")
        sure = [
            position
            for position, (gene_id, symbol) in enumerate(zip(dataset.gene_ids, dataset.gene_symbols, strict=True))
            if table.ids.get(symbol.upper()) == gene_id and table.symbols[gene_id] == symbol
        ][:900]
        counts = dataset.counts(np.arange(60)).matrix.astype(np.int32)
        self.matrix = csr_matrix(counts[:, sure])
        self.ids = [dataset.gene_ids[position] for position in sure]
        self.symbols = [dataset.gene_symbols[position] for position in sure]
        self.barcodes = list(dataset.cells().index[:60])

    def anndata(self, matrix: object = None) -> anndata.AnnData:
        var = pd.DataFrame({"gene_ids": self.ids}, index=self.symbols)
        x = self.matrix if matrix is None else matrix
        return anndata.AnnData(x, obs=pd.DataFrame(index=self.barcodes), var=var)

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.matrix.toarray(), index=self.barcodes, columns=self.symbols)


@pytest.fixture(scope="module")
def counts(tiny_dataset: Dataset) -> Counts:
    return Counts(tiny_dataset)


@pytest.fixture(scope="module")
def expected(counts: Counts, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("expected")
    return admitted(h5ad_csr(counts, folder), folder).sha256


def looked_at(path: Path, folder: Path) -> Examination:
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    with open_contents(path, scratch, LIMITS) as contents:
        return examine(contents)


def admitted(path: Path, folder: Path) -> Dataset:
    examination = looked_at(path, folder)
    assert examination.dataset is not None, examination.findings
    return write_dataset(folder / "datasets", examination.dataset)


def h5ad_csr(counts: Counts, folder: Path) -> Path:
    counts.anndata().write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad"


def h5ad_csc(counts: Counts, folder: Path) -> Path:
    counts.anndata(csc_matrix(counts.matrix)).write_h5ad(folder / "a.h5ad", compression="lzf")
    return folder / "a.h5ad"


def h5ad_dense(counts: Counts, folder: Path) -> Path:
    counts.anndata(counts.matrix.toarray().astype(np.float32)).write_h5ad(folder / "a.h5ad", compression="gzip")
    return folder / "a.h5ad"


def h5ad_in_layer(counts: Counts, folder: Path) -> Path:
    adata = counts.anndata(np.log1p(counts.matrix.astype(np.float64).multiply(3.7).toarray()))
    adata.layers["counts"] = counts.matrix
    adata.uns["anything"] = {"nested": np.arange(3)}
    adata.write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad"


def h5ad_in_raw(counts: Counts, folder: Path) -> Path:
    adata = counts.anndata()
    adata.raw = adata
    adata = adata[:, 50:350].copy()
    adata.X = np.asarray(adata.X.toarray() - adata.X.mean(axis=0), dtype=np.float32)
    adata.write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad"


def h5ad_gz(counts: Counts, folder: Path) -> Path:
    (folder / "b.h5ad.gz").write_bytes(gzip.compress(h5ad_csr(counts, folder).read_bytes()))
    return folder / "b.h5ad.gz"


def h5ad_before_0_7(counts: Counts, folder: Path) -> Path:
    """Tables as one array of records, the matrix as anndata wrote it until 2019."""
    with h5py.File(folder / "old.h5ad", "w") as file:
        group = file.create_group("X")
        group.attrs.update({"h5sparse_format": "csr", "h5sparse_shape": counts.matrix.shape})
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(counts.matrix, part)
        obs = [(name.encode(),) for name in counts.barcodes]
        file["obs"] = np.array(obs, dtype=[("index", "S32")])
        var = [(s.encode(), i.encode()) for s, i in zip(counts.symbols, counts.ids, strict=True)]
        file["var"] = np.array(var, dtype=[("index", "S32"), ("gene_ids", "S20")])
    return folder / "old.h5ad"


def tenx_v3(counts: Counts, folder: Path) -> Path:
    with h5py.File(folder / "v3.h5", "w") as file:
        group = file.create_group("matrix")
        features = group.create_group("features")
        features["id"] = np.array(counts.ids, dtype="S")
        features["name"] = np.array(counts.symbols, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * len(counts.ids), dtype="S")
        features["genome"] = np.array(["GRCh38"] * len(counts.ids), dtype="S")
        _tenx_parts(group, counts)
    return folder / "v3.h5"


def tenx_v2(counts: Counts, folder: Path) -> Path:
    with h5py.File(folder / "v2.h5", "w") as file:
        group = file.create_group("GRCh38")
        group["genes"] = np.array(counts.ids, dtype="S")
        group["gene_names"] = np.array(counts.symbols, dtype="S")
        _tenx_parts(group, counts)
    return folder / "v2.h5"


def _tenx_parts(group: h5py.Group, counts: Counts) -> None:
    group["barcodes"] = np.array(counts.barcodes, dtype="S")
    group["shape"] = np.array(counts.matrix.shape[::-1])
    for part in ("data", "indices", "indptr"):
        group[part] = getattr(counts.matrix, part).astype(np.int64)


def tenx_files(counts: Counts, *, packed: bool, features: str) -> dict[str, bytes]:
    out = io.BytesIO()
    mmwrite(out, counts.matrix.T.tocoo(), field="integer")
    kind = "\tGene Expression" if features == "features" else ""
    rows = [f"{i}\t{s}{kind}\n" for i, s in zip(counts.ids, counts.symbols, strict=True)]
    files = {
        "matrix.mtx": out.getvalue(),
        f"{features}.tsv": "".join(rows).encode(),
        "barcodes.tsv": "".join(f"{name}\n" for name in counts.barcodes).encode(),
    }
    return {f"{name}.gz": gzip.compress(data) for name, data in files.items()} if packed else files


def mtx_zip(counts: Counts, folder: Path) -> Path:
    with zipfile.ZipFile(folder / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in tenx_files(counts, packed=True, features="features").items():
            archive.writestr(f"run/outs/filtered_feature_bc_matrix/{name}", data)
            archive.writestr(f"run/outs/raw_feature_bc_matrix/{name}", b"never read")
        archive.writestr("__MACOSX/run/._matrix.mtx.gz", b"junk")
    return folder / "m.zip"


def mtx_tar_gz(counts: Counts, folder: Path) -> Path:
    with tarfile.open(folder / "m.tar.gz", "w:gz") as archive:
        for name, data in tenx_files(counts, packed=False, features="genes").items():
            member = tarfile.TarInfo(f"filtered_gene_bc_matrices/hg19/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder / "m.tar.gz"


def mtx_geo(counts: Counts, folder: Path) -> Path:
    with tarfile.open(folder / "GSE1_RAW.tar", "w") as archive:
        for name, data in tenx_files(counts, packed=True, features="features").items():
            member = tarfile.TarInfo(f"GSM123_sample1_{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder / "GSE1_RAW.tar"


def mtx_folder(counts: Counts, folder: Path) -> Path:
    (folder / "tenx").mkdir()
    for name, data in tenx_files(counts, packed=True, features="features").items():
        (folder / "tenx" / name).write_bytes(data)
    return folder / "tenx"


def csv_cells_in_rows(counts: Counts, folder: Path) -> Path:
    counts.frame().to_csv(folder / "c.csv")
    return folder / "c.csv"


def csv_genes_in_rows(counts: Counts, folder: Path) -> Path:
    counts.frame().T.to_csv(folder / "c.csv.gz")
    return folder / "c.csv.gz"


def tsv_from_r(counts: Counts, folder: Path) -> Path:
    """As R writes it: quotation marks, and no field above the row names."""
    lines = ["\t".join(f'"{name}"' for name in counts.barcodes)]
    for symbol, row in zip(counts.symbols, counts.matrix.T.toarray(), strict=True):
        lines.append("\t".join([f'"{symbol}"', *map(str, row)]))
    (folder / "r.txt").write_text("\n".join(lines))
    return folder / "r.txt"


def csv_with_floats(counts: Counts, folder: Path) -> Path:
    counts.frame().astype(float).to_csv(folder / "f.csv", sep=";")
    return folder / "f.csv"


def csv_wrong_name(counts: Counts, folder: Path) -> Path:
    counts.frame().T.to_csv(folder / "c.h5ad", sep="\t")
    return folder / "c.h5ad"


def loom(counts: Counts, folder: Path) -> Path:
    """The layout that loompy 3 writes."""
    with h5py.File(folder / "l.loom", "w") as file:
        file.create_dataset("matrix", data=counts.matrix.T.toarray().astype(np.float32), chunks=(64, 32))
        file.create_group("attrs")["LOOM_SPEC_VERSION"] = "3.0.0"
        file.create_group("layers")
        for group, columns in (
            ("row_attrs", {"Gene": counts.symbols, "Accession": counts.ids}),
            ("col_attrs", {"CellID": counts.barcodes}),
        ):
            made = file.create_group(group)
            for name, values in columns.items():
                made.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype())
    return folder / "l.loom"


def zarr_v2(counts: Counts, folder: Path) -> Path:
    _write_zarr(counts, folder / "z.zarr", 2)
    return folder / "z.zarr"


def zarr_v3(counts: Counts, folder: Path) -> Path:
    _write_zarr(counts, folder / "z.zarr", 3)
    return folder / "z.zarr"


def _write_zarr(counts: Counts, path: Path, version: int) -> None:
    with warnings.catch_warnings():  # zarr and anndata about formats of strings that are not yet settled
        warnings.simplefilter("ignore")
        anndata.settings.zarr_write_format = version
        counts.anndata().write_zarr(path)


def zarr_zip(counts: Counts, folder: Path) -> Path:
    _write_zarr(counts, folder / "inner.zarr", 2)
    shutil.make_archive(str(folder / "z.zarr"), "zip", folder / "inner.zarr")
    return folder / "z.zarr.zip"


def zarr_in_zip(counts: Counts, folder: Path) -> Path:
    _write_zarr(counts, folder / "pack" / "inner.zarr", 3)
    shutil.make_archive(str(folder / "packed"), "zip", folder / "pack")
    return folder / "packed.zip"


WRITERS: list[Callable[[Counts, Path], Path]] = [
    h5ad_csc,
    h5ad_dense,
    h5ad_in_layer,
    h5ad_in_raw,
    h5ad_gz,
    h5ad_before_0_7,
    tenx_v3,
    tenx_v2,
    mtx_zip,
    mtx_tar_gz,
    mtx_geo,
    mtx_folder,
    csv_cells_in_rows,
    csv_genes_in_rows,
    tsv_from_r,
    csv_with_floats,
    csv_wrong_name,
    loom,
    zarr_v2,
    zarr_v3,
    zarr_zip,
    zarr_in_zip,
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_format_is_the_same_dataset(
    write: Callable[[Counts, Path], Path], counts: Counts, expected: str, tmp_path: Path
) -> None:
    dataset = admitted(write(counts, tmp_path), tmp_path)
    assert list(dataset.cells().index) == counts.barcodes  # the order of the file
    read = dataset.counts()
    assert read.gene_ids == tuple(counts.ids)
    assert np.array_equal(read.matrix.toarray(), counts.matrix.toarray())
    assert dataset.sha256 == expected


@pytest.mark.parametrize("write", [csv_cells_in_rows, zarr_zip], ids=lambda write: write.__name__)
def test_child_process_admits_the_same(
    write: Callable[[Counts, Path], Path], counts: Counts, expected: str, tmp_path: Path
) -> None:
    path = write(counts, tmp_path)
    root = tmp_path / "datasets"
    inspection = inspect_file(path)
    assert inspection.admissible
    assert (inspection.n_cells, inspection.n_genes, inspection.organism) == (60, len(counts.ids), "human")
    dataset = admit_file(path, root, inspection.choices, title="mine")
    assert dataset.sha256 == expected
    assert dataset.title == "mine"
    assert any("Raw counts in the main matrix" in note for note in dataset.notes)
    assert admit_file(path, root) == dataset  # again, with the recommended choices
    assert [entry.name for entry in root.iterdir()] == [expected]  # nothing is left behind


def test_wrong_extension_is_said(counts: Counts, tmp_path: Path) -> None:
    codes = {finding.code: finding for finding in looked_at(csv_wrong_name(counts, tmp_path), tmp_path).findings}
    assert "text table" in codes["wrong-extension"].title


def test_unknown_file_names_the_formats(tmp_path: Path) -> None:
    (tmp_path / "photo.h5ad").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(DatasetError, match="10x HDF5") as caught:
        inspect_file(tmp_path / "photo.h5ad")
    assert caught.value.code == "unknown-format"


def test_r_object_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "seurat.rds").write_bytes(gzip.compress(b"X\n\x00\x00\x00\x03" + bytes(100)))
    with pytest.raises(DatasetError, match="R object"):
        looked_at(tmp_path / "seurat.rds", tmp_path)


def test_genes_in_cells_place_are_turned(counts: Counts, expected: str, tmp_path: Path) -> None:
    adata = counts.anndata().T.copy()
    adata.write_h5ad(tmp_path / "turned.h5ad")
    assert admitted(tmp_path / "turned.h5ad", tmp_path).sha256 == expected


def test_samples_of_one_archive_are_stacked(counts: Counts, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "GSE1_RAW.tar", "w") as archive:
        for sample in ("GSM1_a", "GSM2_b"):
            for name, data in tenx_files(counts, packed=True, features="features").items():
                member = tarfile.TarInfo(f"{sample}_{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    dataset = admitted(tmp_path / "GSE1_RAW.tar", tmp_path)
    assert dataset.n_cells == 120
    assert dataset.cells()["sample"].value_counts().to_dict() == {"GSM1_a": 60, "GSM2_b": 60}
    assert dataset.roles == {"batch": "sample"}
    assert np.array_equal(dataset.counts().matrix[60:].toarray(), counts.matrix.toarray())


def test_antibodies_are_left_out(counts: Counts, expected: str, tmp_path: Path) -> None:
    files = tenx_files(counts, packed=False, features="features")
    both = counts.matrix.T.toarray()
    out = io.BytesIO()
    mmwrite(out, csr_matrix(np.vstack([both, np.ones((2, 60), dtype=int)])).tocoo(), field="integer")
    files["matrix.mtx"] = out.getvalue()
    files["features.tsv"] += b"CD3\tCD3_TotalSeqB\tAntibody Capture\nCD4\tCD4_TotalSeqB\tAntibody Capture\n"
    with zipfile.ZipFile(tmp_path / "cite.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert admitted(tmp_path / "cite.zip", tmp_path).sha256 == expected


@pytest.mark.parametrize("version", [2, 3])
def test_cell_table_of_zarr_equals_that_of_h5ad(counts: Counts, tmp_path: Path, version: int) -> None:
    adata = counts.anndata()
    adata.obs["sample"] = pd.Categorical(["s1"] * 30 + ["s2"] * 30)
    adata.obs["cell_type"] = [["T cell", "B cell"][i % 2] for i in range(60)]
    adata.obs["score"] = np.linspace(0, 1, 60)
    adata.obs["flag"] = pd.array([True, None] * 30, dtype="boolean")
    adata.obs["n"] = pd.array(range(60), dtype="Int64")
    adata.write_h5ad(tmp_path / "t.h5ad")
    with warnings.catch_warnings():  # as above
        warnings.simplefilter("ignore")
        anndata.settings.zarr_write_format = version
        adata.write_zarr(tmp_path / "t.zarr")
        first = admitted(tmp_path / "t.h5ad", tmp_path)
        second = admitted(tmp_path / "t.zarr", tmp_path)
    assert first.sha256 == second.sha256
    assert first.roles == {"batch": "sample", "cell_type": "cell_type"}
    table = first.cells()
    assert list(table["sample"]) == list(adata.obs["sample"])
    assert np.array_equal(table["score"], adata.obs["score"])
    assert table["n"].tolist() == list(range(60))


def test_zarr_that_is_no_anndata_is_refused(tmp_path: Path) -> None:
    zarr.create_group(str(tmp_path / "other.zarr"), zarr_format=2).create_array("a", data=np.arange(4))
    with pytest.raises(DatasetError) as caught:
        looked_at(tmp_path / "other.zarr", tmp_path)
    assert caught.value.code == "unknown-format"
