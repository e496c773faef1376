"""scfm-mini: our own small transformer of Geneformer's kind, bundled with the application."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfm_core.dataset import CellCounts
from scfm_core.errors import ModelError
from scfm_core.model import Arrays, CellStates, EmbedOptions, ModelSpec, WeightFile
from scfm_core.resources import asset
from scfm_core.tokens import GeneEdit, Tokens, counts_in_vocabulary, rank_value_tokens, without_genes

if TYPE_CHECKING:  # torch is slow to import, and a card needs none
    from scfm_core.tensors import GeneBert

_N_SPECIAL = 2  # <pad> and <mask> stand before the genes


class ScfmMini:
    """A loaded network with its vocabulary and medians.

    To delete a gene is to take its token out: the genes behind it move up one rank. A cell that was cut to the longest
    input stays one token shorter; the gene that was cut off first does not come back.
    """

    def __init__(self, network: "GeneBert", gene_ids: Sequence[str], medians: Sequence[float]) -> None:
        self.gene_ids = ("",) * _N_SPECIAL + tuple(gene_ids)
        self._position = {gene_id: position for position, gene_id in enumerate(self.gene_ids) if gene_id}
        self._medians = np.concatenate([np.ones(_N_SPECIAL), medians])
        self._network = network

    def encode(self, counts: CellCounts) -> Tokens:
        """See `CellModel.encode`."""
        matrix = counts_in_vocabulary(counts, self._position, size=len(self.gene_ids))
        max_tokens = self._network.shape.max_position_embeddings
        return rank_value_tokens(matrix, counts.total_counts, self._medians, max_tokens=max_tokens)

    def edit(self, tokens: Tokens, edits: Sequence[GeneEdit]) -> Tokens:
        """See `CellModel.edit`."""
        known = [self._position[edit.gene_id] for edit in edits if edit.gene_id in self._position]
        return without_genes(tokens, np.array(known, dtype=np.int64))

    def embed(self, tokens: Tokens, options: EmbedOptions) -> CellStates:
        """See `CellModel.embed`; a cell's vector is the mean of its genes' vectors."""
        from scfm_core.tensors import layers_to_run, mean_per_cell, token_states

        n_layers = layers_to_run(self._network.shape.num_hidden_layers, options.layer)
        states = token_states(self._network, tokens, n_layers=n_layers, precision=options.precision)
        cells = mean_per_cell(states, tokens)
        return CellStates(cells, states.cpu().numpy() if options.gene_vectors else None)


def _load(folder: Path | None, device: str, fitted: Arrays) -> ScfmMini:
    from safetensors.torch import load_file

    from scfm_core.tensors import BertShape, gene_bert

    if folder is None:
        msg = "scfm-mini needs the folder of its weights, found none."
        raise ModelError(msg, "no-weights")
    shape = BertShape.from_config(_read_json(folder / "config.json"))
    vocabulary = _read_json(folder / "vocabulary.json")
    gene_ids, medians = vocabulary["gene_ids"], vocabulary["medians"]
    if not len(gene_ids) == len(medians) == shape.vocab_size - _N_SPECIAL:
        msg = (
            f"The vocabulary has {len(gene_ids):,} genes and {len(medians):,} medians, but the network was made for "
            f"{shape.vocab_size - _N_SPECIAL:,} genes. Get all files of the weights from one place."
        )
        raise ModelError(msg, "unsuitable-weights")
    return ScfmMini(gene_bert(shape, load_file(folder / "model.safetensors"), device), gene_ids, medians)


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
        bundled_folder=asset("scfm-mini"),
    ),
)
