"""A link and a session file carry the view from one browser to another."""

import time

import pytest

from tests.browser.conftest import Visitor
from tests.browser.steps import download, pick

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BODY = '[data-testid="stPopoverBody"]'


def test_a_link_and_a_session_file_restore_the_view(visitor, browser, tmp_path):
    page = visitor.page
    visitor.visit("/?demo=pbmc3k")
    pick(visitor, "Colour", "Clusters")
    assert "view=pca%2Cclusters&view=" in page.url
    open_menu(visitor)
    visitor.picture("link-and-session")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(f"{BODY} [data-testid='stCode']").hover()
    page.locator(BODY).get_by_role("button", name="Copy to clipboard").click()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    file = download(page, "Session (JSON)", tmp_path)

    other = stranger(browser, visitor)
    other.page.goto(link)
    other.page.locator("h1").get_by_text("UMAP").wait_for()
    other.wait()
    assert colours(other)[0] == "Clusters (Leiden)"
    assert other.page.url == link

    third = stranger(browser, visitor)
    third.visit()
    open_menu(third)
    third.page.locator(f'{BODY} input[type="file"]').set_input_files(file)
    third.page.locator("h1").get_by_text("UMAP").wait_for()
    time.sleep(1)
    third.wait()
    assert colours(third)[0] == "Clusters (Leiden)"
    assert third.page.url == link
    assert not visitor.foreign


def open_menu(visitor: Visitor) -> None:
    visitor.page.locator('[data-testid="stPopoverButton"]').filter(has_text="Link and session").click()
    visitor.page.locator(BODY).get_by_text("Open a session file").wait_for()
    time.sleep(0.5)


def stranger(browser: object, visitor: Visitor) -> Visitor:
    """Return a visitor of the same server who was never there."""
    return Visitor(browser.new_context().new_page(), visitor.server, visitor.folder)


def colours(visitor: Visitor) -> list[str]:
    """Return what the maps are coloured by."""
    named = visitor.page.get_by_text("Colour", exact=True)
    boxes = visitor.page.locator('[data-testid="stSelectbox"]').filter(has=named).all()
    return [box.locator("input").input_value() or box.inner_text().splitlines()[-1] for box in boxes]
