"""How fast scfm-mini embeds the PBMC 3k demo, beside a plain loop over the same network, in one run.

The plain loop is what one writes first: cells in the order given, 16 at a time, every cell padded to the longest input
with a mask, all layers run, and the mean taken of the hidden layer wanted. Ours: batches of like length, no padding
where none is needed, only the layers that lead to the vector. The two take turns, chunk by chunk, so that other work
on the machine slows both. Run as ``python tests/benchmarks/bench_embed.py [N_CELLS]``.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from scfm_core.analyses.embed_cells import embed_tokens
from scfm_core.devices import use_device
from scfm_core.intake import open_demo
from scfm_core.model import EmbedOptions
from scfm_core.registry import find_model
from scfm_core.tensors import GeneBert, padded
from scfm_core.tokens import Tokens
from scfm_core.weights import loaded_model

CHUNK = 128
PLAIN_BATCH = 16


def plain_vectors(network: GeneBert, tokens: Tokens, layer: int) -> np.ndarray:
    """Embed cells with padding to the longest input and all hidden layers kept."""
    longest = network.shape.max_position_embeddings
    parts = []
    for start in range(0, tokens.n_cells, PLAIN_BATCH):
        ids, real = padded(tokens.take(np.arange(start, min(start + PLAIN_BATCH, tokens.n_cells))))
        gap = ((0, 0), (0, longest - ids.shape[1]))
        ids, real = torch.from_numpy(np.pad(ids, gap)), torch.from_numpy(np.pad(real, gap))
        with torch.inference_mode():
            hidden = [network.bert.embeddings(ids)]
            for block in network.bert.encoder.layer:
                hidden.append(block(hidden[-1], real[:, None, None, :]))
            states = hidden[network.shape.num_hidden_layers + layer] * real[:, :, None]
            parts.append((states.sum(dim=1) / real.sum(dim=1, keepdim=True)).numpy())
    return np.concatenate(parts)


def main(n_cells: int) -> None:
    """Print cells per second of both, and their ratio."""
    use_device("cpu")
    spec = find_model("scfm-mini")
    started = time.perf_counter()
    model = loaded_model(spec, {})
    print(f"load {time.perf_counter() - started:.2f} s, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        counts = open_demo("pbmc3k", Path(folder)).counts(slice(0, n_cells))
    started = time.perf_counter()
    tokens = model.encode(counts)
    mean = tokens.lengths.mean()
    print(f"tokens of {tokens.n_cells} cells in {time.perf_counter() - started:.2f} s, {mean:.0f} a cell")
    options = spec.default_options()
    low = EmbedOptions(layer=options.layer, pooling=options.pooling, precision="bfloat16")
    ways = {
        "ours": lambda some: embed_tokens(model, some, options).cells,
        "ours, bfloat16": lambda some: embed_tokens(model, some, low).cells,
        "plain loop": lambda some: plain_vectors(model.network, some, options.layer),
    }
    seconds = dict.fromkeys(ways, 0.0)
    for start in range(0, tokens.n_cells, CHUNK):
        some = tokens.take(np.arange(start, min(start + CHUNK, tokens.n_cells)))
        found = {}
        for name, way in ways.items():
            started = time.perf_counter()
            found[name] = way(some)
            seconds[name] += time.perf_counter() - started
        np.testing.assert_allclose(found["ours"], found["plain loop"], atol=1e-5)
    for name, total in seconds.items():
        print(f"{name}: {tokens.n_cells / total:.0f} cells/s, {seconds['plain loop'] / total:.1f} x the plain loop")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2700)
