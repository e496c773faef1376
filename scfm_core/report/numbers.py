"""The key numbers of an answer, few enough to stand in a script, and the comparison with an answer computed anew."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RELATIVE_TOLERANCE = 1e-4  # of float32 sums in another order, on another processor
ABSOLUTE_TOLERANCE = 1e-7
_SAMPLED = 8
_DIGITS = 9
_MOST_COLUMNS = 24
_LONGEST_TEXT = 60


def key_numbers(answer: Any) -> dict[str, Any]:
    """Return of every array and table of an answer its shape and some values spread over it, as plain JSON values.

    Examples
    --------
    >>> from scfm_core.analyses.cluster_cells import Clusters
    >>> key_numbers(Clusters(labels=np.array([0, 1, 0]), n_clusters=2))
    {'labels': {'shape': [3], 'mean': 0.333333333, 'values': [0, 1, 0]}, 'n_clusters': 2}
    """
    if not is_dataclass(answer):
        return {"value": _of(answer)}
    found = {field.name: _of(getattr(answer, field.name)) for field in fields(answer)}
    return {name: value for name, value in found.items() if value is not None}


def differences(answer: Any, expected: Mapping[str, Any]) -> list[str]:
    """Return in words where an answer differs from the key numbers of another one; nothing where they are equal.

    Numbers may differ by one part in ten thousand, or by a ten-millionth.
    """
    return _differences(key_numbers(answer), expected, "")


def _of(value: Any) -> Any:
    match value:
        case pd.DataFrame():
            names = [str(name) for name in value.columns[:_MOST_COLUMNS]]
            columns = {name: _of(value[name].to_numpy()) for name in names}
            return {"n_rows": len(value), "columns": columns}
        case np.ndarray():
            return _of_array(value)
        case bool() | np.bool_():
            return bool(value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return _number(float(value))
        case str():
            return value[:_LONGEST_TEXT]
        case tuple() | list():
            return {"n": len(value), "values": [_of(one) for one in value[:_SAMPLED]]}
    toarray = getattr(value, "toarray", None)  # a sparse matrix
    return None if toarray is None else {"shape": list(value.shape), "mean": _number(float(value.mean()))}


def _of_array(array: NDArray[Any]) -> dict[str, Any]:
    flat = np.asarray(array).ravel()
    told: dict[str, Any] = {"shape": list(array.shape)}
    if not flat.size:
        return {**told, "values": []}
    places = np.unique(np.linspace(0, flat.size - 1, _SAMPLED).round().astype(np.int64))
    if np.issubdtype(flat.dtype, np.number):
        known = flat[np.isfinite(flat)].astype(np.float64)
        told["mean"] = _number(float(known.mean())) if known.size else None
    return {**told, "values": [_of(flat[place]) for place in places]}


def _number(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None


def _differences(found: Any, expected: Any, where: str) -> list[str]:
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        told = []
        for name in dict.fromkeys([*expected, *found]):
            inside = f"{where}.{name}" if where else str(name)
            told += _differences(found.get(name), expected.get(name), inside)
        return told
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [words for place, (one, other) in pairs for words in _differences(one, other, f"{where}[{place}]")]
    return [] if _alike(found, expected) else [f"{where}: {found!r}, expected {expected!r}"]


def _alike(found: Any, expected: Any) -> bool:
    numbers = (int, float)
    if isinstance(found, numbers) and isinstance(expected, numbers):
        return bool(np.isclose(found, expected, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE))
    return bool(found == expected)
