"""Weights are used only if every byte is the one on the card."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from scfm_core.devices import use_device
from scfm_core.errors import ModelError
from scfm_core.model import ModelSpec
from scfm_core.registry import find_model
from scfm_core.weights import loaded_model, weights_folder, weights_here, with_weights
from scfm_core.workspace import Workspace

MINI = find_model("scfm-mini")


@pytest.fixture(autouse=True)
def on_the_processor() -> None:
    use_device("cpu")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    folder = tmp_path / "copied"
    shutil.copytree(MINI.bundled_folder, folder)
    return folder


def in_folder(folder: Path) -> ModelSpec:
    return replace(MINI, folder=folder)


def test_the_bundled_weights_are_here_and_small_enough() -> None:
    assert weights_here(MINI)
    assert sum(file.size_bytes for file in MINI.weights) <= 12_000_000


@pytest.mark.parametrize("name", [file.name for file in MINI.weights])
def test_one_changed_byte_is_refused(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[-2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ModelError, match=name) as error:
        loaded_model(in_folder(copied), {})
    assert error.value.code == "changed-weights"


def test_a_file_changed_after_a_good_load_is_refused_too(copied: Path) -> None:
    loaded_model(in_folder(copied), {})
    (copied / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"config\.json"):
        loaded_model(in_folder(copied), {})


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    spec = in_folder(tmp_path)
    assert weights_folder(spec) is None
    assert not weights_here(spec)
    with pytest.raises(ModelError, match=r"not here: expected model\.safetensors.*install it again"):
        loaded_model(spec, {})


def test_a_model_is_loaded_once() -> None:
    assert loaded_model(MINI, {}) is loaded_model(MINI, {})


def test_other_weights_are_another_model(copied: Path) -> None:
    same = with_weights(MINI, copied)
    assert same.identity == MINI.identity
    (copied / "vocabulary.json").write_text((copied / "vocabulary.json").read_text() + " ")
    other = with_weights(MINI, copied)
    assert other.identity != MINI.identity
    assert other.embedding_size == MINI.embedding_size
    assert loaded_model(other, {}).gene_ids == loaded_model(MINI, {}).gene_ids


def test_a_folder_that_lacks_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lacks model\.safetensors"):
        with_weights(MINI, tmp_path)
    with pytest.raises(ModelError, match="has no weights"):
        with_weights(find_model("pca"), tmp_path)


def test_the_workspace_goes_before_the_bundle(workspace: Workspace) -> None:
    folder = workspace.folder("weights") / MINI.key
    shutil.copytree(MINI.bundled_folder, folder)
    assert weights_folder(MINI) == folder
    assert weights_folder(find_model("pca")) is None
    assert weights_here(find_model("pca"))
