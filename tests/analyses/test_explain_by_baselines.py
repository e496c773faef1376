"""What the baselines say of genes: where they know everything, where they know nothing, and of a planted gene."""

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.baseline_ranking import predict_scores
from scfm_core.analyses.baseline_verdicts import edit_verdict
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.explain_by_baselines import ExplainByBaselines
from scfm_core.analyses.fit_model import FitModel
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.ranked_genes import RankedGene, spread_over
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes
from scfm_core.registry import find_model
from scfm_core.tokens import Delete, Overexpress
from tests.analyses.acting_genes import ACTING, ACTOR, GENES, HUB, MARKERS, ORDINARY, acting_dataset, gene


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return acting_dataset(tmp_path_factory.mktemp("acting"))


@pytest.fixture(scope="module")
def held(dataset):
    return [number for number in ORDINARY if (dataset.expression(GENES[number]) > 0).mean() > 0.1]


def explain(engine, dataset, *edits, model=ACTING, null_genes=30, **fields):
    question = PerturbGenes(EmbedCells(dataset, model), edits, null_genes=null_genes, **fields)
    return engine.compute(ExplainByBaselines(question))


def test_features_that_say_nothing_explain_nothing():
    rng = np.random.default_rng(0)
    found = [predict_scores(rng.gamma(1.0, size=120), rng.normal(size=(120, 3)), seed=0) for _ in range(20)]
    assert max(each.share for each in found) < 0.15
    assert np.median([each.share for each in found]) <= 0.0
    within = [np.abs(each.residual_z(np.ones(120, dtype=bool))) <= 1.64 for each in found]
    assert 0.87 < np.mean(within) < 0.93


@pytest.mark.parametrize("signal", [0.5, 1.0, 3.0])
def test_the_share_explained_is_the_share_that_was_put_in(signal):
    rng = np.random.default_rng(1)
    feature = rng.normal(size=(600, 2))
    values = np.exp(signal * feature[:, 0] + rng.normal(size=600))
    found = predict_scores(values, feature, seed=0)
    assert found.share == pytest.approx(signal**2 / (1 + signal**2), abs=0.08)
    low, high = found.interval(np.random.default_rng(0))
    assert low < found.share < high
    assert high - low < 0.2


def test_a_curved_relation_is_found_too():
    rng = np.random.default_rng(2)
    feature = rng.normal(size=(300, 1))
    found = predict_scores(feature[:, 0] ** 2 + 0.1 * rng.normal(size=300), feature, seed=0)
    assert found.share > 0.6  # a straight line finds nothing here


def test_scales_do_not_matter():
    rng = np.random.default_rng(3)
    values, features = rng.gamma(1.0, size=80), rng.normal(size=(80, 2))
    one, other = predict_scores(values, features, seed=5), predict_scores(np.log(values), np.exp(3 * features), seed=5)
    assert other.expected == pytest.approx(one.expected)


def test_a_gene_has_no_part_in_its_own_prediction():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(100, 2))
    values = features[:, 0] + 0.1 * rng.normal(size=100)
    planted = values.copy()
    planted[17] = 50.0
    z = predict_scores(planted, features, seed=0).residual_z(np.arange(100) != 17)
    assert z[17] > 5
    assert np.abs(predict_scores(values, features, seed=0).residual_z(np.arange(100) != 17)[17]) < 3


def test_a_planted_effect_is_not_explained_and_random_genes_are(engine, dataset, held):
    within = []
    for seed in (0, 1):
        some = np.random.default_rng(seed).choice(held, 60, replace=False).tolist()
        found = explain(engine, dataset, gene(HUB), *(gene(number) for number in some), seed=seed)
        rows = found.edits.set_index("edit")
        assert rows["explained"][f"S{HUB}"] is False
        within += (rows["residual_z"].drop(f"S{HUB}").abs() <= 1.64).tolist()
    assert 0.8 < np.mean(within) < 0.99  # 90 % of genes lie within the limits


@pytest.mark.parametrize(
    ("z", "foretold", "explained", "words"),
    [
        (1.0, True, True, "the baselines explain it"),
        (1.0, False, None, "the baselines foretell nothing of this ranking, so they explain nothing"),
        (-2.5, True, False, "less than the baselines explain"),
        (2.5, False, False, "more than the baselines explain"),
    ],
)
def test_baselines_that_foretell_nothing_explain_nothing(z, foretold, explained, words):
    asked = RankedGene((Delete("ENSG00000090382"),), 0.01, "LYZ")
    row = pd.Series({"group": "B", "model_percentile": 90.0, "expected": 52.0})
    found = edit_verdict(asked, row, (z, foretold), with_pca=True)
    assert found["explained"] is explained
    assert found["in_words"].endswith(f"the model says the 90th: {words}.")


def test_the_sentence_says_what_the_numbers_say(engine, dataset):
    found = explain(engine, dataset, gene(HUB), gene(MARKERS["A"]), cells=CellSet.where(dataset, "type", "B"))
    rows = found.edits.set_index("edit")
    hub = rows.loc[f"S{HUB}"]
    assert hub.model_percentile > hub.expected_percentile
    assert hub.residual_z > 1.64
    assert hub.in_words.startswith("Mean expression, detection, rank and the same deletion under PCA together put S100")
    assert hub.in_words.endswith("the model says the 99th: more than the baselines explain.")
    lacking = rows.loc[f"S{MARKERS['A']}"]
    assert lacking.explained is None
    assert np.isnan(lacking.residual_z)
    assert "reads S120 in none of these cells" in lacking.in_words


def test_genes_are_those_asked_about_their_random_ones_and_more(engine, dataset):
    question = PerturbGenes(EmbedCells(dataset, ACTING), (gene(HUB), gene(ACTOR)), null_genes=30, group_by="type")
    found = engine.compute(ExplainByBaselines(question, more_genes=25))
    answer = engine.compute(question)
    for group, rows in found.genes.groupby("group"):
        random = answer.null[answer.null["group"] == group]
        by_symbol = rows.set_index("symbol")
        assert set(random["null_edit"]) <= set(by_symbol.index)
        assert len(rows) == 2 + random["null_edit"].nunique() + 25
        measured = random.drop_duplicates("null_edit").set_index("null_edit")["null_measured"]
        assert by_symbol.loc[measured.index, "model_effect"].to_numpy() == pytest.approx(measured.to_numpy())
        own = answer.effects.set_index(["edit", "group"]).loc[(f"S{HUB}", group), "null_effect"]
        assert by_symbol.loc[f"S{HUB}", "model_effect"] == pytest.approx(own)
        mine = (dataset.cells()["type"] == group).to_numpy()
        assert by_symbol.loc[f"S{HUB}", "detection"] == (dataset.expression(GENES[HUB])[mine] > 0).mean()
        assert rows["symbol"].is_unique
        assert rows["tested"].sum() == 2
    assert found.summary["n_genes"].tolist() == found.genes.groupby("group").size().tolist()
    shares = found.summary[["explained_identity", "explained_pca", "explained_together", "ci_low", "ci_high"]]
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)


def test_more_genes_cover_all_abundances():
    n_holding = np.concatenate([np.zeros(50, dtype=int), np.arange(2, 202)])
    drawn = spread_over(n_holding, 20, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 20
    assert n_holding[drawn].min() >= 3
    assert np.histogram(n_holding[drawn], bins=[3, 53, 103, 153, 203])[0] == pytest.approx(5, abs=1)
    assert len(spread_over(n_holding, 0, np.random.default_rng(0))) == 0
    assert len(spread_over(np.array([5, 0, 9]), 20, np.random.default_rng(0))) == 2


def test_pca_needs_no_second_baseline(engine, tiny_dataset):
    edits = tuple((Delete(each),) for each in find_genes(tiny_dataset, ["LYZ", "CST3"]))
    cells = CellSet.where(tiny_dataset, "cell_type", "CD14+ monocyte")
    found = explain(engine, tiny_dataset, *edits, model=find_model("pca"), cells=cells, null_genes=40)
    row = found.summary.iloc[0]
    assert np.isnan(row.explained_pca)
    assert row.explained_together == row.explained_identity
    assert found.genes["pca_effect"].isna().all()
    assert found.edits["in_words"][0].startswith("Mean expression, detection and rank alone put LYZ at the ")


def test_a_gene_that_pca_does_not_read_counts_as_nothing_and_is_marked(engine, tmp_path):
    wide = acting_dataset(tmp_path / "wide", n_more=1950)
    genes = explain(engine, wide, gene(HUB), gene(MARKERS["A"])).genes
    model = engine.compute(FitModel(wide, find_model("pca")))
    assert (genes["pca_reads"] == genes["gene_id"].isin(set(model.arrays["gene_ids"]))).all()
    read, unread = genes[genes["pca_reads"]], genes[~genes["pca_reads"]]
    assert len(read) > 5
    assert len(unread) > 5
    assert (unread["pca_effect"] == 0.0).all()
    assert (read["pca_effect"] > 0).all()


def test_few_genes_are_too_few(engine, dataset):
    question = PerturbGenes(EmbedCells(dataset, ACTING), (gene(HUB),), null_genes=10)
    found = engine.compute(ExplainByBaselines(question, more_genes=5))
    assert found.summary["explained_together"].isna().all()
    assert found.edits["explained"].tolist() == [None]
    assert "Too few genes" in found.edits["in_words"][0]


def test_sets_of_genes_are_ranked_among_sets(engine, dataset):
    found = explain(engine, dataset, gene(HUB), gene(150) + gene(151), null_genes=40)
    assert found.summary["kind"].tolist() == ["delete gene", "delete gene+delete gene"]
    sets = found.genes[found.genes["kind"] == "delete gene+delete gene"]
    assert sets["gene_id"].str.contains(";").all()
    assert (sets["detection"] > 0).all()


def test_kinds_of_edits_are_not_ranked_together(engine, tiny_dataset):
    lyz = find_genes(tiny_dataset, ["LYZ"])[0]
    edits = ((Delete(lyz),), (Overexpress(lyz),))
    found = explain(engine, tiny_dataset, *edits, model=find_model("pca"), null_genes=40)
    assert found.summary["kind"].tolist() == ["delete gene", "overexpress gene"]
    assert found.edits["edit"].tolist() == ["LYZ", "overexpress LYZ"]


def test_numbers_out_of_range_are_refused(dataset):
    question = PerturbGenes(EmbedCells(dataset, ACTING), (gene(HUB),))
    with pytest.raises(RequestError, match="at least 0 more genes"):
        ExplainByBaselines(question, more_genes=-1)
