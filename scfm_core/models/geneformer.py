"""Geneformer: the published checkpoints of a transformer that reads a cell as its genes in order of their rank."""

import json
from pathlib import Path
from typing import Any

from scfm_core.checkpoints.catalogue import (
    FOLDERS,
    REPOSITORY,
    SHAPES,
    SPECIAL_TOKENS,
    published_files,
    revision_of,
    series_of,
)
from scfm_core.checkpoints.conversion import GeneformerConversion
from scfm_core.errors import ModelError
from scfm_core.model import Arrays, ModelSpec, Published, ScreenQuality
from scfm_core.rank_bert import RankBert


def _load(folder: Path | None, device: str, fitted: Arrays) -> RankBert:
    from safetensors.torch import load_file

    from scfm_core.tensors import BertShape, gene_bert

    if folder is None:
        msg = "Geneformer needs the folder of its weights, found none. Add them with 'scfm weights'."
        raise ModelError(msg, "no-weights")
    shape = BertShape.from_config(_read_json(folder / "config.json"))
    vocabulary = _read_json(folder / "vocabulary.json")
    missing = [name for name in ("tokens", "medians", "aliases") if name not in vocabulary]
    if missing:
        msg = f"The vocabulary.json of a converted Geneformer should hold {', '.join(missing)}. Add the weights again."
        raise ModelError(msg, "unsuitable-weights")
    network = gene_bert(shape, load_file(folder / "model.safetensors"), device)
    return RankBert(
        network, tokens=vocabulary["tokens"], medians=vocabulary["medians"], aliases=vocabulary["aliases"]
    )


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


_V1 = "about 30 million human transcriptomes of many tissues (Genecorpus-30M, June 2021), without malignant cells."
_95M = "about 95 million human transcriptomes of many tissues (April 2024), without malignant cells."
_V2 = "about 104 million human transcriptomes of many tissues (December 2024), without malignant cells."
_CANCER = " Then continued on about 14 million transcriptomes of cancer studies."

_PAPER_V1 = "Theodoris et al. 2023, Transfer learning enables predictions in network biology, Nature 618:616"
_PAPER_V2 = "Chen et al. 2024, Quantized multi-task learning for context-specific representations, bioRxiv"
_DOI_V1, _DOI_V2 = "10.1038/s41586-023-06139-9", "10.1101/2024.08.16.608180"

_LIMITS = (
    "Without fine-tuning its embeddings can separate cell types and mix batches worse than PCA of variable genes "
    "(Kedzierska et al. 2025, doi:10.1186/s13059-025-03574-x): compare with a baseline.",
    "Human only.",
    "Reads the order of genes, not their counts: a change of level that keeps the order is invisible.",
    "A deletion takes a gene out of the order; how far the cell moves can tell which gene it was rather than what "
    "the gene does. Compare with other genes of the same rank.",
)
_LIMIT_V1 = (
    "Malignant cells were left out of its training. It knows genes by the Ensembl ids of 2021: for a file with older "
    "ids choose 'Keep the retired ids' on the Dataset page, or some genes are read under another id than the authors'."
)
_LIMIT_CANCER = "Continued on cancer studies: for healthy tissue the model before is the authors' choice."


_SCREENS = {
    "geneformer-v1-10m": ScreenQuality(
        goal_spearman=0.999,
        size_spearman=0.999,
        goal_speedup=60.0,
        size_speedup=70.0,
        n_axes=2,
        random_weights=True,
        measured_on=(
            "RANDOM weights of the real size, not the trained ones: how well the estimate does with those was not "
            "measured, so look how it agrees on genes that are confirmed exactly. 8 cells of PBMC 3k with 913 genes "
            "on average, three goal states, medians (worst 0.999); speed as processor time on 2 cores of an AMD EPYC, "
            "for the size alone 56 times (cells of 657 genes) to 88 times (1,170 genes), with a goal 48 to 73 times. "
            "The goal alone, without axes and cuts: 140 to 221 times, at 0.998. "
            "python tests/benchmarks/bench_screen.py --model geneformer-v1-10m"
        ),
    )
}


def _parameters(key: str) -> int:
    """Return the number of weights with the masked-gene head, whose decoder is tied to the gene embeddings."""
    shape = SHAPES[key]
    size, inner = shape.hidden_size, shape.intermediate_size
    tables = (shape.vocab_size + shape.max_position_embeddings + 2) * size + 2 * size
    layer = 4 * (size + 1) * size + 2 * size + (size + 1) * inner + (inner + 1) * size + 2 * size
    head = (size + 1) * size + 2 * size + shape.vocab_size
    return tables + shape.num_hidden_layers * layer + head


def _how_to_get(key: str, published: Published) -> str:
    return (
        f"Download it with 'scfm weights fetch {key}' ({published.size_bytes / 1e6:,.0f} MB from "
        f"huggingface.co/{REPOSITORY}, licence Apache-2.0), or add a folder that you have: "
        f"'scfm weights add {key} FOLDER'."
    )


def _card(key: str, title: str, summary: str, training_data: str, limit: str) -> ModelSpec:
    shape, series = SHAPES[key], series_of(key)
    published = Published(
        repository=REPOSITORY,
        revision=revision_of(key),
        files=published_files(key),
        convert=GeneformerConversion(key),
    )
    n_special = len(SPECIAL_TOKENS[series])
    n_genes = shape.max_position_embeddings - (n_special - 2)  # <cls> and <eos> take a place each
    older = dict.fromkeys(name.lower().replace("_", "-") for name in FOLDERS[key])
    return ModelSpec(
        key=key,
        title=title,
        revision="1",
        summary=summary,
        organisms=("human",),
        vocabulary=(
            f"{shape.vocab_size - n_special:,} human genes by Ensembl id, the {n_genes:,} that stand out most in each "
            "cell"
        ),
        embedding_size=shape.hidden_size,
        max_tokens=shape.max_position_embeddings,
        n_parameters=_parameters(key),
        licence="Apache-2.0",
        citation=_PAPER_V1 if series == "v1" else _PAPER_V2,
        doi=_DOI_V1 if series == "v1" else _DOI_V2,
        training_data=training_data,
        known_limits=(*_LIMITS, limit),
        load=_load,
        aliases=tuple(name for name in older if name != key),
        published=published,
        how_to_get=_how_to_get(key, published),
        poolings=("cell",) if series == "v1" else ("cls", "cell"),
        n_layers=shape.num_hidden_layers,
        default_layer=-1,
        has_gene_vectors=True,
        has_attention=True,
        gene_edits=("delete", "overexpress", "inhibit", "activate"),
        screen=_SCREENS.get(key),
    )


SPECS = (
    _card(
        "geneformer-v1-10m",
        "Geneformer V1 10M",
        "The first Geneformer, with 6 layers: a transformer that learned from 30 million cells to guess hidden genes "
        "from the others. The smallest, and quick on any computer.",
        _V1,
        _LIMIT_V1,
    ),
    _card(
        "geneformer-12l-30m",
        "Geneformer V1 12 layers",
        "The larger network of the first Geneformer, trained on the same 30 million cells.",
        _V1,
        _LIMIT_V1,
    ),
    _card(
        "geneformer-12l-95m",
        "Geneformer 12 layers, 95M cells",
        "The model between the first and the second series: protein-coding genes, 4,094 of them per cell; "
        "superseded by Geneformer V2.",
        _95M,
        _LIMIT_V1,
    ),
    _card(
        "geneformer-12l-95m-clcancer",
        "Geneformer 12 layers, 95M cells, cancer",
        "The 12-layer model of 95 million cells, trained further on cancer studies; superseded by Geneformer V2.",
        _95M + _CANCER,
        _LIMIT_CANCER,
    ),
    _card(
        "geneformer-20l-95m",
        "Geneformer 20 layers, 95M cells",
        "The deepest model of 95 million cells; superseded by Geneformer V2.",
        _95M,
        _LIMIT_V1,
    ),
    _card(
        "geneformer-v2-104m",
        "Geneformer V2 104M",
        "The second Geneformer: 12 wide layers, 104 million cells, protein-coding genes, 4,094 of them per cell.",
        _V2,
        _LIMIT_V1,
    ),
    _card(
        "geneformer-v2-104m-clcancer",
        "Geneformer V2 104M, cancer",
        "The second Geneformer, trained further on cancer studies, for questions about tumours.",
        _V2 + _CANCER,
        _LIMIT_CANCER,
    ),
    _card(
        "geneformer-v2-316m",
        "Geneformer V2 316M",
        "The largest Geneformer, with 18 layers, and the authors' default today; wants a GPU.",
        _V2,
        _LIMIT_V1,
    ),
)
