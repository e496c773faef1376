"""Keeps answers on disk, each in a folder named by the identity of its question; bounded, oldest unused goes first."""

import errno
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from scfm_core import __version__

DEFAULT_SIZE_CAP_BYTES = 20 * 2**30
_TOUCH_SECONDS = 60
_PART_AGE_SECONDS = 7 * 24 * 3600
_TRIES = 10
_BARE = "_value"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile)
_PLACE_CHANGED = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY)  # somebody removed or wrote there at this moment
_PASSING_TROUBLE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES)  # says nothing about the files
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredAnswer:
    """One line of the store's table of contents.

    Attributes
    ----------
    recipe
        The question as plain values, see `scfm_core.request.recipe`.
    written
        Seconds since 1970.
    seconds
        How long the answer took to compute; None where it was not said.
    version
        Of scFM Explorer, when it was computed.
    """

    identity: str
    recipe: dict[str, Any]
    size_bytes: int
    written: float
    seconds: float | None = None
    version: str = ""


class Store:
    """Answers by identity. An answer is a dataclass of arrays, tables and plain values; nothing is pickled.

    Parameters
    ----------
    root
        Folder of the store.
    size_cap_bytes
        Above it the answers that were not used for longest are deleted.
    """

    def __init__(self, root: Path, *, size_cap_bytes: int | None = None) -> None:
        self._answers, self._scratch, self._parts = root / "answers", root / "scratch", root / "parts"
        named = os.environ.get("SCFM_STORE_GIGABYTES")
        default = int(float(named) * 2**30) if named else DEFAULT_SIZE_CAP_BYTES
        self._size_cap_bytes = default if size_cap_bytes is None else size_cap_bytes
        for folder in (self._answers, self._scratch, self._parts):
            folder.mkdir(parents=True, exist_ok=True)

    def put(self, identity: str, answer: Any, recipe: Any = None, *, seconds: float | None = None) -> None:
        """Write an answer, whole or not at all; a second writer of the same answer does no harm."""
        with self._new_folder() as folder:
            for field in fields(answer):
                _write(folder / field.name, getattr(answer, field.name))
            about = {"recipe": recipe, "type": type(answer).__name__, "written": time.time()}
            about |= {"seconds": seconds, "version": __version__}
            (folder / "_about.json").write_text(json.dumps(about, indent=1))
            self._move(folder, self._answers / identity)
        self.drop_parts(identity)
        self._evict(keep=identity)

    def get(self, identity: str, result_type: type) -> Any | None:
        """Return the stored answer, or None. Arrays are mapped into memory, not read."""
        folder = self._answers / identity
        try:
            answer = result_type(**{field.name: _read(folder, field.name) for field in fields(result_type)})
        except _UNREADABLE as error:
            self._drop_unreadable(folder, error)
            return None
        self.touch(identity)
        return answer

    def touch(self, identity: str) -> None:
        """Count an answer as used now."""
        about = self._answers / identity / "_about.json"
        with suppress(OSError):  # it may have been evicted meanwhile
            if time.time() - about.stat().st_mtime > _TOUCH_SECONDS:
                about.touch()

    def has(self, identity: str) -> bool:
        """Whether an answer is stored."""
        return (self._answers / identity / "_about.json").is_file()

    def about(self, identity: str) -> StoredAnswer | None:
        """Return what is known of a stored answer, or None."""
        folder = self._answers / identity
        try:
            about = json.loads((folder / "_about.json").read_text())
            named = {name: about[name] for name in ("recipe", "written", "seconds", "version") if name in about}
            return StoredAnswer(identity=identity, size_bytes=_size(folder), **named)
        except (OSError, ValueError, TypeError):
            return None

    def answers(self) -> Iterator[StoredAnswer]:
        """Yield what is stored, newest first."""
        known = [about for path in self._answers.iterdir() if (about := self.about(path.name)) is not None]
        yield from sorted(known, key=lambda about: -about.written)

    def put_part(self, identity: str, name: str, part: Any) -> None:
        """Keep one finished chunk of an answer that is not whole yet: a dict of values by name, or one value."""
        with self._new_folder() as folder:
            for key, value in (part if _is_by_name(part) else {_BARE: part}).items():
                _write(folder / quote(key, safe=" "), value)
            self._move(folder, self._parts / identity / name)

    def get_part(self, identity: str, name: str) -> Any | None:
        """Return a kept chunk as `put_part` took it, or None."""
        folder = self._parts / identity / name
        if not folder.is_dir():
            return None
        try:
            part = {unquote(path.stem): _read(folder, path.stem) for path in sorted(folder.iterdir())}
        except _UNREADABLE as error:
            self._drop_unreadable(folder, error)
            return None
        return part.get(_BARE, part)

    def has_part(self, identity: str, name: str) -> bool:
        """Whether a chunk is kept."""
        return (self._parts / identity / name).is_dir()

    def drop_part(self, identity: str, name: str) -> None:
        """Forget one kept chunk."""
        self._remove(self._parts / identity / name)

    def drop_parts(self, identity: str) -> None:
        """Forget the chunks of an answer."""
        self._remove(self._parts / identity)

    @contextmanager
    def _new_folder(self) -> Iterator[Path]:
        folder = self._scratch / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # nothing is left of it where it was moved

    def _move(self, folder: Path, final: Path) -> None:
        for _ in range(_TRIES):
            try:
                final.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(final)
            except OSError as error:
                if final.is_dir():  # another writer was first with the same answer
                    return
                if error.errno not in _PLACE_CHANGED:
                    raise
            else:
                return
        msg = f"{final.parent} vanishes as often as it is made."
        raise OSError(msg)

    def _remove(self, folder: Path) -> None:
        grave = self._scratch / uuid.uuid4().hex
        try:
            folder.rename(grave)  # at once and whole: no reader sees half an answer
        except OSError:
            return
        shutil.rmtree(grave, ignore_errors=True)

    def _drop_unreadable(self, folder: Path, error: Exception) -> None:
        if folder.is_dir() and getattr(error, "errno", None) not in _PASSING_TROUBLE:
            _log.warning("%s cannot be read and is computed again: %s", folder.name[:12], error)
            self._remove(folder)

    def _evict(self, keep: str) -> None:
        now = time.time()
        for path in (*self._parts.iterdir(), *self._scratch.iterdir()):
            if now - _modified(path) > _PART_AGE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        paths = [*self._answers.iterdir(), *self._parts.iterdir()]
        sizes = {path: _size(path) for path in paths}
        excess = sum(sizes.values()) - self._size_cap_bytes
        for path in sorted(sizes, key=_last_used):
            if excess <= 0:
                break
            if path.name != keep:
                excess -= sizes[path]
                self._remove(path)


def _is_by_name(part: Any) -> bool:
    return isinstance(part, dict) and len(part) > 0 and all(isinstance(key, str) and key for key in part)


def _file(stem: Path, kind: str) -> Path:
    return stem.with_name(f"{stem.name}.{kind}")  # a name may hold dots


def _write(stem: Path, value: Any) -> None:
    match value:
        case np.ndarray():
            np.save(_file(stem, "npy"), value, allow_pickle=False)
        case dict() if value and all(isinstance(item, np.ndarray) for item in value.values()):
            np.savez(_file(stem, "npz"), **value)
        case pd.DataFrame():
            value.to_parquet(_file(stem, "parquet"))
        case _:
            _file(stem, "json").write_text(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    """Turn a number of numpy's into one of Python's."""
    if isinstance(value, np.generic):
        return value.item()
    msg = f"An answer holds arrays, tables and plain values, found {type(value).__name__}."
    raise TypeError(msg)


def _read(folder: Path, name: str) -> Any:
    if (folder / f"{name}.npy").exists():
        return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    if (folder / f"{name}.parquet").exists():
        return pd.read_parquet(folder / f"{name}.parquet")
    if (folder / f"{name}.npz").exists():
        with (folder / f"{name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    value = json.loads((folder / f"{name}.json").read_text())
    return tuple(value) if isinstance(value, list) else value


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # passes over what is evicted meanwhile
        for name in names:
            with suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _last_used(folder: Path) -> float:
    return _modified(folder / "_about.json") or _modified(folder)
