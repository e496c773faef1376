"""A published model in Chromium: weights from a folder, an embedding, a deletion as its authors make it, and a stop."""

import time
from pathlib import Path

import pytest

from tests.browser.conftest import Visitor
from tests.browser.steps import fill_number, go_to, pick
from tests.geneformer_folders import model_folder, write_published

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEY, TITLE = "geneformer-v1-10m", "Geneformer V1 10M"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The folder of a small random model, as the authors laid it out."""
    return model_folder(write_published(tmp_path / "published", series="v1"))


def test_geneformer_from_a_folder_to_a_stopped_screen(visitor, published):
    page, started = visitor.page, time.monotonic()
    visitor.visit("/Embedding")
    visitor.click("Open the demo: PBMC 3k")
    add_weights(visitor, published)
    visitor.picture("11-weights-added")
    choose_model(visitor)
    visitor.click("Embed 2")
    page.locator(f".st-key-embedding-{KEY}").get_by_text("Numbers per cell").wait_for()
    page.locator('[data-testid="stMain"]').evaluate("main => main.scrollTo(0, 0)")
    visitor.picture("12-geneformer-embedded")
    page.get_by_role("radio", name="Attention of one cell").click()
    visitor.see_figures(1)
    visitor.picture("13-attention")
    go_to(visitor, "Perturbation")
    page.get_by_role("radio", name="As the authors").click()
    visitor.wait()
    pick(visitor, "Model", TITLE)
    visitor.click("Delete and compare")
    assert "Deleting LYZ moves the vectors of" in page.locator(".st-key-spoken").inner_text()
    visitor.see_figures(1)
    visitor.picture("14-as-the-authors")
    stop_a_long_run(visitor)
    visitor.picture("15-stopped")
    print(f"Geneformer from a folder to a stopped screen: {time.monotonic() - started:.1f} s")
    assert not visitor.foreign, "the page asked the network for something"


def add_weights(visitor: Visitor, folder: Path) -> None:
    """Type the folder into the form of a model that is not here, and wait until it is."""
    page = visitor.page
    line = page.locator(f".st-key-get-{KEY}")
    assert "44.6 MB" in line.inner_text()
    line.locator("summary").click()
    field = page.locator(f".st-key-folder-{KEY} input")
    field.scroll_into_view_if_needed()
    visitor.picture("10-weights-not-here")
    field.fill(str(folder))
    field.press("Tab")  # the hint below the field goes, and the button moves to its place
    visitor.wait()
    page.locator(f".st-key-add-{KEY} button").click()
    page.get_by_text(f"{TITLE} is here and can be chosen on every page.").wait_for(timeout=180_000)
    visitor.wait()


def choose_model(visitor: Visitor) -> None:
    """Choose only the model among those to embed with."""
    box = visitor.page.locator('[data-testid="stMultiSelect"]').filter(has_text="Models")
    box.get_by_role("button", name="Clear all").click()
    box.locator("input").fill(TITLE)
    visitor.page.get_by_role("option").filter(has_text=TITLE).first.click()
    visitor.page.keyboard.press("Escape")
    visitor.wait()


def stop_a_long_run(visitor: Visitor) -> None:
    """Begin a screen of every gene of many cells, and stop it."""
    page = visitor.page
    pick(visitor, "Which genes", "Each gene of a cell")
    page.get_by_text("More: how many cells").click()
    fill_number(page, "Cells, at most", "2000")
    visitor.wait()
    page.get_by_role("button", name="Delete and compare").click()
    waiting = page.locator('[data-testid="stMain"] [class*="st-key-waiting-"]')
    waiting.get_by_text("Editing every gene").first.wait_for()
    waiting.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped. What was finished is kept").wait_for()
    visitor.wait()
