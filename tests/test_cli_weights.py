"""``scfm weights``, and models that are used with what it installed."""

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.sparse import csr_matrix

from scfm_core.analyses.export_dataset import to_anndata, write_h5ad
from scfm_core.cli import cli
from tests.geneformer_folders import model_folder, real_gene_ids, write_published
from tests.local_hub import LocalHub, files_under, serving


@pytest.fixture(autouse=True)
def here(workspace, monkeypatch):
    monkeypatch.setenv("SCFM_DEVICE", "cpu")
    monkeypatch.delenv("SCFM_SCHEDULER", raising=False)
    return workspace


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """V1 and V2 in one repository, as published now."""
    root = tmp_path_factory.mktemp("repository")
    write_published(root, series="v2")
    return write_published(root, series="v1")


@pytest.fixture(scope="module")
def file(tiny_dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("input") / "tiny.h5ad"
    write_h5ad(to_anndata(tiny_dataset), path)
    return path


def run(*arguments, status=0):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output + result.stderr
    return result


def refused(*arguments, status=1) -> str:
    result = run(*arguments, status=status)
    assert result.stderr.startswith("scfm: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def vectors(path: Path, name: str) -> np.ndarray:
    return anndata.read_h5ad(path).obsm[name]


@pytest.mark.parametrize("command", ["fetch", "add", "list", "remove"])
def test_every_command_explains_itself_with_an_example(command):
    text = run("weights", command, "--help").stdout
    assert "Example:" in text
    assert f"  scfm weights {command}" in text


def test_weights_from_a_folder_are_added_used_listed_and_removed(repository, file, tmp_path):
    out = tmp_path / "out.h5ad"
    message = refused("embed", file, "--model", "geneformer-v1-10m", "--out", out)
    assert "scfm weights fetch geneformer-v1-10m" in message
    assert not out.exists()
    told = run("weights", "add", "geneformer-v1-10m", repository).stdout
    assert "here" in told
    assert str(repository) in told
    assert "not the published weights" in told
    [mine] = [one for one in json.loads(run("weights", "list", "--json").stdout)["weights"] if one["here"]
              and one["key"] != "scfm-mini"]  # fmt: skip
    assert mine["key"] == "geneformer-v1-10m"
    assert mine["identity"].startswith("geneformer-v1-10m@1@")
    assert mine["source"]["folder"] == str(repository)
    card = json.loads(run("models", "gf-6L-30M-i2048", "--json").stdout)["models"][0]
    assert card["weights_here"]
    assert (card["embedding_size"], card["max_tokens"]) == (32, 220)
    assert "weights are here" in run("models", "geneformer-v1-10m").stdout
    run("embed", file, "--model", "gf-6L-30M-i2048", "--out", out)
    found = vectors(out, "X_geneformer-v1-10m")
    assert found.shape == (120, 32)
    assert np.isfinite(found).all()
    assert "Removed" in run("weights", "remove", "geneformer-v1-10m").stdout
    assert "no weights" in refused("weights", "remove", "geneformer-v1-10m")
    refused("embed", file, "--model", "geneformer-v1-10m", "--out", out, "--overwrite")


def test_a_folder_named_for_one_run_gives_the_same_vectors(repository, file, tmp_path, here):
    run("weights", "add", "geneformer-v2-104m", repository)
    run("embed", file, "--model", "geneformer-v2-104m", "--out", tmp_path / "added.h5ad")
    run("weights", "remove", "geneformer-v2-104m")
    folder = model_folder(repository, "v2")
    options = ("embed", file, "--model", "geneformer-v2-104m", "--weights", folder)
    run(*options, "--out", tmp_path / "named.h5ad")
    run(*options, "--dictionaries", repository / "geneformer", "--out", tmp_path / "both.h5ad")
    added = vectors(tmp_path / "added.h5ad", "X_geneformer-v2-104m")
    for name in ("named", "both"):
        assert np.array_equal(vectors(tmp_path / f"{name}.h5ad", "X_geneformer-v2-104m"), added)
    converted = list((here.root / "weights").iterdir())
    assert len(converted) == 1, "converted once, whatever folder leads to it"
    told = run("weights", "add", "geneformer-v2-104m", converted[0]).stdout
    assert "converted before" in told
    assert "not the published" not in told
    run(*options, "--pool", "cell", "--out", tmp_path / "cell.h5ad")
    assert not np.allclose(vectors(tmp_path / "cell.h5ad", "X_geneformer-v2-104m"), added), "<cls> is the default"


def test_a_cell_without_a_gene_of_the_model_is_kept_and_told(repository, file, tmp_path):
    data = anndata.read_h5ad(file)
    known = data.var["ensembl_id"].isin(real_gene_ids()).to_numpy()
    counts = data.X.toarray()
    counts[7, known] = 0
    data.X = csr_matrix(counts)
    data.write_h5ad(tmp_path / "in.h5ad")
    out = tmp_path / "out.h5ad"
    options = ("--model", "geneformer-v1-10m", "--weights", repository, "--out", out)
    told = run("embed", tmp_path / "in.h5ad", *options).stdout
    assert "1 of them hold no gene of geneformer-v1-10m: NaN" in told
    found = vectors(out, "X_geneformer-v1-10m")
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [7]


def test_options_that_do_not_belong_together_are_refused(repository, file, tmp_path):
    out = ("--out", tmp_path / "out.h5ad")
    message = refused("embed", file, "--model", "geneformer-v1-10m", "--dictionaries", repository, *out)
    assert "--weights" in message
    message = refused("embed", file, "--model", "geneformer-v1-10m", "--model", "geneformer-v2-104m", "--weights",
                      repository, *out)  # fmt: skip
    assert "belongs to one pre-trained model" in message
    assert "found --revision main" in refused("weights", "fetch", "geneformer-v1-10m", "--revision", "main")
    run("weights", "add", "geneformer-v1-10m", tmp_path / "none", status=2)
    assert "no weights" in refused("weights", "add", "pca", repository)
    assert "come with the application" in refused("weights", "add", "scfm-mini", repository)
    assert "not on the hub" in refused("weights", "fetch", "scfm-mini")


def test_a_bad_folder_is_told_in_a_paragraph(tmp_path):
    root = write_published(tmp_path, gene_ids=real_gene_ids(20))
    place = root / "geneformer" / "gene_dictionaries_30m" / "token_dictionary_gc30M.pkl"
    place.write_bytes(pickle.dumps({"<pad>": os.system}))
    message = refused("weights", "add", "geneformer-v1-10m", root)
    assert f"{os.system.__module__}.system" in message
    assert "not run" in message
    message = refused("models", "geneformer-v1-20m")
    assert "Did you mean 'geneformer-v1-10m'?" in message


def test_fetch_refuses_what_the_server_has_not(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with serving(LocalHub("ctheodoris/Geneformer", "f" * 40, files_under(repository))) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        message = refused("weights", "fetch", "geneformer-v1-10m")
    assert "ff551ee40322" in message, "asked for at the pinned commit"
    assert "scfm weights add geneformer-v1-10m FOLDER" in message


FETCH = """
import os
from dataclasses import replace
from scfm_core import registry
from scfm_core.cli import main
from scfm_core.model import WeightFile
card = registry.find_model("geneformer-v1-10m")
files = tuple(WeightFile(**file) for file in {files!r})
card = replace(card, published=replace(card.published, revision={revision!r}, files=files))
import scfm_core.cli.weights as command
command.find_model = lambda key: card
main()
"""


def test_ctrl_c_keeps_what_arrived_and_the_same_command_goes_on(repository, tmp_path):
    content = files_under(repository)
    names = ["Geneformer-V1-10M/config.json", "Geneformer-V1-10M/model.safetensors",
             *sorted(name for name in content if "_gc30M" in name)]  # fmt: skip
    files = [{"name": name, "size_bytes": len(content[name]), "sha256": hashlib.sha256(content[name]).hexdigest()}
             for name in names]  # fmt: skip
    script = FETCH.format(files=files, revision="a" * 40)
    with serving(LocalHub("ctheodoris/Geneformer", "a" * 40, content)) as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-c", script, "weights", "fetch", "geneformer-v1-10m"]
        hub.stalls[names[1]] = 80_000
        begun = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        partial = Path(os.environ["SCFM_WORKSPACE"]) / "downloads" / "geneformer-v1-10m" / ("a" * 40)
        partial /= f"{names[1]}.partial"
        end = time.monotonic() + 60
        while not (partial.is_file() and partial.stat().st_size == 80_000):
            assert time.monotonic() < end
            assert begun.poll() is None
            time.sleep(0.05)
        begun.send_signal(signal.SIGINT)
        _, words = begun.communicate(timeout=30)
        assert begun.returncode == 130
        assert "stopped" in words
        hub.stalls.clear()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert hub.asked(names[1]) == [None, 80_000]
    assert "from ctheodoris/Geneformer at aaaaaaaaaa" in done.stdout
    assert done.stderr == ""
