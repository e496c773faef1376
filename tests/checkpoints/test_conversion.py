"""A published checkpoint is converted to the number, and one that does not fit is refused with its own error."""

import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_file_as_torch
from safetensors.torch import save_file as save_file_of_torch

from scfm_core.checkpoints import vocabulary
from scfm_core.checkpoints.catalogue import MAPPING, MEDIANS, NAMES, SHAPES, TOKENS
from scfm_core.checkpoints.conversion import GeneformerConversion
from scfm_core.errors import ModelError
from tests.geneformer_folders import (
    CONTEXT,
    HIDDEN,
    RETIRED,
    make_config,
    make_dictionaries,
    model_folder,
    random_weights,
    real_gene_ids,
    write_model,
    write_published,
)

GENES = real_gene_ids(40)
V1, V2 = GeneformerConversion("geneformer-v1-10m"), GeneformerConversion("geneformer-v2-104m")
DICTIONARIES = Path("geneformer/gene_dictionaries_30m")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_published(tmp_path / "root", gene_ids=GENES)


def converted(root: Path, convert: GeneformerConversion = V1) -> tuple[Path, tuple[str, ...]]:
    out = root.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    return out, convert(root, None, out)


def refused(root: Path, convert: GeneformerConversion = V1) -> ModelError:
    with pytest.raises(ModelError) as error:
        converted(root, convert)
    return error.value


def change_weights(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = model_folder(root) / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def change_config(root: Path, **entries: object) -> None:
    path = model_folder(root) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def change_dictionary(root: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    path = root / DICTIONARIES / f"{name}_gc30M.pkl"
    content = pickle.loads(path.read_bytes())
    change(content)
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize(("series", "convert"), [("v1", V1), ("v2", V2)])
def test_weights_and_vocabulary_arrive_unchanged(tmp_path: Path, series: str, convert: GeneformerConversion) -> None:
    root = write_published(tmp_path / "root", series=series, gene_ids=GENES)
    out, notes = converted(root, convert)
    assert notes == ()
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors", "vocabulary.json"]
    before, after = load_file(model_folder(root, series) / "model.safetensors"), load_file(out / "model.safetensors")
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[name], before[name]) for name in before)
    config = json.loads((out / "config.json").read_text())
    assert (config["hidden_size"], config["max_position_embeddings"]) == (HIDDEN, CONTEXT[series])
    found = json.loads((out / "vocabulary.json").read_text())
    dictionaries = make_dictionaries(series, GENES)
    assert found["tokens"] == list(dictionaries[TOKENS])
    medians = {gene: value.item() for gene, value in dictionaries[MEDIANS].items() if isinstance(value, np.float64)}
    assert found["medians"] == [medians.get(token) for token in found["tokens"]]
    assert found["aliases"][RETIRED[0]] == GENES[0]
    assert "ENSG00000999003" not in found["aliases"], "leads to a gene that the vocabulary does not have"
    assert all(known != gene and gene in GENES for known, gene in found["aliases"].items())
    symbols = dictionaries[NAMES]
    assert found["symbols"] == {symbol: gene for symbol, gene in symbols.items() if gene in GENES}


def test_a_checkpoint_is_the_same_from_either_file(root: Path) -> None:
    first = (converted(root)[0] / "model.safetensors").read_bytes()
    (model_folder(root) / "model.safetensors").unlink()
    out, notes = converted(root)
    assert (out / "model.safetensors").read_bytes() == first
    assert "bert.embeddings.position_ids" in notes[0]
    assert "cls.predictions.decoder.weight" in notes[0]


def test_without_a_mapping_every_gene_is_itself(root: Path) -> None:
    (root / DICTIONARIES / f"{MAPPING}_gc30M.pkl").unlink()
    (root / DICTIONARIES / f"{NAMES}_gc30M.pkl").unlink()
    found = json.loads((converted(root)[0] / "vocabulary.json").read_text())
    assert (found["aliases"], found["symbols"]) == ({}, {})


def test_a_gene_that_the_mapping_does_not_lead_to_itself_is_never_read(root: Path) -> None:
    def change(mapping: dict[str, Any]) -> None:
        del mapping[GENES[5]]
        mapping[GENES[6]] = GENES[7]
        mapping["small letters"] = GENES[8]

    change_dictionary(root, MAPPING, change)
    aliases = json.loads((converted(root)[0] / "vocabulary.json").read_text())["aliases"]
    assert aliases[GENES[5]] == ""
    assert aliases[GENES[6]] == GENES[7]
    assert "small letters" not in aliases, "ids are looked up in capitals"


def test_half_precision_becomes_float32(root: Path) -> None:
    change_weights(root, lambda weights: weights.update({k: v.astype(np.float16) for k, v in weights.items()}))
    after = load_file(converted(root)[0] / "model.safetensors")
    assert {value.dtype for value in after.values()} == {np.dtype(np.float32)}


def test_any_floating_point_is_read_that_float32_holds(root: Path) -> None:
    folder = model_folder(root)
    weights = load_file_as_torch(folder / "model.safetensors")
    name = "bert.embeddings.LayerNorm.weight"
    weights[name] = weights[name].to(torch.float8_e4m3fn)
    save_file_of_torch(weights, folder / "model.safetensors")
    after = load_file(converted(root)[0] / "model.safetensors")
    assert np.array_equal(after[name], weights[name].float().numpy())
    weights[name] = torch.full((HIDDEN,), 1e300, dtype=torch.float64)
    save_file_of_torch(weights, folder / "model.safetensors")
    assert refused(root).code == "not-finite"


def test_the_classifier_of_a_fine_tuned_model_is_left_out_and_said(root: Path) -> None:
    def change(weights: dict[str, Any]) -> None:
        for name in [name for name in weights if name.startswith("cls.")]:
            del weights[name]
        weights["classifier.weight"] = np.ones((3, HIDDEN), np.float32)
        weights["classifier.bias"] = np.ones(3, np.float32)
        weights["bert.pooler.dense.weight"] = np.ones((HIDDEN, HIDDEN), np.float32)

    change_weights(root, change)
    out, notes = converted(root)
    assert "bert.pooler.dense.weight, classifier.bias, classifier.weight" in notes[0]
    assert all(name.startswith("bert.e") for name in load_file(out / "model.safetensors"))


def test_names_without_their_prefix_are_known(root: Path) -> None:
    plain = load_file(converted(root)[0] / "model.safetensors")

    def change(weights: dict[str, Any]) -> None:
        for name in list(weights):
            value = weights.pop(name)
            if name.startswith("bert."):
                weights[name.removeprefix("bert.")] = value

    change_weights(root, change)
    after = load_file(converted(root)[0] / "model.safetensors")
    assert after.keys() == {name for name in plain if name.startswith("bert.")}
    assert all(np.array_equal(after[name], plain[name]) for name in after)


def test_the_context_comes_from_the_config_and_not_from_the_name(root: Path) -> None:
    shorter = make_config(len(GENES) + 2, 100)
    write_model(model_folder(root), shorter)
    assert json.loads((converted(root)[0] / "config.json").read_text())["max_position_embeddings"] == 100


@pytest.mark.parametrize(("change", "code", "words"), [
    (lambda weights: weights.update({"bert.encoder.layer.0.lora": np.ones(2, np.float32)}), "unknown-parameter",
     "bert.encoder.layer.0.lora"),
    (lambda weights: weights.update({"bert.encoder.layer.3.output.dense.bias": np.ones(HIDDEN, np.float32)}),
     "unknown-parameter", "layer.3"),
    (lambda weights: weights.pop("bert.encoder.layer.1.output.dense.bias"), "missing-parameter",
     "bert.encoder.layer.1.output.dense.bias"),
    (lambda weights: weights.update({"bert.embeddings.LayerNorm.bias": np.ones(3, np.float32)}), "wrong-size",
     "bert.embeddings.LayerNorm.bias"),
    (lambda weights: weights.update({"bert.embeddings.LayerNorm.bias": np.ones(HIDDEN, np.int8)}), "wrong-size",
     "int8"),
    (lambda weights: weights["bert.embeddings.LayerNorm.bias"].__setitem__(0, np.nan), "not-finite",
     "bert.embeddings.LayerNorm.bias"),
])  # fmt: skip
def test_weights_that_are_not_the_network_are_refused(
    root: Path, change: Callable[[dict[str, Any]], None], code: str, words: str
) -> None:
    change_weights(root, change)
    error = refused(root)
    assert error.code == code
    assert words in str(error)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("damage", [
    lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"junk" * 100,
])  # fmt: skip
def test_broken_weights_are_refused(root: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    path = model_folder(root) / name
    path.write_bytes(damage(path.read_bytes()))
    if name == "pytorch_model.bin":
        (model_folder(root) / "model.safetensors").unlink()
    assert refused(root).code in ("broken-weights", "unsafe-pickle")


def test_tensors_inside_something_else_are_refused(root: Path) -> None:
    (model_folder(root) / "model.safetensors").unlink()
    torch.save({"model": {"a": torch.ones(2)}}, model_folder(root) / "pytorch_model.bin")
    assert refused(root).code == "broken-weights"


@pytest.mark.parametrize(("entries", "code"), [
    ({"hidden_act": "gelu"}, "unsuitable-weights"),
    ({"position_embedding_type": "relative_key"}, "unsuitable-weights"),
    ({"hidden_size": "32"}, "broken-config"),
    ({"num_attention_heads": 5}, "broken-config"),
    ({"vocab_size": None}, "broken-config"),
    ({"max_position_embeddings": -1}, "broken-config"),
    ({"num_hidden_layers": 10**9}, "broken-config"),
    ({"type_vocab_size": "2"}, "broken-config"),
    ({"layer_norm_eps": "1e-12"}, "broken-config"),
    ({"layer_norm_eps": float("nan")}, "broken-config"),
    ({"hidden_dropout_prob": None}, "broken-config"),
])  # fmt: skip
def test_a_config_of_another_network_is_refused(root: Path, entries: dict[str, object], code: str) -> None:
    change_config(root, **entries)
    assert refused(root).code == code


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_config_that_is_none_is_refused(root: Path, content: bytes) -> None:
    (model_folder(root) / "config.json").write_bytes(content)
    assert refused(root).code == "broken-config"


@pytest.mark.parametrize("key", [key for key in SHAPES if key != "geneformer-v1-10m"])
def test_another_published_shape_is_refused_by_name(root: Path, key: str) -> None:
    shutil.rmtree(root / "geneformer")  # which model it is is told before what it lacks
    change_config(root, **asdict(SHAPES[key]))
    error = refused(root)
    assert error.code == "other-checkpoint"
    assert key in str(error)


def test_its_own_published_shape_is_not_refused(root: Path) -> None:
    change_config(root, **asdict(SHAPES["geneformer-v1-10m"]))
    assert refused(root).code == "wrong-dictionary", "which comes after"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "pytorch_model.bin"])
def test_a_pointer_of_git_lfs_is_told(root: Path, name: str) -> None:
    if name == "pytorch_model.bin":
        (model_folder(root) / "model.safetensors").unlink()
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:a5e3\nsize 41183536\n"
    (model_folder(root) / name).write_text(pointer)
    error = refused(root)
    assert error.code == "git-lfs-pointer"
    assert "git lfs pull" in str(error)


@pytest.mark.parametrize(("name", "change", "code"), [
    (TOKENS, lambda tokens: tokens.popitem(), "wrong-dictionary"),
    (TOKENS, lambda tokens: tokens.update({GENES[0]: 99}), "broken-numbering"),
    (TOKENS, lambda tokens: tokens.update({GENES[0]: tokens[GENES[1]]}), "broken-numbering"),
    (TOKENS, lambda tokens: tokens.update({GENES[0]: "3"}), "broken-numbering"),
    (TOKENS, lambda tokens: tokens.update({GENES[0]: 3.0}), "broken-numbering"),
    (MEDIANS, lambda medians: medians.pop(GENES[3]), "missing-medians"),
    (MEDIANS, lambda medians: medians.update({GENES[3]: 0.0}), "missing-medians"),
    (MEDIANS, lambda medians: medians.update({GENES[3]: -1.0}), "missing-medians"),
    (MEDIANS, lambda medians: medians.update({GENES[3]: float("nan")}), "missing-medians"),
    (MEDIANS, lambda medians: medians.update({GENES[3]: float("inf")}), "missing-medians"),
    (MEDIANS, lambda medians: medians.update({GENES[3]: 10**400}), "missing-medians"),
    (MEDIANS, lambda medians: medians.update({GENES[3]: "1.5"}), "missing-medians"),
])  # fmt: skip
def test_dictionaries_that_do_not_fit_are_refused(
    root: Path, name: str, change: Callable[[dict[str, Any]], None], code: str
) -> None:
    change_dictionary(root, name, change)
    error = refused(root)
    assert error.code == code
    assert f"{name}_gc30M.pkl" in str(error)


def test_special_tokens_tell_the_series(tmp_path: Path) -> None:
    for series, other, convert in (("v1", "v2", V1), ("v2", "v1", V2)):
        root = write_published(tmp_path / series / "root", series=series, gene_ids=GENES)
        n_special = 4 if other == "v2" else 2
        genes = real_gene_ids(40 + (2 if series == "v2" else -2)) if n_special else ()
        folder = model_folder(root, series)
        for name, content in make_dictionaries(other, genes).items():
            (folder / f"{name}.pkl").write_bytes(pickle.dumps(content))
        shutil.rmtree(root / "geneformer")
        error = refused(root, convert)
        assert error.code == "wrong-special-tokens"
        assert "<cls>" in str(error)


def test_a_dictionary_known_to_be_of_another_series_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / DICTIONARIES / f"{MEDIANS}_gc30M.pkl"
    known = {hashlib.sha256(path.read_bytes()).hexdigest(): ("v2", "95m")}
    monkeypatch.setattr(vocabulary, "DICTIONARY_HASHES", known)
    error = refused(root)
    assert error.code == "other-series"
    assert "_gc104M" in str(error)


def test_published_weights_of_another_key_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scfm_core.checkpoints import conversion

    path = model_folder(root) / "model.safetensors"
    monkeypatch.setattr(conversion, "WEIGHT_SIZES", {path.stat().st_size})
    known = {hashlib.sha256(path.read_bytes()).hexdigest(): "geneformer-v2-104m-clcancer"}
    monkeypatch.setattr(conversion, "WEIGHT_HASHES", known)
    error = refused(root)
    assert error.code == "other-checkpoint"
    assert "geneformer-v2-104m-clcancer" in str(error)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch ran",)


def test_nothing_of_a_malicious_checkpoint_runs(tmp_path: Path) -> None:
    """In a process of its own with an audit hook; a malicious training_args.bin lies there too and is never opened."""
    places = ("token_dictionary", "pytorch_model.bin", "pytorch_model.bin of old")
    roots = [write_published(tmp_path / place, gene_ids=GENES) for place in places]
    for root in roots:
        (model_folder(root) / "training_args.bin").write_bytes(pickle.dumps(_Evil()))
    (roots[0] / DICTIONARIES / f"{TOKENS}_gc30M.pkl").write_bytes(pickle.dumps({"<pad>": _Evil()}))
    state: dict[str, object] = {name: torch.from_numpy(value) for name, value in _some_weights().items()}
    for root, zipped in zip(roots[1:], (True, False), strict=True):
        (model_folder(root) / "model.safetensors").unlink()
        path = model_folder(root) / "pytorch_model.bin"
        torch.save({**state, "extra": _Evil()}, path, _use_new_zipfile_serialization=zipped)
    script = tmp_path / "watch.py"
    script.write_text(WATCH)
    command = [sys.executable, "-W", "ignore", script, *roots]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    for told in json.loads(ran.stdout.splitlines()[-1]):
        assert told == {"code": "unsafe-pickle", "heard": [], "opened_arguments": False}
    assert not (tmp_path / "ran").exists()
    with pytest.MonkeyPatch.context() as patch:  # the trap is one: torch's reader without the restriction steps in it
        patch.chdir(tmp_path)
        torch.load(model_folder(roots[1]) / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "ran").exists()


def _some_weights() -> dict[str, Any]:
    return random_weights(make_config(len(GENES) + 2, CONTEXT["v1"]))


WATCH = """
import collections, io, json, sys
from pathlib import Path
import safetensors.torch
import torch
from scfm_core import tensors
from scfm_core.checkpoints.conversion import GeneformerConversion
from scfm_core.errors import ModelError

for zipped in (True, False):  # torch imports more when it refuses for the first time
    content = io.BytesIO()
    torch.save(collections.ChainMap(), content, _use_new_zipfile_serialization=zipped)
    content.seek(0)
    try:
        torch.load(content, weights_only=True)
    except Exception:
        pass

heard, opened = [], []
listening = False
WATCHED = {"os.system", "os.exec", "os.fork", "os.posix_spawn", "os.mkdir", "os.remove", "os.rename", "exec",
           "subprocess.Popen", "marshal.loads", "code.__new__", "socket.connect", "ctypes.dlopen"}

def hook(event, details):
    if not listening:
        return
    if event == "open":
        opened.append(str(details[0]))
        if details[1] not in ("r", "rb", None):
            heard.append(f"open {details[0]} {details[1]}")
    elif event in WATCHED:
        heard.append(event)

sys.addaudithook(hook)
told = []
for root in map(Path, sys.argv[1:]):
    heard, opened, code = [], [], "none"
    try:
        listening = True
        GeneformerConversion("geneformer-v1-10m")(root, None, root)
    except ModelError as error:
        code = error.code
    finally:
        listening = False
    arguments = any("training_args" in name for name in opened)
    told.append({"code": code, "heard": heard, "opened_arguments": arguments})
print(json.dumps(told))
"""
