"""Do the nearest cells of other batches, donors or parts tell what a cell is?"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_neighbors import comparable, default_metric
from scfm_core.analyses.grouping import Grouping, group_codes
from scfm_core.analyses.label_transfer_tables import ALL, confusion_table, fold_table, recall_table
from scfm_core.analyses.match_cells import balanced
from scfm_core.analyses.metric_cells import strata_of, stratified
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

N_RANDOM_FOLDS = 5
MOST_CELLS = 50_000
UNKNOWN = -1
__all__ = ["ALL", "UNKNOWN", "LabelTransfer", "TransferLabels"]


@dataclass(frozen=True)
class LabelTransfer:
    """How often cells get their own label from their nearest cells in the other folds.

    Attributes
    ----------
    table
        One row per label, rare ones too, then one for "all": ``label``; ``n_cells`` asked; ``n_reference``, how many of
        them carry a label that the other folds hold; ``recall``, share of these that get it; ``ci_low``, ``ci_high``
        (95 %), ``ci_unit`` (``folds`` or ``cells``); ``wrong``, share that gets another label; ``unknown``, share whose
        neighbours do not agree; ``precision``, share of the cells given the label that carry it; ``invented``, share of
        the cells without reference that are given a label all the same.
    confusion
        ``label``, ``given`` (empty for unknown), ``n_cells``, ``share`` of the label's cells.
    folds
        ``fold``, ``n_cells``, ``recall``, ``unknown``.
    mean_recall
        Over labels, each counted alike: rare types weigh as much as common ones.
    remarks
        How cells were parted and compared.
    """

    table: pd.DataFrame
    confusion: pd.DataFrame
    folds: pd.DataFrame
    mean_recall: float
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class TransferLabels(Request[LabelTransfer]):
    """Label each cell by the vote of its nearest cells in other folds, and count how often that is right.

    Parameters
    ----------
    folds
        Batches or donors: each is labelled by all the others, as a new sample would be. Five random parts where None,
        which is easier: cells of the same sample find each other.
    n_neighbors
        How many cells vote, each with a Gaussian weight whose width is their mean distance.
    min_agreement
        Share of the votes below which a cell is called unknown.

    Raises
    ------
    RequestError
        If a number makes no sense, or there are fewer than two labels or two folds.

    References
    ----------
    Cover & Hart 1967, doi:10.1109/TIT.1967.1053964.
    """

    embedding: EmbedCells
    labels: Grouping
    folds: Grouping | None = None
    n_neighbors: int = 15
    min_agreement: float = 0.6
    seed: int = 0

    result_type: ClassVar[type] = LabelTransfer

    def __post_init__(self) -> None:
        if not 1 <= self.n_neighbors <= 200 or not 0 <= self.min_agreement <= 1:
            msg = "Expected 1 to 200 neighbours, and an agreement between 0 and 1. Usual are 15 and 0.6."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> LabelTransfer:
        """See `Request.run`."""
        points = np.asarray(context.compute(self.embedding).points)
        names, codes = group_codes(context, self.embedding.dataset, self.labels)
        every = np.asarray(codes, dtype=np.int64)
        fold_names, of_cells = self._folds(context, every)
        usable = np.flatnonzero((every >= 0) & (of_cells >= 0) & np.isfinite(points).all(axis=1))
        strata = strata_of(every[usable], of_cells[usable])
        asked = usable[stratified(strata, MOST_CELLS, np.random.default_rng(self.seed))]
        labels, folds = every[asked], of_cells[asked]
        self._check(labels, folds)
        vectors = comparable(points[asked], default_metric(self.embedding.model))
        given, n_voting = self._votes(context, vectors, labels, folds)
        known = n_voting > 0
        table = recall_table(names, labels, given, known=known, folds=folds)
        return LabelTransfer(
            table=table,
            confusion=confusion_table(names, labels, given),
            folds=fold_table(fold_names, labels, given, known=known, folds=folds),
            mean_recall=float(table.loc[table["label"] != ALL, "recall"].mean()),
            remarks=(
                *self._remarks(len(np.unique(folds)), n_asked=len(asked), n_usable=len(usable)),
                *self._of_rare(names, labels, n_voting),
            ),
        )

    def _votes(
        self, context: Context, vectors: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the label that each cell gets, and how many cells of its own label could vote."""
        numbers = np.unique(folds)
        vote = partial(_vote_on, vectors, labels, folds, n_neighbors=self.n_neighbors, min_agreement=self.min_agreement)
        sizes = [int((folds == one).sum()) for one in numbers]
        step = f"Labelling cells by their neighbours in {self.embedding.model.title}"
        parts = list(context.map(vote, numbers.tolist(), step=step, sizes=sizes))
        given, n_voting = np.full(len(labels), UNKNOWN, dtype=np.int64), np.zeros(len(labels), dtype=np.int64)
        for one, part in zip(numbers, parts, strict=True):
            mine = folds == one
            given[mine], n_voting[mine] = part["given"], part["n_voting"]
        return given, n_voting

    def _folds(self, context: Context, labels: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        if self.folds is not None:
            names, codes = group_codes(context, self.embedding.dataset, self.folds)
            return names, np.asarray(codes, dtype=np.int64)
        order = np.random.default_rng(self.seed).permutation(len(labels))
        parts = np.empty(len(labels), dtype=np.int64)
        parts[order[np.argsort(labels[order], kind="stable")]] = np.arange(len(labels)) % N_RANDOM_FOLDS
        return tuple(f"part {number + 1}" for number in range(N_RANDOM_FOLDS)), parts

    def _check(self, labels: NDArray[np.int64], folds: NDArray[np.int64]) -> None:
        n_labels, n_folds = len(np.unique(labels)), len(np.unique(folds))
        if n_labels < 2 or n_folds < 2:
            msg = (
                f"Expected cells of at least 2 labels in at least 2 batches, donors or parts, found {n_labels} and "
                f"{n_folds} among {len(labels):,} cells with a vector. Choose other columns; without batches five "
                "random parts are taken."
            )
            raise RequestError(msg, "nothing-to-compare")

    def _remarks(self, n_folds: int, *, n_asked: int, n_usable: int) -> tuple[str, ...]:
        parted = (
            f"Each of {n_folds} groups of cells was labelled by all the others."
            if self.folds is not None
            else f"Each of {n_folds} random parts was labelled by the others: cells of a sample find each other easily."
        )
        rule = (
            f"The {self.n_neighbors} nearest cells vote; below {100 * self.min_agreement:g} % agreement a cell is "
            "unknown."
        )
        cut = f"{n_asked:,} of {n_usable:,} cells, drawn within labels and folds, take part."
        return (parted, rule, cut) if n_asked < n_usable else (parted, rule)

    def _of_rare(
        self, names: tuple[str, ...], labels: NDArray[np.int64], n_voting: NDArray[np.int64]
    ) -> tuple[str, ...]:
        """Say which labels have too few cells to win a vote of equals."""
        needed = int(np.ceil(self.min_agreement * self.n_neighbors))
        rare = [names[label] for label in np.unique(labels[(n_voting < needed) & (n_voting > 0)])]
        if not rare:
            return ()
        return (
            f"{', '.join(rare)}: fewer than {needed} cells to be found in the other groups, so most of these must "
            "stay unknown; fewer neighbours would serve them better.",
        )


def _vote_on(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    fold: int,
    *,
    n_neighbors: int,
    min_agreement: float,
) -> dict[str, NDArray[np.int64]]:
    """Let the cells of all other folds vote on those of one."""
    from sklearn.neighbors import NearestNeighbors

    asked, voting = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
    voting = voting[balanced(labels[voting].astype(str), most=MOST_CELLS)]
    n_voices = min(n_neighbors, len(voting))
    search = NearestNeighbors(n_neighbors=n_voices, algorithm="brute").fit(vectors[voting])
    distances, found = search.kneighbors(vectors[asked])
    width = distances.mean(axis=1, keepdims=True)
    weights = np.exp(-0.5 * (distances / np.where(width > 0, width, 1)) ** 2)
    votes = np.zeros((len(asked), int(labels.max()) + 1))
    np.add.at(votes, (np.repeat(np.arange(len(asked)), n_voices), labels[voting][found].ravel()), weights.ravel())
    winner = votes.argmax(axis=1)
    agreed = votes[np.arange(len(asked)), winner] >= min_agreement * weights.sum(axis=1)
    n_voting = np.bincount(labels[voting], minlength=int(labels.max()) + 1)[labels[asked]]
    return {"given": np.where(agreed, winner, UNKNOWN), "n_voting": n_voting}
