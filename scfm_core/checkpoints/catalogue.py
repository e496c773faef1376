"""What was published of Geneformer: sizes, names of folders and dictionaries, hashes; facts only, nothing is read.

The facts are those of the repository ctheodoris/Geneformer on the Hugging Face hub at the revisions named here.
"""

from dataclasses import dataclass
from typing import Literal

from scfm_core.model import WeightFile

Series = Literal["v1", "v2", "95m"]

REPOSITORY = "ctheodoris/Geneformer"
CURRENT = "ff551ee40322e9f58bd86ca867d76cf78f26e41b"  # 2025-06-27
BEFORE = "31bf641d0f173a18a5e06d9a6574bb0d3fe5edc1"  # 2025-06-16, the last with the 95M models and the 12-layer V1

TOKENS, MEDIANS, NAMES, MAPPING = (
    "token_dictionary",
    "gene_median_dictionary",
    "gene_name_id_dict",
    "ensembl_mapping_dict",
)

# The dictionaries gc95M and gc104M are byte for byte the same at both revisions, so each name is taken for the other.
SUFFIXES: dict[Series, tuple[str, ...]] = {
    "v1": ("_gc30M", ""),
    "v2": ("_gc104M", "_gc95M", ""),
    "95m": ("_gc95M", "_gc104M", ""),
}
SPECIAL_TOKENS: dict[Series, tuple[str, ...]] = {
    "v1": ("<pad>", "<mask>"),
    "v2": ("<pad>", "<mask>", "<cls>", "<eos>"),
    "95m": ("<pad>", "<mask>", "<cls>", "<eos>"),
}
# The folder with a series' dictionaries as the helical package lays them out.
HELICAL: dict[Series, str] = {"v1": "v1", "v2": "v3", "95m": "v2"}


@dataclass(frozen=True)
class Shape:
    """The sizes by which a checkpoint is told from another, under the names of ``config.json``."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    vocab_size: int


_V1_SMALL = Shape(6, 256, 4, 512, 2048, 25426)
_V1_LARGE = Shape(12, 512, 8, 1024, 2048, 25426)
_95M_SMALL = Shape(12, 512, 8, 1024, 4096, 20275)
_95M_LARGE = Shape(20, 896, 14, 1792, 4096, 20275)
_V2_SMALL = Shape(12, 768, 12, 3072, 4096, 20275)
_V2_LARGE = Shape(18, 1152, 18, 4608, 4096, 20275)

SHAPES = {
    "geneformer-v1-10m": _V1_SMALL,
    "geneformer-12l-30m": _V1_LARGE,
    "geneformer-12l-95m": _95M_SMALL,
    "geneformer-12l-95m-clcancer": _95M_SMALL,
    "geneformer-20l-95m": _95M_LARGE,
    "geneformer-v2-104m": _V2_SMALL,
    "geneformer-v2-104m-clcancer": _V2_SMALL,
    "geneformer-v2-316m": _V2_LARGE,
}

# Names that the folder of a checkpoint had, the name at the pinned revision first.
FOLDERS = {
    "geneformer-v1-10m": ("Geneformer-V1-10M", "gf-6L-30M-i2048", "gf-6L-10M-i2048"),
    "geneformer-12l-30m": ("gf-12L-30M-i2048", "gf-12L-40M-i2048", "geneformer-12L-30M"),
    "geneformer-12l-95m": ("gf-12L-95M-i4096", "gf-12L-38M-i4096"),
    "geneformer-12l-95m-clcancer": (
        "gf-12L-95M-i4096_CLcancer",
        "gf-12L-38M-i4096_CLcancer",
        "gf-12L-38M-i4096-CLcancer",
    ),
    "geneformer-20l-95m": ("gf-20L-95M-i4096", "gf-20L-151M-i4096"),
    "geneformer-v2-104m": ("Geneformer-V2-104M", "gf-12L-104M-i4096"),
    "geneformer-v2-104m-clcancer": (
        "Geneformer-V2-104M_CLcancer",
        "gf-12L-104M-i4096_CLcancer",
        "gf-12L-104M-i4096-CLcancer",
    ),
    "geneformer-v2-316m": ("Geneformer-V2-316M", "gf-18L-316M-i4096"),
}

_DICTIONARIES_V1 = (
    (TOKENS, 788424, "ab9dc40973fa5224d77b793e2fd114cacf3d08423ed9c4c49caf0ba9c7f218f1"),
    (MEDIANS, 940965, "b3b589bb5ec75040d05fc44dd6bf0184cf87f3c362cf158d196a6ed3b7fe5f39"),
    (NAMES, 1117117, "55e67962e79c0039a6c32d43c5c99f38e51964bbcfa32f736150ee1e285c438c"),
    (MAPPING, 584125, "eac0fb0b3007267871b6305ac0003ceba19d4f28d85686cb9067ecf142787869"),
)
_DICTIONARIES_V2 = (
    (TOKENS, 425590, "67c445f4385127adfc48dcc072320cd65d6822829bf27dd38070e6e787bc597f"),
    (MEDIANS, 1512661, "a51c53f6a771d64508dfaf61529df70e394c53bd20856926117ae5d641a24bf5"),
    (NAMES, 1660882, "fabfa0c2f49c598c59ae432a32c3499a5908c033756c663b5e0cddf58deea8e1"),
    (MAPPING, 3957652, "0819bcbd869cfa14279449b037eb9ed1d09a91310e77bd1a19d927465030e95c"),
)
DICTIONARY_HASHES: dict[str, tuple[Series, ...]] = {
    **{sha256: ("v1",) for _, _, sha256 in _DICTIONARIES_V1},
    **{sha256: ("v2", "95m") for _, _, sha256 in _DICTIONARIES_V2},
}

_MODEL_FILES = {  # key -> name, size and sha256 of config.json and of the weights
    "geneformer-v1-10m": (
        ("config.json", 565, "9cf69ca3bdb0215c4188b54c451b6f02adfe68b8f66011a57d0f32845133fd4b"),
        ("model.safetensors", 41183536, "a5e33a757431643b3697de7ef6127950cdc49e06e58d4266b3a3ab191b683f14"),
    ),
    "geneformer-12l-30m": (
        ("config.json", 567, "a82b9cf2cb830be227bfbbe5a4c5d62723f49fac892ca37c541d0ef40a0e1de9"),
        ("pytorch_model.bin", 158467410, "812f8d85e5ecf9d64c268f052f6ece2c1906bc4f1aecf70d5144b2598386b615"),
    ),
    "geneformer-12l-95m": (
        ("config.json", 591, "f56780389d8c89c1b6c4084e2e6ee1f736558e4b3bb8ce7473159e83465de401"),
        ("model.safetensors", 152012980, "4365ba23e393fcfa0e65a94ac64a0983cd788bd23a8d4914f4ab66f85cfe043c"),
    ),
    "geneformer-12l-95m-clcancer": (
        ("config.json", 760, "7d3720eb553238849f7b3b3fd874e2bafb59c97b0e70afd7ca90132c43b8d5b1"),
        ("model.safetensors", 152012980, "2451adeed240c165634fea60ccba17063da8a2843ea9fcdcc0ce185720bf0dc2"),
    ),
    "geneformer-20l-95m": (
        ("config.json", 592, "915948b8161a15747647c9dd04d4bd3a950ca5fb145a14d9bc1157948a4cb9e7"),
        ("model.safetensors", 605292732, "db85c081a6d392448955c7d0185e26aba74507518df991ca8c69ee9108ce8bbf"),
    ),
    "geneformer-v2-104m": (
        ("config.json", 590, "467d4492f0dd53b4d60afffe20812db484ca1cf9fdbeb6a6e060e93564f70859"),
        ("model.safetensors", 417571156, "fff5cba29ddd8792991fa77b4872246fbe548a178cebda3775cdc72b67780e7f"),
    ),
    "geneformer-v2-104m-clcancer": (
        ("config.json", 762, "b3e1f3e71b1df7238f0f1d6dda258d560ea84e5e9698351a1588cfad06321e18"),
        ("model.safetensors", 417571156, "827738139bfed4bafa9d1f3df7c6146da2e3b85f7225076adc32c6eda0ba4357"),
    ),
    "geneformer-v2-316m": (
        ("config.json", 591, "2cc4af3442644e84af71814a607b61c958d7b4e5ebde6791ab77b5f534ac6f6e"),
        ("model.safetensors", 1265455076, "965ceccea81953d362081ef3843560a0e4fef88d396c28017881f1e94b1246f3"),
    ),
}
# sha256 of published weights -> the checkpoint that they are.
WEIGHT_HASHES = {files[1][2]: key for key, files in _MODEL_FILES.items()}
WEIGHT_SIZES = frozenset(files[1][1] for files in _MODEL_FILES.values())


def series_of(key: str) -> Series:
    """Return which dictionaries a checkpoint was made with."""
    shape = SHAPES[key]
    if shape.vocab_size == _V1_SMALL.vocab_size:
        return "v1"
    return "v2" if "-v2-" in key else "95m"


def revision_of(key: str) -> str:
    """Return the pinned commit that a checkpoint is taken from."""
    return CURRENT if FOLDERS[key][0].startswith("Geneformer-") else BEFORE


def published_files(key: str) -> tuple[WeightFile, ...]:
    """Return the files of a checkpoint at its pinned revision, by path in the repository."""
    series, revision = series_of(key), revision_of(key)
    place = "geneformer/gene_dictionaries_30m" if series == "v1" else "geneformer"
    suffix = SUFFIXES[series][0]
    model = [(f"{FOLDERS[key][0]}/{name}", size, sha256) for name, size, sha256 in _MODEL_FILES[key]]
    dictionaries = _DICTIONARIES_V1 if series == "v1" else _DICTIONARIES_V2
    model += [(f"{place}/{name}{suffix}.pkl", size, sha256) for name, size, sha256 in dictionaries]
    link = f"https://huggingface.co/{REPOSITORY}/resolve/{revision}"
    return tuple(
        WeightFile(name=name, size_bytes=size, sha256=sha256, url=f"{link}/{name}") for name, size, sha256 in model
    )
