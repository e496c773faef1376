"""Gene sets from files of strangers, from an Enrichr of our own on loopback, and the list that comes along."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module

import pytest

from scfm_core import gene_sets
from scfm_core.errors import DatasetError, RequestError
from scfm_core.gene_sets import GeneSet, fetch_gene_sets, read_gmt, transcription_factors
from scfm_core.genes import gene_table, known_genes


@pytest.fixture
def written(tmp_path):
    def write(content: bytes, name: str = "sets.gmt"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def test_sets_are_read_as_they_are_written(written):
    first = b"\xef\xbb\xbfT cells\thttps://somewhere\tCD3D\tCD3E\tCD3D\r\n\r\n"
    path = written(first + b"B cells\t\tCD79A,1.0\tMS4A1\t\t\nNone\t\t\n")
    found = read_gmt(path)
    assert found.name == "sets"
    assert "sets.gmt" in found.source
    assert found.sets == (
        GeneSet("T cells", "https://somewhere", ("CD3D", "CD3E")),
        GeneSet("B cells", "", ("CD79A", "MS4A1")),
    )
    assert found.find("B cells").genes == ("CD79A", "MS4A1")
    with pytest.raises(RequestError, match="T cells") as refused:
        found.find("NK")
    assert refused.value.code == "unknown-set"


def test_a_separator_of_unicode_cuts_no_line(written):
    assert [one.name for one in read_gmt(written("A\u2028b\x1cc\tx\tCD3D\n".encode())).sets] == ["A\u2028b\x1cc"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"\n \r\n\t\n", "empty"),
        (b"A\tno genes\n", "empty"),
        (b"gene,score\nCD3D,1\n", "bad-gmt"),
        (b"A\tx\tCD3D\n\tx\tCD3E\n", "bad-gmt"),
        (b"A" * 501 + b"\tx\tCD3D\n", "bad-gmt"),
        (b"A\tx\t" + b"CD3D\t" * 300_000 + b"\n", "bad-gmt"),
        (b"A\tx\tCD3D\nA\tx\tCD3E\n", "repeated-set"),
        (b"A\tx\tCD3D\n\0\0\0", "not-text"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "not-text"),
        (b"PK\x03\x04\xff", "not-text"),
        (b"\x89HDF\r\n\x1a\n\xff", "not-text"),
    ],
)
def test_what_is_no_file_of_gene_sets_is_refused_by_its_code(written, content, code):
    with pytest.raises(DatasetError) as refused:
        read_gmt(written(content))
    assert refused.value.code == code
    assert len(str(refused.value)) < 400


def test_the_line_at_fault_is_named(written):
    with pytest.raises(DatasetError, match="line 2 of sets.gmt"):
        read_gmt(written(b"A\tx\tCD3D\nCD3E\n"))
    with pytest.raises(DatasetError, match="unpack it first"):
        read_gmt(written(b"\x1f\x8b\xff"))


def test_the_same_set_twice_is_one(written):
    assert len(read_gmt(written(b"A\tx\tCD3D\tCD3E\nA\ty\tCD3E\tCD3D\n")).sets) == 1


def test_a_file_that_is_too_large_is_not_read(written, monkeypatch):
    path = written(b"A\tx\tCD3D\n")
    monkeypatch.setattr(gene_sets, "LARGEST_GMT_BYTES", 8)
    with pytest.raises(DatasetError) as refused:
        read_gmt(path)
    assert refused.value.code == "too-large"


def test_no_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.gmt", tmp_path):
        with pytest.raises(DatasetError) as refused:
            read_gmt(path)
        assert refused.value.code == "no-file"


def test_human_transcription_factors_are_genes_of_the_table():
    found = transcription_factors("human")
    table = gene_table("human")
    assert len(found.genes) == len(set(found.genes)) == 1631
    assert all(table.ids[symbol.upper()] in table.symbols for symbol in found.genes)
    assert {"GATA4", "TBX5", "TP53", "SPI1", "BMAL1", "TBXT"} <= set(found.genes)  # the last two were ARNTL and T
    assert not {"ARNTL", "T", "CD3D", "ACTB"} & set(found.genes)
    assert "8 of 1,639" in found.description


def test_mouse_transcription_factors_say_what_is_lost():
    found = transcription_factors("mouse")
    assert 1000 < len(found.genes) < 1200
    assert "Gata4" in found.genes
    assert set(found.genes) <= gene_table("mouse").names
    assert "have no mouse gene of the same name" in found.description
    with pytest.raises(RequestError) as refused:
        transcription_factors("unknown")
    assert refused.value.code == "no-list"


def test_the_demo_knows_most_transcription_factors(tiny_dataset):
    found = known_genes(tiny_dataset, transcription_factors("human").genes)
    assert len(found) > 50
    assert set(found.values()) <= set(tiny_dataset.gene_ids)
    assert known_genes(tiny_dataset, ["cd3d", "no such gene"]) == {"cd3d": gene_table("human").ids["CD3D"]}


class _Enrichr(BaseHTTPRequestHandler):
    """Two pages of Enrichr: which libraries there are, and one of them."""

    def do_GET(self) -> None:
        if "silent" in self.path:
            self.server.released.wait(20)
        body = json.dumps({"statistics": [{"libraryName": name} for name in ("Hallmark", "Refused")]}).encode()
        if "geneSetLibrary" in self.path:
            body = b"T cells\t\tCD3D,1.0\tCD3E,1.0\t\nB cells\t\tCD79A\t\n"
        self.send_response(404 if "Refused" in self.path else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def enrichr(monkeypatch, tmp_path):
    """An Enrichr on loopback that gseapy asks in place of the real one; its folder for copies is temporary."""
    module, parser = import_module("gseapy.enrichr"), import_module("gseapy.parser")  # gseapy.enrichr is a function
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Enrichr)
    server.daemon_threads = True
    server.released = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = {"url": f"http://127.0.0.1:{server.server_port}"}

    class Local(module.EnrichrAPI):
        def __init__(self, organism: str) -> None:
            super().__init__(organism)
            self.base_url = place["url"]

    monkeypatch.setattr(parser, "EnrichrAPI", Local)
    monkeypatch.setattr(module, "DEFAULT_CACHE_PATH", str(tmp_path / "cache"))
    yield place
    server.released.set()
    server.shutdown()
    server.server_close()


def test_a_library_is_fetched_through_gseapy(enrichr):
    found = fetch_gene_sets("Hallmark")
    assert "Enrichr" in found.source
    assert found.find("T cells").genes == ("CD3D", "CD3E")
    assert len(found.sets) == 2


@pytest.mark.parametrize("library", ["Nonsense", "Refused", "my.gmt", "../etc/passwd", "A&b=c", ""])
def test_a_library_that_enrichr_does_not_give_is_refused(enrichr, library):
    with pytest.raises(RequestError) as refused:
        fetch_gene_sets(library)
    assert refused.value.code == "unknown-library"


def test_an_enrichr_that_says_nothing_counts_as_offline(enrichr):
    enrichr["url"] += "/silent"
    with pytest.raises(RequestError, match="no answer within 1 s") as refused:
        fetch_gene_sets("Hallmark", timeout_seconds=1.0)
    assert refused.value.code == "offline"


def test_offline_is_said_as_such(enrichr):
    enrichr["url"] = "http://127.0.0.1:9"  # nobody listens
    with pytest.raises(RequestError, match=r"cannot be reached.*GMT file") as refused:
        fetch_gene_sets("Hallmark", timeout_seconds=2.0)
    assert refused.value.code == "offline"
