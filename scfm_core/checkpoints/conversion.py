"""A published checkpoint in a folder -> the weights folder that is loaded: safetensors and JSON, nothing else."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scfm_core.checkpoints.catalogue import SHAPES, WEIGHT_HASHES, WEIGHT_SIZES, Shape, series_of
from scfm_core.checkpoints.files import read_config
from scfm_core.checkpoints.layout import FoundFiles, find_files, find_model
from scfm_core.checkpoints.parameters import read_parameters
from scfm_core.checkpoints.vocabulary import read_vocabulary
from scfm_core.errors import ModelError


@dataclass(frozen=True)
class GeneformerConversion:
    """Reads the folders in which one published checkpoint is found; see `scfm_core.model.Conversion`.

    A frozen value rather than a function, so that a card that holds it can be compared and sent to another process.
    """

    key: str

    def sources(self, folder: Path, dictionaries: Path | None) -> tuple[Path, ...]:
        """Return the files that would be read."""
        return self._find(folder, dictionaries)[1].all()

    def __call__(self, folder: Path, dictionaries: Path | None, out: Path) -> tuple[str, ...]:
        """Write ``model.safetensors``, ``config.json`` and ``vocabulary.json`` to ``out``; return what was left out."""
        from safetensors.torch import save_file

        from scfm_core.tensors import BertShape

        config, files = self._find(folder, dictionaries)
        shape = BertShape.from_config(config)
        _check_weights(self.key, files.weights)
        vocabulary = read_vocabulary(series_of(self.key), files, shape.vocab_size)
        parameters, left_out = read_parameters(files.weights, shape)
        save_file(parameters, out / "model.safetensors")
        (out / "config.json").write_text(json.dumps({**asdict(shape), "hidden_act": "relu"}, indent=1))
        (out / "vocabulary.json").write_text(json.dumps(vocabulary.to_json(), indent=1))
        return (f"Left out, since no embedding needs them: {', '.join(left_out)}.",) if left_out else ()

    def _find(self, folder: Path, dictionaries: Path | None) -> tuple[dict[str, Any], FoundFiles]:
        """Return the content of ``config.json`` and all files; another model is told before a missing dictionary."""
        config = read_config(find_model(self.key, folder)[0])
        _check_config(self.key, config)
        return config, find_files(self.key, folder, dictionaries)


def _check_config(key: str, config: dict[str, Any]) -> None:
    """Refuse another published checkpoint, and a network that is computed in another way."""
    for name, expected in (("position_embedding_type", "absolute"), ("hidden_act", "relu")):
        if config.get(name, expected) != expected:
            msg = f"Expected a network with {name} {expected!r}, found {config[name]!r}. Choose other weights."
            raise ModelError(msg, "unsuitable-weights")
    for name in Shape.__dataclass_fields__:
        if type(config.get(name)) is not int or config[name] < 1:
            msg = f"Expected a positive whole number {name} in config.json, found {config.get(name)!r}. Get it again."
            raise ModelError(msg, "broken-config")
    shape = Shape(**{name: config[name] for name in Shape.__dataclass_fields__})
    if shape.hidden_size % shape.num_attention_heads:
        msg = (
            f"Expected a hidden_size that {shape.num_attention_heads} attention heads can share in config.json, found "
            f"{shape.hidden_size}. Get it again."
        )
        raise ModelError(msg, "broken-config")
    others = [other for other, published in SHAPES.items() if published == shape]
    if others and key not in others:
        raise _other_checkpoint(key, others)


def _check_weights(key: str, path: Path) -> None:
    """Refuse weights that were published under another key, whatever their folder is called."""
    if path.stat().st_size in WEIGHT_SIZES:
        with path.open("rb") as file:
            other = WEIGHT_HASHES.get(hashlib.file_digest(file, "sha256").hexdigest(), key)
        if other != key:
            raise _other_checkpoint(key, [other])


def _other_checkpoint(key: str, others: list[str]) -> ModelError:
    msg = f"Expected the weights of {key}, found those of {' or '.join(others)}. Choose that model, or another folder."
    return ModelError(msg, "other-checkpoint")
