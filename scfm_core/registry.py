"""Finds the models: every module in ``scfm_core.models`` defines ``SPECS``."""

import difflib
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from scfm_core import models
from scfm_core.errors import ModelError
from scfm_core.model import ModelSpec

YARDSTICK = "pca"


@cache
def all_models() -> tuple[ModelSpec, ...]:
    """Return every known model, baselines first and PCA before all, then by key; loads no weights."""
    names = [name for _, name, _ in iter_modules(models.__path__) if not name.startswith("_")]
    modules = [import_module(f"{models.__name__}.{name}") for name in names]
    specs = [spec for module in modules for spec in module.SPECS]
    names = [name for spec in specs for name in (spec.key, *spec.aliases)]
    if len(set(names)) < len(names):
        msg = f"Two models share a key or an older name: {sorted(names)}."
        raise ModelError(msg)
    return tuple(sorted(specs, key=lambda spec: (not spec.is_baseline, spec.key != YARDSTICK, spec.key)))


def yardstick() -> ModelSpec:
    """Return the baseline that stands beside every model: PCA."""
    return find_model(YARDSTICK)


def find_model(key: str) -> ModelSpec:
    """Return the model with this key or with an older name, or suggest the closest one.

    Capitals count as small letters and an underscore as a hyphen.

    Examples
    --------
    >>> find_model("gf-12L-95M-i4096_CLcancer")
    find_model('geneformer-12l-95m-clcancer')
    """
    by_name = {name: spec for spec in all_models() for name in (*spec.aliases, spec.key)}
    plain = key.lower().replace("_", "-")
    if plain not in by_name:
        near = by_name[(difflib.get_close_matches(plain, by_name, n=1) or list(by_name))[0]].key
        keys = ", ".join(spec.key for spec in all_models())
        msg = f"No model is called {key!r}. Did you mean {near!r}? The models are: {keys}."
        raise ModelError(msg, "unknown-model")
    return by_name[plain]
