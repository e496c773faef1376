"""Differences between donors: against PyDESeq2 itself, under a null in which donors differ, and a planted truth."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scfm_core.analyses.compare_donors import COLUMNS, CompareDonors, DonorComparison
from scfm_core.analyses.donor_design import design_of
from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.grouping import ByColumn
from scfm_core.analyses.sum_pseudobulks import SumPseudobulks
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import RequestError
from scfm_core.store import Store
from tests.analyses.donors import RAISED, donor_dataset
from tests.analyses.planted import dataset_of

SIDE = ByColumn("side")


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(Store(tmp_path_factory.mktemp("donors")), ThreadExecutor(["cpu"]))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return donor_dataset(tmp_path_factory.mktemp("pairs"), paired=True, planted=True, n_genes=300, n_donors=4)


@pytest.fixture(scope="module")
def found(pairs: Dataset, shared_engine: Engine) -> DonorComparison:
    return shared_engine.compute(CompareDonors(pairs, SIDE, "donor", groups=("b",)))


def sums_by_hand(dataset: Dataset, keys: list[str]) -> pd.DataFrame:
    counts = pd.DataFrame(dataset.counts().matrix.toarray().astype(int), columns=list(dataset.gene_ids))
    cells = dataset.cells()
    return counts.groupby([cells[key].astype(str).to_numpy() for key in keys]).sum()


def test_sums_hold_every_count_once(pairs, shared_engine):
    within = CellSet.where(pairs, "kind", "one")
    sums = shared_engine.compute(SumPseudobulks(pairs, SIDE, ("donor", "lane"), within))
    assert sums.n_left_out == pairs.n_cells - len(within)
    assert sums.samples["n_cells"].sum() == len(within)
    index = pd.MultiIndex.from_frame(sums.samples[["group", "0", "1", "n_cells"]].drop(columns="n_cells"))
    kept = pairs.cells()[within.mask]
    counts = pd.DataFrame(pairs.counts(within.positions).matrix.toarray().astype(int))
    expected = counts.groupby([kept[key].astype(str).to_numpy() for key in ("side", "donor", "lane")])
    np.testing.assert_array_equal(sums.counts, expected.sum().loc[index])
    np.testing.assert_array_equal(sums.holding, expected.agg(lambda column: (column > 0).sum()).loc[index])


def test_results_equal_a_direct_call(pairs, found):
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    counts = sums_by_hand(pairs, ["donor", "side"])
    cells = counts.index.to_frame(index=False).set_axis(["donor", "side"], axis=1)
    counts, cells = counts.set_axis([f"s{n}" for n in range(8)]), cells.set_axis([f"s{n}" for n in range(8)])
    counts = counts.loc[:, (counts >= 10).sum() >= 4]
    inference = DefaultInference(n_cpus=1)
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr("warnings.warn", lambda *args, **options: None)
        fitted = DeseqDataSet(counts=counts, metadata=cells, design="~donor + side", inference=inference, quiet=True)
        fitted.deseq2()
        direct = DeseqStats(fitted, contrast=["side", "b", "a"], inference=inference, quiet=True)
        direct.summary()
    ours = found.table.set_index("gene_id").loc[counts.columns]
    assert len(ours) == len(found.table)
    columns = {"base_mean": "baseMean", "log2_fold_change": "log2FoldChange", "log2_fold_change_error": "lfcSE",
               "score": "stat", "p_value": "pvalue", "p_adjusted": "padj"}  # fmt: skip
    for mine, theirs in columns.items():
        np.testing.assert_allclose(ours[mine], direct.results_df[theirs], rtol=2e-4, atol=1e-8, err_msg=mine)


def test_the_table_says_over_what_it_is(pairs, found, shared_engine):
    table = found.table
    assert tuple(table.columns) == COLUMNS
    assert set(table["group"]) == {"b"}
    assert (np.diff(table["score"]) <= 0).all()
    cells = shared_engine.compute(FindMarkers(pairs, SIDE)).table
    cells = cells[cells["group"] == "b"].set_index("gene_id").loc[table["gene_id"]]
    for column in ("share_in", "share_out", "mean_in", "mean_out", "n_in", "n_out"):
        np.testing.assert_allclose(table[column], cells[column], rtol=1e-9, err_msg=column)
    assert (found.samples.groupby("side")["n_cells"].sum() == [120, 120]).all()
    one = found.designs.iloc[0]
    assert (one.formula, bool(one.paired), one.n_donors_in, one.n_donors_out) == ("donor + side", True, 4, 4)
    assert found.samples["total_counts"].sum() == pairs.counts().matrix.sum()


def test_planted_genes_are_found(found):
    number = found.table["gene_id"].str[-4:].astype(int)
    hits = set(number[found.table["p_adjusted"] < 0.05])
    assert len(hits & set(range(RAISED))) >= RAISED - 2
    assert len(hits - set(range(RAISED))) <= 4
    raised = found.table.loc[number < RAISED, "log2_fold_change"]
    assert abs(raised.median() - 2.0) < 0.35


def test_the_same_question_has_the_same_answer(pairs, found, tmp_path):
    other = Engine(Store(tmp_path / "other"), ThreadExecutor(["cpu"]))
    again = other.compute(CompareDonors(pairs, SIDE, "donor", groups=("b",)))
    other.close()
    pd.testing.assert_frame_equal(again.table, found.table)


@pytest.mark.parametrize(("paired", "n_donors", "n_cells"), [(False, 16, 40), (True, 6, 80)])
def test_without_a_difference_donors_give_uniform_p_and_cells_do_not(
    tmp_path, shared_engine, paired, n_donors, n_cells
):
    """The point of it all: donors differ, sides do not, and a test over cells finds genes by the dozen."""
    data = donor_dataset(
        tmp_path, paired=paired, planted=False, n_donors=n_donors, n_cells=n_cells, n_genes=500, seed=2
    )
    over_donors = shared_engine.compute(CompareDonors(data, SIDE, "donor", groups=("b",))).table
    over_cells = shared_engine.compute(FindMarkers(data, SIDE)).table
    over_cells = over_cells[over_cells["group"] == "b"]
    p = over_donors["p_value"].dropna()
    assert len(p) > 450
    assert 0.02 < (p < 0.05).mean() < 0.08
    assert stats.kstest(p, "uniform").statistic < 0.09
    assert (over_donors["p_adjusted"] < 0.05).sum() <= 1
    assert stats.kstest(over_cells["p_value"], "uniform").statistic > (0.18 if paired else 0.35)
    assert (over_cells["p_adjusted"] < 0.05).sum() > (20 if paired else 100)


def test_a_condition_within_a_cell_type(tmp_path, shared_engine):
    """The effect stands in one kind of cells only; asked within the other kind there is nothing."""
    data = donor_dataset(tmp_path / "plain", paired=True, planted=False, n_donors=5, n_cells=120, n_genes=200, seed=4)
    counts, cells = data.counts().matrix.toarray().astype(int), data.cells()
    affected = ((cells["kind"] == "one") & (cells["side"] == "b")).to_numpy()
    counts[np.ix_(affected, range(15))] *= 5
    mixed = dataset_of(tmp_path, counts, {name: cells[name].to_numpy() for name in cells})
    hits = {}
    for kind in ("one", "other"):
        within = CellSet.where(mixed, "kind", kind)
        asked = CompareDonors(mixed, SIDE, "donor", "a", within=within)
        table = shared_engine.compute(asked).table
        assert set(table["group"]) == {"b"}
        assert set(table["n_in"] + table["n_out"]) == {len(within)}
        hits[kind] = set(table.loc[table["p_adjusted"] < 0.05, "gene_id"].str[-4:].astype(int))
    assert len(hits["one"] & set(range(15))) >= 13
    assert len(hits["other"]) <= 1


def test_missing_p_values_say_why(tmp_path, shared_engine):
    data = donor_dataset(tmp_path / "plain", paired=False, planted=True, n_donors=8, n_cells=40, n_genes=200, seed=6)
    counts, cells = data.counts().matrix.toarray().astype(int), data.cells()
    counts[3, 100] = 40_000  # one cell of one donor
    odd = dataset_of(tmp_path, counts, {name: cells[name].to_numpy() for name in cells})
    table = shared_engine.compute(CompareDonors(odd, SIDE, "donor", groups=("b",))).table
    row = table.set_index("gene_id").loc["ENSG00000000100"]
    assert row["note"] == "outlier"
    assert np.isnan(row["p_value"])
    assert ((table["note"] == "few counts") == (table["p_adjusted"].isna() & table["p_value"].notna())).all()
    assert table.loc[table["note"] == "", "p_adjusted"].notna().all()


def test_too_few_donors_are_refused_in_words(tmp_path, shared_engine):
    data = donor_dataset(tmp_path, paired=False, planted=False, n_donors=5, n_genes=60)
    with pytest.raises(RequestError, match="at least 3 donors on each side") as caught:
        shared_engine.compute(CompareDonors(data, SIDE, "donor"))
    assert caught.value.code == "few-donors"
    assert "found 2 of 2 donors in the group, 3 of 3" in str(caught.value)
    with pytest.raises(RequestError, match="3 donors with both, each with 500 cells"):
        shared_engine.compute(CompareDonors(data, SIDE, "donor", min_cells=500))


def test_a_group_without_donors_enough_is_left_out_and_named(tmp_path, shared_engine):
    data = donor_dataset(tmp_path / "plain", paired=True, planted=False, n_donors=4, n_genes=80)
    cells = data.cells()
    kinds = cells["kind"].astype(str).to_numpy(dtype=object)
    kinds[cells["donor"] == "donor 0"], kinds[5] = "only here", None
    other = dataset_of(tmp_path, data.counts().matrix.toarray().astype(int), {"kind": kinds, "donor": cells["donor"]})
    answer = shared_engine.compute(CompareDonors(other, ByColumn("kind"), "donor"))
    assert answer.table["group"].unique().tolist() == ["one", "other"]
    refused = answer.designs.set_index("group").loc["only here"]
    assert not refused["tested"]
    assert "found 1 of 1 donors in the group" in refused["remarks"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"donor_column": "nobody"}, "no column 'nobody'"),
        ({"reference": "c"}, "is in the group 'c'. Choose among: a, b"),
        ({"groups": ("c",)}, "is in the group 'c'"),
        ({"batch_column": "nothing"}, "no column 'nothing'"),
    ],
)
def test_what_is_not_there_is_named(pairs, shared_engine, options, words):
    with pytest.raises(RequestError, match=words):
        shared_engine.compute(CompareDonors(pairs, SIDE, **({"donor_column": "donor"} | options)))


def test_cells_of_another_dataset_and_no_cells_at_all(pairs, shared_engine):
    with pytest.raises(RequestError, match="Choose the cells again"):
        SumPseudobulks(pairs, SIDE, ("donor",), CellSet.from_positions("mine", [1], 7))
    with pytest.raises(RequestError, match="at least 1 cell"):
        CompareDonors(pairs, SIDE, "donor", min_cells=0)
    nobody = CellSet.from_positions("nobody", [], pairs.n_cells)
    with pytest.raises(RequestError, match="None of the 240 cells"):
        shared_engine.compute(SumPseudobulks(pairs, SIDE, ("donor",), nobody))


FULL = np.full((2, 4), 50)
NESTED = np.array([[50, 50, 50, 50, 0, 0, 0, 0], [0, 0, 0, 0, 50, 50, 50, 50]])


@pytest.mark.parametrize(
    ("n_cells", "batches", "formula", "words"),
    [
        (FULL, None, "donor + side", ""),
        (FULL, [[0, 0, 1, 1]] * 2, "donor + side", "the donor is in the model already"),
        (FULL, [[0, 1, 0, 1], [1, 0, 1, 0]], "donor + batch + side", ""),
        (FULL, [[0, 0, 0, 0], [1, 1, 1, 1]], "donor + side", "the two sides are of different batches"),
        (FULL, [[0, 0, 0, 0]] * 2, "donor + side", ""),
        (FULL, [[0, -1, 0, 0]] * 2, "donor + side", "2 samples hold cells of several batches"),
        (NESTED, [[0, 1, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 1]], "batch + side", ""),
        (NESTED, [[0] * 8, [1] * 8], "side", "the two sides are of different batches"),
        (NESTED, [list(range(8)), list(range(8))], "side", "the two sides are of different batches"),
    ],
)
def test_the_model_fits_the_samples(n_cells, batches, formula, words):
    design = design_of(n_cells, None if batches is None else np.array(batches), min_cells=10)
    assert design.formula == formula
    assert words in " ".join(design.remarks)
    assert bool(words) == bool(design.remarks)
    assert np.linalg.matrix_rank(design.matrix) == design.matrix.shape[1] < len(design.matrix)
    np.testing.assert_array_equal(design.matrix["side"], design.inside)


def test_no_donor_counts_twice_where_donors_stand_on_one_side():
    n_cells = np.array([[50, 60, 70, 40, 0, 0, 0], [0, 0, 20, 50, 50, 50, 5]])
    design = design_of(n_cells, None, min_cells=10)
    assert design.formula == "side"
    assert sorted(design.donors) == [0, 1, 2, 3, 4, 5]
    assert design.inside[np.argsort(design.donors)].tolist() == [True, True, True, False, False, False]
    assert "fewer than 10 cells, left out: 1" in design.remarks[0]
    assert "left out: 2" in design.remarks[1]
