"""The map in Chromium: lasso, legend, links between maps, panels of a split, and 200,000 cells."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page

from tests.benchmarks.million_cells import build_million
from tests.browser.conftest import Visitor
from tests.browser.steps import BUNDLE, drag, lasso, pick, see_maps

N_MANY = 200_000
WHOLE = ((0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98))


@pytest.fixture(autouse=True)
def built() -> None:
    """The map must have been built."""
    if not BUNDLE.is_file():
        pytest.skip("needs the built cell map: Node builds it (make map)")


@pytest.mark.browser
def test_lasso_legend_and_linked_maps(visitor: Visitor) -> None:
    visitor.visit("/?demo=pbmc3k")
    left, right = see_maps(visitor, 2)
    visitor.picture_in_both_themes("29-two-maps")
    assert number(left) == number(right) == 0
    lasso(visitor, left, ((0.02, 0.02), (0.3, 0.02), (0.3, 0.98), (0.02, 0.98)))
    some = wait_for_number(right, lambda n: n > 0)
    assert some == number(left) < 2700
    visitor.wait()
    assert selected_on_page(visitor) == some
    row(left, "CD14+ monocyte").locator(".legend-name").click(modifiers=["Shift"])
    more = wait_for_number(right, lambda n: n > some)
    assert more - some == 479
    visitor.wait()
    assert selected_on_page(visitor) == more
    row(left, "CD14+ monocyte").locator(".legend-name").click(modifiers=["Alt"])
    fewer = wait_for_number(left, lambda n: n < more)
    row(left, "NK").locator(".legend-eye").click()
    status(left, "1 category hidden").wait_for()
    lasso(visitor, left, WHOLE)
    assert wait_for_number(right, lambda n: n != fewer) == 2700 - 161, "hidden cells are not chosen"
    row(left, "NK").locator(".legend-name").hover()
    row(left, "NK").locator(".legend-only").click()
    status(left, "8 categories hidden").wait_for()
    left.locator(".legend-all").click()
    box(visitor.page, left, "subtract")
    assert wait_for_number(right, lambda n: n != 2700 - 161) == 0
    visitor.wait()
    assert visitor.page.locator(".st-key-thread-selection").count() == 0


@pytest.mark.browser
def test_hover_keys_and_colours_of_a_gene(visitor: Visitor) -> None:
    visitor.visit("/?demo=pbmc3k")
    left, _ = see_maps(visitor, 2)
    pick(visitor, "Colour", "A gene")
    left, _ = see_maps(visitor, 2)
    assert "ln(1 + counts per 10,000)" in left.locator(".legend-title").inner_text()
    assert left.locator(".legend-mark").count() == 5
    hover_some_cell(visitor.page, left)
    said = left.locator(".card").inner_text()
    assert "cell_type" in said
    assert "ln(1 + counts per 10,000)" in said
    left.locator(".stage").focus()
    for key, pressed in (("l", "lasso"), ("b", "box"), ("p", "pan")):
        visitor.page.keyboard.press(key)
        assert left.locator(f'[data-tool="{pressed}"]').get_attribute("aria-pressed") == "true"
    visitor.page.keyboard.press("n")
    assert left.locator('[data-tool="labels"]').get_attribute("aria-pressed") == "false"


@pytest.mark.browser
def test_panels_of_a_split_choose_their_own_cells(visitor: Visitor) -> None:
    visitor.visit("/?demo=pbmc_two_batches")
    see_maps(visitor, 2)
    pick(visitor, "First map split by", "batch")
    first, second = see_maps(visitor, 2)
    assert "PBMC 3k" in first.locator(".title").inner_text()
    lasso(visitor, second, WHOLE)
    assert wait_for_number(second, lambda n: n > 0) == 700
    visitor.wait()
    assert selected_on_page(visitor) == 700
    assert number(first) == 0
    visitor.picture_in_both_themes("30-split-by-batch")


@pytest.mark.browser
def test_two_linked_maps_of_200_000_cells(visitor: Visitor, tmp_path: Path) -> None:
    dataset = build_million(tmp_path / "workspace", N_MANY, 2000)
    visitor.visit(f"/UMAP?dataset={dataset.sha256}")
    left, right = see_maps(visitor, 2)
    started = time.monotonic()
    lasso(visitor, left, ((0.02, 0.02), (0.6, 0.02), (0.6, 0.98), (0.02, 0.98)))
    chosen = wait_for_number(right, lambda n: n > 0)
    print(f"lasso of {chosen:,} of {N_MANY:,} cells, both maps: {time.monotonic() - started:.1f} s")
    visitor.wait()
    assert selected_on_page(visitor) == chosen == number(left)
    assert 10_000 < chosen < N_MANY
    visitor.picture_in_both_themes("31-200000-cells")


def number(cell_map: Locator) -> int:
    """Return how many cells are selected on a map."""
    return int(cell_map.get_attribute("data-selected") or 0)


def wait_for_number(cell_map: Locator, enough: object, most_seconds: float = 30.0) -> int:
    """Wait until the number of selected cells is as wanted, and return it."""
    until = time.monotonic() + most_seconds
    while not enough(number(cell_map)):
        assert time.monotonic() < until, number(cell_map)
        time.sleep(0.05)
    return number(cell_map)


def selected_on_page(visitor: Visitor) -> int:
    """Return the number of selected cells that the server knows of, as the sidebar says it."""
    words = visitor.page.locator(".st-key-thread-selection").inner_text()
    return int(re.sub(r"\D", "", words.splitlines()[0]))


def row(cell_map: Locator, label: str) -> Locator:
    """Return the line of a category in the legend."""
    return cell_map.locator(f'.legend-row[data-label="{label}"]')


def status(cell_map: Locator, words: str) -> Locator:
    """Return the line beneath a map once it says some words."""
    return cell_map.locator(".status", has_text=words)


def box(page: Page, cell_map: Locator, how: str) -> None:
    """Draw a box around everything, to add to the selection or to take from it."""
    cell_map.locator(f'[data-tool="{how}"]').click()
    cell_map.locator('[data-tool="box"]').click()
    drag(page, cell_map.locator(".stage"), [(0.01, 0.01), (0.99, 0.99)])


def hover_some_cell(page: Page, cell_map: Locator) -> None:
    """Move over the map until a cell is met."""
    cell_map.locator('[data-tool="pan"]').click()
    frame = cell_map.locator(".stage").bounding_box()
    for step in range(400):
        across, down = 0.06 + 0.88 * (step % 20) / 20, 0.1 + 0.8 * (step // 20) / 20
        page.mouse.move(frame["x"] + across * frame["width"], frame["y"] + down * frame["height"])
        page.wait_for_timeout(130)
        if cell_map.locator(".card").is_visible():
            return
    pytest.fail("no cell met the pointer")


