"""``scfm weights``: published weights, fetched or taken from a folder, converted once and kept."""

import shutil
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import click

from scfm_core.cli.asking import tell
from scfm_core.cli.files import json_option
from scfm_core.converted import read_manifest
from scfm_core.errors import ModelError
from scfm_core.model import ModelSpec
from scfm_core.registry import all_models, find_model
from scfm_core.weights import add_weights, installed, remove_weights, weights_folder

_WIDTH = 80
_CLEAR_LINE = "\r\x1b[K"
_TELL_SECONDS = 0.1


@click.group(
    "weights",
    short_help="Get the weights of published models.",
    epilog="\b\nExample:\n"
    "  scfm weights list\n"
    "  scfm weights fetch geneformer-v1-10m\n"
    "  scfm weights add geneformer-v2-104m Geneformer/",
)
def command() -> None:
    """Get the weights of published models, which do not come with the application.

    They are converted once to safetensors and JSON and kept in the workspace (SCFM_WORKSPACE); from then on the model
    is chosen by its key. Nothing that lies in a downloaded file or a folder is ever run.
    """


@command.command(
    "fetch",
    short_help="Download a model from the Hugging Face hub.",
    epilog="\b\nExample:\n  scfm weights fetch geneformer-v1-10m",
)
@click.argument("key")
@click.option("--revision", metavar="COMMIT", help="The commit that the card names; another one is refused.")
@json_option
def fetch(key: str, revision: str | None, as_json: bool) -> None:
    """Download the weights of the model KEY at the commit that its card names, and install them.

    Every file is checked against the size and sha256 on the card. An interrupted download goes on where it stopped
    when the same command is given again.
    """
    from scfm_core.hub import fetch_weights

    spec = find_model(key)
    if spec.published is not None and revision not in (None, spec.published.revision):
        msg = (
            f"The card of {spec.title} names the commit {spec.published.revision}, whose files are known byte for "
            f"byte; found --revision {revision}. Leave it out, or download that commit and use 'scfm weights add'."
        )
        raise ModelError(msg, "other-revision")
    shown = _Progress() if sys.stderr.isatty() else _no_progress
    found = fetch_weights(spec, on_progress=shown, stop=lambda: False)
    if sys.stderr.isatty():
        click.echo(_CLEAR_LINE, nl=False, err=True)
    _tell_installed(found, as_json=as_json)


@command.command(
    "add",
    short_help="Take a model from a folder.",
    epilog="\b\nExample:\n"
    "  scfm weights add geneformer-v1-10m Geneformer/\n"
    "  scfm weights add geneformer-v1-10m my_fine_tuned/ --dictionaries Geneformer/geneformer",
)
@click.argument("key")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--dictionaries",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the token, median, name and mapping dictionaries, where not beside or above the weights.",
)
@json_option
def add(key: str, folder: Path, dictionaries: Path | None, as_json: bool) -> None:
    """Install the weights of the model KEY from a FOLDER that you have.

    FOLDER holds config.json with model.safetensors or pytorch_model.bin, or is the repository of the authors in any
    layout that it had. It is only read, and not needed afterwards. Fine-tuned weights are taken too; their classifier
    is left out.
    """
    _tell_installed(add_weights(find_model(key), folder, dictionaries=dictionaries), as_json=as_json)


@command.command(
    "list",
    short_help="List which weights are here.",
    epilog="\b\nExample:\n  scfm weights list\n  scfm weights list --json",
)
@json_option
def list_weights(as_json: bool) -> None:
    """List the models with weights: which are here, where, how large, and where they come from."""
    specs = [installed(spec) for spec in all_models() if spec.needs_weights]
    tell("\n".join(_line(spec) for spec in specs), {"weights": [_fields(spec) for spec in specs]}, as_json=as_json)


@command.command(
    "remove",
    short_help="Take a model's weights away.",
    epilog="\b\nExample:\n  scfm weights remove geneformer-v1-10m",
)
@click.argument("key")
@json_option
def remove(key: str, as_json: bool) -> None:
    """Take the weights of the model KEY out of the workspace, those of --weights among them.

    Answers that it gave are kept, and so are the folders that weights were added from.
    """
    spec = find_model(key)
    if not remove_weights(spec):
        msg = f"The workspace holds no weights of {spec.title} to remove. 'scfm weights list' says what is here."
        raise ModelError(msg, "no-weights")
    tell(f"Removed the weights of {spec.title}.", {"removed": spec.key}, as_json=as_json)


def _tell_installed(spec: ModelSpec, *, as_json: bool) -> None:
    tell("\n".join([_line(spec), *_remarks(spec)]), _fields(spec), as_json=as_json)


def _line(spec: ModelSpec) -> str:
    folder = weights_folder(spec)
    if folder is None:
        published = spec.published
        size = f", {published.size_bytes / 1e6:,.0f} MB to download" if published else ""
        return f"{spec.key:<28} not here{size}, licence {spec.licence}"
    return f"{spec.key:<28} here, {_size(spec) / 1e6:,.0f} MB, {_source_words(spec, folder)}\n    {folder}"


def _remarks(spec: ModelSpec) -> list[str]:
    notes = _source(weights_folder(spec)).get("notes", [])
    return [textwrap.fill(note, _WIDTH, initial_indent="    ", subsequent_indent="    ") for note in notes]


def _size(spec: ModelSpec) -> int:
    return sum(file.size_bytes for file in spec.weights)


def _source(folder: Path | None) -> dict[str, Any]:
    manifest = read_manifest(folder) if folder else None
    return manifest["source"] if manifest else {}


def _source_words(spec: ModelSpec, folder: Path) -> str:
    if spec.published is None:
        return "comes with the application" if folder == spec.bundled_folder else "from the workspace"
    source = _source(folder)
    if "repository" in source:
        return f"from {source['repository']} at {source['revision'][:10]}"
    told = [file.get("as_published") for file in source["files"] if file["name"].endswith((".safetensors", ".bin"))]
    words = "converted before" if None in told else "as published" if all(told) else "not the published weights"
    return f"from {source['folder']}, {words}"


def _fields(spec: ModelSpec) -> dict[str, Any]:
    folder = weights_folder(spec)
    return {
        "key": spec.key,
        "here": folder is not None,
        "folder": folder,
        "size_bytes": _size(spec) if folder else None,
        "download_bytes": spec.published.size_bytes if spec.published else None,
        "licence": spec.licence,
        "identity": spec.identity if folder else None,
        "source": _source(folder),
    }


class _Progress:
    """Tells on a terminal how far a download is, a few times a second."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int, total: int, file: str) -> None:
        if time.monotonic() < self._next and done < total:
            return
        self._next = time.monotonic() + _TELL_SECONDS
        line = f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB: {file}"[: shutil.get_terminal_size()[0] - 1]
        click.echo(f"{_CLEAR_LINE}{line}", nl=False, err=True)


def _no_progress(done: int, total: int, file: str) -> None:
    return
