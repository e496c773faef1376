"""Tells the format of a file by its content and opens it with the reader for that format."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from scfm_core.errors import DatasetError
from scfm_core.intake import anndata_layout, archives, loom, tables, tenx
from scfm_core.intake.contents import Contents
from scfm_core.intake.findings import Finding
from scfm_core.intake.hdf5_guard import open_hdf5
from scfm_core.intake.limits import Limits, Unpacking, check_entries

FORMATS = (
    "AnnData (.h5ad, .zarr, .zarr.zip), 10x HDF5 (.h5), a 10x matrix folder packed as .zip or .tar.gz, "
    "text tables (.csv, .tsv, .txt, also .gz), .loom"
)
_SUFFIXES = {
    "hdf5": (".h5ad", ".h5", ".hdf5", ".loom"),
    "text": (".csv", ".tsv", ".txt", ".tab"),
    "zip": (".zip",),
    "tar": (".tar",),
    "gzip": (".gz", ".tgz"),
    "bzip2": (".bz2", ".tbz2"),
    "xz": (".xz", ".txz"),
}
_PACKED = ("gzip", "bzip2", "xz")
_CUT_SHORT = (OSError, EOFError, MemoryError, RuntimeError, zlib.error, lzma.LZMAError)  # while values are read
_BROKEN = (
    *_CUT_SHORT,
    *(zipfile.BadZipFile, tarfile.TarError, struct.error),
    *(KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError),
)
_DEEPEST = 3  # an archive in an archive in a compressed file


def kind_of_file(path: Path) -> str:
    """Return ``"hdf5"``, ``"zip"``, ``"tar"``, ``"gzip"``, ``"bzip2"``, ``"xz"``, ``"text"`` or a word for the rest.

    Judged by the first bytes, never by the name.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    starts = {
        b"\x89HDF\r\n\x1a\n": "hdf5",
        b"PK\x03\x04": "zip",
        b"PK\x05\x06": "zip",
        b"\x1f\x8b": "gzip",
        b"BZh": "bzip2",
        b"\xfd7zXZ\x00": "xz",
        b"RDX": "R data",
        b"X\n\x00\x00\x00": "R data",
        b"%%MatrixMarket": "lone mtx",
        b"PAR1": "Parquet",
        b"\x93NUMPY": "NumPy",
        b"\x80\x04\x95": "Python pickle",
        b"\xd0\xcf\x11\xe0": "Excel",
        b"%PDF": "PDF",
    }
    for start, kind in starts.items():
        if head.startswith(start):
            return kind
    if not head:
        return "empty"
    if head[257:262] == b"ustar":
        return "tar"
    return "text" if _is_text(head) else "unknown"


def _is_text(head: bytes) -> bool:
    return b"\0" not in head and sum(byte < 9 for byte in head) == 0


@contextmanager
def open_file(path: Path, scratch: Path, limits: Limits) -> Iterator[Contents]:
    """Open a file or folder as `open_contents` does; whatever a broken file makes its reader do is a `DatasetError`."""
    with ExitStack() as stack:
        try:
            contents = stack.enter_context(open_contents(path, scratch, limits))
        except _BROKEN as error:
            raise unreadable(path.name, error) from error
        try:
            yield contents
        except _CUT_SHORT as error:
            raise unreadable(path.name, error) from error


@contextmanager
def open_contents(path: Path, scratch: Path, limits: Limits, *, depth: int = 0) -> Iterator[Contents]:
    """Open a file or folder of any format that is read.

    Parameters
    ----------
    scratch
        Where archives are unpacked to; whoever gave it removes it.

    Raises
    ------
    DatasetError
        If the file is of no such format, is broken, or does what no honest file does; each with its own code.
    """
    if path.is_dir():
        with _open_folder(path, _files_of_folder(path, limits), scratch, limits) as contents:
            yield contents
        return
    kind = kind_of_file(path)
    if depth > _DEEPEST:
        msg = "The file is an archive in an archive, over and over. Bring the matrix itself."
        raise DatasetError(msg, "archive-bomb")
    if kind in _PACKED:
        unpacking = Unpacking(limits, path.stat().st_size)
        name = path.name.removesuffix(path.suffix) if path.suffix in _SUFFIXES[kind] else path.name
        plain = archives.decompress(path, kind, archives.new_folder(scratch) / (name or "unpacked"), unpacking)
        with open_contents(plain, scratch, limits, depth=depth + 1) as contents:
            yield contents
    elif kind in ("zip", "tar"):
        folder = archives.new_folder(scratch)
        files = archives.unpack(path, kind, folder, limits)
        with _open_unpacked(folder, files, scratch, limits, depth=depth) as contents:
            yield contents
    elif kind == "hdf5":
        with open_hdf5(path, limits) as file:
            yield _with_remark(_read_hdf5(file, limits), path, kind)
    elif kind == "text":
        yield _with_remark(tables.read_table(path, limits), path, kind)
    else:
        raise _unknown(path.name, kind)


def unreadable(name: str, error: Exception) -> DatasetError:
    """Return the error for a file that broke its reader."""
    words = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    if isinstance(error, MemoryError) or "allocate" in words.lower() or "memory" in words.lower():
        msg = (
            f"{name!r} needs more memory than this machine can give to one file. Store the counts as a sparse matrix, "
            "or cut it into samples."
        )
        return DatasetError(msg, "too-large")
    msg = f"{name!r} could not be read to its end: {words}. It may be damaged or cut short; download or write it again."
    return DatasetError(msg, "unreadable")


def _read_hdf5(file: object, limits: Limits) -> Contents:
    for fits, read in (
        (anndata_layout.is_anndata, _read_h5ad),
        (tenx.is_tenx_h5, tenx.read_tenx_h5),
        (loom.is_loom, loom.read_loom),
    ):
        if fits(file):
            return read(file, limits)
    held = ", ".join(sorted(map(str, file))[:8]) if hasattr(file, "__iter__") else ""
    seurat = " It looks like h5Seurat; convert it to .h5ad first." if "assays" in held else ""
    msg = f"This HDF5 file is laid out neither as AnnData nor 10x nor loom; it holds: {held}.{seurat} Read: {FORMATS}."
    raise DatasetError(msg, "unknown-format")


def _read_h5ad(file: object, limits: Limits) -> Contents:
    return anndata_layout.read_anndata(file, "AnnData (.h5ad)", limits)


@contextmanager
def _open_unpacked(folder: Path, files: list[Path], scratch: Path, limits: Limits, *, depth: int) -> Iterator[Contents]:
    """Open what an archive held: a zarr store, a 10x matrix folder, or a single file of another format."""
    from scfm_core.intake.zarr_store import find_zarr

    lone = len(files) == 1 and not files[0].name.lower().endswith((".mtx", ".mtx.gz"))
    if lone and find_zarr(folder, files) is None:
        with open_contents(files[0], scratch, limits, depth=depth + 1) as contents:
            yield contents
        return
    with _open_folder(folder, files, scratch, limits) as contents:
        yield contents


@contextmanager
def _open_folder(folder: Path, files: list[Path], scratch: Path, limits: Limits) -> Iterator[Contents]:
    from scfm_core.intake.zarr_store import find_zarr, open_zarr

    store = find_zarr(folder, files)
    if store is not None:
        with open_zarr(store, limits) as root:
            if not anndata_layout.is_anndata(root):
                msg = f"This zarr store is not laid out as AnnData; it holds: {', '.join(sorted(root))[:200]}."
                raise DatasetError(msg, "unknown-format")
            yield anndata_layout.read_anndata(root, "AnnData (.zarr)", limits)
        return
    plain_folder = archives.new_folder(scratch)
    plain = archives.decompress_members(files, folder, plain_folder, limits)
    triplets = tenx.find_triplets(plain, plain_folder)
    if not triplets:
        names = ", ".join(path.name for path in files[:8])
        msg = f"The archive holds neither a 10x matrix folder nor a zarr store, but: {names}. Read are: {FORMATS}."
        raise DatasetError(msg, "unknown-format")
    yield tenx.read_triplets(triplets, limits)


def _files_of_folder(folder: Path, limits: Limits) -> list[Path]:
    files: list[Path] = []
    for n_entries, path in enumerate(sorted(folder.rglob("*")), start=1):
        check_entries("The folder", n_entries, limits)
        if path.is_symlink():
            msg = f"The folder holds a link, {path.name!r}, which is not followed. Bring the files themselves."
            raise DatasetError(msg, "unsafe-archive")
        if path.is_file():
            files.append(path)
    return files


def _with_remark(contents: Contents, path: Path, kind: str) -> Contents:
    suffix = path.suffix.lower()
    expected = [name for name, suffixes in _SUFFIXES.items() if suffix in suffixes]
    if not expected or kind in expected:
        return contents
    finding = Finding(
        code="wrong-extension",
        level="note",
        title=f"The file is called {suffix}, but is {contents.file_format}",
        reason="It was read by its content. Rename it, so that other programs read it too.",
    )
    return replace(contents, findings=(*contents.findings, finding))


def _unknown(name: str, kind: str) -> DatasetError:
    advice = {
        "R data": "It is an R object; save the counts from R as a 10x matrix folder or as .h5ad.",
        "lone mtx": "It is a matrix without names; pack it with genes.tsv (or features.tsv) and barcodes.tsv as .zip.",
        "empty": "It is empty; upload it again.",
    }.get(kind, f"It looks like {kind}." if kind != "unknown" else "")
    msg = f"{name!r} is of no format that is read here. {advice} Read are: {FORMATS}."
    return DatasetError(msg.replace("  ", " "), "unknown-format")
