"""Labels travel with the dataset, with who gave them, when, and what they stand for."""

import json
from pathlib import Path

import anndata
import numpy as np
import pytest

from scfm_core.analyses.export_dataset import export_dataset, write_h5ad
from scfm_core.annotations import Annotations
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.store import Store
from tests.analyses.planted import dataset_of


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return dataset_of(tmp_path / "datasets", np.ones((6, 3), dtype=int), {"kind": ["a", "b", "c"] * 2})


def test_labels_stand_in_the_file_with_their_history(dataset: Dataset, tmp_path: Path) -> None:
    labels = Annotations.of(dataset, tmp_path / "labels")
    labels.give("mine/first", "NK", CellSet.from_positions("", [0, 3], 6), author="Ada", term="CL:0000623")
    labels.give("mine/first", "odd", CellSet.from_positions("", [5], 6), author="Ben")
    labels.give("plain", "x", CellSet.from_positions("", [1], 6), author="Ben")
    labels.undo(author="Ben")
    write_h5ad(export_dataset(dataset, Store(tmp_path), labels), tmp_path / "out.h5ad")
    data = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert data.obs["mine_first"].astype(object).fillna("").tolist() == ["NK", "", "", "NK", "", "odd"]
    terms = data.obs["mine_first_ontology_term_id"].astype(object).fillna("").tolist()
    assert terms == ["CL:0000623", "", "", "CL:0000623", "", ""]
    about = data.uns["scfm"]["answers"]["mine_first"]
    assert about["authors"] == "Ada, Ben"
    assert json.loads(about["terms"]) == {"NK": "CL:0000623"}
    assert about["ontology"].startswith("Cell Ontology 20")
    history = json.loads(about["history"])
    assert [act["act"] for act in history] == ["column", "give", "give"]
    assert about["changed"] == history[-1]["time"]
    assert data.obs["plain"].isna().all()
    assert "plain_ontology_term_id" not in data.obs


def test_without_labels_nothing_is_added(dataset: Dataset, tmp_path: Path) -> None:
    data = export_dataset(dataset, Store(tmp_path), Annotations.of(dataset, tmp_path / "labels"))
    assert list(data.obs.columns) == ["kind"]
