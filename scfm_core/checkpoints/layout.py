"""Finds a checkpoint's files in the folders in which people have them; reads none of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scfm_core.checkpoints.catalogue import FOLDERS, HELICAL, MAPPING, MEDIANS, NAMES, SUFFIXES, TOKENS, series_of
from scfm_core.errors import ModelError

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first one that is there; a pickle last
_CODE = ("", "geneformer", "geneformer/gene_dictionaries_30m", "gene_dictionaries_30m")


@dataclass(frozen=True, kw_only=True)
class FoundFiles:
    """The files that make a checkpoint; ``names`` and ``mapping`` are None where there are none."""

    config: Path
    weights: Path
    tokens: Path
    medians: Path
    names: Path | None
    mapping: Path | None

    def all(self) -> tuple[Path, ...]:
        """Return every file that is there."""
        files = (self.config, self.weights, self.tokens, self.medians, self.names, self.mapping)
        return tuple(file for file in files if file is not None)


def find_model(key: str, folder: Path) -> tuple[Path, Path]:
    """Find the ``config.json`` and the weights of a checkpoint.

    Parameters
    ----------
    folder
        The folder that holds them, or the root of a repository that has it under one of its published names.

    Raises
    ------
    ModelError
        ``"no-folder"`` or ``"no-weights"``, naming what was looked for.
    """
    model = _model_folder(key, _existing(folder))
    return model / "config.json", next(model / name for name in _WEIGHTS if (model / name).is_file())


def find_files(key: str, folder: Path, dictionaries: Path | None) -> FoundFiles:
    """Find a checkpoint and its dictionaries.

    Parameters
    ----------
    folder
        As for `find_model`.
    dictionaries
        The folder in which the dictionaries are looked for instead of beside and above the weights; the folders of the
        authors' code within it are looked into as well.

    Raises
    ------
    ModelError
        What `find_model` raises, and ``"no-dictionaries"``.
    """
    config, weights = find_model(key, folder)
    model = config.parent
    above: tuple[Path, ...] = (model, model.parent, model.parent.parent)
    levels = above if dictionaries is None else (_existing(dictionaries),)
    places = [place for level in levels for place in _places(key, level)]
    tokens = _dictionary(key, TOKENS, places)
    beside = [tokens.parent] if tokens else []  # files of one place belong together
    medians, names, mapping = (
        _dictionary(key, name, beside) or _dictionary(key, name, places) for name in (MEDIANS, NAMES, MAPPING)
    )
    if tokens is None or medians is None:
        missing = [name for name, path in ((TOKENS, tokens), (MEDIANS, medians)) if path is None]
        raise _no_dictionaries(key, missing, places, model)
    return FoundFiles(
        config=config, weights=weights, tokens=tokens, medians=medians, names=names, mapping=mapping
    )


def _existing(folder: Path) -> Path:
    found = folder.expanduser().resolve()
    if not found.is_dir():
        msg = f"Expected a folder, found none called {str(folder)!r}. Check the path."
        raise ModelError(msg, "no-folder")
    return found


def _model_folder(key: str, folder: Path) -> Path:
    """Return the folder of the weights: under a published name before the folder's own files, then a lone one."""
    known = {_plain(name) for name in FOLDERS[key]}
    helical = (folder / place for place in (HELICAL[series_of(key)], f"geneformer/{HELICAL[series_of(key)]}"))
    for parent in (folder, *helical):
        for child in _folders(parent):
            if _plain(child.name) in known:
                return _whole(child)  # not another one, where this one is cut short
    if _is_model(folder):
        return folder
    models = [child for child in _folders(folder) if _is_model(child)]
    if len(models) == 1:  # what it is says its config.json, not its name
        return models[0]
    names = ", ".join(FOLDERS[key])
    msg = (
        f"No weights of {key} in {folder.name!r}: expected config.json with {' or '.join(_WEIGHTS)} in it, or in a "
        f"sub-folder of it named {names}. Choose the folder of the model, or the repository that holds it."
    )
    raise ModelError(msg, "no-weights")


def _whole(folder: Path) -> Path:
    if not _is_model(folder):
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        msg = (
            f"No weights in {folder.name!r}: expected config.json with {' or '.join(_WEIGHTS)}, found {found}. "
            "Get the whole folder."
        )
        raise ModelError(msg, "no-weights")
    return folder


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any((folder / name).is_file() for name in _WEIGHTS)


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from sorted(child for child in parent.iterdir() if child.is_dir())


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _places(key: str, level: Path) -> Iterator[Path]:
    helical = HELICAL[series_of(key)]
    for name in (*_CODE, helical, f"geneformer/{helical}"):
        yield level / name if name else level


def _dictionary(key: str, name: str, places: list[Path]) -> Path | None:
    """Return a dictionary by name, one that names the series before one that does not."""
    for suffix in SUFFIXES[series_of(key)]:
        for place in places:
            for ending in (".pkl", ".json"):
                path = place / f"{name}{suffix}{ending}"
                if path.is_file():
                    return path
    return None


def _no_dictionaries(key: str, missing: list[str], places: list[Path], model: Path) -> ModelError:
    endings = ", ".join(suffix or "no suffix" for suffix in SUFFIXES[series_of(key)])
    msg = (
        f"The weights in {model.name!r} lack {' and '.join(missing)} (.pkl or .json, with {endings}): looked beside "
        f"them, above them and in the folders of the authors' code, {len(places)} places. Name the folder with the "
        "dictionaries of this model (--dictionaries DIR)."
    )
    return ModelError(msg, "no-dictionaries")
