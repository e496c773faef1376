"""Finds the models: every module in ``scfm_core.models`` defines ``SPECS``."""

import difflib
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from scfm_core import models
from scfm_core.errors import ModelError
from scfm_core.model import ModelSpec


@cache
def all_models() -> tuple[ModelSpec, ...]:
    """Return every known model, baselines first, then by key; loads no weights."""
    names = [name for _, name, _ in iter_modules(models.__path__) if not name.startswith("_")]
    modules = [import_module(f"{models.__name__}.{name}") for name in names]
    specs = [spec for module in modules for spec in module.SPECS]
    keys = [spec.key for spec in specs]
    if len(set(keys)) < len(keys):
        msg = f"Two model files share a key: {sorted(keys)}."
        raise ModelError(msg)
    return tuple(sorted(specs, key=lambda spec: (not spec.is_baseline, spec.key)))


def find_model(key: str) -> ModelSpec:
    """Return the model with this key, or suggest the closest one."""
    by_key = {spec.key: spec for spec in all_models()}
    if key not in by_key:
        near = difflib.get_close_matches(key, by_key, n=1) or list(by_key)
        msg = f"No model is called {key!r}. Did you mean {near[0]!r}? The models are: {', '.join(by_key)}."
        raise ModelError(msg, "unknown-model")
    return by_key[key]
