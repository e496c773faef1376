"""scVI: a variational autoencoder of counts, trained on the dataset itself with the batch as a covariate.

The network and its loss are those of scvi-tools; the loop around them is ours, so that a training can be stopped, goes
on where it stood, and draws the same numbers however it was cut.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.cell_batches import read_batches
from scfm_core.dataset import Dataset
from scfm_core.devices import this_device
from scfm_core.errors import DatasetError
from scfm_core.model import Arrays, CellsToPlace, ModelSpec, PlacedCells
from scfm_core.variable_genes import N_VARIABLE_GENES, find_variable_genes
from scfm_core.workers import Workers

if TYPE_CHECKING:
    import torch

TITLE = "scVI"
N_LATENT, N_LAYERS = 30, 2  # Kedzierska 2025, with negative binomial counts; all else is scvi-tools' default
MOST_EPOCHS, CELLS_OF_MOST_EPOCHS = 400, 20_000
_CELLS_PER_STEP = 128
_LEARNING_RATE, _WEIGHT_DECAY, _EPSILON = 1e-3, 1e-6, 0.01
_WARM_UP_EPOCHS = 400  # until the latent distribution counts fully
_SHARE_TRAINED_ON = 0.9
_MIN_CELLS = 16
_CELLS_PER_PIECE = 30_000  # some seconds of training
_CELLS_AT_ONCE = 4096
_FIRST_WEIGHTS, _SPLIT, _EPOCH = 0, 1, 2  # streams of random numbers
_drawing = threading.Lock()


def n_epochs_for(n_cells: int) -> int:
    """Return how often scvi-tools goes through the cells: 400 times, fewer where there are more than 20,000.

    Examples
    --------
    >>> n_epochs_for(2_700), n_epochs_for(100_000)
    (400, 80)
    """
    return max(1, min(MOST_EPOCHS, round(CELLS_OF_MOST_EPOCHS / n_cells * MOST_EPOCHS)))


@dataclass(frozen=True, eq=False)
class Training:
    """What is trained on.

    Attributes
    ----------
    genes, cells
        Positions in the dataset, shape ``(n_chosen,)`` and ``(n_used,)``.
    batches
        Batch of each used cell, shape ``(n_used,)``.
    """

    dataset: Dataset
    genes: NDArray[np.int64]
    cells: NDArray[np.int64]
    batches: NDArray[np.int64]
    n_batches: int
    seed: int

    @property
    def trained_on(self) -> NDArray[np.int64]:
        """Positions in ``cells`` of those trained on, nine in ten drawn at random; the others tell how well it goes."""
        order = np.random.default_rng([self.seed, _SPLIT]).permutation(len(self.cells))
        return np.asarray(order[: math.ceil(_SHARE_TRAINED_ON * len(order))])

    def counts(self) -> csr_matrix:
        """Read the counts, shape ``(n_used, n_chosen)``, float32."""
        return csr_matrix(self.dataset.counts_of_genes(self.genes))[self.cells].astype(np.float32)


def train_epochs(training: Training, state: Arrays | None, epochs: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Train from epoch ``epochs[0]`` to before ``epochs[1]``.

    Parameters
    ----------
    state
        What the call for the epochs before returned; None before the first.

    Returns
    -------
    ``weights`` and the two ``moments`` of Adam, each in one row; how many ``steps`` were made; and the ``curve``, one
    row per call: epochs done, loss per cell in the last epoch, and of the cells that are held out (NaN where none are):
    reconstruction plus divergence of the latent distribution, in nats.
    """
    run = _Run(training, state)
    with _own_random_numbers():
        losses = [run.epoch(number) for number in range(*epochs)]
        point = [float(epochs[1]), losses[-1], run.held_out_loss()]
    before = np.empty((0, 3)) if state is None else state["curve"]
    return {**run.state(), "curve": np.concatenate([before, [point]])}


def latent_means(training: Training, state: Arrays) -> NDArray[np.float32]:
    """Return the mean of each used cell's latent distribution, shape ``(n_used, 30)``, float32."""
    run = _Run(training, state)
    run.network.eval()
    parts = [run.latent(cells) for cells in _cut(np.arange(len(training.cells)), _CELLS_AT_ONCE)]
    return np.concatenate(parts)


class _Run:
    """A network and its optimiser, as they stand."""

    def __init__(self, training: Training, state: Arrays | None) -> None:
        import torch
        from scvi.module import VAE

        self.training, self.device = training, this_device()
        self.counts = training.counts()
        with _own_random_numbers():
            torch.manual_seed(_seed(training.seed, _FIRST_WEIGHTS))
            network = VAE(
                len(training.genes), n_batch=training.n_batches, n_labels=1, n_latent=N_LATENT, n_layers=N_LAYERS,
                gene_likelihood="nb",
            )  # fmt: skip
        self.network = network.to(self.device)
        self.weights = list(self.network.parameters())
        self.optimiser = torch.optim.Adam(
            self.weights, lr=_LEARNING_RATE, eps=_EPSILON, weight_decay=_WEIGHT_DECAY
        )
        self.steps = 0
        if state is not None:
            self._go_on(state)

    def epoch(self, number: int) -> float:
        """Train on every cell once; return the mean loss per cell."""
        import torch

        self.network.train()
        trained_on = self.training.trained_on
        order = np.random.default_rng([self.training.seed, _EPOCH, number]).permutation(trained_on)
        torch.manual_seed(_seed(self.training.seed, _EPOCH, number))
        weight, summed = min(1.0, number / _WARM_UP_EPOCHS), 0.0
        for cells in _cut(order, _CELLS_PER_STEP):
            told = self._told(cells, weight)
            self.optimiser.zero_grad()
            torch.autograd.backward(told.loss)
            self.optimiser.step()
            self.steps += 1
            summed += _loss_of(told)
        return summed / len(order)

    def held_out_loss(self) -> float:
        """Return the mean loss per cell of the cells that are not trained on; NaN where there are none."""
        import torch

        held_out = np.setdiff1d(np.arange(len(self.training.cells)), self.training.trained_on)
        self.network.eval()
        with torch.no_grad():
            torch.manual_seed(_seed(self.training.seed, _SPLIT))
            parts = [_loss_of(self._told(cells, 1.0)) for cells in _cut(held_out, _CELLS_AT_ONCE)]
        return sum(parts) / len(held_out) if parts else math.nan

    def latent(self, cells: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return where some of the cells lie, shape ``(n_some, 30)``."""
        import torch

        with torch.no_grad():
            tensors = self._tensors(cells)
            found = self.network.inference(tensors["X"], tensors["batch"])
        return np.asarray(found["qz"].loc.cpu().numpy(), dtype=np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that the next epochs depend on."""
        import torch

        moments = [
            torch.cat([self._moment(weight, name).reshape(-1) for weight in self.weights]).cpu().numpy()
            for name in ("exp_avg", "exp_avg_sq")
        ]
        values = torch.cat([value.reshape(-1) for value in self._values()]).cpu().numpy()
        return {"weights": values, "moments": np.stack(moments), "steps": np.array(self.steps)}

    def _go_on(self, state: Arrays) -> None:
        import torch

        self.steps = int(state["steps"])
        _fill(self._values(), state["weights"])
        for weight in self.weights:
            empty = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
            self.optimiser.state[weight] = {"step": torch.tensor(float(self.steps)), **empty}
        for name, row in zip(("exp_avg", "exp_avg_sq"), state["moments"], strict=True):
            _fill([self.optimiser.state[weight][name] for weight in self.weights], row)

    def _values(self) -> "list[torch.Tensor]":
        """Return weights and running means, in a fixed order."""
        return [value for value in self.network.state_dict().values() if value.is_floating_point()]

    def _moment(self, weight: "torch.Tensor", name: str) -> "torch.Tensor":
        import torch

        known = self.optimiser.state.get(weight)
        return torch.zeros_like(weight) if not known else known[name]

    def _told(self, cells: NDArray[np.int64], latent_weight: float) -> Any:
        return self.network(self._tensors(cells), loss_kwargs={"kl_weight": latent_weight})[2]

    def _tensors(self, cells: NDArray[np.int64]) -> "dict[str, torch.Tensor]":
        import torch

        arrays = {
            "X": self.counts[cells].toarray(),
            "batch": self.training.batches[cells, None],
            "labels": np.zeros((len(cells), 1), dtype=np.int64),
        }
        return {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}


def _fill(tensors: "list[torch.Tensor]", row: NDArray[Any]) -> None:
    """Write the numbers of one row into tensors, one after the other."""
    import torch

    start = 0
    with torch.no_grad():
        for tensor in tensors:
            part = np.array(row[start : start + tensor.numel()]).reshape(tensor.shape)
            tensor.copy_(torch.from_numpy(part))
            start += tensor.numel()


def _loss_of(told: Any) -> float:
    """Return the sum over the cells of a batch, the divergence counted fully, in nats."""
    return float((told.reconstruction_loss_sum + told.kl_local_sum).detach())


def _cut(cells: NDArray[np.int64], most: int) -> list[NDArray[np.int64]]:
    """Cut cells into pieces of nearly equal size: a piece of one cell has no spread to normalise by."""
    return np.array_split(cells, math.ceil(len(cells) / most)) if len(cells) else []


def _seed(*stream: int) -> int:
    return int(np.random.default_rng(stream).integers(2**62))


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Leave torch's random numbers, which all threads share, as they were, and let only one training draw at a time."""
    import torch

    device = torch.device(this_device())
    with _drawing, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _choose(dataset: Dataset) -> dict[str, NDArray[Any]]:
    found = find_variable_genes(dataset, needed_by=f"{TITLE} needs")
    return {"genes": found.genes, "cells": found.cells, "n_genes": np.diff(found.values.indptr).astype(np.int32)}


def _pieces(n_cells: int, n_epochs: int) -> list[tuple[int, int]]:
    step = max(1, round(_CELLS_PER_PIECE / n_cells))
    return [(start, min(start + step, n_epochs)) for start in range(0, n_epochs, step)]


def _place(task: CellsToPlace, workers: Workers) -> PlacedCells:
    dataset, seed = task.dataset, task.options.seed
    batches = read_batches(dataset, task.options.batch, needed_by=TITLE)
    found = workers.call(partial(_choose, dataset), step=f"Choosing genes for {TITLE}")
    cells = np.asarray(found["cells"])
    if len(cells) < _MIN_CELLS:
        msg = (
            f"{TITLE} needs at least {_MIN_CELLS} cells that express variable genes, found {len(cells)} among "
            f"{dataset.n_cells:,} cells. Choose another dataset, or PCA."
        )
        raise DatasetError(msg, "too-few-cells")
    genes = np.asarray(found["genes"])
    training = Training(dataset, genes, cells, batches.codes[cells], len(batches.names), seed)
    n_epochs = n_epochs_for(len(cells))
    spans = _pieces(len(cells), n_epochs)
    state = workers.fold(
        partial(train_epochs, training), spans, step=f"Training {TITLE} with {batches}, seed {seed}",
        sizes=[stop - start for start, stop in spans], unit="epochs",
    )  # fmt: skip
    first, last = state["curve"][0], state["curve"][-1]
    workers.log(
        f"{TITLE} was trained for {n_epochs:,} epochs on {len(training.trained_on):,} of {len(cells):,} cells; loss "
        f"per cell {first[1]:,.1f} nats after {first[0]:.0f} epochs, {last[1]:,.1f} at the end, {last[2]:,.1f} on the "
        "other cells"
    )
    latent = workers.call(partial(latent_means, training, state), step=f"Embedding with {TITLE}")
    points = np.full((dataset.n_cells, N_LATENT), np.nan, dtype=np.float32)
    n_genes = np.zeros(dataset.n_cells, dtype=np.int32)
    points[cells], n_genes[cells] = latent, found["n_genes"]
    return PlacedCells(points, n_genes)


SPECS = (
    ModelSpec(
        key="scvi",
        title=TITLE,
        revision="1",
        summary=(
            "A neural network that learns from the counts of this dataset alone to write each cell as 30 numbers, "
            "while it is told the batch and so need not keep it: a strong baseline in the published benchmark."
        ),
        organisms=("human", "mouse", "unknown"),
        vocabulary=f"the counts of the {N_VARIABLE_GENES:,} most variable genes of the dataset, those that PCA reads",
        embedding_size=N_LATENT,
        max_tokens=None,
        n_parameters=None,
        licence="BSD-3-Clause (scvi-tools)",
        citation="Lopez et al. 2018, Deep generative modeling for single-cell transcriptomics",
        doi="10.1038/s41592-018-0229-2",
        training_data=(
            f"nine in ten cells of the chosen dataset, {MOST_EPOCHS} times over, fewer where there are more than "
            f"{CELLS_OF_MOST_EPOCHS:,} cells; two layers, 30 numbers, negative binomial counts"
        ),
        known_limits=(
            "Where batch and condition go together, it removes the effect of the condition.",
            "The published benchmark trains it on all genes that ten cells express; here it reads the variable genes "
            "that PCA reads, so that the baselines can be compared.",
            "A few hundred cells are too few for it. Training takes minutes to hours without an accelerator.",
            "Another seed, or another machine, gives other vectors of about the same worth.",
            "Vectors of two trainings cannot be compared, and no gene can be edited in it here.",
        ),
        how_to_get="Install it beside scFM Explorer: pip install 'scfm-explorer[integration]'.",
        place=_place,
        needs_batch=True,
        draws=True,
        needs_packages=("scvi",),
        gene_edits=(),
        poolings=("mean",),
        is_baseline=True,
    ),
)
