"""The tables in an answer: those that it holds, and one row per cell for what it says of each cell."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

from scfm_core.dataset import Dataset

_MOST_COLUMNS = 4096


def answer_tables(answer: Any, dataset: Dataset | None = None) -> dict[str, pd.DataFrame]:
    """Return the tables of an answer by name; arrays with one row per cell of the dataset are one table, ``cells``.

    Examples
    --------
    >>> from scfm_core.analyses.marker_sets import MarkerGenes
    >>> list(answer_tables(MarkerGenes(pd.DataFrame({"symbol": ["LYZ"]}), "cell_type")))
    ['table']
    """
    if not is_dataclass(answer):
        return {}
    values = {field.name: getattr(answer, field.name) for field in fields(answer)}
    tables = {name: value for name, value in values.items() if isinstance(value, pd.DataFrame) and len(value)}
    cells = {} if dataset is None else _per_cell(values, dataset.n_cells)
    if dataset is not None and cells:
        tables["cells"] = pd.DataFrame({"cell": dataset.cells().index, **cells})
    return tables


def _per_cell(values: dict[str, Any], n_cells: int) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(value, np.ndarray) or value.ndim not in (1, 2) or len(value) != n_cells:
            continue
        if value.ndim == 1:
            columns[name] = value
        elif value.shape[1] <= _MOST_COLUMNS:
            columns |= {f"{name}_{number + 1}": value[:, number] for number in range(value.shape[1])}
    return columns
