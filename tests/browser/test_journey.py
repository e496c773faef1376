"""The whole journey in Chromium: from an empty workspace to a deletion with its null, and a file of one's own."""

import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page

from scfm_core.dataset import Dataset
from tests.browser.conftest import ROOT, Visitor
from tests.browser.steps import download, lasso, see_maps, slide

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_first_map_of_the_demo(visitor):
    visitor.page.emulate_media(color_scheme="dark")
    visitor.visit("/?demo=pbmc3k")
    see_maps(visitor, 2)
    seconds = time.monotonic() - visitor.server.started
    print(f"server start to first map: {seconds:.1f} s")
    visitor.picture("0-first-map-dark")
    assert not visitor.foreign


def test_journey(visitor, tiny_dataset, tmp_path):
    page = visitor.page
    step = Clock()
    visitor.visit()
    assert page.get_by_role("button", name="Open this demo").count() == 3
    assert page.locator('[data-testid="stFileUploader"]').count() == 1
    visitor.picture("1-empty")
    visitor.click("Open this demo")
    visitor.see_figures(1)
    visitor.picture("2-quality")
    step("demo and quality control")
    visitor.click("Keep these")
    assert title(page) == "Embedding"
    visitor.click("Embed 2")
    assert metrics(page, "Numbers per cell") == ["50", "128"]
    visitor.picture("3-embedding")
    step("two models")
    visitor.click("Next: UMAP")
    first, _ = see_maps(visitor, 2)
    lasso(visitor, first, ((0.02, 0.02), (0.45, 0.02), (0.45, 0.98), (0.02, 0.98)))
    page.locator(".st-key-thread-selection").wait_for()
    visitor.wait()
    n_chosen = number(page.locator(".st-key-thread-selection strong").locator("xpath=..").inner_text())
    assert 0 < n_chosen < 2700
    visitor.picture("4-umap")
    step("two maps and a lasso")
    visitor.click("Next: Markers")
    visitor.see_figures(1)
    table = download(page, "Shown genes (XLSX)", tmp_path)
    markers = pd.read_excel(table, header=1)
    assert {"CD79A", "MS4A1"} & set(markers.loc[markers["group"] == "B", "symbol"])
    assert "Benjamini-Hochberg" in " ".join(pd.read_excel(table, sheet_name="About")["value"].astype(str))
    assert download(page, "Figure (SVG)", tmp_path).read_text().startswith("<?xml")
    assert download(page, "Figure (PDF)", tmp_path).read_bytes().startswith(b"%PDF")
    visitor.picture("5-markers")
    step("markers with files")
    visitor.click("Next: Perturbation")
    page.get_by_text("More: identity, random genes").click()
    slide(visitor, "Random genes", -6)
    page.get_by_text("More: identity, random genes").click()
    visitor.click("Delete this gene")
    assert "Deleting LYZ moves" in page.locator(".st-key-result").inner_text()
    assert "PCA" in page.locator(".st-key-result-baseline").inner_text()
    visitor.see_figures(4)
    page.locator("h1").scroll_into_view_if_needed()
    visitor.picture("6-perturbation")
    if os.environ.get("SCFM_UPDATE_SCREENSHOT") == "1":
        shutil.copyfile(visitor.folder / "6-perturbation-1280.png", ROOT / "assets" / "screenshot.png")
    page.get_by_text("beside the random genes").scroll_into_view_if_needed()
    visitor.picture("7-null")
    page.get_by_role("tab", name="Where cells land").click()
    visitor.see_figures(3)
    page.get_by_text("Which cells change their type").scroll_into_view_if_needed()
    visitor.picture("8-landing")
    step("deletion with its null")
    upload_own_file(visitor, as_csv(tiny_dataset, tmp_path))
    step("a file of one's own")
    print(f"the whole journey: {step.total:.1f} s")
    assert not visitor.foreign, "the page asked the network for something"


def upload_own_file(visitor: Visitor, file: Path) -> None:
    """Add a file, read the doctor's report, use it."""
    page = visitor.page
    page.locator('[data-testid="stSidebarNav"]').get_by_role("link", name="Dataset").click()
    visitor.wait()
    page.get_by_text("Open another dataset").click()
    page.locator('[data-testid="stFileUploader"] input[type="file"]').set_input_files(file)
    page.get_by_text("What the input doctor says").wait_for()
    visitor.wait()
    visitor.picture("9-doctor")
    visitor.click("Use this dataset")
    assert "120 cells" in page.locator(".st-key-thread-dataset").inner_text()
    visitor.picture("10-own-file")


class Clock:
    """Says how long each step took."""

    def __init__(self) -> None:
        self.started = self.last = time.monotonic()

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def __call__(self, name: str) -> None:
        print(f"{name}: {time.monotonic() - self.last:.1f} s")
        self.last = time.monotonic()


def title(page: Page) -> str:
    """Return the page's title."""
    return page.locator("h1").first.inner_text()


def metrics(page: Page, label: str) -> list[str]:
    """Return the numbers under a label."""
    found = page.locator('[data-testid="stMetric"]').filter(has_text=label)
    return [one.locator('[data-testid="stMetricValue"]').inner_text() for one in found.all()]


def number(text: str) -> int:
    """Return the digits of a text as a number."""
    return int("".join(letter for letter in text if letter.isdigit()))


def as_csv(dataset: Dataset, folder: Path) -> Path:
    """Write a dataset's counts as a table of cells and genes."""
    counts = dataset.counts().matrix.toarray()
    table = pd.DataFrame(counts, index=dataset.cells().index, columns=list(dataset.gene_symbols))
    path = folder / "my own cells.csv"
    table.to_csv(path)
    return path
