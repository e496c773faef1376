"""Drawings of a report: each figure as SVG inside the page, with its caption and what it does not prove."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from scfm_core.analyses.perturbation_phrases import Row, known
from scfm_core.errors import RequestError
from scfm_core.plots.baseline_share import baseline_scatter
from scfm_core.plots.controls import controls_figure
from scfm_core.plots.donors import donor_effects
from scfm_core.plots.enrichment import enrichment_bars
from scfm_core.plots.figure import Figure
from scfm_core.plots.gene_network import gene_network
from scfm_core.plots.goal_volcano import goal_volcano
from scfm_core.plots.pair_matrix import pair_matrix
from scfm_core.plots.perturbation import effect_bars, null_histogram
from scfm_core.plots.print import to_svg
from scfm_core.plots.switches import switch_diagram
from scfm_core.report.findings import Findings
from scfm_core.report.markup import Markup, joined, tag, trusted

DETAILED_ROWS = 8
_NETWORK_EDITS = 6
_BUDGET_BYTES = 2_200_000
_PIXELS_PER_POINT = 1.9
_USUAL_WIDTH = 340.0
_PROLOGUE = re.compile(r"\A.*?(?=<svg\b)", re.DOTALL)
_LEFT_AWAY = re.compile(r"<(metadata|style)\b.*?</\1>", re.DOTALL)
_BOX = re.compile(r'viewBox="\S+ \S+ (\S+) \S+"')
_ID = re.compile(r'( id="| (?:xlink:)?href="#|url\(#)')


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn, and the name of its file without ending."""

    name: str
    make: Callable[[], Figure]

    def figure(self) -> Figure | None:
        """Return the figure; None where there is nothing to draw."""
        try:
            return self.make()
        except RequestError:
            return None


@dataclass
class Album:
    """Draws figures into one page until it is full, and counts what had no room.

    Attributes
    ----------
    svgs
        What was drawn, by the name of its file without ending.
    """

    left_bytes: int = _BUDGET_BYTES
    n_left_out: int = 0
    svgs: dict[str, bytes] = field(default_factory=dict)

    def draw(self, drawing: Drawing) -> Markup:
        """Return a figure as an element; nothing where there is nothing to draw, or the page is full."""
        if self.left_bytes <= 0:
            self.n_left_out += 1
            return Markup("")
        figure = drawing.figure()
        if figure is None:
            return Markup("")
        self.svgs[drawing.name] = to_svg(figure)
        picture = inline_svg(self.svgs[drawing.name], prefix=f"f{len(self.svgs)}-", title=figure.title)
        self.left_bytes -= len(picture)
        caption = tag("p", tag("b", "What you see. "), figure.caption) if figure.caption else ""
        caveat = tag("p", tag("b", "What it does not prove. "), figure.caveat) if figure.caveat else ""
        return tag("figure", picture, tag("figcaption", caption, caveat))


def drawings_of(findings: Findings) -> list[Drawing]:
    """Return every figure of a question, in the order of the report."""
    parts = (overview, toward_states, detail, of_controls, of_baselines, of_pairs, downstream, of_gene_sets)
    return [one for part in parts for one in part(findings)]


def overview(findings: Findings) -> list[Drawing]:
    """Return the figure over all edits and groups."""
    return [Drawing("effects", partial(effect_bars, findings.effects))]


def toward_states(findings: Findings) -> list[Drawing]:
    """Return a figure for each state toward which shifts were measured."""
    effects = findings.effects
    return [
        Drawing(f"volcano-{number}", partial(goal_volcano, effects, state))
        for number, state in enumerate(effects.states, start=1)
    ]


def detail(findings: Findings) -> list[Drawing]:
    """Return the figures about single edits and groups: of the first rows that could be tested."""
    effects, found = findings.effects, []
    goal = effects.states[0] if findings.question.goal is not None else ""
    for number, row in tested_rows(findings):
        place = (str(row["edit"]), str(row["group"]))
        found.append(Drawing(f"null-{number}", partial(null_histogram, effects, *place)))
        if row["evidence"] == "donors":
            found.append(Drawing(f"donors-{number}", partial(donor_effects, effects, *place, state=goal)))
        if effects.identity_by:
            found.append(Drawing(f"types-{number}", partial(switch_diagram, effects, *place)))
    return found


def of_controls(findings: Findings) -> list[Drawing]:
    """Return the controls of each group, beside its row with the smallest p."""
    controls, found = findings.controls, dict[str, Drawing]()
    if controls is None:
        return []
    for number, row in tested_rows(findings):
        group = str(row["group"])
        drawing = Drawing(f"controls-{number}", partial(controls_figure, controls, pd.Series(dict(row)), group))
        found.setdefault(group, drawing)
    return list(found.values())


def of_baselines(findings: Findings) -> list[Drawing]:
    """Return what the baselines expect of each gene, for each group and kind of edit."""
    about = findings.explanation
    if about is None or about.summary.empty:
        return []
    kinds = about.summary[["group", "kind"]].drop_duplicates().itertuples(index=False)
    return [
        Drawing(f"explained-{number}", partial(baseline_scatter, about, str(group), kind=str(kind)))
        for number, (group, kind) in enumerate(kinds, start=1)
    ]


def of_pairs(findings: Findings) -> list[Drawing]:
    """Return the matrix of pairs of each group, by vector and by size."""
    pairs, found = findings.pairs, []
    if pairs is None:
        return []
    for number, group in enumerate(dict.fromkeys(pairs.table["group"].astype(str)), start=1):
        found.append(Drawing(f"pairs-vector-{number}", partial(pair_matrix, pairs, group, "vector")))
        found.append(Drawing(f"pairs-size-{number}", partial(pair_matrix, pairs, group, "size")))
    return found


def downstream(findings: Findings) -> list[Drawing]:
    """Return the networks of downstream genes, one per group."""
    if findings.followers is None or findings.followers.table.empty:
        return []
    table, found = findings.followers.table, []
    for number, (group, rows) in enumerate(table.groupby("group", sort=False), start=1):
        edits = tuple(dict.fromkeys(rows["edit"]))[:_NETWORK_EDITS]
        found.append(Drawing(f"downstream-{number}", partial(gene_network, table, edits, str(group))))
    return found


def of_gene_sets(findings: Findings) -> list[Drawing]:
    """Return the gene sets of each edit and group."""
    return [
        Drawing(f"gene-sets-{number}", partial(enrichment_bars, one))
        for number, one in enumerate(findings.enrichment.values(), start=1)
    ]


def tested_rows(findings: Findings) -> list[tuple[int, Row]]:
    """Return the rows that are shown in detail, smallest p first, with their number in the table counted from 1."""
    rows = [(number, row) for number, row in enumerate(findings.rows, start=1) if row["status"] != "not held"]
    return sorted(rows, key=lambda one: one[1]["p"] if known(one[1]["p"]) else 2.0)[:DETAILED_ROWS]


def inline_svg(svg: bytes, *, prefix: str, title: str) -> Markup:
    """Return a drawing as an element of a page: its ids made its own, at most as wide as it is meant to be read.

    Parameters
    ----------
    svg
        As `scfm_core.plots.print.to_svg` writes it, where all texts are escaped.
    prefix
        Put before every id, so that two drawings in one page do not share one.
    """
    text = _LEFT_AWAY.sub("", _PROLOGUE.sub("", svg.decode()))
    text = _ID.sub(lambda found: f"{found[1]}{prefix}", text)
    head, body = text.split(">", 1)
    box = _BOX.search(head)
    width = float(box[1]) if box else _USUAL_WIDTH
    opened = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'{box[0] if box else ""} style="max-width:{width * _PIXELS_PER_POINT:.0f}px">'
    )
    return joined([trusted(opened), tag("title", title), trusted(body)])
