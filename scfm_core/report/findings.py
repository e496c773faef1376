"""All that is known about one question of edits: every result, its cards, and its tables under their file names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from scfm_core.analyses.perturb_genes import PerturbationEffects, PerturbGenes
from scfm_core.analyses.perturbation_phrases import Row
from scfm_core.analyses.perturbation_words import IS_THE_BASELINE, Card, card
from scfm_core.model import ModelSpec
from scfm_core.registry import find_model

if TYPE_CHECKING:
    from scfm_core.analyses.compare_groups import GroupComparison
    from scfm_core.analyses.enrich_genes import Enrichment
    from scfm_core.analyses.explain_by_baselines import BaselineExplanation
    from scfm_core.analyses.follow_genes import FollowingGenes
    from scfm_core.analyses.perturb_pairs import PairInteractions
    from scfm_core.analyses.run_controls import Controls


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The results about one question; what was not asked is None.

    Attributes
    ----------
    question, effects
        What was asked, and its answer.
    baseline
        The answer to the same question under PCA.
    enrichment
        By edit and group: the gene sets among its downstream genes.
    remarks
        What the reader must know beside the results, such as what was left out and why; a sentence each.
    """

    question: PerturbGenes
    effects: PerturbationEffects
    baseline: PerturbationEffects | None = None
    controls: "Controls | None" = None
    comparison: "GroupComparison | None" = None
    explanation: "BaselineExplanation | None" = None
    followers: "FollowingGenes | None" = None
    pairs: "PairInteractions | None" = None
    enrichment: "Mapping[tuple[str, str], Enrichment]" = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def baseline_model(self) -> ModelSpec:
        """The model of `baseline`."""
        return find_model("pca")

    @property
    def rows(self) -> list[Row]:
        """The rows of the table of effects."""
        return [dict(row) for row in self.effects.effects.to_dict("records")]

    def card(self, row: Row) -> Card:
        """Return what one row means, in words."""
        own = self.question.baseline.model
        return card(
            row,
            shifts=self.effects.shifts,
            donors=self.effects.donors,
            baseline=IS_THE_BASELINE if own.is_baseline else self.baseline,
            comparison=self.comparison,
            controls=self.controls,
            explained=self.explanation,
        )

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return every table that holds something, by the name of its file without ending; cell by cell not."""
        effects = self.effects
        found = {
            "effects": effects.effects,
            "shifts": effects.shifts,
            "donors": effects.donors,
            "switches": effects.switches,
            "null": effects.null,
        }
        if self.baseline is not None:
            found |= {"baseline_effects": self.baseline.effects, "baseline_shifts": self.baseline.shifts}
        if self.controls is not None:
            found["controls"] = self.controls.table
        if self.comparison is not None:
            found |= {"groups": self.comparison.table, "generic_or_specific": self.comparison.labels}
        if self.explanation is not None:
            found |= {
                "explained": self.explanation.edits,
                "explained_summary": self.explanation.summary,
                "explained_genes": self.explanation.genes,
            }
        if self.followers is not None:
            found["downstream_genes"] = self.followers.table
        if self.pairs is not None:
            found["pairs"] = self.pairs.table
        if self.enrichment:
            found["enrichment"] = self.enrichment_table()
        return {name: table for name, table in found.items() if len(table)}

    def enrichment_table(self) -> pd.DataFrame:
        """Return the gene sets of all edits and groups in one table."""
        parts = [
            one.table.assign(edit=edit, group=group, sets=one.name) for (edit, group), one in self.enrichment.items()
        ]
        table = pd.concat(parts, ignore_index=True)
        first = ["edit", "group", "sets"]
        return table[[*first, *(name for name in table if name not in first)]]
