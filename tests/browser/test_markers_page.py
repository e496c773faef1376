"""The Markers page in a browser: genes clicked and drawn around on the volcano become a list, then a figure."""

import time

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Visitor
from tests.browser.steps import go_to

pytestmark = [pytest.mark.browser, pytest.mark.slow]
_PLACE_OF = """(symbol) => {
  const chart = document.querySelector('.js-plotly-plot'), layout = chart._fullLayout;
  const area = chart.querySelector('.nsewdrag').getBoundingClientRect();
  for (const trace of chart._fullData) {
    const place = (trace.hovertext || []).findIndex((words) => words.startsWith(symbol + '<br>'));
    if (place >= 0) return [area.x + layout.xaxis.l2p(trace.x[place]), area.y + layout.yaxis.l2p(trace.y[place])];
  }
  return null;
}"""


def choose(visitor: Visitor, name: str) -> None:
    """Choose in a segmented control."""
    visitor.page.get_by_role("radio", name=name, exact=True).first.click()
    time.sleep(0.5)
    visitor.wait()


def picked(page: Page) -> set[str]:
    return set(page.locator('[data-testid="stCode"]').first.inner_text().split(", "))


def test_genes_are_picked_on_the_volcano_and_drawn(visitor):
    page = visitor.page
    visitor.visit()
    visitor.click("Open this demo")
    go_to(visitor, "Markers")
    choose(visitor, "Volcano")
    page.mouse.click(*page.evaluate(_PLACE_OF, "CD79A"))
    time.sleep(1.0)
    visitor.wait()
    assert picked(page) == {"CD79A"}
    choose(visitor, "Lasso")
    area = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    corners = [(0.02, 0.6), (0.3, 0.6), (0.3, 0.8), (0.02, 0.8), (0.02, 0.6)]
    places = [(area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=10)
    page.mouse.up()
    time.sleep(1.0)
    visitor.wait()
    genes = picked(page)
    assert {"CD79A", "S100A4"} <= genes
    assert len(genes) > 2
    visitor.picture("markers-volcano")
    visitor.click("To the figures")
    assert f"{len(genes)} genes in" in page.locator(".js-plotly-plot .gtitle").first.text_content()
    visitor.picture("markers-picked")
