"""The command line in this process, on a small real file; what needs a process of its own is in test_cli_process."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.export_dataset import to_anndata, write_h5ad
from scfm_core.cli import COMMANDS, cli
from scfm_core.cluster import connect
from scfm_core.dataset import list_datasets
from scfm_core.intake import admit_file
from scfm_core.registry import find_model
from scfm_core.workspace import Workspace


@pytest.fixture(scope="module", autouse=True)
def shared_workspace(tmp_path_factory):
    """One workspace for all tests of this file: what one computed, the next finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCFM_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))
        patch.setenv("SCFM_DEVICE", "cpu")
        patch.delenv("SCFM_SCHEDULER", raising=False)
        yield Workspace.from_environment()


@pytest.fixture(scope="module")
def file(tiny_dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("input") / "tiny.h5ad"
    write_h5ad(to_anndata(tiny_dataset), path)
    return str(path)


def run(*arguments, status=0):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output + result.stderr
    return result


def refused(*arguments, status=1) -> str:
    result = run(*arguments, status=status)
    assert result.stderr.startswith("scfm: ")
    assert "Traceback" not in result.output
    assert result.stderr.count("\n") == 1  # one paragraph
    return result.stderr


def read(path) -> anndata.AnnData:
    return anndata.read_h5ad(path)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command):
    text = run(command, "--help").stdout
    assert "Example:" in text
    assert f"  scfm {command} " in text
    assert command in run("--help").stdout


def test_the_version():
    from scfm_core import __version__

    assert run("--version").stdout == f"scfm, version {__version__}\n"


def test_info_tells_what_lies_in_a_file_in_eighty_columns(file):
    text = run("info", file).stdout
    assert "tiny.h5ad: can be used" in text
    assert "120 cells x 2,000 genes, organism human" in text
    assert max(map(len, text.splitlines())) <= 80
    report = json.loads(run("info", file, "--json").stdout)
    assert report["admissible"]
    assert report["choices"]["counts_from"] == "X"


def test_info_on_what_cannot_be_used_says_why_and_fails(tmp_path, file):
    data = read(file)
    data.X = -data.X.astype(np.float32)
    data.write_h5ad(tmp_path / "negative.h5ad")
    result = run("info", tmp_path / "negative.h5ad", status=1)
    assert "cannot be used as it is" in result.stdout
    assert "REFUSED" in result.stdout
    message = refused("embed", tmp_path / "negative.h5ad", "--model", "pca", "--out", tmp_path / "out.h5ad")
    assert "values below zero" in message
    assert not (tmp_path / "out.h5ad").exists()


def test_info_on_a_stored_dataset(tiny_dataset, file, shared_workspace):
    run("embed", file, "--model", "pca", "--out", shared_workspace.root / "any.h5ad", "--overwrite")
    stored = list_datasets(shared_workspace.folder("datasets"))[0]
    report = json.loads(run("info", stored.sha256[:8], "--json").stdout)
    assert (report["dataset"], report["n_cells"]) == (stored.sha256, 120)


def test_models_lists_cards():
    text = run("models").stdout
    assert "pca" in text
    cards = json.loads(run("models", "--json").stdout)["models"]
    by_key = {card["key"]: card for card in cards}
    assert by_key["pca"]["is_baseline"]
    assert by_key["scfm-mini"]["weights"]
    assert "known limits" in run("models", "scfm-mini").stdout
    assert "Did you mean 'scfm-mini'?" in refused("models", "scfm-mimi")


def test_embed_writes_the_vectors_in_the_order_of_the_input(file, tmp_path, shared_workspace):
    out = tmp_path / "out.h5ad"
    report = json.loads(run("embed", file, "--model", "pca", "--model", "scfm-mini", "--out", out, "--json").stdout)
    assert [one["name"] for one in report["embeddings"]] == ["X_pca", "X_scfm-mini"]
    before, after = read(file), read(out)
    assert after.obs_names.tolist() == before.obs_names.tolist()
    assert after.var_names.tolist() == before.var_names.tolist()
    assert (after.X != before.X).nnz == 0
    assert after.X.dtype == np.uint16 or after.X.dtype == np.uint8
    assert list(after.obs.columns) == list(before.obs.columns)
    dataset = next(one for one in list_datasets(shared_workspace.folder("datasets")) if one.sha256 == report["dataset"])
    for key in ("pca", "scfm-mini"):
        engine = connect()
        expected = engine.compute(EmbedCells(dataset, find_model(key))).points
        engine.close()
        assert after.obsm[f"X_{key}"].dtype == np.float32
        np.testing.assert_array_equal(after.obsm[f"X_{key}"], expected)
        origin = after.uns["scfm"]["answers"][f"X_{key}"]
        assert json.loads(origin["question"])["model"]["identity"] == find_model(key).identity
        assert origin["seconds"] >= 0
        assert origin["computed"].startswith("20")
    assert after.uns["scfm"]["dataset"] == report["dataset"]
    assert after.uns["scfm"]["versions"]["torch"]


def test_options_of_a_model_reach_it(file, tmp_path):
    plain, other = tmp_path / "plain.h5ad", tmp_path / "other.h5ad"
    layer = "0" if find_model("scfm-mini").default_layer else "-1"
    run("embed", file, "--model", "scfm-mini", "--out", plain)
    run("embed", file, "--model", "scfm-mini", "--layer", layer, "--out", other)
    assert not np.allclose(read(plain).obsm["X_scfm-mini"], read(other).obsm["X_scfm-mini"])
    assert "no layer 5" in refused("embed", file, "--model", "scfm-mini", "--layer", "5", "--out", tmp_path / "x.h5ad")
    assert "no pooling" in refused("embed", file, "--model", "pca", "--pool", "max", "--out", tmp_path / "x.h5ad")


def test_weights_of_ones_own(file, tmp_path):
    copy = tmp_path / "weights"
    copy.mkdir()
    spec = find_model("scfm-mini")
    for weight in spec.weights:
        (copy / weight.name).write_bytes((spec.bundled_folder / weight.name).read_bytes())
    run("embed", file, "--model", "scfm-mini", "--weights", copy, "--out", tmp_path / "own.h5ad")
    run("embed", file, "--model", "scfm-mini", "--out", tmp_path / "bundled.h5ad")
    own, bundled = read(tmp_path / "own.h5ad"), read(tmp_path / "bundled.h5ad")
    np.testing.assert_array_equal(own.obsm["X_scfm-mini"], bundled.obsm["X_scfm-mini"])
    message = refused("embed", file, "--model", "pca", "--weights", copy, "--out", tmp_path / "x.h5ad")
    assert "--weights belongs to one pre-trained model" in message


@pytest.mark.parametrize("command", ["embed", "umap", "export", "qc"])
def test_an_out_that_cannot_be_written_is_told_before_anything_is_read(command, tmp_path):
    model = [] if command in ("export", "qc") else ["--model", "pca"]
    there = tmp_path / "there.h5ad"
    there.write_text("mine")
    arguments = [command, tmp_path / "no-such-file.h5ad", *model, "--out"]  # FILE is looked at later than --out
    assert "exists. Choose another name, or add --overwrite" in refused(*arguments, there)
    assert there.read_text() == "mine"
    assert "does not exist. Make it first" in refused(*arguments, tmp_path / "nowhere" / "out.h5ad")
    assert "ends in .h5ad" in refused(*arguments, tmp_path / "out.txt")
    assert "There is no file" in refused(*arguments, tmp_path / "new.h5ad")


def test_overwrite_replaces(file, tmp_path):
    out = tmp_path / "out.h5ad"
    out.write_text("mine")
    run("embed", file, "--model", "pca", "--out", out, "--overwrite")
    assert "X_pca" in read(out).obsm
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5ad"]  # nothing half-written is left


def test_a_device_that_is_not_here(file, tmp_path, monkeypatch):
    arguments = ["embed", file, "--model", "pca", "--out", tmp_path / "out.h5ad", "--device"]
    assert "There is no device 'cuda:99' here. Choose one of:" in refused(*arguments, "cuda:99")
    run(*arguments, "cpu")
    monkeypatch.setenv("SCFM_SCHEDULER", "tcp://127.0.0.1:9")
    assert "SCFM_SCHEDULER sends the work to a cluster" in refused(*arguments, "cpu", "--overwrite")


def test_usage_errors_have_status_two(file):
    assert "Missing option '--model'" in run("embed", file, "--out", "x.h5ad", status=2).stderr
    assert "No such command" in run("embedd", status=2).stderr


def test_a_bug_is_told_in_one_paragraph_with_the_job(file, tmp_path, workspace):
    dataset = admit_file(Path(file), workspace.folder("datasets"))
    (dataset.path / "by_cell_data.npy").unlink()  # nothing that a user can cause
    arguments = ["embed", dataset.sha256, "--model", "pca", "--out", tmp_path / "x.h5ad"]
    message = refused(*arguments)
    assert "This is a bug in scFM Explorer, job " in message
    assert "scfm --debug" in message
    raised = CliRunner().invoke(cli, ["--debug", *map(str, arguments)]).exception
    assert isinstance(raised, FileNotFoundError)


def test_umap_writes_h5ad_and_csv(file, tmp_path):
    run("umap", file, "--model", "pca", "--out", tmp_path / "map.h5ad")
    data = read(tmp_path / "map.h5ad")
    assert data.obsm["X_umap_pca"].shape == (120, 2)
    assert data.obsm["X_pca"].shape[0] == 120
    run("umap", file, "--model", "pca", "--out", tmp_path / "map.csv")
    table = pd.read_csv(tmp_path / "map.csv", index_col="cell", comment="#")
    assert table.index.tolist() == data.obs_names.tolist()
    np.testing.assert_allclose(table[["umap_1", "umap_2"]], data.obsm["X_umap_pca"], rtol=1e-5)
    run("umap", file, "--model", "pca", "--method", "tsne", "--perplexity", "10", "--out", tmp_path / "tsne.csv")
    assert pd.read_csv(tmp_path / "tsne.csv", comment="#").columns.tolist() == ["cell", "tsne_1", "tsne_2"]


def test_markers_by_column_and_by_clusters(file, tmp_path):
    report = json.loads(run("markers", file, "--group-by", "cell_type", "--out", tmp_path / "m.csv", "--json").stdout)
    table = pd.read_csv(tmp_path / "m.csv", comment="#")
    assert report["n_rows"] == len(table)
    monocytes = next(group for group in report["groups"] if group.startswith("CD14"))
    best = table[table["group"] == monocytes].head(40)["symbol"]
    assert {"LYZ", "S100A8"} & set(best)
    options = ["--group-by", "leiden", "--resolution", "0.5", "--top", "3"]
    run("markers", file, *options, "--out", tmp_path / "m.xlsx")
    top = pd.read_excel(tmp_path / "m.xlsx", header=1)
    head = (tmp_path / "m.csv").read_text().splitlines()
    assert head[0].startswith("# test: Wilcoxon rank sum")
    assert head[1] == "# correction: Benjamini-Hochberg over the genes of each group"
    assert any(line.startswith("# dataset sha256: ") for line in head[:9])
    assert "Wilcoxon" in pd.read_excel(tmp_path / "m.xlsx", header=None, nrows=1).iloc[0, 0]
    assert top.groupby("group").size().max() <= 3
    assert (top["p_adjusted"] <= 0.05).all()
    message = refused("markers", file, "--group-by", "nonsense", "--out", tmp_path / "n.csv")
    assert "no column 'nonsense'. Its columns: cell_type" in message


def test_qc_writes_the_cells_that_pass(file, tmp_path):
    out = tmp_path / "passed.h5ad"
    report = json.loads(run("qc", file, "--min-genes", "400", "--out", out, "--json").stdout)
    assert report["thresholds"]["min_genes"] == 400
    before, after = read(file), read(out)
    n_genes = np.diff(before.X.tocsr().indptr)
    assert 0 < after.n_obs == report["n_after"] < 120
    assert set(after.obs_names) <= set(before.obs_names[n_genes >= 400])
    assert (after.X != before[after.obs_names].X).nnz == 0
    assert (after.obs["n_genes"] >= 400).all()
    table = pd.read_csv(tmp_path / "passed.qc.csv", comment="#")
    assert table["cells_before"].sum() == 120
    assert table["cells_after"].sum() == after.n_obs
    assert (table["min_genes"] == 400).all()
    message = refused("qc", file, "--min-genes", "1e9", "--out", tmp_path / "none.h5ad")
    assert "None of the 120 cells passes. Widen the limits" in message


def test_the_totals_survive_quality_control(file, tmp_path, tiny_dataset):
    """The file was cut to 2,000 genes; the totals over all genes stand in its cell table and are handed on."""
    out = tmp_path / "passed.h5ad"
    run("qc", file, "--out", out)
    totals = pd.Series(tiny_dataset.total_counts, index=tiny_dataset.cells().index)
    np.testing.assert_array_equal(read(out).obs["total_counts"], totals[read(out).obs_names])


def test_export_writes_every_stored_answer(file, tmp_path):
    run("umap", file, "--model", "pca", "--out", tmp_path / "map.csv")
    run("markers", file, "--group-by", "leiden", "--out", tmp_path / "m.csv")
    run("qc", file, "--out", tmp_path / "q.h5ad")
    options = ["--delete", "LYZ", "--null", "0", "--no-baseline"]
    run("perturb", file, "--model", "pca", *options, "--out", tmp_path / "p")
    out = tmp_path / "all.h5ad"
    report = json.loads(run("export", file, "--out", out, "--json").stdout)
    data = read(out)
    assert {"X_pca", "X_umap_pca"} <= set(data.obsm)
    assert "leiden_pca" in data.obs
    assert {"total_counts", "mitochondrial_share", "doublet_score"} <= set(data.obs.columns)
    about = data.uns["scfm"]
    assert set(report["answers"]) == set(about["answers"])
    markers = pd.DataFrame(about["tables"]["markers"])
    written = pd.read_csv(tmp_path / "m.csv", comment="#")
    pd.testing.assert_series_equal(markers["symbol"].astype(str), written["symbol"].astype(str), check_dtype=False)
    effects = pd.DataFrame(about["tables"]["perturbation_pca"])
    expected = pd.read_parquet(tmp_path / "p" / "effects.parquet")
    np.testing.assert_allclose(effects["effect"], expected["effect"])
    for origin in about["answers"].values():
        assert json.loads(origin["question"])["question"]


def test_a_demo_and_a_stored_dataset_are_files_too(tmp_path):
    options = ["--model", "pca", "--out", tmp_path / "d.h5ad", "--json"]
    report = json.loads(run("embed", "demo:pbmc68k_reduced", *options).stdout)
    assert report["n_cells"] == 700
    again = json.loads(run("export", report["dataset"][:10], "--out", tmp_path / "e.h5ad", "--json").stdout)
    assert again["dataset"] == report["dataset"]
    assert "There is no demo" in refused("export", "demo:nonsense", "--out", tmp_path / "n.h5ad")
    assert "no stored dataset" in refused("export", "0123456789ab", "--out", tmp_path / "n.h5ad")


def test_pretrain_writes_weights_that_embed(file, tmp_path):
    out = tmp_path / "weights"
    options = ["--minutes", "0.5", "--max-steps", "3", "--min-cells", "3", "--device", "cpu"]
    report = json.loads(run("pretrain", file, *options, "--out", out, "--json").stdout)
    assert report["steps"] == 3
    assert report["n_cells"] + report["n_held_out"] <= 120 or report["n_cells"] == 120
    run("embed", file, "--model", "scfm-mini", "--weights", out, "--out", tmp_path / "own.h5ad")
    data = read(tmp_path / "own.h5ad")
    assert np.isfinite(data.obsm["X_scfm-mini"]).all()
    question = json.loads(data.uns["scfm"]["answers"]["X_scfm-mini"]["question"])
    assert question["model"]["identity"] != find_model("scfm-mini").identity
    assert "--minutes is a time above 0" in refused("pretrain", file, "--minutes", "0", "--out", tmp_path / "none")
