"""PCA against scikit-learn, and on datasets that are nearly too small for it."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA

from scfm_core.dataset import Dataset, NewDataset, write_dataset
from scfm_core.errors import DatasetError, ModelError
from scfm_core.model import EmbedOptions
from scfm_core.models.pca import PcaModel, fit_pca
from scfm_core.registry import find_model
from scfm_core.tokens import Activate, Delete, GeneEdit, Inhibit, Overexpress, Scale
from scfm_core.variable_genes import N_VARIABLE_GENES, log_normalised
from scfm_core.weights import loaded_model


def dataset_of(tmp_path, matrix: np.ndarray, totals: np.ndarray | None = None) -> Dataset:
    n_cells, n_genes = matrix.shape
    genes = tuple(f"ENSG{number:011d}" for number in range(n_genes))
    new = NewDataset(
        matrix=csr_matrix(matrix),
        gene_ids=genes,
        gene_symbols=genes,
        cells=pd.DataFrame(index=[f"cell {number}" for number in range(n_cells)]),
        organism="human",
        total_counts=totals,
    )
    return write_dataset(tmp_path, new)


def embed(dataset: Dataset, model: PcaModel) -> np.ndarray:
    return model.embed(model.encode(dataset.counts()), EmbedOptions()).cells


def test_components_equal_scikit_learns(tiny_dataset: Dataset) -> None:
    fitted = fit_pca(tiny_dataset)
    columns = [tiny_dataset.gene_ids.index(gene_id) for gene_id in fitted["gene_ids"]]
    matrix = tiny_dataset.counts().matrix.astype(np.float64).toarray()
    values = np.log1p(matrix / tiny_dataset.total_counts[:, None] * 1e4)[:, columns]
    theirs = PCA(n_components=20, svd_solver="full").fit_transform(values)
    ours = embed(tiny_dataset, PcaModel(fitted))[:, :20]
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs * signs, atol=2e-4)


def test_variable_genes_equal_scanpys(demo_dataset: Dataset) -> None:
    import scanpy as sc
    from anndata import AnnData

    counts = demo_dataset.counts()
    data = AnnData(counts.matrix.astype(np.float64))
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    data = data[:, np.asarray(data.X.sum(axis=0)).ravel() > 0].copy()
    theirs = sc.pp.highly_variable_genes(data, n_top_genes=2000, flavor="seurat", inplace=False)
    chosen = {demo_dataset.gene_ids[int(gene)] for gene in data.var_names[theirs["highly_variable"]]}
    ours = set(fit_pca(demo_dataset)["gene_ids"])
    assert len(ours) == N_VARIABLE_GENES
    assert len(ours & chosen) >= 0.999 * len(chosen)  # ties at the border may fall either way


def test_a_fit_repeats_to_the_last_bit(tiny_dataset: Dataset) -> None:
    first, second = fit_pca(tiny_dataset), fit_pca(tiny_dataset)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_twelve_cells_and_five_genes_are_enough(tmp_path) -> None:
    matrix = np.random.default_rng(0).poisson(3.0, (12, 5))
    matrix[4] = 0
    dataset = dataset_of(tmp_path, matrix)
    fitted = fit_pca(dataset)
    assert fitted["components"].shape == (5, 5)
    points = embed(dataset, PcaModel(fitted))
    np.testing.assert_array_equal(np.isnan(points).all(axis=1), np.arange(12) == 4)


def test_a_cell_without_a_chosen_gene_has_no_vector(tmp_path) -> None:
    dataset = dataset_of(tmp_path, np.random.default_rng(0).poisson(3.0, (12, 5)))
    fitted = {name: array[1:] if name != "components" else array[1:] for name, array in fit_pca(dataset).items()}
    model = PcaModel(fitted)
    lone = dataset_of(tmp_path, np.array([[4, 0, 0, 0, 0], [4, 1, 0, 0, 0]]))
    assert np.isnan(embed(lone, model)[0]).all()
    assert np.isfinite(embed(lone, model)[1]).all()


def test_deletion_sets_one_value_to_zero_and_holds_the_total(tiny_dataset: Dataset) -> None:
    fitted = fit_pca(tiny_dataset)
    model, gene = PcaModel(fitted), 7
    tokens = model.encode(tiny_dataset.counts())
    shift = model.embed(model.edit(tokens, [Delete(model.gene_ids[gene])]), EmbedOptions()).cells
    shift = model.embed(tokens, EmbedOptions()).cells - shift
    column = tiny_dataset.gene_ids.index(model.gene_ids[gene])
    values = log_normalised(tiny_dataset.counts().matrix, tiny_dataset.total_counts)[:, [column]].toarray()
    np.testing.assert_allclose(shift, values * fitted["components"][gene], atol=2e-5)


@pytest.mark.parametrize(
    ("make", "factor"),
    [
        (Delete, 0.0),
        (lambda gene: Scale(gene, 0.0), 0.0),
        (lambda gene: Scale(gene, 1.5), 1.5),
        (lambda gene: Inhibit(gene, 2), 0.25),
        (lambda gene: Activate(gene, 1), 2.0),
    ],
)
def test_an_edit_multiplies_the_counts_and_holds_the_total(tiny_dataset: Dataset, make, factor: float) -> None:
    model = PcaModel(fit_pca(tiny_dataset))
    counts = tiny_dataset.counts()
    tokens = model.encode(counts)
    gene = int(np.bincount(tokens.genes).argmax())
    edited = model.edit(tokens, [make(model.gene_ids[gene])])
    column = counts.gene_ids.index(model.gene_ids[gene])
    matrix = counts.matrix.astype(np.float64).tolil()
    matrix[:, column] = factor * matrix[:, column].toarray()
    columns = [counts.gene_ids.index(gene_id) for gene_id in model.gene_ids]
    expected = log_normalised(csr_matrix(matrix), counts.total_counts)[:, columns]
    found = csr_matrix((edited.values, edited.genes, edited.offsets), shape=expected.shape)
    np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-5)
    assert edited.holds(gene).any() == (factor > 0)


def test_overexpression_gives_each_cell_the_highest_value_of_the_dataset(tiny_dataset: Dataset) -> None:
    model = PcaModel(fit_pca(tiny_dataset))
    tokens = model.encode(tiny_dataset.counts())
    gene = int(np.bincount(tokens.genes).argmin())
    edits: list[GeneEdit] = [Overexpress(model.gene_ids[gene])]
    once = model.edit(tokens, edits)
    shape = (tokens.n_cells, len(model.gene_ids))
    dense = [csr_matrix((t.values, t.genes, t.offsets), shape=shape).toarray() for t in (tokens, once)]
    known = tokens.lengths > 0
    assert (dense[1][known, gene] == dense[0][:, gene].max()).all()
    dense[1][:, gene] = dense[0][:, gene]
    np.testing.assert_array_equal(*dense)
    again = model.edit(once, edits)
    assert all(np.array_equal(getattr(once, name), getattr(again, name)) for name in ("genes", "values", "offsets"))


def test_one_cell_is_refused_in_words(tmp_path) -> None:
    with pytest.raises(DatasetError, match="at least two cells"):
        fit_pca(dataset_of(tmp_path, np.array([[1, 2], [0, 0]])))


def test_loading_without_a_fit_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match="fitted to each dataset"):
        loaded_model(find_model("pca"), {})
