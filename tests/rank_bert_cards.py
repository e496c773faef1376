"""A small random RankBert in the application's own format, and the same arithmetic written plainly in numpy."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scfm_core.dataset import Dataset
from scfm_core.model import Arrays, ModelSpec, WeightFile
from scfm_core.rank_bert import RankBert
from tests.analyses.planted import bag_card
from tests.geneformer_folders import HIDDEN, N_HEADS, N_LAYERS, SPECIALS, make_config, random_weights

FILES = ("model.safetensors", "config.json", "vocabulary.json")


@dataclass(frozen=True)
class PlainBert:
    """The network of a card from its published description (Devlin et al. 2019), one cell at a time, in float64."""

    tokens: tuple[str, ...]
    medians: dict[str, float]
    aliases: dict[str, str]
    weights: dict[str, NDArray[np.float64]]
    context: int
    n_layers: int = N_LAYERS
    n_heads: int = N_HEADS

    def read(self, dataset: Dataset, cell: int) -> list[str]:
        """Return the tokens of one cell by name."""
        held: dict[str, float] = {}
        counts = dataset.counts(np.array([cell])).matrix.toarray()[0]
        for gene_id, count in zip(dataset.gene_ids, counts, strict=True):
            gene = self.aliases.get(gene_id, gene_id)
            if count and gene in self.medians:
                held[gene] = held.get(gene, 0.0) + float(count)
        total = float(dataset.total_counts[cell])
        order = sorted(held, key=lambda gene: -held[gene] / total * 10_000 / self.medians[gene])
        if "<cls>" not in self.tokens:
            return order[: self.context]
        return ["<cls>", *order[: self.context - 2], "<eos>"] if order else []

    def run(self, names: list[str]) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
        """Return the hidden states, before the first layer and after each, and the attention of each layer."""
        rows = [self.tokens.index(name) for name in names]
        embedded = self.weights["bert.embeddings.word_embeddings.weight"][rows]
        embedded = embedded + self.weights["bert.embeddings.position_embeddings.weight"][: len(rows)]
        embedded = embedded + self.weights["bert.embeddings.token_type_embeddings.weight"][0]
        states, attentions = [self._norm(embedded, "bert.embeddings.LayerNorm")], []
        for number in range(self.n_layers):
            layer = f"bert.encoder.layer.{number}"
            after, weights = self._attend(states[-1], f"{layer}.attention")
            inner = np.maximum(self._linear(after, f"{layer}.intermediate.dense"), 0)
            states.append(self._norm(after + self._linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm"))
            attentions.append(weights)
        return states, attentions

    def _attend(self, states: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        query, key, value = (self._linear(states, f"{name}.self.{part}") for part in ("query", "key", "value"))
        size = states.shape[1] // self.n_heads
        mixed, weights = [], []
        for head in range(self.n_heads):
            own = slice(head * size, (head + 1) * size)
            raised = np.exp(query[:, own] @ key[:, own].T / np.sqrt(size))
            weights.append(raised / raised.sum(axis=1, keepdims=True))
            mixed.append(weights[-1] @ value[:, own])
        added = states + self._linear(np.hstack(mixed), f"{name}.output.dense")
        return self._norm(added, f"{name}.output.LayerNorm"), np.stack(weights)

    def _linear(self, states: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return states @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, states: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = states - states.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def small_rank_bert(
    folder: Path, *, series: str, genes: tuple[str, ...], aliases: dict[str, str] | None = None, context: int = 24
) -> tuple[ModelSpec, PlainBert]:
    """Write random weights of a series ("v1", "v2") for some genes; return their card and their plain form."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    tokens = (*SPECIALS[series], *genes)
    medians = np.random.default_rng(5).lognormal(0.6, 0.5, len(genes))
    config = make_config(len(tokens), context)
    weights = random_weights(config, seed=6)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {
        "tokens": tokens,
        "medians": [*(None for _ in SPECIALS[series]), *medians],
        "aliases": aliases or {},
        "symbols": {},
    }
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))
    plain = PlainBert(
        tokens=tokens,
        medians=dict(zip(genes, medians.tolist(), strict=True)),
        aliases=aliases or {},
        weights={name: value.astype(np.float64) for name, value in weights.items()},
        context=context,
    )
    return _card(folder, series, context), plain


def _card(folder: Path, series: str, context: int) -> ModelSpec:
    files = tuple(
        WeightFile(
            name=name,
            size_bytes=(folder / name).stat().st_size,
            sha256=hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        )
        for name in FILES
    )
    return bag_card(
        key=f"small-{series}",
        title=f"Small {series}",
        embedding_size=HIDDEN,
        max_tokens=context,
        n_layers=N_LAYERS,
        default_layer=-1,
        poolings=("cls", "cell") if series == "v2" else ("cell",),
        has_gene_vectors=True,
        has_attention=True,
        weights=files,
        folder=folder,
        load=_load,
    )


def _load(folder: Path | None, device: str, fitted: Arrays) -> RankBert:
    from safetensors.torch import load_file

    from scfm_core.tensors import BertShape, gene_bert

    assert folder is not None
    vocabulary = json.loads((folder / "vocabulary.json").read_text())
    shape = BertShape.from_config(json.loads((folder / "config.json").read_text()))
    network = gene_bert(shape, load_file(folder / "model.safetensors"), device)
    names = ("tokens", "medians", "aliases")
    return RankBert(network, **{name: vocabulary[name] for name in names})
