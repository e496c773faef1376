"""How soon a deletion in 1,000 cells has an answer beside 100 random genes, and what it costs; it asserts nothing.

    python tests/benchmarks/bench_first_answer.py [--model scfm-mini] [--gene ACTB] [--cells 1000] [--full]

What a user would run instead: the gene and each of the 100 random genes taken out of every cell, each cell embedded
each time. Its time is that of a sample of its passes, measured here in the same run, times their number; the sample is
embedded by the same code as ours. With ``--full`` the exact comparison on every cell that holds a gene is computed too,
and its p stands beside the range that the first answer gave.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from scfm_core.analyses.embed_cells import EmbedCells, embed_tokens, token_budget_of
from scfm_core.analyses.perturb_genes import ALL_HOLDING, PerturbationEffects, PerturbGenes, estimated_passes
from scfm_core.cell_set import CellSet
from scfm_core.engine import Engine
from scfm_core.genes import find_genes
from scfm_core.intake import open_demo
from scfm_core.registry import find_model
from scfm_core.store import Store
from scfm_core.tokens import Delete
from scfm_core.weights import loaded_model

_SAMPLE = 256


def seconds_per_pass(request: PerturbGenes) -> float:
    """Return the time of one pass of an edited cell, measured on a sample of the plain way's passes."""
    dataset, spec = request.baseline.dataset, request.baseline.model
    model = loaded_model(spec, {})
    started = time.perf_counter()
    assert request.cells is not None
    tokens = model.edit(model.encode(dataset.counts(request.cells.positions[:_SAMPLE])), request.edits[0])
    embed_tokens(model, tokens, request.baseline.chosen_options, token_budget=token_budget_of(spec))
    return (time.perf_counter() - started) / tokens.n_cells


def told(what: str, seconds: float, found: PerturbationEffects) -> None:
    """Print one stage: its time so far, its passes, its p and where it would lie had other cells been drawn."""
    row = found.effects.iloc[0]
    p = "" if np.isnan(row["p_empirical"]) else (
        f", p = {row['p_empirical']:.3f} ({row['p_low']:.3f} to {row['p_high']:.3f}) on {row['null_n_cells']} cells"
    )  # fmt: skip
    print(f"{what:<42} {seconds:7.1f} s, {found.n_passes:>7,} passes, effect {row['effect']:.3e}{p}", flush=True)


def main() -> None:
    """Print the stages and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="scfm-mini")
    parser.add_argument("--gene", default="ACTB")
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--full", action="store_true", help="compute the exact comparison on all cells too")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        dataset = open_demo("pbmc3k", root / "datasets")
        engine = Engine(Store(root / "store"))
        cells = CellSet.from_positions(f"{wanted.cells} cells", range(wanted.cells), dataset.n_cells)
        edits = tuple((Delete(gene),) for gene in find_genes(dataset, [wanted.gene]))
        request = PerturbGenes(EmbedCells(dataset, find_model(wanted.model)), edits, cells=cells)
        started = time.perf_counter()
        engine.compute(request.baseline)
        print(f"{'unperturbed pass of all cells, once':<42} {time.perf_counter() - started:7.1f} s", flush=True)
        started = time.perf_counter()
        stages = (
            ("the deletion, exact", replace(request, null_genes=0)),
            ("first answer, 100 random genes on 16 cells", request),
            ("refined, on 64 cells", replace(request, null_cells=64)),
        )
        since = {}
        for what, stage in stages:
            found = engine.compute(stage)
            since[stage.identity] = time.perf_counter() - started
            told(what, since[stage.identity], found)
        full = replace(request, null_cells=ALL_HOLDING)
        n_full = estimated_passes(full)
        each = seconds_per_pass(request)
        print(f"{'the exact comparison, foretold':<42} {n_full * each:7.1f} s, {n_full:>7,} passes at most")
        if wanted.full:
            began = time.perf_counter()
            answer = engine.compute(full)
            told("the exact comparison, what was left of it", time.perf_counter() - began, answer)
        n_plain = wanted.cells * (1 + request.null_genes)
        print(f"{'the plain way: all cells, all genes':<42} {n_plain * each:7.1f} s, {n_plain:>7,} passes")
        print(f"ratio of the plain way to the first answer: {n_plain * each / since[request.identity]:.1f}")
        engine.close()


if __name__ == "__main__":
    main()
