"""The question of a perturbation to the models that come with the application, on real cells."""

import pickle
from functools import partial

import numpy as np
import pytest
from scipy.stats import kstest

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.fit_model import FitModel
from scfm_core.analyses.perturb_genes import PerturbGenes, estimated_passes, landing_arrows
from scfm_core.analyses.perturbation_passes import Apparatus, all_pairs, embed_edited
from scfm_core.cell_set import CellSet
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.genes import find_genes
from scfm_core.model import EmbedOptions
from scfm_core.registry import find_model
from scfm_core.store import Store
from scfm_core.tokens import Delete
from scfm_core.weights import loaded_model

KEYS = ("pca", "scfm-mini")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """One engine for all questions here, so that each model embeds the unperturbed cells once."""
    engine = Engine(Store(tmp_path_factory.mktemp("store")), ThreadExecutor(["cpu"]))
    yield engine
    engine.close()


def deletions(dataset, *names):
    return tuple((Delete(gene_id),) for gene_id in find_genes(dataset, names))


def some_cells(dataset, n=12, cell_type="CD14+ monocyte"):
    types = dataset.cells()["cell_type"].astype(str).to_numpy()
    return CellSet.from_positions(cell_type, np.flatnonzero(types == cell_type)[:n], dataset.n_cells)


def an_unexpressed_gene(dataset, cells):
    held = np.bincount(dataset.counts(cells.positions).matrix.indices, minlength=dataset.n_genes)
    everywhere = np.bincount(dataset.counts().matrix.indices, minlength=dataset.n_genes)
    return (Delete(dataset.gene_ids[np.argmax(np.where(held == 0, everywhere, -1))]),)


@pytest.mark.parametrize("key", KEYS)
def test_an_unexpressed_gene_has_no_numbers_and_no_arrows(engine, tiny_dataset, key):
    cells = some_cells(tiny_dataset)
    silent = an_unexpressed_gene(tiny_dataset, cells)
    baseline = EmbedCells(tiny_dataset, find_model(key))
    edits = (silent, *deletions(tiny_dataset, "LYZ"))
    found = engine.compute(PerturbGenes(baseline, edits, cells=cells, null_genes=10, null_cells=4))
    row, lyz = (found.effects.iloc[number] for number in (0, 1))
    assert (row.status, row.n_holding, row.n_expressing) == ("not held", 0, 0)
    assert np.isnan([row.effect, row.ci_low, row.ci_high, row.z, row.p_empirical]).all()
    assert found.cells[found.cells.edit == row.edit].cosine_similarity.isna().all()
    assert np.array_equal(found.landing_after[0], found.landing_before)
    arrows = landing_arrows(found, np.random.default_rng(0).normal(size=(tiny_dataset.n_cells, 2)))
    assert np.array_equal(arrows.start[0], arrows.end[0])
    assert lyz.effect > 0
    assert lyz.n_null == 10
    assert found.noise_floor < 1e-10 < lyz.effect
    assert found.n_passes <= estimated_passes(PerturbGenes(baseline, edits, cells=cells, null_genes=10, null_cells=4))


@pytest.mark.parametrize("key", KEYS)
def test_effects_equal_the_model_asked_cell_by_cell(engine, tiny_dataset, key):
    spec, cells = find_model(key), some_cells(tiny_dataset, 5)
    baseline = EmbedCells(tiny_dataset, spec)
    edits = (*deletions(tiny_dataset, "LYZ"), sum(deletions(tiny_dataset, "S100A8", "CST3"), ()))
    found = engine.compute(PerturbGenes(baseline, edits, cells=cells, null_genes=0))
    fitted = engine.compute(FitModel(tiny_dataset, spec)).arrays if spec.fit else {}
    model, options = loaded_model(spec, fitted), baseline.chosen_options
    for label, edit in zip(found.edits, edits, strict=True):
        expected = []
        for cell in cells.positions:
            tokens = model.encode(tiny_dataset.counts(np.array([cell])))
            before = model.embed(tokens, options).cells[0].astype(float)
            after = model.embed(model.edit(tokens, edit), options).cells[0].astype(float)
            expected.append(before @ after / np.linalg.norm(before) / np.linalg.norm(after))
        mine = found.cells[found.cells.edit == label]
        held, expected_there = mine.holds.to_numpy(), np.array(expected)
        assert held.any()
        assert mine.cosine_similarity.to_numpy()[held] == pytest.approx(expected_there[held], abs=1e-9)
        assert expected_there[~held] == pytest.approx(1.0, abs=1e-9)
        row = found.effects.set_index("edit").loc[label]
        assert row.effect == pytest.approx(np.mean(1 - expected_there[held]), rel=1e-3)


@pytest.mark.parametrize("key", KEYS)
def test_work_travels_to_another_process_and_back(engine, tiny_dataset, key):
    spec = find_model(key)
    fitted = engine.compute(FitModel(tiny_dataset, spec)).arrays if spec.fit else {}
    apparatus = Apparatus(tiny_dataset, spec, spec.default_options(), fitted)
    edits = deletions(tiny_dataset, "LYZ", "CD3D")
    work = all_pairs(np.arange(3), len(edits), passes_per_chunk=4)
    assert [len(piece) for piece in work] == [4, 2]
    here = partial(embed_edited, apparatus, edits)
    there = pickle.loads(pickle.dumps((here, work[0])))
    found, expected = there[0](there[1]), here(work[0])
    assert np.array_equal(found["changed"], expected["changed"])
    assert np.array_equal(found["points"], expected["points"])


def test_the_options_of_the_baseline_are_the_options_of_the_edit(engine, tiny_dataset):
    cells, edits = some_cells(tiny_dataset, 4), deletions(tiny_dataset, "LYZ")
    spec = find_model("scfm-mini")
    baselines = [EmbedCells(tiny_dataset, spec, options) for options in (None, EmbedOptions(layer=-2))]
    asked = [PerturbGenes(baseline, edits, cells=cells, null_genes=0) for baseline in baselines]
    effects = [engine.compute(request).effects.effect[0] for request in asked]
    assert effects[0] != effects[1]
    assert min(effects) > 1e-9


def test_p_values_of_random_genes_are_uniform_under_scfm_mini(engine, tiny_dataset):
    cells = some_cells(tiny_dataset, 8, "B")
    held = np.bincount(tiny_dataset.counts(cells.positions).matrix.indices, minlength=tiny_dataset.n_genes)
    tested = np.random.default_rng(4).choice(np.flatnonzero(held), size=30, replace=False)
    edits = tuple((Delete(tiny_dataset.gene_ids[gene]),) for gene in tested)
    baseline = EmbedCells(tiny_dataset, find_model("scfm-mini"))
    found = engine.compute(PerturbGenes(baseline, edits, cells=cells, null_genes=19, null_cells=1))
    p = found.effects.p_empirical.dropna().to_numpy()
    assert len(p) >= 20
    blurred = p - np.random.default_rng(0).uniform(size=len(p)) / 20  # p has steps of 1/20
    assert kstest(blurred, "uniform").pvalue > 0.01


def test_p_values_of_random_genes_are_uniform_under_pca_for_abundant_genes_too(engine, tiny_dataset):
    """The genes that one asks about are abundant, and nothing is like them but what is less abundant."""
    baseline = EmbedCells(tiny_dataset, find_model("pca"))
    held = np.bincount(tiny_dataset.counts().matrix.indices, minlength=tiny_dataset.n_genes)
    abundant = np.argsort(-held, kind="stable")[:200]
    p = {"any": [], "abundant": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        for name, genes in (("any", np.flatnonzero(held)), ("abundant", abundant)):
            edits = tuple((Delete(tiny_dataset.gene_ids[g]),) for g in rng.choice(genes, size=30, replace=False))
            found = engine.compute(PerturbGenes(baseline, edits, null_genes=49, null_cells=8, seed=seed))
            p[name] += found.effects.p_empirical.dropna().tolist()
    for values in p.values():
        blurred = np.array(values) - np.random.default_rng(0).uniform(size=len(values)) / 50
        assert kstest(blurred, "uniform").pvalue > 0.01
        assert np.mean(np.array(values) <= 0.05) < 0.10
