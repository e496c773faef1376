"""Weights on disk: where they lie, whether they are what the card says, and one loaded model per process and device."""

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from scfm_core.devices import this_device
from scfm_core.errors import ModelError
from scfm_core.model import Arrays, CellModel, ModelSpec, WeightFile
from scfm_core.workspace import Workspace

_LOADED_MODELS_KEPT = 4
_loaded: OrderedDict[tuple[str, ...], CellModel] = OrderedDict()
_lock = threading.Lock()


def weights_folder(spec: ModelSpec) -> Path | None:
    """Return the folder with a model's weights, or None where they are not here.

    Looked for where the card says, then in the workspace's ``weights/<key>``, then among what came with the
    application. A folder counts if all files are there; their content is checked when they are loaded.
    """
    if not spec.weights:
        return None
    in_workspace = Workspace.from_environment().root / "weights" / spec.key
    for folder in [spec.folder] if spec.folder else [in_workspace, spec.bundled_folder]:
        if folder is not None and all((folder / file.name).is_file() for file in spec.weights):
            return folder
    return None


def weights_here(spec: ModelSpec) -> bool:
    """Whether a model can be used now; a baseline always can."""
    return not spec.weights or weights_folder(spec) is not None


def with_weights(spec: ModelSpec, folder: Path) -> ModelSpec:
    """Return the model with other weights of the same kind, such as those that ``scfm pretrain`` wrote.

    The files are hashed, so its results are never mixed up with those of the original weights; sizes on the card
    follow the folder's ``config.json``.

    Raises
    ------
    ModelError
        If the model has no weights, or files are missing in the folder.
    """
    if not spec.weights:
        msg = f"{spec.title} is fitted to each dataset and has no weights; leave the weights folder out."
        raise ModelError(msg, "no-weights-needed")
    missing = [file.name for file in spec.weights if not (folder / file.name).is_file()]
    if missing:
        msg = f"The folder {folder.name!r} lacks {', '.join(missing)}, which {spec.title} needs. Choose another folder."
        raise ModelError(msg, "no-weights")
    folder = folder.resolve()
    files = [(file, folder / file.name) for file in spec.weights]
    weights = tuple(
        WeightFile(name=file.name, size_bytes=path.stat().st_size, sha256=_sha256(path)) for file, path in files
    )
    return replace(spec, folder=folder, weights=weights, **_sizes(folder))


def loaded_model(spec: ModelSpec, fitted: Arrays) -> CellModel:
    """Return a model ready to use on this thread's device; verified, loaded once, and kept.

    Parameters
    ----------
    fitted
        What ``spec.fit`` returned, else empty.

    Raises
    ------
    ModelError
        If weights are missing or differ from the card by a single byte.
    """
    device = this_device()
    folder = _verified_folder(spec)
    key = (spec.identity, str(folder), device, _content_hash(fitted))
    with _lock:
        if key in _loaded:
            _loaded.move_to_end(key)
            return _loaded[key]
        model = spec.load(folder, device, fitted)
        _loaded[key] = model
        while len(_loaded) > _LOADED_MODELS_KEPT:
            _loaded.popitem(last=False)
    return model


def _verified_folder(spec: ModelSpec) -> Path | None:
    if not spec.weights:
        return None
    folder = weights_folder(spec)
    if folder is None:
        names = ", ".join(file.name for file in spec.weights)
        msg = f"The weights of {spec.title} are not here: expected {names}. {spec.how_to_get}".strip()
        raise ModelError(msg, "no-weights")
    for file in spec.weights:
        path = folder / file.name
        status = path.stat()
        found = _hash_of_state(path, status.st_mtime_ns, status.st_size)
        if found != file.sha256:
            msg = (
                f"The file {file.name} of {spec.title} is not the one on its card: expected {file.size_bytes:,} bytes "
                f"with sha256 {file.sha256[:12]}…, found {status.st_size:,} bytes with {found[:12]}…. {spec.how_to_get}"
            ).strip()
            raise ModelError(msg, "changed-weights")
    return folder


@lru_cache(maxsize=256)
def _hash_of_state(path: Path, modified_ns: int, size_bytes: int) -> str:
    """Hash a file once per state of it."""
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content_hash(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _sizes(folder: Path) -> dict[str, Any]:
    """Return what a ``config.json``, where there is one, says about the fields of a card."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) if path.is_file() else {}
    fields = {
        "embedding_size": "hidden_size",
        "max_tokens": "max_position_embeddings",
        "n_layers": "num_hidden_layers",
    }
    return {field: int(config[name]) for field, name in fields.items() if name in config}
