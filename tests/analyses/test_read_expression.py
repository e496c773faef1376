"""Expression of genes on the scale of the figures, against numpy."""

from pathlib import Path

import numpy as np
import pytest

from scfm_core.analyses.read_expression import ReadExpression, log_expression
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from tests.analyses.planted import dataset_of


def test_expression_uses_all_counts_of_the_cell(tiny_dataset: Dataset, engine: Engine) -> None:
    counts = tiny_dataset.counts()
    expected = np.log1p(counts.matrix.toarray() / counts.total_counts[:, None] * 1e4)
    chosen = (7, 1999, 0)
    gene_ids = tuple(tiny_dataset.gene_ids[gene] for gene in chosen)
    values = engine.compute(ReadExpression(tiny_dataset, gene_ids)).values
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected[:, chosen], rtol=1e-6)
    for column, gene_id in enumerate(gene_ids):
        np.testing.assert_array_equal(log_expression(tiny_dataset, gene_id), values[:, column])


def test_an_empty_cell_expresses_nothing(tmp_path: Path) -> None:
    counts = np.array([[0, 0], [1, 3]])
    values = log_expression(dataset_of(tmp_path, counts), "ENSG00000000000")
    np.testing.assert_allclose(values, [0, np.log1p(2500)], rtol=1e-6)


def test_genes_of_a_dataset_are_read_by_column(tiny_dataset: Dataset) -> None:
    genes = np.array([5, 3, 1200])
    expected = tiny_dataset.counts().matrix.toarray()[:, genes]
    np.testing.assert_array_equal(tiny_dataset.counts_of_genes(genes).toarray(), expected)


def test_all_missing_genes_are_named(tiny_dataset: Dataset) -> None:
    with pytest.raises(RequestError, match="CD3X, LYZ2: not among the 2,000 genes"):
        ReadExpression(tiny_dataset, (tiny_dataset.gene_ids[0], "CD3X", "LYZ2"))
