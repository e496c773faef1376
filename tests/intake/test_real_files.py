"""Every real data set of the shared folder is admitted, or refused for the right reason."""

from pathlib import Path

import numpy as np
import pytest

from scfm_core.intake import Inspection, admit_file, inspect_file

ADMITTED = {  # file -> where the counts are, codes that must be said
    "breast_tumour_copykat_302.h5ad": ("X", {"counts-found", "empty-genes"}),
    "celltypist_sample_559.h5ad": ("X", {"counts-found"}),
    "ipsc_cardiac_day2_590.h5ad": ("recovered:X", {"counts-recovered", "cut-genes"}),
    "ipsc_cardiac_day5_500.h5ad": ("recovered:X", {"counts-recovered", "cut-genes"}),
    "kang_ifnb_harmony_2000.h5ad": ("X", {"counts-found", "condition-confounded", "cut-genes"}),
    "lung_cellline_mixture.h5ad": ("X", {"counts-found"}),
    "pbmc3k.h5ad": ("X", {"counts-found", "genes-known"}),
    "pbmc68k_reduced_counts_700.h5ad": ("X", {"counts-found", "totals-from-column"}),
    "pbmc_cite_10k_5k.h5ad": ("X", {"counts-found", "cut-genes"}),
    "pbmc_cite_scvi_400.h5ad": ("X", {"counts-found"}),
    "pbmc_dotools_700.h5ad": ("X", {"counts-found", "condition-confounded"}),
    "pbmc_eccite_citefuse_500.h5ad": ("X", {"counts-found"}),
    "thp1_crispr_papalexi_20729.h5ad": ("X", {"counts-found", "cut-genes"}),
}


def codes(inspection: Inspection) -> set[str]:
    return {finding.code for finding in inspection.findings}


@pytest.mark.slow
def test_all_files_are_expected(shared_data: Path) -> None:
    assert {path.name for path in shared_data.glob("*.h5ad")} == set(ADMITTED)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ADMITTED))
def test_real_file(name: str, shared_data: Path) -> None:
    where, said = ADMITTED[name]
    inspection = inspect_file(shared_data / name)
    assert inspection.admissible, inspection.findings
    assert inspection.organism == "human"
    assert inspection.choices.counts_from == where
    assert said <= codes(inspection)


@pytest.mark.slow
def test_pbmc_3k_becomes_its_own_counts(shared_data: Path, tmp_path: Path) -> None:
    import anndata

    source = anndata.read_h5ad(shared_data / "pbmc3k.h5ad")
    dataset = admit_file(shared_data / "pbmc3k.h5ad", tmp_path)
    assert list(dataset.cells().index) == list(source.obs_names)
    assert np.array_equal(dataset.total_counts, np.asarray(source.X.sum(axis=1)).ravel())
    position = list(source.var["ensembl_id"]).index("ENSG00000090382")  # LYZ
    assert np.array_equal(dataset.expression("ENSG00000090382"), source.X[:, position].toarray().ravel())
    assert dataset.roles == {"batch": "batch", "donor": "donor", "cell_type": "cell_type"}


def test_scanpy_file_of_logarithms_gives_its_counts_back(tmp_path: Path) -> None:
    """The file that scanpy ships: scaled values in X, logarithms in raw, in the layout of anndata before 0.7."""
    import importlib.util

    found = importlib.util.find_spec("scanpy")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    dataset = admit_file(path, tmp_path)
    counts = dataset.counts()
    assert (dataset.n_cells, dataset.n_genes) == (700, 765)
    assert dataset.roles == {"cell_type": "bulk_labels"}
    assert np.array_equal(counts.total_counts, dataset.cells()["n_counts"])
    assert np.all(np.asarray(counts.matrix.sum(axis=1)).ravel() <= counts.total_counts)
    assert any("computed back" in note for note in dataset.notes)
