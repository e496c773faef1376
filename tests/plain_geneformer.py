"""Geneformer's tokens, network and perturbations, written down plainly and slowly from the specification, in float64.

Knows nothing of the package under test: one cell at a time, lists of genes, numpy.
"""

import json
import pickle
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

Cell = list[str]  # gene ids, strongest first; with <cls> and <eos> around them where the series has these


class PlainGeneformer:
    """A published model read by hand. ``layer`` counts backwards from 0, the last."""

    def __init__(self, folder: Path, dictionaries: Path, suffix: str, layer: int = -1) -> None:
        def read(name: str) -> dict:
            return pickle.loads((dictionaries / f"{name}_{suffix}.pkl").read_bytes())

        self.token, self.median, self.known = (
            read(name) for name in ("token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict")
        )
        config = json.loads((folder / "config.json").read_text())
        self.longest, self.n_heads = config["max_position_embeddings"], config["num_attention_heads"]
        self.n_layers = config["num_hidden_layers"] + layer
        self.special = "<cls>" in self.token
        weights = load_file(folder / "model.safetensors")
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}

    def read(self, counts: dict[str, float], total: float) -> Cell:
        summed: dict[str, float] = {}
        for gene, count in counts.items():
            canonical = self.known.get(gene)
            if canonical in self.token:
                summed[canonical] = summed.get(canonical, 0) + count
        strength = {gene: count / total * 10_000 / self.median[gene] for gene, count in summed.items() if count}
        genes = sorted(strength, key=lambda gene: -strength[gene])
        if not self.special or not genes:
            return genes[: self.longest]
        return ["<cls>", *genes[: self.longest - 2], "<eos>"]

    def states(self, cell: Cell) -> np.ndarray:
        """The hidden state of each token, shape ``(n_tokens, hidden_size)``."""
        w, ids = self.weights, [int(self.token[gene]) for gene in cell]
        x = w["bert.embeddings.word_embeddings.weight"][ids]
        x = x + w["bert.embeddings.position_embeddings.weight"][: len(ids)]
        x = self._norm("bert.embeddings.LayerNorm", x + w["bert.embeddings.token_type_embeddings.weight"][0])
        for number in range(self.n_layers):
            layer = f"bert.encoder.layer.{number}"
            x = self._norm(f"{layer}.attention.output.LayerNorm", x + self._attention(layer, x))
            inner = np.maximum(self._linear(f"{layer}.intermediate.dense", x), 0)
            x = self._norm(f"{layer}.output.LayerNorm", x + self._linear(f"{layer}.output.dense", inner))
        return x

    def vector(self, cell: Cell, pooling: str) -> np.ndarray:
        states = self.states(cell)
        if pooling == "cls":
            return states[0]
        return np.mean([state for gene, state in zip(cell, states, strict=True) if gene[0] != "<"], axis=0)

    def delete(self, cell: Cell, genes: list[str]) -> tuple[Cell, Cell]:
        """The cell it is compared with, and the edited one."""
        return cell, [gene for gene in cell if gene not in genes]

    def overexpress(self, cell: Cell, genes: list[str]) -> tuple[Cell, Cell]:
        n_added = sum(gene not in cell for gene in genes)
        n_over = max(0, len(cell) + n_added - self.longest)
        start, end = (["<cls>"], ["<eos>"]) if self.special else ([], [])
        inner = [gene for gene in cell if gene[0] != "<"]
        original = [*start, *inner[: len(inner) - n_over], *end]
        others = [gene for gene in inner[: len(inner) - n_over] if gene not in genes]
        return original, [*start, *genes, *others, *end]

    def gene_cosines(self, original: Cell, edited: Cell, genes: list[str]) -> dict[str, float]:
        """The cosine of each gene that was not edited, before and after."""
        before = dict(zip(original, self.states(original), strict=True))
        after = dict(zip(edited, self.states(edited), strict=True))
        return {g: cosine(before[g], after[g]) for g in edited if g[0] != "<" and g not in genes}

    def similarity(self, original: Cell, edited: Cell, genes: list[str], pooling: str) -> float:
        if pooling == "cls":
            return cosine(self.vector(original, pooling), self.vector(edited, pooling))
        return float(np.mean(list(self.gene_cosines(original, edited, genes).values())))

    def shift(self, original: Cell, edited: Cell, state: np.ndarray, pooling: str) -> float:
        return cosine(self.vector(edited, pooling), state) - cosine(self.vector(original, pooling), state)

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, name: str, x: np.ndarray) -> np.ndarray:
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-12)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _attention(self, layer: str, x: np.ndarray) -> np.ndarray:
        query, key, value = (self._linear(f"{layer}.attention.self.{name}", x) for name in ("query", "key", "value"))
        size = x.shape[1] // self.n_heads
        heads = []
        for start in range(0, x.shape[1], size):
            part = slice(start, start + size)
            logits = query[:, part] @ key[:, part].T / np.sqrt(size)
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, part])
        return self._linear(f"{layer}.attention.output.dense", np.concatenate(heads, axis=1))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
