"""Our rank-value tokens and our network against numbers recorded from Geneformer's own code.

The recordings (random weights in the official layout, context 220) lie beside the real data sets; tolerance of the
vectors 2e-6 absolute, as recorded.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts
from scfm_core.rank_values import rank_value_tokens
from scfm_core.tensors import BertShape, gene_bert, layers_to_run, mean_per_cell, token_states
from scfm_core.tokens import Tokens, counts_in_vocabulary

CONTEXT = 220


@pytest.fixture(scope="module")
def folder(shared_golden: Path) -> Path:
    return shared_golden / "geneformer_v1"


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def recorded_tokens(folder: Path) -> Tokens:
    recorded = np.load(folder / "tokens_collapse1.npz")
    lengths = recorded["length"]
    real = np.arange(recorded["input_ids"].shape[1])[None, :] < lengths[:, None]
    genes = recorded["input_ids"][real].astype(np.int32)
    return Tokens(genes, np.ones(len(genes), np.float32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def test_tokens_equal_those_of_the_authors_code(folder: Path) -> None:
    given, recorded = np.load(folder / "input_collapse1.npz"), np.load(folder / "tokens_collapse1.npz")
    position = read(folder / "token_dictionary.json")
    aliases = read(folder / "ensembl_mapping_dict.json")
    vocabulary = {alias: position[gene] for alias, gene in aliases.items() if gene in position}
    medians = np.ones(len(position))
    for gene, median in read(folder / "gene_median_dictionary.json").items():
        medians[position[gene]] = median
    cells = recorded["cell_no"]
    counts = CellCounts(
        matrix=csr_matrix(given["counts"][cells]),
        gene_ids=tuple(str(gene) for gene in given["ensembl_id"]),
        total_counts=given["n_counts"][cells],
    )
    matrix = counts_in_vocabulary(counts, vocabulary, size=len(position))
    ours, theirs = rank_value_tokens(matrix, counts.total_counts, medians, max_tokens=CONTEXT), recorded_tokens(folder)
    np.testing.assert_array_equal(ours.offsets, theirs.offsets)
    values = matrix.toarray() / medians
    cell = ours.cell_of_token()
    differ = ours.genes != theirs.genes
    # ties may stand in any order in the recording, so the values have to agree where the genes do not
    np.testing.assert_allclose(values[cell, ours.genes][differ], values[cell, theirs.genes][differ], rtol=1e-12)
    assert differ.mean() < 0.2


def test_vectors_equal_those_of_the_authors_code(folder: Path) -> None:
    recorded = np.load(folder / "embeddings.npz")
    config = read(folder / "Geneformer-V1-10M" / "config.json")
    state = load_file(folder / "Geneformer-V1-10M" / "model.safetensors")
    network = gene_bert(BertShape.from_config(config), state, "cpu")
    numbers = np.load(folder / "tokens_collapse1.npz")["cell_no"]
    wanted = recorded["cell_layer-1_cell_no"]
    tokens = recorded_tokens(folder).take(np.array([int(np.flatnonzero(numbers == cell)[0]) for cell in wanted]))
    n_layers = layers_to_run(network.shape.num_hidden_layers, -1)
    states = token_states(network, tokens, n_layers=n_layers, precision="float32")
    np.testing.assert_allclose(mean_per_cell(states, tokens), recorded["cell_layer-1"], atol=2e-6)
