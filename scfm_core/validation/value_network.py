"""Small networks that read values: they learn to tell the value of a hidden gene from those of all others.

They are made for simulated cells, where a transformer that reads ranks learns less in so short a training, and are
never offered for data of one's own.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from scfm_core.dataset import CellCounts
from scfm_core.errors import ModelError
from scfm_core.model import Arrays, CellStates, EmbedOptions
from scfm_core.tokens import Delete, GeneEdit, Tokens, counts_in_vocabulary, edit_name, without_genes
from scfm_core.variable_genes import log_normalised

_CELLS_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class ValueSettings:
    """How the network is trained.

    Attributes
    ----------
    n_networks
        How many are trained from different first weights; their answers are averaged, which takes out what a single
        training leaves to chance.
    hidden_size
        Width of the two hidden layers.
    share_hidden
        Largest share of a cell's genes that is hidden; for each cell a share up to it is drawn.
    """

    n_networks: int = 6
    hidden_size: int = 128
    n_steps: int = 2500
    batch_cells: int = 128
    share_hidden: float = 0.8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0


class ValueNet(nn.Module):
    """Two hidden layers between what is seen of a cell and the values of all genes."""

    def __init__(self, n_genes: int, hidden_size: int) -> None:
        super().__init__()
        self.values = nn.Linear(n_genes, hidden_size, bias=False)
        self.seen = nn.Linear(n_genes, hidden_size)
        self.inner = nn.Linear(hidden_size, hidden_size)
        self.told = nn.Linear(hidden_size, n_genes)

    def forward(self, values: Tensor, seen: Tensor) -> Tensor:
        """Return the value of every gene, shape ``(n_cells, n_genes)``, from those where ``seen`` is 1."""
        first = self.values(values * seen) + self.seen(seen)
        return torch.as_tensor(self.told(F.relu(self.inner(F.relu(first)))))

    def each_hidden(self, values: Tensor) -> Tensor:
        """Return the value of every gene as told from all others, shape ``(n_cells, n_genes)``."""
        first = self.values(values) + self.seen(torch.ones_like(values))
        taken = values[:, :, None] * self.values.weight.T + self.seen.weight.T
        second = F.relu(self.inner(F.relu(first[:, None] - taken)))
        return torch.einsum("cgh,gh->cg", second, self.told.weight) + self.told.bias


class ValueNetworks(nn.Module):
    """Several networks whose answers are averaged."""

    def __init__(self, n_networks: int, n_genes: int, hidden_size: int) -> None:
        super().__init__()
        self.networks = nn.ModuleList([ValueNet(n_genes, hidden_size) for _ in range(n_networks)])

    def each_hidden(self, values: Tensor) -> Tensor:
        """See `ValueNet.each_hidden`."""
        answers = [cast(ValueNet, network).each_hidden(values) for network in self.networks]
        return torch.stack(answers).mean(dim=0)


def train_value_networks(values: NDArray[np.float32], settings: ValueSettings) -> tuple[ValueNetworks, float]:
    """Train networks on the values of cells.

    Parameters
    ----------
    values
        Scaled values, shape ``(n_cells, n_genes)``; a tenth of the cells is held out.

    Returns
    -------
    The networks; and how much of the variance of a hidden gene in held-out cells they tell, at most 1.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(len(values), generator=generator)
    data = torch.from_numpy(values)[order]
    held_out, data = data[: len(data) // 10], data[len(data) // 10 :]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        networks = ValueNetworks(settings.n_networks, values.shape[1], settings.hidden_size)
    for network in networks.networks:
        _train_one(cast(ValueNet, network), data, settings, generator)
    starts = range(0, len(held_out), _CELLS_AT_ONCE)
    with torch.inference_mode():
        parts = [networks.each_hidden(held_out[start : start + _CELLS_AT_ONCE]) for start in starts]
        error = float(((torch.cat(parts) - held_out) ** 2).mean())
    return networks, 1.0 - error / float(((held_out - data.mean(dim=0)) ** 2).mean())


def _train_one(network: ValueNet, data: Tensor, settings: ValueSettings, generator: torch.Generator) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=settings.n_steps)
    for _ in range(settings.n_steps):
        cells = data[torch.randint(len(data), (settings.batch_cells,), generator=generator)]
        share = settings.share_hidden * torch.rand(len(cells), 1, generator=generator)
        seen = (torch.rand(cells.shape, generator=generator) >= share).float()
        loss = ((network(cells, seen) - cells) ** 2 * (1 - seen)).sum() / (1 - seen).sum().clamp(min=1)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()


def scaled_values(matrix: csr_matrix, total_counts: NDArray[np.float64], scale: NDArray[np.float64]) -> csr_matrix:
    """Return ``log(1 + counts per 10,000)`` over each gene's scale, same shape; zero stays zero."""
    values = log_normalised(matrix, total_counts)
    return csr_matrix((values.data / scale[values.indices], values.indices, values.indptr), shape=values.shape)


class ValueModel:
    """Trained networks as a model of cells.

    A cell's vector holds, for every gene, its value as told from all other genes, which is what the networks expect
    of the gene, not what was counted. So the shift under a deletion is what the networks make of the loss for all
    other genes, and nothing else. The vector of a gene stands on two axes: its own, with the value that is expected,
    and a last one that all genes share, with 1; it turns as far as the expectation changes.
    """

    def __init__(self, networks: ValueNetworks, gene_ids: Sequence[str], scale: NDArray[np.float64]) -> None:
        self.networks, self.gene_ids, self._scale = networks, tuple(gene_ids), scale
        self._position = {gene_id: place for place, gene_id in enumerate(gene_ids)}

    def encode(self, counts: CellCounts) -> Tokens:
        """See `CellModel.encode`; tokens carry scaled values."""
        matrix = counts_in_vocabulary(counts, self._position, size=len(self.gene_ids))
        values = scaled_values(matrix, counts.total_counts, self._scale)
        return Tokens(
            values.indices.astype(np.int32), values.data.astype(np.float32), values.indptr.astype(np.int64)
        )

    def edit(self, tokens: Tokens, edits: Sequence[GeneEdit]) -> Tokens:
        """See `CellModel.edit`; raises a `ModelError` for an edit other than a deletion."""
        for edit in edits:
            if not isinstance(edit, Delete):
                msg = f"The value network can delete genes only, found {edit_name(edit)!r}. Choose deletions."
                raise ModelError(msg, "unsupported-edit")
        known = [self._position[edit.gene_id] for edit in edits if edit.gene_id in self._position]
        return without_genes(tokens, np.array(known, dtype=np.int64))

    def embed(self, tokens: Tokens, options: EmbedOptions) -> CellStates:
        """See `CellModel.embed`; there is nothing to choose."""
        n_genes = len(self.gene_ids)
        shape = (tokens.n_cells, n_genes)
        values = csr_matrix((tokens.values, tokens.genes, tokens.offsets), shape=shape).toarray()
        parts = []
        with torch.inference_mode():
            for start in range(0, len(values), _CELLS_AT_ONCE):
                part = torch.from_numpy(np.ascontiguousarray(values[start : start + _CELLS_AT_ONCE], dtype=np.float32))
                parts.append(self.networks.each_hidden(part).numpy())
        expected = np.concatenate([np.empty((0, n_genes), dtype=np.float32), *parts])
        cells = np.concatenate([expected, np.zeros((len(expected), 1), dtype=np.float32)], axis=1)
        cells[tokens.lengths == 0] = np.nan
        if not options.gene_vectors:
            return CellStates(cells)
        genes = np.zeros((len(tokens.genes), n_genes + 1), dtype=np.float32)
        genes[np.arange(len(genes)), tokens.genes] = expected[tokens.cell_of_token(), tokens.genes]
        genes[:, -1] = 1.0
        return CellStates(cells, genes)


def write_networks(counts: CellCounts, out: Path, settings: ValueSettings) -> tuple[float, float]:
    """Train networks on counts, and write them as `load_value_network` reads it.

    Returns
    -------
    The share of the variance of hidden genes that is told in held-out cells, and the seconds that it took.
    """
    started = time.monotonic()
    values = log_normalised(counts.matrix, counts.total_counts).toarray()
    scale = values.std(axis=0)
    scale[scale == 0] = 1.0
    networks, told = train_value_networks((values / scale).astype(np.float32), settings)
    save_file(networks.state_dict(), out / "model.safetensors")
    sizes = {"n_networks": settings.n_networks, "hidden_size": settings.hidden_size}
    (out / "config.json").write_text(json.dumps(sizes))
    (out / "vocabulary.json").write_text(json.dumps({"gene_ids": counts.gene_ids, "scale": scale.tolist()}))
    return told, time.monotonic() - started


def load_value_network(folder: Path | None, device: str, fitted: Arrays) -> ValueModel:
    """Load networks that `write_networks` trained; always on the CPU, since it is so small."""
    if folder is None:
        msg = "The value network needs the folder of its weights, found none. Train it first."
        raise ModelError(msg, "no-weights")
    about = json.loads((folder / "vocabulary.json").read_text())
    sizes = json.loads((folder / "config.json").read_text())
    networks = ValueNetworks(int(sizes["n_networks"]), len(about["gene_ids"]), int(sizes["hidden_size"]))
    networks.load_state_dict(load_file(folder / "model.safetensors"))
    return ValueModel(networks.eval(), about["gene_ids"], np.array(about["scale"], dtype=np.float64))
