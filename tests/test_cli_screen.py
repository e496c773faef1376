"""``scfm screen`` through the command line, read back as a person would."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from scfm_core.analyses.export_dataset import to_anndata, write_h5ad
from scfm_core.analyses.screen_calibration import NEIGHBOURS
from scfm_core.gene_sets import transcription_factors
from scfm_core.genes import gene_table
from tests.counting_requests import wait_for
from tests.test_cli import refused, run

ROOT = Path(__file__).parents[1]
SCFM = [sys.executable, "-c", "from scfm_core.cli import main; main()"]
STOPPED = "scfm: stopped. Finished chunks are kept; the same command goes on from there.\n"


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
    table = pd.read_csv(out, comment="#")
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


FACTORS = transcription_factors("human").genes
EXACT = ("--model", "pca", "--exact", "--device", "cpu")


def test_named_genes_are_edited_exactly_with_any_model_and_edit(file, tmp_path):
    for edit, ending in (("delete", "csv"), ("overexpress", "xlsx"), ("inhibit", "parquet")):
        out = tmp_path / f"{edit}.{ending}"
        arguments = (*EXACT, "--edit", edit, "--genes", "LYZ, nkg7,CD74", "--goal", "cell_type=NK", "--out", out)
        told = json.loads(run("screen", file, *arguments, "--json").stdout)
        read = {
            "csv": partial(pd.read_csv, comment="#"),
            "xlsx": partial(pd.read_excel, header=1),
            "parquet": pd.read_parquet,
        }[ending]
        table = read(out)
        assert set(table["symbol"]) == {"LYZ", "NKG7", "CD74"}
        assert set(table["method"]) == {"exact"}
        assert (told["edit"], told["n_rows"], told["n_references"]) == (edit, 3, NEIGHBOURS)
        assert table["size_exact"].notna().all()
    words = run("screen", file, *arguments, "--overwrite").stdout
    assert "Inhibited 3 genes and 100 random ones for comparison exactly" in words
    assert "in-silico" not in words
    assert "no treatment" in words


def test_an_edit_other_than_a_deletion_is_exact_without_being_asked(file, tmp_path):
    out = tmp_path / "raised.csv"
    arguments = ("--model", "pca", "--edit", "activate", "--genes", "LYZ", "--cells-per-gene", "3", "--device", "cpu")
    run("screen", file, *arguments, "--out", out)
    assert pd.read_csv(out, comment="#")["n_exact"].tolist() == [3]


def test_genes_of_a_file_or_of_one_of_its_sets(file, tmp_path):
    sets = tmp_path / "sets.gmt"
    sets.write_text("myeloid\tx\tLYZ\tCST3\tNOTHERE\nNK: killers\tx\tNKG7\tGNLY\n")
    out = tmp_path / "screen.csv"
    words = run("screen", file, *EXACT, "--genes-from", f"{sets}:NK: killers", "--out", out).stdout
    assert set(pd.read_csv(out, comment="#")["symbol"]) == {"NKG7", "GNLY"}
    assert "2 of the 2 genes of the set NK: killers" in words
    words = run("screen", file, *EXACT, "--genes-from", sets, "--out", out, "--overwrite").stdout
    assert set(pd.read_csv(out, comment="#")["symbol"]) == {"NKG7", "GNLY", "LYZ", "CST3"}
    assert "4 of the 5 genes of the file sets.gmt" in words
    assert "holds no set 'B'" in refused(
        "screen", file, *EXACT, "--genes-from", f"{sets}:B", "--out", tmp_path / "x.csv"
    )
    (tmp_path / "strange.gmt").write_text("A\tx\tNOTHERE\n")
    assert "None of the 1 genes" in refused(
        "screen", file, *EXACT, "--genes-from", tmp_path / "strange.gmt", "--out", tmp_path / "x.csv"
    )
    (tmp_path / "binary.gmt").write_bytes(b"\0\1")
    assert "is no text" in refused(
        "screen", file, *EXACT, "--genes-from", tmp_path / "binary.gmt", "--out", tmp_path / "x.csv"
    )


def test_transcription_factors_are_screened_with_the_estimate(file, tmp_path):
    out = tmp_path / "factors.csv"
    states = ("--cells", "cell_type=Megakaryocyte", "--goal", "cell_type=NK")
    words = run(
        *("screen", file, "--model", "scfm-mini", *states, "--transcription-factors", "--confirm", "1"),
        *("--confirm-cells", "2", "--device", "cpu", "--out", out),
    ).stdout
    table = pd.read_csv(out, comment="#")
    assert len(table) > 10
    assert {gene_table("human").symbols[gene_id] for gene_id in table["gene_id"]} <= set(FACTORS)
    assert "genes of the transcription factors" in words
    assert "held by none of the chosen cells" in words
    assert table["size_p"].notna().any()


def test_two_lists_an_unknown_gene_and_an_impossible_edit_are_refused(file, tmp_path):
    out = ("--out", tmp_path / "screen.csv")
    several = refused("screen", file, *EXACT, "--genes", "LYZ", "--transcription-factors", *out)
    assert "--genes and --transcription-factors" in several
    assert "NKG9" in refused("screen", file, *EXACT, "--genes", "NKG9", *out)
    assert run("screen", file, *EXACT, "--edit", "scale", *out, status=2).exit_code == 2


def test_ctrl_c_writes_what_there_is_and_ends_with_130(file, tmp_path):
    kept = {name: value for name, value in os.environ.items() if name != "SCFM_SCHEDULER"}
    environment = {**kept, "SCFM_WORKSPACE": str(tmp_path / "of its own"), "SCFM_DEVICE": "cpu", "DISPLAY": ""}
    out = tmp_path / "screen.csv"
    cells = ("--cells", "cell_type=Megakaryocyte")
    arguments = ["screen", file, "--model", "scfm-mini", "--exact", *cells, "--out", str(out)]
    program = subprocess.Popen([*SCFM, *arguments], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    parts = tmp_path / "of its own" / "parts"
    wait_for(lambda: _pieces_of_edits(parts) >= 2, 400)
    program.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = program.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert program.returncode == 130
    told = re.fullmatch(
        rf"scfm: wrote what there is to {re.escape(str(out))}: (\d+) rows, (\d+) of [\d,]+ genes done\. "
        rf"To go on, add --overwrite\.\n{re.escape(STOPPED)}",
        said,
    )
    assert told, said
    table = pd.read_csv(out, comment="#")
    assert len(table) == int(told[1]) == int(told[2]) > 0
    assert table["size_exact"].notna().all()
    assert _pieces_of_edits(parts) >= 2


def _pieces_of_edits(parts: Path) -> int:
    """How many pieces hold sizes of edits, not vectors of cells."""
    return sum(1 for _ in parts.glob("*/*/size.npy"))
