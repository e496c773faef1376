"""How fast single genes are deleted exactly, beside the authors' way and beside embedding, in one run.

Run as ``python tests/benchmarks/bench_deletion.py [N_GENES]``: two PBMC 3k cells of common length, some of their genes,
Geneformer V1 of the real size with random weights; nothing is downloaded.

The authors' way is written down from their code (``InSilicoPerturber``, genes "all", July 2025) with transformers: the
masked-gene model with its scores of all genes, all hidden states kept, the set of perturbed cells made gene by gene,
the original repeated for the batch and its deleted gene cut out, the cosine of every gene, the mean per cell. Theirs
runs 100 perturbed cells at a time by default; their scores alone would take 8 GB, so it is 16 here, which is no slower
on a processor. The ways take turns, so that other work on the machine slows all of them; the time of the processor is
told beside that of the clock, as it depends less on that work.
"""

import os
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from scfm_core.analyses.authors_passes import Readout, compare_every_gene
from scfm_core.analyses.embed_cells import embed_tokens
from scfm_core.analyses.perturbation_passes import Passes
from scfm_core.dataset import Dataset
from scfm_core.devices import use_device
from scfm_core.intake import open_demo
from scfm_core.model import ModelSpec
from scfm_core.rank_bert import RankBert
from scfm_core.token_shifts import Reading
from scfm_core.tokens import Tokens
from tests.benchmarks.bench_geneformer import Timings, loaded, random_model, timed

TURN = 16  # genes, and cells of the authors' batch


def masked_gene_model(model: RankBert) -> torch.nn.Module:
    """Return the same weights in transformers' BertForMaskedLM, as the authors load them."""
    from transformers import BertConfig, BertForMaskedLM

    shape = model.network.shape
    config = BertConfig(
        vocab_size=shape.vocab_size, hidden_size=shape.hidden_size, num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads, intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.max_position_embeddings, hidden_act="relu", layer_norm_eps=shape.layer_norm_eps,
        output_hidden_states=True,
    )  # fmt: skip
    network = BertForMaskedLM(config).eval()
    found = network.load_state_dict(model.network.state_dict(), strict=False)
    assert not [name for name in found.missing_keys if not name.startswith("cls.predictions.decoder")], found
    return network


def hidden_states(network: torch.nn.Module, cells: list[list[int]], layer: int) -> torch.Tensor:
    """Return the states of cells padded to the longest, shape ``(n_cells, longest, hidden_size)``."""
    longest = max(map(len, cells))
    ids = torch.tensor([cell + [0] * (longest - len(cell)) for cell in cells])
    mask = torch.tensor([[1] * len(cell) + [0] * (longest - len(cell)) for cell in cells])
    with torch.no_grad():
        return network(input_ids=ids, attention_mask=mask).hidden_states[layer - 1]


def as_the_authors_do(
    network: torch.nn.Module, cell: list[int], original: torch.Tensor, places: NDArray[np.int64], layer: int
) -> NDArray[np.float32]:
    """Return the mean similarity of the other genes for each deleted one."""
    perturbed = [cell[:place] + cell[place + 1 :] for place in places]
    states = hidden_states(network, perturbed, layer)
    repeated = original.repeat(len(places), 1, 1)
    remaining = [torch.cat([row[:place], row[place + 1 :]]) for row, place in zip(repeated, places, strict=True)]
    cosines = torch.nn.CosineSimilarity(dim=2)(states, torch.stack(remaining))
    return cosines.mean(dim=1).numpy()


def common_cells(tokens: Tokens, n_cells: int) -> NDArray[np.int64]:
    """Return the cells whose length is nearest to the mean."""
    return np.argsort(np.abs(tokens.lengths - tokens.lengths.mean()), kind="stable")[:n_cells]


@dataclass
class Screen:
    """One cell, the genes deleted from it in turn, and the ways to do it."""

    readout: Readout
    model: RankBert
    network: torch.nn.Module
    cell: int
    genes: list[int]
    original: torch.Tensor

    def ours(self, places: NDArray[np.int64], states: NDArray[np.float64]) -> NDArray[np.float64]:
        passes = Passes(np.array([self.cell]), np.zeros(len(places), dtype=np.int64), places)
        reading = Reading(self.readout.options, states, gene_level=False)
        return compare_every_gene(self.readout, reading, "delete", 1, passes)["values"]

    def theirs(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        return as_the_authors_do(self.network, self.genes, self.original, places, self.readout.options.layer)


def compare_deletions(card: ModelSpec, dataset: Dataset, n_genes: int) -> None:
    """Print genes per second of ours, of the authors' way, and of embedding as many tokens."""
    model, options, rng = loaded(card), card.default_options(), np.random.default_rng(0)
    readout, network = Readout(dataset, card, options), masked_gene_model(model)
    no_states, three = np.zeros((0, card.embedding_size)), rng.normal(size=(3, card.embedding_size))
    tokens = model.encode(dataset.counts(slice(0, dataset.n_cells)))
    alike = tokens.take(common_cells(tokens, TURN))  # cells of this length, to embed
    embed_tokens(model, alike, options)
    seconds: Timings = defaultdict(list)
    n_tokens = 0
    for cell in common_cells(tokens, 2):
        genes = tokens.take(np.array([cell])).genes.tolist()
        screen = Screen(readout, model, network, int(cell), genes, hidden_states(network, [genes], options.layer))
        first, again = (timed(partial(screen.ours, np.array([0]), no_states))[0] for _ in range(2))
        seconds["unedited"].append(first - again)
        screen.ours(np.arange(TURN), three)  # the first call pays for memory
        chosen = rng.permutation(len(genes))[: n_genes - n_genes % TURN].reshape(-1, TURN)
        for places in np.sort(chosen, axis=1):
            ways = {
                "ours": partial(screen.ours, places, no_states),
                "authors": partial(screen.theirs, places),
                "ours, toward 3 states": partial(screen.ours, places, three),
                "embedding": partial(embed_tokens, model, alike, options),
            }
            found = {}
            for name, way in ways.items():
                began = time.process_time()
                taken, found[name] = timed(way)
                seconds[name].append(taken)
                seconds[f"processor: {name}"].append(time.process_time() - began)
            np.testing.assert_allclose(found["ours"][:, 0], found["authors"], atol=1e-6)
            n_tokens += TURN * (len(genes) - 1)
    tell(seconds, n_tokens=n_tokens, n_embedded=len(alike.genes))


def tell(seconds: Timings, *, n_tokens: int, n_embedded: int) -> None:
    """Print rates and ratios; medians of the turns."""
    ours = np.array(seconds["ours"])
    per_turn = n_tokens / len(ours)
    print(f"{len(ours)} turns of {TURN} genes, {per_turn / TURN:.0f} tokens a cell")
    for name in ("ours", "ours, toward 3 states", "authors"):
        by_clock, by_processor = (
            np.median(np.array(seconds[f"{kind}authors"]) / np.array(seconds[f"{kind}{name}"]))
            for kind in ("", "processor: ")
        )
        rate = TURN / np.median(seconds[name])
        print(f"{name}: {rate:.1f} genes/s; {by_clock:.2f} x the authors' way, {by_processor:.2f} x by processor time")
    embedding = n_embedded / np.array(seconds["embedding"])
    rate, share = per_turn / np.median(ours), np.median(per_turn / ours / embedding)
    spent = np.median(np.array(seconds["processor: embedding"]) / np.array(seconds["processor: ours"]))
    spent *= per_turn / n_embedded
    print(
        f"tokens: deletions {rate:,.0f}/s, embedding {np.median(embedding):,.0f}/s: {share:.0%}, median of the turns; "
        f"{spent:.0%} by processor time"
    )
    once = float(np.median(seconds["unedited"]))
    whole = per_turn / TURN * np.median(ours) / TURN
    print(f"reading a cell and its unedited pass: {once:.2f} s, {once / whole:.1%} of a screen")


def main(n_genes: int) -> None:
    """Print all of it."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    threads = torch.get_num_threads()
    print(f"{os.cpu_count()} cores, {threads} torch threads, torch {torch.__version__}, load {load:.1f}")
    use_device("cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compare_deletions(random_model(folder), open_demo("pbmc3k", folder / "demo"), n_genes)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
