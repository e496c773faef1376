"""Every page: without a dataset, one happy path, one error as text."""

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pages._state import engine
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.dataset import Dataset, subset_dataset
from scfm_core.intake import DEMOS
from scfm_core.registry import find_model
from tests.pages.conftest import ROOT, settle, texts

PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[0-9]*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_without_a_dataset(page, fresh_app):
    app = fresh_app.run()
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == page.split("_", 1)[1].replace("_", " ")
    assert "No dataset is open." in texts(app.sidebar.caption)
    labels = [button.label for button in app.main.button]
    if page == "1_Dataset":
        assert labels == ["Open this demo"] * len(DEMOS)
        assert app.get("file_uploader")
    else:
        assert labels == ["Open the demo: PBMC 3k", "Choose or add a dataset"]


def test_first_page_loads_neither_torch_nor_scanpy(tmp_path):
    code = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        "app = AppTest.from_file('app.py', default_timeout=60).run();"
        "assert app.title[0].value == 'Dataset' and not app.exception, app;"
        "slow = {'torch', 'scanpy', 'umap', 'anndata', 'matplotlib.pyplot', 'sklearn', 'distributed'};"
        "sys.exit(' '.join(sorted(slow & set(sys.modules))) or 0)"
    )
    environment = {"PATH": "", "SCFM_WORKSPACE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


def test_one_click_opens_the_demo_on_any_page(fresh_app):
    app = fresh_app.run()
    app.switch_page("pages/4_Markers.py").run()
    app.button("hint-demo").click().run()
    assert not app.exception
    assert app.session_state["dataset"].n_cells == DEMOS[0].n_cells
    assert "PBMC 3k" in texts(app.sidebar.markdown)


def test_address_opens_the_demo_on_the_map(fresh_app):
    fresh_app.query_params["demo"] = "pbmc3k"
    app = fresh_app.run()
    assert not app.exception
    assert app.title[0].value == "UMAP"
    assert app.session_state["dataset"].n_cells == DEMOS[0].n_cells
    assert "demo" not in app.query_params


def test_address_with_an_unknown_demo_says_so(fresh_app):
    fresh_app.query_params["demo"] = "nonsense"
    app = fresh_app.run()
    assert not app.exception
    assert "nonsense" in app.error[0].value


def test_dataset_from_upload_to_kept_cells(fresh_app, tiny_dataset):
    app = fresh_app.run()
    app.get("file_uploader")[0].upload("my cells.csv", as_csv(tiny_dataset)).run()
    app.run()  # the file was copied and the field emptied
    assert not app.exception
    assert not app.error
    assert "my_cells" in texts(app.subheader).replace("\\", "")
    app.button("admit").click().run()
    settle(app)
    assert not app.exception
    assert not app.error
    dataset = app.session_state["dataset"]
    assert (dataset.n_cells, dataset.organism) == (tiny_dataset.n_cells, "human")
    assert "of 120 stay" in texts(app.main.markdown).replace("\u202f", "")
    assert len(app.get("plotly_chart")) == 2
    limits = next(slider for slider in app.slider if slider.label == "Counts per cell")
    low, high = limits.value
    limits.set_value((low + (high - low) // 3, high)).run()
    app.button("keep").click().run()
    kept = app.session_state["dataset"]
    assert kept.n_cells < dataset.n_cells
    assert any("Quality control kept" in note for note in kept.notes)
    assert app.title[0].value == "Embedding"


def test_dataset_refuses_what_is_no_dataset(fresh_app):
    app = fresh_app.run()
    app.get("file_uploader")[0].upload("cells.h5ad", b"no HDF5 at all").run()
    app.run()
    assert not app.exception
    assert "expected" in app.error[0].value
    assert not [button for button in app.button if button.key == "admit"]


def test_embedding_with_two_models(open_page, tiny_dataset):
    own = subset_dataset(tiny_dataset, np.arange(120) > 0, title="own", note="no other test has embedded these cells")
    app = open_page("2_Embedding", own)
    assert not app.exception
    assert not app.error
    assert [metric.value for metric in app.metric[:2]] == ["119", "50"]
    app.button("embed").click()
    settle(app)
    assert not app.error
    assert [metric.value for metric in app.metric if metric.label == "Numbers per cell"] == ["50", "128"]
    assert "scfm-mini" in texts(app.sidebar.caption)


def test_embedding_says_why_a_model_cannot_read_a_dataset(open_page, mouse_dataset):
    app = open_page("2_Embedding", mouse_dataset)
    app.button("embed").click()
    settle(app)
    assert not app.exception
    assert "mouse" in app.error[0].value
    assert [button for button in app.button if button.label == "Try again"]


def test_what_is_our_fault_is_shown_with_the_number_of_its_job(open_page, tiny_dataset):
    keep = np.arange(tiny_dataset.n_cells) < 50
    broken = subset_dataset(tiny_dataset, keep, title="broken", note="about to be broken")
    (broken.path / "by_cell_indices.npy").unlink()
    app = open_page("2_Embedding", broken)
    assert not app.exception
    job = next(job for job in engine().jobs() if job.request == EmbedCells(broken, find_model("pca")))
    assert f"job {job.id}" in app.error[0].value
    assert not app.exception


def as_csv(dataset: Dataset) -> bytes:
    """Return a dataset's counts as a table of cells and genes."""
    counts = pd.DataFrame(
        dataset.counts().matrix.toarray(), index=dataset.cells().index, columns=list(dataset.gene_symbols)
    )
    out = io.StringIO()
    counts.to_csv(out)
    return out.getvalue().encode()
