"""Cell types are found by the names people type."""

import gzip
import json
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from scfm_core.cell_types import CellType, cell_type, search_cell_types
from scfm_core.errors import RequestError
from scfm_core.intake.build_cell_types import build
from scfm_core.resources import asset


@pytest.mark.parametrize(
    ("typed", "term"),
    [
        ("nk", "CL:0000623"),
        ("NK cells", "CL:0000623"),
        ("B cell", "CL:0000236"),
        ("b", "CL:0000236"),
        ("Bcells", "CL:0000236"),
        ("CD14 mono", "CL:0001054"),
        ("CD14+ Monocytes", "CL:0001054"),
        ("FCGR3A+ Monocytes", "CL:0002397"),
        ("CD16- monocyte", "CL:0002057"),
        ("Treg", "CL:0000815"),
        ("T-reg", "CL:0000815"),
        ("CD4 T cells", "CL:0000624"),
        ("T  CD8 ", "CL:0000625"),
        ("Dendritic cells", "CL:0000451"),
        ("pDC", "CL:0000784"),
        ("Megakaryocytes", "CL:0000556"),
        ("plasma", "CL:0000786"),
        ("mono", "CL:0000576"),
        ("fibro", "CL:0000057"),
        ("γδ T", "CL:0000798"),
        ("cell", "CL:0000000"),
        ("cl:0000236", "CL:0000236"),
    ],
)
def test_the_likeliest_term_comes_first(typed: str, term: str) -> None:
    assert search_cell_types(typed)[0].id == term


def test_every_label_finds_its_term() -> None:
    table = pd.read_csv(asset("cell_types") / "cell_ontology.csv.gz", dtype=str, keep_default_na=False)
    assert table["label"].is_unique
    some = table.iloc[::60]
    assert [search_cell_types(label)[0].id for label in some["label"]] == some["id"].tolist()


def test_what_is_no_cell_type_finds_nothing() -> None:
    assert search_cell_types("") == search_cell_types(" +,") == search_cell_types("xyzzy") == []
    assert len(search_cell_types("cell types of T", most=3)) <= 3
    assert len(search_cell_types("T", most=3)) == 3


def test_one_letter_is_a_whole_word() -> None:
    assert "blood cell" not in {found.label for found in search_cell_types("B", most=50)}


def test_a_term_by_its_id() -> None:
    term = cell_type("CL:0000623")
    assert "NK cell" in term.synonyms
    assert term.address == "http://purl.obolibrary.org/obo/CL_0000623"
    assert all(isinstance(cell_type(parent), CellType) for parent in term.parents)
    with pytest.raises(RequestError, match="no term 'CL:9'"):
        cell_type("CL:9")


def test_the_table_is_made_from_the_newest_release(tmp_path: Path) -> None:
    def packed(label: str) -> bytes:
        terms = {
            "CL:1": {"label": "cell", "ancestors": {}, "deprecated": False},
            "CL:2": {
                "label": label,
                "ancestors": {"CL:1": 1, "UBERON:1": 1, "CL:4": 1},
                "synonyms": ["one", "An|other", label],
                "deprecated": False,
            },
            "CL:3": {"label": "far", "ancestors": {"CL:2": 1, "CL:1": 2}, "deprecated": False},
            "CL:4": {"label": "gone", "ancestors": {}, "deprecated": True},
        }
        out = pa.BufferOutputStream()
        with pa.CompressedOutputStream(out, "zstd") as stream:
            stream.write(json.dumps(terms).encode())
        return bytes(out.getvalue())

    with zipfile.ZipFile(tmp_path / "wheel", "w") as archive:
        for release in ("v2026-03-26", "v2025-12-01"):
            archive.writestr(f"cellxgene_ontology_guide/data/CL-ontology-{release}.json.zst", packed(release))
    assert build(tmp_path / "wheel", tmp_path / "out") == "v2026-03-26"
    text = gzip.decompress((tmp_path / "out" / "cell_ontology.csv.gz").read_bytes()).decode()
    assert text.splitlines() == [
        "id,label,synonyms,parents",
        "CL:1,cell,,",
        "CL:2,v2026-03-26,An/other|one,CL:1",
        "CL:3,far,,CL:2",
    ]
