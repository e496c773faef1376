"""Training lowers the loss, and what it writes is loaded and embeds like the bundled weights."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scfm_core.dataset import CellCounts, Dataset
from scfm_core.devices import use_device
from scfm_core.errors import DatasetError, ModelError
from scfm_core.registry import find_model
from scfm_core.training.batches import drawn_batches, masked, shortened
from scfm_core.training.corpus import CorpusPart, build_corpus, learn_vocabulary
from scfm_core.training.pretrain import PretrainSettings, TrainingReport, pretrain, pretrain_on
from scfm_core.weights import loaded_model, with_weights

SETTINGS = PretrainSettings(
    minutes=1e6,  # else the first learning rate depends on how busy the machine is
    max_steps=40,
    hidden_size=32,
    n_layers=2,
    intermediate_size=48,
    max_tokens=96,
    contexts=(48, 96),
    token_budget=1024,
    learning_rate=5e-3,
    validate_every_steps=20,
    low_precision=False,
    device="cpu",
)


@pytest.fixture(scope="module")
def part(tiny_dataset: Dataset) -> CorpusPart:
    return CorpusPart(name="tiny", counts=tiny_dataset.counts())


@pytest.fixture(scope="module")
def run(part: CorpusPart, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingReport, Path]:
    out = tmp_path_factory.mktemp("trained")
    return pretrain_on([part], out, SETTINGS), out


def two_kinds_of_cells() -> CorpusPart:
    """200 cells; half of them express the first 30 genes, half the others."""
    rng = np.random.default_rng(0)
    kind = np.arange(200) % 2
    expressed = (np.arange(60)[None, :] >= 30) == kind[:, None].astype(bool)
    matrix = csr_matrix(rng.poisson(2.0, (200, 60)) * expressed)
    genes = tuple(f"ENSG{number:011d}" for number in range(60))
    totals = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
    return CorpusPart(name="planted", counts=CellCounts(matrix=matrix, gene_ids=genes, total_counts=totals))


def test_the_network_learns_which_genes_go_together(tmp_path: Path) -> None:
    report = pretrain_on([two_kinds_of_cells()], tmp_path, replace(SETTINGS, max_steps=120, contexts=(32,)))
    assert report.unigram_loss == pytest.approx(np.log(60), abs=0.1)
    assert report.curve[0].validation_loss == pytest.approx(report.unigram_loss, abs=0.2)
    assert report.best.validation_loss < report.unigram_loss - 0.4  # to know the kind of cell is worth log 2 = 0.69
    assert report.best.validation_accuracy > report.unigram_accuracy


def test_the_record_counts_cells(run: tuple[TrainingReport, Path]) -> None:
    report, _ = run
    assert [point.step for point in report.curve] == [0, 20, 40]
    assert report.n_held_out == 12
    assert report.n_cells == 108


def test_the_written_weights_load_and_embed(run: tuple[TrainingReport, Path], tiny_dataset: Dataset) -> None:
    use_device("cpu")
    report, out = run
    spec = with_weights(find_model("scfm-mini"), out)
    assert (spec.embedding_size, spec.max_tokens, spec.n_layers) == (32, 96, 2)
    model = loaded_model(spec, {})
    points = model.embed(model.encode(tiny_dataset.counts()), spec.default_options()).cells
    assert points.shape == (120, 32)
    assert np.isfinite(points).all()
    assert len([gene for gene in model.gene_ids if gene]) == report.n_genes
    assert json.loads((out / "training.json").read_text())["steps"] == 40
    drawing = ElementTree.fromstring((out / "loss_curve.svg").read_text())
    validation = drawing.findall("{*}polyline")[-1].attrib["points"].split()
    assert len(validation) == len(report.curve)


def test_a_run_repeats(run: tuple[TrainingReport, Path], part: CorpusPart, tmp_path: Path) -> None:
    again = pretrain_on([part], tmp_path, SETTINGS)
    assert [point.validation_loss for point in again.curve] == pytest.approx(
        [point.validation_loss for point in run[0].curve], abs=1e-4
    )


def test_a_run_goes_on_from_another(run: tuple[TrainingReport, Path], part: CorpusPart, tmp_path: Path) -> None:
    report = pretrain_on([part], tmp_path, replace(SETTINGS, max_steps=20), start=run[1])
    best = run[0].best
    assert report.steps == best.step + 20
    assert report.curve[-2].step == best.step
    assert report.curve[-2].validation_loss == pytest.approx(best.validation_loss, abs=0.01)  # stored in float16
    fewer = replace(SETTINGS, min_cells=60)
    with pytest.raises(ModelError, match="Train further on the same cells"):
        pretrain_on([part], tmp_path, fewer, start=run[1])


def test_a_file_is_trained_on(tiny_dataset: Dataset, tmp_path: Path) -> None:
    from anndata import AnnData

    counts = tiny_dataset.counts()
    data = AnnData(counts.matrix.astype(np.float32))
    data.obs_names = list(tiny_dataset.cells().index)
    data.var_names = list(tiny_dataset.gene_ids)
    data.write_h5ad(tmp_path / "cells.h5ad")
    seen = []
    report = pretrain([tmp_path / "cells.h5ad"], tmp_path / "out", replace(SETTINGS, max_steps=2), seen.append)
    assert report.cells == {"cells.h5ad": 120}
    assert len(seen) == 2


def test_medians_leave_out_cells_whose_total_is_not_known() -> None:
    matrix = csr_matrix(np.array([[2, 2, 0], [1, 0, 3], [9, 9, 9]]))
    genes = ("ENSG01", "ENSG02", "no id")
    counts = CellCounts(matrix=matrix, gene_ids=genes, total_counts=np.array([10.0, 20.0, np.nan]))
    vocabulary = learn_vocabulary([CorpusPart(name="a", counts=counts)], min_cells=1)
    assert vocabulary.gene_ids == ("ENSG01", "ENSG02")
    np.testing.assert_allclose(vocabulary.medians, [1250.0, 2000.0])
    assert vocabulary.tokens(counts, max_tokens=3).lengths.tolist() == [2, 1, 2]


def test_without_known_genes_nothing_is_trained() -> None:
    counts = CellCounts(matrix=csr_matrix(np.ones((3, 1))), gene_ids=("x",), total_counts=np.ones(3))
    with pytest.raises(DatasetError, match="No gene whose id begins with 'ENSG'"):
        learn_vocabulary([CorpusPart(name="a", counts=counts)], min_cells=1)


def test_masks_hide_about_the_share_asked_for_and_never_padding(part: CorpusPart) -> None:
    vocabulary = learn_vocabulary([part], min_cells=5)
    corpus = build_corpus([part], vocabulary, max_tokens=96, held_out_share=0.1, seed=0)
    batch = masked(corpus.tokens, vocabulary.size, np.random.default_rng(0))
    assert not (batch.hidden & ~batch.real).any()
    assert batch.hidden.sum() / batch.real.sum() == pytest.approx(0.15, abs=0.02)
    shown = batch.ids[batch.hidden]
    assert (shown == 1).mean() == pytest.approx(0.8, abs=0.05)
    assert (shown == batch.genes).mean() == pytest.approx(0.1, abs=0.05)
    assert (batch.genes > 1).all()


def test_batches_hold_no_held_out_cell_and_keep_to_the_budget(part: CorpusPart) -> None:
    vocabulary = learn_vocabulary([part], min_cells=5)
    corpus = build_corpus([part], vocabulary, max_tokens=96, held_out_share=0.3, seed=0)
    assert not corpus.weights[corpus.held_out].any()
    batches = drawn_batches(corpus, np.random.default_rng(0), token_budget=500, contexts=(32, 96))
    for _ in range(30):
        tokens = next(batches)
        assert tokens.n_cells * tokens.lengths.max() <= 500
    cut = shortened(corpus.tokens, 10)
    assert cut.lengths.max() == 10
    np.testing.assert_array_equal(cut.genes[:10], corpus.tokens.genes[:10])
