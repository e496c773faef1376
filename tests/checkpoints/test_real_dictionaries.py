"""The dictionaries that Geneformer's authors published, and real cells in tokens that another code made of them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyarrow import parquet
from scipy.sparse import csr_matrix

from scfm_core.checkpoints.catalogue import DICTIONARY_HASHES, SHAPES, SPECIAL_TOKENS
from scfm_core.checkpoints.layout import FoundFiles
from scfm_core.checkpoints.vocabulary import Vocabulary, read_vocabulary
from scfm_core.dataset import CellCounts
from scfm_core.rank_bert import RankBert
from scfm_core.tensors import BertShape, GeneBert

SHAPE = SHAPES["geneformer-v1-10m"]


@pytest.fixture(scope="module")
def published(shared_sidefiles: Path) -> FoundFiles:
    folder = shared_sidefiles / "geneformer_30M"
    return FoundFiles(
        config=folder / "config_12L.json",
        weights=folder / "model.safetensors",  # not there, and not needed here
        tokens=folder / "token_dictionary.pkl",
        medians=folder / "gene_median_dictionary.pkl",
        names=folder / "gene_name_id_dict.pkl",
        mapping=None,
    )


@pytest.fixture(scope="module")
def vocabulary(published: FoundFiles) -> Vocabulary:
    return read_vocabulary("v1", published, SHAPE.vocab_size)


@pytest.fixture(scope="module")
def bionemo(shared_sidefiles: Path) -> Path:
    folder = shared_sidefiles / "bionemo_geneformer"
    if not (folder / "vocab.txt").is_file():
        pytest.skip("needs NVIDIA BioNeMo's copy of the vocabulary")
    return folder


def test_the_files_are_the_published_ones(published: FoundFiles) -> None:
    for path in (published.tokens, published.medians, published.names):
        assert path is not None
        assert DICTIONARY_HASHES[hashlib.sha256(path.read_bytes()).hexdigest()] == ("v1",)


def test_the_vocabulary_has_the_published_sizes(vocabulary: Vocabulary) -> None:
    """Numbers from the specification of the dictionaries."""
    medians = np.array(vocabulary.medians[2:], dtype=np.float64)
    assert vocabulary.tokens[:2] == SPECIAL_TOKENS["v1"]
    assert (len(vocabulary.tokens), len(medians), len(vocabulary.symbols)) == (25426, 25424, 21245)
    assert (medians.min().round(4), medians.max().round(1)) == (0.0947, 634.3)
    assert vocabulary.symbols["CD3D"] == "ENSG00000167286"


def test_the_vocabulary_is_the_one_that_others_read(vocabulary: Vocabulary, bionemo: Path) -> None:
    assert list(vocabulary.tokens) == (bionemo / "vocab.txt").read_text().split()


def test_real_cells_come_back_in_their_order(vocabulary: Vocabulary, bionemo: Path) -> None:
    """Counts that rank as 500 real cells do, by genes in another order, are encoded as these cells were."""
    table = parquet.read_table(bionemo / "genecorpus_500_samples.parquet")
    lengths = table["length"].to_numpy()
    ids: NDArray[np.int64] = table["input_ids"].combine_chunks().flatten().to_numpy()
    assert (len(lengths), lengths.max()) == (500, SHAPE.max_position_embeddings)
    ends = np.cumsum(lengths)
    strengths = np.repeat(ends, lengths) - np.arange(len(ids))  # falls by one from gene to gene, down to 1
    medians = np.array([median or 0.0 for median in vocabulary.medians])
    order = np.random.default_rng(0).permutation(np.arange(2, SHAPE.vocab_size))
    column = np.zeros(SHAPE.vocab_size, dtype=np.int64)
    column[order] = np.arange(len(order))
    matrix = csr_matrix((strengths * medians[ids], column[ids], np.append(0, ends)), shape=(len(lengths), len(order)))
    gene_ids = tuple(vocabulary.tokens[place].lower() for place in order)
    counts = CellCounts(matrix=matrix, gene_ids=gene_ids, total_counts=np.asarray(matrix.sum(axis=1)).ravel())
    tokens = _reader(vocabulary).encode(counts)
    np.testing.assert_array_equal(tokens.lengths, lengths)
    np.testing.assert_array_equal(tokens.genes, ids)


def _reader(vocabulary: Vocabulary) -> RankBert:
    """The real vocabulary on a network of a few numbers, which encoding does not use."""
    shape = BertShape(
        vocab_size=SHAPE.vocab_size,
        hidden_size=2,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=2,
        max_position_embeddings=SHAPE.max_position_embeddings,
    )
    return RankBert(
        GeneBert(shape), tokens=vocabulary.tokens, medians=vocabulary.medians, aliases=vocabulary.aliases
    )
