"""Gene sets that are kept, and found again by another process."""

import pytest

from scfm_core.errors import RequestError
from scfm_core.gene_sets import GeneSet, read_gmt
from scfm_core.kept_gene_sets import KeptGeneSets


@pytest.fixture
def kept(tmp_path):
    return KeptGeneSets(tmp_path)


def test_what_is_kept_is_read_again_in_order(kept):
    one = kept.keep(GeneSet("  B\tcells ", "typed\nhere", ("MS4A1", "CD79A", "MS4A1", " ", "CD19,1.0")))
    assert one == GeneSet("B cells", "typed here", ("MS4A1", "CD79A", "CD19"))
    kept.keep(GeneSet("A/../x", "", ("LYZ",)))
    assert list(KeptGeneSets(kept.folder).read().values()) == [one, GeneSet("A/../x", "", ("LYZ",))]
    assert all(path.parent == kept.folder for path in kept.folder.iterdir())


def test_every_file_is_a_gmt_file(kept):
    one = kept.keep(GeneSet("é B", "words", ("MS4A1",)))
    (path,) = kept.folder.glob("*.gmt")
    assert read_gmt(path).sets == (one,)


def test_a_name_is_not_taken_twice_but_the_same_set_may_be_kept_again(kept):
    kept.keep(GeneSet("B", "", ("MS4A1", "CD79A")))
    kept.keep(GeneSet("B", "again", ("CD79A", "MS4A1")))
    with pytest.raises(RequestError) as caught:
        kept.keep(GeneSet("B", "", ("LYZ",)))
    assert caught.value.code == "name-taken"
    kept.drop("B")
    kept.drop("B")
    kept.keep(GeneSet("B", "", ("LYZ",)))
    assert kept.read()["B"].genes == ("LYZ",)


@pytest.mark.parametrize(("name", "genes", "code"), [
    ("", ("LYZ",), "bad-name"), (" \t", ("LYZ",), "bad-name"), ("x" * 81, ("LYZ",), "bad-name"), ("x", (), "no-genes"),
    ("x", (" ", ","), "no-genes"),
])  # fmt: skip
def test_a_set_needs_a_name_and_genes(kept, name, genes, code):
    with pytest.raises(RequestError) as caught:
        kept.keep(GeneSet(name, "", genes))
    assert caught.value.code == code
    assert not list(kept.folder.iterdir())
