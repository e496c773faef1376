"""What a report card tells: the answers behind it, its figures and tables by name, and its words for a terminal."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.batch_structure import BatchStructure, DescribeBatches, condition_caution
from scfm_core.analyses.compare_model_tables import SUMMARIES
from scfm_core.analyses.compare_models import CompareModels, ModelComparison
from scfm_core.analyses.perturbation_phrases import three_digits
from scfm_core.plots.report_card import report_card
from scfm_core.plots.report_card_batches import batch_composition, variance_by_column
from scfm_core.plots.report_card_labels import labels_told
from scfm_core.plots.report_card_maps import candidate_maps
from scfm_core.plots.report_card_metrics import metric_panels
from scfm_core.plots.report_card_scatter import biology_against_batch
from scfm_core.report.figures import Drawing

FAMILY_WORDS = {
    "published": "As published (scIB 1.1.7, recomputed)",
    "scib-metrics": "scib-metrics (the library)",
}


@dataclass(frozen=True)
class Card:
    """Everything that a report card tells.

    Attributes
    ----------
    labels, batches
        What the labels and the batches are called; the latter empty where there are none.
    maps
        Title and places of the cells of each candidate, shape ``(n_cells, 2)``.
    colour
        Label of each cell, for the maps.
    seconds
        One row per candidate: ``candidate``, ``embedding_seconds``, ``scoring_seconds``.
    failed
        Title of each candidate that could not be scored, and why.
    """

    question: CompareModels
    comparison: ModelComparison
    labels: str
    batches: str = ""
    asked_structure: DescribeBatches | None = None
    structure: BatchStructure | None = None
    maps: tuple[tuple[str, NDArray[Any]], ...] = ()
    colour: Any = None
    seconds: pd.DataFrame = field(default_factory=pd.DataFrame)
    failed: tuple[tuple[str, str], ...] = ()


def drawings_of_card(card: Card) -> list[Drawing]:
    """Return every figure of a card, with the name of its file."""
    found = []
    for family in card.question.families:
        table = card.comparison.table[card.comparison.table["family"] == family]
        stem = family.replace("-", "_")
        biology, batch = SUMMARIES[family]
        found.append(Drawing(f"scores-{stem}", partial(report_card, table, (biology, batch))))
        found.append(Drawing(f"biology_against_batch-{stem}", partial(biology_against_batch, table, biology, batch)))
        found += [Drawing(f"{about}-{stem}", partial(metric_panels, table, about)) for about in ("biology", "batch")]
    if len(card.comparison.transfer):
        folds = f"the other {card.batches}" if card.batches else "five random parts"
        found.append(Drawing("labels", partial(labels_told, card.comparison.transfer, folds=folds)))
    if card.structure is not None:
        model = card.question.candidates[0].model.title
        explained = partial(variance_by_column, card.structure.explained, model=model, labels=card.labels)
        found.append(Drawing("variance", explained))
        if card.batches:
            made_of = partial(batch_composition, batches=card.batches, labels=card.labels)
            found.append(Drawing("composition", partial(made_of, card.structure.composition)))
    if card.maps:
        found.append(Drawing("maps", partial(candidate_maps, card.maps, card.colour)))
    return found


def tables_of_card(card: Card) -> dict[str, pd.DataFrame]:
    """Return every table of a card by the name of its file."""
    found = {
        "scores": card.comparison.table,
        "verdicts": card.comparison.verdicts,
        "recommendation": card.comparison.recommendation,
        "neighbours": card.comparison.neighbours,
        "labels": card.comparison.transfer,
        "labels_from_pca": card.comparison.trap,
        "seconds": card.seconds,
    }
    if card.structure is not None:
        found |= {
            "variance": card.structure.explained,
            "associations": card.structure.associations,
            "composition": card.structure.composition,
        }
    return {name: table for name, table in found.items() if len(table)}


def summary_words(card: Card) -> str:
    """Return scores, verdicts and the recommendation as lines for a terminal."""
    lines = []
    for family in card.question.families:
        lines.append(f"{FAMILY_WORDS[family]}:")
        table = card.comparison.table[card.comparison.table["family"] == family]
        lines += _terminal_rows(table, SUMMARIES[family])
        verdicts = card.comparison.verdicts
        lines += [f"  {one}" for one in verdicts.loc[verdicts["family"] == family, "sentence"]]
        said = card.comparison.recommendation
        for one in said[said["family"] == family].to_dict("records"):
            lines.append(f"  {one['sentence']} {one['reason']}")
    caution = condition_caution(card.question.dataset, card.batches)
    lines += [caution] if caution else []
    lines += [f"Labels from PCA: {row['verdict']}. {row['reason']} {row['consequence']}" for row in _trap_rows(card)]
    return "\n".join([*lines, *(f"{title} could not be scored: {why}" for title, why in card.failed)])


def _trap_rows(card: Card) -> list[dict[Any, Any]]:
    return list(card.comparison.trap.to_dict("records"))


def _terminal_rows(table: pd.DataFrame, metrics: tuple[str, str]) -> list[str]:
    wide = table.pivot_table(index="title", columns="metric", values="value", sort=False)
    shown = [name for name in metrics if name in wide]
    titles = dict(zip(table["metric"], table["metric_title"], strict=True))
    rows = wide[shown].sort_values(shown[0], ascending=False) if shown else wide
    width = max([len(str(name)) for name in rows.index], default=0)
    return [
        f"  {name:<{width}}  " + "  ".join(f"{titles[metric]} {three_digits(row[metric])}" for metric in shown)
        for name, row in rows.iterrows()
    ]
