"""What stands in the header of a table: test, correction, n, the dataset, the question, versions."""

import json
from functools import cache
from typing import Any

from scfm_core.analyses.export_dataset import versions
from scfm_core.dataset import Dataset
from scfm_core.report.wording import dataset_of, wording
from scfm_core.request import Request, recipe

_LONGEST_QUESTION = 4000


def provenance(dataset: Dataset | None, request: Request[Any], **facts: str) -> dict[str, str]:
    """Return what a table says about itself, by name, the most important first.

    Parameters
    ----------
    dataset
        The one that the table is about; the question's own where None.
    facts
        What is special about this table, by name with ``_`` for a space. ``test``, ``correction`` and ``n`` take the
        place of what is said of all questions of this kind.
    """
    words = wording(request)
    dataset = dataset or dataset_of(request)
    said = {"test": words.test, "correction": words.correction, "n": words.n or _all_cells(dataset)}
    said |= {name.replace("_", " "): fact for name, fact in facts.items()}
    return {**said, **_data(dataset), **_origin(request)}


def plain_provenance(dataset: Dataset, **facts: str) -> dict[str, str]:
    """Return the same of a table that no question stands behind, such as a list of selected cells."""
    said = {"test": "none: nothing is tested", "correction": "none", "n": _all_cells(dataset)}
    said |= {name.replace("_", " "): fact for name, fact in facts.items()}
    return {**said, **_data(dataset), "versions": software()}


def _data(dataset: Dataset | None) -> dict[str, str]:
    if dataset is None:
        return {}
    title = f"{dataset.title} ({dataset.organism}, {dataset.n_cells:,} cells, {dataset.n_genes:,} genes)"
    return {"dataset": title, "dataset sha256": dataset.sha256}


def _origin(request: Request[Any]) -> dict[str, str]:
    question = json.dumps(recipe(request), sort_keys=True)
    if len(question) > _LONGEST_QUESTION:
        question = f"{question[:_LONGEST_QUESTION]}... ({len(question):,} letters)"
    return {"versions": software(), "question": question, "answer": request.identity}


@cache
def software() -> str:
    """Return the versions of scFM Explorer and of the libraries behind its numbers, looked up once."""
    return ", ".join(f"{name} {one}" for name, one in versions().items()).replace("scfm-explorer", "scFM Explorer")


def _all_cells(dataset: Dataset | None) -> str:
    return "" if dataset is None else f"{dataset.n_cells:,} cells"
