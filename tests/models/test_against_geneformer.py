"""Our Geneformer, from the published files to cell vectors, against numbers recorded from its authors' own code.

The recordings (random weights in the official layout, context 220) lie beside the real data sets; tolerance of the
vectors 2e-6 absolute, as recorded.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts
from scfm_core.devices import use_device
from scfm_core.model import CellModel, EmbedOptions
from scfm_core.registry import find_model
from scfm_core.tokens import Tokens
from scfm_core.weights import loaded_model, with_weights

CONTEXT = 220


@pytest.fixture(scope="module")
def folder(shared_golden: Path) -> Path:
    return shared_golden / "geneformer_v1"


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> CellModel:
    use_device("cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCFM_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))
        return loaded_model(with_weights(find_model("geneformer-v1-10m"), folder / "Geneformer-V1-10M"), {})


@pytest.fixture(scope="module")
def counts(folder: Path) -> CellCounts:
    """The recorded cells, in the order of the recording; two columns bear retired ids of other genes."""
    given, cells = np.load(folder / "input_collapse1.npz"), np.load(folder / "tokens_collapse1.npz")["cell_no"]
    return CellCounts(
        matrix=csr_matrix(given["counts"][cells]),
        gene_ids=tuple(str(gene) for gene in given["ensembl_id"]),
        total_counts=given["n_counts"][cells],
    )


def recorded_tokens(folder: Path) -> Tokens:
    recorded = np.load(folder / "tokens_collapse1.npz")
    lengths = recorded["length"]
    real = np.arange(recorded["input_ids"].shape[1])[None, :] < lengths[:, None]
    genes = recorded["input_ids"][real].astype(np.int32)
    return Tokens(genes, np.ones(len(genes), np.float32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def values_of_genes(model: CellModel, counts: CellCounts, medians: dict[str, float]) -> np.ndarray:
    """What each position of the vocabulary is ranked by in each cell, columns of one gene summed."""
    position = {gene_id: place for place, gene_id in enumerate(model.gene_ids) if gene_id}
    values = np.zeros((len(counts.total_counts), len(model.gene_ids)))
    dense = counts.matrix.toarray().astype(np.float64)
    for column, gene_id in enumerate(counts.gene_ids):
        if gene_id in position:
            values[:, position[gene_id]] += dense[:, column] / medians[gene_id]
    return values


def test_tokens_equal_those_of_the_authors_code(folder: Path, model: CellModel, counts: CellCounts) -> None:
    ours, theirs = model.encode(counts), recorded_tokens(folder)
    np.testing.assert_array_equal(ours.offsets, theirs.offsets)
    assert ours.lengths.max() == CONTEXT > ours.lengths.min()
    cell = ours.cell_of_token()
    differ = ours.genes != theirs.genes
    # ties may stand in any order in the recording, so the values have to agree where the genes do not
    medians = json.loads((folder / "gene_median_dictionary.json").read_text())
    aliases = json.loads((folder / "ensembl_mapping_dict.json").read_text())
    canonical = replace(counts, gene_ids=tuple(aliases.get(gene_id, gene_id) for gene_id in counts.gene_ids))
    values = values_of_genes(model, canonical, medians)
    np.testing.assert_allclose(values[cell, ours.genes][differ], values[cell, theirs.genes][differ], rtol=1e-12)
    assert differ.mean() < 0.2


def test_vectors_equal_those_of_the_authors_code(folder: Path, model: CellModel) -> None:
    recorded = np.load(folder / "embeddings.npz")
    numbers = np.load(folder / "tokens_collapse1.npz")["cell_no"]
    wanted = recorded["cell_layer-1_cell_no"]
    tokens = recorded_tokens(folder).take(np.array([int(np.flatnonzero(numbers == cell)[0]) for cell in wanted]))
    cells = model.embed(tokens, EmbedOptions(layer=-1, pooling="cell")).cells
    np.testing.assert_allclose(cells, recorded["cell_layer-1"], atol=2e-6)
