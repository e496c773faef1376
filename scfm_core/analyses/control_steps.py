"""Makes the controls of one group of cells: each returns rows of the table of controls."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.checked_cells import HeldGenes, Pairs, measure_pairs
from scfm_core.analyses.control_edits import (
    embed_silent,
    equal_bits,
    expressed_genes,
    housekeeping_genes,
    scrambled_edits,
    silent_genes,
)
from scfm_core.analyses.find_markers import FindMarkers, top_markers
from scfm_core.analyses.grouping import ByColumn, BySelections
from scfm_core.analyses.measure_edits import EditedCells
from scfm_core.analyses.perturb_genes import PerturbationEffects, PerturbGenes
from scfm_core.analyses.perturbation_null import empirical_p, generator, z_score
from scfm_core.analyses.perturbation_passes import Apparatus, one_minus_cosine
from scfm_core.analyses.perturbation_study import Edit, Study
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.request import Context
from scfm_core.tokens import Delete

_MIDDLE = 0.5
SILENT, HOUSEKEEPING, SCRAMBLED, MARKER = "silent gene", "housekeeping gene", "scrambled edit", "top marker"
SIGNIFICANT = 0.05
CELLS = 48  # of each group; the genes of the controls are deleted in all of these that hold them
SILENT_CELLS = 32
MOST_HOUSEKEEPING = 4
MIN_HOLDING = 3
_MARKERS_TRIED = 100
_CELLS_READ_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class Bench:
    """What all controls of a question share.

    Attributes
    ----------
    study, edited
        The cells and groups of the question, and what its own edits did.
    token_of_gene
        The token by which the model reads each gene of the dataset, -1 for none, shape ``(n_genes,)``.
    null_genes, null_cells
        As in `RunControls`.
    """

    question: PerturbGenes
    study: Study
    edited: EditedCells
    apparatus: Apparatus
    token_of_gene: NDArray[np.int32]
    null_genes: int
    null_cells: int

    def sample(self, group: str) -> NDArray[np.int64]:
        """Return the cells of a group on which controls are made, as positions in the dataset."""
        return self.study.chosen[self.study.in_random_order[group]][:CELLS]


Rows = tuple[list[dict[str, Any]], int]  # rows of the table of controls, and how many passes they took


def silent_control(context: Context, bench: Bench, group: str) -> Rows:
    """Delete a gene that no cell of the group expresses."""
    study, dataset = bench.study, bench.study.dataset
    cells = study.chosen[study.groups == group]
    chunks = [cells[start : start + _CELLS_READ_AT_ONCE] for start in range(0, len(cells), _CELLS_READ_AT_ONCE)]
    sizes = [len(chunk) for chunk in chunks]
    parts = context.map(partial(expressed_genes, dataset), chunks, step="Looking for silent genes", sizes=sizes)
    candidates = silent_genes(bench.token_of_gene, np.sum(list(parts), axis=0) > 0)
    if not len(candidates):
        why = f"Every gene that {bench.apparatus.model.title} reads is expressed by one of these cells at least."
        return [{"kind": SILENT, "reason": why}], 0
    gene = int(generator(study.seed, group, "silent").choice(candidates))
    sample = np.sort(study.chosen[study.in_random_order[group]][:SILENT_CELLS])
    embed = partial(embed_silent, bench.apparatus, dataset.gene_ids[gene], sample)
    found = context.call(embed, step="Deleting a silent gene")
    same = equal_bits(found["before"], found["after"])
    n_changed = int(found["changed"].sum())
    moved = f"The vectors are not the same bits, and the input of {n_changed:,} cells was changed."
    row = {
        "kind": SILENT,
        "gene_id": dataset.gene_ids[gene],
        "symbol": dataset.gene_symbols[gene],
        "n_cells": len(sample),
        "n_holding": n_changed,
        "effect": float(np.nanmean(one_minus_cosine(found["before"], found["after"]))),
        "passed": same,
        "reason": f"Chosen at random among {len(candidates):,} such genes." if same else moved,
    }
    return [row], 2 * len(sample)


def scrambled_control(context: Context, bench: Bench, held: HeldGenes, group: str) -> Rows:
    """Make each edit of the question to other genes at the same place."""
    rows, n_passes = [], 0
    for number, edit in enumerate(bench.study.edits):
        row = {"kind": SCRAMBLED, "edit": bench.study.labels[number], "n_cells": len(held.cells)}
        changed = np.searchsorted(bench.edited.chosen, held.cells)
        holding = np.flatnonzero(bench.edited.holds[number, changed])
        row["n_holding"] = len(holding)
        some = _of_cells(held, holding[: bench.null_cells])
        own = bench.edited.distance[number, np.searchsorted(bench.edited.chosen, some.cells)]
        null, n = _scrambles(context, bench, some, (edit, group))
        n_passes += n
        observed = float(np.nanmean(own)) if np.isfinite(own).any() else float("nan")
        rows.append(row | {"effect": observed} | _compared(observed, null, more=True))
        if not len(holding):
            rows[-1]["reason"] = f"None of the {len(held.cells):,} cells tried holds it."
        elif not len(null):
            rows[-1]["reason"] = "The cells hold no other gene to take its place."
    return rows, n_passes


def _scrambles(
    context: Context, bench: Bench, held: HeldGenes, asked: tuple[Edit, str]
) -> tuple[NDArray[np.float64], int]:
    """Return the mean effect of each scramble over the cells, shape ``(n_draws,)``, and the passes it took."""
    edit, group = asked
    rng = generator(bench.study.seed, group, "scramble", *(single.gene_id for single in edit))
    n_draws = bench.null_genes
    made = scrambled_edits(held, edit, bench.study.dataset.gene_ids, n_draws=n_draws, rng=rng)
    with_others = [(cell, edits) for cell, edits in zip(held.cells, made, strict=True) if edits]
    if not with_others:
        return np.empty(0), 0
    distinct: dict[Edit, int] = {}
    drawn = [edits[draw % len(edits)] for _, edits in with_others for draw in range(n_draws)]
    numbers = [distinct.setdefault(each, len(distinct)) for each in drawn]
    cells = np.repeat([cell for cell, _ in with_others], n_draws)
    pairs = Pairs(list(distinct), np.array(numbers), cells)
    distance = measure_pairs(context, bench.apparatus, pairs, step="Making the edit to other genes at the same place")
    by_draw = distance.reshape(len(with_others), n_draws)
    there = np.isfinite(by_draw).any(axis=0)
    return np.nanmean(by_draw[:, there], axis=0), int(np.isfinite(distance).sum())


def deletion_controls(
    context: Context, bench: Bench, held: HeldGenes, asked: tuple[str, list[str], str]
) -> Rows:
    """Delete housekeeping genes and the top marker, and compare each with random genes."""
    group, markers, why_none = asked
    dataset = bench.study.dataset
    position = {gene_id: place for place, gene_id in enumerate(dataset.gene_ids)}
    allowed = held.n_holding(dataset.n_genes) >= MIN_HOLDING
    allowed[[position[single.gene_id] for edit in bench.study.edits for single in edit]] = False
    steady = housekeeping_genes(dataset, allowed, most=MOST_HOUSEKEEPING)
    marker = next((position[gene_id] for gene_id in markers if allowed[position[gene_id]]), None)
    wanted = [(HOUSEKEEPING, gene) for gene in steady if gene != marker]
    wanted += [] if marker is None else [(MARKER, marker)]
    rows: list[dict[str, Any]] = []
    if not steady:
        rows.append({"kind": HOUSEKEEPING, "reason": "These cells hold none of the genes known as steady."})
    if marker is None:
        rows.append({"kind": MARKER, "reason": why_none or "No gene that these cells hold marks them."})
    if not wanted:
        return rows, 0
    nested = PerturbGenes(
        bench.question.baseline,
        tuple((Delete(dataset.gene_ids[gene]),) for _, gene in wanted),
        cells=CellSet.from_positions(group, held.cells, dataset.n_cells),
        null_genes=bench.null_genes,
        null_cells=bench.null_cells,
        seed=bench.study.seed,
    )
    found: PerturbationEffects = context.compute(nested)
    for (kind, gene), (_, effect) in zip(wanted, found.effects.iterrows(), strict=True):
        names: dict[str, Any] = {"kind": kind, "gene_id": dataset.gene_ids[gene], "symbol": dataset.gene_symbols[gene]}
        names |= {"n_cells": int(effect["n_cells"]), "n_holding": int(effect["n_holding"])}
        names["effect"] = effect["null_effect"]
        names |= {name: effect[name] for name in ("null_mean", "null_sd", "n_null", "z", "p_empirical")}
        rows.append(names | _verdict(float(effect["p_empirical"]), int(effect["n_null"]), more=kind == MARKER))
    return rows, found.n_passes


def _compared(observed: float, null: NDArray[np.float64], *, more: bool) -> dict[str, Any]:
    p = empirical_p(observed, null)
    return {
        "null_mean": float(null.mean()) if len(null) else float("nan"),
        "null_sd": float(null.std(ddof=1)) if len(null) > 1 else float("nan"),
        "n_null": len(null),
        "z": z_score(observed, null),
        "p_empirical": p,
    } | _verdict(p, len(null), more=more)


def _verdict(p: float, n_null: int, *, more: bool) -> dict[str, Any]:
    """Say whether an effect is as expected: larger than what it is compared with, or not.

    What should be larger has failed only where the middle one of the random edits does as much: with few of them a p
    between is no evidence against it.
    """
    smallest = 1 / (n_null + 1)
    if np.isnan(p) or smallest > SIGNIFICANT:
        why = f"Too little to compare with: {n_null:,} random edits allow no p below {smallest:.2g}."
        return {"passed": None, "reason": why}
    why = f"p = {p:.2g} against {n_null:,} random edits, limit {SIGNIFICANT:g}."
    if more and SIGNIFICANT < p <= _MIDDLE:
        return {"passed": None, "reason": f"{why} Larger than most of them, which so few cannot decide."}
    return {"passed": (p <= SIGNIFICANT) == more, "reason": why}


def marker_genes(context: Context, question: PerturbGenes) -> tuple[dict[str, list[str]], str]:
    """Return the marker genes of each group of a question, best first; or why there are none."""
    dataset, cells = question.baseline.dataset, question.cells
    if question.group_by is None and cells is None:
        return {}, "All cells are one group, so that there are no others to find its markers against."
    grouping = BySelections((cells,)) if question.group_by is None and cells else ByColumn(str(question.group_by))
    try:
        table = context.compute(FindMarkers(dataset, grouping)).table
    except RequestError as error:
        return {}, f"No markers: {error}"
    first = top_markers(table, n_per_group=_MARKERS_TRIED)
    return {str(group): rows["gene_id"].tolist() for group, rows in first.groupby("group", observed=True)}, ""


def _of_cells(held: HeldGenes, numbers: NDArray[np.int64]) -> HeldGenes:
    """Return what some of the cells hold."""
    parts = [held.of(int(number)) for number in numbers]
    return HeldGenes(
        cells=held.cells[numbers],
        genes=np.concatenate([np.empty(0, dtype=np.int64), *(genes for genes, _ in parts)]),
        ranks=np.concatenate([np.empty(0), *(ranks for _, ranks in parts)]),
        offsets=np.concatenate([[0], np.cumsum([len(genes) for genes, _ in parts])]).astype(np.int64),
    )
