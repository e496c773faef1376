"""Unpacks archives and compressed files into a scratch folder, counting every byte and trusting no name in them."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from scfm_core.errors import DatasetError
from scfm_core.intake.limits import Limits, Unpacking, check_entries

_OPENERS: dict[str, Callable[[Path], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}

_Member = tuple[str, Callable[[], IO[bytes]] | None]


def decompress(path: Path, method: str, target: Path, unpacking: Unpacking) -> Path:
    """Write what a ``"gzip"``, ``"bzip2"`` or ``"xz"`` file holds to ``target``."""
    with _OPENERS[method](path) as source:
        unpacking.copy(cast(BinaryIO, source), target)
    return target


def unpack(path: Path, kind: str, folder: Path, limits: Limits) -> list[Path]:
    """Unpack a ``"zip"`` or ``"tar"`` archive into an empty folder and return its files.

    Raises
    ------
    DatasetError
        With code ``"unsafe-archive"`` for a name that leaves the folder, a link or a device, ``"archive-bomb"`` or
        ``"too-many-entries"`` for what is out of proportion.
    """
    unpacking = Unpacking(limits, path.stat().st_size)
    files: list[Path] = []
    members = _zip_members if kind == "zip" else _tar_members
    with closing(members(path)) as listed:
        for n_entries, (name, open_member) in enumerate(listed, start=1):
            check_entries("The archive", n_entries, limits)
            relative = _safe(name)
            if open_member is None or _is_clutter(relative):
                continue
            target = folder / relative
            if target.exists():
                msg = f"The archive holds {name!r} twice. Pack the files again."
                raise DatasetError(msg, "unsafe-archive")
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_member() as source:
                unpacking.copy(cast(BinaryIO, source), target)
            files.append(target)
    return files


def decompress_members(files: list[Path], folder: Path, target: Path, limits: Limits) -> list[Path]:
    """Copy the text files of ``folder`` to ``target``; gzipped ones are unpacked and lose the ``.gz`` of their name."""
    kinds = (".mtx", ".tsv", ".csv", ".txt")
    texts = [path for path in files if path.name.lower().removesuffix(".gz").endswith(kinds)]
    unpacking = Unpacking(limits, sum(path.stat().st_size for path in texts))
    out: list[Path] = []
    for path in texts:
        plain = target / path.relative_to(folder).with_name(path.name.removesuffix(".gz"))
        plain.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as source:
            unpacking.copy(cast(BinaryIO, source), plain)
        out.append(plain)
    return out


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or ":" in name.split("/")[0] or len(name) > 1000:
        msg = f"The archive holds an unsafe name, {name[:80]!r}, which was not unpacked. Pack the files again."
        raise DatasetError(msg, "unsafe-archive")
    return path


def _is_clutter(path: PurePosixPath) -> bool:
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name in (".DS_Store", "Thumbs.db")


def _zip_members(path: Path) -> Generator[_Member, None, None]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                raise _link(member.filename)
            if member.flag_bits & 1:
                msg = "The archive is locked with a password. Pack the files again without one."
                raise DatasetError(msg, "locked-archive")
            yield member.filename, None if member.is_dir() else partial(archive.open, member)


def _tar_members(path: Path) -> Generator[_Member, None, None]:
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            if not (member.isfile() or member.isdir()):
                raise _link(member.name)
            yield member.name, partial(_extracted, archive, member) if member.isfile() else None


def _extracted(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    return archive.extractfile(member) or io.BytesIO()


def _link(name: str) -> DatasetError:
    msg = f"The archive holds {name[:80]!r}, which is a link or a device and no file. Pack the files themselves."
    return DatasetError(msg, "unsafe-archive")



def new_folder(scratch: Path) -> Path:
    """Make a new empty folder under the scratch folder; who gave the scratch folder removes it."""
    folder = scratch / f"unpacked-{sum(1 for _ in scratch.iterdir())}"
    folder.mkdir()
    return folder
