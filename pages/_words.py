"""How the pages write numbers, times and names that come from files."""

import math
import re

from scfm_core.dataset import Dataset
from scfm_core.plots.figure import grouped_number, one_line, plain_number

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:^=&@/])")

__all__ = [
    "about", "card_line", "cells_of", "count", "counted", "file_stem", "megabytes", "plain", "plain_number",
    "share", "title_of",
]  # fmt: skip


def plain(text: object, *, longest: int = 80) -> str:
    r"""Return a name from a file so that markdown shows it letter by letter.

    Examples
    --------
    >>> plain("*B* :red[cells]")
    '\\*B\\* \\:red\\[cells\\]'
    """
    return _MARKDOWN.sub(r"\\\1", one_line(text, longest=longest))


def count(number: float) -> str:
    """Write a count with thin spaces between the thousands."""
    return grouped_number(number)


def cells_of(number: int) -> str:
    """Write a number of cells with its unit.

    Examples
    --------
    >>> cells_of(1), cells_of(12)
    ('1 cell', '12 cells')
    """
    return counted(number, "cell")


def counted(number: int, what: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "group"), counted(9, "group")
    ('1 group', '9 groups')
    """
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def share(value: float) -> str:
    """Write a share as per cent with up to three significant digits.

    Examples
    --------
    >>> share(0.1234), share(1.0), share(0.00042)
    ('12.3 %', '100 %', '0.042 %')
    """
    return "not defined" if not math.isfinite(value) else f"{plain_number(100 * value)} %"


def megabytes(size_bytes: int) -> str:
    """Write the size of files with three digits.

    Examples
    --------
    >>> megabytes(41_183_536), megabytes(1_265_455_076), megabytes(590)
    ('41.2 MB', '1.27 GB', '1 kB')
    """
    if size_bytes < 1_000_000:
        return f"{math.ceil(size_bytes / 1000)} kB"
    return f"{size_bytes / 1e6:.3g} MB" if size_bytes < 999_500_000 else f"{size_bytes / 1e9:.3g} GB"


def about(seconds: float | None) -> str:
    """Write how long something takes, rounded as an estimate is.

    Examples
    --------
    >>> about(2.2), about(38), about(200), about(6000), about(None)
    ('about 3 s', 'about 40 s', 'about 3 min', 'about 1.7 h', 'time not known yet')
    """
    if seconds is None:
        return "time not known yet"
    if seconds < 10:
        return f"about {math.ceil(seconds)} s"
    if seconds < 90:
        return f"about {math.ceil(seconds / 10) * 10} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {plain_number(round(seconds / 3600, 1))} h"


def title_of(dataset: Dataset) -> str:
    """Return a dataset's name for headings and lists, escaped."""
    return plain(dataset.title, longest=48)


def card_line(dataset: Dataset) -> str:
    """Say what a dataset holds."""
    organism = "organism not known" if dataset.organism == "unknown" else dataset.organism
    return f"{organism}, {cells_of(dataset.n_cells)}, {count(dataset.n_genes)} genes"


def file_stem(*words: object) -> str:
    """Return a file name without an ending, of letters that every system takes.

    Examples
    --------
    >>> file_stem("PBMC 3k", "markers")
    'PBMC_3k-markers'
    """
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", str(word)).strip("_.")[:60] or "x" for word in words)
