"""The Perturbation page asked where the truth is known: measured knock-outs, a simulation, and what is missing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pages._state import engine
from scfm_core.dataset import Dataset, NewDataset, write_dataset
from scfm_core.validation.validate_on_crispr import ValidateOnCrispr
from tests.pages.conftest import settle, texts

CONTROL = "non-targeting"


@pytest.fixture(scope="session")
def knocked_out(demo_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """400 monocytes and B cells of the demo: a made-up column says that in B cells LYZ was knocked out."""
    kinds = demo_dataset.cells()["cell_type"].astype(str).to_numpy()
    cells = np.sort(np.concatenate([np.flatnonzero(kinds == kind)[:200] for kind in ("CD14+ monocyte", "B")]))
    counts = demo_dataset.counts(cells)
    held = np.bincount(counts.matrix.indices, minlength=demo_dataset.n_genes)
    genes = np.sort(np.argsort(-held, kind="stable")[:1500])
    labels = np.where(kinds[cells] == "B", "LYZ", CONTROL)
    new = NewDataset(
        matrix=counts.matrix[:, genes],
        gene_ids=tuple(demo_dataset.gene_ids[gene] for gene in genes),
        gene_symbols=tuple(demo_dataset.gene_symbols[gene] for gene in genes),
        cells=pd.DataFrame({"guide": pd.Categorical(labels)}, index=[f"cell {number}" for number in range(len(cells))]),
        organism="human",
        total_counts=counts.total_counts,
        roles={},
        title="knocked out",
    )
    folder: Path = tmp_path_factory.mktemp("knocked")
    return write_dataset(folder, new)


def ask_for_truth(app: AppTest, way: str) -> AppTest:
    app.get("button_group")[0].set_value("Known truth")
    app.run()
    next(box for box in app.selectbox if box.label == "Where the truth is known").set_value(way)
    app.run()
    assert not app.exception
    return app


def test_knock_outs_of_a_dataset_are_compared_with_what_the_model_says(open_page, knocked_out):
    app = ask_for_truth(open_page("5_Perturbation", knocked_out), "Knock-outs of this dataset")
    control = next(box for box in app.selectbox if box.label == "Label of control cells")
    assert control.value == CONTROL
    next(slider for slider in app.slider if slider.label == "Control cells for each gene").set_value(10)
    app.run()
    app.button("truth").click()
    settle(app)
    assert not app.exception
    assert not app.error
    job = next(job for job in engine().jobs() if isinstance(job.request, ValidateOnCrispr))
    found = job.result()
    summary, table = (frame.value for frame in app.dataframe[:2])
    assert list(summary["method"]) == list(found.summary["method"])
    assert "scfm-mini" in set(summary["method"])
    assert set(table["symbol"]) == {"LYZ"}
    assert found.in_words[0][:20] in texts(app.main.markdown).replace("\\", "")
    assert len(app.get("plotly_chart")) == 1


def test_a_column_without_knock_outs_is_said(open_page, tiny_dataset):
    app = ask_for_truth(open_page("5_Perturbation", tiny_dataset), "Knock-outs of this dataset")
    next(box for box in app.selectbox if box.label == "Label of control cells").set_value("Megakaryocyte")
    app.run()
    assert not app.exception
    assert not app.error
    assert "Expected at least 20 control cells" in texts(app.main.caption).replace("\\", "")
    assert not [button for button in app.button if button.key == "truth"]


def test_a_simulation_is_offered_with_its_effort(open_page, tiny_dataset):
    app = ask_for_truth(open_page("5_Perturbation", tiny_dataset), "A simulated network")
    assert "small network trained on them" in texts(app.main.caption)
    networks = next(box for box in app.multiselect if box.label == "Networks that are trained")
    networks.set_value([])
    app.run()
    assert "Choose a network." in texts(app.main.caption)
    assert not [button for button in app.button if button.key == "truth"]
