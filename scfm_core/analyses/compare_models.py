"""Is an embedding better than PCA on these cells? Several embeddings, scored on the same cells, and what follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.compare_model_tables import (
    PCA,
    RANDOM,
    Scored,
    candidate_key,
    candidate_title,
    recommendation_table,
    score_table,
    verdict_table,
)
from scfm_core.analyses.compare_neighbors import CompareNeighbors, NeighborComparison
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import ByLabels, Grouping, group_codes
from scfm_core.analyses.labels_from_pca import LabelTrace, TraceLabelsToPca
from scfm_core.analyses.score_embedding import ScoreEmbedding
from scfm_core.analyses.transfer_labels import ALL, LabelTransfer, TransferLabels
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.metrics.catalogue import Family
from scfm_core.registry import find_model
from scfm_core.request import Context, Request

RARE = 0.02  # of the labelled cells
NEIGHBORS = ("model", "title", "n_cells", "n_neighbors", "mean", "low", "high", "by_chance")
TRANSFER = (
    *("model", "title", "label", "rare", "n_cells", "n_reference", "recall", "ci_low", "ci_high", "ci_unit", "wrong"),
    *("unknown", "precision", "invented"),
)


@dataclass(frozen=True)
class ModelComparison:
    """How several embeddings of the same cells stand beside PCA.

    Attributes
    ----------
    table
        One row per embedding, family and metric, see `compare_model_tables.score_table`.
    verdicts
        One row per embedding and family, see `compare_model_tables.verdict_table`.
    recommendation
        One row per family: ``family``, ``model``, ``sentence``, ``reason``.
    neighbours
        How many neighbours of PCA each other embedding keeps: ``model``, ``title``, ``n_cells``, ``n_neighbors``,
        ``mean``, ``low``, ``high`` (middle half of the cells) of the share kept, ``by_chance``.
    transfer
        How often the nearest cells of other batches tell a cell's label, one row per embedding and label, the rare ones
        (below 2 % of the cells) among them, and one for all: ``model``, ``title``, ``label``, ``rare``, and the columns
        of `LabelTransfer`.
    trap
        Whether the labels look as if they were made from a PCA of these cells, one row: ``verdict``, ``reason``,
        ``consequence``; empty where it was not asked.
    """

    table: pd.DataFrame
    verdicts: pd.DataFrame
    recommendation: pd.DataFrame
    neighbours: pd.DataFrame
    transfer: pd.DataFrame
    trap: pd.DataFrame


@dataclass(frozen=True)
class CompareModels(Request[ModelComparison]):
    """Compare embeddings with PCA and with random numbers, on the cells that have a vector in all of them.

    Parameters
    ----------
    models
        The embeddings to judge; those of PCA and of random numbers stand beside them in any case.
    labels, batches
        Cell types, and what should be mixed; no metrics of batches where None.
    families
        Which definitions of the metrics; numbers of two families are not to be compared.
    n_neighbors
        Over how many neighbours the neighbourhoods of PCA and of the others are compared.
    n_bootstrap, seed, donor_column
        As in `ScoreEmbedding`.

    Raises
    ------
    RequestError
        If there is no embedding, two share a name, or one is of another dataset.

    References
    ----------
    Kedzierska et al. 2025, doi:10.1186/s13059-025-03574-x; Luecken et al. 2022, doi:10.1038/s41592-021-01336-8.
    """

    dataset: Dataset
    models: tuple[EmbedCells, ...]
    labels: Grouping
    batches: Grouping | None = None
    families: tuple[Family, ...] = ("published",)
    n_neighbors: int = 30
    n_bootstrap: int = 20
    seed: int = 0
    donor_column: str = ""

    result_type: ClassVar[type] = ModelComparison

    def __post_init__(self) -> None:
        if not self.models or not self.families:
            msg = "Expected at least one embedding and one family of metrics, found none. Choose a model."
            raise RequestError(msg, "no-models")
        if any(model.dataset.identity != self.dataset.identity for model in self.models):
            msg = "Embeddings of one dataset can be compared, found one of another. Embed the cells of this dataset."
            raise RequestError(msg, "other-dataset")
        keys = [candidate_key(model) for model in self.candidates]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            msg = f"Expected each model once, found {', '.join(twice)} with different options. Compare them one by one."
            raise RequestError(msg, "same-names")

    @property
    def candidates(self) -> tuple[EmbedCells, ...]:
        """All embeddings that are scored: PCA and random numbers first, then the others."""
        measures = tuple(EmbedCells(self.dataset, find_model(key)) for key in (PCA, RANDOM))
        return tuple({model.identity: model for model in (*measures, *self.models)}.values())

    def score(self, embedding: EmbedCells, family: Family, labels: Grouping | None = None) -> ScoreEmbedding:
        """Return the question for the scores of one embedding; ``labels`` may leave out cells."""
        return ScoreEmbedding(
            embedding, self.labels if labels is None else labels, self.batches, family=family,
            n_bootstrap=self.n_bootstrap, seed=self.seed, donor_column=self.donor_column,
        )  # fmt: skip

    def neighbors(self, embedding: EmbedCells) -> CompareNeighbors:
        """Return the question for how many neighbours of PCA an embedding keeps."""
        return CompareNeighbors(self.candidates[0], embedding, self.n_neighbors)

    def transfer(self, embedding: EmbedCells) -> TransferLabels:
        """Return the question for how often neighbours of other batches tell a cell's label."""
        return TransferLabels(embedding, self.labels, self.batches, seed=self.seed)

    @property
    def trace(self) -> TraceLabelsToPca:
        """The question whether the labels come from a PCA of these cells."""
        return TraceLabelsToPca(self.dataset, self.labels, seed=self.seed)

    def run(self, context: Context) -> ModelComparison:
        """See `Request.run`."""
        points = [np.asarray(context.compute(embedding).points) for embedding in self.candidates]
        placed = np.all([np.isfinite(vectors).all(axis=1) for vectors in points], axis=0)
        labels = self.labels
        if not placed.all():
            n_out = int((~placed).sum())
            context.log(f"{n_out:,} of {len(placed):,} cells lack a vector in some embedding and are left out of all")
            labels = without_cells(context, self.dataset, self.labels, ~placed)
        scored: list[Scored] = []
        trace = context.compute(self.trace)
        for family in self.families:
            for embedding in self.candidates:
                answer = context.compute(self.score(embedding, family, labels))
                scored.append(Scored(embedding, family, answer))
                context.show(comparison_of(scored, trace=trace))
        others = [embedding for embedding in self.candidates if embedding.model.key != PCA]
        kept = {embedding: context.compute(self.neighbors(embedding)) for embedding in others}
        return comparison_of(scored, kept=kept, transferred=self._transferred(context), trace=trace)

    def _transferred(self, context: Context) -> dict[EmbedCells, LabelTransfer]:
        try:
            return {embedding: context.compute(self.transfer(embedding)) for embedding in self.candidates}
        except RequestError as error:  # a single label, or a batch of its own for each: the scores still stand
            context.log(f"Labels are not transferred: {error}")
            return {}


def comparison_of(
    scored: Sequence[Scored],
    *,
    kept: Mapping[EmbedCells, NeighborComparison] | None = None,
    transferred: Mapping[EmbedCells, LabelTransfer] | None = None,
    trace: LabelTrace | None = None,
) -> ModelComparison:
    """Return what is known from the answers that are there, PCA and random numbers among them or not.

    Parameters
    ----------
    kept
        Neighbours of PCA that each embedding keeps.
    transferred
        How often neighbours tell labels.
    trace
        Whether labels come from PCA.
    """
    table = score_table(scored)
    favours = trace is not None and trace.verdict in ("yes", "likely")
    told = [] if trace is None else [(trace.verdict, trace.reason, trace.consequence)]
    return ModelComparison(
        table=table,
        verdicts=verdict_table(table),
        recommendation=recommendation_table(table, favours_pca=favours),
        neighbours=neighbour_table(kept or {}),
        transfer=transfer_table(transferred or {}),
        trap=pd.DataFrame(told, columns=["verdict", "reason", "consequence"]),
    )


def transfer_table(transferred: Mapping[EmbedCells, LabelTransfer]) -> pd.DataFrame:
    """Return how often labels are told, one row per embedding and label, see `ModelComparison.transfer`."""
    parts = []
    for embedding, found in transferred.items():
        n_cells = found.table["n_cells"]
        rare = (n_cells < RARE * n_cells[found.table["label"] == ALL].max()) & (found.table["label"] != ALL)
        parts.append(
            found.table.assign(model=candidate_key(embedding), title=candidate_title(embedding), rare=rare)
        )
    if not parts:
        return pd.DataFrame(columns=list(TRANSFER))
    whole: pd.DataFrame = pd.concat(parts, ignore_index=True)[list(TRANSFER)]
    return whole


def neighbour_table(kept: Mapping[EmbedCells, NeighborComparison]) -> pd.DataFrame:
    """Return how many neighbours of PCA embeddings keep, see `ModelComparison.neighbours`."""
    rows = []
    for embedding, found in kept.items():
        share = np.asarray(found.share_kept, dtype=np.float64)
        low, high = np.percentile(share, [25, 75])
        row = (candidate_key(embedding), candidate_title(embedding), len(share), found.n_neighbors)
        told = (*row, float(share.mean()), float(low), float(high), found.share_by_chance)
        rows.append(dict(zip(NEIGHBORS, told, strict=True)))
    return pd.DataFrame(rows, columns=list(NEIGHBORS))


def without_cells(context: Context, dataset: Dataset, labels: Grouping, left_out: NDArray[np.bool_]) -> ByLabels:
    """Return labels as values, without those of some cells, shape ``(n_cells,)``."""
    names, codes = group_codes(context, dataset, labels)
    kept: NDArray[np.integer[Any]] = np.where(left_out, -1, codes)
    return ByLabels(f"{_name_of(labels)}, cells with all vectors", names, kept.astype("<i2").tobytes())


def _name_of(labels: Grouping) -> str:
    return str(getattr(labels, "column", "") or getattr(labels, "name", "") or "labels")
