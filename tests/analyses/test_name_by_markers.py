"""Names from marker genes: right on real cells, "unknown" where nothing is to be known, p uniform under both nulls."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import ByClusters, ByColumn, BySelections, group_labels
from scfm_core.analyses.marker_scores import compare_genes, joined_statistics, places_of, raised_cells_p, random_set_p
from scfm_core.analyses.name_by_markers import MarkerNames, NameByMarkers
from scfm_core.cell_markers import CellMarkers, MarkerTable, curated_markers, typed_markers
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes
from scfm_core.registry import find_model
from scfm_core.store import Store

LIKELY = {
    "B": {"B cell"},
    "CD14+ monocyte": {"classical monocyte"},
    "CD4 T memory": {"CD4-positive, alpha-beta memory T cell", "CD4-positive, alpha-beta T cell", "T cell"},
    "CD4 T naive": {"naive thymus-derived CD4-positive, alpha-beta T cell", "CD4-positive, alpha-beta T cell"},
    "CD8 T": {"CD8-positive, alpha-beta T cell", "T cell"},
    "Dendritic": {"dendritic cell", "CD1c-positive myeloid dendritic cell"},
    "FCGR3A+ monocyte": {"non-classical monocyte"},
    "Megakaryocyte": {"platelet"},
    "NK": {"natural killer cell"},
}


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(Store(tmp_path_factory.mktemp("names")), ThreadExecutor(["cpu"]))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def clusters(demo_dataset: Dataset) -> ByClusters:
    return ByClusters(ClusterCells(EmbedCells(demo_dataset, find_model("pca"))))


@pytest.fixture(scope="module")
def named(demo_dataset: Dataset, clusters: ByClusters, shared_engine: Engine) -> MarkerNames:
    return shared_engine.compute(NameByMarkers(demo_dataset, clusters, curated_markers()))


def shuffled(dataset: Dataset, labels: np.ndarray, seed: int) -> BySelections:
    labels = np.random.default_rng(seed).permutation(labels)
    return BySelections(tuple(CellSet.from_mask(name, labels == name) for name in np.unique(labels) if name))


def test_leiden_clusters_of_blood_get_their_names(
    demo_dataset: Dataset, clusters: ByClusters, named: MarkerNames, shared_engine: Engine
) -> None:
    labels = group_labels(shared_engine, demo_dataset, clusters)
    truth = demo_dataset.cells()["cell_type"].astype(str).to_numpy()
    n_right = 0
    for _, row in named.groups.iterrows():
        kinds, counts = np.unique(truth[labels == row["group"]], return_counts=True)
        n_right += row["name"] in LIKELY[kinds[counts.argmax()]]
        assert row["confidence"] >= 0.8
        assert row["reason"] == ""
    assert n_right == len(named.groups) == 9


def test_the_evidence_stands_beside_the_name(
    named: MarkerNames, demo_dataset: Dataset, clusters: ByClusters, shared_engine: Engine
) -> None:
    row = named.groups[named.groups["name"] == "B cell"].iloc[0]
    genes = named.genes[(named.genes["group"] == row["group"]) & (named.genes["set"] == "B cell")]
    one = genes[genes["symbol"] == "CD79A"].iloc[0]
    counts = demo_dataset.expression(find_genes(demo_dataset, ["CD79A"])[0]) > 0
    inside = group_labels(shared_engine, demo_dataset, clusters) == row["group"]
    assert one["share_in"] == pytest.approx(counts[inside].mean())
    assert one["share_out"] == pytest.approx(counts[~inside].mean())
    assert f"CD79A {100 * counts[inside].mean():.0f} % of cells" in row["evidence"]
    assert genes["score"].is_monotonic_decreasing


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_cells_are_nearly_all_unknown(
    demo_dataset: Dataset, clusters: ByClusters, shared_engine: Engine, seed: int
) -> None:
    labels = group_labels(shared_engine, demo_dataset, clusters)
    found = shared_engine.compute(
        NameByMarkers(demo_dataset, shuffled(demo_dataset, labels, seed), curated_markers())
    ).groups
    assert (found["name"] == "unknown").sum() >= len(found) - 1
    assert found.loc[found["name"] == "unknown", "reason"].str.len().min() > 0


def test_p_over_cells_is_uniform_where_labels_mean_nothing(tiny_dataset: Dataset) -> None:
    genes = np.array([tiny_dataset.gene_ids.index(gene) for gene in find_genes(tiny_dataset, ["LYZ", "FCN1", "CST3"])])
    random = np.random.default_rng(0)
    p_values = [
        raised_cells_p(tiny_dataset, random.permutation(np.repeat([0, -1, -1], 40)), 1, genes)[0] for _ in range(400)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_p_over_genes_is_uniform_for_random_sets(tiny_dataset: Dataset) -> None:
    labels = tiny_dataset.cells()["cell_type"].astype(str).to_numpy()
    places = places_of(labels, ["B"])
    parts = [compare_genes(tiny_dataset, places, 1, span) for span in ((0, 700), (700, tiny_dataset.n_genes))]
    statistics = joined_statistics(parts, ["B"])
    random = np.random.default_rng(1)
    places = [random.choice(len(statistics.genes), 8, replace=False) for _ in range(120)]
    p_values = [random_set_p(statistics, pair, seed=0)["p"][0] for pair in enumerate(places)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_p_over_cells_is_that_of_scipy(tiny_dataset: Dataset) -> None:
    genes = np.array([tiny_dataset.gene_ids.index(gene) for gene in find_genes(tiny_dataset, ["NKG7", "KLRD1"])])
    counts = tiny_dataset.counts()
    values = np.log1p(counts.matrix[:, genes].toarray() * (1e4 / counts.total_counts)[:, None])
    cells = ((values - values.mean(axis=0)) / values.std(axis=0)).mean(axis=1).round(12)
    labels = tiny_dataset.cells()["cell_type"].astype(str).to_numpy()
    inside = labels == "NK"
    expected = stats.mannwhitneyu(
        cells[inside], cells[~inside], alternative="greater", use_continuity=False, method="asymptotic"
    ).pvalue
    assert raised_cells_p(tiny_dataset, places_of(labels, ["NK"]), 1, genes)[0] == pytest.approx(expected, rel=1e-6)


def test_types_of_one_lineage_that_are_not_told_apart_are_called_by_it(
    demo_dataset: Dataset, shared_engine: Engine
) -> None:
    genes = ("CD79A", "MS4A1", "CD79B", "CD19", "BANK1", "CD22")
    twins = tuple(CellMarkers(f"B {kind}", genes[at::2], lineage=("B cell",)) for at, kind in enumerate("xy"))
    others = tuple(one for one in curated_markers().types if one.name in ("natural killer cell", "classical monocyte"))

    def names(*types: CellMarkers) -> pd.DataFrame:
        table = MarkerTable("mine", types)
        request = NameByMarkers(demo_dataset, ByColumn("cell_type"), table, min_support=0.99)
        return shared_engine.compute(request).groups.set_index("group")

    assert names(*twins, *others).loc["B", "name"] == "B cell"
    apart = tuple(CellMarkers(one.name, one.genes) for one in twins)
    found = names(*apart, *others)
    assert found.loc["B", "name"] == "unknown"
    assert "not told apart" in found.loc["B", "reason"]


def test_a_group_too_small_to_compare_is_unknown_and_says_so(demo_dataset: Dataset, shared_engine: Engine) -> None:
    few = CellSet.from_positions("few", range(3), demo_dataset.n_cells)
    many = CellSet.from_positions("many", range(100, 400), demo_dataset.n_cells)
    found = shared_engine.compute(NameByMarkers(demo_dataset, BySelections((few, many)), curated_markers(["blood"])))
    row = found.groups.set_index("group").loc["few"]
    assert (row["name"], row["n_cells"]) == ("unknown", 3)
    assert "fewer than 5 cells" in row["reason"]
    assert any("1 group has" in remark for remark in found.remarks)


def test_what_cannot_be_scored_is_told(demo_dataset: Dataset, shared_engine: Engine) -> None:
    table = typed_markers("B cell: MS4A1, CD79A, CD79B, CD19\nmoon cell: XXX1, XXX2, XXX3")
    found = shared_engine.compute(NameByMarkers(demo_dataset, ByColumn("cell_type"), table))
    assert "1 of 2 sets" in found.remarks[0]
    assert set(found.scores["set"]) == {"B cell"}
    with pytest.raises(RequestError) as error:
        shared_engine.compute(NameByMarkers(demo_dataset, ByColumn("cell_type"), typed_markers("moon: XXX1 XXX2 XXX3")))
    assert error.value.code == "no-genes"


def test_one_group_alone_is_refused(tiny_dataset: Dataset, engine: Engine) -> None:
    everything = BySelections((CellSet.from_mask("all", np.ones(tiny_dataset.n_cells, dtype=bool)),))
    with pytest.raises(RequestError) as error:
        engine.compute(NameByMarkers(tiny_dataset, everything, curated_markers()))
    assert error.value.code == "nothing-to-compare"


@pytest.mark.parametrize(
    "types",
    [(), (CellMarkers("a", ("X",)),) * 2, (CellMarkers("unknown", ("X",)),), (CellMarkers("a", ("X",) * 501),)],
)
def test_sets_that_cannot_name_are_refused(tiny_dataset: Dataset, types: tuple[CellMarkers, ...]) -> None:
    with pytest.raises(RequestError) as error:
        NameByMarkers(tiny_dataset, ByColumn("cell_type"), MarkerTable("mine", types))
    assert error.value.code == "bad-markers"
