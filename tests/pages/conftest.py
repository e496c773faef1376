"""A server without a browser: the pages run in this process, on a small dataset, until their jobs are done."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from scipy.sparse import csr_matrix
from streamlit.testing.v1 import AppTest

from pages._state import engine
from pages._transfers import transfers
from pages._waiting import running_jobs
from scfm_core.dataset import Dataset, NewDataset, write_dataset

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 180.0


@pytest.fixture(scope="session")
def answers_kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One workspace for all tests that may share answers."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def fresh_app(workspace: object) -> Iterator[AppTest]:
    """The application on an empty workspace."""
    yield AppTest.from_file(ROOT / "app.py", default_timeout=60)
    st.cache_resource.clear()  # closes the engine


@pytest.fixture
def app(answers_kept: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The application on a workspace that keeps answers from one test to the next."""
    monkeypatch.setenv("SCFM_WORKSPACE", str(answers_kept))
    yield AppTest.from_file(ROOT / "app.py", default_timeout=60)
    st.cache_resource.clear()


@pytest.fixture
def open_page(app: AppTest) -> Callable[[str, Dataset | None], AppTest]:
    """Open a page with a dataset, and run it until nothing is being computed."""

    def open_it(page: str, dataset: Dataset | None) -> AppTest:
        if dataset is not None:
            app.session_state["dataset"] = dataset
        app.run()
        app.switch_page(f"pages/{page}.py")
        return settle(app)

    return open_it


@pytest.fixture(scope="session")
def mouse_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """40 cells of a mouse, 30 genes."""
    counts = np.random.default_rng(0).poisson(1.0, (40, 30))
    new = NewDataset(
        matrix=csr_matrix(counts),
        gene_ids=tuple(f"ENSMUSG{number:011d}" for number in range(30)),
        gene_symbols=tuple(f"Gene{number}" for number in range(30)),
        cells=_cells(40),
        organism="mouse",
        roles={"cell_type": "kind"},
        title="a mouse",
    )
    return write_dataset(tmp_path_factory.mktemp("mouse"), new)


@pytest.fixture(scope="session")
def two_cells(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A dataset too small for anything."""
    new = NewDataset(
        matrix=csr_matrix(np.array([[3, 1, 0], [0, 2, 5]])),
        gene_ids=("ENSG00000090382", "ENSG00000167286", "ENSG00000156738"),
        gene_symbols=("LYZ", "CD3D", "MS4A1"),
        cells=_cells(2),
        organism="human",
        roles={"cell_type": "kind"},
        title="two cells",
    )
    return write_dataset(tmp_path_factory.mktemp("two"), new)


def _cells(n_cells: int) -> "object":
    import pandas as pd

    kinds = pd.Categorical(["one", "other"] * (n_cells // 2))
    return pd.DataFrame({"kind": kinds}, index=[f"cell {number}" for number in range(n_cells)])


def settle(app: AppTest) -> AppTest:
    """Run a page again and again until it asks nothing new and nothing is being computed."""
    until = time.monotonic() + MOST_SECONDS
    while True:
        before = {job.id for job in engine().jobs()}
        app.run()
        if not running_jobs() and {job.id for job in engine().jobs()} == before:
            return app
        while running_jobs():
            assert time.monotonic() < until, [job.log for job in running_jobs()]
            time.sleep(0.2)


def texts(elements: object) -> str:
    """Return all words of some elements."""
    return "\n".join(str(element.value) for element in elements)


def settle_transfers(app: AppTest) -> AppTest:
    """Run a page until no weights are on their way."""
    until = time.monotonic() + MOST_SECONDS
    while transfers().running():
        assert time.monotonic() < until, transfers().running()
        time.sleep(0.1)
    return settle(app)


def choose(app: AppTest, key: str, value: str) -> None:
    """Set the select box whose key holds some words."""
    next(box for box in app.selectbox if key in (box.key or "")).set_value(value)
