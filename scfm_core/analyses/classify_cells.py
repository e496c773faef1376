"""Which type is each cell, by a CellTypist model? The arithmetic is CellTypist's, on the counts of the dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import chunks_of
from scfm_core.analyses.read_expression import COUNTS_PER_CELL
from scfm_core.celltypist import CelltypistModel, load_celltypist
from scfm_core.checkpoints.celltypist import CelltypistWeights
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.genes import known_genes
from scfm_core.request import Context, Request

MIN_PROBABILITY = 0.5
UNASSIGNED = "Unassigned"
_HIGHEST = 10.0  # CellTypist cuts scaled expression there
_CELLS_PER_CHUNK = 1024
_SEPARATOR = "|"


@dataclass(frozen=True)
class CellTypes:
    """A type for each cell, in the order of the dataset's cells.

    Attributes
    ----------
    best
        Place in ``classes`` of the type with the highest decision score, shape ``(n_cells,)``, int32; -1 for a cell
        without counts.
    probability
        Of that type (the logistic function of its score; types do not sum up to one), shape ``(n_cells,)``, float32.
    second
        The type with the next highest score, shape ``(n_cells,)``.
    several
        Place in ``combinations`` of all types with a probability above 0.5 (CellTypist's "prob match"), shape
        ``(n_cells,)``, int32.
    classes
        Names of the types, as in the model.
    combinations
        Names joined by ``|``; "Unassigned" where no type passes.
    n_shared, n_model_genes
        Genes of the model that the dataset has, of all.
    """

    best: NDArray[np.int32]
    probability: NDArray[np.float32]
    second: NDArray[np.int32]
    several: NDArray[np.int32]
    classes: tuple[str, ...]
    combinations: tuple[str, ...]
    n_shared: int
    n_model_genes: int


@dataclass(frozen=True)
class ClassifyCells(Request[CellTypes]):
    """Classify every cell by a CellTypist model.

    Counts are scaled to 10,000 per cell over all measured genes and ``log(1 + x)`` is taken; the genes that the model
    and the dataset share are scaled by the model's mean and standard deviation and cut at 10; scores are those of a
    logistic regression, one type against the rest. Genes are matched by symbol as written, and where that fails by
    their current symbol.

    Raises
    ------
    RequestError
        If model and dataset share no gene (code "no-genes").
    ModelError
        If the model is gone or was changed.

    References
    ----------
    Domínguez Conde et al. 2022, doi:10.1126/science.abl5197; Xu et al. 2023, doi:10.1016/j.cell.2023.11.026.
    """

    dataset: Dataset
    model: CelltypistModel

    result_type: ClassVar[type] = CellTypes

    def run(self, context: Context) -> CellTypes:
        """See `Request.run`."""
        weights = load_celltypist(self.model)
        of_model, of_dataset = shared_genes(self.dataset, weights.genes)
        context.log(f"{len(of_model):,} of the {len(weights.genes):,} genes of the model are in the dataset")
        spans = chunks_of(self.dataset.n_cells, _CELLS_PER_CHUNK)
        classify = partial(_classify, self.dataset, self.model, of_model, of_dataset)
        sizes = [stop - start for start, stop in spans]
        parts = list(context.map(classify, spans, step=f"Classifying with {self.model.title}", sizes=sizes))
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        passing, several = np.unique(joined.pop("passing"), axis=0, return_inverse=True)
        return CellTypes(
            **joined,
            several=several.ravel().astype(np.int32),
            classes=weights.classes,
            combinations=tuple(_together(row, weights.classes) for row in _unpacked(passing, len(weights.classes))),
            n_shared=len(of_model),
            n_model_genes=len(weights.genes),
        )


def shared_genes(dataset: Dataset, genes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of shared genes in a model and in a dataset, both of shape ``(n_shared,)``.

    Raises
    ------
    RequestError
        If there is none.
    """
    exact = {symbol: place for place, symbol in reversed(list(enumerate(dataset.gene_symbols)))}
    place_of = {gene_id: place for place, gene_id in enumerate(dataset.gene_ids)}
    current = known_genes(dataset, [gene for gene in genes if gene not in exact])
    found: dict[int, int] = {}  # position in the dataset -> in the model
    for names in (exact, {name: place_of[gene_id] for name, gene_id in current.items()}):
        for place, gene in enumerate(genes):
            if gene in names:
                found.setdefault(names[gene], place)
    if not found:
        msg = (
            f"The model reads genes such as {', '.join(genes[:3])}; the dataset has none of its {len(genes):,}, but "
            f"genes such as {', '.join(dataset.gene_symbols[:3])}. Choose a model of this organism."
        )
        raise RequestError(msg, "no-genes")
    pairs = sorted((of_model, of_dataset) for of_dataset, of_model in found.items())
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


def decision_scores(weights: CelltypistWeights, expression: NDArray[np.float64], genes: NDArray[np.int64]) -> Any:
    """Return the score of each type in each cell, shape ``(n_cells, n_classes)``.

    Parameters
    ----------
    expression
        ``log(1 + counts per 10,000)`` of the shared genes, shape ``(n_cells, n_shared)``.
    genes
        Their places in the model.
    """
    scaled = np.minimum((expression - weights.mean[genes]) / weights.scale[genes], _HIGHEST)
    scores = scaled @ weights.coefficients[:, genes].T + weights.intercepts
    return np.hstack([-scores, scores]) if scores.shape[1] == 1 else scores


def _classify(
    dataset: Dataset,
    model: CelltypistModel,
    of_model: NDArray[np.int64],
    of_dataset: NDArray[np.int64],
    span: tuple[int, int],
) -> dict[str, NDArray[Any]]:
    from scipy.special import expit

    weights = load_celltypist(model)
    counts = dataset.counts(slice(*span))
    totals = np.maximum(counts.total_counts, 1e-9)
    expression = np.log1p(counts.matrix[:, of_dataset].toarray() * (COUNTS_PER_CELL / totals)[:, None])
    scores = decision_scores(weights, expression, of_model)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :2].astype(np.int32)
    probability = expit(scores)
    rows, empty = np.arange(len(scores)), counts.total_counts <= 0
    return {
        "best": np.where(empty, -1, order[:, 0]).astype(np.int32),
        "second": np.where(empty, -1, order[:, 1]).astype(np.int32),
        "probability": np.where(empty, np.nan, probability[rows, order[:, 0]]).astype(np.float32),
        "passing": np.packbits((probability > MIN_PROBABILITY) & ~empty[:, None], axis=1, bitorder="little"),
    }


def _unpacked(passing: NDArray[np.uint8], n_classes: int) -> NDArray[np.uint8]:
    return np.unpackbits(passing, axis=1, count=n_classes, bitorder="little")


def _together(passes: NDArray[np.uint8], classes: tuple[str, ...]) -> str:
    return _SEPARATOR.join(classes[place] for place in np.flatnonzero(passes)) or UNASSIGNED
