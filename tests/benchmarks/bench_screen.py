"""How well the first-order screen of all genes of a cell agrees with deleting them one by one, and how much faster.

    python tests/benchmarks/bench_screen.py [--model scfm-mini] [--model geneformer-v1-10m] [--cells 12] [--genes 200]

Both ways run in this process, in turn, on cells of PBMC 3k. Geneformer has random weights of the real size. The exact
way deletes each gene alone and embeds the cell, encoded once, in the batches of the embedding; of cells with more than
``--genes`` genes it deletes so many, evenly spread over the ranks, and its time is extrapolated per gene. Speed-ups are
those of wall time and, in brackets, of processor time, which other programs disturb less. Run it, it asserts nothing.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from scfm_core.analyses.embed_cells import embed_tokens, token_budget_of
from scfm_core.dataset import Dataset
from scfm_core.intake import open_demo
from scfm_core.model import DeletionEstimates, EmbedOptions, ModelSpec, ScreenEffort
from scfm_core.rank_bert import RankBert
from scfm_core.registry import find_model
from scfm_core.tokens import Tokens
from scfm_core.weights import loaded_model, with_weights
from tests.benchmarks.random_geneformer import write_random_geneformer

_STATES = ("B", "CD14+ monocyte", "NK")
_GOAL_CELLS = 24


@dataclass
class Spent:
    """Seconds on the clock and of the processor."""

    wall: float = 0.0
    processor: float = 0.0

    def of(self, work: Callable[[], Any]) -> Any:
        """Run some work and add what it took."""
        wall, processor = time.perf_counter(), time.process_time()
        found = work()
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor
        return found

    def over(self, other: "Spent", share: float = 1.0) -> str:
        """Say how many times more than another this is, had it done all its work and not a share."""
        return f"{self.wall / share / other.wall:,.0f} ({self.processor / share / other.processor:,.0f})"


def all_deletions(cell: Tokens, places: np.ndarray) -> Tokens:
    """Return one cell as it is without each of some of its tokens, one after another."""
    n_tokens = len(cell.genes)
    copies = cell.take(np.zeros(len(places), dtype=np.int64))
    gone = np.arange(len(places)) * n_tokens + places
    return copies.keep(~np.isin(np.arange(len(copies.genes)), gone))


def goal_states(model: RankBert, dataset: Dataset, options: EmbedOptions, budget: int) -> np.ndarray:
    """Return the mean vector of some cells of each state, shape ``(n_states, embedding_size)``."""
    labels = dataset.cells()["cell_type"].astype(str).to_numpy()
    means = []
    for state in _STATES:
        cells = np.flatnonzero(labels == state)[:_GOAL_CELLS]
        vectors = embed_tokens(model, model.encode(dataset.counts(cells)), options, token_budget=budget).cells
        means.append(vectors.mean(axis=0, dtype=np.float64))
    return np.array(means)


def cosines(vectors: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the cosine of each vector with each state, shape ``(n_states, n_vectors)``."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray((states / np.linalg.norm(states, axis=1, keepdims=True)) @ unit.T)


WAYS = {  # what is asked for, with how many goals
    "size": (ScreenEffort(), 0),
    "goal": (ScreenEffort(n_axes=0, n_cuts=0), 1),
    "size and goal": (ScreenEffort(), 1),
}


@dataclass
class Trial:
    """Deletions of one group of cells, exact and estimated."""

    lengths: list[int]
    n_exact: int
    exact: Spent
    estimated: dict[str, Spent]
    spearman: dict[str, list[float]]

    def tell(self) -> None:
        """Print one line per way."""
        n_genes, n_cells = sum(self.lengths), len(self.lengths)
        spread = f"{min(self.lengths)} to {max(self.lengths)} genes, mean {n_genes / n_cells:.0f}"
        print(f"  {n_cells} cells of {spread}")
        print(f"    exact: {self.n_exact / self.exact.wall:.1f} deletions/s, {self.n_exact:,} of {n_genes:,} done")
        for way, spent in self.estimated.items():
            faster = self.exact.over(spent, self.n_exact / n_genes)
            agreed = [
                f"Spearman of the {name.partition(':')[0]} {median(rhos):.4f} (median), {min(rhos):.4f} (worst)"
                for name, rhos in self.spearman.items()
                if name.endswith(f":{way}")
            ]
            print(f"    {way}: {spent.wall / n_cells:.2f} s per cell, {faster} times faster; {'; '.join(agreed)}")


class Screens:
    """Both ways to screen with one model."""

    def __init__(self, spec: ModelSpec, dataset: Dataset) -> None:
        model = loaded_model(spec, {})
        if not isinstance(model, RankBert):
            raise TypeError(spec.key)
        self.model, self.options, self.budget = model, spec.default_options(), token_budget_of(spec)
        self.goals = goal_states(model, dataset, self.options, self.budget)

    def estimate(self, tokens: Tokens, way: str, goals: np.ndarray) -> DeletionEstimates:
        """Estimate all deletions of one batch of cells."""
        return self.model.estimate_deletions(tokens, self.options, goals=goals, effort=WAYS[way][0])

    def exact(self, deleted: Tokens) -> np.ndarray:
        """Embed cells without a gene each."""
        vectors = embed_tokens(self.model, deleted, self.options, token_budget=self.budget).cells
        return vectors.astype(np.float64)

    def compare(self, tokens: Tokens, n_genes: int) -> Trial:
        """Time and compare both ways on some cells, batch after batch, so that a busy machine slows both."""
        trial = Trial(tokens.lengths.tolist(), 0, Spent(), {way: Spent() for way in WAYS}, {})
        self.estimate(tokens.take(np.array([0])), "size", self.goals[:0])  # warm up
        batch = max(1, self.budget // 4 // int(tokens.lengths.max()))
        for start in range(0, tokens.n_cells, batch):
            some = tokens.take(np.arange(start, min(start + batch, tokens.n_cells)))
            for cell in range(some.n_cells):
                self._delete(trial, some.take(np.array([cell])), n_genes)
            for way, (_, n_goals) in WAYS.items():
                trial.estimated[way].of(partial(self.estimate, some, way, self.goals[:n_goals]))
        return trial

    def _delete(self, trial: Trial, one: Tokens, n_genes: int) -> None:
        places = np.unique(np.linspace(0, len(one.genes) - 1, min(n_genes, len(one.genes))).astype(np.int64))
        deleted = all_deletions(one, places)
        vectors = trial.exact.of(partial(self.exact, deleted))
        trial.n_exact += len(places)
        self._agree(trial, one, places, vectors)

    def _agree(self, trial: Trial, one: Tokens, places: np.ndarray, vectors: np.ndarray) -> None:
        before = self.exact(one)
        size = 1 - cosines(vectors, before)[0]
        shift = cosines(vectors, self.goals) - cosines(before, self.goals)
        for way, (_, n_goals) in WAYS.items():
            found = self.estimate(one, way, self.goals)
            if way != "goal":
                trial.spearman.setdefault(f"size:{way}", []).append(spearmanr(size, found.size[places])[0])
            if n_goals:
                rhos = [spearmanr(mine, other[places])[0] for mine, other in zip(shift, found.goals, strict=True)]
                trial.spearman.setdefault(f"shift toward a goal:{way}", []).extend(rhos)


def measure(spec: ModelSpec, dataset: Dataset, *, n_cells: int, n_genes: int) -> None:
    """Print agreement and speed-up of one model on cells of all lengths, and on the longer half of them."""
    screens = Screens(spec, dataset)
    tokens = screens.model.encode(dataset.counts(np.arange(0, dataset.n_cells, 5)))
    by_length = np.argsort(tokens.lengths, kind="stable")
    chosen = by_length[np.linspace(0.05 * len(by_length), len(by_length) - 1, n_cells).astype(np.int64)]
    print(f"\n{spec.title}, cells of PBMC 3k")
    for part in np.array_split(chosen, 2) if tokens.lengths[chosen[-1]] > 2 * tokens.lengths[chosen[0]] else [chosen]:
        screens.compare(tokens.take(part), n_genes).tell()


def main() -> None:
    """Measure the models asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="scfm-mini and geneformer-v1-10m where none is named")
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--genes", type=int, default=200, help="most genes per cell that are deleted exactly")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_demo("pbmc3k", Path(folder) / "demo")
        for key in wanted.model or ("scfm-mini", "geneformer-v1-10m"):
            spec = find_model(key)
            if spec.published is not None:
                spec = with_weights(spec, write_random_geneformer(Path(folder) / key, key))
            measure(spec, dataset, n_cells=wanted.cells, n_genes=wanted.genes)


if __name__ == "__main__":
    main()
