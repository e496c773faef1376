"""Weights on disk: where they lie, whether they are what the card says, and one loaded model per process and device."""

import hashlib
import shutil
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

from scfm_core.converted import FILES, described, read_manifest, resolved, with_sizes, write_converted
from scfm_core.devices import this_device
from scfm_core.errors import ModelError
from scfm_core.model import Arrays, CellModel, ModelSpec, Published, WeightFile
from scfm_core.workspace import Workspace

_LOADED_MODELS_KEPT = 4
_loaded: OrderedDict[tuple[str, ...], CellModel] = OrderedDict()
_lock = threading.Lock()


def installed(spec: ModelSpec) -> ModelSpec:
    """Return the card with the published weights that were fetched or added; unchanged where there are none.

    Cheap enough for every run of a page: the hashes come from the manifest and are checked when the weights are loaded.
    A card that is not published, or has weights already, comes back as it is.
    """
    if spec.published is None or spec.weights:
        return spec
    return resolved(spec, _workspace_folder(spec.key)) or spec


def weights_folder(spec: ModelSpec) -> Path | None:
    """Return the folder with a model's weights, or None where they are not here.

    Looked for where the card says, then in the workspace's ``weights/<key>``, then among what came with the
    application. A folder counts if all files are there; their content is checked when they are loaded.
    """
    spec = installed(spec)
    if not spec.weights:
        return None
    for folder in [spec.folder] if spec.folder else [_workspace_folder(spec.key), spec.bundled_folder]:
        if folder is not None and all((folder / file.name).is_file() for file in spec.weights):
            return folder
    return None


def weights_here(spec: ModelSpec) -> bool:
    """Whether a model can be used now: its weights are here, if it has any, and the packages that it needs."""
    return not missing_packages(spec) and (not spec.needs_weights or weights_folder(spec) is not None)


def missing_packages(spec: ModelSpec) -> tuple[str, ...]:
    """Return the Python packages that a model needs and that are not installed; imports none of them."""
    return tuple(name for name in spec.needs_packages if find_spec(name) is None)


def check_weights(spec: ModelSpec) -> None:
    """Refuse a model whose weights, or packages, are not here, saying how to get them."""
    missing = missing_packages(spec)
    if missing:
        msg = f"{spec.title} needs {', '.join(missing)}, not installed here. {spec.how_to_get}"
        raise ModelError(msg, "no-package")
    if not weights_here(spec):
        names = ", ".join(file.name for file in spec.weights)
        expected = f": expected {names}" if names else ""
        msg = f"The weights of {spec.title} are not here{expected}. {spec.how_to_get}".strip()
        raise ModelError(msg, "no-weights")


def with_weights(spec: ModelSpec, folder: Path, *, dictionaries: Path | None = None) -> ModelSpec:
    """Return the model with the weights that lie in a folder; the model that is installed stays as it is.

    The files are hashed, so its results are never mixed up with those of other weights; sizes on the card follow what
    lies in the folder. Weights in the format of their authors are converted once, into ``weights/<key>@<hash>``.

    Parameters
    ----------
    folder
        A folder in our own format, such as ``scfm pretrain`` wrote, or for a published model a folder in any layout
        in which its authors published it.
    dictionaries
        Where the vocabulary of published weights lies; by default beside and above them.

    Raises
    ------
    ModelError
        If the model has no weights, or these are not weights of it.
    """
    _check_needs_weights(spec)
    folder = folder.expanduser()
    if spec.published is None or (folder / "vocabulary.json").is_file():
        return _own_format(spec, folder.resolve())
    sources = [described(path) for path in spec.published.convert.sources(folder, dictionaries)]
    lines = "".join(f"{source['name']} {source['sha256']}\n" for source in sources)
    name = f"{spec.key}@{hashlib.sha256(lines.encode()).hexdigest()[:12]}"
    return resolved(spec, _workspace_folder(name)) or _convert(spec, spec.published, folder, dictionaries, name=name)


def add_weights(
    spec: ModelSpec, folder: Path, *, dictionaries: Path | None = None, origin: Mapping[str, str] | None = None
) -> ModelSpec:
    """Install the weights of a published model from a folder and return its card with them.

    They are converted, or copied where they are in our own format, into ``weights/<key>`` of the workspace, in place of
    earlier ones; the folder itself is not needed afterwards. Where it fails, the earlier ones stay.

    Parameters
    ----------
    folder, dictionaries
        As for `with_weights`.
    origin
        Where the folder comes from, for the manifest, such as repository and revision.

    Raises
    ------
    ModelError
        If the model has no published weights, or these are not weights of it.
    """
    _check_needs_weights(spec)
    published = spec.published
    if published is None:
        msg = f"The weights of {spec.title} come with the application; name others with --weights FOLDER instead."
        raise ModelError(msg, "not-published")
    spec = replace(spec, folder=None, weights=())  # in case a card comes in that has weights already
    folder = folder.expanduser()
    if (folder / "vocabulary.json").is_file():
        return _copy(spec, folder.resolve())
    return _convert(spec, published, folder, dictionaries, name=spec.key, origin=origin)


def remove_weights(spec: ModelSpec) -> bool:
    """Take a published model's weights out of the workspace; return whether there were any.

    Those that `with_weights` converted go too: they are made again when they are asked for.
    """
    if spec.published is None:
        return False
    installed_folder = _workspace_folder(spec.key)
    folders = [path for path in (installed_folder, *installed_folder.parent.glob(f"{spec.key}@*")) if path.is_dir()]
    for folder in folders:
        shutil.rmtree(folder)
    return bool(folders)


def _workspace_folder(name: str) -> Path:
    return Workspace.from_environment().root / "weights" / name


def _check_needs_weights(spec: ModelSpec) -> None:
    if not spec.needs_weights:
        msg = f"{spec.title} is fitted to each dataset and has no weights; leave the weights folder out."
        raise ModelError(msg, "no-weights-needed")


def _own_format(spec: ModelSpec, folder: Path) -> ModelSpec:
    """Return the card with a folder in our own format, hashed."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        msg = f"The folder {folder.name!r} lacks {', '.join(missing)}, which {spec.title} needs. Choose another folder."
        raise ModelError(msg, "no-weights")
    manifest = read_manifest(folder)
    if manifest is not None and manifest["key"] != spec.key:
        msg = f"Expected weights of {spec.key} in {folder.name!r}, found those of {manifest['key']}. Choose that model."
        raise ModelError(msg, "other-checkpoint")
    weights = tuple(WeightFile(**described(folder / name)) for name in FILES)
    return with_sizes(replace(spec, folder=folder, weights=weights), folder)


def _copy(spec: ModelSpec, folder: Path) -> ModelSpec:
    """Install a folder in our own format, after it was loaded once."""
    checked = _own_format(spec, folder)
    checked.load(folder, "cpu", {})

    def write(out: Path) -> tuple[str, ...]:
        for name in FILES:
            shutil.copyfile(folder / name, out / name)
        return ()

    source = {"folder": str(folder), "files": [described(folder / name) for name in FILES]}
    before = read_manifest(folder)
    if before is not None and before["files"] == source["files"]:
        source["before"] = before["source"]  # what that folder says of itself; nothing here can check it
    write_converted(spec, _workspace_folder(spec.key), write=write, source=source)
    return installed(spec)


def _convert(
    spec: ModelSpec,
    published: Published,
    folder: Path,
    dictionaries: Path | None,
    *,
    name: str,
    origin: Mapping[str, str] | None = None,
) -> ModelSpec:
    """Convert a published checkpoint into the workspace's ``weights/<name>``."""
    files = [described(path) for path in published.convert.sources(folder, dictionaries)]
    hashes = {file.sha256 for file in published.files}
    for file in files:  # people fine-tune: other weights are welcome, but told from the published ones
        file["as_published"] = file["sha256"] in hashes
    write_converted(
        spec,
        _workspace_folder(name),
        write=partial(published.convert, folder, dictionaries),
        source={**(origin or {"folder": str(folder.resolve())}), "files": files},
    )
    found = resolved(spec, _workspace_folder(name))
    if found is None:
        msg = f"The weights of {spec.title} were written and are gone again. Add them once more."
        raise ModelError(msg, "no-weights")
    return found


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
    if spec.place is not None:
        msg = (
            f"{spec.title} places the cells of one dataset all together: it has no vector for an edited cell, another "
            "cell, or a gene. Choose another model for this, such as PCA or a pre-trained one."
        )
        raise ModelError(msg, "no-network")
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
    if not spec.needs_weights:
        return None
    check_weights(spec)
    folder = weights_folder(spec) if spec.weights else None
    if folder is None:
        msg = f"The card of {spec.title} does not name its weights. Ask with the card that installed() returns."
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
    return str(described(path)["sha256"])


def _content_hash(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
