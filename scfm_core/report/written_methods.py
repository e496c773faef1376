"""The methods of some questions as text for a paper: a paragraph each, numbered citations, versions, and BibTeX."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scfm_core import __version__
from scfm_core.analyses.perturbation_phrases import short
from scfm_core.dataset import Dataset
from scfm_core.report.citations import WORKS, Citation, bibtex, numbered
from scfm_core.report.provenance import software
from scfm_core.report.wording import Wording, dataset_of, wording
from scfm_core.request import Request


@dataclass(frozen=True)
class WrittenMethods:
    """Paragraphs with numbers in brackets, and what the numbers mean."""

    paragraphs: tuple[str, ...]
    cited: tuple[Citation, ...]

    @property
    def text(self) -> str:
        """Paragraphs, then the numbered list, as plain text."""
        listed = [f"[{number}] {work}" for number, work in enumerate(self.cited, 1)]
        return "\n\n".join([*self.paragraphs, "\n".join(listed)]) + "\n"

    @property
    def bibtex(self) -> str:
        """What is cited, as a BibTeX file."""
        return bibtex(self.cited)


def write_methods(requests: Sequence[Request[Any]]) -> WrittenMethods:
    """Return how the answers to some questions were made, each question once and after those that it builds on."""
    words = _in_order(requests)
    works = [*WORKS, *(work for one in words for work in one.works)]
    dataset = next(filter(None, (dataset_of(request) for request in requests)), None)
    texts = [*([_data(dataset)] if dataset else []), *(one.text for one in words), _closing(requests)]
    return WrittenMethods(*numbered(texts, works))


def _in_order(requests: Sequence[Request[Any]]) -> list[Wording]:
    found: dict[str, Wording] = {}

    def add(request: Request[Any]) -> None:
        if request.identity in found:
            return
        words = wording(request)
        for nested in words.questions:
            add(nested)
        found[request.identity] = words

    for request in requests:
        add(request)
    return list(found.values())


def _data(dataset: Dataset) -> str:
    return (
        f"Data: {short(dataset.title)} ({dataset.organism}; {dataset.n_cells:,} cells, {dataset.n_genes:,} genes; "
        f"sha256 of the content {dataset.sha256}), analysed in scFM Explorer {__version__} and exchanged as AnnData "
        "{virshup2024}."
    )


def _closing(requests: Sequence[Request[Any]]) -> str:
    asked = ", ".join(f"{type(request).__name__} {request.identity[:12]}" for request in requests)
    return f"Software: {software()}. Requests: {asked}."
