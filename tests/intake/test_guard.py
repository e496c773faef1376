"""Files made to do harm, or broken on the way: each is refused with a code of its own, and nothing else happens."""

import io
import json
import resource
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy.sparse import csr_matrix

from scfm_core.errors import DatasetError
from scfm_core.intake import guard, inspect_file
from scfm_core.intake.limits import Limits
from scfm_core.intake.readers import open_file, unreadable

LIMITS = Limits(memory_bytes=2 << 30, time_seconds=60, unpacked_bytes=1 << 30, n_entries=500)
GENES = ["CD3D", "CD3E", "LYZ", "MS4A1", "NKG7"]
SMALL = Limits(memory_bytes=1 << 30, time_seconds=60, unpacked_bytes=1 << 30)


def honest(folder: Path) -> Path:
    matrix = csr_matrix(np.random.default_rng(0).poisson(2.0, (30, 5)))
    obs = pd.DataFrame({"batch": ["a", "b"] * 15}, index=[f"c{n}" for n in range(30)])
    adata = anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=GENES))
    adata.write_h5ad(folder / "file.h5ad")
    return folder / "file.h5ad"


def changed(folder: Path, change: Callable[[h5py.File], None]) -> Path:
    path = honest(folder)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def external_link(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["obs/secret"] = h5py.ExternalLink("/etc/passwd", "/")

    return changed(folder, change)


def external_link_in_the_middle(folder: Path) -> Path:
    """The final part of the path is an honest dataset; the way there leads through another file."""
    with h5py.File(folder / "other.h5", "w") as other:
        other["X"] = np.ones((30, 5))

    def change(file: h5py.File) -> None:
        del file["X"]
        file.create_group("uns/deep")["away"] = h5py.ExternalLink(str(folder / "other.h5"), "/")
        file["X"] = h5py.SoftLink("/uns/deep/away/X")

    return changed(folder, change)


def external_storage(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["obs"].create_dataset("n", (30,), dtype="u1", external=[("/etc/passwd", 0, 30)])

    return changed(folder, change)


def virtual_dataset(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(shape=(30,), dtype="i8")
        layout[:] = h5py.VirtualSource("/somewhere/else.h5", "x", shape=(30,))
        file["obs"].create_virtual_dataset("n", layout)

    return changed(folder, change)


def dangling_link(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["obs/n"] = h5py.SoftLink("/not/there")

    return changed(folder, change)


def link_loop(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["obs/a"] = h5py.SoftLink("/obs/b")
        file["obs/b"] = h5py.SoftLink("/obs/a")

    return changed(folder, change)


def references(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["obs"].create_dataset("r", data=np.array([file["X"].ref] * 30, dtype=h5py.ref_dtype))

    return changed(folder, change)


def opaque(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["obs/o"] = np.arange(30).astype("datetime64[s]").astype(h5py.opaque_dtype("datetime64[s]"))

    return changed(folder, change)


def complex_counts(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["X"]
        file["X"] = np.ones((30, 5), dtype=complex)

    return changed(folder, change)


def huge_dense(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["X"]
        file.create_dataset("X", (1_000_000_000, 1_000_000), dtype="f4", chunks=(1000, 1000))

    return changed(folder, change)


def huge_sparse(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["X/data"]
        file.create_dataset("X/data", (4_000_000_000,), dtype="f8", chunks=(1_000_000,))

    return changed(folder, change)


def huge_chunk(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["X/data"]
        file.create_dataset("X/data", (60,), maxshape=(None,), dtype="f8", chunks=(200_000_000,), compression="gzip")

    return changed(folder, change)


def huge_names(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["obs/_index"]
        file.create_dataset("obs/_index", (30,), dtype="S100000000", chunks=(1,))

    return changed(folder, change)


def many_objects(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        group = file.create_group("uns/many")
        for n in range(LIMITS.n_entries):
            group[f"{n}"] = h5py.SoftLink("/X")

    return changed(folder, change)


def positions_outside(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["X/indices"][3] = 5

    return changed(folder, change)


def negative_positions(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["X/indices"][3] = -1

    return changed(folder, change)


def row_ends_backwards(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["X/indptr"][3] = 10_000

    return changed(folder, change)


def values_missing(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        data = file["X/data"][:-1]
        del file["X/data"]
        file["X/data"] = data

    return changed(folder, change)


def category_codes_outside(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["obs/batch/codes"][0] = 100

    return changed(folder, change)


def shape_of_others(folder: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["X"]
        file["X"] = np.ones((31, 5))

    return changed(folder, change)


def cut_short(folder: Path) -> Path:
    path = honest(folder)
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def overwritten(folder: Path) -> Path:
    path = honest(folder)
    data = bytearray(path.read_bytes())
    data[100:4000] = bytes(np.random.default_rng(1).integers(0, 256, 3900, dtype=np.uint8))
    path.write_bytes(data)
    return path


def zipped(folder: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(folder / "file.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return folder / "file.zip"


def zip_slip(folder: Path) -> Path:
    return zipped(folder, {"../../escaped.csv": b"a"})


def zip_absolute(folder: Path) -> Path:
    return zipped(folder, {"/escaped.csv": b"a"})


def zip_backslash(folder: Path) -> Path:
    return zipped(folder, {"..\\..\\escaped.csv": b"a"})


def zip_symlink(folder: Path) -> Path:
    member = zipfile.ZipInfo("matrix.mtx")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "file.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    return folder / "file.zip"


def zip_bomb(folder: Path) -> Path:
    return zipped(folder, {"matrix.mtx": bytes(80 << 20)})


def zip_of_zips(folder: Path) -> Path:
    data = b"gene,a\nCD3D,1\n"
    for _ in range(6):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("inner.zip", data)
        data = out.getvalue()
    (folder / "file.zip").write_bytes(data)
    return folder / "file.zip"


def zip_many(folder: Path) -> Path:
    return zipped(folder, {f"{n}.tsv": b"" for n in range(LIMITS.n_entries + 1)})


def zip_cut_short(folder: Path) -> Path:
    path = zipped(folder, {"a.csv": b"gene,a\nCD3D,1\n" * 100})
    path.write_bytes(path.read_bytes()[:-30])
    return path


def tar_link(folder: Path) -> Path:
    with tarfile.open(folder / "file.tar", "w") as archive:
        member = tarfile.TarInfo("matrix.mtx")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    return folder / "file.tar"


def folder_with_link(folder: Path) -> Path:
    (folder / "tenx").mkdir()
    (folder / "tenx" / "matrix.mtx").symlink_to("/etc/passwd")
    return folder / "tenx"


def mtx_that_lies(folder: Path) -> Path:
    head = b"%%MatrixMarket matrix coordinate integer general\n"
    files = {"matrix.mtx": head + b"5 3 400000000\n1 1 1\n", "genes.tsv": b"a\nb\nc\nd\ne\n"}
    return zipped(folder, {**files, "barcodes.tsv": b"a\nb\nc\n"})


def mtx_without_genes(folder: Path) -> Path:
    head = b"%%MatrixMarket matrix coordinate integer general\n"
    return zipped(folder, {"matrix.mtx": head + b"5 3 1\n1 1 1\n", "barcodes.tsv": b"a\nb\nc\n"})


def ragged_table(folder: Path) -> Path:
    (folder / "t.csv").write_text(",c1,c2\nCD3D,1,2\nLYZ,3\n")
    return folder / "t.csv"


def words_in_table(folder: Path) -> Path:
    (folder / "t.csv").write_text(",c1,c2\nCD3D,1,2\nLYZ,3,many\n")
    return folder / "t.csv"


def table_without_names(folder: Path) -> Path:
    (folder / "t.csv").write_text("1,2,3\n4,5,6\n7,8,9\n")
    return folder / "t.csv"


def zarr_with(folder: Path, change: Callable[[Path], None]) -> Path:
    root = folder / "file.zarr"
    group = zarr.create_group(str(root), zarr_format=2)
    for name in ("obs", "var"):
        group.create_group(name, attributes={"_index": "_index", "column-order": []})
    group["var"].create_array("_index", data=np.arange(5))
    group["obs"].create_array("_index", data=np.arange(30))
    group.create_array("X", data=np.ones((30, 5)), filters=None)
    change(root)
    return root


def _edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def pickle_first(folder: Path) -> Path:
    return zarr_with(folder, lambda root: _edit(root / "X/.zarray", filters=[{"id": "pickle"}, {"id": "delta"}]))


def pickle_second(folder: Path) -> Path:
    filters = [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}]
    return zarr_with(folder, lambda root: _edit(root / "X/.zarray", filters=filters, dtype="|O"))


def pickle_as_compressor(folder: Path) -> Path:
    return zarr_with(folder, lambda root: _edit(root / "obs/_index/.zarray", compressor={"id": "pickle"}))


def pickle_in_consolidated(folder: Path) -> Path:
    inner = {"metadata": {"X/.zarray": {"filters": [{"id": "pickle"}], "compressor": None}}}
    return zarr_with(folder, lambda root: (root / ".zmetadata").write_text(json.dumps(inner)) and None)


def pickle_in_zarr_3(folder: Path) -> Path:
    codecs = [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "numcodecs.pickle"}]}}]
    inner = {"zarr_format": 3, "node_type": "array", "codecs": codecs}
    return zarr_with(folder, lambda root: (root / "zarr.json").write_text(json.dumps(inner)) and None)


def zarr_objects(folder: Path) -> Path:
    return zarr_with(folder, lambda root: _edit(root / "X/.zarray", dtype="|O"))


def zarr_huge(folder: Path) -> Path:
    return zarr_with(folder, lambda root: _edit(root / "X/.zarray", shape=[1_000_000_000, 1_000_000]))


REFUSED: list[tuple[Callable[[Path], Path], str]] = [
    (external_link, "external-link"),
    (external_link_in_the_middle, "external-link"),
    (external_storage, "external-storage"),
    (virtual_dataset, "virtual-dataset"),
    (dangling_link, "dangling-link"),
    (link_loop, "dangling-link"),
    (references, "unsafe-dtype"),
    (opaque, "unsafe-dtype"),
    (complex_counts, "unsafe-dtype"),
    (huge_dense, "too-large"),
    (huge_sparse, "too-large"),
    (huge_chunk, "too-large"),
    (huge_names, "too-large"),
    (many_objects, "too-many-entries"),
    (positions_outside, "broken-matrix"),
    (negative_positions, "broken-matrix"),
    (row_ends_backwards, "broken-matrix"),
    (values_missing, "broken-matrix"),
    (category_codes_outside, "broken-matrix"),
    (shape_of_others, "broken-matrix"),
    (cut_short, "unreadable"),
    (zip_slip, "unsafe-archive"),
    (zip_absolute, "unsafe-archive"),
    (zip_backslash, "unsafe-archive"),
    (zip_symlink, "unsafe-archive"),
    (zip_bomb, "archive-bomb"),
    (zip_of_zips, "archive-bomb"),
    (zip_many, "too-many-entries"),
    (zip_cut_short, "unreadable"),
    (tar_link, "unsafe-archive"),
    (folder_with_link, "unsafe-archive"),
    (mtx_that_lies, "broken-matrix"),
    (mtx_without_genes, "incomplete-matrix"),
    (ragged_table, "broken-table"),
    (words_in_table, "broken-table"),
    (table_without_names, "no-names"),
    (pickle_first, "unsafe-codec"),
    (pickle_second, "unsafe-codec"),
    (pickle_as_compressor, "unsafe-codec"),
    (pickle_in_consolidated, "unsafe-codec"),
    (pickle_in_zarr_3, "unsafe-codec"),
    (zarr_objects, "unsafe-dtype"),
    (zarr_huge, "too-large"),
]


@pytest.mark.parametrize(("make", "code"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_refused_with_its_code(make: Callable[[Path], Path], code: str, tmp_path: Path) -> None:
    """The same code that runs in the child process, here in this one for speed."""
    path = make(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    started = time.process_time()
    with pytest.raises(DatasetError) as caught, open_file(path, scratch, LIMITS) as contents:
        contents.candidates[0].values.load()
    assert caught.value.code == code
    assert len(str(caught.value)) > 40
    assert time.process_time() - started < 10
    assert not list(tmp_path.rglob("escaped.csv"))
    assert not (tmp_path.parent / "escaped.csv").exists()


def bombs(folder: Path) -> Path:
    """One gzipped chunk of one MB that unpacks to a gigabyte, declared as 1 kB."""
    squeezer = zlib.compressobj(1)
    packed = b"".join([*(squeezer.compress(bytes(1 << 24)) for _ in range(70)), squeezer.flush()])

    def change(file: h5py.File) -> None:
        n_values = file["X/data"].shape[0]
        del file["X/data"]
        data = file.create_dataset("X/data", (n_values,), dtype="f8", chunks=(n_values,), compression="gzip")
        data.id.write_direct_chunk((0,), packed)

    return changed(folder, change)


@pytest.mark.parametrize(
    ("make", "codes"),
    [
        (external_link_in_the_middle, {"external-link"}),
        (pickle_second, {"unsafe-codec"}),
        (overwritten, {"unreadable", "unknown-format", "intake-crashed"}),
        (bombs, {"too-large", "unreadable"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_child_refuses_and_the_parent_stays_small(
    make: Callable[[Path], Path], codes: set[str], tmp_path: Path
) -> None:
    path = make(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DatasetError) as caught:
        inspect_file(path, limits=SMALL)
    assert caught.value.code in codes
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_child_without_time_is_an_answer(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=2 << 30, time_seconds=0, unpacked_bytes=1 << 30)
    with pytest.raises(DatasetError) as caught:
        inspect_file(honest(tmp_path), limits=limits)
    assert caught.value.code == "too-slow"


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [(-11, "", "intake-crashed"), (-9, "", "too-large"), (-24, "", "too-slow"), (None, "", "too-slow"),
     (1, "MemoryError", "too-large"), (1, "KeyError: 'x'", "intake-fault")],
)  # fmt: skip
def test_every_end_of_the_child_has_words(status: int | None, said: str, code: str) -> None:
    assert guard._died("file.h5ad", status, said, LIMITS).code == code


def test_child_starts_no_program_and_unpickles_nothing(tmp_path: Path) -> None:
    """The audit hook, in a process of its own, because a hook is never taken off again."""
    import subprocess
    import sys

    program = (
        "import sys, pickle, collections; from scfm_core.intake import child; sys.addaudithook(child._refuse)\n"
        "from scfm_core.errors import DatasetError\n"
        "import subprocess, socket, os\n"
        "data = pickle.dumps(collections.OrderedDict())\n"
        "for attempt in (lambda: pickle.loads(data), lambda: os.system('true'), lambda: subprocess.run(['true']),\n"
        "                lambda: socket.create_connection(('127.0.0.1', 9))):\n"
        "    try:\n        attempt()\n    except DatasetError as error:\n        print(error.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["forbidden-action"] * 4


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        inspect_file(tmp_path / "absent.h5ad")
    assert caught.value.code == "no-file"
    (tmp_path / "empty.h5ad").touch()
    with pytest.raises(DatasetError) as caught:
        inspect_file(tmp_path / "empty.h5ad")
    assert caught.value.code == "unknown-format"


def test_soft_link_inside_the_file_is_followed(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file.move("X", "elsewhere")
        file["X"] = h5py.SoftLink("/elsewhere")

    with open_file(changed(tmp_path, change), tmp_path, LIMITS) as contents:
        assert contents.candidates[0].values.load().shape == (30, 5)


def test_words_for_a_broken_reader() -> None:
    assert unreadable("a.h5ad", OSError("file signature not found")).code == "unreadable"
    assert unreadable("a.h5ad", MemoryError()).code == "too-large"
