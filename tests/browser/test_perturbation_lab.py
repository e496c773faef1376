"""The perturbation lab in Chromium: three lineage genes in their own cell type and in others, checked and reported."""

import time

import pytest

from tests.browser.conftest import Visitor
from tests.browser.steps import download, go_to, pick, pick_more, slide

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OWN_TYPE = {"LYZ": "CD14+ monocyte", "CD79A": "B", "NKG7": "NK"}
MOST_SECONDS = 900.0


def test_three_lineage_genes_with_cards_controls_and_report(visitor, tmp_path):
    page, started = visitor.page, time.monotonic()
    visitor.visit("/?demo=pbmc3k")
    go_to(visitor, "Perturbation")
    pick_more(visitor, "Genes", "CD79A", "NKG7")
    pick_more(visitor, "Groups", "B", "NK")
    page.get_by_text("More: identity, random genes").click()
    slide(visitor, "Random genes", -6)
    page.get_by_text("More: identity, random genes").click()
    page.get_by_role("button", name="Delete these genes").click()
    card = page.locator(".st-key-result")
    card.get_by_text("Deleting").first.wait_for(timeout=180_000)
    page.locator("h1").scroll_into_view_if_needed()
    print(f"exact deletions: {time.monotonic() - started:.1f} s after the first look")
    visitor.picture("20-exact")
    wait_for_step(visitor, "40 random genes on 16 cells each")
    print(f"beside random genes: {time.monotonic() - started:.1f} s")
    wait_for_step(visitor, "other genes")
    print(f"with all checks: {time.monotonic() - started:.1f} s")
    page.locator(".st-key-chain").get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped. What was finished is kept.").wait_for()
    visitor.wait()
    for number, (gene, cell_type) in enumerate(OWN_TYPE.items()):
        pick(visitor, "Look closely at", f"{gene} in {cell_type}")
        said = card.inner_text()
        assert f"Deleting {gene}" in said
        assert "fewer than 3" in said, "the donors' warning"
        assert "not an experiment" in said
        page.locator("h1").scroll_into_view_if_needed()
        visitor.picture(f"21-{number}-{gene}")
    look_at_the_tabs(visitor)
    report = download(page, "Report (HTML)", tmp_path)
    read_report(visitor, report.as_uri())
    print(f"three lineage genes: {time.monotonic() - started:.1f} s")
    foreign = [url for url in visitor.foreign if not url.startswith("file:")]
    assert not foreign, "the page asked the network for something"


def wait_for_step(visitor: Visitor, name: str) -> None:
    """Wait until a step of the answer has its mark."""
    until = time.monotonic() + MOST_SECONDS
    steps = visitor.page.locator(".st-key-chain").locator('[data-testid="stCaptionContainer"]').first
    while f"check {name}" not in " ".join(steps.inner_text().split()):
        assert time.monotonic() < until, steps.inner_text()
        time.sleep(0.5)


def look_at_the_tabs(visitor: Visitor) -> None:
    """Open each tab, and keep a picture of what is in it."""
    page = visitor.page
    for number, (tab, seen) in enumerate(
        {
            "How far": "beside the random genes",
            "Can it be believed": "Do the controls come out?",
            "Where cells land": "Which cells change their type?",
            "Other genes": "What do these genes have in common?",
            "Tables and report": "Report",
        }.items()
    ):
        page.get_by_role("tab", name=tab).click()
        page.get_by_text(seen).first.wait_for()
        visitor.wait()
        page.get_by_text(seen).first.scroll_into_view_if_needed()
        visitor.picture(f"22-{number}-{tab.replace(' ', '-').lower()}")


def read_report(visitor: Visitor, address: str) -> None:
    """Open the report as a collaborator would, without the server."""
    page = visitor.page
    page.goto(address)
    text = page.locator("body").inner_text()
    assert all(gene in text for gene in OWN_TYPE)
    assert "Methods" in text
    assert page.locator("svg").count() >= 3
    visitor.picture("23-report")
