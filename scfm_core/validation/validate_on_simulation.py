"""Do models that saw unperturbed cells alone know what knock-outs do? Asked where the truth is known exactly."""

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import pandas as pd

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_pairs import PerturbPairs
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request
from scfm_core.simulation.network import build_network
from scfm_core.simulation.simulate import (
    ALL_CELLS,
    CONTROL,
    KNOCKED_OUT,
    SimulationSettings,
    true_changes,
    true_interactions,
)
from scfm_core.tokens import Delete
from scfm_core.training.pretrain import PretrainSettings
from scfm_core.validation.asking_models import Asked, ask_models, genes_table, left_out_table, score
from scfm_core.validation.cell_directions import compare_directions
from scfm_core.validation.measured_changes import Changes, read_screen
from scfm_core.validation.predicted_shifts import Effort
from scfm_core.validation.result import PAIR_COLUMNS, Validation
from scfm_core.validation.simulated_models import (
    RANK_SETTINGS,
    NetworkKind,
    TrainOnSimulation,
    card_of,
    simulated_dataset,
)
from scfm_core.validation.value_network import ValueSettings
from scfm_core.validation.verdicts import directions_in_words, pairs_in_words, verdict

_MOST_NULL_PAIRS = 400  # so that the one planted pair of 15 can be told after correction
_INDEPENDENT_PAIRS = 1  # whose regulators are tried in pairs beside the planted ones


@dataclass(frozen=True)
class ValidateOnSimulation(Request[Validation]):
    """Train networks on the unperturbed cells of a simulation, and compare their knock-outs with the true ones.

    Parameters
    ----------
    settings, seed
        Of the simulation; the seed also draws cells, genes and resamples.
    networks
        Which kinds are trained, see `TrainOnSimulation`.
    cells, random_genes
        As in `ValidateOnCrispr`.
    least_log2_fold_change
        A gene counts as truly changed where its mean level over all cells changes by at least so much.
    pair_cells
        On how many cells each pair of regulators is deleted; 0 for no pairs.
    ranks, values
        How the networks are trained.

    Raises
    ------
    RequestError
        If there is no network, or none of that kind.
    """

    settings: SimulationSettings = SimulationSettings()
    seed: int = 0
    networks: tuple[NetworkKind, ...] = ("ranks", "values")
    cells: int = 100
    random_genes: int = 8
    least_log2_fold_change: float = 0.2
    pair_cells: int = 100
    ranks: PretrainSettings = RANK_SETTINGS
    values: ValueSettings = ValueSettings()

    result_type: ClassVar[type] = Validation

    def __post_init__(self) -> None:
        if not self.networks:
            msg = "Expected at least one kind of network to train, found none. Choose ranks, values, or both."
            raise RequestError(msg, "unknown-network")
        _ = self.trainings

    @property
    def trainings(self) -> tuple[TrainOnSimulation, ...]:
        """The networks that are asked."""
        return tuple(
            TrainOnSimulation(self.settings, self.seed, kind, self.ranks, self.values) for kind in self.networks
        )

    def run(self, context: Context) -> Validation:
        """See `Request.run`."""
        unperturbed = simulated_dataset(context, self.settings, self.seed, "cells")
        trained = [context.compute(training) for training in self.trainings]
        cards = [card_of(training, network) for training, network in zip(self.trainings, trained, strict=True)]
        baselines = [EmbedCells(unperturbed, card) for card in cards]
        effort = Effort(self.cells, self.random_genes, self.seed)
        asked = ask_models(context, baselines, self.truth(unperturbed), np.arange(unperturbed.n_cells), effort)
        scored, summary = score(unperturbed, asked, self.seed)
        vectors = self._directions(context, baselines, asked)
        pairs = self._pairs(context, baselines)
        words: list[str] = []
        for baseline in baselines:
            title = baseline.model.title
            words += [*verdict(scored, summary, title, self.seed), directions_in_words(vectors, title)]
            words += pairs_in_words(pairs, title) if len(pairs) else ()
        return Validation(
            table=scored.table,
            summary=summary,
            vectors=vectors,
            genes=genes_table(unperturbed, asked),
            left_out=left_out_table(asked.left_out),
            pairs=pairs,
            in_words=tuple(words),
            notes=(*(network.in_words for network in trained), *self._notes(asked)),
        )

    def truth(self, dataset: Dataset) -> Changes:
        """Return the true changes of all genes under the knock-out of each regulator, over all cells."""
        table = true_changes(self.settings, self.seed)
        regulators = build_network(self.settings.network, self.seed).regulators
        table = table[(table["group"] == ALL_CELLS) & table["knocked_out"].isin(regulators)]
        wide = table.pivot_table(index="knocked_out", columns="gene_id", values="log2_fold_change")
        change = wide.reindex(index=list(regulators), columns=list(dataset.gene_ids)).to_numpy(dtype=np.float64)
        place = {gene_id: number for number, gene_id in enumerate(dataset.gene_ids)}
        with np.errstate(invalid="ignore"):
            changed = np.abs(change) >= self.least_log2_fold_change
        return Changes(
            targets=regulators,
            genes=np.array([place[gene_id] for gene_id in regulators], dtype=np.int64),
            log2_fold_change=change,
            changed=changed,
            p_adjusted=np.full(change.shape, np.nan),
            how=f"a true log2 fold change of its mean level of at least {self.least_log2_fold_change:g}, up or down",
        )

    def _directions(self, context: Context, baselines: list[EmbedCells], asked: Asked) -> pd.DataFrame:
        knocked_out = simulated_dataset(context, self.settings, self.seed, "knock-outs")
        screen = read_screen(knocked_out, KNOCKED_OUT, CONTROL, None)
        parts = []
        for baseline in baselines:
            title = baseline.model.title
            points = np.asarray(context.compute(EmbedCells(knocked_out, baseline.model)).points)
            shifts = dict(zip(asked.changes.targets, asked.predicted[title].cell_shift, strict=True))
            part = compare_directions(points, screen, shifts, seed=self.seed)
            part.insert(0, "model", title)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def _pairs(self, context: Context, baselines: list[EmbedCells]) -> pd.DataFrame:
        if not self.pair_cells:
            return pd.DataFrame(columns=list(PAIR_COLUMNS))
        planted = build_network(self.settings.network, self.seed).pairs
        independent = [pair for pair in planted if pair[2] == "independent"][:_INDEPENDENT_PAIRS]
        wanted = [pair for pair in planted if pair[2] != "independent"] + independent
        genes = list(dict.fromkeys(gene for a, b, _ in wanted for gene in (a, b)))
        truth = true_interactions(self.settings, self.seed, list(combinations(genes, 2)))
        parts = []
        for baseline in baselines:
            edits = tuple(Delete(gene) for gene in genes)
            question = PerturbPairs(
                baseline, edits, max_cells=self.pair_cells, most_null_pairs=_MOST_NULL_PAIRS, seed=self.seed
            )
            found = context.compute(question).table
            part = truth.merge(found, on=["gene_id_a", "gene_id_b"], validate="one_to_one")
            part.insert(0, "model", baseline.model.title)
            parts.append(part.sort_values("vector_beyond", ascending=False))
        return pd.concat(parts, ignore_index=True)

    def _notes(self, asked: Asked) -> tuple[str, ...]:
        return (
            f"A gene counts as changed by {asked.changes.how}.",
            f"The networks and the baselines saw {self.settings.n_cells:,} unperturbed simulated cells; the truth is "
            "that of the same cells with the gene's production at 0.",
            "The planted pairs are strong and their targets few and weak, so that a model can learn them; a real "
            "genome does not promise this.",
            "Intervals are 95 % bootstrap intervals over genes, and over targets for the means.",
        )
