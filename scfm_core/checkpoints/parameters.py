"""The weights of a published BERT -> float32 under their published names, none unknown, none missing."""

import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from scfm_core.checkpoints.files import check_no_pointer
from scfm_core.errors import ModelError

if TYPE_CHECKING:  # torch is slow to import, and who only looks at folders needs none
    from torch import Tensor

    from scfm_core.tensors import BertShape

# What fine-tuned and old checkpoints hold beside the network: position ids are a buffer of transformers 4.6, the
# decoder is tied to the gene embeddings, poolers and classifiers belong to a task.
_LEFT_OUT = re.compile(
    r"bert\.embeddings\.(position_ids|token_type_ids)|bert\.pooler\..*|classifier\..*|cls\.predictions\.decoder\..*|"
    r"cls\.seq_relationship\..*"
)
_BARE = ("embeddings.", "encoder.", "pooler.")  # saved without the head, names lack "bert."


def read_parameters(path: Path, shape: "BertShape") -> tuple[dict[str, "Tensor"], tuple[str, ...]]:
    """Return the parameters of a network, and the names of those that were left out.

    Parameters
    ----------
    path
        ``model.safetensors`` or ``pytorch_model.bin``; the latter is a pickle and read by torch's own restricted
        reader of weights.

    Raises
    ------
    ModelError
        ``"unknown-parameter"``, ``"missing-parameter"``, ``"wrong-size"``, ``"not-finite"``, ``"unsafe-pickle"``,
        ``"broken-weights"`` or ``"git-lfs-pointer"``.
    """
    check_no_pointer(path)
    state = {f"bert.{name}" if name.startswith(_BARE) else name: value for name, value in _read(path).items()}
    left_out = tuple(sorted(name for name in state if _LEFT_OUT.fullmatch(name)))
    needed, head = _encoder_sizes(shape), _head_sizes(shape)
    _refuse_unknown(path, [name for name in state if name not in {*needed, *head, *left_out}])
    missing = [name for name in needed if name not in state]
    if missing:
        msg = (
            f"The weights {path.name} lack {_listed(missing)}, which the network of their config.json needs. "
            "Get both files from one place."
        )
        raise ModelError(msg, "missing-parameter")
    wanted = {name: size for name, size in {**needed, **head}.items() if name in state}
    return {name: _checked(path, name, state[name], size) for name, size in sorted(wanted.items())}, left_out


def _read(path: Path) -> dict[str, "Tensor"]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, ValueError, KeyError) as error:
            raise _broken(path, error) from error
    return _read_pickle(path)


def _read_pickle(path: Path) -> dict[str, "Tensor"]:
    import torch

    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" not in str(error):
            raise _broken(path, error) from error
        msg = (
            f"The file {path.name} is a pickle that asks for more than weights; expected tensors by name. It was not "
            "run. Do not use this file; get the model.safetensors of the same model."
        )
        raise ModelError(msg, "unsafe-pickle") from error
    except (RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, BadZipFile) as error:
        raise _broken(path, error) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise _broken(path, TypeError(f"{type(state).__name__} with something else than tensors"))
    return {str(name): value for name, value in state.items()}


def _encoder_sizes(shape: "BertShape") -> dict[str, tuple[int, ...]]:
    """Return the size of every parameter that an embedding needs."""
    size, inner = shape.hidden_size, shape.intermediate_size
    sizes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (shape.vocab_size, size),
        "bert.embeddings.position_embeddings.weight": (shape.max_position_embeddings, size),
        "bert.embeddings.token_type_embeddings.weight": (shape.type_vocab_size, size),
        **_norm("bert.embeddings.LayerNorm", size),
    }
    for layer in (f"bert.encoder.layer.{number}" for number in range(shape.num_hidden_layers)):
        for name in ("query", "key", "value"):
            sizes |= _linear(f"{layer}.attention.self.{name}", size, size)
        sizes |= _linear(f"{layer}.attention.output.dense", size, size)
        sizes |= _norm(f"{layer}.attention.output.LayerNorm", size)
        sizes |= _linear(f"{layer}.intermediate.dense", inner, size)
        sizes |= _linear(f"{layer}.output.dense", size, inner)
        sizes |= _norm(f"{layer}.output.LayerNorm", size)
    return sizes


def _head_sizes(shape: "BertShape") -> dict[str, tuple[int, ...]]:
    """Return the sizes of the masked-gene head, which may be missing."""
    name = "cls.predictions"
    return {
        f"{name}.bias": (shape.vocab_size,),
        **_linear(f"{name}.transform.dense", shape.hidden_size, shape.hidden_size),
        **_norm(f"{name}.transform.LayerNorm", shape.hidden_size),
    }


def _linear(name: str, n_outputs: int, n_inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (n_outputs, n_inputs), f"{name}.bias": (n_outputs,)}


def _norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _refuse_unknown(path: Path, unknown: list[str]) -> None:
    if unknown:
        msg = (
            f"The weights {path.name} hold {_listed(unknown)}, which the network of their config.json does not have. "
            "They belong to another kind or size of network; get both files from one place."
        )
        raise ModelError(msg, "unknown-parameter")


def _checked(path: Path, name: str, value: "Tensor", size: tuple[int, ...]) -> "Tensor":
    """Return a parameter in float32, in which it must be finite too."""
    found = tuple(value.shape)
    if found != size or not value.is_floating_point():
        msg = (
            f"Expected {name} in {path.name} to be floating-point numbers of size {size}, as config.json says, found "
            f"{value.dtype} of size {found}. Get both files from one place."
        )
        raise ModelError(msg, "wrong-size")
    value = value.float().contiguous()
    if not bool(value.isfinite().all()):
        msg = f"The weights {path.name} hold infinite or missing numbers in {name}. Get the file again."
        raise ModelError(msg, "not-finite")
    return value


def _listed(names: Iterable[str], n_shown: int = 5) -> str:
    names = sorted(names)
    more = f" and {len(names) - n_shown:,} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + more


def _broken(path: Path, error: Exception) -> ModelError:
    what = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    msg = f"The weights {path.name} cannot be read: expected whole tensors by name, found {what}. Get the file again."
    return ModelError(msg, "broken-weights")
