"""Any question as Python source that builds it again: imports, the dataset by hash, models by key, the question."""

import base64
import re
import textwrap
import zlib
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any

from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError, ScfmError
from scfm_core.model import ModelSpec
from scfm_core.registry import find_model
from scfm_core.report.wording import dataset_of
from scfm_core.request import Request

_WIDTH = 120
_MANY = 8
_WORD = re.compile(r"[^\s\"'\\]+")
_ASKED = {
    "EmbedCells": "embedding",
    "ProjectCells": "projection",
    "ClusterCells": "clusters",
    "FindNeighbors": "neighbors",
    "FindMarkers": "markers",
    "MeasureQuality": "quality",
    "ReadExpression": "expression",
    "EnrichGenes": "enrichment",
}


@dataclass(frozen=True)
class Source:
    """Python source of some questions.

    Attributes
    ----------
    imports
        Sorted import statements.
    lines
        Statements that build the questions, in order.
    names
        The variable that holds each question.
    """

    imports: tuple[str, ...]
    lines: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """Imports and statements as one piece."""
        return "\n".join([*self.imports, "", *self.lines]) + "\n"


def source_of(request: Request[Any]) -> str:
    """Return Python source whose last variable, ``question``, equals a request.

    The source names the dataset by the hash of its content, looks for it in the workspace, and stops with words where
    another one, or other weights of a model, are found. Parameters are written out even where they have their defaults.

    Raises
    ------
    RequestError
        If the request holds what cannot be written down.
    """
    source = sources_of([request])
    name = source.names[0]
    last = "" if name == "question" else f"question = {name}\n"
    return source.text + last


def sources_of(requests: Sequence[Request[Any]]) -> Source:
    """Return the source of several questions, which share dataset, models and nested questions."""
    writer = _Writer()
    names = tuple(writer.named(request) for request in requests)
    return Source(tuple(sorted(writer.imports, key=_import_order)), tuple(writer.lines), names)


def _import_order(line: str) -> tuple[bool, bool, str]:
    return "scfm_core" in line, line.startswith("from "), line


@dataclass
class _Writer:
    imports: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    known: dict[Any, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    dataset: Dataset | None = None

    def named(self, value: Any) -> str:
        """Return the variable that holds a value, and write the statements that make it where there are none yet."""
        key = (type(value).__name__, getattr(value, "identity", None) or value)
        if key not in self.known:
            self.dataset = dataset_of(value) or self.dataset
            write: dict[type, Callable[[Any], str]] = {
                Dataset: self._dataset, ModelSpec: self._model, CellSet: self._cells,
            }  # fmt: skip
            self.known[key] = write.get(type(value), self._question)(value)
        return self.known[key]

    def expression(self, value: Any, indent: int) -> str:
        """Return a value as an expression; what deserves a name gets a variable."""
        match value:
            case Request() | Dataset() | ModelSpec() | CellSet():
                return self.named(value)
            case None | bool() | int() | float() | str():
                return _plain(value)
            case bytes():
                return self._bytes(value)
            case tuple():
                return self._tuple(value, indent)
            case _ if is_dataclass(value):
                return self._call(value, indent)
        msg = f"A {type(value).__name__} inside a question cannot be written as Python source."
        raise RequestError(msg, "no-source")

    def _question(self, value: Any) -> str:
        built = self._call(value, 0)
        name = self._free(_ASKED.get(type(value).__name__, "question" if isinstance(value, Request) else "value"))
        self.lines.append(f"{name} = {built}")
        return name

    def _dataset(self, dataset: Dataset) -> str:
        self.imports |= {
            "from scfm_core.dataset import open_dataset",
            "from scfm_core.workspace import Workspace",
        }
        name = self._free("dataset")
        sha256 = self._free("sha256")
        self.lines += [
            f"{sha256} = {_plain(dataset.sha256)}  # {_comment(dataset.title)}",
            f'folder = Workspace.from_environment().folder("datasets") / {sha256}',
            'if not (folder / "manifest.json").is_file():',
            f'    raise SystemExit(f"Dataset {{{sha256}}} is not in the workspace (SCFM_WORKSPACE). Add its file.")',
            f"{name} = open_dataset(folder)",
            f"if {name}.sha256 != {sha256}:",
            '    raise SystemExit("This is another dataset.")',
        ]
        return name

    def _model(self, model: ModelSpec) -> str:
        self.imports.add("from scfm_core.registry import find_model")
        name = self._free("pca" if model.key == "pca" else "model")
        found = f"find_model({_plain(model.key)})"
        if _identity_of(model.key) != model.identity:
            self.imports.add("from scfm_core.weights import installed")
            found = f"installed({found})"
        self.lines += [
            f"{name} = {found}",
            f"if {name}.identity != {_long_text(model.identity)}:",
            f'    raise SystemExit("Other weights of {model.key}, or none, are here.")',
        ]
        return name

    def _cells(self, cells: CellSet) -> str:
        self.imports.add("from scfm_core.cell_set import CellSet")
        column = _column_of(self.dataset, cells)
        if column is not None and self.dataset is not None:
            dataset, name = self.named(self.dataset), self._free("cells")
            self.lines.append(f"{name} = CellSet.where({dataset}, {_plain(column)}, {_plain(cells.label)})")
            return name
        bits, name = self._bytes(cells.bits), self._free("cells")
        label = f"label={_plain(cells.label)}, bits={bits}, n_cells={cells.n_cells}"
        self.lines.append(f"{name} = CellSet({label})  # {len(cells):,} cells")
        return name

    def _bytes(self, value: bytes) -> str:
        """Write bytes as packed text, in a variable of their own where they are long."""
        self.imports |= {"import base64", "import zlib"}
        text = base64.b64encode(zlib.compress(value, 9)).decode()
        return f"zlib.decompress(base64.b64decode({_long_text(text)}))"

    def _tuple(self, items: tuple[Any, ...], indent: int) -> str:
        if len(items) > _MANY and all(isinstance(item, str) and _WORD.fullmatch(item) for item in items):
            return f'tuple("""\n{textwrap.fill(" ".join(items), _WIDTH, break_long_words=False)}\n""".split())'
        written = [self.expression(item, indent + 4) for item in items]
        line = f"({', '.join(written)}{',' if len(items) == 1 else ''})"
        if len(line) <= _WIDTH - indent - 20 or not items:
            return line
        pad = " " * (indent + 4)
        return "(\n" + "".join(f"{pad}{one},\n" for one in written) + " " * indent + ")"

    def _call(self, value: Any, indent: int) -> str:
        kind = type(value)
        self.imports.add(f"from {kind.__module__} import {kind.__qualname__}")
        shown = [one for one in fields(value) if one.init and not _is_none(value, one)]
        written = [f"{one.name}={self.expression(getattr(value, one.name), indent + 4)}" for one in shown]
        line = f"{kind.__qualname__}({', '.join(written)})"
        if len(line) <= _WIDTH - indent - 20 and "\n" not in line:
            return line
        pad = " " * (indent + 4)
        return f"{kind.__qualname__}(\n" + "".join(f"{pad}{one},\n" for one in written) + " " * indent + ")"

    def _free(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name


def _is_none(value: Any, one: Any) -> bool:
    return getattr(value, one.name) is None and one.default is not MISSING and one.default is None


def _plain(value: Any) -> str:
    if isinstance(value, float) and value != value or value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    if isinstance(value, str):
        quoted = repr(value)
        return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in value else quoted
    return repr(value)


def _long_text(text: str) -> str:
    if len(text) <= _WIDTH:
        return f'"{text}"'
    return "(\n" + "".join(f'    "{piece}"\n' for piece in textwrap.wrap(text, _WIDTH - 8)) + ")"


def _comment(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:80]


def _identity_of(key: str) -> str:
    try:
        return find_model(key).identity
    except ScfmError:
        return ""


def _column_of(dataset: Dataset | None, cells: CellSet) -> str | None:
    """Return the column in which these cells are those with the value that is their label; None where there is none."""
    if dataset is None or cells.n_cells != dataset.n_cells:
        return None
    for column in dataset.cells().columns:
        try:
            if CellSet.where(dataset, str(column), cells.label) == cells:
                return str(column)
        except RequestError:
            continue
    return None
