"""CellTypist models on this machine: those kept in the workspace, and files that can be added to it."""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from scfm_core.checkpoints.celltypist import (
    ARRAYS,
    WORDS,
    CelltypistWeights,
    read_published,
    read_weights,
    write_weights,
)
from scfm_core.converted import described
from scfm_core.errors import ModelError
from scfm_core.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class CelltypistModel:
    """A model in the workspace, as a value inside a question.

    Attributes
    ----------
    key
        Name of its folder: the name of the file, and the first letters of that file's sha256.
    sha256
        Of the converted content; checked whenever the model is loaded.
    """

    key: str
    sha256: str

    @property
    def title(self) -> str:
        """The name of the file that the model came in."""
        return self.key.rpartition("-")[0]


def models_here() -> tuple[CelltypistModel, ...]:
    """Return the models of the workspace by name."""
    folders = sorted(path.parent for path in _root().glob(f"*/{WORDS}") if not path.parent.name.startswith("."))
    whole = (folder for folder in folders if (folder / ARRAYS).is_file())
    return tuple(CelltypistModel(key=folder.name, sha256=_content_hash(folder)) for folder in whole)


def add_model(path: Path) -> CelltypistModel:
    """Convert a published model (``.pkl``) once and keep it in the workspace; nothing in the file is run.

    Raises
    ------
    ModelError
        If there is no such file ("no-file"), or it is no CellTypist model, see `read_published`.
    """
    path = path.expanduser()
    if not path.is_file():
        msg = f"There is no file {str(path)!r}. Name a CellTypist model (.pkl)."
        raise ModelError(msg, "no-file")
    source = described(path)
    stem = re.sub(r"[^A-Za-z0-9._]+", "_", path.stem).strip("._")[:80] or "model"
    folder = _root() / f"{stem}-{source['sha256'][:8]}"
    if not (folder / WORDS).is_file():
        weights = read_published(path)
        fresh = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
        fresh.mkdir(parents=True)
        try:
            write_weights(fresh, weights, source)
            if not folder.exists():
                fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return CelltypistModel(key=folder.name, sha256=_content_hash(folder))


def find_celltypist(name: str) -> CelltypistModel:
    """Return the model that a name means: a file, a model of the workspace, or one in CellTypist's own folder.

    Raises
    ------
    ModelError
        If there is none (code "unknown-model"), or the file is refused.
    """
    if Path(name).expanduser().is_file():
        return add_model(Path(name))
    stem = name.removesuffix(".pkl")
    here = [model for model in models_here() if stem in (model.key, model.title)]
    if here:
        return here[0]
    offered = [path for path in files_of_celltypist() if path.stem == stem]
    if offered:
        return add_model(offered[0])
    known = [*(model.title for model in models_here()), *(path.stem for path in files_of_celltypist())]
    msg = (
        f"No CellTypist model {name!r} is here. Found: {', '.join(known) or 'none'}. Download one from "
        "https://www.celltypist.org/models and name the file."
    )
    raise ModelError(msg, "unknown-model")


def files_of_celltypist() -> tuple[Path, ...]:
    """Return the models that CellTypist itself downloaded for this user and that are not in the workspace yet."""
    root = os.environ.get("CELLTYPIST_FOLDER") or "~/.celltypist"
    folder = Path(root).expanduser() / "data" / "models"
    known = {model.title for model in models_here()}
    return tuple(path for path in sorted(folder.glob("*.pkl")) if path.stem not in known)


def load_celltypist(model: CelltypistModel) -> CelltypistWeights:
    """Return the numbers of a model, checked against its hash; loaded once per process.

    Raises
    ------
    ModelError
        If the model is gone ("no-weights") or was changed ("changed-weights").
    """
    folder = _root() / model.key
    if not (folder / WORDS).is_file():
        msg = f"The CellTypist model {model.title} is not in the workspace. Add its file again."
        raise ModelError(msg, "no-weights")
    if _content_hash(folder) != model.sha256:
        msg = (
            f"The files of the CellTypist model {model.title} were changed. Remove {model.key} and add the file again."
        )
        raise ModelError(msg, "changed-weights")
    return _loaded(folder, model.sha256)


def source_of(model: CelltypistModel) -> dict[str, Any]:
    """Return name, size and sha256 of the file that a model was converted from."""
    source: dict[str, Any] = json.loads((_root() / model.key / WORDS).read_text())["source"]
    return source


@lru_cache(maxsize=4)
def _loaded(folder: Path, sha256: str) -> CelltypistWeights:
    return read_weights(folder)


def _content_hash(folder: Path) -> str:
    states = [(folder / name).stat() for name in (ARRAYS, WORDS)]
    return _hash_of_state(folder, tuple((state.st_size, state.st_mtime_ns) for state in states))


@lru_cache(maxsize=256)
def _hash_of_state(folder: Path, state: tuple[tuple[int, int], ...]) -> str:
    """Hash a folder once per state of it."""
    digest = hashlib.sha256()
    for name in (ARRAYS, WORDS):
        digest.update(described(folder / name)["sha256"].encode())
    return digest.hexdigest()


def _root() -> Path:
    return Workspace.from_environment().root / "weights" / "celltypist"
