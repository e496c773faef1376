"""Names by a CellTypist model: the same numbers as CellTypist's own code, and "unknown" where cells disagree."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scfm_core.analyses.classify_cells import ClassifyCells, decision_scores, shared_genes
from scfm_core.analyses.grouping import ByColumn, BySelections
from scfm_core.analyses.name_by_celltypist import NameByCelltypist
from scfm_core.cell_set import CellSet
from scfm_core.celltypist import (
    CelltypistModel,
    add_model,
    files_of_celltypist,
    find_celltypist,
    load_celltypist,
    models_here,
    source_of,
)
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import ModelError, RequestError
from scfm_core.store import Store

GOLDEN = Path(__file__).parents[1] / "models" / "golden" / "celltypist"
every_model = pytest.mark.parametrize("name", ["blood", "blood_sgd", "two_types"])


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("celltypist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCFM_WORKSPACE", str(folder / "workspace"))
        engine = Engine(Store(folder / "store"), ThreadExecutor(["cpu"]))
        yield engine
        engine.close()


def recorded(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


@every_model
def test_decision_scores_are_celltypists(demo_dataset: Dataset, shared_engine: Engine, name: str) -> None:
    expected, weights = recorded(name), load_celltypist(add_model(GOLDEN / f"{name}.pkl"))
    of_model, of_dataset = shared_genes(demo_dataset, weights.genes)
    assert len(of_model) == len(weights.genes) == 400
    counts = demo_dataset.counts(expected["cells"])
    expression = np.log1p(counts.matrix[:, of_dataset].toarray() * (1e4 / counts.total_counts)[:, None])
    scores = decision_scores(weights, expression, of_model)
    assert list(weights.classes) == expected["classes"].tolist()
    np.testing.assert_allclose(scores, expected["decision"], rtol=0, atol=1e-7 * np.abs(expected["decision"]).max())


@every_model
def test_labels_are_celltypists(demo_dataset: Dataset, shared_engine: Engine, name: str) -> None:
    expected = recorded(name)
    found = shared_engine.compute(ClassifyCells(demo_dataset, add_model(GOLDEN / f"{name}.pkl")))
    cells, classes = expected["cells"], np.array(found.classes)
    assert classes[found.best[cells]].tolist() == expected["best"].tolist()
    assert np.array(found.combinations)[found.several[cells]].tolist() == expected["several"].tolist()
    np.testing.assert_allclose(found.probability[cells], expected["probability"].max(axis=1), atol=1e-5)
    assert (found.best != found.second).all()


@every_model
def test_majority_voting_is_celltypists(demo_dataset: Dataset, shared_engine: Engine, name: str) -> None:
    """CellTypist voted among the 300 recorded cells, grouped by their type."""
    expected = recorded(name)
    truth = demo_dataset.cells()["cell_type"].astype(str).to_numpy()
    chosen = np.isin(np.arange(demo_dataset.n_cells), expected["cells"])
    groups = BySelections(
        tuple(CellSet.from_mask(kind, chosen & (truth == kind)) for kind in np.unique(truth[expected["cells"]]))
    )
    found = shared_engine.compute(NameByCelltypist(demo_dataset, groups, add_model(GOLDEN / f"{name}.pkl"))).groups
    majority = dict(zip(found["group"], found["majority"], strict=True))
    assert [majority[kind] for kind in truth[expected["cells"]]] == expected["majority"].tolist()


def test_groups_get_their_names_and_mixtures_none(demo_dataset: Dataset, shared_engine: Engine) -> None:
    model = add_model(GOLDEN / "blood.pkl")
    found = shared_engine.compute(NameByCelltypist(demo_dataset, ByColumn("cell_type"), model))
    assert (found.groups["name"] == found.groups["group"]).all()
    assert found.groups["confidence"].between(0.5, 1).all()
    assert found.remarks == ("The dataset has 400 of the 400 genes of the model.",)
    by_group = found.shares.groupby("group")["share"].sum()
    np.testing.assert_allclose(by_group, 1.0)
    mixed = CellSet.from_mask("mixed", np.random.default_rng(0).random(demo_dataset.n_cells) < 0.2)
    row = shared_engine.compute(NameByCelltypist(demo_dataset, BySelections((mixed,)), model)).groups.iloc[0]
    assert row["name"] == "unknown"
    assert row["majority"] in set(demo_dataset.cells()["cell_type"])
    assert "only" in row["reason"]


def test_a_model_without_shared_genes_is_refused(demo_dataset: Dataset) -> None:
    with pytest.raises(RequestError, match="Choose a model of this organism") as error:
        shared_genes(demo_dataset, ["moon1", "moon2"])
    assert error.value.code == "no-genes"


def test_a_gene_under_an_old_name_is_found_once(demo_dataset: Dataset) -> None:
    of_model, of_dataset = shared_genes(demo_dataset, ["FYB1", "FYB", "CD3D", "cd3d"])
    assert of_model.tolist() == sorted(of_model.tolist())
    assert len(set(of_dataset.tolist())) == len(of_dataset)
    assert "CD3D" in {demo_dataset.gene_symbols[place] for place in of_dataset}
    assert 3 not in of_model, "the exact spelling comes first"


def test_models_are_kept_by_their_content(workspace: object) -> None:
    assert models_here() == ()
    first = add_model(GOLDEN / "blood.pkl")
    assert add_model(GOLDEN / "blood.pkl") == first == find_celltypist("blood") == find_celltypist(first.key)
    assert models_here() == (first,)
    assert source_of(first)["name"] == "blood.pkl"
    assert first.title == "blood"


def test_a_changed_or_missing_model_is_refused(workspace: object) -> None:
    model = add_model(GOLDEN / "two_types.pkl")
    folder = Path(os.environ["SCFM_WORKSPACE"]) / "weights" / "celltypist" / model.key
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError) as error:
        load_celltypist(model)
    assert error.value.code == "changed-weights"
    shutil.rmtree(folder)
    with pytest.raises(ModelError) as error:
        load_celltypist(model)
    assert error.value.code == "no-weights"


def test_celltypists_own_folder_is_offered(workspace: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLTYPIST_FOLDER", str(tmp_path))
    assert files_of_celltypist() == ()
    models = tmp_path / "data" / "models"
    models.mkdir(parents=True)
    shutil.copy(GOLDEN / "blood.pkl", models / "Immune_All_Low.pkl")
    assert [path.name for path in files_of_celltypist()] == ["Immune_All_Low.pkl"]
    assert find_celltypist("Immune_All_Low").title == "Immune_All_Low"
    assert files_of_celltypist() == (), "it is in the workspace now"
    with pytest.raises(ModelError, match="Immune_All_Low") as error:
        find_celltypist("moon")
    assert error.value.code == "unknown-model"


def test_a_model_in_a_question_is_named_by_its_content(demo_dataset: Dataset) -> None:
    one = ClassifyCells(demo_dataset, CelltypistModel(key="a-1", sha256="x"))
    assert one.identity != ClassifyCells(demo_dataset, CelltypistModel(key="a-1", sha256="y")).identity
