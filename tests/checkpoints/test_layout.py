"""A checkpoint is found in every layout in which it was published, and called by every name that it had."""

import json
import shutil
from pathlib import Path

import pytest

from scfm_core.checkpoints.catalogue import FOLDERS, MAPPING, MEDIANS, NAMES, TOKENS
from scfm_core.checkpoints.layout import find_files
from scfm_core.errors import ModelError
from tests.geneformer_folders import (
    SPECIALS,
    make_config,
    make_dictionaries,
    model_folder,
    write_model,
    write_published,
)

KEYS = {("v1", "current"): "geneformer-v1-10m", ("v2", "current"): "geneformer-v2-104m",
        ("v1", "2024"): "geneformer-v1-10m", ("95m", "2024"): "geneformer-12l-95m",
        ("v1", "2023"): "geneformer-v1-10m"}  # fmt: skip
GENES = ("ENSG00000000003", "ENSG00000000419", "ENSG00000000457")


@pytest.fixture(params=KEYS, ids="-".join)
def published(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, Path]:
    """Key, root and folder of the model, of each layout."""
    series, layout = request.param
    root = write_published(tmp_path / "a" / "repository", series=series, layout=layout, gene_ids=GENES)
    return KEYS[request.param], root, model_folder(root, series, layout)


def test_the_root_and_the_model_folder_lead_to_the_same_files(published: tuple[str, Path, Path]) -> None:
    key, root, folder = published
    found = find_files(key, root, None)
    assert found == find_files(key, folder, None)
    assert found.config == folder / "config.json"
    assert found.weights == folder / "model.safetensors", "not the pickle beside it"
    assert found.tokens.name.startswith(TOKENS)
    assert found.tokens.parent == found.medians.parent
    assert found.tokens.is_relative_to(root / "geneformer")
    assert found.names is not None
    if folder != root:
        assert found.mapping is not None


def test_the_pickle_is_taken_where_it_is_all_there_is(published: tuple[str, Path, Path]) -> None:
    key, root, folder = published
    (folder / "model.safetensors").unlink()
    assert find_files(key, root, None).weights == folder / "pytorch_model.bin"


def test_the_old_layout_had_no_mapping(tmp_path: Path) -> None:
    root = write_published(tmp_path, layout="2023", gene_ids=GENES)
    found = find_files("geneformer-v1-10m", root, None)
    assert found.mapping is None
    assert [path.name for path in found.all()][2:] == [f"{name}.pkl" for name in (TOKENS, MEDIANS, NAMES)]


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, names in FOLDERS.items() for name in names])
def test_every_name_that_a_checkpoint_had_is_found_in_the_repository(tmp_path: Path, key: str, name: str) -> None:
    for folder in (tmp_path / name, tmp_path / "another-model", tmp_path):
        write_model(folder, make_config(5, 20))
    for suffix in ("_gc30M", "_gc95M", "_gc104M"):
        for dictionary in (TOKENS, MEDIANS):
            (tmp_path / f"{dictionary}{suffix}.pkl").write_bytes(b"")
    assert find_files(key, tmp_path, None).config == tmp_path / name / "config.json"


@pytest.mark.parametrize(("key", "helical", "series"), [
    ("geneformer-v1-10m", "v1", "v1"), ("geneformer-12l-95m", "v2", "95m"), ("geneformer-v2-104m", "v3", "v2"),
])  # fmt: skip
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_json_copies_of_the_helical_package_are_found(
    tmp_path: Path, key: str, helical: str, series: str, depth: int
) -> None:
    place = tmp_path / "geneformer" / helical
    model = place / FOLDERS[key][-1]
    write_model(model, make_config(len(SPECIALS[series]) + len(GENES), 20))
    for name, content in make_dictionaries(series, GENES).items():
        plain = {entry: getattr(value, "item", lambda value=value: value)() for entry, value in content.items()}
        (place / f"{name}.json").write_text(json.dumps(plain))
    other = tmp_path / "geneformer" / "v9"
    shutil.copytree(place, other)
    found = find_files(key, (model, tmp_path / "geneformer", tmp_path)[depth], None)
    assert found.config.parent == model
    assert {path.parent for path in found.all()[2:]} == {place}
    assert found.mapping == place / f"{MAPPING}.json"


def test_a_fine_tuned_model_finds_the_dictionaries_of_its_repository(tmp_path: Path) -> None:
    root = write_published(tmp_path, gene_ids=GENES)
    tuned = root / "fine_tuned_models" / "Geneformer-V1-10M_CellClassifier_cardiomyopathies_220224"
    write_model(tuned, make_config(5, 20))
    found = find_files("geneformer-v1-10m", tuned, None)
    assert found.config.parent == tuned
    assert found.tokens.parent == root / "geneformer" / "gene_dictionaries_30m"


def test_dictionaries_beside_the_weights_go_before_those_above(tmp_path: Path) -> None:
    root = write_published(tmp_path, gene_ids=GENES)
    folder = model_folder(root)
    for name in (TOKENS, MEDIANS):
        (folder / f"{name}_gc30M.pkl").write_bytes(b"")
    found = find_files("geneformer-v1-10m", root, None)
    assert (found.tokens.parent, found.medians.parent) == (folder, folder)
    assert found.mapping is not None
    assert found.mapping.parent != folder, "what is not beside them is looked for above"


def test_a_dictionary_that_names_its_series_goes_before_one_that_does_not(tmp_path: Path) -> None:
    root = write_published(tmp_path, gene_ids=GENES)
    (model_folder(root) / f"{TOKENS}.pkl").write_bytes(b"")
    assert find_files("geneformer-v1-10m", root, None).tokens.name == f"{TOKENS}_gc30M.pkl"


@pytest.mark.parametrize("given", ["", "geneformer", "geneformer/gene_dictionaries_30m"])
def test_given_dictionaries_are_the_only_ones(tmp_path: Path, given: str) -> None:
    near = write_published(tmp_path / "near", gene_ids=GENES)
    far = write_published(tmp_path / "far", gene_ids=GENES)
    found = find_files("geneformer-v1-10m", near, far / given)
    assert {path.parent for path in found.all()[2:]} == {far / "geneformer" / "gene_dictionaries_30m"}
    with pytest.raises(ModelError, match="lack token_dictionary") as error:
        find_files("geneformer-v1-10m", near, model_folder(far))
    assert error.value.code == "no-dictionaries"


def test_dictionaries_of_another_series_are_not_taken(tmp_path: Path) -> None:
    root = write_published(tmp_path, series="v2", gene_ids=GENES)
    with pytest.raises(ModelError, match=r"_gc30M.*--dictionaries") as error:
        find_files("geneformer-v1-10m", model_folder(root, "v2"), None)
    assert error.value.code == "no-dictionaries"


def test_the_two_names_of_one_dictionary_stand_for_each_other(tmp_path: Path) -> None:
    root = write_published(tmp_path, series="95m", layout="2024", gene_ids=GENES)
    folder = model_folder(root, "95m", "2024")
    assert find_files("geneformer-v2-104m", folder, None).tokens.name == f"{TOKENS}_gc95M.pkl"


def test_a_lone_model_is_found_whatever_its_folder_is_called(tmp_path: Path) -> None:
    root = write_published(tmp_path, gene_ids=GENES)
    model_folder(root).rename(root / "my-model")
    (root / "config.json").unlink()
    assert find_files("geneformer-v1-10m", root, None).config.parent == root / "my-model"
    write_model(root / "another", make_config(5, 20))
    with pytest.raises(ModelError, match="Geneformer-V1-10M") as error:
        find_files("geneformer-v1-10m", root, None)
    assert error.value.code == "no-weights"


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_weights_is_refused(tmp_path: Path, missing: str) -> None:
    write_model(tmp_path, make_config(5, 20))
    (tmp_path / missing).unlink()
    with pytest.raises(ModelError, match="config.json with model.safetensors or pytorch_model.bin") as error:
        find_files("geneformer-v1-10m", tmp_path, None)
    assert error.value.code == "no-weights"


def test_a_named_folder_that_is_cut_short_is_not_replaced_by_another_model(tmp_path: Path) -> None:
    root = write_published(tmp_path, gene_ids=GENES)
    (model_folder(root) / "config.json").unlink()
    with pytest.raises(ModelError, match=r"found model\.safetensors, pytorch_model\.bin\. Get the whole") as error:
        find_files("geneformer-v1-10m", root, None)
    assert error.value.code == "no-weights"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    write_model(tmp_path, make_config(5, 20))
    for folder, dictionaries in ((tmp_path / "none", None), (tmp_path, tmp_path / "none")):
        with pytest.raises(ModelError, match="found none called") as error:
            find_files("geneformer-v1-10m", folder, dictionaries)
        assert error.value.code == "no-folder"
