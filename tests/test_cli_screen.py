"""``scfm screen`` through the command line, read back as a person would."""

import json

import pandas as pd
import pytest

from scfm_core.analyses.export_dataset import to_anndata, write_h5ad
from tests.test_cli import refused, run


@pytest.fixture
def file(tiny_dataset, tmp_path, workspace):
    path = tmp_path / "tiny.h5ad"
    write_h5ad(to_anndata(tiny_dataset), path)
    return str(path)


def test_a_table_with_estimates_and_exact_deletions_is_written(file, tmp_path):
    out = tmp_path / "screen.csv"
    states = ("--cells", "cell_type=Megakaryocyte", "--goal", "cell_type=NK")
    common = ("--model", "scfm-mini", *states, "--confirm", "2", "--confirm-cells", "3", "--device", "cpu")
    told = json.loads(run("screen", file, *common, "--out", out, "--json").stdout)
    table = pd.read_csv(out)
    assert told["goal"] == "cell_type=NK"
    assert told["n_cells"] == 8
    assert told["n_rows"] == len(table)
    exact = table[table["n_exact"] > 0]
    assert 2 <= len(exact) <= 4
    assert exact["size_exact"].notna().all()
    assert exact["n_exact"].max() <= 3
    assert table.loc[table["n_exact"] == 0, "goal_exact"].isna().all()
    words = run("screen", file, *common, "--out", out, "--overwrite").stdout
    assert table.sort_values("rank")["symbol"][0] in words
    assert "deleted exactly" in words
    assert "experiment" in words


def test_a_model_whose_screen_was_not_measured_is_refused(file, tmp_path):
    words = refused("screen", file, "--model", "pca", "--out", tmp_path / "screen.csv")
    assert "not measured" in words
    assert not (tmp_path / "screen.csv").exists()
