"""Opens a zarr store on disk after its metadata were read as plain JSON and every codec in them was allowed."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scfm_core.errors import DatasetError
from scfm_core.intake.limits import Limits

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zmetadata", ".zattrs")
_LARGEST_METADATA = 64 << 20
_COMPRESSORS = {"blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma", "shuffle", "delta", "fletcher32", "crc32c"}
_V2_CODECS = {*_COMPRESSORS, "vlen-utf8"}
_V3_CODECS = {
    *_COMPRESSORS,
    *(f"numcodecs.{name}" for name in _COMPRESSORS),
    "bytes",
    "endian",
    "transpose",
    "vlen-utf8",
    "sharding_indexed",
}


def find_zarr(folder: Path, files: Sequence[Path]) -> Path | None:
    """Return the uppermost folder among some files that is a zarr group, None where there is none."""
    roots = {path.parent for path in files if path.name in (".zgroup", "zarr.json")}
    return min(roots, key=lambda root: (len(root.relative_to(folder).parts), str(root)), default=None)


@contextmanager
def open_zarr(root: Path, limits: Limits) -> Iterator[Any]:
    """Open a zarr group for reading.

    Raises
    ------
    DatasetError
        With code ``"unsafe-codec"`` for a codec that is not on the list, above all ``pickle``; ``"unsafe-dtype"`` for
        arrays of objects.
    """
    for path in root.rglob("*"):
        if path.name in _METADATA:
            _check_metadata(path)
    import zarr

    yield zarr.open_group(str(root), mode="r", use_consolidated=False)


def _check_metadata(path: Path) -> None:
    if path.stat().st_size > _LARGEST_METADATA:
        msg = f"The zarr store has {path.stat().st_size:,} bytes of metadata, far more than a count matrix needs."
        raise DatasetError(msg, "too-large")
    try:
        metadata = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        msg = f"The metadata {path.name!r} of the zarr store are no JSON. Write the store again."
        raise DatasetError(msg, "unreadable") from error
    if path.name == ".zarray":
        _check_v2(metadata)
    elif path.name == "zarr.json":
        _check_v3(metadata)
        consolidated = metadata.get("consolidated_metadata") or {}
        for inner in consolidated.get("metadata", {}).values():
            _check_v3(inner)
    elif path.name == ".zmetadata":
        for name, inner in metadata.get("metadata", {}).items():
            if name.endswith(".zarray"):
                _check_v2(inner)


def _check_v2(metadata: Any) -> None:
    codecs = [metadata.get("compressor"), *(metadata.get("filters") or ())]
    names = [codec.get("id") if isinstance(codec, dict) else codec for codec in codecs if codec is not None]
    _check_names(names, _V2_CODECS)
    if "|O" in str(metadata.get("dtype")) and "vlen-utf8" not in names:
        msg = "The zarr store holds an array of objects, which may run code when read. Save numbers and text only."
        raise DatasetError(msg, "unsafe-dtype")


def _check_v3(metadata: Any) -> None:
    if metadata.get("storage_transformers"):
        _check_names(["storage transformer"], set())
    _check_names(list(_codec_names(metadata.get("codecs") or ())), _V3_CODECS)


def _codec_names(codecs: Any) -> Iterator[Any]:
    for codec in codecs:
        settings = codec.get("configuration", {}) if isinstance(codec, dict) else {}
        yield codec.get("name") if isinstance(codec, dict) else codec
        for nested in ("codecs", "index_codecs"):
            yield from _codec_names(settings.get(nested) or ())


def _check_names(names: Sequence[Any], allowed: set[str]) -> None:
    for name in names:
        if name not in allowed:
            msg = (
                f"The zarr store uses the codec {str(name)[:60]!r}, which is not allowed because codecs can run code. "
                "Write the store again with the usual compression (blosc, zstd, gzip)."
            )
            raise DatasetError(msg, "unsafe-codec")
