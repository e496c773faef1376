"""Gene names: the tables, what a file's names become, and what a person types."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array

from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.errors import RequestError
from scfm_core.genes import (
    collapse,
    detect_organism,
    find_genes,
    gene_table,
    is_ensembl,
    resolve,
    symbol_of,
    without_version,
)
from scfm_core.resources import asset

CD3D, LYZ, FYB1 = "ENSG00000167286", "ENSG00000090382", "ENSG00000082074"


@pytest.fixture
def few_genes(tmp_path):
    """A dataset with an old name, two genes of one symbol and a gene that no table knows."""
    new = NewDataset(
        matrix=csr_matrix(np.ones((2, 6), dtype=int)),
        gene_ids=(CD3D, LYZ, FYB1, "ENSG00000284770", "ENSG00000285053", "spike-in.1"),
        gene_symbols=("CD3D", "LYZ", "FYB", "TBCE", "TBCE", "spike-in.1"),
        cells=pd.DataFrame(index=["a", "b"]),
        organism="human",
    )
    return write_dataset(tmp_path, new)


def test_tables_know_canonical_genes():
    human, mouse = gene_table("human"), gene_table("mouse")
    assert (human.ids["CD3D"], human.ids["LYZ"], human.ids["FYB1"]) == (CD3D, LYZ, FYB1)
    assert human.symbols[CD3D] == "CD3D"
    assert mouse.symbols[mouse.ids["CD3D"]] == "Cd3d"
    assert gene_table("unknown").ids == {}
    assert len(human.symbols) > 70_000 < len(mouse.symbols)


def test_every_symbol_leads_to_a_gene_of_the_table():
    for organism in ("human", "mouse"):
        table = gene_table(organism)
        assert set(table.ids.values()) <= set(table.symbols)
        assert set(table.ids) >= {name.upper() for name in table.names}


def test_a_symbol_of_several_genes_means_the_protein_coding_one_then_the_oldest():
    genes = pd.read_csv(asset("genes") / "human.csv.gz", keep_default_na=False)
    ids = gene_table("human").ids
    for symbol, group in genes[genes["symbol"] != ""].groupby(genes["symbol"].str.upper()):
        if len(group) > 1:
            coding = group[group["biotype"] == "protein_coding"]
            assert ids[symbol] == min((coding if len(coding) else group)["ensembl_id"])


def test_an_earlier_symbol_leads_to_the_gene_but_never_hides_a_current_one():
    table = gene_table("human")
    assert table.ids["FYB"] == FYB1
    for name in table.names:
        assert table.symbols[table.ids[name.upper()]].upper() == name.upper()


def test_resolve_strips_versions_and_keeps_unknown_names():
    got = resolve([f"{CD3D}.14", "ENSG00000182378.15_PAR_Y", "ERCC-00002", "ENSG99999999999"], [], "human")
    assert got.gene_ids == (CD3D, "ENSG00000182378", "ERCC-00002", "ENSG99999999999")
    assert got.symbols == ("CD3D", "PLCXD1", "ERCC-00002", "ENSG99999999999")
    assert (got.n_versions_stripped, got.n_mapped, got.n_unknown, got.n_retired) == (2, 2, 2, 0)


def test_resolve_reads_a_retired_id_through_its_symbol():
    got = resolve(["ENSG99999999999", CD3D], ["LYZ", "CD3D"], "human")
    assert got.gene_ids == (LYZ, CD3D)
    assert (got.n_retired, got.n_mapped, got.n_unknown) == (1, 2, 0)


def test_resolve_symbols_alone_in_any_case_with_repeats_and_genome_prefix():
    symbols = ["lyz", "FYB", "hg19_CD3D", "TBCE", "TBCE-1", "TBCE.2", "RP11-34P13.7", "HLA-DRA", "NKX2-5"]
    got = resolve([], symbols, "human")
    assert got.gene_ids[:3] == (LYZ, FYB1, CD3D)
    assert got.gene_ids[3] == got.gene_ids[4] == got.gene_ids[5]
    assert got.symbols == ("LYZ", "FYB", "CD3D", "TBCE", "TBCE", "TBCE", "RP11-34P13.7", "HLA-DRA", "NKX2-5")
    assert got.n_retired == 0


def test_resolve_reads_names_that_are_no_ensembl_ids_as_symbols():
    assert resolve(["CD3D", "LYZ"], [], "human").gene_ids == (CD3D, LYZ)


def test_resolve_with_an_unknown_organism_keeps_the_names():
    got = resolve(["FBgn0000008"], ["a"], "unknown")
    assert (got.gene_ids, got.symbols, got.n_unknown) == (("FBgn0000008",), ("a",), 1)


def test_resolve_refuses_lists_of_different_lengths():
    with pytest.raises(RequestError, match="2 and 1"):
        resolve([CD3D], ["CD3D", "LYZ"], "human")


@given(st.lists(st.text(max_size=12), max_size=30))
@settings(max_examples=60, deadline=None)
def test_resolve_takes_any_text_and_counts_every_gene(names):
    for ids, symbols in ((names, []), ([], names), (names, names[::-1])):
        got = resolve(ids, symbols, "human")
        assert len(got.gene_ids) == len(got.symbols) == len(names)
        assert got.n_mapped + got.n_unknown == len(names)


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_collapse_sums_equal_genes_as_a_dense_loop_does(gene_ids, seed):
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 256, (5, len(gene_ids)), dtype=np.uint8)
    matrix, unique, symbols, n_collapsed = collapse(csr_matrix(dense), gene_ids, [name.upper() for name in gene_ids])
    assert list(unique) == list(dict.fromkeys(gene_ids))
    assert [symbol.lower() for symbol in symbols] == list(unique)
    assert n_collapsed == len(gene_ids) - len(unique)
    for place, name in enumerate(unique):
        columns = [column for column, other in enumerate(gene_ids) if other == name]
        np.testing.assert_array_equal(matrix.toarray()[:, place], dense[:, columns].sum(axis=1, dtype=int))


def test_collapse_leaves_its_arguments_alone():
    before = csr_matrix(random_array((6, 4), density=0.5, rng=np.random.default_rng(0)))
    copy = before.copy()
    collapse(before, ["a", "b", "a", "b"], ["A", "B", "A", "B"])
    assert (before != copy).nnz == 0


@pytest.mark.parametrize(
    ("names", "organism"),
    [
        (["ENSG00000167286.3", "ERCC-1"], "human"),
        (["ENSMUSG00000032094"], "mouse"),
        (["mm10_Cd3d", "Lyz2", "x1"], "mouse"),
        (["CD3D", "LYZ", "x1", "x2"], "human"),
        (["FBgn0000008", "FBgn0000014"], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_organism_shows_in_the_names(names, organism):
    assert detect_organism(names) == organism


def test_names_with_and_without_version():
    assert is_ensembl("ENSMUSG00000032094.7")
    assert not is_ensembl("CD3D")
    assert without_version("AC012345.1") == "AC012345.1"


def test_find_genes_takes_symbols_and_ids_of_any_kind(few_genes):
    names = ["cd3d", " LYZ ", f"{LYZ}.11", "FYB", "FYB1", CD3D.lower(), "spike-in.1"]
    assert find_genes(few_genes, names) == (CD3D, LYZ, LYZ, FYB1, FYB1, CD3D, "spike-in.1")
    assert find_genes(few_genes, []) == ()


def test_find_genes_prefers_the_table_where_two_genes_share_a_symbol(few_genes):
    assert find_genes(few_genes, ["TBCE"]) == (gene_table("human").ids["TBCE"],)


def test_find_genes_names_everything_it_misses(few_genes):
    with pytest.raises(RequestError) as caught:
        find_genes(few_genes, ["LYZZ", "CD3D", "NOVEL7"])
    text = str(caught.value)
    assert caught.value.code == "unknown-gene"
    assert "LYZZ (did you mean LYZ?)" in text
    assert "NOVEL7" in text
    assert "CD3D (" not in text


def test_symbol_of_falls_back_to_the_id(few_genes):
    assert symbol_of(few_genes, FYB1) == "FYB"
    assert symbol_of(few_genes, "ENSG1") == "ENSG1"


def test_finding_genes_is_quick_among_thirty_thousand(demo_dataset):
    find_genes(demo_dataset, ["LYZ"])
    start = time.perf_counter()
    found = find_genes(demo_dataset, list(demo_dataset.gene_ids[:10_000]))
    with pytest.raises(RequestError):
        find_genes(demo_dataset, ["LYYZ", "S100A88"])
    assert time.perf_counter() - start < 1
    assert found == demo_dataset.gene_ids[:10_000]
