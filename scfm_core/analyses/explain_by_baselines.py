"""How much of a model's ranking of genes is known without it: from abundance, and from the same edit under PCA?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.baseline_genes import PCA, Identity, gene_identity, pca_effects
from scfm_core.analyses.baseline_ranking import (
    MIN_GENES,
    WITHIN_SD,
    Prediction,
    ordinal,
    percentiles,
    predict_scores,
)
from scfm_core.analyses.checked_cells import HeldGenes, Pairs, measure_pairs, read_held_genes, studied, with_verdicts
from scfm_core.analyses.measure_edits import EditedCells, apparatus_of
from scfm_core.analyses.measure_random_genes import random_genes
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.perturbation_null import generator
from scfm_core.analyses.perturbation_passes import Apparatus, find_tokens
from scfm_core.analyses.perturbation_study import Edit, RandomGenes, Study
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request
from scfm_core.tokens import edit_in_words, edit_name, same_edit

DESCRIBED_CELLS = 256  # of each group, in which genes are described
MIN_HOLDING = 3


@dataclass(frozen=True)
class BaselineExplanation:
    """What the baselines say about the genes that a model was asked about.

    Attributes
    ----------
    genes
        One row per group and gene, or set of genes, tested or random: ``group``, ``kind`` (the edit, with "gene" for
        its gene), ``gene_id`` (joined with ``;``), ``symbol`` (joined with ``+``), ``tested``; ``model_effect``, mean
        of 1 - cosine on the cells of the comparison; ``pca_effect``, the same edit under PCA, exactly 0 where PCA does
        not read the gene, which ``pca_reads`` tells (PCA reads the 2,000 most variable genes; whether it reads a gene
        is itself offered to the fit); ``detection``, ``mean_expression`` and ``mean_rank`` in the group, see
        `baseline_genes.Identity`; ``model_percentile`` and ``expected``: the gene's percentile, 0 to 100, among the
        genes of these rows under the model, and as the baselines predict it.
    summary
        One row per group and kind: ``group``, ``kind``, ``n_genes``; ``explained_identity``, ``explained_pca`` and
        ``explained_together``, cross-validated share of the variance of the model's ranks (as normal scores) that
        abundance alone, PCA alone and both explain, 0 to 1; ``ci_low`` and ``ci_high``, 95 % bootstrap interval of the
        last over genes. NaN below 30 genes, and for PCA where the model is PCA.
    edits
        One row per edit and group: ``edit``, ``group``, ``model_percentile``, ``expected_percentile``, ``residual_z``
        (how far the model lies above what the baselines say, in standard deviations of the random genes),
        ``explained`` (True within 1.64 of them, which 90 % of random genes are; None where it cannot be told), and
        ``in_words``, one sentence.
    n_passes
        About how many times a cell went through the model for it, what the question itself measured not counted.
    """

    genes: pd.DataFrame
    summary: pd.DataFrame
    edits: pd.DataFrame
    n_passes: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "edits", with_verdicts(self.edits, "explained"))


@dataclass(frozen=True)
class ExplainByBaselines(Request[BaselineExplanation]):
    """Predict the model's ranking of genes from what is known without it, and look where the edits asked for stand.

    The genes are those of the question, its random genes, and more that are spread over all abundances: the random
    genes of a question are like its own genes, and a ranking of like genes is no ranking of all. Each gene is predicted
    by a fit that has not seen it.

    Parameters
    ----------
    more_genes
        Random genes over all abundances, per group and kind of edit; for edits of one gene.
    more_cells
        On how many cells that hold it each of these is measured, and not more than ``question.null_cells``.

    Raises
    ------
    RequestError
        If a number is negative, or no cell at all would be measured.

    References
    ----------
    Ahlmann-Eltze, Huber & Anders 2025, doi:10.1038/s41592-025-02772-6, for why a simple baseline belongs beside a
    model. The regression is ours.
    """

    question: PerturbGenes
    more_genes: int = 60
    more_cells: int = 8

    result_type: ClassVar[type] = BaselineExplanation

    def __post_init__(self) -> None:
        if self.more_genes < 0 or self.more_cells < 1:
            msg = f"Expected at least 0 more genes and 1 cell, found {self.more_genes} and {self.more_cells}."
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> BaselineExplanation:
        """See `Request.run`."""
        question = self.question
        edited = context.compute(question.exact)
        study = replace(studied(context, question), null_cells=question.null_cells)
        random = None
        if question.null_genes and edited.holds.any():
            random = random_genes(context, question.exact, (question.null_genes, question.null_cells), seed=study.seed)
        apparatus = apparatus_of(context, question.baseline)
        tokens = context.call(partial(find_tokens, apparatus), step=f"Loading {apparatus.model.title}")
        genes, summaries, rows = [], [], []
        n_passes = 0
        for group in study.group_names:
            cells = study.chosen[study.in_random_order[group]][:DESCRIBED_CELLS]
            if not len(cells):
                continue
            held = read_held_genes(context, apparatus, tokens, cells)
            for kind, numbers in _kinds(study).items():
                measured = _tested(study, edited, group, numbers) + _random(study, random, group, numbers)
                more, n = self._spread(context, apparatus, (held, study, group), measured)
                n_passes += n
                explained = _explain(context, apparatus, held, (kind, group, measured + more, study.seed))
                genes.append(explained.genes)
                summaries.append(explained.summary)
                rows += explained.edits
        edits = _edits_table(rows, study.labels)
        return BaselineExplanation(pd.concat(genes, ignore_index=True), pd.DataFrame(summaries), edits, n_passes)

    def _spread(
        self,
        context: Context,
        apparatus: Apparatus,
        where: tuple[HeldGenes, Study, str],
        measured: "list[_Gene]",
    ) -> "tuple[list[_Gene], int]":
        """Measure random genes over all abundances."""
        held, study, group = where
        template = measured[0].edit
        if len(template) > 1 or not self.more_genes:
            return [], 0
        gene_ids = study.dataset.gene_ids
        n_holding = held.n_holding(study.dataset.n_genes)
        position = {gene_id: place for place, gene_id in enumerate(gene_ids)}
        n_holding[[position[single.gene_id] for gene in measured for single in gene.edit]] = 0
        drawn = spread_over(n_holding, self.more_genes, generator(study.seed, group, "spread"))
        edits = [(same_edit(template[0], gene_ids[gene]),) for gene in drawn]
        n_cells = min(self.more_cells, study.null_cells)
        cells = [_holders(held, int(gene))[:n_cells] for gene in drawn]
        numbers = np.repeat(np.arange(len(drawn)), [len(some) for some in cells])
        pairs = Pairs(edits, numbers, np.concatenate([np.empty(0, dtype=np.int64), *cells]))
        distance = measure_pairs(context, apparatus, pairs, step="Making the edit to genes of all abundances")
        there = np.isfinite(distance)
        effects = [float(distance[there & (numbers == number)].mean()) for number in np.unique(numbers[there])]
        made = [edits[number] for number in np.unique(numbers[there])]
        return [_Gene(edit, effect, "") for edit, effect in zip(made, effects, strict=True)], int(there.sum())


@dataclass(frozen=True)
class _Gene:
    """A gene, or set of genes, as the model was asked about it; ``label`` is empty for a random one."""

    edit: Edit
    effect: float
    label: str


@dataclass(frozen=True)
class _Explained:
    genes: pd.DataFrame
    summary: dict[str, Any]
    edits: list[dict[str, Any]]


def spread_over(n_holding: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw genes over all abundances: one from each of ``n`` equal parts of the genes in the order of abundance.

    Parameters
    ----------
    n_holding
        How many cells hold each gene, shape ``(n_genes,)``; genes held by fewer than 3 are passed over.
    """
    held = np.flatnonzero(n_holding >= MIN_HOLDING)
    order = held[np.lexsort((rng.random(len(held)), n_holding[held]))]
    parts = np.array_split(order, n) if n else []
    return np.array([rng.choice(part) for part in parts if len(part)], dtype=np.int64)


def _kinds(study: Study) -> dict[str, list[int]]:
    """Return the numbers of the edits that differ in nothing but their genes, by what they do."""
    kinds: dict[str, list[int]] = {}
    for number, edit in enumerate(study.edits):
        words = (edit_in_words(single, "gene") for single in edit)
        named = [f"delete {each}" if each == "gene" else each for each in words]
        kinds.setdefault("+".join(named), []).append(number)
    return kinds


def _tested(study: Study, edited: EditedCells, group: str, numbers: Sequence[int]) -> list[_Gene]:
    found = []
    for number in numbers:
        own = edited.distance[number, study.sample(edited, number, group)]
        effect = float(np.nanmean(own)) if np.isfinite(own).any() else float("nan")
        found.append(_Gene(study.edits[number], effect, study.labels[number]))
    return found


def _random(study: Study, random: RandomGenes | None, group: str, numbers: Sequence[int]) -> list[_Gene]:
    """Return the distinct random edits of a group that are like some edits."""
    if random is None:
        return []
    draws = random.draws
    mine = draws[(draws["group"] == group) & draws["edit"].isin(numbers)].drop_duplicates("number")
    ends = np.searchsorted(random.number, [mine["number"], mine["number"] + 1])
    found = []
    for edit, gene_ids, start, stop in zip(mine["edit"], mine["gene_ids"], *ends, strict=True):
        genes, template = str(gene_ids).split(";"), study.edits[int(edit)]
        own = random.distance[start:stop]
        if len(genes) == len(template) and np.isfinite(own).any():  # members that no cell holds are not replaced
            made = tuple(same_edit(single, gene_id) for single, gene_id in zip(template, genes, strict=True))
            found.append(_Gene(made, float(np.nanmean(own)), ""))
    return found


def _explain(
    context: Context, apparatus: Apparatus, held: HeldGenes, asked: tuple[str, str, list[_Gene], int]
) -> _Explained:
    """Predict the model's ranking of some genes from the baselines."""
    kind, group, rows, seed = asked
    dataset = apparatus.dataset
    position = {gene_id: place for place, gene_id in enumerate(dataset.gene_ids)}
    sets = [[position[single.gene_id] for single in row.edit] for row in rows]
    identity = gene_identity(context, dataset, held, sets)
    pca = None
    if apparatus.model.key != PCA:
        pca = pca_effects(context, dataset, [row.edit for row in rows], held.cells)
    effects = np.array([row.effect for row in rows])
    tested = np.array([bool(row.label) for row in rows])
    table = pd.DataFrame(
        {
            "group": group,
            "kind": kind,
            "gene_id": [";".join(single.gene_id for single in row.edit) for row in rows],
            "symbol": ["+".join(dataset.gene_symbols[gene] for gene in genes) for genes in sets],
            "tested": tested,
            "model_effect": effects,
            "pca_effect": np.full(len(rows), np.nan) if pca is None else pca[0],
            "pca_reads": np.zeros(len(rows), dtype=bool) if pca is None else pca[1],
            "detection": identity.detection,
            "mean_expression": identity.mean_expression,
            "mean_rank": identity.mean_rank,
            "model_percentile": np.nan,
            "expected": np.nan,
        }
    )
    there = np.flatnonzero(np.isfinite(effects))
    summary = {"group": group, "kind": kind, "n_genes": len(there)}
    summary |= dict.fromkeys(("explained_identity", "explained_pca", "explained_together", "ci_low", "ci_high"), np.nan)
    residual_z = np.full(len(rows), np.nan)
    if len(there) >= MIN_GENES:
        by_pca = None if pca is None else np.stack([pca[0], pca[1].astype(np.float64)], axis=1)[there]
        shares, best = _shares(effects[there], identity, (there, by_pca), seed)
        low, high = best.interval(generator(seed, group, kind, "baselines"))
        summary |= shares | {"ci_low": max(low, 0.0), "ci_high": max(high, 0.0)}
        table.loc[there, "model_percentile"] = percentiles(best.scores)
        table.loc[there, "expected"] = percentiles(best.expected)
        residual_z[there] = best.residual_z(~tested[there])
    verdicts = [
        _verdict(rows[number], table.iloc[number], float(residual_z[number]), with_pca=pca is not None)
        for number in np.flatnonzero(tested)
    ]
    return _Explained(table, summary, verdicts)


def _shares(
    effects: NDArray[np.float64],
    identity: Identity,
    where: tuple[NDArray[np.int64], NDArray[np.float64] | None],
    seed: int,
) -> tuple[dict[str, float], Prediction]:
    """Return the share that each baseline explains, and the prediction of all together."""
    there, by_pca = where
    own = identity.features[there]
    alone = predict_scores(effects, own, seed=seed)
    found = {"explained_identity": max(alone.share, 0.0), "explained_pca": np.nan}
    best = alone
    if by_pca is not None:
        found["explained_pca"] = max(predict_scores(effects, by_pca, seed=seed).share, 0.0)
        best = predict_scores(effects, np.concatenate([own, by_pca], axis=1), seed=seed)
    return found | {"explained_together": max(best.share, 0.0)}, best


def _verdict(gene: _Gene, row: "pd.Series[Any]", z: float, *, with_pca: bool) -> dict[str, Any]:
    found = {
        "edit": gene.label,
        "group": row["group"],
        "model_percentile": float(row["model_percentile"]),
        "expected_percentile": float(row["expected"]),
        "residual_z": z,
        "explained": None if np.isnan(z) else abs(z) <= WITHIN_SD,
    }
    kinds = {edit_name(single) for single in gene.edit}
    same = "the same deletion under PCA" if kinds == {"delete"} else "the same edit under PCA"
    baselines = f"Mean expression, detection, rank and {same}" if with_pca else "Mean expression, detection and rank"
    return found | {"in_words": _sentence(gene, found, baselines + (" together" if with_pca else " alone"))}


def _sentence(gene: _Gene, found: dict[str, Any], baselines: str) -> str:
    if np.isnan(gene.effect):
        return f"The model reads {gene.label} in none of these cells, so there is nothing to explain."
    if found["explained"] is None:
        return f"Too few genes were measured to say what the baselines expect of {gene.label}: {MIN_GENES} are needed."
    verdict = "the baselines explain it"
    if not found["explained"]:
        more = "more" if found["residual_z"] > 0 else "less"
        verdict = f"{more} than the baselines explain"
    return (
        f"{baselines} put {gene.label} at the {ordinal(found['expected_percentile'])} percentile; "
        f"the model says the {ordinal(found['model_percentile'])}: {verdict}."
    )


def _edits_table(rows: list[dict[str, Any]], labels: Sequence[str]) -> pd.DataFrame:
    columns = ["edit", "group", "model_percentile", "expected_percentile", "residual_z", "explained", "in_words"]
    order = {label: number for number, label in enumerate(labels)}
    rows = sorted(rows, key=lambda row: order[row["edit"]])
    return pd.DataFrame(rows, columns=columns)


def _holders(held: HeldGenes, gene: int) -> NDArray[np.int64]:
    """Return the cells that hold a gene, in the order in which they were read."""
    cell = np.repeat(np.arange(len(held.cells)), np.diff(held.offsets))
    holders: NDArray[np.int64] = held.cells[np.unique(cell[held.genes == gene])]
    return holders
