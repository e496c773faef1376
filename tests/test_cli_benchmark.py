"""``scfm benchmark``: the verdict in words, the files, the cells that were asked for, and refusals before any work."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from scfm_core.analyses.export_dataset import to_anndata, write_h5ad
from scfm_core.cli import cli
from scfm_core.cli.benchmark_asking import chosen_cells, specs_of
from scfm_core.errors import RequestError, ScfmError


@pytest.fixture(scope="module")
def file(tiny_dataset, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("benchmark") / "tiny.h5ad"
    write_h5ad(to_anndata(tiny_dataset, []), path)
    return path


def run(*arguments):
    return CliRunner().invoke(cli, ["benchmark", *map(str, arguments)])


def test_the_card_is_written_and_the_verdict_printed(file, tmp_path, workspace):
    out = tmp_path / "card"
    options = ("--label", "cell_type", "--batch", "batch", "--models", "scfm-mini,hvg", "--resamples", "5")
    result = run(file, *options, "--no-maps", "--out", out)
    assert result.exit_code == 0, result.output
    assert "On these 120 cells scfm-mini " in result.output
    assert "Take " in result.output
    assert "Labels from PCA: " in result.output
    names = {path.name for path in out.iterdir()} | {path.name for path in (out / "figures").iterdir()}
    assert {"report.html", "report.json", "scores.csv", "scores.xlsx", "verdicts.csv", "labels.csv", "variance.xlsx",
            "scores-published.svg", "biology_against_batch-published.svg", "composition.svg"} <= names  # fmt: skip
    table = pd.read_csv(out / "scores.csv", comment="#")
    assert set(table["model"]) == {"pca", "random", "scfm-mini", "hvg"}
    assert "95 % intervals of paired differences" in (out / "scores.csv").read_text()
    page = (out / "report.html").read_text()
    assert "<script" not in page
    assert "Report card of" in page
    summary = json.loads((out / "report.json").read_text())
    assert summary["failed"] == []
    assert len(summary["verdicts"]) == 2
    assert set(summary["files"]) <= names | {f"figures/{name}" for name in names}
    again = run(file, *options, "--out", out)
    assert again.exit_code == 1
    assert "not empty" in again.output


def test_a_model_that_fails_leaves_the_others_standing(file, tmp_path, workspace):
    out = tmp_path / "card"
    options = ("--label", "cell_type", "--batch", "batch", "--models", "hvg,combat", "--resamples", "0", "--no-maps")
    result = run(file, *options, "--cells", "batch=batch A", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert {row["model"] for row in summary["scores"]} == {"pca", "random", "hvg"}
    assert [row["candidate"] for row in summary["failed"]] == ["ComBat"]
    assert "needs at least two" in summary["failed"][0]["why"]
    assert "ComBat could not be scored" in (out / "report.html").read_text()
    assert summary["dataset"]["n_cells"] == 60
    assert all(row["value"] is None for row in summary["scores"] if row["metric"] == "ilisi")


def test_cells_are_cut_out_by_values(tiny_dataset):
    kinds = tiny_dataset.cell_column("cell_type").astype(str).to_numpy()
    batches = tiny_dataset.cell_column("batch").astype(str).to_numpy()
    assert chosen_cells(tiny_dataset, []).all()
    np.testing.assert_array_equal(chosen_cells(tiny_dataset, ["cell_type!=B"]), kinds != "B")
    both = chosen_cells(tiny_dataset, ["cell_type=B", "cell_type=NK", "batch = batch A"])
    np.testing.assert_array_equal(both, np.isin(kinds, ["B", "NK"]) & (batches == "batch A"))
    for text, words in (("cell_type", "COLUMN!=VALUE"), ("nothing=B", "no column"), ("cell_type=Z", "No cell has")):
        with pytest.raises(RequestError, match=words):
            chosen_cells(tiny_dataset, [text])
    with pytest.raises(RequestError, match="No cell has all"):
        chosen_cells(tiny_dataset, ["cell_type=B", "cell_type!=B"])


def test_models_are_named_by_key():
    assert [spec.key for spec in specs_of("scfm-mini, hvg,hvg")] == ["scfm-mini", "hvg"]
    with pytest.raises(RequestError, match="found none"):
        specs_of(" , ")
    with pytest.raises(ScfmError, match="No model is called"):
        specs_of("scfm-midi")


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--label", "kind"), "--label names a column"), (("--label", "cell_type", "--batch", "no"), "--batch names"),
     (("--label", "cell_type", "--donor-column", "no"), "--donor-column names")],
)  # fmt: skip
def test_columns_that_are_not_there_are_told_before_any_work(file, tmp_path, workspace, options, words):
    result = run(file, *options, "--models", "hvg", "--out", tmp_path / "card")
    assert result.exit_code == 1
    assert words in result.output
    assert not (tmp_path / "card").exists()
