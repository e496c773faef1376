"""What a person does on the pages again and again."""

import re
import time
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page

from scfm_core.resources import asset
from tests.browser.conftest import Visitor

BUNDLE = asset("cell_map") / "build" / "cell_map.js"


def see_maps(visitor: Visitor, n_maps: int) -> list[Locator]:
    """Wait until so many maps of cells are drawn and nothing runs; return them, those of plotly where WebGL is not."""
    kind, drawn = (".cell-map", "[data-ready]") if BUNDLE.is_file() else (".js-plotly-plot", "")
    visitor.page.locator(kind + drawn).nth(n_maps - 1).wait_for(timeout=240_000)
    visitor.wait()
    return [visitor.page.locator(kind).nth(number) for number in range(n_maps)]


def lasso(visitor: Visitor, cell_map: Locator, corners: Sequence[tuple[float, float]]) -> None:
    """Draw a lasso on a map through corners given as shares of the picture."""
    cell_map.scroll_into_view_if_needed()
    cell_map.hover()
    tool, area = ('[data-tool="lasso"]', ".stage") if BUNDLE.is_file() else ('[data-title="Lasso Select"]', ".nsewdrag")
    cell_map.locator(tool).click()
    drag(visitor.page, cell_map.locator(area).first, [*corners, corners[0]])


def drag(page: Page, area: Locator, places: Sequence[tuple[float, float]]) -> None:
    """Press at the first place, move through the others, and let go; places are shares of an area."""
    frame = area.bounding_box()
    assert frame is not None
    spots = [(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in places]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=8)
    page.mouse.up()


def pick(visitor: Visitor, label: str, option: str) -> None:
    """Choose an option of a select box."""
    named = visitor.page.get_by_text(label, exact=True)
    box = visitor.page.locator('[data-testid="stSelectbox"]').filter(has=named).first
    _write_in(box, option)
    visitor.page.get_by_role("option").filter(has_text=option).first.click()
    time.sleep(0.5)
    visitor.wait()


def pick_more(visitor: Visitor, label: str, *options: str) -> None:
    """Choose further options of a box that takes several."""
    named = visitor.page.get_by_text(label, exact=True)
    box = visitor.page.locator('[data-testid="stMultiSelect"]').filter(has=named).first
    for option in options:
        _write_in(box, option)
        visitor.page.get_by_role("option").filter(has_text=option).first.click()
        time.sleep(0.5)
        visitor.wait()
    visitor.page.keyboard.press("Escape")


def _write_in(box: Locator, option: str) -> None:
    """Write into a box with a list, which opens only where it has room."""
    box.evaluate("box => box.scrollIntoView({block: 'center'})")
    field = box.locator("input")
    field.click()
    field.fill(option)


def fill_number(page: Page, label: str, value: str) -> None:
    """Write a number into its field."""
    field = page.locator('[data-testid="stNumberInput"]').filter(has_text=label).locator("input")
    field.fill(value)
    field.press("Enter")
    time.sleep(0.5)


def slide(visitor: Visitor, label: str, n_steps: int) -> None:
    """Move a slider by some steps, to the left where negative."""
    named = visitor.page.get_by_text(label, exact=True)
    handle = visitor.page.locator('[data-testid="stSlider"]').filter(has=named).get_by_role("slider").first
    handle.focus()
    for _ in range(abs(n_steps)):
        handle.press("ArrowLeft" if n_steps < 0 else "ArrowRight")
    time.sleep(0.5)
    visitor.wait()


def go_to(visitor: Visitor, name: str) -> None:
    """Open a page by the navigation."""
    visitor.page.locator('[data-testid="stSidebarNav"]').get_by_role("link", name=name).click()
    visitor.page.locator("h1").get_by_text(name).wait_for()
    visitor.wait()


def download(page: Page, label: str, folder: Path) -> Path:
    """Click a file's button, in its menu where it is in one, and return where the file lies."""
    button = page.get_by_role("button", name=label)
    menus = page.locator('[data-testid="stPopoverButton"]').filter(has_text=re.compile("Figure|Table"))
    for menu in (menu for menu in menus.all() if menu.is_visible()):
        if button.count():
            break
        menu.click()
        time.sleep(0.5)
        if not button.count():
            page.keyboard.press("Escape")
    with page.expect_download() as waiting:
        button.first.click()
    page.keyboard.press("Escape")
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path
