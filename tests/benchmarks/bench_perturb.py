"""How long a question of three genes takes, beside the plain way; run it, it asserts nothing.

    python tests/benchmarks/bench_perturb.py [--model scfm-mini] [--cells 48] [--null 20] [--null-cells 16]

The plain way is what one would write first: for every gene, tested or random, take it out of every cell and embed every
cell, without remembering, and without asking whether the cell holds it. Both ways use the same random genes.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from scfm_core.analyses.embed_cells import EmbedCells, embed_tokens, token_budget_of
from scfm_core.analyses.fit_model import FitModel
from scfm_core.analyses.perturb_genes import PerturbationEffects, PerturbGenes, estimated_passes
from scfm_core.cell_set import CellSet
from scfm_core.engine import Engine
from scfm_core.genes import find_genes
from scfm_core.intake import open_demo
from scfm_core.registry import find_model
from scfm_core.store import Store
from scfm_core.tokens import Delete
from scfm_core.weights import loaded_model


def plain_way(engine: Engine, request: PerturbGenes, found: PerturbationEffects) -> tuple[int, dict[str, float]]:
    """Return the passes, and the effect of each tested gene, of the loop over genes and cells."""
    dataset, spec, options = request.baseline.dataset, request.baseline.model, request.baseline.chosen_options
    model = loaded_model(spec, engine.compute(FitModel(dataset, spec)).arrays if spec.fit else {})
    symbols = dict(zip(dataset.gene_symbols, dataset.gene_ids, strict=True))
    passes, effects = 0, {}
    for label in found.edits:
        for symbol in [label, *found.null.loc[found.null.edit == label, "null_edit"]]:
            tokens = model.encode(dataset.counts(found.chosen))
            edited = model.edit(tokens, [Delete(symbols[symbol])])
            vectors = []
            for each in (tokens, edited):
                states = embed_tokens(model, each, options, token_budget=token_budget_of(spec))
                vectors.append(states.cells.astype(np.float64))
                passes += each.n_cells
            before, after = vectors
            lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
            effect = float(np.mean(1 - (before * after).sum(axis=1) / lengths))
            if symbol == label:
                effects[label] = effect
    return passes, effects


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="scfm-mini")
    parser.add_argument("--cells", type=int, default=48, help="CD14+ monocytes of PBMC 3k; 0 for all")
    parser.add_argument("--null", type=int, default=20)
    parser.add_argument("--null-cells", type=int, default=PerturbGenes.null_cells)
    parser.add_argument("--ours-only", action="store_true", help="leave the plain way out")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        dataset = open_demo("pbmc3k", root / "datasets")
        engine = Engine(Store(root / "store"))
        positions = np.flatnonzero((dataset.cells()["cell_type"] == "CD14+ monocyte").to_numpy())
        cells = CellSet.from_positions("CD14+ monocytes", positions[: wanted.cells or None], dataset.n_cells)
        edits = tuple((Delete(gene),) for gene in find_genes(dataset, ["LYZ", "S100A8", "CD3D"]))
        request = PerturbGenes(
            EmbedCells(dataset, find_model(wanted.model)),
            edits,
            cells=cells,
            null_genes=wanted.null,
            null_cells=wanted.null_cells,
        )
        started = time.perf_counter()
        engine.compute(request.baseline)
        print(f"baseline of {dataset.n_cells:,} cells, stored: {time.perf_counter() - started:7.1f} s")
        started = time.perf_counter()
        found = engine.compute(request)
        ours = time.perf_counter() - started
        print(f"this way:  {ours:7.1f} s, {found.n_passes:,} passes (foretold: {estimated_passes(request):,} at most)")
        if not wanted.ours_only:
            started = time.perf_counter()
            passes, effects = plain_way(engine, request, found)
            plain = time.perf_counter() - started
            print(f"plain way: {plain:7.1f} s, {passes:,} passes")
            print(f"ratio:     {plain / ours:7.1f} in time, {passes / found.n_passes:.1f} in passes")
            mine = found.effects.set_index("edit")["effect"]
            difference = max(abs(mine[label] - effect) for label, effect in effects.items())
            print(f"largest difference of an effect: {difference:.1e}, of effects up to {mine.max():.1e}")
        engine.close()


if __name__ == "__main__":
    main()
