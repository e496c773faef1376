"""scfm-mini: our own small transformer of Geneformer's kind, bundled with the application."""

import json
from pathlib import Path
from typing import Any

from scfm_core.errors import ModelError
from scfm_core.model import Arrays, ModelSpec, ScreenQuality, WeightFile
from scfm_core.rank_bert import RankBert
from scfm_core.resources import asset

_SPECIAL = ("<pad>", "<mask>")  # stand before the genes


def _load(folder: Path | None, device: str, fitted: Arrays) -> RankBert:
    from safetensors.torch import load_file

    from scfm_core.tensors import BertShape, gene_bert

    if folder is None:
        msg = "scfm-mini needs the folder of its weights, found none."
        raise ModelError(msg, "no-weights")
    shape = BertShape.from_config(_read_json(folder / "config.json"))
    vocabulary = _read_json(folder / "vocabulary.json")
    gene_ids, medians = vocabulary["gene_ids"], vocabulary["medians"]
    if not len(gene_ids) == len(medians) == shape.vocab_size - len(_SPECIAL):
        msg = (
            f"The vocabulary has {len(gene_ids):,} genes and {len(medians):,} medians, but the network was made for "
            f"{shape.vocab_size - len(_SPECIAL):,} genes. Get all files of the weights from one place."
        )
        raise ModelError(msg, "unsuitable-weights")
    network = gene_bert(shape, load_file(folder / "model.safetensors"), device)
    return RankBert(network, tokens=(*_SPECIAL, *gene_ids), medians=(*(None for _ in _SPECIAL), *medians))


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


SPECS = (
    ModelSpec(
        key="scfm-mini",
        title="scfm-mini",
        revision="1",
        summary=(
            "A small transformer that reads a cell as its genes ranked by how strongly they stand out, trained to tell "
            "hidden genes from the others; it comes with the application and runs on any computer."
        ),
        organisms=("human",),
        vocabulary="20,130 human genes by Ensembl id, the 512 that stand out most in each cell",
        embedding_size=128,
        max_tokens=512,
        n_parameters=3_209_764,
        licence="BSD-3-Clause",
        citation="scFM Explorer; after Theodoris et al. 2023, Transfer learning enables predictions in network biology",
        doi="10.1038/s41586-023-06139-9",
        training_data=(
            "15,129 human cells, a tenth of them held out: blood cells of public 10x Genomics sets (PBMC 3k, 5k, 10k), "
            "five lung cancer cell lines (sc_mixology), and the sample shipped with CellTypist."
        ),
        known_limits=(
            "Tiny and briefly trained: a demonstration of the kind of model, not a published foundation model.",
            "Has seen blood cells and lung cancer cell lines only; other tissues are new to it.",
            "Human only.",
            "Was trained on the PBMC 3k cells of the demo: what it shows there says little about new data.",
            "Reads the order of genes, not their counts, and at most 512 of them.",
        ),
        load=_load,
        weights=(
            WeightFile(
                name="model.safetensors",
                size_bytes=6427816,
                sha256="fd261df224159b8f04a383db7d60fca1d92f95c81c615aff4b00a93f6da64590",
            ),
            WeightFile(
                name="config.json",
                size_bytes=310,
                sha256="5d9b49b8a4d6008988b2a2b8b1ae9165729afbdb73c51ab6b9ceebca08949d16",
            ),
            WeightFile(
                name="vocabulary.json",
                size_bytes=575064,
                sha256="0a6a611e6cb392045ee7f8c22f1bade535098c2c2fda4bcca79cd0445bbc2380",
            ),
        ),
        how_to_get="The weights come with the application; install it again if they are missing.",
        n_layers=4,
        default_layer=-1,
        has_gene_vectors=True,
        has_attention=True,
        screen=ScreenQuality(
            goal_spearman=0.998,
            size_spearman=0.986,
            goal_speedup=31.0,
            size_speedup=37.0,
            n_axes=2,
            measured_on=(
                "8 to 16 cells of PBMC 3k with 504 genes on average, three goal states, medians (worst: goal 0.995, "
                "size 0.948); speed as processor time on 2 cores of an AMD EPYC, 37 times for the size alone and 31 "
                "times with a goal. The goal alone, without axes and cuts, is 99 times faster, at 0.99 (worst 0.83): "
                "200 times would be 2.6 passes for a cell of 512 genes, and three and a way back are needed. "
                "python tests/benchmarks/bench_screen.py --model scfm-mini"
            ),
        ),
        gene_edits=("delete", "overexpress", "inhibit", "activate"),
        bundled_folder=asset("scfm-mini"),
    ),
)
