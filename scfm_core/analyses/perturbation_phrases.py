"""Names and numbers of a perturbation as a reader says them: the edit, the cells, a share, a p; knows no verdicts."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

Row = Mapping[Any, Any] | pd.Series
_LONGEST_NAME = 80
_QUARTILES = {"1": "one quartile", "2": "two quartiles", "3": "three quartiles"}
_PART = re.compile(
    r"(?P<kind>overexpress|inhibit|activate|scale) (?P<gene>.+?)(?: x(?P<factor>[\d.]+)| by (?P<number>\d) quartiles)?"
)  # as `scfm_core.tokens.edit_in_words` writes them
_GERUND = {
    "delete": "deleting",
    "overexpress": "overexpressing",
    "inhibit": "inhibiting",
    "activate": "activating",
    "scale": "scaling",
}


def three_digits(value: float) -> str:
    """Write a number with three significant digits; very small ones as 1.23e-05, exactly 0 as 0.

    Examples
    --------
    >>> [three_digits(value) for value in (0.0123456, 0.5, 12345.6, 0.0000123456, 0.0, float("nan"))]
    ['0.0123', '0.500', '12,346', '1.23e-05', '0', 'not defined']
    """
    if not known(value):
        return "not defined"
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.0f}" if size >= 99.95 else f"{value:#.3g}"


def percent(share: float) -> str:
    """Write a share as per cent, never rounded to none or all.

    Examples
    --------
    >>> [percent(share) for share in (0.0, 0.00002, 0.0034, 0.0198, 0.384, 0.9996, 1.0)]
    ['0 %', 'less than 0.1 %', '0.34 %', '2 %', '38 %', 'more than 99 %', '100 %']
    """
    hundredths = 100 * share
    if 0 < hundredths < 0.1:
        return "less than 0.1 %"
    if 99 < hundredths < 100:
        return "more than 99 %"
    return f"{hundredths:.0f} %" if hundredths >= 9.5 else f"{float(f'{hundredths:.2g}'):g} %"


def counted(number: int, noun: str = "cell") -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1), counted(2700), counted(3, "donor")
    ('1 cell', '2,700 cells', '3 donors')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def known(value: Any) -> bool:
    """Return whether a value of a table is there: neither None nor NaN."""
    return value is not None and value == value


def listed(names: list[str]) -> str:
    """Join names with commas and a last "and".

    Examples
    --------
    >>> listed(["LYZ", "CD3D", "MS4A1"])
    'LYZ, CD3D and MS4A1'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def edit_in_words(row: Row) -> str:
    """Say what was done to the input, as the beginning of a sentence.

    Parameters
    ----------
    row
        With ``edit``, the label of the edit.

    Examples
    --------
    >>> edit_in_words({"edit": "LYZ+CD3D+scale GATA4 x0.5"})
    'Deleting LYZ and CD3D and scaling GATA4 to 0.5 times its value, together,'
    >>> edit_in_words({"edit": "inhibit GATA4 by 2 quartiles"})
    'Inhibiting GATA4 by two quartiles of the ranks'
    """
    actions: dict[tuple[str, str], list[str]] = {}
    for part in str(row["edit"]).split("+"):
        kind, gene, amount = _read(part)
        actions.setdefault((kind, amount), []).append(short(gene))
    said = [_action(kind, amount, genes) for (kind, amount), genes in actions.items()]
    words = listed(said)
    together = ", together," if len(said) > 1 else " together" if _n_genes(row) > 1 else ""
    return f"{words[0].upper()}{words[1:]}{together}"


def genes_in_words(row: Row) -> str:
    """Return the genes of an edit, as the object of a sentence.

    Examples
    --------
    >>> genes_in_words({"edit": "LYZ+overexpress CD3D"})
    'LYZ and CD3D'
    """
    return listed([short(_read(part)[1]) for part in str(row["edit"]).split("+")])


def holding_in_words(row: Row) -> str:
    """Say which cells an edit changes, behind "that" or "of which".

    Examples
    --------
    >>> [holding_in_words({"edit": edit}) for edit in ("LYZ", "LYZ+CD3D", "overexpress LYZ")]
    ['hold the gene', 'hold at least one of the genes', 'have their input changed by it']
    """
    if any(_read(part)[0] == "overexpress" for part in str(row["edit"]).split("+")):
        return "have their input changed by it"
    return "hold at least one of the genes" if _n_genes(row) > 1 else "hold the gene"


def group_in_words(row: Row) -> str:
    """Return the cells of a row, as the object of a sentence.

    Examples
    --------
    >>> [group_in_words({"group": group}) for group in ("all cells", "CD14+ monocytes", "B", "3", "the selection")]
    ['all cells', 'the CD14+ monocytes', 'the B cells', "the cells of '3'", 'the selection']
    """
    group = short(row["group"])
    if group.startswith(("all ", "the ", "The ")):
        return group
    if group.endswith("s"):
        return f"the {group}"
    is_name = group[-1:].isalpha() and "=" not in group
    return f"the {group} cells" if is_name else f"the cells of {group!r}"


def random_gene(row: Row) -> str:
    """Return what an edit is compared with, as the subject of a sentence."""
    return "a random set of genes" if _n_genes(row) > 1 else "a random gene"


def random_genes(row: Row, number: int) -> str:
    """Return how many random genes, or sets of genes, an edit is compared with."""
    if _n_genes(row) > 1:
        return f"{number:,} random {'set' if number == 1 else 'sets'} of genes"
    return f"{number:,} random {'gene' if number == 1 else 'genes'}"


def short(name: Any, *, most: int = _LONGEST_NAME) -> str:
    """Return a name as one line without control characters, cut where it is too long to read."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(name)).split())
    return line if len(line) <= most else f"{line[: most - 1]}\u2026"


def _n_genes(row: Row) -> int:
    return str(row["edit"]).count("+") + 1


def _read(part: str) -> tuple[str, str, str]:
    found = _PART.fullmatch(part)
    if found is None:
        return "delete", part, ""
    return found["kind"], found["gene"], found["factor"] or found["number"] or ""


def _action(kind: str, amount: str, genes: list[str]) -> str:
    start = f"{_GERUND[kind]} {listed(genes)}"
    if kind == "scale":
        return f"{start} to {amount or '?'} times {'its value' if len(genes) == 1 else 'their values'}"
    if kind in ("inhibit", "activate"):
        return f"{start} by {_QUARTILES.get(amount, _QUARTILES['1'])} of the ranks"
    return start
