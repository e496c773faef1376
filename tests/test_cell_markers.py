"""Curated markers: every gene and term is known, every source is told; typed markers are read or refused."""

from pathlib import Path

import pandas as pd
import pytest

from scfm_core.cell_markers import curated_markers, curated_tissues, markers_of_sets, ontology_ids, typed_markers
from scfm_core.cell_types import cell_type
from scfm_core.errors import RequestError
from scfm_core.gene_sets import read_gmt
from scfm_core.genes import gene_table

FOLDER = Path(__file__).parents[1] / "assets" / "markers"


def test_every_gene_is_in_the_gene_table_and_stands_once_in_a_set() -> None:
    known = gene_table("human").ids
    for one in curated_markers().types:
        assert [gene for gene in one.genes if gene not in known] == [], one.name
        assert len(set(one.genes)) == len(one.genes) == 12, one.name


def wider_terms(term_id: str) -> set[str]:
    parents = [cell_type(parent) for parent in cell_type(term_id).parents]
    return {cell_type(term_id).label}.union(*(wider_terms(parent.id) for parent in parents))


def test_every_name_is_a_term_of_the_cell_ontology_and_every_lineage_one_of_its_ancestors() -> None:
    for one in curated_markers().types:
        assert cell_type(one.ontology_id).label == one.name
        assert set(one.lineage) <= wider_terms(one.ontology_id), one.name
    assert len(ontology_ids()) == len(curated_markers().types)


def test_every_source_is_in_the_readme() -> None:
    table = pd.read_csv(FOLDER / "human_cell_types.tsv", sep="\t", dtype=str, keep_default_na=False)
    told = (FOLDER / "README.md").read_text()
    for sources in table["sources"]:
        for source in sources.split("; "):
            assert f"| {source} |" in told, source


def test_tissues_choose_types() -> None:
    lung = {one.name for one in curated_markers(["lung"]).types}
    assert {"club cell", "fibroblast"} <= lung
    assert not {"hepatocyte", "B cell"} & lung
    assert "blood" in curated_tissues()
    with pytest.raises(RequestError, match="Choose among: .*blood") as error:
        curated_markers(["moon"])
    assert error.value.code == "unknown-tissue"


def test_sets_of_a_file_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "mine.gmt").write_text("B\tfrom me\tMS4A1\tCD79A\nT\t\tCD3D\n")
    table = markers_of_sets(read_gmt(tmp_path / "mine.gmt"))
    assert [(one.name, one.genes) for one in table.types] == [("B", ("MS4A1", "CD79A")), ("T", ("CD3D",))]
    assert "mine.gmt" in table.source


def test_typed_markers_are_read_with_any_separator() -> None:
    table = typed_markers("B cell: MS4A1, CD79A;CD19\n\n  T: CD3D  CD3E CD3D\n")
    assert [(one.name, one.genes) for one in table.types] == [
        ("B cell", ("MS4A1", "CD79A", "CD19")),
        ("T", ("CD3D", "CD3E")),
    ]


@pytest.mark.parametrize("text", ["", "B cell MS4A1", ": MS4A1", "B cell:", "B: MS4A1\nB: CD79A"])
def test_what_is_no_marker_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(RequestError, match="B cell: MS4A1, CD79A") as error:
        typed_markers(text)
    assert error.value.code == "bad-markers"
