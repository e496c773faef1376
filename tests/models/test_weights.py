"""Weights are used only if every byte is the one on the card."""

import errno
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from scfm_core.checkpoints.conversion import GeneformerConversion
from scfm_core.converted import read_manifest
from scfm_core.devices import use_device
from scfm_core.errors import ModelError
from scfm_core.model import ModelSpec
from scfm_core.registry import find_model
from scfm_core.weights import (
    add_weights,
    installed,
    loaded_model,
    remove_weights,
    weights_folder,
    weights_here,
    with_weights,
)
from scfm_core.workspace import Workspace
from tests.geneformer_folders import model_folder, real_gene_ids, write_published

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


GENEFORMER = find_model("geneformer-v1-10m")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return write_published(tmp_path / "published", gene_ids=real_gene_ids(40))


def test_a_published_model_without_weights_says_how_to_get_them(workspace: Workspace) -> None:
    assert installed(GENEFORMER) == GENEFORMER
    assert weights_folder(GENEFORMER) is None
    assert not weights_here(GENEFORMER)
    words = r"not here\. .*scfm weights fetch geneformer-v1-10m' \(45 MB.*scfm weights add"
    with pytest.raises(ModelError, match=words) as error:
        loaded_model(GENEFORMER, {})
    assert error.value.code == "no-weights"


def test_added_weights_are_found_without_the_folder(workspace: Workspace, published: Path) -> None:
    added = add_weights(GENEFORMER, published)
    shutil.rmtree(published)
    assert added == installed(GENEFORMER)
    assert added.folder == workspace.root / "weights" / GENEFORMER.key
    assert weights_here(GENEFORMER)
    assert (added.embedding_size, added.max_tokens, added.n_layers) == (32, 220, 3)
    assert added.vocabulary == "40 human genes by Ensembl id, the 220 that stand out most in each cell"
    network = loaded_model(added, {})
    assert added.n_parameters == sum(value.numel() for value in network.network.parameters())
    assert network.gene_ids == ("", "", *real_gene_ids(40))
    assert pickle.loads(pickle.dumps(added)) == added
    manifest = json.loads((added.folder / "manifest.json").read_text())
    assert manifest["key"] == GENEFORMER.key
    assert [file["sha256"] for file in manifest["files"]] == [file.sha256 for file in added.weights]
    assert manifest["source"]["folder"] == str(published)
    assert {file["as_published"] for file in manifest["source"]["files"]} == {False}


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocabulary.json"])
def test_one_changed_byte_of_added_weights_is_refused(workspace: Workspace, published: Path, name: str) -> None:
    added = add_weights(GENEFORMER, published)
    assert added.folder is not None
    path = added.folder / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=name) as error:
        loaded_model(installed(GENEFORMER), {})
    assert error.value.code == "changed-weights"


def test_the_card_of_no_weights_cannot_be_run_beside_installed_ones(workspace: Workspace, published: Path) -> None:
    add_weights(GENEFORMER, published)
    with pytest.raises(ModelError, match="installed"):
        loaded_model(GENEFORMER, {})


def test_other_weights_replace_added_ones_whole_or_not_at_all(
    workspace: Workspace, published: Path, tmp_path: Path
) -> None:
    first = add_weights(GENEFORMER, published)
    other = write_published(tmp_path / "other", seed=5, gene_ids=real_gene_ids(50))
    bad = write_published(tmp_path / "bad", seed=6, gene_ids=real_gene_ids(50))
    (model_folder(bad) / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError):
        add_weights(GENEFORMER, bad)
    assert installed(GENEFORMER) == first
    second = add_weights(first, other)
    assert second.identity != first.identity
    assert installed(GENEFORMER) == second
    assert [path.name for path in (workspace.root / "weights").iterdir()] == [GENEFORMER.key], "nothing is left over"
    assert remove_weights(GENEFORMER)
    assert not remove_weights(GENEFORMER)
    assert installed(GENEFORMER) == GENEFORMER


def test_a_full_disk_leaves_the_earlier_weights(
    workspace: Workspace, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = add_weights(GENEFORMER, published)
    other = write_published(tmp_path / "other", seed=5, gene_ids=real_gene_ids(50))

    def full(folder: Path, dictionaries: Path | None, out: Path) -> tuple[str, ...]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(GeneformerConversion, "__call__", lambda self, *where: full(*where))
    with pytest.raises(ModelError, match="disk") as error:
        add_weights(GENEFORMER, other)
    assert error.value.code == "disk-full"
    assert installed(GENEFORMER) == first


def test_published_weights_of_a_folder_are_converted_once_beside_the_installed(
    workspace: Workspace, published: Path, tmp_path: Path
) -> None:
    first = add_weights(GENEFORMER, published)
    other = write_published(tmp_path / "other", seed=5, gene_ids=real_gene_ids(50))
    used = with_weights(GENEFORMER, other)
    assert used.folder is not None
    assert used.folder.name.startswith("geneformer-v1-10m@")
    written = (used.folder / "manifest.json").stat().st_mtime_ns
    assert with_weights(first, model_folder(other)) == used
    assert (used.folder / "manifest.json").stat().st_mtime_ns == written
    assert installed(GENEFORMER) == first
    assert used.identity != first.identity
    assert loaded_model(used, {}).gene_ids == ("", "", *real_gene_ids(50))
    again = with_weights(GENEFORMER, used.folder)
    assert again.identity == used.identity, "a converted folder is taken as it is"
    copied = add_weights(GENEFORMER, used.folder)
    assert copied.identity == used.identity
    assert copied.folder == first.folder


def test_other_dictionaries_are_other_weights(workspace: Workspace, published: Path, tmp_path: Path) -> None:
    other = write_published(tmp_path / "other", seed=5, gene_ids=real_gene_ids(40))
    near = with_weights(GENEFORMER, published)
    far = with_weights(GENEFORMER, published, dictionaries=other / "geneformer")
    assert near.identity != far.identity
    assert near.folder != far.folder


def test_a_converted_folder_of_another_model_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    other = write_published(tmp_path / "v2", series="v2", gene_ids=real_gene_ids(40))
    converted = add_weights(find_model("geneformer-v2-104m"), other).folder
    assert converted is not None
    for use in (with_weights, add_weights):
        with pytest.raises(ModelError, match="found those of geneformer-v2-104m") as error:
            use(GENEFORMER, converted)
        assert error.value.code == "other-checkpoint"


def test_weights_of_another_kind_are_refused_before_they_replace_any(workspace: Workspace, copied: Path) -> None:
    with pytest.raises(ModelError) as error:
        add_weights(GENEFORMER, copied)
    assert error.value.code == "unsuitable-weights"
    assert not weights_here(GENEFORMER)
    with pytest.raises(ModelError, match="comes? with the application") as error:
        add_weights(MINI, copied)
    assert error.value.code == "not-published"
    with pytest.raises(ModelError, match="has no weights"):
        add_weights(find_model("pca"), copied)


def test_the_card_of_weights_of_our_own_follows_their_size(copied: Path) -> None:
    card = with_weights(MINI, copied)
    assert (card.n_parameters, card.vocabulary) == (MINI.n_parameters, MINI.vocabulary)
    (copied / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match="something else") as error:
        with_weights(MINI, copied)
    assert error.value.code == "unsuitable-weights"


def test_a_manifest_that_is_not_whole_is_no_installation(workspace: Workspace, published: Path) -> None:
    folder = add_weights(GENEFORMER, published).folder
    assert folder is not None
    (folder / "vocabulary.json").unlink()
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text() + " ")
    assert not weights_here(GENEFORMER)
    (folder / "manifest.json").write_text("{")
    assert not weights_here(GENEFORMER)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"tokens": 3}', b"\xff"])
@pytest.mark.parametrize("name", ["config.json", "vocabulary.json"])
def test_a_damaged_folder_is_told_when_it_is_loaded_and_not_when_models_are_listed(
    workspace: Workspace, published: Path, name: str, content: bytes
) -> None:
    folder = add_weights(GENEFORMER, published).folder
    assert folder is not None
    (folder / name).write_bytes(content)
    (folder / "manifest.json").touch()  # nothing that was remembered of it counts
    card = installed(GENEFORMER)
    assert card.folder == folder
    with pytest.raises(ModelError, match=name) as error:
        loaded_model(card, {})
    assert error.value.code == "changed-weights"


@pytest.mark.parametrize(
    "change", [{"key": None}, {"source": 1}, {"files": [{"name": "x", "other": 1}]}, {"version": 9}]
)
def test_a_manifest_of_another_kind_is_none(workspace: Workspace, published: Path, change: dict[str, object]) -> None:
    folder = add_weights(GENEFORMER, published).folder
    assert folder is not None
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert read_manifest(folder) is None
    assert not weights_here(GENEFORMER)


def test_two_at_once_put_one_whole_folder(
    workspace: Workspace, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process installs the same model in the moment between two renames."""
    first = add_weights(GENEFORMER, published)
    assert first.folder is not None
    rename, target = Path.rename, first.folder

    def late(path: Path, to: Path) -> Path:
        if to == target:
            monkeypatch.setattr(Path, "rename", rename)
            shutil.copytree(published, target)
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", late)
    assert add_weights(GENEFORMER, published).identity == first.identity
    assert [path.name for path in target.parent.iterdir()] == [GENEFORMER.key], "nothing is left over"


def test_weights_that_cannot_be_put_leave_the_earlier_ones(
    workspace: Workspace, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = add_weights(GENEFORMER, published)
    rename, target = Path.rename, first.folder

    def held(path: Path, to: Path) -> Path:
        if to == target and not path.name.endswith(".old"):
            raise PermissionError(errno.EACCES, "The file is in use", str(path))
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", held)
    other = write_published(tmp_path / "other", seed=5, gene_ids=real_gene_ids(50))
    with pytest.raises(ModelError, match="in use") as error:
        add_weights(GENEFORMER, other)
    assert error.value.code == "no-permission"
    assert installed(GENEFORMER) == first
    assert loaded_model(first, {}).gene_ids == ("", "", *real_gene_ids(40))


def test_what_was_converted_for_one_run_is_removed_too(workspace: Workspace, published: Path) -> None:
    other = find_model("geneformer-12l-30m")
    with_weights(GENEFORMER, published)
    kept = with_weights(other, model_folder(published))
    assert remove_weights(GENEFORMER)
    assert list((workspace.root / "weights").iterdir()) == [kept.folder]


def test_a_copy_of_converted_weights_keeps_where_they_came_from(workspace: Workspace, published: Path) -> None:
    used = with_weights(GENEFORMER, published)
    assert used.folder is not None
    copied = add_weights(GENEFORMER, used.folder)
    assert copied.folder is not None
    source = json.loads((copied.folder / "manifest.json").read_text())["source"]
    assert source["folder"] == str(used.folder)
    assert source["before"]["folder"] == str(published)
