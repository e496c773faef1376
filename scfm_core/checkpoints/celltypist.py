"""Takes the numbers out of a published CellTypist model, kept as safetensors and JSON; nothing is unpickled."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.checkpoints.pickled_objects import KeptObject, read_objects
from scfm_core.errors import ModelError

LARGEST_BYTES = 500_000_000
ARRAYS, WORDS = "model.safetensors", "model.json"
_CLASSIFIERS = (
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.linear_model.logistic.LogisticRegression",
    "sklearn.linear_model._stochastic_gradient.SGDClassifier",
    "sklearn.linear_model.stochastic_gradient.SGDClassifier",
)
_SCALERS = ("sklearn.preprocessing._data.StandardScaler", "sklearn.preprocessing.data.StandardScaler")
_LOSSES = (  # of the second classifier; kept as a name and never looked at
    "sklearn.linear_model._sgd_fast.Log",
    "sklearn.linear_model.sgd_fast.Log",
    "sklearn._loss._loss.CyHalfBinomialLoss",
)


@dataclass(frozen=True, eq=False)
class CelltypistWeights:
    """A logistic regression over scaled genes, one against the rest for each type of cell.

    Attributes
    ----------
    coefficients
        Shape ``(n_rows, n_genes)``, float64: one row per type, or a single row where there are two types.
    intercepts
        Shape ``(n_rows,)``.
    mean, scale
        Of each gene over the training cells, shape ``(n_genes,)``; the mean is zero where the scaler does not centre.
    classes, genes
        Names of the types and symbols of the genes, in order.
    description
        What the authors say of the model, such as ``date``, ``details``, ``source``, ``version``.
    """

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    classes: tuple[str, ...]
    genes: tuple[str, ...]
    description: dict[str, str]


def read_published(path: Path) -> CelltypistWeights:
    """Read a model as CellTypist writes it (``.pkl``).

    Raises
    ------
    ModelError
        ``"unsafe-pickle"``, ``"broken-model"``, or ``"no-celltypist-model"`` where the parts do not make one.
    """
    found = read_objects(path, kinds=(*_CLASSIFIERS, *_SCALERS, *_LOSSES), largest=LARGEST_BYTES)
    try:
        classifier, scaler = _part(found["Model"], _CLASSIFIERS), _part(found["Scaler_"], _SCALERS)
        scale = _floats(scaler["scale_"])
        return checked(
            CelltypistWeights(
                coefficients=_floats(classifier["coef_"]),
                intercepts=_floats(classifier["intercept_"]),
                mean=_floats(scaler["mean_"]) if scaler["with_mean"] is True else np.zeros_like(scale),
                scale=scale,
                classes=_names(classifier["classes_"]),
                genes=_names(classifier["features"]),
                description=_words(found.get("description", {})),
            ),
            path.name,
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _no_model(path.name, f"{type(error).__name__}: {error}") from error


def checked(weights: CelltypistWeights, name: str) -> CelltypistWeights:
    """Return the weights where their shapes fit; raise a `ModelError` where they do not make a model."""
    n_genes, n_classes = len(weights.genes), len(weights.classes)
    n_rows = 1 if n_classes == 2 else n_classes
    fits = (
        n_classes >= 2
        and weights.coefficients.shape == (n_rows, n_genes)
        and weights.intercepts.shape == (n_rows,)
        and weights.mean.shape == weights.scale.shape == (n_genes,)
        and len(set(weights.genes)) == n_genes
        and len(set(weights.classes)) == n_classes
    )
    arrays = (weights.coefficients, weights.intercepts, weights.mean, weights.scale)
    if not fits or not all(np.isfinite(array).all() for array in arrays) or not (weights.scale > 0).all():
        raise _no_model(name, f"{weights.coefficients.shape} coefficients of {n_classes:,} types, {n_genes:,} genes")
    return weights


def write_weights(folder: Path, weights: CelltypistWeights, source: Mapping[str, Any]) -> None:
    """Write a model as safetensors and JSON into a folder that exists."""
    from safetensors.numpy import save_file

    arrays = {
        "coefficients": weights.coefficients,
        "intercepts": weights.intercepts,
        "mean": weights.mean,
        "scale": weights.scale,
    }
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
    words = {"classes": weights.classes, "genes": weights.genes, "description": weights.description}
    (folder / WORDS).write_text(json.dumps({**words, "source": dict(source)}, indent=1))


def read_weights(folder: Path) -> CelltypistWeights:
    """Read what `write_weights` wrote."""
    from safetensors.numpy import load_file

    arrays = load_file(folder / ARRAYS)
    words = json.loads((folder / WORDS).read_text())
    found = CelltypistWeights(
        **{
            name: np.asarray(arrays[name], dtype=np.float64) for name in ("coefficients", "intercepts", "mean", "scale")
        },
        classes=tuple(words["classes"]),
        genes=tuple(words["genes"]),
        description=words["description"],
    )
    return checked(found, folder.name)


def _part(value: Any, kinds: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, KeptObject) or value.kind not in kinds:
        found = value.kind if isinstance(value, KeptObject) else type(value).__name__
        msg = f"{found} instead of {kinds[0].rpartition('.')[2]}"
        raise TypeError(msg)
    return value.attributes


def _floats(value: Any) -> NDArray[np.float64]:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        msg = f"{type(value).__name__} instead of numbers"
        raise TypeError(msg)
    return np.array(value, dtype=np.float64)


def _names(value: Any) -> tuple[str, ...]:
    values = value.tolist() if isinstance(value, np.ndarray) else value
    if type(values) is not list or not all(type(name) is str and name for name in values):
        msg = f"{type(value).__name__} instead of names"
        raise TypeError(msg)
    return tuple(values)


def _words(value: Any) -> dict[str, str]:
    if type(value) is not dict:
        return {}
    return {str(name): str(item)[:2000] for name, item in value.items() if type(item) in (str, int, float)}


def _no_model(name: str, found: str) -> ModelError:
    msg = (
        f"Expected a CellTypist model in {name}: a logistic regression with names of types and genes, and a scaler; "
        f"found {found[:200]}. Choose a file that CellTypist wrote."
    )
    return ModelError(msg, "no-celltypist-model")
