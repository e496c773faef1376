"""Drawings of a report: each figure as SVG inside the page, with its caption and what it does not prove."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from scfm_core.analyses.perturbation_phrases import Row, known
from scfm_core.plots.figure import Figure
from scfm_core.plots.gene_network import gene_network
from scfm_core.plots.goal_volcano import goal_volcano
from scfm_core.plots.perturbation import effect_bars, null_histogram
from scfm_core.plots.print import to_svg
from scfm_core.plots.switches import switch_diagram
from scfm_core.report.findings import Findings
from scfm_core.report.markup import Markup, joined, tag, trusted

DETAILED_ROWS = 8
_NETWORK_EDITS = 6
_BUDGET_BYTES = 2_200_000
_PROLOGUE = re.compile(r"\A.*?(?=<svg\b)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_STYLE = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)
_SIZE = re.compile(r'\A<svg ([^>]*?)width="[^"]*"([^>]*?)>', re.DOTALL)
_HEIGHT = re.compile(r'\A(<svg [^>]*?) height="[^"]*"', re.DOTALL)
_ID = re.compile(r'(\bid="|\bhref="#|url\(#)')


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn, and the name of its file without ending."""

    name: str
    make: Callable[[], Figure]


@dataclass
class Album:
    """Draws figures into one page until it is full, and counts what had no room."""

    left_bytes: int = _BUDGET_BYTES
    n_drawn: int = 0
    n_left_out: int = field(default=0)

    def draw(self, drawing: Drawing) -> Markup:
        """Return a figure as an element; nothing where the page is full."""
        if self.left_bytes <= 0:
            self.n_left_out += 1
            return Markup("")
        figure = drawing.make()
        picture = inline_svg(to_svg(figure), prefix=f"f{self.n_drawn}-", title=figure.title)
        self.n_drawn += 1
        self.left_bytes -= len(picture)
        caveat = tag("p", tag("b", "What it does not prove. "), figure.caveat) if figure.caveat else ""
        caption = tag("p", tag("b", "What you see. "), figure.caption) if figure.caption else ""
        return tag("figure", picture, tag("figcaption", caption, caveat))


def drawings_of(findings: Findings) -> list[Drawing]:
    """Return every figure of a question, in the order of the report."""
    return [one for part in (overview, detail, downstream) for one in part(findings)]


def overview(findings: Findings) -> list[Drawing]:
    """Return the figures over all edits and groups."""
    effects = findings.effects
    found = [Drawing("effects", partial(effect_bars, effects))]
    there = effects.shifts.dropna(subset=["shift"]) if len(effects.shifts) else effects.shifts
    for number, state in enumerate(effects.states):
        if len(there) and (there["state"] == state).any():
            found.append(Drawing(f"volcano-{number + 1}", partial(goal_volcano, effects, state)))
    return found


def detail(findings: Findings) -> list[Drawing]:
    """Return the figures about single edits and groups: of the first rows that could be tested."""
    effects, found = findings.effects, []
    for number, row in tested_rows(findings):
        place = (str(row["edit"]), str(row["group"]))
        if known(row["p_empirical"]):
            found.append(Drawing(f"null-{number}", partial(null_histogram, effects, *place)))
        if effects.identity_by and _has_switches(findings, row):
            found.append(Drawing(f"types-{number}", partial(switch_diagram, effects, *place)))
    return found


def downstream(findings: Findings) -> list[Drawing]:
    """Return the networks of downstream genes, one per group."""
    if findings.followers is None or findings.followers.table.empty:
        return []
    table, found = findings.followers.table, []
    for number, (group, rows) in enumerate(table.groupby("group", sort=False)):
        edits = tuple(dict.fromkeys(rows["edit"]))[:_NETWORK_EDITS]
        found.append(Drawing(f"downstream-{number + 1}", partial(gene_network, table, edits, str(group))))
    return found


def tested_rows(findings: Findings) -> list[tuple[int, Row]]:
    """Return the rows that are shown in detail, smallest p first, with their number in the table counted from 1."""
    rows = [(number, row) for number, row in enumerate(findings.rows, start=1) if row["status"] != "not held"]
    return sorted(rows, key=lambda one: one[1]["p"] if known(one[1]["p"]) else 2.0)[:DETAILED_ROWS]


def inline_svg(svg: bytes, *, prefix: str, title: str) -> Markup:
    """Return a drawing as an element of a page: its ids made its own, its width that of the page.

    Parameters
    ----------
    svg
        As `scfm_core.plots.print.to_svg` writes it, where all texts are escaped.
    prefix
        Put before every id, so that two drawings in one page do not share one.
    """
    text = _PROLOGUE.sub("", svg.decode())
    text = _STYLE.sub("", _METADATA.sub("", text))
    text = _ID.sub(lambda found: f"{found[1]}{prefix}", text)
    label = tag("title", title)
    text = _HEIGHT.sub(r"\1", _SIZE.sub(r"<svg \1\2>", text))
    text = text.replace("<svg ", '<svg role="img" ', 1)
    end_of_head = text.index(">") + 1
    return joined([trusted(text[:end_of_head]), label, trusted(text[end_of_head:])])


def _has_switches(findings: Findings, row: Row) -> bool:
    table = findings.effects.switches
    return bool(((table["edit"] == row["edit"]) & (table["group"].astype(str) == str(row["group"]))).any())
