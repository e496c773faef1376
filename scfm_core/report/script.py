"""A script and a notebook that ask some questions again, draw figures, and compare the numbers with the page's."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scfm_core import __version__
from scfm_core.dataset import Dataset
from scfm_core.report.code import sources_of
from scfm_core.report.figure_steps import figure_lines
from scfm_core.report.numbers import key_numbers
from scfm_core.report.provenance import software
from scfm_core.report.wording import dataset_of
from scfm_core.request import Request

_IMPORTS = (
    "from pathlib import Path",
    "from scfm_core.engine import Engine, ThreadExecutor",
    "from scfm_core.report.answer_tables import answer_tables",
    "from scfm_core.report.numbers import differences",
    "from scfm_core.report.provenance import provenance",
    "from scfm_core.store import Store",
    "from scfm_core.tables_out import write_table",
)
_DRAWING = "from scfm_core.plots.print import to_png, to_svg"


@dataclass(frozen=True)
class Asked:
    """A question of a page, and its answer where it is there already; without one the script compares nothing."""

    request: Request[Any]
    answer: Any = None


@dataclass
class _Cells:
    """What the script is made of: pieces of text and of code, in order."""

    pieces: list[tuple[str, str]] = field(default_factory=list)

    def text(self, words: str) -> None:
        self.pieces.append(("markdown", words))

    def code(self, *lines: str) -> None:
        self.pieces.append(("code", "\n".join(lines).strip("\n")))


def script_of(asked: Sequence[Asked], *, title: str) -> str:
    """Return a Python script as text.

    It computes every answer anew, in a folder ``scfm-answers`` beside it, writes each table as CSV and each figure as
    SVG, and ends with an error where a number differs from the page's by more than one part in ten thousand.
    """
    written = []
    for kind, text in _cells(asked, title=title).pieces:
        written.append(text if kind == "code" else "\n".join(f"# {line}".rstrip() for line in text.split("\n")))
    return "\n\n".join(written) + "\n"


def notebook_of(asked: Sequence[Asked], *, title: str) -> bytes:
    """Return the same as a Jupyter notebook (nbformat 4.5), which shows tables and figures too."""
    cells = []
    for number, (kind, text) in enumerate(_cells(asked, title=title, shows=True).pieces):
        lines = text.splitlines(keepends=True)
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": lines}
        cells.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    book = {"cells": cells, "metadata": {**about, "language_info": {"name": "python"}}, "nbformat": 4}
    return json.dumps({**book, "nbformat_minor": 5}, indent=1).encode()


def _cells(asked: Sequence[Asked], *, title: str, shows: bool = False) -> _Cells:
    requests = [one.request for one in asked]
    source = sources_of(requests)
    dataset = next(filter(None, map(dataset_of, requests)), None)
    answers = {f"{name}_answer": request for name, request in zip(source.names, requests, strict=True)}
    steps = {name: figure_lines(request, name, _without(answers, name), dataset) for name, request in answers.items()}
    cells = _Cells()
    cells.text(_head(title, dataset))
    imports = [*_IMPORTS, *source.imports, *(line for lines, _ in steps.values() for line in lines)]
    imports += [_DRAWING] if any(lines for _, lines in steps.values()) else []
    imports += ["from IPython.display import Image, display"] if shows and _DRAWING in imports else []
    cells.code(*_sorted(imports))
    cells.text("The dataset, the models and the questions")
    cells.code(*source.lines)
    cells.text("Answers are computed anew, and kept in a folder beside this file")
    cells.code('engine = Engine(Store(Path("scfm-answers")), ThreadExecutor())', "wrong = []")
    for (answer, request), question, one in zip(answers.items(), source.names, asked, strict=True):
        cells.text(f"{type(request).__name__} ({request.identity[:12]})")
        cells.code(*_answer_lines(answer, question, one, has_dataset=dataset is not None))
    for answer, question in zip(answers, source.names, strict=True):
        lines = steps[answer][1]
        if lines:
            cells.text(f"Figure of {type(answers[answer]).__name__}")
            cells.code(*lines, *_drawn(question, shows=shows))
    cells.text("Do the numbers equal those on the page?")
    cells.code(*_closing_lines(asked))
    return cells


def _answer_lines(answer: str, question: str, asked: Asked, *, has_dataset: bool) -> list[str]:
    dataset = "dataset" if has_dataset else "None"
    lines = [
        f"{answer} = engine.compute({question})",
        f"for name, table in answer_tables({answer}, {dataset}).items():",
        f'    write_table(table, Path(f"{question}-{{name}}.csv"), provenance({dataset}, {question}))',
        f'    print("{question}", name, table.head(10), sep="\\n")',
    ]
    if asked.answer is None:
        return [*lines, "# No answer stood on the page when this file was written, so there is nothing to compare."]
    return [*lines, f"expected = {_written(key_numbers(asked.answer))}", f"wrong += differences({answer}, expected)"]


def _written(value: Any, indent: int = 0) -> str:
    """Return plain values as Python, what holds no further names in one line."""
    if not isinstance(value, dict) or not any(isinstance(one, dict) for one in value.values()):
        return repr(value)
    pad = " " * (indent + 4)
    rows = [f"{pad}{name!r}: {_written(one, indent + 4)},\n" for name, one in value.items()]
    return "{\n" + "".join(rows) + " " * indent + "}"


def _drawn(question: str, *, shows: bool) -> list[str]:
    lines = [f'Path("{question}.svg").write_bytes(to_svg(figure))']
    return [*lines, "display(Image(to_png(figure)))"] if shows else lines


def _closing_lines(asked: Sequence[Asked]) -> list[str]:
    n_compared = sum(one.answer is not None for one in asked)
    return [
        "engine.close()",
        "if wrong:",
        '    raise SystemExit("These numbers differ from the page:\\n" + "\\n".join(wrong))',
        f'print("The numbers of {n_compared} of {len(asked)} answers were compared with the page: all equal.")',
    ]


def _head(title: str, dataset: Dataset | None) -> str:
    lines = [_one_line(title), "", f"Written by scFM Explorer {__version__}. Versions behind numbers: {software()}."]
    if dataset is not None:
        lines.append(
            f"Dataset: {_one_line(dataset.title)}, {dataset.n_cells:,} cells, {dataset.n_genes:,} genes, sha256 "
            f"{dataset.sha256}. It must lie in the workspace, which SCFM_WORKSPACE names."
        )
    lines.append("Maps (UMAP, t-SNE) can differ in the last digits between processors; tables should not.")
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:200]


def _sorted(imports: Sequence[str]) -> list[str]:
    """Return imports as a reader expects them, several names of one module in one line."""
    plain = sorted({line for line in imports if line.startswith("import ")})
    named: dict[str, set[str]] = {}
    for line in imports:
        if line.startswith("from "):
            module, _, names = line.removeprefix("from ").partition(" import ")
            named.setdefault(module, set()).update(names.split(", "))
    ours = {module: names for module, names in named.items() if module.startswith("scfm_core")}
    others = {module: names for module, names in named.items() if module not in ours}
    blocks = [[f"from {module} import {', '.join(sorted(block[module]))}" for module in sorted(block)]
              for block in (others, ours)]  # fmt: skip
    return [*plain, *blocks[0], "", *blocks[1]]


def _without(answers: Mapping[str, Request[Any]], name: str) -> dict[str, Request[Any]]:
    return {other: request for other, request in answers.items() if other != name}
