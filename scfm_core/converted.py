"""Weights folders in our own format: written whole or not at all, and the card that follows from one.

A folder holds ``model.safetensors``, ``config.json`` and ``vocabulary.json``, and where it was converted from a
published checkpoint also ``manifest.json`` with hashes and provenance.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any
from uuid import uuid4

from scfm_core.errors import ModelError
from scfm_core.model import ModelSpec, WeightFile

FILES = ("model.safetensors", "config.json", "vocabulary.json")
MANIFEST = "manifest.json"
VERSION = 1  # raised when the same published files are converted to other content


def write_converted(
    spec: ModelSpec, target: Path, *, write: Callable[[Path], tuple[str, ...]], source: Mapping[str, Any]
) -> None:
    """Make the weights folder ``target``, in place of an earlier one; where it fails, nothing is changed.

    Parameters
    ----------
    write
        Writes the files into the empty folder that it is given; returns remarks for the reader.
    source
        Where the weights come from; kept in the manifest.

    Raises
    ------
    ModelError
        What ``write`` raises, ``"disk-full"`` and ``"no-permission"``.
    """
    fresh = target.parent / f".{target.name}.{uuid4().hex[:8]}"
    try:
        fresh.mkdir(parents=True)
        notes = write(fresh)
        manifest = {
            "key": spec.key,
            "source": {**source, "notes": notes},
            "files": [described(fresh / name) for name in FILES],
            "converted": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": VERSION,
        }
        (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1))
        _put(fresh, target)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            msg = (
                f"{spec.title} could not be written to {target.parent}: {error.strerror} ({error.filename}). Allow it, "
                "close what uses the file, or name another workspace with SCFM_WORKSPACE."
            )
            raise ModelError(msg, "no-permission") from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        msg = f"The disk of {target.parent} is full: {spec.title} could not be written. Make room and try again."
        raise ModelError(msg, "disk-full") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put(fresh: Path, target: Path) -> None:
    """Put a folder in the place of another, which comes back where that fails; a second process may do the same."""
    replaced = fresh.with_name(fresh.name + ".old")
    for is_last in (False, True):
        with suppress(FileNotFoundError):
            target.rename(replaced)
        try:
            fresh.rename(target)
            break
        except OSError:
            was_faster = target.exists()  # the other process, in between
            if not was_faster and replaced.exists():
                replaced.rename(target)
            if is_last or not was_faster:
                raise
        finally:
            shutil.rmtree(replaced, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a converted folder; None where there is none, or not all of the files that it names."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        names = [WeightFile(**file).name for file in manifest["files"]]
        whole = isinstance(manifest["key"], str) and isinstance(manifest["source"], dict)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    whole = whole and names == list(FILES) and all((folder / name).is_file() for name in FILES)
    return manifest if whole and manifest.get("version") == VERSION else None


def resolved(spec: ModelSpec, folder: Path) -> ModelSpec | None:
    """Return the card with the weights of a converted folder, after its manifest; None where that folder is not whole.

    Cheap: the files are hashed when they are loaded. Sizes follow what lies in the folder; where that cannot be read,
    they stay as they were, and whoever loads the files is told that they were changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    return _resolved(spec, folder, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _resolved(spec: ModelSpec, folder: Path, modified_ns: int) -> ModelSpec | None:
    manifest = read_manifest(folder)
    if manifest is None or manifest["key"] != spec.key:
        return None
    weights = tuple(WeightFile(**file) for file in manifest["files"])
    card = replace(spec, folder=folder, weights=weights)
    try:
        return with_sizes(card, folder)
    except ModelError:  # one damaged folder must not keep all models from being listed
        return card


def with_sizes(spec: ModelSpec, folder: Path) -> ModelSpec:
    """Return the card with the sizes of the network and the vocabulary that lie in a weights folder.

    Raises
    ------
    ModelError
        If they cannot be read.
    """
    from safetensors import SafetensorError

    try:
        sizes = _sizes(json.loads((folder / "config.json").read_text()))
        sizes["n_parameters"] = _n_parameters(folder / "model.safetensors")
        vocabulary = json.loads((folder / "vocabulary.json").read_text())
        tokens = vocabulary.get("tokens") or vocabulary["gene_ids"]
        n_genes = sum(not token.startswith("<") for token in tokens)
    except (ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        msg = f"Expected weights of {spec.title} in {folder.name!r}, found something else ({error}). Get them again."
        raise ModelError(msg, "unsuitable-weights") from error
    longest = sizes["max_tokens"] - (2 if "<cls>" in tokens else 0)
    words = f"{n_genes:,} human genes by Ensembl id, the {longest:,} that stand out most in each cell"
    return replace(spec, **sizes, vocabulary=words)


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        "embedding_size": "hidden_size",
        "max_tokens": "max_position_embeddings",
        "n_layers": "num_hidden_layers",
    }
    return {field: int(config[name]) for field, name in fields.items()}


def _n_parameters(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        names = file.keys()
        return sum(prod(file.get_slice(name).get_shape()) for name in names)


def described(path: Path) -> dict[str, Any]:
    """Return name, size and sha256 of a file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "size_bytes": path.stat().st_size, "sha256": sha256}
