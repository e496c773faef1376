"""Named lists of genes: from a GMT file, from Enrichr when online, and the transcription factors; knows no analysis."""

import logging
import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from scfm_core.errors import DatasetError, RequestError
from scfm_core.genes import gene_table
from scfm_core.resources import asset

LARGEST_GMT_BYTES = 100 * 2**20
_LONGEST_LINE = 2**20
_LONGEST_NAME = 500
_LINE_END = re.compile(r"\r\n|\r|\n")  # splitlines would also cut at separators inside a name
_LIBRARY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,119}")
_GMT = "A GMT file holds one set per line: name, description and genes, with tabs between them."
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GeneSet:
    """A named list of genes.

    Attributes
    ----------
    description
        Where it comes from, or what it is.
    genes
        Symbols, or whatever the file names genes by, each once.
    """

    name: str
    description: str
    genes: tuple[str, ...]


@dataclass(frozen=True)
class GeneSets:
    """Gene sets of one source.

    Attributes
    ----------
    name
        Of the file or library.
    source
        Where the sets come from, in words.
    """

    name: str
    source: str
    sets: tuple[GeneSet, ...]

    def find(self, name: str) -> GeneSet:
        """Return the set of a name.

        Raises
        ------
        RequestError
            If there is none.
        """
        for one in self.sets:
            if one.name == name:
                return one
        shown = ", ".join(one.name for one in self.sets[:8])
        msg = f"{self.name} holds no set {name!r}. It holds {len(self.sets):,}, such as {shown}."
        raise RequestError(msg, "unknown-set")


def read_gmt(path: Path) -> GeneSets:
    """Read gene sets from a GMT file (Broad Institute's format, as MSigDB and Enrichr write it).

    A gene that a set names twice counts once; a weight behind a comma is dropped, as is a set without genes.

    Raises
    ------
    DatasetError
        If there is no such file (code "no-file"), it is no text ("not-text"), too large ("too-large"), holds no set
        ("empty"), a line that is no set ("bad-gmt"), or two different sets of one name ("repeated-set").
    """
    sets: dict[str, GeneSet] = {}
    for number, line in enumerate(_LINE_END.split(_text(path)), start=1):
        if not line.strip():
            continue
        one = _set_of(line, f"line {number:,} of {path.name}")
        known = sets.get(one.name)
        if known is not None and set(known.genes) != set(one.genes):
            msg = f"{path.name} names {one.name!r} twice, with other genes in line {number:,}. Rename one of the sets."
            raise DatasetError(msg, "repeated-set")
        if one.genes:
            sets[one.name] = one
    if not sets:
        msg = f"{path.name} holds no gene set. {_GMT}"
        raise DatasetError(msg, "empty")
    return GeneSets(name=path.stem, source=f"the file {path.name}", sets=tuple(sets.values()))


def fetch_gene_sets(
    library: str, *, organism: Literal["human", "mouse"] = "human", timeout_seconds: float = 60.0
) -> GeneSets:
    """Fetch a library of gene sets from Enrichr, through gseapy.

    Raises
    ------
    RequestError
        If there is no such library (code "unknown-library"), or Enrichr cannot be reached or does not answer in time
        ("offline").

    References
    ----------
    Kuleshov et al. 2016, doi:10.1093/nar/gkw377; gseapy: Fang et al. 2023, doi:10.1093/bioinformatics/btac757.
    """
    if not _LIBRARY.fullmatch(library) or library.lower().endswith(".gmt"):  # gseapy would open a file of this name
        msg = f"Enrichr names its libraries like MSigDB_Hallmark_2020, found {library!r}. Choose one of them."
        raise RequestError(msg, "unknown-library")
    answer: Future[dict[str, list[str]]] = Future()
    asking = threading.Thread(target=partial(_ask_enrichr, library, organism, answer), daemon=True)
    asking.start()  # gseapy waits without end
    try:
        found = answer.result(timeout_seconds)
    except TimeoutError as error:
        msg = _offline(library, f"no answer within {timeout_seconds:.0f} s")
        raise RequestError(msg, "offline") from error
    except ValueError as error:
        msg = f"Enrichr has no library {library!r} for {organism}. Its page (maayanlab.cloud/Enrichr) lists them."
        raise RequestError(msg, "unknown-library") from error
    except OSError as error:
        raise RequestError(_offline(library, type(error).__name__), "offline") from error
    sets = (GeneSet(name, library, tuple(dict.fromkeys(genes))) for name, genes in found.items())
    return GeneSets(name=library, source=f"the library {library} of Enrichr", sets=tuple(sets))


@lru_cache(maxsize=2)
def transcription_factors(organism: str) -> GeneSet:
    """Return the transcription factors of an organism, by their current symbols.

    Human: the catalogue of Lambert et al. 2018. Mouse: the mouse genes of the same names, and no others; the
    description says how many names have none.

    Raises
    ------
    RequestError
        For any other organism (code "no-list").

    References
    ----------
    Lambert et al. 2018, doi:10.1016/j.cell.2018.01.029, version 1.01.

    Examples
    --------
    >>> len(transcription_factors("human").genes), "GATA4" in transcription_factors("human").genes
    (1631, True)
    """
    if organism not in ("human", "mouse"):
        msg = f"Transcription factors are known for human and mouse, found {organism!r}. Give a list of genes instead."
        raise RequestError(msg, "no-list")
    lines = (asset("genes") / "human_transcription_factors.txt").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    table = gene_table("human" if organism == "human" else "mouse")
    symbols = [table.symbols[table.ids[name.upper()]] for name in names if name.upper() in table.ids]
    source = "the catalogue of Lambert et al. 2018"
    lost = f"{len(names) - len(symbols):,} of {len(names):,} names of {source}"
    if organism == "human":
        words = f"Human transcription factors, {source}; {lost} lead to no gene known today."
    else:
        words = f"Mouse genes named as human transcription factors are; {lost} have no mouse gene of the same name."
    return GeneSet(f"{organism} transcription factors", words, tuple(dict.fromkeys(symbols)))


def _text(path: Path) -> str:
    if not path.is_file():
        msg = f"There is no file {str(path)!r}. Name a GMT file of gene sets."
        raise DatasetError(msg, "no-file")
    with path.open("rb") as file:
        content = file.read(LARGEST_GMT_BYTES + 1)
    if len(content) > LARGEST_GMT_BYTES:
        msg = f"{path.name} is larger than {LARGEST_GMT_BYTES // 2**20} MB; no file of gene sets is. Choose another."
        raise DatasetError(msg, "too-large")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        packed = " It is packed: unpack it first." if content.startswith((b"\x1f\x8b", b"PK")) else ""
        msg = f"{path.name} is no text. {_GMT}{packed}"
        raise DatasetError(msg, "not-text")
    return text


def _set_of(line: str, where: str) -> GeneSet:
    fields = [field.strip() for field in line.split("\t")] if len(line) <= _LONGEST_LINE else []
    if len(fields) < 2 or not fields[0] or len(fields[0]) > _LONGEST_NAME:
        found = f"{len(line):,} characters" if not fields else f"{len(fields):,} fields, the first {fields[0][:40]!r}"
        msg = f"Expected a gene set in {where}, found {found}. {_GMT}"
        raise DatasetError(msg, "bad-gmt")
    genes = (field.partition(",")[0].strip() for field in fields[2:])
    return GeneSet(fields[0], fields[1], tuple(dict.fromkeys(gene for gene in genes if gene)))


def _ask_enrichr(library: str, organism: str, answer: "Future[dict[str, list[str]]]") -> None:
    try:
        import gseapy

        answer.set_result(gseapy.get_library(library, organism=organism, max_size=10**9))
    except (OSError, ValueError) as error:
        answer.set_exception(error)
    except Exception as error:  # gseapy raises bare ones where Enrichr refuses
        logger.warning("Enrichr refused the library %s", library, exc_info=True)
        answer.set_exception(ValueError(str(error)))


def _offline(library: str, why: str) -> str:
    return (
        f"The gene sets {library} are fetched from Enrichr (maayanlab.cloud), which cannot be reached from here "
        f"({why}). Go online and try again, or give a GMT file of your own."
    )
