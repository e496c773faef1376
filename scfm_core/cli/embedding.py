"""The options with which a command chooses models, and the embeddings that they ask for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.model import ModelSpec, Precision
from scfm_core.registry import all_models, find_model
from scfm_core.weights import check_weights, installed, with_weights

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """What a person chose about the models; None for what the authors recommend."""

    keys: tuple[str, ...]
    weights: Path | None = None
    dictionaries: Path | None = None
    layer: int | None = None
    pool: str | None = None
    precision: Precision | None = None
    batch: str = ""
    draw_seed: int = 0

    def specs(self) -> list[ModelSpec]:
        """Return the models with the weights that are here, or those of ``--weights`` where given."""
        cards = [find_model(key) for key in dict.fromkeys(self.keys)]
        specs = [installed(spec) for spec in dict.fromkeys(cards)]
        if self.weights is None:
            if self.dictionaries is not None:
                msg = "--dictionaries says where the vocabulary of --weights lies; name both, or neither."
                raise RequestError(msg, "dictionaries-of-what")
            for spec in specs:
                check_weights(spec)
            return specs
        trained = [spec for spec in specs if spec.needs_weights]
        if len(trained) != 1:
            msg = f"--weights belongs to one pre-trained model, found {len(trained)} among: {', '.join(self.keys)}."
            raise RequestError(msg, "weights-of-whom")
        return [self._with_weights(spec, self.weights) if spec.needs_weights else spec for spec in specs]

    def _with_weights(self, spec: ModelSpec, folder: Path) -> ModelSpec:
        return with_weights(spec, folder, dictionaries=self.dictionaries)

    def embeddings(self, dataset: Dataset) -> list[EmbedCells]:
        """Return one request per model."""
        specs = self.specs()
        if self.batch and not any(spec.needs_batch for spec in specs):
            correcting = ", ".join(spec.key for spec in all_models() if spec.needs_batch)
            msg = f"--batch belongs to models that correct for batches, which are {correcting}; none was chosen."
            raise RequestError(msg, "batch-of-whom")
        return [self._embedding(dataset, spec) for spec in specs]

    def _embedding(self, dataset: Dataset, spec: ModelSpec) -> EmbedCells:
        options = spec.default_options()
        if self.layer is not None:
            options = replace(options, layer=self.layer)
        if self.pool is not None:
            options = replace(options, pooling=self.pool)
        if self.precision is not None:
            options = replace(options, precision=self.precision)
        if spec.needs_batch:
            options = replace(options, batch=self.batch)
        return EmbedCells(dataset, spec, replace(options, seed=self.draw_seed))


def model_options(*, several: bool, default: str | None = None) -> Callable[[FunctionT], FunctionT]:
    """Give a command the options that choose models and where they compute; `chosen` gathers them."""
    more = " May be given several times." if several else ""
    options: Sequence[Callable[[Any], Any]] = (
        click.option(
            "--model",
            "keys",
            metavar="KEY",
            multiple=several,
            required=default is None,
            default=[default] if several and default else default,
            show_default=default is not None,
            help=f"Key of a model; scfm models lists them.{more}",
        ),
        click.option(
            "--weights",
            metavar="DIR",
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            help="Folder with other weights of this model, as published or such as scfm pretrain wrote.",
        ),
        click.option(
            "--dictionaries",
            metavar="DIR",
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            help="Folder with the vocabulary of published --weights, where it does not lie beside or above them.",
        ),
        click.option("--layer", type=int, help="Which hidden layer is read: 0 is the last, -1 the one before it."),
        click.option("--pool", metavar="POOL", help="How gene vectors become a cell vector; the card lists the ways."),
        click.option(
            "--precision", type=click.Choice(["float32", "bfloat16"]), help="Number format of the network's arithmetic."
        ),
        click.option("--device", metavar="DEVICE", help="Where to compute: cpu, cuda:0, mps. By default the best."),
    )

    def add(function: FunctionT) -> FunctionT:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def batch_option(function: FunctionT) -> FunctionT:
    """Give a command the option that names the batches for models that correct for them."""
    return click.option(
        "--batch",
        metavar="COLUMN",
        default="",
        help="Column with the batches, for combat, harmony and scvi. Found by its name where not given.",
    )(function)


def chosen(options: Mapping[str, Any]) -> ModelChoice:
    """Return what the options of `model_options` say, and those of `batch_option` where a command has it."""
    keys = options["keys"]
    names = ["weights", "dictionaries", "layer", "pool", "precision"]
    names += [name for name in ("batch", "draw_seed") if name in options]
    return ModelChoice(keys=(keys,) if isinstance(keys, str) else keys, **{name: options[name] for name in names})
