"""Tables as files: what they are stands in them, they read back equal, and nothing in them is a formula."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scfm_core.tables_out import to_csv, to_xlsx, without_formulas, write_table

ABOUT = {
    "test": "Wilcoxon rank sum",
    "correction": "Benjamini-Hochberg over the genes of each group",
    "n": "120 cells",
    "dataset sha256": "ab" * 32,
    "versions": "scFM Explorer 0.1",
    "question": '{"cells": "a, =HYPERLINK(1)", "layer": [0, -1]}\n=cmd()',
}
TABLE = pd.DataFrame(
    {
        "symbol": ["CD3D", "#hash", 'say "#1"', "a,b", "two\nlines", "NA-like"],
        "p": [1e-300, 0.1, np.nan, 1.0, -0.5, 0.25],
        "n": [1, 2, 3, 4, 5, 6],
        "held": [True, False, True, True, False, False],
        "# group": ["#", "##", "x # y", "plain", "1", "2"],
    }
)


def read_back(content: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(content), comment="#", dtype={"symbol": str, "# group": str})


def test_csv_with_remarks_reads_back_equal():
    content = to_csv(TABLE, ABOUT)
    pd.testing.assert_frame_equal(read_back(content), TABLE)
    head = content.decode().splitlines()[: len(ABOUT)]
    assert head[0] == "# test: Wilcoxon rank sum"
    assert all(line.startswith("# ") for line in head)
    assert [line[2:].partition(": ")[0] for line in head] == list(ABOUT)


@settings(deadline=None)
@given(st.lists(st.text(alphabet='#,;"\n\t =x', min_size=1), min_size=1, max_size=5))
def test_any_text_survives(texts):
    table = pd.DataFrame({"symbol": texts, "p": np.arange(len(texts)) / 7})
    read = pd.read_csv(io.BytesIO(to_csv(table, {"test": "\n".join(texts)})), comment="#", dtype={"symbol": str})
    pd.testing.assert_frame_equal(read, without_formulas(table).astype({"symbol": read["symbol"].dtype}))


def test_a_remark_cut_at_commas_holds_no_formula():
    remarks = [line for line in to_csv(TABLE, ABOUT).decode().splitlines() if line.startswith("# ")]
    pieces = [piece.strip() for line in remarks for piece in line.replace(";", ",").replace("\t", ",").split(",")]
    assert not [piece for piece in pieces if piece[:1] in ("=", "+", "@")]
    assert "[0, -1]" in "".join(remarks)  # a number is no formula


def test_spreadsheet_says_in_one_line_what_it_is():
    book = to_xlsx(TABLE, ABOUT)
    first = pd.read_excel(io.BytesIO(book), header=None, nrows=1).iloc[0, 0]
    for words in ("Test: Wilcoxon", "Benjamini-Hochberg", "N: 120 cells", "abababababab", "scFM Explorer"):
        assert words in first
    read = pd.read_excel(io.BytesIO(book), header=1)
    assert list(read["p"].dropna()) == list(TABLE["p"].dropna())
    about = pd.read_excel(io.BytesIO(book), sheet_name="About")
    assert dict(zip(about["what"], about["value"], strict=True))["dataset sha256"] == "ab" * 32


def test_spreadsheet_keeps_line_and_header_in_view():
    openpyxl = pytest.importorskip("openpyxl")
    assert openpyxl.load_workbook(io.BytesIO(to_xlsx(TABLE, ABOUT)))["Table"].freeze_panes == "A3"
    assert openpyxl.load_workbook(io.BytesIO(to_xlsx(TABLE)))["Table"].freeze_panes == "A2"


def test_parquet_keeps_the_facts(tmp_path):
    write_table(TABLE, tmp_path / "table.parquet", ABOUT)
    read = pd.read_parquet(tmp_path / "table.parquet")
    assert read.attrs == ABOUT
    pd.testing.assert_frame_equal(read, TABLE)
    assert not TABLE.attrs


def test_a_failed_write_leaves_nothing(tmp_path):
    import pyarrow

    with pytest.raises(pyarrow.ArrowException):
        write_table(pd.DataFrame({"x": [object()]}), tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())


def test_two_columns_of_one_name_stay():
    table = pd.DataFrame([["=a", "b"]], columns=["x", "x"])
    assert without_formulas(table).iloc[0].tolist() == ["'=a", "b"]
