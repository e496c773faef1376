"""What the commands read and write: FILE becomes a dataset, OUT is checked before anything is computed."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scfm_core import __version__
from scfm_core.dataset import Dataset, list_datasets, open_dataset
from scfm_core.errors import DatasetError, RequestError
from scfm_core.workspace import Workspace

if TYPE_CHECKING:
    from scfm_core.intake import Choices

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_DEMO = "demo:"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person says about how a file is read; the doctor finds out the rest."""

    counts_from: str | None = None
    organism: Any = None
    keep_retired_ids: bool = False

    def applied_to(self, choices: "Choices") -> "Choices":
        """Return the doctor's choices with what the person said in their place."""
        return replace(
            choices,
            counts_from=self.counts_from or choices.counts_from,
            organism=self.organism or choices.organism,
            keep_retired_ids=self.keep_retired_ids,
        )


def file_argument(function: FunctionT) -> FunctionT:
    """Give a command the argument FILE and the options that say how it is read."""
    counts = click.option(
        "--counts-from",
        metavar="WHERE",
        help="Which matrix holds the raw counts: X, raw, layers/NAME. Found by the doctor where not given.",
    )
    organism = click.option(
        "--organism", type=click.Choice(["human", "mouse"]), help="Found by the gene names where not given."
    )
    retired = click.option(
        "--keep-retired-ids",
        is_flag=True,
        help="Leave retired Ensembl ids as they are; else genes get the current id of their symbol.",
    )
    return click.argument("file")(counts(organism(retired(function))))


def out_option(metavar: str, text: str) -> Callable[[FunctionT], FunctionT]:
    """Give a command the options --out and --overwrite."""

    def add(function: FunctionT) -> FunctionT:
        out = click.option("--out", metavar=metavar, type=click.Path(path_type=Path), required=True, help=text)
        overwrite = click.option("--overwrite", is_flag=True, help="Replace what lies at --out.")
        return out(overwrite(function))

    return add


def json_option(function: FunctionT) -> FunctionT:
    """Give a command the option --json."""
    option = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON, for a program.")
    return option(function)


def open_input(
    file: str, *, counts_from: str | None = None, organism: Any = None, keep_retired_ids: bool = False
) -> Dataset:
    """Return the dataset that FILE names, added to the workspace where it is not there.

    Raises
    ------
    DatasetError
        If the file is refused, with the doctor's reason, or nothing has this name.
    """
    from scfm_core.intake import open_demo

    root = Workspace.from_environment().folder("datasets")
    path = Path(file).expanduser()
    wanted = Wanted(counts_from=counts_from, organism=organism, keep_retired_ids=keep_retired_ids)
    if path.is_file():
        return _admitted_once(path, root, wanted)
    if path.exists():
        return _admitted(path, root, wanted)
    if wanted != Wanted():
        msg = (
            "--counts-from, --organism and --keep-retired-ids say how a file is read, "
            f"but {file!r} is no file here."
        )
        raise RequestError(msg, "not-a-file")
    if file.startswith(_DEMO):
        return open_demo(file.removeprefix(_DEMO), root)
    return _stored(file, root)


def read_input(options: Mapping[str, Any]) -> Dataset:
    """Return the dataset that the options of `file_argument` name."""
    names = ("counts_from", "organism", "keep_retired_ids")
    return open_input(options["file"], **{name: options[name] for name in names})


def check_out(out: Path, *, overwrite: bool, suffixes: tuple[str, ...] = ()) -> None:
    """Raise a `RequestError` where a result could not be written to a file."""
    if suffixes and out.suffix.lower() not in suffixes:
        msg = f"--out ends in {' or '.join(suffixes)}, found {out.name!r}. The ending chooses the format."
        raise RequestError(msg, "unknown-format")
    _check_parent(out)
    if out.is_dir():
        msg = f"{str(out)!r} is a folder. Name a file."
        raise RequestError(msg, "out-exists")
    if out.exists() and not overwrite:
        msg = f"{str(out)!r} exists. Choose another name, or add --overwrite to replace it."
        raise RequestError(msg, "out-exists")


def check_out_folder(out: Path, *, overwrite: bool) -> None:
    """Raise a `RequestError` where results could not be written into a folder."""
    _check_parent(out)
    if out.exists() and not out.is_dir():
        msg = f"{str(out)!r} is a file. Name a folder for the results."
        raise RequestError(msg, "out-exists")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        msg = f"The folder {str(out)!r} is not empty. Choose another one, or add --overwrite to replace results in it."
        raise RequestError(msg, "out-exists")


def _check_parent(out: Path) -> None:
    if not out.absolute().parent.is_dir():
        msg = f"The folder {str(out.parent)!r} does not exist. Make it first, or choose another place for --out."
        raise RequestError(msg, "no-folder")


def _admitted(path: Path, root: Path, wanted: Wanted) -> Dataset:
    from scfm_core.intake import admit_file, inspect_file

    if wanted == Wanted():
        return admit_file(path, root)
    return admit_file(path, root, wanted.applied_to(inspect_file(path).choices))


def _admitted_once(path: Path, root: Path, wanted: Wanted) -> Dataset:
    """Admit a file, or return what became of it last time where it was not written to since."""
    state = path.stat()
    said = [wanted.counts_from, wanted.organism, wanted.keep_retired_ids]
    seen = [str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino, *said, __version__]
    key = hashlib.sha256(json.dumps(seen).encode()).hexdigest()
    note = Workspace.from_environment().folder("inputs") / key
    if note.is_file():
        folder = root / note.read_text()
        if (folder / "manifest.json").is_file():
            return open_dataset(folder)
    dataset = _admitted(path, root, wanted)
    note.write_text(dataset.sha256)
    return dataset


def _stored(name: str, root: Path) -> Dataset:
    if re.fullmatch(r"[0-9a-f]{6,64}", name):
        found = [dataset for dataset in list_datasets(root) if dataset.sha256.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            msg = f"{len(found)} stored datasets begin with {name!r}. Write more letters of the hash."
            raise DatasetError(msg, "ambiguous")
    msg = (
        f"There is no file {name!r}, and no stored dataset whose hash begins so. Name a file, a demo such as "
        "demo:pbmc3k, or at least 6 letters of a stored dataset's hash."
    )
    raise DatasetError(msg, "no-file")
