"""Writes a table in the format that the name of the file asks for."""

from pathlib import Path

import pandas as pd

SUFFIXES = (".csv", ".xlsx", ".parquet")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as ``.csv``, ``.xlsx`` or ``.parquet``, whole or not at all.

    In CSV and XLSX a text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    partial = path.with_name(f".part-{path.name}")
    try:
        match path.suffix.lower():
            case ".parquet":
                table.to_parquet(partial, index=False)
            case ".xlsx":
                without_formulas(table).to_excel(partial, index=False)
            case _:
                without_formulas(table).to_csv(partial, index=False)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before every text that begins like a formula.

    Examples
    --------
    >>> without_formulas(pd.DataFrame({"group": ["T cells", "=1+1"]}))["group"].tolist()
    ['T cells', "'=1+1"]
    """
    text = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    return table.assign(**{str(name): table[name].astype(object).map(_harmless) for name in text})


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
