"""scVI: the loop against scvi-tools' own, pieces against the whole, and planted batches."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.dataset import Dataset
from scfm_core.devices import use_device
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import Cancelled
from scfm_core.models.scvi import Training, latent_means, n_epochs_for, train_epochs
from scfm_core.registry import find_model
from scfm_core.store import Store
from tests.counting_requests import wait_for
from tests.models.batched_cells import mixing, planted, purity

pytest.importorskip("scvi", reason="needs the extra integration: pip install 'scfm-explorer[integration]'")


@pytest.fixture(scope="module", autouse=True)
def on_one_processor_core() -> Iterator[None]:
    """More threads than free cores make a small network many times slower, and numba raises their number."""
    import torch

    use_device("cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return planted(tmp_path_factory.mktemp("planted"))


def training(dataset: Dataset, seed: int = 0, kind: type[Training] = Training) -> Training:
    lane = dataset.cells()["lane"].cat.codes.to_numpy().astype(np.int64)
    return kind(dataset, np.arange(dataset.n_genes), np.arange(dataset.n_cells), lane, 2, seed)


def test_a_short_training_lowers_the_loss_mixes_batches_and_keeps_types(cells: Dataset) -> None:
    ours, table = training(cells), cells.cells().astype(str)
    early = train_epochs(ours, None, (0, 5))
    late = train_epochs(ours, early, (5, 100))
    (_, first, first_held_out), (epochs, last, last_held_out) = late["curve"]
    assert epochs == 100
    assert last < 0.95 * first
    assert last_held_out < 0.95 * first_held_out
    points = latent_means(ours, late)
    assert points.shape == (cells.n_cells, 30)
    assert points.dtype == np.float32
    assert mixing(points, table["lane"].to_numpy()) > 0.85
    assert purity(points, table["kind"].to_numpy()) > 0.95


def test_pieces_of_a_training_give_the_same_as_the_whole_to_the_last_bit(cells: Dataset) -> None:
    ours = training(cells)
    whole = train_epochs(ours, None, (0, 6))
    pieces = train_epochs(ours, train_epochs(ours, None, (0, 2)), (2, 6))
    for name in ("weights", "moments", "steps"):
        np.testing.assert_array_equal(pieces[name], whole[name])
    np.testing.assert_array_equal(latent_means(ours, pieces), latent_means(ours, whole))


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_and_ends_where_it_would_have_ended(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scfm_core.models.scvi._CELLS_PER_PIECE", 2_000)  # many pieces, so that there is time to stop
    request = EmbedCells(planted(tmp_path / "cells", n_cells=120), find_model("scvi"))
    store = Store(tmp_path / "stopped")
    first = Engine(store, ThreadExecutor(["cpu"]))
    job = first.submit(request)
    wait_for(lambda: job.progress.unit == "epochs" and job.done > 0, timeout_seconds=60)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(60)
    assert job.total == 400
    assert 0 < job.done < job.total
    first.close()
    second = Engine(store, ThreadExecutor(["cpu"]))
    again = second.submit(request)
    points = again.result(120).points
    second.close()
    assert any("was trained for 400 epochs on 108 of 120 cells" in text for _, text in again.log)
    np.testing.assert_array_equal(points, engine.compute(request).points)


def test_the_seed_decides_and_nobody_elses_random_numbers_are_touched(cells: Dataset) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = train_epochs(training(cells), None, (0, 2))
    np.testing.assert_array_equal(torch.rand(3), expected)
    again, other = (train_epochs(training(cells, seed), None, (0, 2)) for seed in (0, 1))
    np.testing.assert_array_equal(first["weights"], again["weights"])
    assert (first["weights"] != other["weights"]).any()


def test_one_cell_in_ten_is_held_out(cells: Dataset) -> None:
    trained_on = training(cells).trained_on
    assert len(set(trained_on)) == len(trained_on) == 0.9 * cells.n_cells


def test_epochs_are_those_of_scvi_tools() -> None:
    from scvi.model._utils import get_max_epochs_heuristic

    sizes = (120, 2_700, 20_000, 33_333, 100_000, 1_000_000)
    assert [n_epochs_for(n_cells) for n_cells in sizes] == [get_max_epochs_heuristic(n_cells) for n_cells in sizes]


@pytest.mark.slow
def test_the_loop_trains_as_scvi_tools_does_from_the_same_weights(cells: Dataset, tmp_path: Path) -> None:
    """The order of the cells and the noise are drawn otherwise, so the losses agree to half a per cent, not exactly."""
    import torch
    from anndata import AnnData
    from scvi.model import SCVI

    from scfm_core.models.scvi import _loss_of, _Run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries beneath
        data = AnnData(cells.counts().matrix.astype(np.float32), obs=cells.cells())
        SCVI.setup_anndata(data, batch_key="lane")
        torch.manual_seed(0)
        theirs = SCVI(data, n_layers=2, n_latent=30, gene_likelihood="nb")
        start = {name: value.clone() for name, value in theirs.module.state_dict().items()}
        theirs.train(
            max_epochs=100, accelerator="cpu", enable_progress_bar=False, logger=None, enable_checkpointing=False
        )

    class SameCells(Training):
        @property
        def trained_on(self) -> np.ndarray:
            return np.asarray(theirs.train_indices)

    ours = _Run(training(cells, kind=SameCells), None)
    assert str(ours.network) == str(theirs.module)
    ours.network.load_state_dict(start)
    for number in range(100):
        ours.epoch(number)
    losses = []
    for network in (ours.network, theirs.module):
        ours.network = network.eval()
        with torch.no_grad():
            losses.append(_loss_of(ours._told(ours.training.trained_on, 1.0)) / len(ours.training.trained_on))
    assert losses[0] == pytest.approx(losses[1], rel=0.005)
