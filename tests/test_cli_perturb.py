"""``scfm perturb`` in this process, on a small real file: what its options ask, and what its folder holds."""

import json
from html import escape

import anndata
import numpy as np
import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner

from scfm_core.analyses.export_dataset import to_anndata, write_h5ad
from scfm_core.analyses.perturb_genes import ALL_HOLDING, PerturbGenes
from scfm_core.cli import cli, perturb_matched
from scfm_core.cli.perturb_options import KINDS
from scfm_core.cli.perturb_question import matched_question
from scfm_core.errors import RequestError
from scfm_core.tokens import Activate, Delete, Inhibit, Overexpress, Scale
from scfm_core.workspace import Workspace

LYZ, CD3D = "ENSG00000090382", "ENSG00000167286"
MINI, PCA = ("--model", "scfm-mini"), ("--model", "pca")
QUICK = ("--null", "5", "--null-cells", "6", "--no-controls")


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


def perturb(file, out, *arguments, status=0):
    given = [str(argument) for argument in ("perturb", file, *arguments, "--out", out)]
    result = CliRunner().invoke(cli, given)
    assert result.exit_code == status, result.output + result.stderr
    return result


def refused(file, out, *arguments) -> str:
    result = perturb(file, out, *arguments, status=1)
    assert result.stderr.startswith("scfm: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def asked(dataset, **given) -> PerturbGenes:
    """The question of some options, the others as they are where nothing is said."""
    options = {"keys": "pca", "readout": "matched", "quartiles": 1, "together": False, "null": 100, "seed": 0}
    options |= dict.fromkeys(("weights", "dictionaries", "layer", "pool", "precision", "cells", "start", "goal"))
    options |= dict.fromkeys(("group_by", "identity_by", "null_cells"))
    options |= dict.fromkeys((*KINDS, "scale", "alternative"), ())
    return matched_question(dataset, options | given)


def test_every_kind_of_edit_becomes_its_token_edit(tiny_dataset):
    question = asked(
        tiny_dataset, delete=("LYZ,CD3D+LYZ",), overexpress=("CD3D",), inhibit=("LYZ",), activate=("CD3D",),
        quartiles=2, scale=("LYZ=0.5,CD3D=2",),
    )  # fmt: skip
    assert question.edits == (
        (Delete(LYZ),),
        (Delete(CD3D), Delete(LYZ)),
        (Overexpress(CD3D),),
        (Inhibit(LYZ, 2),),
        (Activate(CD3D, 2),),
        (Scale(LYZ, 0.5),),
        (Scale(CD3D, 2.0),),
    )
    together = asked(tiny_dataset, delete=("LYZ", "CD3D"), scale=("LYZ=0", "CD3D=1.5"), together=True)
    assert together.edits == ((Delete(LYZ), Delete(CD3D)), (Scale(LYZ, 0.0), Scale(CD3D, 1.5)))


def test_states_cells_and_comparison_become_the_question(tiny_dataset):
    question = asked(
        tiny_dataset, delete=("LYZ",), start="cell_type=B", goal="cell_type=NK", alternative=("batch=batch A",),
        identity_by="batch", null_cells="all", null=7, seed=3,
    )  # fmt: skip
    assert question.cells.label == "B"
    assert [(state.column, state.value) for state in question.states] == [("cell_type", "NK"), ("batch", "batch A")]
    assert (question.identity_by, question.null_cells) == ("batch", ALL_HOLDING)
    assert (question.null_genes, question.seed) == (7, 3)
    same = asked(tiny_dataset, delete=("LYZ",), cells="cell_type=B")
    assert same.cells == question.cells
    assert same.identity_by == "cell_type"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs genes to edit"),
        ({"scale": ("LYZ",)}, "GENE=FACTOR"),
        ({"scale": ("LYZ=much",)}, "GENE=FACTOR"),
        ({"scale": ("=0.5",)}, "GENE=FACTOR"),
        ({"scale": (",",)}, "--scale names genes"),
        ({"scale": ("LYZ=2.5",)}, "factor from 0 to 2"),
        ({"delete": (",",)}, "--delete names genes"),
        ({"delete": ("LYZ,NOSUCHGENE",), "scale": ("ALSONOT=1",)}, "NOSUCHGENE"),
        ({"delete": ("LYZ,NOSUCHGENE",), "scale": ("ALSONOT=1",)}, "ALSONOT"),
        ({"delete": ("LYZ",), "cells": "cell_type=B", "start": "cell_type=B"}, "--start is another word for --cells"),
        ({"delete": ("LYZ",), "goal": "NK"}, '--goal reads "COLUMN=VALUE"'),
        ({"delete": ("LYZ",), "goal": "cell_type=NK", "alternative": ("cell_type=NK",)}, "Name each once"),
        ({"delete": ("LYZ",), "keys": "scfm-mini", "scale": ("LYZ=0.5",)}, "scale"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(tiny_dataset, given, message):
    with pytest.raises(RequestError, match=message):
        asked(tiny_dataset, **given)


def test_the_folder_holds_report_tables_and_figures(file, tmp_path):
    out = tmp_path / "deleted"
    options = (*PCA, *QUICK, "--delete", "lyz,CD3D", "--per-cell", "--group-by", "batch", "--goal", "cell_type=NK")
    options = (*options, "--no-figures")
    report = json.loads(perturb(file, out, *options, "--json").stdout)
    assert sorted(report["files"]) == sorted(
        str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()
    )
    effects, cells = pd.read_parquet(out / "effects.parquet"), pd.read_parquet(out / "cells.parquet")
    assert set(zip(effects["edit"], effects["group"], strict=True)) == {
        (edit, group) for edit in ("LYZ", "CD3D") for group in ("batch A", "batch B")
    }
    assert len(cells) == 2 * 120
    for row in effects.itertuples():
        mine = cells[(cells["edit"] == row.edit) & (cells["group"] == row.group) & cells["holds"]]
        assert row.effect == pytest.approx((1 - mine["cosine_similarity"]).mean(), abs=1e-9)
    assert json.loads((out / "report.json").read_text()) == report
    assert [card["edit"] for card in report["cards"]] == effects["edit"].tolist()
    assert all("toward NK" in card["headline"] or "away from NK" in card["headline"] for card in report["cards"])
    assert report["baseline_effects"] is None  # PCA is the baseline
    assert report["seed"] == 0
    assert report["question"]["question"] == "PerturbGenes"
    assert "embedded with PCA" in report["methods"]
    assert report["versions"]["scfm-explorer"]
    assert "is not empty" in refused(file, out, *options)


def test_every_table_is_the_same_in_every_format(file, tmp_path):
    out = tmp_path / "deleted"
    report = json.loads(perturb(file, out, *PCA, *QUICK, "--delete", "LYZ", "--goal", "cell_type=NK", "--json").stdout)
    tables = {name.split(".")[0] for name in report["files"] if name.endswith(".parquet")}
    assert {"effects", "shifts", "switches", "null"} <= tables
    for name in tables:
        first = pd.read_parquet(out / f"{name}.parquet")
        text = pd.read_csv(out / f"{name}.csv", comment="#")
        sheet = openpyxl.load_workbook(out / f"{name}.xlsx").active
        assert list(text.columns) == list(first.columns)
        assert [cell.value for cell in sheet[2]] == list(first.columns)
        assert sheet.max_row - 2 == len(text) == len(first)
        numbers = first.select_dtypes("number").columns
        np.testing.assert_allclose(text[numbers].astype(float), first[numbers].astype(float), equal_nan=True)
    figures = [name for name in report["files"] if name.startswith("figures/")]
    assert {name.rsplit(".", 1)[1] for name in figures} == {"svg", "pdf"}
    assert (out / "figures" / "effects.pdf").read_bytes().startswith(b"%PDF")


def test_the_report_shows_the_card_of_every_row(file, tmp_path):
    out = tmp_path / "deleted"
    said = perturb(file, out, *PCA, *QUICK, "--delete", "LYZ,CD3D", "--no-figures").stdout
    page = (out / "report.html").read_text()
    cards = json.loads((out / "report.json").read_text())["cards"]
    assert len(cards) == 2
    for card in cards:
        assert card["headline"] in said
        assert escape(card["headline"]) in page
        for warning in card["warnings"]:
            assert warning in said
            assert escape(warning) in page
    assert not (out / "figures").exists()
    assert "Wrote" in said


def test_overwriting_takes_away_what_an_earlier_run_left(file, tmp_path):
    out = tmp_path / "deleted"
    perturb(file, out, *PCA, *QUICK, "--delete", "LYZ", "--goal", "cell_type=NK", "--per-cell")
    (out / "notes.txt").write_text("mine")
    (out / "baseline_effects.parquet").touch()
    assert (out / "cells.csv").exists()
    assert (out / "figures" / "volcano-1.svg").exists()
    perturb(file, out, *PCA, *QUICK, "--delete", "LYZ", "--overwrite")
    assert not (out / "cells.csv").exists()
    assert not (out / "shifts.xlsx").exists()
    assert not (out / "baseline_effects.parquet").exists()
    assert not (out / "figures" / "volcano-1.svg").exists()
    assert (out / "figures" / "effects.svg").exists()
    assert (out / "notes.txt").read_text() == "mine"


def test_some_cells_together_without_baseline(file, tmp_path):
    out = tmp_path / "deleted"
    chosen = anndata.read_h5ad(file).obs["cell_type"].value_counts()
    options = ["--delete", "LYZ,CD3D", "--together", "--null", "0", "--no-baseline", "--no-figures"]
    perturb(file, out, *PCA, *options, "--cells", f"cell_type={chosen.index[0]}")
    effects = pd.read_parquet(out / "effects.parquet")
    assert effects["edit"].tolist() == ["LYZ+CD3D"]
    assert effects["n_cells"].item() == chosen.iloc[0]
    assert not (out / "cells.parquet").exists()
    report = json.loads((out / "report.json").read_text())
    assert report["baseline_effects"] is None
    assert report["controls"] is None


def test_everything_around_a_question_stands_in_the_folder_and_the_report(file, tmp_path):
    sets = tmp_path / "own.gmt"
    genes = [*anndata.read_h5ad(file).var_names[:600]]
    sets.write_text("".join(f"set {n}\tmade up\t" + "\t".join(genes[n::6]) + "\n" for n in range(6)))
    out = tmp_path / "all"
    options = ["--delete", "FTL,FTH1", "--pairs", "--null", "6", "--null-cells", "3", "--gmt", sets]
    perturb(file, out, *MINI, *options, "--start", "cell_type=Megakaryocyte", "--no-figures")
    for name in ("pairs", "controls", "generic_or_specific", "explained", "downstream_genes", "baseline_effects"):
        assert len(pd.read_parquet(out / f"{name}.parquet")), name
    page = (out / "report.html").read_text()
    for title in ("Do the controls hold?", "Which other genes turn?", "Do two edits do more than their sum?"):
        assert title in page
    remarks = json.loads((out / "report.json").read_text())["remarks"]
    enriched = (out / "enrichment.parquet").exists()
    assert enriched or any("gene sets" in remark for remark in remarks)
    assert len(pd.read_parquet(out / "pairs.parquet")) == 1


def test_nothing_held_is_refused_and_nothing_is_written(file, tmp_path):
    cells = anndata.read_h5ad(file)
    counts = pd.Series(np.asarray((cells.X > 0).sum(axis=0)).ravel(), index=cells.var_names)
    silent = counts[counts == 0]
    gene = silent.index[0] if len(silent) else "CD19"
    column = cells.obs["cell_type"].astype(str)
    group = next(
        name for name in column.unique() if not (cells[column == name, gene].X > 0).sum()
    )
    message = refused(file, tmp_path / "out", *PCA, *QUICK, "--delete", gene, "--cells", f"cell_type={group}")
    assert gene in message
    assert "nothing can be edited" in message
    assert not (tmp_path / "out").exists()


def test_options_are_refused_in_words(file, tmp_path):
    out = tmp_path / "out"
    assert '"COLUMN=VALUE"' in refused(file, out, *MINI, "--delete", "LYZ", "--cells", "monocytes")
    assert "No cell has 'nobody'" in refused(file, out, *MINI, "--delete", "LYZ", "--cells", "cell_type=nobody")
    assert "Pairs are made of 2 to 15 edits, found 1" in refused(file, out, *MINI, "--delete", "LYZ", "--pairs")
    assert "--pairs: belongs to --readout matched" in refused(
        file, out, *MINI, "--delete", "LYZ", "--readout", "official", "--pairs"
    )
    assert "--against: belongs to --readout official" in refused(
        file, out, *MINI, "--delete", "LYZ", "--against", "cell_type=B"
    )
    assert "or all, found 'some'" in perturb(
        file, out, *MINI, "--delete", "LYZ", "--null-cells", "some", status=2
    ).stderr
    assert not out.exists()


def test_a_question_around_that_cannot_be_answered_becomes_a_remark(file, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "own.gmt").write_text("set\tmade up\tLYZ\tCD3D\n")
    perturb(file, out, *PCA, *QUICK, "--delete", "LYZ", "--gmt", tmp_path / "own.gmt", "--no-figures")
    report = json.loads((out / "report.json").read_text())
    (remark,) = report["remarks"]
    assert remark.startswith("No gene sets: there are no genes that follow")
    assert escape(remark) in (out / "report.html").read_text()


def test_ctrl_c_after_the_answer_writes_what_is_finished(file, tmp_path, monkeypatch):
    def interrupted(asking, name, request):
        raise KeyboardInterrupt

    monkeypatch.setattr(perturb_matched.Asking, "_ask", interrupted)
    out = tmp_path / "out"
    stopped = perturb(file, out, *PCA, "--null", "5", "--delete", "CD3D", "--no-figures", status=130)
    assert stopped.stderr == (
        f"scfm: stopped. What was finished is in {str(out)!r}; the same command with --overwrite goes on from there.\n"
    )
    assert "stopped before everything was asked" in stopped.stdout
    assert len(pd.read_parquet(out / "effects.parquet")) == 1
    assert "stopped before everything was asked" in (out / "report.html").read_text()
