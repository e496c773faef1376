"""Finds the words for a question: what was tested, how it was corrected, what n counts, and a paragraph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from scfm_core.analyses.perturbation_phrases import counted, short
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.model import ModelSpec
from scfm_core.report import wordings
from scfm_core.report.citations import Citation
from scfm_core.request import Request

NOTHING_TESTED = "none: nothing is tested"
NOT_CORRECTED = "none"


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What is said of a question.

    Attributes
    ----------
    text
        A paragraph in plain scientific prose with the parameters in it; ``{key}`` cites a work.
    test, correction
        What the p-values of the answer's table are, and how they were adjusted for their number.
    n
        What was counted: cells, donors, genes; empty for all cells of the dataset.
    works
        Cited works that `scfm_core.report.citations.WORKS` does not hold, such as the model.
    questions
        Questions that the answer builds on and that are worth a paragraph of their own, before this one.
    """

    text: str
    test: str = NOTHING_TESTED
    correction: str = NOT_CORRECTED
    n: str = ""
    works: tuple[Citation, ...] = ()
    questions: tuple[Request[Any], ...] = ()


Words = Callable[[Any], Wording]


def wording(request: Request[Any]) -> Wording:
    """Return the words for a question.

    Raises
    ------
    RequestError
        If nobody wrote any for questions of this kind; a test of the house keeps this from happening.
    """
    words = known_wordings().get(type(request).__name__)
    if words is None:
        msg = f"Nobody wrote down what {type(request).__name__} does. Add it to a module of scfm_core/report/wordings."
        raise RequestError(msg, "no-methods")
    return words(request)


@cache
def known_wordings() -> Mapping[str, Words]:
    """Return the words for questions by the name of their class, from every module of `wordings`."""
    modules = [import_module(f"{wordings.__name__}.{name}") for _, name, _ in iter_modules(wordings.__path__)]
    return {name: words for module in modules for name, words in module.WORDINGS.items()}


def dataset_of(request: Any) -> Dataset | None:
    """Return the dataset that a question is about, however deep it lies; None where it is about none."""
    match request:
        case Dataset():
            return request
        case tuple():
            parts = list(request)
        case _ if is_dataclass(request) and not isinstance(request, ModelSpec | type):
            parts = [getattr(request, field.name) for field in fields(request)]
        case _:
            return None
    found = (dataset_of(part) for part in parts)
    return next((dataset for dataset in found if dataset is not None), None)


def these_cells(dataset: Dataset, cells: Any) -> str:
    """Say which cells a question is about.

    Parameters
    ----------
    cells
        A `CellSet`, or None for all.
    """
    if cells is None:
        return f"all {counted(dataset.n_cells)}"
    return f"{counted(len(cells))} of {dataset.n_cells:,} ({short(cells.label)})"
