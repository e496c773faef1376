"""``scfm name``: tables of names by each of the three ways, and what it refuses."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from scfm_core.cli import cli
from scfm_core.dataset import subset_dataset
from scfm_core.intake.demo import open_demo

MODEL = Path(__file__).parent / "models" / "golden" / "celltypist" / "blood.pkl"


def run(*arguments: object) -> str:
    found = CliRunner().invoke(cli, ["name", *map(str, arguments)])
    assert found.exit_code == 0, found.output
    return found.output


def refused(*arguments: object) -> str:
    found = CliRunner().invoke(cli, ["name", *map(str, arguments)])
    assert found.exit_code == 1
    return " ".join(found.output.split())


def test_curated_markers(workspace: object, tmp_path: Path) -> None:
    out = tmp_path / "names.csv"
    told = run("demo:pbmc3k", "--group-by", "cell_type", "--markers", "curated", "--tissue", "blood", "--out", out)
    table = pd.read_csv(out, comment="#").set_index("group")
    assert table.loc["B", "name"] == "B cell"
    assert "CD79A" in table.loc["B", "evidence"]
    assert "B: B cell" in told
    assert "# test: the larger p of two nulls" in out.read_text()


def test_markers_of_a_file(workspace: object, tmp_path: Path) -> None:
    (tmp_path / "mine.gmt").write_text("my B\t\tCD79A\tMS4A1\tCD79B\tCD19\nmy NK\t\tGNLY\tNKG7\tKLRD1\tPRF1\n")
    out = tmp_path / "names.parquet"
    options = ["--group-by", "cell_type", "--markers", tmp_path / "mine.gmt", "--out", out, "--json"]
    told = json.loads(run("demo:pbmc3k", *options))
    assert told["way"] == "markers"
    assert (told["names"]["B"], told["names"]["NK"]) == ("my B", "my NK")
    assert told["names"]["CD14+ monocyte"] == "unknown"
    assert len(pd.read_parquet(out)) == 9


def test_a_celltypist_model(workspace: object, tmp_path: Path) -> None:
    out = tmp_path / "names.xlsx"
    told = json.loads(run("demo:pbmc3k", "--group-by", "cell_type", "--celltypist", MODEL, "--out", out, "--json"))
    assert all(group == name for group, name in told["names"].items())
    again = json.loads(
        run("demo:pbmc3k", "--group-by", "cell_type", "--celltypist", "blood", "--out", out, "--overwrite", "--json")
    )
    assert again["names"] == told["names"]


@pytest.mark.slow
def test_a_reference(workspace: object, tmp_path: Path) -> None:
    root = Path(os.environ["SCFM_WORKSPACE"]) / "datasets"
    whole = open_demo("pbmc3k", root)
    is_mine = [place % 3 == 0 for place in range(whole.n_cells)]
    mine = subset_dataset(whole, pd.Series(is_mine).to_numpy(), title="a third", note="every third")
    rest = subset_dataset(whole, ~pd.Series(is_mine).to_numpy(), title="the rest", note="the others")
    out = tmp_path / "names.csv"
    run(mine.sha256[:12], "--group-by", "cell_type", "--reference", rest.sha256[:12], "--out", out)
    table = pd.read_csv(out, comment="#").set_index("group")
    assert table.loc["B", "name"] == "B"
    assert table.loc["CD14+ monocyte", "name"] == "CD14+ monocyte"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "One way of naming is needed"),
        (["--markers", "curated", "--celltypist", "x"], "One way of naming is needed"),
        (["--markers", "nowhere.gmt"], "There is no file"),
        (["--markers", "curated", "--tissue", "moon"], "Choose among"),
        (["--markers", str(MODEL), "--tissue", "blood"], "--tissue chooses among the curated markers"),
        (["--celltypist", "moon"], "No CellTypist model 'moon' is here"),
        (["--reference", "demo:pbmc3k"], "The reference is the dataset itself"),
    ],
)
def test_what_is_refused(workspace: object, tmp_path: Path, options: list[str], words: str) -> None:
    assert words in refused("demo:pbmc3k", "--group-by", "cell_type", "--out", tmp_path / "names.csv", *options)
