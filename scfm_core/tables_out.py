"""Tables as files that say what they are: CSV, XLSX and Parquet; knows columns and facts, no questions."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

XLSX_ROWS = 200_000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_BREAK = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")
_FORMULA_INSIDE = re.compile(r"([,;\t][ \t]*)(?=[=+@-])(?!-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\s*(?:[,;\]\})]|$))")
_IN_ONE_LINE = ("test", "correction", "n", "dataset", "dataset sha256", "versions")
_HASH_LETTERS = 12


def to_csv(table: pd.DataFrame, about: Mapping[str, str] | None = None) -> bytes:
    r"""Return a table as CSV: lines ``# name: value`` first, then the header and the rows.

    Texts are quoted, so that a ``#`` inside one is no remark: ``pandas.read_csv(path, comment="#")`` and R's
    ``read.csv(path, comment.char="#")`` read it back. A text that a spreadsheet would run as a formula gets an
    apostrophe in front, in the remarks too.

    Examples
    --------
    >>> print(to_csv(pd.DataFrame({"symbol": ["CD3D"], "p": [0.01]}), {"test": "Wilcoxon rank sum"}).decode())
    # test: Wilcoxon rank sum
    "symbol","p"
    "CD3D",0.01
    <BLANKLINE>
    """
    remarks = "".join(f"# {_remark(name)}: {_remark(value)}\n" for name, value in (about or {}).items())
    rows = without_formulas(table).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    return (remarks + rows).encode()


def to_xlsx(table: pd.DataFrame, about: Mapping[str, str] | None = None) -> bytes:
    """Return a table as a spreadsheet: one line on top, the table under it, and all facts on the sheet "About".

    The line and the header stay in view. ``pandas.read_excel(path, header=1)`` reads the table where there are facts,
    and the usual header where there are none. More than 200,000 rows are cut, and the sheet "About" says so.
    """
    facts = dict(about or {})
    if len(table) > XLSX_ROWS:
        facts["rows"] = f"the first {XLSX_ROWS:,} of {len(table):,} rows; the CSV file holds all"
    top = 1 if facts else 0
    out = io.BytesIO()
    with pd.ExcelWriter(out, engine="openpyxl") as book:
        shown = without_formulas(table).iloc[:XLSX_ROWS]
        shown.to_excel(book, sheet_name="Table", index=False, startrow=top, freeze_panes=(top + 1, 0))
        _widen(book.sheets["Table"], row=top + 1)
        if facts:
            book.sheets["Table"].cell(row=1, column=1, value=str(safe_cell(one_line_about(facts))))
            notes = [(safe_cell(name), safe_cell(str(value))) for name, value in facts.items()]
            pd.DataFrame(notes, columns=["what", "value"]).to_excel(book, sheet_name="About", index=False)
            _widen(book.sheets["About"], row=1)
    return out.getvalue()


def write_table(table: pd.DataFrame, path: Path, about: Mapping[str, str] | None = None) -> None:
    """Write a table as ``.csv``, ``.xlsx`` or ``.parquet``, whole or not at all.

    Parquet keeps the facts, and ``pandas.read_parquet`` returns them in ``attrs``.
    """
    partial = path.with_name(f".part-{path.name}")
    try:
        match path.suffix.lower():
            case ".parquet":
                told = table.copy(deep=False)
                told.attrs.update(about or {})
                told.to_parquet(partial, index=False)
            case ".xlsx":
                partial.write_bytes(to_xlsx(table, about))
            case _:
                partial.write_bytes(to_csv(table, about))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def one_line_about(about: Mapping[str, str]) -> str:
    """Return test, correction, n, dataset and versions in one line; all facts where none of these is among them.

    Examples
    --------
    >>> one_line_about({"test": "Welch's t", "correction": "none", "question": "{}", "dataset sha256": "ab" * 32})
    "Test: Welch's t. Correction: none. Dataset sha256: abababababab."
    """
    named = [name for name in _IN_ONE_LINE if about.get(name)] or list(about)
    said = []
    for name in named:
        value = _BREAK.sub(" ", str(about[name])).rstrip(". ")
        said.append(f"{name[:1].upper()}{name[1:]}: {value[:_HASH_LETTERS] if name.endswith('sha256') else value}.")
    return " ".join(said)


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before every text, and name of a column, that begins like a formula.

    Examples
    --------
    >>> without_formulas(pd.DataFrame({"group": ["T cells", "=1+1"]}))["group"].tolist()
    ['T cells', "'=1+1"]
    """
    out = table.copy(deep=False)
    out.columns = pd.Index([str(safe_cell(str(name))) for name in table.columns])
    for place in range(out.shape[1]):  # by place: two columns may have one name
        column = table.iloc[:, place]
        if not pd.api.types.is_numeric_dtype(column):
            out.isetitem(place, column.astype(object).map(safe_cell, na_action="ignore").to_numpy())
    return out


def safe_cell(value: object) -> object:
    """Return a table cell that no spreadsheet takes for a formula.

    Examples
    --------
    >>> safe_cell("=1+1"), safe_cell("HLA-A"), safe_cell(-1.5)
    ("'=1+1", 'HLA-A', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def _remark(text: object) -> str:
    """Return a text in one line; a spreadsheet cuts it at commas, and runs no piece of it."""
    return _FORMULA_INSIDE.sub(r"\1'", _BREAK.sub(" ", str(text)))


def _widen(sheet: Any, *, row: int) -> None:
    for cell in sheet[row]:
        sheet.column_dimensions[cell.column_letter].width = max(12, min(len(str(cell.value)) + 2, 40))
