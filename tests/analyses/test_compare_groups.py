"""Whether a gene matters in one kind of cell or in all, under a model in which this is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.compare_groups import CompareGroups, comparison_column, label_groups
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes
from scfm_core.registry import find_model
from scfm_core.tokens import Delete
from tests.analyses.acting_genes import ACTING, ACTOR, GENES, HUB, ONLY_IN_A, ORDINARY, acting_dataset, gene


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return acting_dataset(tmp_path_factory.mktemp("acting"))


def question(dataset, *edits, **fields):
    return PerturbGenes(EmbedCells(dataset, ACTING), edits, **fields)


def test_a_hub_is_generic_and_a_gene_that_acts_in_one_type_is_specific_there(engine, dataset):
    found = engine.compute(CompareGroups(question(dataset, gene(HUB), gene(ACTOR), group_by="type")))
    assert found.column == "type"
    labels = found.labels.set_index(["edit", "group"])
    hub, actor = f"S{HUB}", f"S{ACTOR}"
    assert labels.loc[hub]["label"].tolist() == ["generic"] * 4
    assert labels.loc[hub]["ratio"].between(0.5, 1.5).all()
    assert labels.loc[(actor, "A"), "label"] == "specific"
    assert labels.loc[(actor, "A"), "ratio"] > 5
    assert "Stands out in these cells" in labels.loc[(actor, "A"), "reason"]
    assert labels.loc[actor].loc[["B", "C", "D"], "label"].isin(["generic", "cannot tell"]).all()
    assert (labels["n_other_groups"] == 3).all()
    table = found.table.set_index(["edit", "group"])
    assert (table.loc[hub]["times_typical"] > 3).all()  # generic is not weak: it moves all of them
    assert table["asked"].all()


@pytest.mark.slow
def test_ordinary_genes_are_seldom_called_specific(engine, dataset):
    held = [number for number in ORDINARY if (dataset.expression(GENES[number]) > 0).mean() > 0.4][:15]
    asked = question(dataset, *(gene(number) for number in held), cells=CellSet.where(dataset, "type", "A"))
    labels = engine.compute(CompareGroups(asked)).labels
    assert len(labels) == 15
    assert (labels["label"] == "specific").sum() <= 1
    assert (labels["label"] == "generic").mean() > 0.6


def test_the_number_is_the_effect_over_the_median_of_random_genes(engine, dataset):
    asked = question(dataset, gene(HUB), cells=CellSet.where(dataset, "type", "B"))
    found = engine.compute(CompareGroups(asked))
    rows = found.table.set_index("group")
    assert rows.index.tolist() == ["B", "A", "C", "D"]
    assert rows["asked"].tolist() == [True, False, False, False]
    assert rows["times_typical"].to_numpy() == pytest.approx(rows["effect"] / rows["typical"])
    everywhere = engine.compute(asked.exact)
    measured = everywhere.distance[0][everywhere.holds[0]]
    assert measured.min() <= rows.loc["B", "effect"] <= measured.max()
    assert rows.loc["B", "n_holding"] <= 48  # not more than the first cells tried
    usual = rows.loc[["A", "C", "D"], "times_typical"].median()
    assert found.labels["ratio"].iloc[0] == pytest.approx(rows.loc["B", "times_typical"] / usual)


def test_a_gene_of_one_type_alone_cannot_be_told(engine, dataset):
    asked = question(dataset, gene(ONLY_IN_A), gene(HUB), cells=CellSet.where(dataset, "type", "A"))
    labels = engine.compute(CompareGroups(asked)).labels.set_index("edit")
    assert labels.loc[f"S{ONLY_IN_A}", "label"] == "cannot tell"
    assert "in no other group" in labels.loc[f"S{ONLY_IN_A}", "reason"]
    assert np.isnan(labels.loc[f"S{ONLY_IN_A}", "ratio"])
    elsewhere = question(dataset, gene(ONLY_IN_A), gene(HUB), cells=CellSet.where(dataset, "type", "B"))
    labels = engine.compute(CompareGroups(elsewhere)).labels.set_index("edit")
    assert labels.loc[f"S{ONLY_IN_A}", "label"] == "cannot tell"
    assert labels.loc[f"S{ONLY_IN_A}", "reason"].startswith("Held by 0 of the cells tried here")


def test_all_cells_have_nothing_beside_them(engine, dataset):
    found = engine.compute(CompareGroups(question(dataset, gene(HUB))))
    assert found.table["group"].tolist() == ["all cells"]
    assert found.labels["label"].tolist() == ["cannot tell"]
    assert found.labels["reason"].tolist() == ["Column 'type' names no other group of cells."]


def test_the_column_is_the_one_the_cells_come_from(dataset):
    assert comparison_column(question(dataset, gene(HUB), group_by="plate")) == "plate"
    assert comparison_column(question(dataset, gene(HUB), cells=CellSet.where(dataset, "plate", "two"))) == "plate"
    assert comparison_column(question(dataset, gene(HUB), cells=CellSet.where(dataset, "type", "C"))) == "type"
    drawn = CellSet.from_positions("drawn on the map", range(30), dataset.n_cells)
    assert comparison_column(question(dataset, gene(HUB), cells=drawn)) == "type"


def test_cells_drawn_on_the_map_stand_beside_the_types_of_the_others(engine, dataset):
    drawn = CellSet.from_positions("drawn", range(0, 60), dataset.n_cells)
    table = engine.compute(CompareGroups(question(dataset, gene(HUB), cells=drawn))).table
    assert table["group"].tolist() == ["drawn", "A", "B", "C", "D"]


def rows(*times, n_holding=16):
    groups = [f"g{number}" for number in range(len(times))]
    asked = [number == 0 for number in range(len(times))]
    held = n_holding if isinstance(n_holding, list) else [n_holding] * len(times)
    return pd.DataFrame(
        {"edit": "X", "group": groups, "asked": asked, "n_holding": held, "effect": 0.1, "typical": 0.1,
         "times_typical": list(times)}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("table", "label", "ratio"),
    [
        (rows(4.0, 2.0, 2.0, 2.0), "specific", 2.0),
        (rows(3.9, 2.0, 2.0, 2.0), "cannot tell", 1.95),
        (rows(3.0, 2.0, 2.0, 2.0), "cannot tell", 1.5),
        (rows(2.9, 2.0, 2.0, 2.0), "generic", 1.45),
        (rows(1.0, 9.0, 1.0, 1.0), "generic", 1.0),  # the median, not the mean
        (rows(0.9, 0.3, 0.3), "cannot tell", 3.0),  # less than a random gene does: nothing to be specific about
        (rows(4.0, 1.0, 1.0, n_holding=[4, 16, 16]), "cannot tell", 4.0),
        (rows(4.0, 4.0, 1.0, n_holding=[16, 4, 16]), "specific", 4.0),  # a group of few holders does not count
        (rows(4.0, 1.0, n_holding=[16, 4]), "cannot tell", np.nan),
        (rows(4.0), "cannot tell", np.nan),
        (rows(np.nan, 1.0, n_holding=[0, 16]), "cannot tell", np.nan),
    ],
)
def test_the_limits_of_the_labels(table, label, ratio):
    found = label_groups(table)
    assert found["label"].tolist() == [label]
    assert found["ratio"].to_numpy() == pytest.approx([ratio], nan_ok=True)
    assert found["reason"][0].endswith(".")


def test_real_cells_under_pca(engine, tiny_dataset):
    baseline = EmbedCells(tiny_dataset, find_model("pca"))
    edits = tuple((Delete(each),) for each in find_genes(tiny_dataset, ["LYZ", "CD74"]))
    asked = PerturbGenes(baseline, edits, cells=CellSet.where(tiny_dataset, "cell_type", "CD14+ monocyte"))
    found = engine.compute(CompareGroups(asked))
    assert found.column == "cell_type"
    assert found.table["group"].nunique() == tiny_dataset.cells()["cell_type"].nunique()
    assert found.table["edit"].tolist() == sorted(found.table["edit"], key=["LYZ", "CD74"].index)
    assert set(found.labels["label"]) <= {"specific", "generic", "cannot tell"}
    assert found.n_passes > 0


def test_numbers_out_of_range_are_refused(dataset):
    with pytest.raises(RequestError, match="at least 1 random gene"):
        replace(CompareGroups(question(dataset, gene(HUB))), null_cells=0)
