"""Networks trained on the unperturbed cells of a simulation, as cards that every question can use."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from scfm_core.converted import described
from scfm_core.dataset import Dataset, open_dataset, write_dataset
from scfm_core.devices import this_device
from scfm_core.errors import RequestError
from scfm_core.model import ModelSpec, WeightFile
from scfm_core.registry import find_model
from scfm_core.request import Context, Request
from scfm_core.simulation.simulate import SimulationSettings, simulate_cells, simulate_knock_outs
from scfm_core.training.corpus import CorpusPart
from scfm_core.training.pretrain import PretrainSettings, pretrain_on
from scfm_core.validation.value_network import ValueSettings, load_value_network, write_networks
from scfm_core.weights import with_weights
from scfm_core.workspace import Workspace

NetworkKind = Literal["ranks", "values"]
Part = Literal["cells", "knock-outs"]
_FILES = ("model.safetensors", "config.json", "vocabulary.json")
_TITLES = {"ranks": "rank transformer", "values": "value networks"}
_VOCABULARY = "the genes of one simulation"
_TRAINING_DATA = "Unperturbed simulated cells of the same network of genes."
_KNOWN_LIMITS = ("Knows the genes of one simulation and nothing of any real cell.",)
_HOW_TO_GET = "Train it again on the simulation."

RANK_SETTINGS = PretrainSettings(
    minutes=1e6,  # ends by steps, and no clock has a part in the learning rate, so that it repeats
    max_steps=1500,
    gene_prefix="SIM",
    hidden_size=64,
    n_layers=2,
    n_heads=4,
    intermediate_size=128,
    max_tokens=256,
    contexts=(256,),
    token_budget=2048,
    dropout=0.0,
    initializer_range=0.1,
    position_range=0.0,
    share_hidden=0.3,
    learning_rate=2e-3,
    weight_decay=0.02,
    validate_every_steps=500,
    validate_every_seconds=1e9,
    low_precision=False,
)


@dataclass(frozen=True)
class TrainedNetwork:
    """Weights, and what became of the training.

    Attributes
    ----------
    model, config, vocabulary
        Bytes of ``model.safetensors``, ``config.json`` and ``vocabulary.json``, uint8.
    in_words
        How well hidden genes of held-out cells are told.
    seconds
        How long the training took.
    """

    model: NDArray[np.uint8]
    config: NDArray[np.uint8]
    vocabulary: NDArray[np.uint8]
    in_words: str
    seconds: float


@dataclass(frozen=True)
class TrainOnSimulation(Request[TrainedNetwork]):
    """Train a small network on the unperturbed cells of a simulation; it never sees a knock-out.

    Parameters
    ----------
    kind
        ``"ranks"``: a transformer of scfm-mini's kind, trained as that was, on genes ranked by how strongly they stand
        out. ``"values"``: small networks of two hidden layers that tell a hidden gene's value from those of the others.
    ranks, values
        How; the one that is not asked for plays no part but for the identity.

    Raises
    ------
    RequestError
        If there is no such kind.
    """

    settings: SimulationSettings = SimulationSettings()
    seed: int = 0
    kind: NetworkKind = "ranks"
    ranks: PretrainSettings = RANK_SETTINGS
    values: ValueSettings = ValueSettings()

    result_type: ClassVar[type] = TrainedNetwork

    def __post_init__(self) -> None:
        if self.kind not in _TITLES:
            msg = f"No network is called {self.kind!r}. Choose one of: {', '.join(_TITLES)}."
            raise RequestError(msg, "unknown-network")
        if self.kind == "ranks":
            object.__setattr__(self, "values", ValueSettings())
        else:
            object.__setattr__(self, "ranks", RANK_SETTINGS)

    def run(self, context: Context) -> TrainedNetwork:
        """See `Request.run`."""
        step = f"Training on simulated cells, about a minute: {_TITLES[self.kind]}"
        found = context.call(partial(_train, self), step=step)
        context.log(found["in_words"])
        return TrainedNetwork(**found)


def simulated_dataset(context: Context, settings: SimulationSettings, seed: int, part: Part) -> Dataset:
    """Return the cells of a simulation, drawn on a worker and kept in the workspace."""
    name = context.call(partial(write_simulated, settings, seed, part), step="Drawing the simulated cells")
    return open_dataset(_folder() / name)


def write_simulated(settings: SimulationSettings, seed: int, part: Part) -> str:
    """Draw the cells and write them where they are not yet; return the name of the folder."""
    new = simulate_cells(settings, seed) if part == "cells" else simulate_knock_outs(settings, seed)
    return write_dataset(_folder(), new).path.name


def card_of(request: TrainOnSimulation, trained: TrainedNetwork) -> ModelSpec:
    """Return the card of a trained network, its weights written into the workspace where they are not there."""
    contents = {
        name: np.asarray(part).tobytes()
        for name, part in zip(_FILES, (trained.model, trained.config, trained.vocabulary), strict=True)
    }
    digest = hashlib.sha256(b"".join(contents.values())).hexdigest()[:12]
    folder = Workspace.from_environment().folder("weights") / f"simulated-{request.kind}@{digest}"
    if not all((folder / name).is_file() for name in _FILES):
        _write_folder(folder, contents)
    return rank_card(folder) if request.kind == "ranks" else value_card(folder)


def rank_card(folder: Path) -> ModelSpec:
    """Return the card of a transformer that was trained on simulated cells."""
    card = with_weights(find_model("scfm-mini"), folder)
    return replace(
        card,
        title=_TITLES["ranks"],
        organisms=("unknown",),
        vocabulary=_VOCABULARY,
        training_data=_TRAINING_DATA,
        known_limits=_KNOWN_LIMITS,
        how_to_get=_HOW_TO_GET,
        screen=None,
        bundled_folder=None,
    )


def value_card(folder: Path) -> ModelSpec:
    """Return the card of a value network that was trained on simulated cells."""
    weights = tuple(WeightFile(**described(folder / name)) for name in _FILES)
    n_genes = len(json.loads((folder / "vocabulary.json").read_text())["gene_ids"])
    return ModelSpec(
        key="value-networks",
        title=_TITLES["values"],
        revision="1",
        summary="Two hidden layers that tell the value of a hidden gene from the values of all others.",
        organisms=("unknown",),
        vocabulary=_VOCABULARY,
        embedding_size=n_genes + 1,
        max_tokens=None,
        n_parameters=None,
        citation="scFM Explorer",
        doi="",
        load=load_value_network,
        weights=weights,
        folder=folder,
        poolings=("expected values",),
        has_gene_vectors=True,
        licence="BSD-3-Clause",
        training_data=_TRAINING_DATA,
        known_limits=_KNOWN_LIMITS,
        how_to_get=_HOW_TO_GET,
    )


def _train(request: TrainOnSimulation) -> dict[str, Any]:
    dataset = open_dataset(_folder() / write_simulated(request.settings, request.seed, "cells"))
    with tempfile.TemporaryDirectory(prefix="scfm-simulated-") as name:
        folder = Path(name)
        if request.kind == "ranks":
            part = CorpusPart(name="simulated", counts=dataset.counts())
            report = pretrain_on([part], folder, replace(request.ranks, device=this_device(), seed=request.seed))
            words = (
                f"The rank transformer was trained for {report.steps:,} steps: validation loss "
                f"{report.best.validation_loss:.2f} nats per hidden gene, {report.unigram_loss:.2f} by frequency alone."
            )
            seconds = report.seconds
        else:
            told, seconds = write_networks(dataset.counts(), folder, replace(request.values, seed=request.seed))
            words = f"The value networks tell {told:.0%} of the variance of hidden genes in held-out cells."
        parts = {Path(each).stem: np.frombuffer((folder / each).read_bytes(), dtype=np.uint8) for each in _FILES}
    return {**parts, "in_words": words, "seconds": seconds}


def _write_folder(folder: Path, contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        for file, content in contents.items():
            (Path(name) / file).write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(name, folder)


def _folder() -> Path:
    return Workspace.from_environment().folder("simulated")
