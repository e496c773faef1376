"""``scfm validate`` through the command line: what it refuses, and a small screen scored from end to end."""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from tests.test_cli import refused, run


@pytest.fixture
def file(demo_dataset, tmp_path, workspace):
    """B cells of the demo as controls, and others as if CD79A had been knocked out: their CD79 genes are gone."""
    types = demo_dataset.cells()["cell_type"].astype(str).to_numpy()
    cells = np.flatnonzero(types == "B")[:240]
    matrix = demo_dataset.counts(cells).matrix
    often = np.bincount(matrix.indices, minlength=matrix.shape[1]) >= 24
    matrix = matrix[:, often].astype(np.int64).tolil()
    symbols, gene_ids = np.array(demo_dataset.gene_symbols)[often], np.array(demo_dataset.gene_ids)[often]
    knocked_out = np.arange(len(cells)) % 2 == 1
    lost = np.flatnonzero(np.isin(symbols, ["CD79A", "CD79B", "MS4A1", "CD74", "HLA-DRA", "HLA-DRB1", "CD37"]))
    for gene in lost:
        matrix[np.flatnonzero(knocked_out), gene] = 0
    obs = pd.DataFrame({"guide": np.where(knocked_out, "CD79A", "control"), "well": np.arange(len(cells)) % 4 // 2})
    obs.loc[obs.index[:6], "guide"] = "no such gene"
    obs.index = [f"cell{number}" for number in range(len(cells))]
    var = pd.DataFrame({"gene_symbols": symbols}, index=gene_ids)
    path = tmp_path / "screen.h5ad"
    AnnData(csr_matrix(matrix), obs=obs.astype(str), var=var).write_h5ad(path)
    return str(path)


def test_a_screen_is_scored_and_written(file, tmp_path):
    out = tmp_path / "out"
    asked = ("validate", file, "--targets", "guide", "--control", "control", "--replicates", "well", "--cells", "20")
    words = run(*asked, "--out", out).stdout
    told = json.loads((out / "validation.json").read_text())
    summary = pd.read_csv(out / "summary.csv", comment="#")
    assert {"gene identity", "co-expression", "PCA", "scfm-mini"} <= set(summary["method"])
    assert summary["auroc"].between(0, 1).all()
    assert (summary["auroc_low"] <= summary["auroc"]).all()
    assert pd.read_csv(out / "left_out.csv", comment="#")["target"].tolist() == ["no such gene"]
    genes = pd.read_parquet(out / "genes.parquet")
    assert {"CD79B", "MS4A1", "CD74"} <= set(genes.loc[genes["changed"], "symbol"])
    assert "AUROC of each target (1 of 1)" in words
    assert all(sentence in words for sentence in told["in_words"])
    assert "already" in refused(*asked, "--out", out) or "not empty" in refused(*asked, "--out", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either FILE"),
        (("FILE", "--simulate"), "either FILE"),
        (("--simulate", "--targets", "guide"), "--targets belongs to a FILE"),
        (("--simulate", "--model", "pca"), "--model belongs to a FILE"),
        (("FILE",), "--targets and --control not given"),
        (("FILE", "--targets", "guide"), "--control not given"),
        (("FILE", "--targets", "nothing", "--control", "control"), "no column 'nothing'"),
        (("FILE", "--targets", "guide", "--control", "scrambled"), "scrambled"),
        (("FILE", "--targets", "well", "--control", "0"), "1"),
    ],
)
def test_what_cannot_be_asked_is_refused(file, tmp_path, arguments, message):
    given = [file if each == "FILE" else each for each in arguments]
    assert message in refused("validate", *given, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
