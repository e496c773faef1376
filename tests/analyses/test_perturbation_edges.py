"""Perturbations of odd data: cells without a vector, states without a direction, columns that are not there."""

from dataclasses import replace

import numpy as np
import pytest

from scfm_core.analyses import perturb_genes, perturbation_switching
from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.measure_random_genes import MeasureRandomGenes
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.perturb_pairs import PerturbPairs
from scfm_core.analyses.perturbation_landing import Landscape
from scfm_core.analyses.perturbation_switching import majority_labels
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.registry import find_model
from scfm_core.tokens import Delete
from tests.analyses.planted import bag_card, dataset_of, grouped_counts

N_CELLS, EMPTY = 60, range(40, 60)
PCA = find_model("pca")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    counts, groups = grouped_counts(N_CELLS, 80, 3, seed=3)
    counts[list(EMPTY)] = 0
    cells = {"group": [f"g{group}" for group in groups], "everywhere": ["same"] * N_CELLS}
    return dataset_of(tmp_path_factory.mktemp("odd"), counts, cells)


def deleted(dataset, *genes):
    return tuple(Delete(dataset.gene_ids[gene]) for gene in genes)


def refusing(folder, device, fitted):
    message = "the model was loaded"
    raise AssertionError(message)


def test_a_state_whose_vectors_cancel_has_no_direction(engine, dataset):
    question = PerturbGenes(EmbedCells(dataset, PCA), (deleted(dataset, 0),), null_genes=0)
    with pytest.raises(RequestError) as caught:
        engine.compute(replace(question, goal=State("everywhere", "same")))
    assert caught.value.code == "no-direction"
    one = engine.compute(replace(question, goal=State("group", "g1")))
    assert one.shifts["shift"].notna().all()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"goal": State("group", "g7")}, "no-cells"),
        ({"goal": State("type", "g1")}, "unknown-column"),
        ({"identity_by": "type"}, "unknown-column"),
        ({"group_by": "type"}, "unknown-column"),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_computed(engine, dataset, change, code):
    baseline = EmbedCells(dataset, bag_card(key="refusing", load=refusing, gene_edits=("delete",)))
    with pytest.raises(RequestError) as caught:
        engine.compute(PerturbGenes(baseline, (deleted(dataset, 0),), **change))
    assert caught.value.code == code


def test_more_edited_cells_than_an_answer_holds_are_refused(dataset, monkeypatch):
    monkeypatch.setattr(perturb_genes, "MOST_EDITED_CELLS", 2 * N_CELLS)
    edits = tuple((edit,) for edit in deleted(dataset, 0, 1, 2))
    few = CellSet.from_positions("few", range(40), N_CELLS)
    PerturbGenes(EmbedCells(dataset, PCA), edits, cells=few)
    with pytest.raises(RequestError) as caught:
        PerturbGenes(EmbedCells(dataset, PCA), edits)
    assert caught.value.code == "too-many"


def test_cells_without_a_vector_hold_nothing(engine, dataset):
    empty = CellSet.from_positions("empty", EMPTY, N_CELLS)
    baseline = EmbedCells(dataset, PCA)
    question = PerturbGenes(baseline, (deleted(dataset, 0),), cells=empty, goal=State("group", "g1"))
    found = engine.compute(question)
    assert found.effects["status"].tolist() == ["not held"]
    assert found.shifts["shift"].isna().all()
    random = engine.compute(MeasureRandomGenes(question.exact, 5, 0, 4, 0))
    assert random.draws.empty
    assert not len(random.cell)
    pairs = engine.compute(PerturbPairs(baseline, deleted(dataset, 0, 1), cells=empty))
    assert pairs.table["kind_of"].tolist() == ["cannot tell"]
    assert pairs.table["n_holding_both"].tolist() == [0]


def test_landing_places_are_the_nearest_by_cosine():
    rng = np.random.default_rng(4)
    points = (rng.normal(size=(50, 6)) * rng.lognormal(0, 1, (50, 1))).astype(np.float32)
    points[7], points[9] = np.nan, 0
    moved = (points + rng.normal(0, 0.1, points.shape)).astype(np.float32)
    found = Landscape.of(points).neighbours(moved, itself=np.arange(50))
    assert (found[7] == -1).all()
    with np.errstate(invalid="ignore"):
        units, ends = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (points, moved))
    for cell in set(range(50)) - {7}:
        cosine = units.astype(float) @ ends[cell].astype(float)
        cosine[cell] = np.nan
        assert found[cell].tolist() == np.argsort(-cosine, kind="stable")[:15].tolist()


def test_labels_are_counted_in_pieces_however_many_there_are(monkeypatch):
    rng = np.random.default_rng(5)
    labels = np.array([f"cell {number}" for number in rng.integers(0, 120, 200)])
    neighbours = rng.integers(-1, 200, (3, 40, 15))
    whole = majority_labels(neighbours, labels)
    monkeypatch.setattr(perturbation_switching, "_COUNTED_AT_ONCE", 900)
    assert np.array_equal(majority_labels(neighbours, labels), whole)
