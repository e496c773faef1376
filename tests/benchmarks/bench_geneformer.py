"""How fast Geneformer V1 of the real size reads and embeds the PBMC 3k demo, beside plain code, in one run.

Run as ``python tests/benchmarks/bench_geneformer.py [N_CELLS]``; weights are random, nothing is downloaded.

Tokens: beside a loop over cells with one ``argsort`` each, as the authors rank genes. Embeddings: beside the loop that
one writes with transformers, cells in the order given, 16 at a time, padded to the longest of them, all hidden states
kept. The ways take turns, so that other work on the machine slows all of them. The floor is the matrix product: for a
cell of n genes and 5 of 6 layers 5 (2 * 524,288 n + 4 * 256 n^2) operations; its rate is measured between the turns.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import cells_per_chunk, chunks_of, embed_tokens, token_budget_of
from scfm_core.dataset import CellCounts, Dataset
from scfm_core.devices import use_device
from scfm_core.intake import open_demo
from scfm_core.model import EmbedOptions, ModelSpec
from scfm_core.rank_bert import RankBert
from scfm_core.registry import find_model
from scfm_core.tensors import BertShape, available_devices, padded
from scfm_core.tokens import Tokens
from scfm_core.weights import loaded_model, with_weights
from tests.benchmarks.random_geneformer import write_random_geneformer

KEY = "geneformer-v1-10m"
TURN = 48  # cells, three batches of the plain loop
PLAIN_BATCH = 16
SIDE = 2048  # of the matrices whose product is the yardstick
N_TOKEN_TURNS = 7

Timings = dict[str, list[float]]


def random_model(folder: Path) -> ModelSpec:
    """Write random weights and return the card that uses them; the workspace lies in the same folder."""
    os.environ["SCFM_WORKSPACE"] = str(folder / "workspace")
    weights = folder / "published"
    model_folder = next(weights.glob("*/config.json"), None)
    return with_weights(find_model(KEY), model_folder.parent if model_folder else write_random_geneformer(weights))


def loaded(card: ModelSpec) -> RankBert:
    model = loaded_model(card, {})
    assert isinstance(model, RankBert)
    return model


def tokens_cell_by_cell(counts: CellCounts, model: RankBert, medians: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Rank the genes of each cell as the authors do: normalise the matrix, then one argsort per cell."""
    position = {gene_id: place for place, gene_id in enumerate(model.gene_ids) if gene_id}
    known = np.array([gene_id in position for gene_id in counts.gene_ids])
    places = np.array([position[gene_id] for gene_id in np.array(counts.gene_ids)[known]])
    scale = (10_000.0 / counts.total_counts)[:, None]
    matrix = counts.matrix[:, np.flatnonzero(known)].multiply(scale).multiply(1.0 / medians[places]).tocsr()
    cells = []
    for cell in range(matrix.shape[0]):
        row = matrix[cell]
        cells.append(places[row.indices][np.argsort(-row.data)][: model.frame.longest])
    return cells


def floor_of(tokens: Tokens, shape: BertShape, n_layers: int) -> float:
    """Return how many operations the matrix products of some cells take, at least."""
    n, size, inner = tokens.lengths.astype(np.float64), shape.hidden_size, shape.intermediate_size
    return float((n_layers * (2 * (4 * size * size + 2 * size * inner) * n + 4 * size * n * n)).sum())


def transformers_network(model: RankBert) -> torch.nn.Module:
    """Return the same weights in transformers' BertModel, as a user gets it."""
    from transformers import BertConfig, BertModel

    shape = model.network.shape
    config = BertConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.max_position_embeddings,
        hidden_act="relu",
        layer_norm_eps=shape.layer_norm_eps,
    )
    network = BertModel(config, add_pooling_layer=False).eval()
    state = model.network.bert.state_dict()
    missing = set(network.state_dict()) - set(network.load_state_dict(state, strict=False).unexpected_keys) - set(state)
    assert not {name for name in missing if "weight" in name or "bias" in name}, missing
    print(f"transformers' attention: {config._attn_implementation}")
    return network


def plain_vectors(network: torch.nn.Module, tokens: Tokens, layer: int) -> NDArray[np.float32]:
    """Embed cells in the order given, padded to the longest of each batch."""
    parts = []
    for start in range(0, tokens.n_cells, PLAIN_BATCH):
        ids, real = padded(tokens.take(np.arange(start, min(start + PLAIN_BATCH, tokens.n_cells))))
        mask = torch.from_numpy(real)
        with torch.no_grad():
            out = network(input_ids=torch.from_numpy(ids), attention_mask=mask.long(), output_hidden_states=True)
            states = out.hidden_states[layer - 1] * mask[:, :, None]
            parts.append((states.sum(dim=1) / mask.sum(dim=1, keepdim=True)).numpy())
    return np.concatenate(parts)


def matrix_rate(device: str, dtype: torch.dtype, side: int, n: int = 3) -> float:
    """Return operations per second of a square matrix product, the best of some."""
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = np.inf
    for _ in range(n + 1):
        best = min(best, timed(lambda: left @ right, device)[0])
    return float(2.0 * side**3 / best)


def timed(run: Callable[[], Any], device: str = "cpu") -> tuple[float, Any]:
    started = time.perf_counter()
    value = run()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started, value


def compare_tokens(counts: CellCounts, model: RankBert) -> Tokens:
    """Print cells per second of both ways to rank genes."""
    seconds: Timings = defaultdict(list)
    for _ in range(N_TOKEN_TURNS):
        taken, tokens = timed(lambda: model.encode(counts))
        seconds["ours"].append(taken)
    taken, plain = timed(lambda: tokens_cell_by_cell(counts, model, model._medians))
    seconds["cell by cell"].append(taken)
    assert [len(cell) for cell in plain] == tokens.lengths.tolist()
    same = np.concatenate(plain) == tokens.genes  # the plain values are rounded elsewhere, so near-ties may swap
    assert same.mean() > 0.95, same.mean()
    n = tokens.n_cells
    ours, theirs = (n / np.median(seconds[name]) for name in ("ours", "cell by cell"))
    print(
        f"tokens: {n:,} cells, {tokens.lengths.mean():.0f} a cell; ours {ours:,.0f} cells/s on one core "
        f"(best {n / min(seconds['ours']):,.0f}), cell by cell {theirs:,.0f}, {ours / theirs:.1f} x"
    )
    return tokens


def compare_embeddings(tokens: Tokens, model: RankBert, card: ModelSpec) -> None:
    """Print cells per second of ours and of the plain loop, and ours as a share of the matrix product."""
    options, shape = card.default_options(), model.network.shape
    low = EmbedOptions(layer=options.layer, pooling=options.pooling, precision="bfloat16")
    network = transformers_network(model)
    ways: dict[str, Callable[[Tokens], NDArray[np.float32]]] = {
        "ours": lambda some: embed_tokens(model, some, options).cells,
        "transformers": lambda some: plain_vectors(network, some, options.layer),
        "ours, bfloat16": lambda some: embed_tokens(model, some, low).cells,
    }
    for way in ways.values():  # the first call pays for threads and memory
        way(tokens.take(np.arange(2)))
    seconds: Timings = defaultdict(list)
    rates, shares = [], []
    for start, stop in chunks_of(tokens.n_cells, TURN):
        some = tokens.take(np.arange(start, stop))
        found = {}
        before = matrix_rate("cpu", torch.float32, SIDE)
        for name, way in ways.items():
            taken, found[name] = timed(lambda way=way, some=some: way(some))
            seconds[name].append(taken)
        rates.append(max(before, matrix_rate("cpu", torch.float32, SIDE)))
        shares.append(floor_of(some, shape, shape.num_hidden_layers + options.layer) / seconds["ours"][-1] / rates[-1])
        np.testing.assert_allclose(found["ours"], found["transformers"], atol=1e-5)
    print(f"matrix product, float32, {SIDE} x {SIDE}: median {np.median(rates) / 1e9:.0f} GF/s")
    for name in ways:
        ratio = np.median(np.array(seconds["transformers"]) / np.array(seconds[name]))
        total = sum(seconds[name])
        print(f"{name}: {tokens.n_cells / total:.2f} cells/s; {ratio:.2f} x transformers, median of the turns")
    print(f"ours is at {np.median(shares):.0%} of the matrix product, median of the turns")


def peak_memory(folder: Path, n_cells: int) -> int:
    """Return the peak memory in MB of a process that embeds some cells as `EmbedCells` does."""
    command = [sys.executable, str(Path(__file__).resolve()), "--memory", str(folder), str(n_cells)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def embed_and_tell_memory(folder: Path, n_cells: int) -> None:
    use_device("cpu")
    card = random_model(folder)
    model, dataset = loaded(card), open_demo("pbmc3k", folder / "demo")
    for start, stop in chunks_of(n_cells, cells_per_chunk(card)):
        embed_tokens(model, model.encode(dataset.counts(slice(start, stop))), card.default_options())
    status = Path("/proc/self/status")
    if status.is_file():  # Linux hands the parent's peak on to ru_maxrss
        print(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))[:-3])
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def tell_accelerator(card: ModelSpec, dataset: Dataset, device: str) -> None:
    """Print cells per second on a GPU, and the share of its bfloat16 matrix product."""
    use_device(device)
    model = loaded(card)
    tokens = model.encode(dataset.counts(slice(0, dataset.n_cells)))
    shape, options = model.network.shape, card.default_options()
    low = EmbedOptions(layer=options.layer, pooling=options.pooling, precision="bfloat16")
    budget = token_budget_of(card)
    peak = matrix_rate(device, torch.bfloat16, 8192, n=10)
    for chosen in (options, low):
        embed_tokens(model, tokens.take(np.arange(64)), chosen, token_budget=budget)
        taken, _ = timed(lambda chosen=chosen: embed_tokens(model, tokens, chosen, token_budget=budget), device)
        work = floor_of(tokens, shape, shape.num_hidden_layers + chosen.layer)
        print(
            f"{device}, {chosen.precision}: {tokens.n_cells / taken:,.0f} cells/s, {work / taken / 1e12:.1f} TF/s, "
            f"{work / taken / peak:.1%} of the bfloat16 product ({peak / 1e12:.0f} TF/s); batches of up to {budget:,} "
            f"tokens, {tokens.lengths.mean():.0f} a cell, longest {tokens.lengths.max():,}"
        )
    use_device("cpu")


def main(n_cells: int) -> None:
    """Print all of it."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    threads = torch.get_num_threads()
    print(f"{os.cpu_count()} cores, {threads} torch threads, torch {torch.__version__}, load {load:.1f}")
    use_device("cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        card = random_model(folder)
        model, dataset = loaded(card), open_demo("pbmc3k", folder / "demo")
        tokens = compare_tokens(dataset.counts(slice(0, dataset.n_cells)), model)
        chosen = np.random.default_rng(0).permutation(tokens.n_cells)[:n_cells]
        compare_embeddings(tokens.take(np.sort(chosen)), model, card)
        few = max(n_cells // 4, 1)
        small, large = peak_memory(folder, few), peak_memory(folder, 4 * few)
        print(f"peak memory: {small:,} MB for {few} cells, {large:,} MB for {4 * few}")
        for device in available_devices():
            if device.startswith("cuda"):
                tell_accelerator(card, dataset, device)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        embed_and_tell_memory(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 192)
