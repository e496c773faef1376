"""Scores of gene sets against scanpy's, and what is asked of them."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm_core.analyses.mean_expression import MeasureMeanExpression
from scfm_core.analyses.read_expression import ReadExpression
from scfm_core.analyses.score_gene_set import ScoreGeneSet
from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes

SETS = {
    "B": ("MS4A1", "CD79A", "CD79B", "CD74", "HLA-DRA", "BANK1"),
    "one gene": ("LYZ",),
    "T, with a gene that few cells hold": ("CD3D", "CD3E", "CD3G", "IL7R", "FOXP3"),
}


def scanpys(dataset, gene_ids, **options):
    """scanpy's own score, and the genes that it drew."""
    import anndata
    import scanpy

    counts = dataset.counts()
    scale = np.divide(1e4, counts.total_counts, where=counts.total_counts > 0, out=np.zeros(dataset.n_cells))
    matrix = csr_matrix(counts.matrix.multiply(scale[:, None]).log1p(), dtype=np.float32)
    data = anndata.AnnData(matrix, var=pd.DataFrame(index=list(dataset.gene_ids)),
                           obs=pd.DataFrame(index=[str(number) for number in range(dataset.n_cells)]))  # fmt: skip
    scanpy.tl.score_genes(data, list(gene_ids), **options)
    return data.obs["score"].to_numpy()


@pytest.mark.parametrize("name", SETS)
def test_scores_are_scanpys_on_the_whole_demo(demo_dataset, engine, name):
    gene_ids = find_genes(demo_dataset, SETS[name])
    got = engine.compute(ScoreGeneSet(demo_dataset, gene_ids))
    np.testing.assert_allclose(got.scores, scanpys(demo_dataset, gene_ids), atol=2e-6)
    assert set(got.gene_ids) == set(gene_ids)
    assert not set(got.gene_ids) & set(got.reference_ids)


def test_options_are_scanpys(tiny_dataset, engine):
    gene_ids = find_genes(tiny_dataset, SETS["B"])
    got = engine.compute(ScoreGeneSet(tiny_dataset, gene_ids, reference_size=7, n_bins=10, seed=3))
    wanted = scanpys(tiny_dataset, gene_ids, ctrl_size=7, n_bins=10, random_state=3)
    np.testing.assert_allclose(got.scores, wanted, atol=2e-6)
    other = engine.compute(ScoreGeneSet(tiny_dataset, gene_ids, reference_size=7, n_bins=10, seed=4))
    assert other.reference_ids != got.reference_ids


def test_a_score_is_the_difference_of_two_means_and_the_share_is_counted(tiny_dataset, engine):
    gene_ids = find_genes(tiny_dataset, SETS["B"])
    got = engine.compute(ScoreGeneSet(tiny_dataset, gene_ids))
    own = engine.compute(ReadExpression(tiny_dataset, gene_ids)).values
    other = engine.compute(ReadExpression(tiny_dataset, tuple(got.reference_ids))).values
    np.testing.assert_allclose(got.scores, own.mean(axis=1, dtype=float) - other.mean(axis=1, dtype=float), atol=1e-6)
    np.testing.assert_allclose(got.share_held, (own > 0).mean(axis=1), atol=1e-7)
    kinds = tiny_dataset.cells()["cell_type"].astype(str)
    assert pd.Series(got.scores).groupby(kinds.to_numpy()).mean().idxmax() == "B"


def test_the_order_of_the_genes_says_nothing(tiny_dataset, engine):
    gene_ids = find_genes(tiny_dataset, SETS["B"])
    one, two = (engine.compute(ScoreGeneSet(tiny_dataset, ids)) for ids in (gene_ids, gene_ids[::-1]))
    np.testing.assert_array_equal(one.scores, two.scores)


def test_chunks_change_nothing(tiny_dataset, engine, monkeypatch, tmp_path):
    gene_ids = find_genes(tiny_dataset, SETS["B"])
    whole = engine.compute(ScoreGeneSet(tiny_dataset, gene_ids))
    monkeypatch.setattr("scfm_core.analyses.score_gene_set._COUNTS_PER_CHUNK", 500)
    monkeypatch.setattr("scfm_core.analyses.mean_expression._CELLS_PER_CHUNK", 50)
    from scfm_core.engine import Engine, ThreadExecutor
    from scfm_core.store import Store

    other = Engine(Store(tmp_path / "other"), ThreadExecutor(["cpu"]))
    cut = other.compute(ScoreGeneSet(tiny_dataset, gene_ids))
    other.close()
    np.testing.assert_allclose(cut.scores, whole.scores, atol=1e-6)
    np.testing.assert_array_equal(cut.share_held, whole.share_held)


def test_means_of_many_cells_are_taken_over_some(tiny_dataset, engine, monkeypatch):
    monkeypatch.setattr("scfm_core.analyses.mean_expression.MOST_CELLS", 60)
    got = engine.compute(MeasureMeanExpression(tiny_dataset))
    assert got.n_cells == 60
    assert np.corrcoef(got.means, np.log1p(tiny_dataset.counts().matrix.toarray()).mean(axis=0))[0, 1] > 0.9


def test_a_cell_without_counts_has_no_score(tmp_path, engine):
    counts = np.random.default_rng(0).poisson(1.0, (5, 40))
    counts[2] = 0
    new = NewDataset(
        matrix=csr_matrix(counts), gene_ids=tuple(f"g{n}" for n in range(40)), gene_symbols=tuple("x" * 40),
        cells=pd.DataFrame(index=list("abcde")), organism="unknown",
    )  # fmt: skip
    got = engine.compute(ScoreGeneSet(write_dataset(tmp_path, new), ("g1", "g7")))
    assert np.isnan(got.scores).tolist() == [False, False, True, False, False]
    assert got.share_held[2] == 0


def test_what_cannot_be_scored_says_why(tmp_path, tiny_dataset, engine):
    twice = (tiny_dataset.gene_ids[0],) * 2
    for gene_ids, code in (((), "no-genes"), (("nope",), "unknown-gene"), (twice, "no-genes")):
        with pytest.raises(RequestError) as caught:
            ScoreGeneSet(tiny_dataset, gene_ids)
        assert caught.value.code == code
    with pytest.raises(RequestError, match="Usual are 50 and 25"):
        ScoreGeneSet(tiny_dataset, tiny_dataset.gene_ids[:1], n_bins=1)
    with pytest.raises(RequestError) as caught:
        engine.compute(ScoreGeneSet(tiny_dataset, tiny_dataset.gene_ids))
    assert caught.value.code == "no-reference"
