"""Names from a reference: right for types that it has, unknown for those that it lacks, and how it does itself."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.neighbors import KNeighborsClassifier

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import ByColumn
from scfm_core.analyses.match_cells import FAR, MATCHED, NO_VECTOR, MatchCells, balanced, distance_limits
from scfm_core.analyses.name_by_reference import NameByReference
from scfm_core.analyses.reference_space import cut_to_genes
from scfm_core.dataset import Dataset, NewDataset, subset_dataset, write_dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import RequestError
from scfm_core.registry import find_model
from scfm_core.store import Store

Halves = tuple[Dataset, Dataset]


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(Store(tmp_path_factory.mktemp("reference")), ThreadExecutor(["cpu"]))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def halves(demo_dataset: Dataset) -> Halves:
    """Two random halves of the demo: the cells to name, and the reference."""
    chosen = np.random.default_rng(0).random(demo_dataset.n_cells) < 0.5
    mine = subset_dataset(demo_dataset, chosen, title="a half", note="a random half")
    return mine, subset_dataset(demo_dataset, ~chosen, title="the other half", note="a random half")


def types_of(dataset: Dataset) -> np.ndarray:
    return dataset.cells()["cell_type"].astype(str).to_numpy()


def matching(query: Dataset, reference: Dataset, model: str = "pca") -> MatchCells:
    spec = find_model(model)
    return MatchCells(EmbedCells(query, spec), EmbedCells(reference, spec), "cell_type")


def without(reference: Dataset, gone: str) -> Dataset:
    return subset_dataset(reference, types_of(reference) != gone, title="less", note=f"without {gone}")


def test_one_half_names_the_other(halves: Halves, shared_engine: Engine) -> None:
    query, reference = halves
    truth = types_of(query)
    cells = shared_engine.compute(matching(query, reference))
    kept = cells.state == MATCHED
    assert kept.mean() > 0.8
    assert (np.array(cells.labels)[cells.label[kept]] == truth[kept]).mean() > 0.93
    named = shared_engine.compute(NameByReference(matching(query, reference), ByColumn("cell_type")))
    table = named.groups.set_index("group").drop(index="Megakaryocyte")  # six cells are too few to be sure of
    assert (table["name"] == table.index).all()
    assert named.groups.set_index("group").loc["Megakaryocyte", "name"] == "unknown"
    assert table["reference_found"].between(0.5, 1).all()
    shares = table["confidence"] + table["far_share"] + table["split_share"] + table["no_vector_share"]
    assert (shares <= 1 + 1e-9).all()


SLOW = [pytest.param(gone, marks=pytest.mark.slow) for gone in ("NK", "CD14+ monocyte", "FCGR3A+ monocyte", "CD8 T")]


@pytest.mark.parametrize("gone", ["B", *SLOW])
def test_a_type_that_the_reference_lacks_is_unknown(halves: Halves, shared_engine: Engine, gone: str) -> None:
    query, reference = halves[0], without(halves[1], gone)
    truth = types_of(query)
    cells = shared_engine.compute(matching(query, reference))
    assert (cells.state[truth == gone] != MATCHED).mean() > 0.8
    assert (cells.state[truth != gone] == MATCHED).mean() > 0.75
    groups = shared_engine.compute(NameByReference(matching(query, reference), ByColumn("cell_type"))).groups
    row = groups.set_index("group").loc[gone]
    assert row["name"] == "unknown"
    assert "farther from the reference" in row["reason"]


@pytest.mark.slow
def test_a_pretrained_model_shares_its_space(halves: Halves, shared_engine: Engine) -> None:
    query, reference = halves
    truth = types_of(query)
    cells = shared_engine.compute(matching(query, reference, "scfm-mini"))
    monocytes = (truth == "CD14+ monocyte") & (cells.state == MATCHED)
    assert monocytes.sum() > 100
    assert (np.array(cells.labels)[cells.label[monocytes]] == "CD14+ monocyte").mean() > 0.8
    missing = shared_engine.compute(matching(query, without(reference, "B"), "scfm-mini"))
    assert (missing.state[truth == "B"] != MATCHED).mean() > 0.8


def test_the_reference_says_how_it_does_itself(halves: Halves, shared_engine: Engine) -> None:
    query, reference = halves
    table = shared_engine.compute(matching(query, reference)).self_test.set_index("label")
    truth = types_of(reference)
    assert table.loc["all", "n_cells"] == len(truth)
    assert table["n_cells"].drop("all").to_dict() == {kind: int((truth == kind).sum()) for kind in np.unique(truth)}
    weights = table["n_cells"].drop("all") / len(truth)
    assert table.loc["all", "found"] == pytest.approx((weights * table["found"].drop("all")).sum())
    assert 0.85 < table.loc["all", "found"] < 0.97


def test_leave_one_out_is_that_of_scikit_learn(halves: Halves, shared_engine: Engine) -> None:
    query, reference = halves
    request = matching(query, reference)
    found = shared_engine.compute(request).self_test.set_index("label").loc["all", "found"]

    def gaussian(distances: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * (distances / distances.mean(axis=1, keepdims=True)) ** 2)

    points, truth = space_of(shared_engine, request), types_of(reference)
    right = []
    for cell in range(0, len(points), 40):
        others = np.arange(len(points)) != cell
        judge = KNeighborsClassifier(15, weights=gaussian, algorithm="brute").fit(points[others], truth[others])
        right.append(judge.predict(points[[cell]])[0] == truth[cell])
    assert abs(np.mean(right) - found) < 3 * np.sqrt(0.1 * 0.9 / len(right))


def space_of(engine: Engine, request: MatchCells) -> np.ndarray:
    """The reference in the space of both fits, by the functions of PCA itself."""
    from scfm_core.models.pca import PcaModel, fit_pca

    pair = (request.query.dataset, request.reference.dataset)
    genes = np.intersect1d(pair[0].gene_ids, pair[1].gene_ids)
    query, reference = (cut_to_genes(dataset, genes) for dataset in pair)
    parts = []
    for fitted in (fit_pca(query), fit_pca(reference)):
        model = PcaModel(fitted)
        parts.append(model.embed(model.encode(reference.counts()), request.query.chosen_options).cells)
    return np.hstack(parts)


def test_genes_that_only_one_has_play_no_part(tiny_dataset: Dataset, tmp_path) -> None:
    genes = np.array(tiny_dataset.gene_ids[10:500])
    cut = cut_to_genes(tiny_dataset, genes)
    counts = cut.counts(slice(0, 5))
    assert counts.gene_ids == tuple(genes)
    assert counts.matrix.shape == (5, 490)
    np.testing.assert_array_equal(counts.total_counts, tiny_dataset.total_counts[:5])
    np.testing.assert_array_equal(counts.matrix.toarray(), tiny_dataset.counts(slice(0, 5)).matrix.toarray()[:, 10:500])


def test_cells_at_any_distance_are_kept_where_asked(halves: Halves, shared_engine: Engine) -> None:
    query, reference = halves[0], without(halves[1], "B")
    cells = shared_engine.compute(replace(matching(query, reference), distance_quantile=1.0))
    assert not (cells.state == FAR).any()
    assert np.isinf(cells.self_test["cut_off"].iloc[:-1]).all()


def test_a_shift_between_batches_is_told(halves: Halves, shared_engine: Engine, tmp_path) -> None:
    """Every third gene loses most of its counts, as another chemistry may do."""
    query, reference = halves
    counts = query.counts()
    kept = np.random.default_rng(0).random(query.n_genes) < 0.6
    lost = counts.matrix @ csr_diagonal(kept)
    new = NewDataset(
        matrix=lost, gene_ids=query.gene_ids, gene_symbols=query.gene_symbols, cells=query.cells(), organism="human",
        roles=query.roles, title="shifted",
    )  # fmt: skip
    shifted = write_dataset(tmp_path, new)
    cells = shared_engine.compute(matching(shifted, reference))
    assert (cells.state == FAR).mean() > 0.5
    assert any("shift between two batches" in remark for remark in cells.remarks)
    assert not any("shift" in remark for remark in shared_engine.compute(matching(query, reference)).remarks)


def csr_diagonal(kept: np.ndarray) -> csr_matrix:
    places = np.flatnonzero(kept)
    return csr_matrix((np.ones(len(places), dtype=np.int64), (places, places)), shape=(len(kept), len(kept)))


def test_a_cell_without_counts_has_no_label(halves: Halves, shared_engine: Engine, tmp_path) -> None:
    query, reference = halves
    matrix = query.counts(slice(0, 200)).matrix.tolil()
    matrix[3] = 0
    new = NewDataset(
        matrix=csr_matrix(matrix), gene_ids=query.gene_ids, gene_symbols=query.gene_symbols,
        cells=query.cells().iloc[:200], organism="human", roles=query.roles, title="one is empty",
    )  # fmt: skip
    cells = shared_engine.compute(matching(write_dataset(tmp_path, new), reference))
    assert np.flatnonzero(cells.state == NO_VECTOR).tolist() == [3]
    assert cells.label[3] == -1
    assert np.isnan(cells.agreement[3])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda query, reference: matching(query, query), "same-dataset"),
        (lambda query, reference: replace(matching(query, reference), n_neighbors=0), "out-of-range"),
        (lambda query, reference: replace(matching(query, reference), min_agreement=1.5), "out-of-range"),
        (
            lambda query, reference: MatchCells(
                EmbedCells(query, find_model("pca")), EmbedCells(reference, find_model("scfm-mini")), "cell_type"
            ),
            "other-space",
        ),
        (lambda query, reference: matching(query, reference, "combat"), "no-shared-space"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    halves: Halves, change: Callable[[Dataset, Dataset], MatchCells], code: str
) -> None:
    with pytest.raises(RequestError) as error:
        change(*halves)
    assert error.value.code == code


def test_a_reference_that_cannot_name_is_refused(
    halves: Halves, tiny_dataset: Dataset, shared_engine: Engine, mouse: Dataset
) -> None:
    query, reference = halves
    spec = find_model("pca")
    one_label = MatchCells(EmbedCells(query, spec), EmbedCells(reference, spec), "donor")
    no_column = MatchCells(EmbedCells(query, spec), EmbedCells(reference, spec), "nothing")
    for request, code in ((one_label, "unsuitable-reference"), (no_column, "unknown-column")):
        with pytest.raises(RequestError) as error:
            shared_engine.compute(request)
        assert error.value.code == code
    with pytest.raises(RequestError) as error:
        matching(query, mouse)
    assert error.value.code == "other-organism"


@pytest.fixture(scope="module")
def mouse(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Dataset) -> Dataset:
    counts = tiny_dataset.counts()
    new = NewDataset(
        matrix=counts.matrix, gene_ids=tuple(f"m{gene}" for gene in tiny_dataset.gene_ids),
        gene_symbols=tiny_dataset.gene_symbols, cells=tiny_dataset.cells(), organism="mouse",
        total_counts=counts.total_counts, title="mouse",
    )  # fmt: skip
    return write_dataset(tmp_path_factory.mktemp("mouse"), new)


def test_too_few_shared_genes_are_refused(halves: Halves, shared_engine: Engine, tmp_path) -> None:
    query, reference = halves
    few = cut_to_genes(query, np.array(query.gene_ids[:150])).counts()
    new = NewDataset(
        matrix=few.matrix, gene_ids=few.gene_ids, gene_symbols=few.gene_ids, cells=query.cells(), organism="human",
        total_counts=few.total_counts, roles=query.roles, title="few genes",
    )  # fmt: skip
    with pytest.raises(RequestError, match="150 are shared") as error:
        shared_engine.compute(matching(write_dataset(tmp_path, new), reference))
    assert error.value.code == "too-few-shared-genes"


def test_rare_labels_are_drawn_whole() -> None:
    labels = np.array(["a"] * 900 + ["b"] * 80 + ["c"] * 20)
    chosen = balanced(labels, most=150)
    assert {kind: int((labels[chosen] == kind).sum()) for kind in "abc"} == {"a": 65, "b": 65, "c": 20}
    assert len(balanced(labels, most=1000)) == 1000


def test_limits_are_quantiles_of_each_label() -> None:
    distances = np.concatenate([np.arange(100.0), 1000 + np.arange(100.0), [5.0, np.nan]])
    codes = np.repeat([0, 1, 2], [100, 100, 2])
    limits = distance_limits(distances, codes, 3, quantile=0.9)
    assert limits[:2] == pytest.approx([np.quantile(np.arange(100), 0.9), 1000 + np.quantile(np.arange(100), 0.9)])
    assert limits[2] == pytest.approx(np.nanquantile(distances, 0.9))
    assert np.isinf(distance_limits(distances, codes, 3, quantile=1.0)).all()
