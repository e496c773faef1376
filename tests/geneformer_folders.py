"""Small random Geneformer checkpoints in the layouts in which the authors published the real ones."""

import json
import pickle
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scfm_core.genes import gene_table
from scfm_core.resources import asset

HIDDEN, FEED_FORWARD, N_HEADS, N_LAYERS = 32, 64, 4, 3
CONTEXT = {"v1": 220, "v2": 256, "95m": 256}
SPECIALS = {"v1": ("<pad>", "<mask>"), "v2": ("<pad>", "<mask>", "<cls>", "<eos>")}
SPECIALS["95m"] = SPECIALS["v2"]
SUFFIX = {"v1": "_gc30M", "v2": "_gc104M", "95m": "_gc95M"}
RETIRED = ("ENSG00000999001", "ENSG00000999002")  # ids that the mapping dictionary leads to the first two genes
MODEL_FOLDERS = {
    ("v1", "current"): "Geneformer-V1-10M",
    ("v2", "current"): "Geneformer-V2-104M",
    ("v1", "2024"): "gf-6L-30M-i2048",
    ("95m", "2024"): "gf-12L-95M-i4096",
    ("v1", "2023"): ".",
}


@cache
def real_gene_ids(n_genes: int = 360) -> tuple[str, ...]:
    """The human genes that most cells of the PBMC 3k demo express, by Ensembl id, ascending; shape ``(n_genes,)``."""
    import h5py

    with h5py.File(asset("demo") / "pbmc3k.h5ad") as file:
        gene_ids = file["var/gene_ids"].asstr()[:]
        held = np.bincount(file["X/indices"][:], minlength=len(gene_ids))
    return tuple(sorted(gene_ids[np.argsort(-held, kind="stable")[:n_genes]].tolist()))


def model_folder(root: Path, series: str = "v1", layout: str = "current") -> Path:
    """The folder with ``config.json`` in what `write_published` wrote."""
    return root / MODEL_FOLDERS[series, layout]


def write_published(
    root: Path,
    *,
    series: str = "v1",
    layout: str = "current",
    seed: int = 0,
    gene_ids: Sequence[str] | None = None,
    context: int | None = None,
) -> Path:
    """Write a repository with one random model of a series and return its root.

    Parameters
    ----------
    series
        ``"v1"`` (no special tokens in a cell), ``"v2"`` or ``"95m"`` (``<cls>`` and ``<eos>``).
    layout
        ``"current"``, ``"2024"`` (gf- names) or ``"2023"`` (the model in the root, no mapping dictionary).
    gene_ids
        The vocabulary, in its order; 360 real human genes by default.
    context
        Longest input in tokens; short by default, so that real cells are cut.
    """
    genes = tuple(gene_ids or real_gene_ids())
    folder = model_folder(root, series, layout)
    vocab_size = len(SPECIALS[series]) + len(genes)
    config = make_config(vocab_size, context or CONTEXT[series])
    write_model(folder, config, seed=seed, with_bin=True, position_ids=series == "v1")
    if layout != "2023":  # the root of the repository holds another model, the default of its day
        write_model(root, {**config, "num_hidden_layers": 1}, seed=seed + 1)
    write_dictionaries(root / "geneformer", series, genes, seed=seed, layout=layout)
    return root


def make_config(vocab_size: int, context: int) -> dict[str, object]:
    """The entries of a published ``config.json``, with small sizes."""
    return {
        "architectures": ["BertForMaskedLM"],
        "attention_probs_dropout_prob": 0.02,
        "hidden_act": "relu",
        "hidden_dropout_prob": 0.02,
        "hidden_size": HIDDEN,
        "initializer_range": 0.35,
        "intermediate_size": FEED_FORWARD,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": context,
        "model_type": "bert",
        "num_attention_heads": N_HEADS,
        "num_hidden_layers": N_LAYERS,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "vocab_size": vocab_size,
    }


def write_model(
    folder: Path, config: Mapping[str, object], *, seed: int = 0, with_bin: bool = False, position_ids: bool = False
) -> None:
    """Write ``config.json`` and ``model.safetensors``, and on request the same weights as ``pytorch_model.bin``."""
    import torch
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    weights = random_weights(config, seed)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if with_bin:
        state = {name: torch.from_numpy(value) for name, value in weights.items()}
        state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]  # tied, as saved then
        state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"]
        if position_ids:  # a buffer that transformers 4.6 saved
            state["bert.embeddings.position_ids"] = torch.arange(int(str(config["max_position_embeddings"])))[None]
        torch.save(state, folder / "pytorch_model.bin")


def random_weights(config: Mapping[str, object], seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random parameters of a BERT under their published names."""
    draw = np.random.default_rng(seed)
    size, inner, vocab, context, n_layers, n_types = (
        int(str(config[name]))
        for name in (
            "hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings", "num_hidden_layers",
            "type_vocab_size",
        )
    )  # fmt: skip
    shapes = {f"bert.embeddings.{name}_embeddings.weight": (rows, size)
              for name, rows in (("word", vocab), ("position", context), ("token_type", n_types))}  # fmt: skip
    norms = ["bert.embeddings.LayerNorm", "cls.predictions.transform.LayerNorm"]
    linear = {"cls.predictions.transform.dense": (size, size)}
    for layer in (f"bert.encoder.layer.{number}" for number in range(n_layers)):
        linear |= {f"{layer}.attention.self.{name}": (size, size) for name in ("query", "key", "value")}
        linear[f"{layer}.attention.output.dense"] = (size, size)
        linear[f"{layer}.intermediate.dense"] = (inner, size)
        linear[f"{layer}.output.dense"] = (size, inner)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    shapes |= {f"{name}.weight": shape for name, shape in linear.items()}
    shapes |= {f"{name}.bias": (shape[0],) for name, shape in linear.items()}
    shapes["cls.predictions.bias"] = (vocab,)
    weights = {name: draw.normal(0, 0.35, shape).astype(np.float32) for name, shape in shapes.items()}
    for norm in norms:
        weights[f"{norm}.weight"] = draw.uniform(0.5, 1.5, size).astype(np.float32)
        weights[f"{norm}.bias"] = draw.normal(0, 0.1, size).astype(np.float32)
    return weights


def write_dictionaries(
    folder: Path, series: str, genes: Sequence[str], *, seed: int = 0, layout: str = "current"
) -> None:
    """Write the four pickled dictionaries of a series where a layout has them under the code's ``folder``."""
    suffix = "" if layout == "2023" else SUFFIX[series]
    if series == "v1" and layout != "2023":
        folder = folder / "gene_dictionaries_30m"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in make_dictionaries(series, genes, seed=seed).items():
        if not (name == "ensembl_mapping_dict" and layout == "2023"):
            (folder / f"{name}{suffix}.pkl").write_bytes(pickle.dumps(content, protocol=4))


def make_dictionaries(series: str, genes: Sequence[str], *, seed: int = 0) -> dict[str, dict[str, object]]:
    """The four dictionaries of a series by file name, with numpy scalars where the real ones have them."""
    specials = SPECIALS[series]
    number = np.int16 if series == "v1" else int  # as published: a plain int of the specials, int16 of the genes
    tokens: dict[str, object] = {name: place for place, name in enumerate(specials)}
    tokens |= {gene: number(len(specials) + place) for place, gene in enumerate(genes)}
    values = np.random.default_rng([seed, 1]).lognormal(0.6, 0.5, len(genes))
    medians: dict[str, object] = dict(zip(genes, values, strict=True))  # numpy.float64
    mapping: dict[str, object] = {gene: gene for gene in genes}
    mapping |= {RETIRED[0]: genes[0], RETIRED[1]: genes[1], "ENSG00000999003": "ENSG00000999004"}
    symbols = gene_table("human").symbols
    names: dict[str, object] = {symbols.get(gene, gene): gene for gene in genes}
    names["NOT-A-GENE"] = "ENSG00000999004"
    if series != "v1":  # the newer ones tell more than the vocabulary needs
        medians["ENSG00000999004"] = np.float64(1.5)
        mapping |= {symbol.upper(): gene for symbol, gene in names.items()}
    return {
        "token_dictionary": tokens,
        "gene_median_dictionary": medians,
        "gene_name_id_dict": names,
        "ensembl_mapping_dict": mapping,
    }
