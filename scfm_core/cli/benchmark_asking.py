"""The questions behind ``scfm benchmark``: asked model by model, so that one that fails leaves the others standing."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.batch_structure import BatchStructure, DescribeBatches, columns_of_groups
from scfm_core.analyses.compare_model_tables import candidate_title
from scfm_core.analyses.compare_models import CompareModels
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import ByColumn
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.cell_set import CellSet
from scfm_core.cli.asking import ask
from scfm_core.dataset import Dataset, subset_dataset
from scfm_core.engine import Engine
from scfm_core.errors import Cancelled, RequestError, ScfmError
from scfm_core.metrics.catalogue import Family
from scfm_core.model import ModelSpec
from scfm_core.registry import find_model
from scfm_core.report.card import Card
from scfm_core.weights import check_weights, installed


def specs_of(text: str) -> list[ModelSpec]:
    """Return the models that a list of keys names, with the weights that are here.

    Raises
    ------
    ModelError
        If there is no such model, or its weights are not here.
    RequestError
        If no key is named.
    """
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if not keys:
        msg = "--models names models by key, such as scfm-mini,harmony; found none. scfm models lists them."
        raise RequestError(msg, "no-models")
    specs = [installed(find_model(key)) for key in dict.fromkeys(keys)]
    for spec in specs:
        check_weights(spec)
    return list(dict.fromkeys(specs))


def chosen_cells(dataset: Dataset, named: Sequence[str]) -> NDArray[np.bool_]:
    """Return the cells that ``COLUMN=VALUE`` and ``COLUMN!=VALUE`` leave, shape ``(n_cells,)``.

    Values of one column add up; columns, and what is left out, all have to fit.

    Raises
    ------
    RequestError
        If an entry cannot be read, names what is not there, or no cell is left.
    """
    wanted: dict[str, NDArray[np.bool_]] = {}
    kept = np.ones(dataset.n_cells, dtype=bool)
    for text in named:
        column, equals, value = text.partition("=")
        if not equals or not column.strip("! ") or not value.strip():
            msg = f'--cells reads "COLUMN=VALUE" or "COLUMN!=VALUE", such as "cell_type!=unassigned"; found {text!r}.'
            raise RequestError(msg, "bad-cells")
        name = column.removesuffix("!").strip()
        mask = CellSet.where(dataset, name, value.strip()).mask
        if column.endswith("!"):
            kept &= ~mask
        else:
            wanted[name] = wanted.get(name, np.zeros_like(mask)) | mask
    for mask in wanted.values():
        kept &= mask
    if not kept.any():
        msg = f"No cell has all of {', '.join(named)}. Choose other values."
        raise RequestError(msg, "no-cells")
    return kept


class Benchmark:
    """Asks everything that a report card tells.

    Parameters
    ----------
    options
        Of ``scfm benchmark``.
    """

    def __init__(
        self, engine: Engine, dataset: Dataset, specs: Sequence[ModelSpec], options: Mapping[str, Any]
    ) -> None:
        self.engine, self.options, self.specs = engine, options, specs
        for name in ("label", "batch", "donor_column"):
            _require_column(dataset, options[name], f"--{name.replace('_', '-')}")
        self.dataset = _cut(dataset, options["cells"])
        self.failed: list[tuple[str, str]] = []
        self.rows: list[dict[str, Any]] = []

    def card(self) -> Card:
        """Return the answers, as a card."""
        question = self._question([self._embedding(spec) for spec in self.specs])
        scored = [embedding for embedding in question.candidates if self._scored(question, embedding)]
        question = replace(question, models=tuple(scored))
        comparison = ask(self.engine, question)
        asked, structure = self._structure(question)
        maps = () if self.options["no_maps"] else tuple(self._map(embedding) for embedding in question.candidates)
        colour = self.dataset.cell_column(self.options["label"])
        return Card(
            question, comparison, labels=self.options["label"], batches=self.options["batch"] or "",
            asked_structure=asked, structure=structure, maps=maps, colour=colour.rename(self.options["label"]),
            seconds=pd.DataFrame(self.rows), failed=tuple(self.failed),
        )  # fmt: skip

    def _question(self, models: Sequence[EmbedCells]) -> CompareModels:
        family = self.options["family"]
        families = ("published", "scib-metrics") if family == "both" else (family,)
        return CompareModels(
            self.dataset, tuple(models), ByColumn(self.options["label"]),
            ByColumn(self.options["batch"]) if self.options["batch"] else None,
            families=cast("tuple[Family, ...]", families), n_bootstrap=self.options["resamples"],
            seed=self.options["seed"],
            donor_column=self.options["donor_column"] or str(self.dataset.roles.get("donor", "")),
        )  # fmt: skip

    def _embedding(self, spec: ModelSpec) -> EmbedCells:
        options = spec.default_options()
        if spec.needs_batch:
            options = replace(options, batch=self.options["batch"] or "")
        if spec.draws:
            options = replace(options, seed=self.options["seed"])
        return EmbedCells(self.dataset, spec, options)

    def _scored(self, question: CompareModels, embedding: EmbedCells) -> bool:
        """Score one candidate and say how long it took; where it cannot be scored, keep why. PCA has to be."""
        title, began = candidate_title(embedding), time.monotonic()
        try:
            ask(self.engine, embedding)
            embedded = time.monotonic()
            for family in question.families:
                ask(self.engine, question.score(embedding, family))
        except Cancelled:
            raise
        except ScfmError as error:
            if embedding in question.candidates[:2]:
                raise
            self.failed.append((title, str(error)))
            click.echo(f"{title} could not be scored: {error}", err=True)
            return False
        seconds = {"embedding_seconds": self._seconds(embedding.identity, embedded - began)}
        seconds["scoring_seconds"] = time.monotonic() - embedded
        self.rows.append({"model": embedding.model.key, "candidate": title, **seconds})
        return True

    def _seconds(self, identity: str, here: float) -> float:
        about = self.engine.store.about(identity)
        return here if about is None or about.seconds is None else about.seconds

    def _structure(self, question: CompareModels) -> tuple[DescribeBatches | None, BatchStructure | None]:
        named = [self.options[name] for name in ("batch", "label") if self.options[name]]
        named = [name for name in named if self.dataset.cell_column(name).nunique() > 1]
        columns = tuple(dict.fromkeys([*named, *columns_of_groups(self.dataset)]))
        asked = DescribeBatches(question.candidates[0], columns, question.labels, question.batches)
        try:
            return asked, ask(self.engine, asked)
        except RequestError as error:
            self.failed.append(("Batches in the data", str(error)))
            return None, None

    def _map(self, embedding: EmbedCells) -> tuple[str, NDArray[Any]]:
        places = ask(self.engine, ProjectCells(embedding, seed=self.options["seed"])).coordinates
        return candidate_title(embedding), np.asarray(places)


def _require_column(dataset: Dataset, column: str | None, option: str) -> None:
    if column and column not in dataset.cell_columns:
        there = ", ".join(map(str, dataset.cell_columns)) or "none"
        msg = f"{option} names a column of the cell table, found {column!r}. Its columns: {there}."
        raise RequestError(msg, "unknown-column")


def _cut(dataset: Dataset, named: Sequence[str]) -> Dataset:
    if not named:
        return dataset
    kept = chosen_cells(dataset, named)
    if kept.all():
        return dataset
    words = " and ".join(named)
    note = f"{int(kept.sum()):,} of {dataset.n_cells:,} cells of {dataset.title!r} were chosen: {words}."
    return subset_dataset(dataset, kept, title=f"{dataset.title}, {words}", note=note)
