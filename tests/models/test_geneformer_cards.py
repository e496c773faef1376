"""The cards of the published Geneformers say what was published, and cost nothing to look at."""

import pickle
import re
import subprocess
import sys

import pytest

from scfm_core.checkpoints.catalogue import DICTIONARY_HASHES, FOLDERS, SHAPES, WEIGHT_HASHES, WEIGHT_SIZES
from scfm_core.errors import ModelError
from scfm_core.model import ModelSpec
from scfm_core.models.geneformer import SPECS
from scfm_core.registry import all_models, find_model

# key: weights with the tied head (specification), bytes to download (sizes of the repository's files), series
EXPECTED = {
    "geneformer-v1-10m": (10_288_722, 44_614_732, "v1"),
    "geneformer-12l-30m": (39_591_250, 161_898_608, "v1"),
    "geneformer-12l-95m": (37_997_363, 159_570_356, "v2"),
    "geneformer-12l-95m-clcancer": (37_997_363, 159_570_525, "v2"),
    "geneformer-20l-95m": (151_313_459, 612_850_109, "v2"),
    "geneformer-v2-104m": (104_386_867, 425_128_531, "v2"),
    "geneformer-v2-104m-clcancer": (104_386_867, 425_128_703, "v2"),
    "geneformer-v2-316m": (316_354_867, 1_273_012_452, "v2"),
}


@pytest.fixture(params=SPECS, ids=lambda spec: spec.key)
def card(request: pytest.FixtureRequest) -> ModelSpec:
    spec: ModelSpec = request.param
    return spec


def test_every_published_checkpoint_has_a_card() -> None:
    assert {spec.key for spec in SPECS} == set(EXPECTED) == set(SHAPES) == set(FOLDERS)
    assert set(SPECS) <= set(all_models())


def test_sizes_are_those_of_the_checkpoint(card: ModelSpec) -> None:
    n_parameters, download, series = EXPECTED[card.key]
    assert card.published is not None
    assert (card.n_parameters, card.published.size_bytes) == (n_parameters, download)
    context = 2048 if series == "v1" else 4096
    assert card.max_tokens == context
    n_genes, n_read = ("25,424", "2,048") if series == "v1" else ("20,271", "4,094")
    assert card.vocabulary.startswith(f"{n_genes} human genes by Ensembl id, the {n_read} that")
    assert card.poolings == (("cell",) if series == "v1" else ("cls", "cell"))
    assert card.default_layer == -1


def test_what_is_published_is_pinned(card: ModelSpec) -> None:
    published = card.published
    assert published is not None
    assert published.repository == "ctheodoris/Geneformer"
    assert re.fullmatch(r"[0-9a-f]{40}", published.revision)
    assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in published.files)
    assert len({file.name for file in published.files}) == 6
    folder = FOLDERS[card.key][0]
    assert [file.name for file in published.files[:2]] == [f"{folder}/config.json", published.files[1].name]
    assert published.files[1].name.startswith(f"{folder}/")
    assert WEIGHT_HASHES[published.files[1].sha256] == card.key
    assert published.files[1].size_bytes in WEIGHT_SIZES
    series = "v1" if EXPECTED[card.key][2] == "v1" else "v2"
    assert all(series in DICTIONARY_HASHES[file.sha256] for file in published.files[2:])
    assert all(file.url.endswith(f"{published.revision}/{file.name}") for file in published.files)


def test_it_says_how_to_get_it_and_what_it_is_not_good_for(card: ModelSpec) -> None:
    assert card.licence == "Apache-2.0"
    assert card.doi.startswith("10.")
    for words in (f"scfm weights fetch {card.key}", f"scfm weights add {card.key} FOLDER", "MB", "Apache-2.0"):
        assert words in card.how_to_get
    limits = " ".join(card.known_limits)
    for words in ("10.1186/s13059-025-03574-x", "PCA", "Human only", "order of genes"):
        assert words in limits
    assert ("cancer studies" in card.training_data) == card.key.endswith("clcancer")


def test_a_card_can_be_compared_and_sent(card: ModelSpec) -> None:
    sent = pickle.loads(pickle.dumps(card))
    assert sent == card
    assert hash(sent) == hash(card)


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, names in FOLDERS.items() for name in (key, *names)])
def test_every_earlier_name_is_known(key: str, name: str) -> None:
    assert find_model(name).key == key
    assert find_model(name.upper().replace("-", "_")).key == key


def test_a_wrong_name_is_refused_with_a_key() -> None:
    with pytest.raises(ModelError, match="Did you mean 'geneformer-12l-95m'") as error:
        find_model("gf-12L-95M")
    assert error.value.code == "unknown-model"


def test_looking_at_a_card_loads_no_torch() -> None:
    script = (
        "import sys; from scfm_core.weights import installed; from scfm_core.registry import all_models; "
        "cards = [installed(spec) for spec in all_models()]; "
        "print([name for name in ('torch', 'huggingface_hub', 'safetensors.torch') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
