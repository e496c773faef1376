"""Embedding with a model that places all cells of a dataset at once, such as Harmony."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scfm_core.cell_batches import batch_column, read_batches
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.model import CellsToPlace, EmbedOptions, ModelSpec, PlacedCells
from scfm_core.registry import find_model
from scfm_core.request import Context
from scfm_core.weights import check_weights
from scfm_core.workers import Workers

if TYPE_CHECKING:
    from scfm_core.analyses.embed_cells import EmbedCells


def place_together(
    context: Context, asked: "EmbedCells", place: Callable[[CellsToPlace, Workers], PlacedCells]
) -> PlacedCells:
    """Let a model place all cells, from where another one does if it starts from that.

    Raises
    ------
    ModelError
        If a package that the model needs is not installed.
    RequestError
        If the model corrects for batches, and there are none to correct for.
    """
    check_weights(asked.model)
    if asked.model.needs_batch:  # told before anything is computed
        read_batches(asked.dataset, asked.chosen_options.batch, needed_by=asked.model.title)
    start = None
    if asked.model.starts_from:
        found = context.compute(replace(asked, model=find_model(asked.model.starts_from), options=None))
        start = PlacedCells(found.points, found.n_tokens)
    placed = place(CellsToPlace(dataset=asked.dataset, options=asked.chosen_options, start=start), context)
    n_empty = int(np.isnan(placed.points[:, 0]).sum())
    if n_empty:
        context.log(f"{n_empty:,} of {asked.dataset.n_cells:,} cells get no vector")
    return placed


def with_batch(dataset: Dataset, model: ModelSpec, options: EmbedOptions) -> EmbedOptions:
    """Return options that name the batch column, so that it is part of a question's identity; none if it plays no part.

    Raises
    ------
    RequestError
        If the column that was named is none of the dataset (code "unknown-column").
    """
    if not model.needs_batch:
        return replace(options, batch="")
    if options.batch and options.batch not in dataset.cell_columns:
        msg = (
            f"{model.title} was to correct for {options.batch!r}, which is no column of this dataset. Choose one of: "
            f"{', '.join(dataset.cell_columns) or 'it has none'}."
        )
        raise RequestError(msg, "unknown-column")
    return replace(options, batch=batch_column(dataset, options.batch))
