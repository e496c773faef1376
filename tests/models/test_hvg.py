"""Variable genes against the published benchmark's own steps in scanpy, and what an edit does to them."""

import numpy as np
import pytest
from anndata import AnnData

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import DatasetError, ModelError
from scfm_core.model import EmbedOptions
from scfm_core.models.hvg import HvgModel, fit_hvg
from scfm_core.registry import find_model
from scfm_core.tokens import Delete
from scfm_core.weights import loaded_model
from tests.models.batched_cells import planted
from tests.models.test_pca import dataset_of


def by_hand(dataset: Dataset) -> AnnData:
    """Return the steps of the published benchmark's notebook (Kedzierska 2025)."""
    import scanpy as sc

    data = AnnData(dataset.counts().matrix.astype(np.float64))
    data.var_names = list(dataset.gene_ids)
    sc.pp.filter_cells(data, min_genes=10)
    sc.pp.filter_genes(data, min_cells=10)
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    sc.pp.highly_variable_genes(data, flavor="seurat", subset=False, n_top_genes=2000)
    return data


def test_the_vectors_equal_scanpys_by_hand(engine: Engine, demo_dataset: Dataset) -> None:
    data = by_hand(demo_dataset)
    assert data.n_obs == demo_dataset.n_cells  # so that the rows are the same cells
    theirs = data[:, data.var["highly_variable"]]
    ours = engine.compute(EmbedCells(demo_dataset, find_model("hvg"))).points
    fitted = fit_hvg(demo_dataset)
    assert fitted["gene_ids"].tolist() == theirs.var_names.tolist()
    np.testing.assert_allclose(ours, theirs.X.toarray(), rtol=1e-5, atol=1e-6)


def test_cells_and_genes_that_are_too_few_take_no_part_in_the_choice(tmp_path) -> None:
    random = np.random.default_rng(0)
    matrix = random.poisson(2.0, (60, 30))
    matrix[:2, 5:] = 0  # two cells with at most five genes
    matrix[:, 20] = 0
    matrix[2:9, 20] = 50  # a gene of seven cells
    dataset = dataset_of(tmp_path, matrix)
    fitted = fit_hvg(dataset)
    assert fitted["left_out"].tolist() == [dataset.gene_ids[20]]
    assert dataset.gene_ids[20] not in fitted["gene_ids"]
    points = HvgModel(fitted).embed(HvgModel(fitted).encode(dataset.counts()), EmbedOptions()).cells
    others = np.delete(matrix, 20, axis=1)
    columns = [np.delete(np.array(dataset.gene_ids), 20).tolist().index(gene_id) for gene_id in fitted["gene_ids"]]
    expected = np.log1p(others / others.sum(axis=1, keepdims=True) * 1e4)[:, columns]
    np.testing.assert_allclose(points, expected, rtol=1e-5)


def test_deleting_a_gene_sets_its_number_to_zero_and_no_other(tmp_path) -> None:
    dataset = planted(tmp_path, n_cells=60)
    model = HvgModel(fit_hvg(dataset))
    tokens = model.encode(dataset.counts())
    before = model.embed(tokens, EmbedOptions()).cells
    after = model.embed(model.edit(tokens, [Delete(model.gene_ids[4])]), EmbedOptions()).cells
    assert before[:, 4].any()
    assert not after[:, 4].any()
    np.testing.assert_array_equal(np.delete(before, 4, axis=1), np.delete(after, 4, axis=1))


def test_a_dataset_with_too_little_in_it_is_refused_in_words(tmp_path) -> None:
    with pytest.raises(DatasetError, match="10 genes per cell, 10 cells per gene"):
        fit_hvg(dataset_of(tmp_path, np.random.default_rng(0).poisson(2.0, (30, 6))))


def test_loading_without_a_fit_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match="chosen for each dataset"):
        loaded_model(find_model("hvg"), {})
