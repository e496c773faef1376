"""What the pages hand out: tables that open, and no formula among them."""

import doctest
import io

import pandas as pd

import pages._waiting
import pages._words
from pages._show import TableFile, to_csv, to_xlsx

ABOUT = {"test": "Wilcoxon rank sum", "correction": "Benjamini-Hochberg", "question": "=HYPERLINK(1)"}
SYMBOLS = ["CD3D", "=cmd()", "+A1", "-x", "@y", "HLA-A"]
TABLE = pd.DataFrame({"symbol": SYMBOLS, "=p": [0.1, -0.2, 1e-300, 0.0, 1.0, 0.5]})


def test_spreadsheet_opens_and_says_what_it_is():
    book = to_xlsx(TableFile(label="Markers", table=lambda: TABLE, about=ABOUT))
    assert list(pd.read_excel(io.BytesIO(book), header=1).iloc[:, 1]) == list(TABLE["=p"])
    sheet = pd.read_excel(io.BytesIO(book), sheet_name="About")
    about = dict(zip(sheet["what"], sheet["value"], strict=True))
    assert about["correction"] == "Benjamini-Hochberg"


def test_no_cell_is_a_formula():
    file = TableFile(label="Markers", table=lambda: TABLE, about=ABOUT)
    sheets = pd.read_excel(io.BytesIO(to_xlsx(file)), sheet_name=None)
    for table in (pd.read_csv(io.BytesIO(to_csv(file)), comment="#"), *sheets.values()):
        words = [str(cell) for name in table for cell in (name, *table[name]) if isinstance(cell, str)]
        assert words
        assert not [word for word in words if word[0] in "=+-@"]
    assert "HLA-A" in to_csv(file).decode()


def test_numbers_stay_numbers():
    read = pd.read_csv(io.BytesIO(to_csv(TableFile(label="Markers", table=lambda: TABLE))))
    assert list(read.iloc[:, 1]) == list(TABLE["=p"])


def test_examples_in_the_pages_hold():
    for module in (pages._words, pages._waiting):
        found = doctest.testmod(module)
        assert found.attempted
        assert not found.failed
