"""Scripts and notebooks are run for real, in a process of their own, and their numbers are the engine's."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.grouping import ByClusters, ByColumn, BySelections
from scfm_core.analyses.measure_quality import MeasureQuality
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.cell_set import CellSet
from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.registry import find_model
from scfm_core.report.answer_tables import answer_tables
from scfm_core.report.numbers import differences, key_numbers
from scfm_core.report.script import Asked, notebook_of, script_of

ROOT = Path(__file__).parents[2]


def run_code(code: str, dataset: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run code in a fresh Python, with the dataset in a workspace of its own."""
    datasets = folder / "workspace" / "datasets"
    datasets.mkdir(parents=True)
    (datasets / dataset.sha256).symlink_to(dataset.path)
    environment = {
        **os.environ, "SCFM_WORKSPACE": str(folder / "workspace"), "PYTHONPATH": str(ROOT), "SCFM_DEVICE": "cpu",
    }  # fmt: skip
    (folder / "code.py").write_text(code)
    return subprocess.run(
        [sys.executable, "code.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def code_of(notebook: bytes) -> str:
    """Return the code cells of a notebook, with a display that needs no browser."""
    book = nbformat.reads(notebook.decode(), as_version=4)
    nbformat.validate(book)
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    shown = "Image = display = lambda shown: shown"
    return "\n".join(cells).replace("from IPython.display import Image, display", shown)


@pytest.mark.slow
def test_a_notebook_of_markers_gives_the_numbers_of_the_engine(engine, demo_dataset, tmp_path):
    question = FindMarkers(demo_dataset, ByColumn("cell_type"))
    answer = engine.compute(question)
    run = run_code(code_of(notebook_of([Asked(question, answer)], title="Markers")), demo_dataset, tmp_path)
    assert run.returncode == 0, run.stderr
    assert "1 of 1 answers were compared with the page: all equal" in run.stdout
    table = pd.read_csv(tmp_path / "markers-table.csv", comment="#")
    pd.testing.assert_frame_equal(table, answer.table, check_dtype=False, check_categorical=False, rtol=1e-9)
    assert (tmp_path / "markers.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.slow
def test_a_notebook_of_vectors_map_and_clusters_gives_the_numbers_of_the_engine(engine, demo_dataset, tmp_path):
    embedding = EmbedCells(demo_dataset, find_model("pca"))
    questions = [embedding, ProjectCells(embedding), ClusterCells(embedding, resolution=0.6)]
    answers = [engine.compute(question) for question in questions]
    asked = [Asked(question, answer) for question, answer in zip(questions, answers, strict=True)]
    run = run_code(code_of(notebook_of(asked, title="Map")), demo_dataset, tmp_path)
    assert run.returncode == 0, run.stderr
    assert "3 of 3 answers" in run.stdout
    clusters = pd.read_csv(tmp_path / "clusters-cells.csv", comment="#")
    np.testing.assert_array_equal(clusters["labels"], answers[2].labels)
    vectors = pd.read_csv(tmp_path / "embedding-cells.csv", comment="#").filter(like="points")
    np.testing.assert_allclose(vectors, answers[0].points, rtol=1e-4, atol=1e-5)
    assert "cluster" in (tmp_path / "projection.svg").read_text()


def test_a_script_ends_with_an_error_where_a_number_differs(engine, tiny_dataset, tmp_path):
    question = FindMarkers(tiny_dataset, ByClusters(ClusterCells(EmbedCells(tiny_dataset, find_model("pca")))))
    answer = engine.compute(question)
    other = replace(answer, table=answer.table.assign(score=answer.table["score"] * 1.01))
    run = run_code(script_of([Asked(question, other)], title="Other"), tiny_dataset, tmp_path)
    assert run.returncode == 1
    assert "These numbers differ from the page" in run.stderr
    assert "table.columns.score.mean" in run.stderr
    assert "log2_fold_change" not in run.stderr


def test_hostile_names_stay_text(tmp_path):
    title = 'x"""\nimport os; os.abort()\n# '
    new = NewDataset(
        matrix=csr_matrix(np.eye(3, dtype=int)),
        gene_ids=("ENSG00000090382", "ENSG00000167286", "ENSG00000156738"),
        gene_symbols=("LYZ", "CD3D", "MS4A1"),
        cells=pd.DataFrame({title: ["a", "b\n'", 'c"']}, index=["1", "2", "3"]),
        organism="human",
        title=title,
    )
    hostile = write_dataset(tmp_path, new)
    cells = CellSet.from_positions(title, [0, 1], 3)
    asked = [Asked(MeasureQuality(hostile)), Asked(FindMarkers(hostile, BySelections((cells,))))]
    asked.append(Asked(FindMarkers(hostile, ByColumn(title))))
    text = script_of(asked, title=title)
    compile(text, "<script>", "exec")
    assert not [line for line in text.splitlines() if line.strip().startswith("import os")]
    compile(code_of(notebook_of(asked, title=title)), "<notebook>", "exec")


def test_a_question_without_an_answer_says_so(tiny_dataset):
    text = script_of([Asked(MeasureQuality(tiny_dataset))], title="Quality")
    assert "nothing to compare" in text
    assert "expected" not in text


def test_numbers_that_differ_are_named(engine, tiny_dataset):
    answer = engine.compute(MeasureQuality(tiny_dataset))
    told = key_numbers(answer)
    assert json.loads(json.dumps(told)) == told
    assert differences(answer, told) == []
    assert differences(replace(answer, table=answer.table.iloc[:-1]), told)[0].startswith("table.n_rows: 119")
    near = replace(answer, table=answer.table.assign(total_counts=answer.table["total_counts"] * (1 + 1e-6)))
    assert differences(near, told) == []


def test_per_cell_numbers_are_one_table(engine, tiny_dataset):
    answer = engine.compute(EmbedCells(tiny_dataset, find_model("pca")))
    tables = answer_tables(answer, tiny_dataset)
    assert list(tables) == ["cells"]
    assert list(tables["cells"].columns[:3]) == ["cell", "points_1", "points_2"]
    assert len(tables["cells"]) == tiny_dataset.n_cells
