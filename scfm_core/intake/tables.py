"""Reads text tables of counts, ``.csv`` and ``.tsv``, genes in rows or in columns, line by line, keeping non-zeros."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.errors import DatasetError
from scfm_core.intake.contents import Candidate, Contents, InMemory, check_shape
from scfm_core.intake.findings import Finding
from scfm_core.intake.gene_names import genes_in_rows
from scfm_core.intake.limits import Limits, check_declared

_DELIMITERS = (b"\t", b",", b";", b" ")
_MISSING = {b"", b"NA", b"NaN", b"nan", b"N/A", b"null", b"NULL", b"None"}


@dataclass(frozen=True)
class _Layout:
    """How the lines of a table are cut into fields.

    Attributes
    ----------
    columns
        Name of every field of a line, also of those that hold names.
    texts
        Positions of the fields that hold no numbers; the first is the name of the row.
    """

    delimiter: bytes
    columns: tuple[str, ...]
    texts: tuple[int, ...]


@dataclass
class _Rows:
    """The values read so far."""

    names: list[list[str]] = field(default_factory=list)  # one list per text column
    values: list[NDArray[np.float64]] = field(default_factory=list)
    positions: list[NDArray[np.int32]] = field(default_factory=list)
    n_bytes: int = 0


def read_table(path: Path, limits: Limits) -> Contents:
    """Read a text table with names on both sides.

    Raises
    ------
    DatasetError
        With code ``"broken-table"`` if lines differ in length or a number cannot be read, ``"no-names"`` if rows or
        columns have no names.
    """
    with path.open("rb") as file:
        lines = _lines(file, limits)
        header = next(lines, b"")
        first = next(lines, b"")
        layout = _layout(header, first)
        rows = _Rows(names=[[] for _ in layout.texts])
        _read_line(first, 2, layout, rows)
        for number, line in enumerate(lines, start=3):
            _read_line(line, number, layout, rows)
            check_declared("The table", rows.n_bytes, limits.array_bytes)
    return _contents(layout, rows, limits)


def _contents(layout: _Layout, rows: _Rows, limits: Limits) -> Contents:
    numbers = [name for position, name in enumerate(layout.columns) if position not in layout.texts]
    check_shape((len(rows.values), len(numbers)))
    pointers = np.concatenate([[0], np.cumsum([len(values) for values in rows.values])])
    parts = (np.concatenate(rows.values), np.concatenate(rows.positions), pointers)
    matrix = csr_matrix(parts, shape=(len(rows.values), len(numbers)))
    row_table = pd.DataFrame(
        {layout.columns[position]: names for position, names in zip(layout.texts[1:], rows.names[1:], strict=True)},
        index=pd.Index(rows.names[0], dtype=object),
    )
    column_table = pd.DataFrame(index=pd.Index(numbers, dtype=object))
    turned = genes_in_rows(rows.names[0], numbers)
    cells, genes = (column_table, row_table) if turned else (row_table, column_table)
    values = InMemory(matrix.T.tocsr() if turned else matrix, limits)
    finding = Finding(
        code="orientation",
        level="good",
        title=f"Genes in {'rows' if turned else 'columns'}, cells in {'columns' if turned else 'rows'}",
        reason="Told from which side carries gene names.",
    )
    return Contents(
        file_format=f"text table, {_delimiter_name(layout.delimiter)} between values",
        cells=cells,
        candidates=(Candidate(name="X", values=values, genes=genes),),
        findings=(finding,),
    )


def _lines(file: BinaryIO, limits: Limits) -> Iterator[bytes]:
    longest = limits.array_bytes // 8
    first = True
    while line := file.readline(longest + 1):
        check_declared("One line of the table", len(line), longest)
        if first:
            line = line.removeprefix(b"\xef\xbb\xbf")
        line = line.rstrip(b"\r\n")
        if line.strip() and not (first and line.startswith((b"#", b"%"))):
            first = False
            yield line


def _layout(header: bytes, first: bytes) -> _Layout:
    """Tell delimiter, names and text columns from the first two lines."""
    delimiter = max(_DELIMITERS, key=lambda mark: (min(header.count(mark) + 1, first.count(mark)), -ord(mark)))
    names, fields = _split(header, delimiter), _split(first, delimiter)
    if len(fields) < 2 or not first:
        msg = "The text file is no table of counts: expected names in the first line and in the first column."
        raise DatasetError(msg, "broken-table")
    if len(fields) == len(names) + 1:  # R leaves the corner away
        names = ["", *names]
    if len(fields) != len(names):
        msg = f"The first line of the table has {len(names):,} fields and the second {len(fields):,}. Save it again."
        raise DatasetError(msg, "broken-table")
    texts = tuple(n for n, text in enumerate(fields) if not _is_number(text.encode()))
    if 0 not in texts and names[0].lower() in ("", "index", "cell", "gene", "barcode", "unnamed: 0"):
        texts = (0, *texts)
    if not texts or texts[0] != 0 or sum(_is_number(name.encode()) for name in names[1:]) > 0.9 * len(names[1:]) > 1:
        msg = (
            "The table needs names on both sides: cells and genes in the first line and the first column. "
            "Add them, or bring the matrix with its genes.tsv and barcodes.tsv."
        )
        raise DatasetError(msg, "no-names")
    if len(texts) == len(fields):
        msg = "The table holds text alone, no numbers. Bring a table of counts."
        raise DatasetError(msg, "broken-table")
    return _Layout(delimiter, tuple(names), texts)


def _read_line(line: bytes, number: int, layout: _Layout, rows: _Rows) -> None:
    marks, fields = _fields(line, layout)
    if len(marks) + 1 != len(layout.columns):
        msg = (
            f"Line {number:,} of the table has {len(marks) + 1:,} fields, but {len(layout.columns):,} are expected. "
            "The file may be cut short; save or download it again."
        )
        raise DatasetError(msg, "broken-table")
    starts, ends = np.concatenate([[0], marks + 1]), np.concatenate([marks, [len(fields)]])
    for names, position in zip(rows.names, layout.texts, strict=True):
        names.append(_unquoted(fields[starts[position] : ends[position]]))
    raw = np.frombuffer(fields, dtype=np.uint8)
    telling = ((raw >= ord("1")) & (raw <= ord("9"))) | (raw >= ord("A"))  # a field without such a byte is zero
    full = np.zeros(len(starts), dtype=bool)
    full[np.searchsorted(marks, np.flatnonzero(telling))] = True
    full |= starts == ends
    full[list(layout.texts)] = False
    chosen = np.flatnonzero(full)
    values = np.array([_number(fields[starts[n] : ends[n]], number, layout.columns[n]) for n in chosen], np.float64)
    shift = np.searchsorted(np.array(layout.texts), chosen)
    rows.values.append(values)
    rows.positions.append((chosen - shift).astype(np.int32))
    rows.n_bytes += 12 * len(values) + 200


def _fields(line: bytes, layout: _Layout) -> tuple[NDArray[np.int64], bytes]:
    """Return where the delimiters stand, and the line without quotation marks around its fields."""
    if b'"' in line:
        plain = [text.encode().replace(layout.delimiter, b"_") for text in _split(line, layout.delimiter)]
        line = layout.delimiter.join(plain)
    return np.flatnonzero(np.frombuffer(line, dtype=np.uint8) == ord(layout.delimiter)), line


def _split(line: bytes, delimiter: bytes) -> list[str]:
    text = line.decode("utf-8", "replace")
    if '"' not in text:
        return [part.strip() for part in text.split(delimiter.decode())]
    csv.field_size_limit(1 << 20)
    return [part.strip() for part in next(csv.reader([text], delimiter=delimiter.decode()))]


def _number(text: bytes, line: int, column: str) -> float:
    plain = text.strip()
    if plain in _MISSING:
        return float("nan")
    try:
        return float(plain)
    except ValueError:
        shown = plain[:40].decode("utf-8", "replace")
        msg = f"Line {line:,} of the table holds {shown!r} in column {column[:60]!r} where a number is expected."
        raise DatasetError(msg, "broken-table") from None


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return text.strip() in _MISSING
    return True


def _unquoted(text: bytes) -> str:
    return text.decode("utf-8", "replace").strip().strip('"')


def _delimiter_name(delimiter: bytes) -> str:
    return {b"\t": "tabs", b",": "commas", b";": "semicolons", b" ": "spaces"}[delimiter]
