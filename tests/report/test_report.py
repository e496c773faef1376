"""The report on real answers about a dataset whose every name is hostile: it opens anywhere, and says all there is."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.enrich_genes import EnrichGenes
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.perturbation_phrases import three_digits
from scfm_core.analyses.run_controls import RunControls
from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.gene_sets import GeneSet, GeneSets
from scfm_core.registry import find_model
from scfm_core.report import Findings, methods_text, write_report
from scfm_core.report.figures import Album, drawings_of, inline_svg
from scfm_core.report.methods import citations, question_in_words
from scfm_core.report.tables import table_of
from scfm_core.store import Store
from scfm_core.tokens import Delete, Scale

ATTACK = '"><script>alert(1)</script>'
COLUMN = "<img src=x onerror=alert(2)>"
TITLE = "</title></style><svg onload=alert(3)>"
SYMBOL = "<b>LYZ</b>&amp;'\""
LYZ, CD3D = "ENSG00000090382", "ENSG00000167286"


class Page(HTMLParser):
    """What a browser makes of a page: elements with their attributes, ids, text; broken nesting is refused."""

    VOID = ("meta", "br", "hr", "img", "link", "input")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.text = [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


@pytest.fixture(scope="module")
def dataset(tiny_dataset, tmp_path_factory):
    cells = tiny_dataset.cells()
    types = cells["cell_type"].astype(str)
    table = pd.DataFrame(
        {
            COLUMN: np.where(types.str.contains("mono|Dend"), ATTACK, "T & others"),
            "donor": [f"<i>donor {number % 4}</i>" for number in range(len(cells))],
        },
        index=cells.index,
    )
    symbols = [SYMBOL if one == "LYZ" else one for one in tiny_dataset.gene_symbols]
    new = NewDataset(
        matrix=tiny_dataset.counts().matrix, gene_ids=tiny_dataset.gene_ids, gene_symbols=tuple(symbols),
        cells=table, organism="human", total_counts=tiny_dataset.total_counts,
        roles={"cell_type": COLUMN, "donor": "donor"}, title=TITLE,
    )  # fmt: skip
    return write_dataset(tmp_path_factory.mktemp("hostile"), new)


@pytest.fixture(scope="module")
def findings(dataset, tmp_path_factory):
    engine = Engine(Store(tmp_path_factory.mktemp("store")), ThreadExecutor(["cpu"]))
    question = PerturbGenes(
        EmbedCells(dataset, find_model("pca")), ((Delete(LYZ),), (Scale(CD3D, 0.5),)), group_by=COLUMN,
        goal=State(COLUMN, ATTACK), null_genes=12, null_cells=6,
    )  # fmt: skip
    effects = engine.submit(question).result()
    controls = engine.submit(RunControls(question, null_genes=5, null_cells=4)).result()
    universe = tuple(f"GENE{number}" for number in range(40))
    sets = GeneSets(name=ATTACK, source=ATTACK, sets=(GeneSet(ATTACK, ATTACK, universe[:8]),))
    enriched = engine.submit(EnrichGenes(universe[:5], universe, sets)).result()
    row = effects.effects.iloc[0]
    engine.close()
    return Findings(
        question=question, effects=effects, baseline=effects, controls=controls,
        enrichment={(row["edit"], row["group"]): enriched}, remarks=(ATTACK,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(findings):
    return write_report(findings).decode()


def test_the_page_is_one_file_without_scripts_or_requests(page):
    parsed = Page(page)
    tags = {name for name, _ in parsed.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "img", "form", "base", "foreignobject"}
    for _, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
    assert not re.findall(r"@import|url\((?!#)", page)
    policy = next(a["content"] for name, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert len(page) < 3_000_000


def test_hostile_names_are_text_and_nothing_else(page):
    text = "".join(Page(page).text)
    for name in (ATTACK, COLUMN, TITLE, SYMBOL):
        assert name in text
        assert name not in page
    assert "<i>donor 0</i>" in text


def test_ids_are_unique_and_references_find_theirs(page):
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = [attributes["xlink:href"] for _, attributes in parsed.elements if "xlink:href" in attributes]
    references += re.findall(r"url\((#[^)]*)\)", page)
    assert references
    assert {reference[1:] for reference in references} <= set(ids)


def test_every_part_and_every_card_is_there(findings, page):
    text = "".join(Page(page).text)
    for title in ("In words", "How far do the cells move?", "Where do they go?", "Do cells change their type?",
                  "Do the donors agree?", "Do the controls hold?", "What does PCA say?", "Methods", "To cite",
                  "Where this comes from"):  # fmt: skip
        assert title in text
    for row in findings.rows:
        assert findings.card(row).headline in text
    assert findings.question.identity in text
    assert findings.question.baseline.dataset.sha256 in text
    assert repr(findings.question) in text
    assert "nan" not in re.sub(r"Nan\w*|nano\w*|[Dd]onan\w*", "", text).lower().split()


def test_a_refused_row_is_greyed(findings):
    table = findings.effects.effects.copy()
    numbers = ["effect", "ci_low", "ci_high", "null_effect", "null_mean", "z", "p_empirical", "p", "p_adjusted"]
    table.loc[0, numbers] = np.nan
    table.loc[0, ["n_holding", "share_holding", "status"]] = [0, 0.0, "not held"]
    refused = write_report(replace(findings, effects=replace(findings.effects, effects=table))).decode()
    classes = [attributes.get("class") for name, attributes in Page(refused).elements if name == "article"]
    assert classes[0] == "card doubted"
    assert len(classes) == len(table)
    assert "cannot be tested" in refused


def test_numbers_have_three_digits_and_what_is_missing_stays_empty():
    table = pd.DataFrame(
        {
            "edit": ["A", None], "effect": [0.0123456, np.nan], "n_cells": [12345, 1], "share_holding": [0.5, np.nan],
            "ci_low": [0.01, np.nan], "ci_high": [0.0234567, np.nan], "passed": pd.Series([True, None], dtype=object),
            "z": [np.nan, np.nan],
        }
    )  # fmt: skip
    html = table_of(table, ("edit", "effect", "interval", "n_cells", "share_holding", "passed", "z", "missing"))
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html)
    assert cells == ["A", "0.0123", "0.0100 to 0.0235", "12,345", "50 %", "yes", "", "", "", "1", "", ""]
    assert three_digits(table["effect"][0]) in html
    many = table_of(pd.DataFrame({"n_cells": range(100)}), ("n_cells",), most=7)
    assert many.count("<td") == 7
    assert "The first 7 of 100 rows" in many


def test_a_full_page_leaves_figures_out_and_counts_them(findings):
    album = Album(left_bytes=1)
    drawings = drawings_of(findings)
    drawn = [album.draw(one) for one in drawings]
    assert [bool(one) for one in drawn] == [True] + [False] * (len(drawings) - 1)
    assert album.n_left_out == len(drawings) - 1


def test_two_drawings_in_one_page_share_no_id():
    svg = b'<?xml version="1.0"?><svg width="10pt" viewBox="0 0 10 5"><g id="a"><use xlink:href="#a"/></g></svg>'
    first, second = (inline_svg(svg, prefix=prefix, title="<t>") for prefix in ("x-", "y-"))
    assert 'id="x-a"' in first
    assert 'href="#x-a"' in first
    assert "<title>&lt;t&gt;</title>" in first
    assert not set(re.findall(r'id="([^"]+)"', first)) & set(re.findall(r'id="([^"]+)"', second))


def test_methods_name_model_null_tests_donors_and_software(findings):
    text = methods_text(findings)
    question = findings.question
    for words in ("PCA", "10.1080/14786440109462720", "12 random genes", "the first 6 cells", "at best 0.0769",
                  "Benjamini & Hochberg (1995)", "Phipson & Smyth 2010", "Donors are the replicates", "seed 0",
                  "scaled by multiplying", question.baseline.dataset.sha256[:12]):  # fmt: skip
        assert words in text
    bare = methods_text(replace(findings, question=replace(question, null_genes=0), controls=None, enrichment={}))
    assert "not compared with random genes" in bare
    assert "GSEApy" not in bare
    assert "GSEApy" in text
    cited = " ".join(citations(findings))
    for doi in ("10.1038/s41586-023-06139-9", "10.2202/1544-6115.1585", "10.1111/j.2517-6161.1995.tb02031.x"):
        assert doi in cited


def test_the_question_in_words(findings):
    question = findings.question
    words = question_in_words(question, ("LYZ", "S100A8", "CD3D"))
    assert "does deleting LYZ, S100A8 or CD3D move the cells toward" in words
    words = question_in_words(replace(question, goal=None), ("LYZ", "overexpress GATA4"))
    assert "how far does deleting LYZ or overexpressing GATA4 move the cells" in words
    assert "or one of 4 other edits" in question_in_words(question, tuple("ABCDEFGHIJ"))
