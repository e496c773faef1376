"""The demos open without a network and hold what their cards say."""

import time
from pathlib import Path

import numpy as np
import pytest

from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes
from scfm_core.intake.build_demo import MARKERS
from scfm_core.intake.demo import DEMOS, open_demo
from scfm_core.intake.guard import admit_file
from scfm_core.resources import asset


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    root = tmp_path_factory.mktemp("datasets")
    return {demo.key: open_demo(demo.key, root) for demo in DEMOS}


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.key)
def test_a_demo_holds_what_its_card_says(demo, opened):
    dataset = opened[demo.key]
    assert (dataset.n_cells, dataset.n_genes) == (demo.n_cells, demo.n_genes)
    assert dataset.organism == "human"
    assert set(dataset.roles) == {"cell_type", "batch", "donor"}
    assert all(gene_id.startswith("ENSG") for gene_id in dataset.gene_ids)
    assert dataset.title == demo.title
    sums = dataset.counts().matrix.sum(axis=1).A1
    assert (dataset.total_counts >= sums).all()
    assert not dataset.cells()["cell_type"].isna().any()


def test_the_second_opening_is_quick_and_gives_the_same(opened):
    for key, dataset in opened.items():
        start = time.perf_counter()
        again = open_demo(key, dataset.path.parent)
        assert time.perf_counter() - start < 0.2
        assert again == dataset


def test_a_deleted_demo_is_made_again(tmp_path: Path):
    import shutil

    first = open_demo("pbmc68k_reduced", tmp_path)
    shutil.rmtree(first.path)
    assert open_demo("pbmc68k_reduced", tmp_path) == first
    assert first.path.is_dir()


def test_an_unknown_demo_is_refused_with_the_known_ones(tmp_path: Path):
    with pytest.raises(RequestError, match="pbmc3k"):
        open_demo("pbmc4k", tmp_path)


def test_cell_types_of_pbmc3k_express_their_markers(opened):
    dataset = opened["pbmc3k"]
    labels = dataset.cells()["cell_type"].astype(str).to_numpy()
    assert set(labels) == set(MARKERS)
    for name, marker in {"B": "CD79A", "NK": "GNLY", "CD8 T": "CD8A", "CD14+ monocyte": "S100A8",
                         "FCGR3A+ monocyte": "FCGR3A", "Dendritic": "FCER1A", "Megakaryocyte": "PPBP"}.items():
        values = dataset.expression(find_genes(dataset, [marker])[0]) / dataset.total_counts
        means = {label: values[labels == label].mean() for label in set(labels)}
        assert max(means, key=means.__getitem__) == name


def test_the_two_batches_keep_their_counts_and_totals(opened):
    merged, parts = opened["pbmc_two_batches"], [opened["pbmc3k"], opened["pbmc68k_reduced"]]
    assert merged.cells()["batch"].value_counts().to_dict() == {"PBMC 3k": 2700, "PBMC 68k": 700}
    np.testing.assert_array_equal(merged.total_counts, np.concatenate([part.total_counts for part in parts]))
    for symbol in ("LYZ", "CD79A", "NKG7"):
        gene_id = find_genes(merged, [symbol])[0]
        expected = np.concatenate([part.expression(gene_id) for part in parts])
        np.testing.assert_array_equal(merged.expression(gene_id), expected)


def test_the_two_batches_share_names_of_cell_types(opened):
    cells = opened["pbmc_two_batches"].cells()
    by_batch = {batch: set(part["cell_type"].astype(str)) for batch, part in cells.groupby("batch", observed=True)}
    assert {"CD4 T", "CD8 T", "NK", "B", "Monocyte", "Dendritic"} <= by_batch["PBMC 3k"] & by_batch["PBMC 68k"]
    assert "CD4+/CD45RO+ Memory" in set(cells["cell_type_original"].astype(str))


def test_recovered_counts_of_pbmc68k_equal_an_independent_recovery(opened, shared_data):
    import anndata

    expected = anndata.read_h5ad(shared_data / "pbmc68k_reduced_counts_700.h5ad").X
    assert (opened["pbmc68k_reduced"].counts().matrix != expected.astype(np.int64)).nnz == 0


def test_fixtures_hold_what_others_rely_on(tiny_dataset):
    assert (tiny_dataset.n_cells, tiny_dataset.n_genes) == (120, 2000)
    assert tiny_dataset.cells()["cell_type"].nunique() == len(MARKERS)
    find_genes(tiny_dataset, [gene for markers in MARKERS.values() for gene in markers])
    assert sum(symbol.startswith("MT-") for symbol in tiny_dataset.gene_symbols) >= 10
    assert sum(symbol.startswith(("RPS", "RPL")) for symbol in tiny_dataset.gene_symbols) >= 50


def test_the_demo_file_also_comes_in_as_an_upload(opened, tmp_path):
    uploaded = admit_file(asset("demo") / "pbmc3k.h5ad", tmp_path)
    demo = opened["pbmc3k"]
    assert uploaded.roles == demo.roles
    assert uploaded.gene_ids == demo.gene_ids
    assert (uploaded.counts().matrix != demo.counts().matrix).nnz == 0
