"""How much memory, time and disk a stranger's file may cost, and the checks that refuse it before it costs more."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scfm_core.errors import DatasetError

_GIB = 1 << 30
_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What reading one file may cost.

    Attributes
    ----------
    memory_bytes
        Address space of the reading process.
    time_seconds
        Wall-clock time, and processor time, of the reading process.
    unpacked_bytes
        What an archive or a compressed file may unpack to.
    n_entries
        Members of an archive, objects of an HDF5 file, files of a zarr store.
    compression_ratio
        How many times larger than itself a compressed file may become, once it unpacks to more than 64 MiB.
    """

    memory_bytes: int
    time_seconds: int
    unpacked_bytes: int
    n_entries: int = 200_000
    compression_ratio: int = 300

    @property
    def array_bytes(self) -> int:
        """What one array may occupy once it is in memory."""
        return self.memory_bytes // 4


def limits_for(path: Path) -> Limits:
    """Return the limits for a file: its share of this machine's free memory, and time in proportion to its size."""
    size = path.stat().st_size if path.is_file() else 1 << 28
    memory = max(3 * _GIB, int(0.6 * _available_memory()))
    return Limits(
        memory_bytes=memory,
        time_seconds=180 + min(3420, size // 1_000_000),
        unpacked_bytes=4 * memory,
    )


def check_declared(what: str, n_bytes: int, limit_bytes: int) -> None:
    """Refuse an array by its declared size, before memory is asked for.

    Raises
    ------
    DatasetError
        With code ``"too-large"``.
    """
    if n_bytes > limit_bytes:
        msg = (
            f"{what} declares {_size(n_bytes)}, more than the {_size(limit_bytes)} that this machine can read at once. "
            "If the file is honest, store the counts as a sparse matrix, or cut it into samples."
        )
        raise DatasetError(msg, "too-large")


def check_entries(what: str, n_entries: int, limits: Limits) -> None:
    """Refuse a container with too many members.

    Raises
    ------
    DatasetError
        With code ``"too-many-entries"``.
    """
    if n_entries > limits.n_entries:
        msg = f"{what} holds more than {limits.n_entries:,} entries; a count matrix needs few. Bring the matrix alone."
        raise DatasetError(msg, "too-many-entries")


@dataclass
class Unpacking:
    """Counts what really comes out of compressed data; one instance for all the members of one file."""

    limits: Limits
    packed_bytes: int
    unpacked_bytes: int = 0

    def count(self, n_bytes: int) -> None:
        """Add unpacked bytes; raise `DatasetError` with code ``"archive-bomb"`` beyond the limits."""
        self.unpacked_bytes += n_bytes
        ratio = self.unpacked_bytes / max(self.packed_bytes, 1)
        beyond_ratio = self.unpacked_bytes > 64 * _PIECE and ratio > self.limits.compression_ratio
        if beyond_ratio or self.unpacked_bytes > self.limits.unpacked_bytes:
            msg = (
                f"The file unpacks to more than {_size(self.unpacked_bytes)} from {_size(self.packed_bytes)}; "
                "no count matrix does that. It was not unpacked further."
            )
            raise DatasetError(msg, "archive-bomb")

    def copy(self, source: BinaryIO, target: Path) -> None:
        """Write a stream of unpacked bytes to a new file, counting."""
        with target.open("xb") as out:
            for piece in _pieces(source):
                self.count(len(piece))
                out.write(piece)


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece


def _available_memory() -> int:
    """Return the bytes of memory that this process may still take: of the machine, and of its control group."""
    available = 4 * _GIB
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        available = int(rows.get("MemAvailable", f"{available >> 10} kB").split()[0]) << 10
    group = Path("/sys/fs/cgroup/memory.max")
    if group.is_file() and (text := group.read_text().strip()).isdigit():
        available = min(available, int(text))
    return available


def _size(n_bytes: int) -> str:
    return f"{n_bytes / _GIB:,.1f} GiB" if n_bytes >= _GIB else f"{n_bytes / (1 << 20):,.1f} MiB"
