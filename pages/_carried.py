"""Choices of the pages that travel in an address and in a session file: which fields, and what may stand in them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import streamlit as st

from scfm_core.dataset import Dataset

Choice = str | int | float | bool | list[str]
_FIRST = "carried-first"
_LONGEST, _MOST = 300, 200
_RESTORED = object()  # never equal to what a field holds


@dataclass(frozen=True)
class Field:
    """A field of a page.

    Attributes
    ----------
    name
        How addresses call it.
    key
        Of the widget; ``{data}`` stands for the dataset, ``*`` at the end for whatever follows.
    low, high
        Of a number: a float where both are floats. None where the field offers choices, which it checks itself.
    switch
        Whether it is on or off.
    """

    name: str
    key: str
    low: float | None = None
    high: float | None = None
    switch: bool = False

    def key_of(self, dataset: Dataset) -> str:
        """Return the key of the field on the pages of a dataset."""
        return self.key.replace("{data}", dataset.sha256[:10])


def _choices(stem: str, *names: str) -> list[Field]:
    return [Field(f"{stem}.{name.rstrip('*')}{'*' * name.endswith('*')}", f"{stem}:{{data}}:{name.replace('*', ':*')}")
            for name in names]  # fmt: skip


def _numbers(stem: str, **limits: tuple[float, float]) -> list[Field]:
    named = {name.replace("_", "-"): both for name, both in limits.items()}
    return [Field(f"{stem}.{name}", f"{stem}:{{data}}:{name}", low, high) for name, (low, high) in named.items()]


def _switches(stem: str, *names: str) -> list[Field]:
    return [Field(f"{stem}.{name}", f"{stem}:{{data}}:{name}", switch=True) for name in names]


_EDITED = (
    *("model", "kind*", "quartiles", "genes", "cells*", "per", "column", "groups*", "group*", "goal-column", "goal*"),
)
_SEED = (0, 9999)
_REMOVED = Field("batch-column", "batch-column:{data}")  # what Harmony, ComBat and scVI take out
FIELDS: Mapping[str, tuple[Field, ...]] = {
    "Embedding": (Field("models", "embed:{data}"), Field("below", "embedding:below"), _REMOVED),
    "UMAP": (Field("show", "map-view"), Field("panel", "map-panel"), _REMOVED),
    "Markers": (
        Field("figure", "marker-figure"), Field("scale", "marker-scale"),
        Field("genes-per-figure", "marker-genes-per-figure", 5, 100),
        *_choices("markers", "way", "column", "within*", "within-by", "within-names*", "test*", "reference*", "donors",
                  "batch*", "direction", "source", "named:genes"),
        *_numbers("markers", resolution=(0.1, 3.0), n=(1, 1000), p=(0.0, 1.0), fold=(0.0, 50.0), share=(0.0, 100.0),
                  share_out=(0.0, 100.0), min_cells=(1, 10_000)),
        *_switches("markers", "all"),
    ),
    "Perturbation": (
        Field("mode", "perturb:mode"), Field("screen-figure", "screen-figure"),
        *_choices("perturb", *_EDITED, "others*", "identity", "together"),
        *_numbers("perturb", null=(0, 500), seed=_SEED, factor=(0.0, 2.0)), *_switches("perturb", "pca"),
        *_choices("pairs", *_EDITED),
        *_numbers("pairs", null=(0, 100), most=(10, 1000), seed=_SEED, factor=(0.0, 2.0)),
        *_choices("screen", *_EDITED, "which", "how"),
        *_numbers("screen", top=(0, 100), seed=_SEED, factor=(0.0, 2.0)),
        *_choices("authors", *_EDITED, "how", "way", "state", "start*", "others*"),
        *_switches("authors", "gene-level"),
        *_choices("truth", "way", "networks", "model", "column", "control*", "replicates*"),
        *_numbers("truth", seed=_SEED, crispr_seed=_SEED, cells=(10, 500)),
    ),
    "Report card": (
        Field("card-panel", "card-panel"), *_choices("card", "label", "batch", "models", "family", "donors"),
        *_numbers("card", resamples=(5, 1000), seed=_SEED, seeds=(1, 5), neighbors=(5, 100)),
    ),
}  # fmt: skip


def chosen_on(page: str, dataset: Dataset) -> dict[str, Choice]:
    """Return what was chosen in the fields of a page and is not as they began, by the names that addresses use."""
    found: dict[str, Choice] = {}
    first = st.session_state.get(_FIRST, {})
    for name, key in _present(page, dataset):
        value = travelling(st.session_state[key])
        if value is not None and first.get(key, value) != value:
            found[name] = value
    return dict(list(found.items())[:_MOST])


def remember_first(page: str, dataset: Dataset) -> None:
    """Remember what the fields of a page begin with; called after a page was run."""
    first = st.session_state.setdefault(_FIRST, {})
    for _, key in _present(page, dataset):
        first.setdefault(key, travelling(st.session_state[key]))


def choose_again(dataset: Dataset, choices: Mapping[str, Choice]) -> list[str]:
    """Put choices into their fields, before these are drawn; return in words what has no place in any."""
    lost: list[str] = []
    first = st.session_state.setdefault(_FIRST, {})
    fields = [field for page in FIELDS.values() for field in page]
    for name, value in list(choices.items())[:_MOST]:
        field, rest = _named(name, fields)
        if field is None or not _fits(field, value):
            lost.append(f"{name[:60]} = {str(value)[:60]} is no choice of this version; the page begins without it.")
            continue
        key = field.key_of(dataset).removesuffix("*") + rest
        st.session_state[key] = value
        first[key] = _RESTORED
    return lost


def written(value: Choice) -> str:
    """Return a choice as it stands in an address: a text as it is where it can be read back, else JSON.

    Examples
    --------
    >>> written("cell_type"), written("12"), written(0.5), written(["LYZ"])
    ('cell_type', '"12"', '0.5', '["LYZ"]')
    """
    if isinstance(value, str) and read(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read(text: str) -> Choice | None:
    """Return the choice that an address holds; None where it is none.

    Examples
    --------
    >>> read("cell_type"), read("0.5"), read('["LYZ"]'), read('{"a": 1}')
    ('cell_type', 0.5, ['LYZ'], None)
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    return travelling(value)


def _present(page: str, dataset: Dataset) -> Iterable[tuple[str, str]]:
    """Return names and keys of the fields of a page that the session holds."""
    for field in FIELDS.get(page, ()):
        key = field.key_of(dataset)
        if not key.endswith("*"):
            if key in st.session_state:
                yield field.name, key
            continue
        stem = key.removesuffix("*")
        for known in [str(one) for one in st.session_state if str(one).startswith(stem)]:
            yield f"{field.name.removesuffix('*')}.{known.removeprefix(stem)}", known


def _named(name: str, fields: Iterable[Field]) -> tuple[Field | None, str]:
    """Return the field that a name means, and what follows its key."""
    for field in fields:
        if field.name == name:
            return (None, "") if field.key.endswith("*") else (field, "")
    for field in fields:
        stem = field.name.removesuffix("*") + "."
        rest = name.removeprefix(stem)
        if field.name.endswith("*") and name.startswith(stem) and rest.isprintable() and 0 < len(rest) <= _LONGEST:
            return field, rest
    return None, ""


def _fits(field: Field, value: Choice) -> bool:
    if field.switch:
        return isinstance(value, bool)
    if field.low is None or field.high is None:
        return not isinstance(value, bool | float)
    wanted = type(field.low)
    return type(value) is wanted and field.low <= value <= field.high


def travelling(value: object) -> Choice | None:
    """Return a value that may travel; None for another."""
    match value:
        case bool() | int():
            return value if abs(value) < 10**12 else None
        case float():
            return value if abs(value) < 1e12 else None
        case str():
            return value if len(value) <= _LONGEST else None
        case list() | tuple() if len(value) <= _MOST:
            texts = all(isinstance(one, str) and len(one) <= _LONGEST for one in value)
            return list(value) if texts else None
    return None
