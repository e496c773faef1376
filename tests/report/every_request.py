"""One question of every kind, built from the types of its fields, so that no list has to be kept."""

import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from pkgutil import walk_packages
from typing import Any

import numpy as np

import scfm_core
from scfm_core.analyses.authors_states import State, States
from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import ByClusters, ByLabels, BySelections
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.cell_markers import CellMarkers, MarkerTable
from scfm_core.cell_set import CellSet
from scfm_core.celltypist import CelltypistModel
from scfm_core.dataset import Dataset
from scfm_core.gene_sets import GeneSet, GeneSets
from scfm_core.model import ModelSpec
from scfm_core.registry import find_model
from scfm_core.request import Request
from scfm_core.tokens import Delete, Inhibit

# What the types alone do not say, by class and field.
_SPECIAL: dict[tuple[str, str], Any] = {
    ("ReadAttention", "layer"): 2,
    ("AverageStates", "states"): (State("cell_type", "NK"), State("cell_type", "B")),
    ("MatchCells", "column"): "cell_type",
    ("FitModel", "model"): lambda: find_model("pca"),
    ("PerturbAsAuthors", "edits"): lambda dataset: ((Delete(dataset.gene_ids[3]),), (Delete(dataset.gene_ids[5]),)),
    ("PerturbAsAuthors", "every_gene"): None,
    ("EnrichGenes", "hits"): ("CD3D", "LYZ", "NKG7"),
    ("EnrichGenes", "universe"): tuple(f"GENE{number}" for number in range(200)) + ("CD3D", "LYZ", "NKG7"),
    ("ScreenExactly", "kind"): "inhibit",
    ("ValidateOnCrispr", "target_column"): "cell_type",
    ("ValidateOnCrispr", "control"): "CD4 T naive",
    ("ValidateOnCrispr", "replicate_column"): None,
    ("CompareDonors", "batch_column"): "batch",
    ("CompareModels", "models"): lambda dataset: (EmbedCells(dataset, find_model("scfm-mini")),),
    ("CompareModels", "families"): ("published",),
}
_OTHER = {("MatchCells", "reference")}
_BY_NAME: dict[str, Any] = {
    "group_by": "cell_type", "identity_by": "cell_type", "donor_column": "donor", "donors": "donor",
    "columns": ("donor", "batch"), "column": "n_genes", "metric": "cosine", "kind": "ranks",
}  # fmt: skip


def request_classes() -> list[type[Request[Any]]]:
    """Return every kind of question of the core."""
    for _, name, _ in walk_packages(scfm_core.__path__, "scfm_core."):
        if not name.endswith("__main__"):
            importlib.import_module(name)
    found = [kind for kind in _below(Request) if kind.__module__.startswith("scfm_core")]
    return sorted((kind for kind in found if not inspect.isabstract(kind)), key=lambda kind: kind.__name__)


def a_question(kind: type[Request[Any]], dataset: Dataset, other: Dataset) -> Request[Any]:
    """Return a question of a kind, about a dataset where it is about one; every field has a value that says much.

    ``other`` serves questions that are about two datasets.
    """
    hints = typing.get_type_hints(kind)
    values = {
        field.name: _value((kind, field), hints[field.name], dataset, other)
        for field in dataclasses.fields(kind)
        if field.init
    }
    return kind(**values)


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)


def _value(place: tuple[type[Any], "dataclasses.Field[Any]"], hint: Any, dataset: Dataset, other: Dataset) -> Any:
    kind, field = place
    if (kind.__name__, field.name) in _OTHER:
        dataset = other
    special = _SPECIAL.get((kind.__name__, field.name), _BY_NAME.get(field.name, ...))
    if special is not ...:
        return _called(special, dataset)
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    for option in options:
        made = _made(option, field.name, dataset, other)
        if made is not None:
            return made
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else _simple(options[0])


def _called(special: Any, dataset: Dataset) -> Any:
    if not inspect.isfunction(special):
        return special
    return special(dataset) if inspect.signature(special).parameters else special()


def _made(option: Any, name: str, dataset: Dataset, other: Dataset) -> Any:
    """Return a value of one of the types that stand inside questions; None for what a default serves."""
    model = find_model("scfm-mini")
    embedding = EmbedCells(dataset, model)
    if inspect.isclass(option) and issubclass(option, Request) and option not in (EmbedCells, PerturbGenes):
        return a_question(option, dataset, other)
    simple = {
        Dataset: dataset, ModelSpec: model, EmbedCells: embedding, CellSet: _cells(dataset, name),
        State: State("cell_type", "B"), States: States(State("cell_type", "NK"), State("cell_type", "B"), ()),
        CelltypistModel: CelltypistModel(key="Immune-0123abcd", sha256="ab" * 32),
        GeneSets: GeneSets("mine", 'a file "x"', (GeneSet("T #1", "it's\nthis", ("CD3D", "CD3E")),)),
        BySelections: _grouping(dataset),
        MarkerTable: MarkerTable("mine", (CellMarkers("B cell", ("CD79A", "MS4A1"), "CL:0000236", ("lymphocyte",)),)),
    }  # fmt: skip
    if option is PerturbGenes:
        return PerturbGenes(embedding, ((Delete(dataset.gene_ids[3]),),), CellSet.where(dataset, "cell_type", "NK"))
    if option in simple:
        return simple[option]
    if name in ("gene_ids", "genes", "first", "second"):
        return _genes(name, option, dataset)
    if name == "edits":
        return ((Delete(dataset.gene_ids[3]),), (Inhibit(dataset.gene_ids[5], 2), Delete(dataset.gene_ids[9])))
    return None


def _genes(name: str, option: Any, dataset: Dataset) -> Any:
    if name in ("first", "second"):
        return dataset.gene_ids[{"first": 4, "second": 6}[name]] if option is str else None
    if "Delete" in str(option):
        return (Delete(dataset.gene_ids[3]), Delete(dataset.gene_ids[5]))
    return dataset.gene_ids[2:40] if "str" in str(option) else None


def _cells(dataset: Dataset, name: str) -> CellSet:
    if name == "cells":
        return CellSet.where(dataset, "cell_type", "NK")
    return CellSet.from_mask('drawn "by hand"\n#1', np.arange(dataset.n_cells) % 3 == 0)


def _grouping(dataset: Dataset) -> BySelections:
    halves = np.arange(dataset.n_cells) % 2 == 0
    return BySelections((CellSet.from_mask("A {wolf2018} {b}", halves), CellSet.from_mask("B", ~halves)))


def some_groupings(dataset: Dataset) -> list[Any]:
    """Return the groupings that `a_question` does not use."""
    import pandas as pd

    labels = pd.Series(np.where(np.arange(dataset.n_cells) % 4 == 0, "it's", "other"), name="my 'labels'")
    return [ByLabels.from_series(labels), ByClusters(ClusterCells(EmbedCells(dataset, find_model("pca")), 0.5))]


def _simple(option: Any) -> Any:
    return {int: 3, float: 0.5, str: "text", bool: True}.get(option, ())
