"""Baselines on the command line: the batch column, the seed, and what is told where one of them cannot run."""

import json

import anndata
import numpy as np
import pytest
from click.testing import CliRunner

from scfm_core.analyses.export_dataset import to_anndata, write_h5ad
from scfm_core.cli import cli
from tests.models.batched_cells import planted


@pytest.fixture(scope="module", autouse=True)
def shared_workspace(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCFM_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))
        patch.setenv("SCFM_DEVICE", "cpu")
        patch.delenv("SCFM_SCHEDULER", raising=False)
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """120 cells whose batches stand in the column lane."""
    folder = tmp_path_factory.mktemp("input")
    write_h5ad(to_anndata(planted(folder, n_cells=120)), folder / "planted.h5ad")
    return str(folder / "planted.h5ad")


def run(*arguments, status=0):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output + result.stderr
    return result


def test_baselines_stand_beside_each_other_in_one_file(file, tmp_path):
    out = tmp_path / "out.h5ad"
    models = [part for key in ("pca", "hvg", "combat", "harmony", "random") for part in ("--model", key)]
    told = json.loads(run("embed", file, *models, "--batch", "lane", "--out", out, "--json").stdout)
    data = anndata.read_h5ad(out)
    assert {name: data.obsm[name].shape[1] for name in data.obsm} == {
        "X_pca": 50, "X_hvg": 240, "X_combat": 50, "X_harmony": 50, "X_random": 50
    }  # fmt: skip
    batches = {one["model"]: one.get("batch") for one in told["embeddings"]}
    assert batches == {"pca": None, "hvg": None, "combat": "lane", "harmony": "lane", "random": None}
    answers = data.uns["scfm"]["answers"]
    questions = {name: json.loads(answers[name]["question"])["options"] for name in data.obsm}
    assert questions["X_harmony"]["batch"] == "lane"
    assert "batch" not in questions["X_pca"]


def test_the_seed_reaches_the_model(file, tmp_path):
    points = []
    for number, seed in enumerate((0, 0, 4)):
        out = tmp_path / f"{number}.h5ad"
        run("embed", file, "--model", "random", "--seed", seed, "--out", out)
        points.append(np.asarray(anndata.read_h5ad(out).obsm["X_random"]))
    np.testing.assert_array_equal(points[0], points[1])
    assert (points[0] != points[2]).all()


def test_a_map_of_corrected_cells(file, tmp_path):
    out = tmp_path / "map.csv"
    run("umap", file, "--model", "combat", "--batch", "lane", "--out", out)
    assert "combat" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "combat", "--batch", "lame"), "no column of this dataset. Choose one of: kind"),
        (("--model", "combat", "--batch", "one"), "needs at least two"),
        (("--model", "pca", "--batch", "lane"), "which are combat, harmony, scvi; none was chosen"),
    ],
)
def test_a_missing_or_useless_batch_is_refused_in_words(file, tmp_path, arguments, words):
    error = run("embed", file, *arguments, "--out", tmp_path / "out.h5ad", status=1).stderr
    assert words in error.replace("\n", " ")
    assert error.startswith("scfm: ")
    assert not (tmp_path / "out.h5ad").exists()


def test_the_list_of_models_tells_baselines_from_models_without_loading_them(file):
    keys = [line.split()[0] for line in run("models").stdout.splitlines() if not line.startswith(" ")]
    assert keys[:6] == ["pca", "combat", "harmony", "hvg", "random", "scvi"]
    cards = {card["key"]: card for card in json.loads(run("models", "--json").stdout)["models"]}
    assert {key for key, card in cards.items() if card["is_baseline"]} == {
        "pca", "combat", "harmony", "hvg", "random", "scvi"
    }  # fmt: skip
    assert cards["harmony"]["needs_packages"] == ["harmonypy"]
    assert "corrects for them: --batch COLUMN" in run("models", "scvi").stdout


def test_a_baseline_that_cannot_be_edited_is_refused(file, tmp_path):
    gene = "ENSG00000000003"
    error = run("perturb", file, "--model", "random", "--delete", gene, "--out", tmp_path / "out", status=1).stderr
    assert "cannot delete a gene" in error
