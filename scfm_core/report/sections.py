"""The parts of a report, each the answer to one question a reader has; empty where it was not asked."""

import pandas as pd

from scfm_core.analyses.perturbation_phrases import Row, percent, short
from scfm_core.report.document import section
from scfm_core.report.figures import (
    Album,
    detail,
    downstream,
    of_baselines,
    of_controls,
    of_gene_sets,
    of_pairs,
    overview,
    toward_states,
)
from scfm_core.report.findings import Findings
from scfm_core.report.markup import Markup, joined, tag
from scfm_core.report.tables import table_of

MOST_CARDS = 40
MOST_DOWNSTREAM = 30
_COVERAGE = ("edit", "kind", "group", "n_cells", "n_holding", "share_holding", "n_expressing", "status")
_EFFECTS = (
    *("edit", "group", "effect", "interval", "null_effect", "null_mean", "n_null", "null_n_cells", "z"),
    *("p_empirical", "p_donors", "p_adjusted", "evidence"),
)
_SHIFTS = (
    *("edit", "group", "state", "n_cells", "shift", "interval", "share_toward", "null_mean", "n_null", "z"),
    *("p_empirical", "p_donors", "p_adjusted", "evidence"),
)
_IDENTITY = (
    *("edit", "group", "n_holding", "n_switching", "share_switching", "switch_to", "null_switching", "p_switching"),
)
_CONTROLS = (
    *("group", "kind", "edit", "symbol", "n_holding", "effect", "null_mean", "p_empirical", "expected", "passed"),
    *("reason",),
)
_DOWNSTREAM = ("symbol", "gene_id", "mean_shift", "n_cells", "random_mean", "n_random", "specific_z", "p_empirical")
_PAIRS = (
    *("edit_a", "edit_b", "group", "n_holding_both", "effect_both", "effect_added", "size_beyond", "interval"),
    *("p_adjusted", "vector_beyond", "vector_p_adjusted", "kind_of", "reason"),
)
_ENRICHMENT = ("term", "overlap", "n_set", "odds_ratio", "p", "p_adjusted", "genes")
_SUMMARY = ("group", "kind", "n_genes", "explained_identity", "explained_pca", "explained_together", "interval")


def cards(findings: Findings) -> Markup:
    """Say in words what each edit did in each group."""
    shown = [_card(findings, row) for row in findings.rows[:MOST_CARDS]]
    left_out = len(findings.rows) - MOST_CARDS
    note = f"The first {MOST_CARDS} of {len(findings.rows):,} rows; the tables hold all." if left_out > 0 else ""
    remarks = [tag("p", remark, class_="note") for remark in findings.remarks]
    return section("In words", *shown, tag("p", note, class_="note") if note else "", *remarks, anchor="words")


def coverage(findings: Findings) -> Markup:
    """Say which cells the edits could be made in."""
    text = (
        "A cell holds a gene if the model reads it there. Only these cells are measured; an edit that no cell of a "
        "group holds has no numbers there."
    )
    table = table_of(findings.effects.effects, _COVERAGE)
    return section("Where could the edits be made?", tag("p", text), table, anchor="coverage")


def effects(findings: Findings, album: Album) -> Markup:
    """Show how far the cells move, and where to."""
    drawn = [album.draw(one) for one in overview(findings)]
    table = table_of(findings.effects.effects, _EFFECTS)
    parts = [section("How far do the cells move?", table, *drawn, anchor="effects")]
    shifts = findings.effects.shifts
    if len(shifts):
        drawn = [album.draw(one) for one in toward_states(findings)]
        parts.append(section("Where do they go?", table_of(shifts, _SHIFTS), _gallery(drawn), anchor="shifts"))
    if findings.effects.identity_by:
        text = (
            f"The type of a cell is the commonest {short(findings.effects.identity_by)} among its nearest unperturbed "
            "cells, before and after the edit."
        )
        table = table_of(findings.effects.effects, _IDENTITY)
        parts.append(section("Do cells change their type?", tag("p", text), table, anchor="types"))
    return joined(parts)


def rows_in_detail(findings: Findings, album: Album) -> Markup:
    """Draw the rows that stand out most, each beside its random genes, donors and types."""
    drawn = [album.draw(one) for one in detail(findings)]
    return section("The strongest rows in detail", _gallery(drawn), anchor="detail") if any(drawn) else Markup("")


def donors(findings: Findings) -> Markup:
    """Show each donor."""
    table = findings.effects.donors
    if not len(table):
        text = "This dataset names no donors, so nothing is known of other individuals. Cells are not replicates."
        return section("Do the donors agree?", tag("p", text), anchor="donors")
    states = [str(name) for name in table if str(name).startswith("shift:")]
    columns = ("edit", "group", "donor", "n_cells", "n_holding", "effect", "null_mean", "above", *states)
    return section("Do the donors agree?", table_of(table, columns), anchor="donors")


def belief(findings: Findings, album: Album) -> Markup:
    """Show what speaks for and against believing the answer."""
    parts = []
    if findings.controls is not None and len(findings.controls.table):
        text = "Edits whose outcome is known beforehand, made in the same cells."
        table = table_of(findings.controls.table, _CONTROLS)
        drawn = [album.draw(one) for one in of_controls(findings)]
        parts.append(section("Do the controls hold?", tag("p", text), table, *drawn, anchor="controls"))
    if findings.comparison is not None and len(findings.comparison.labels):
        labels = table_of(findings.comparison.labels, ("edit", "group", "label", "ratio", "n_other_groups", "reason"))
        columns = ("edit", "group", "asked", "n_holding", "effect", "typical", "times_typical")
        table = table_of(findings.comparison.table, columns)
        parts.append(section("Specific to these cells, or generic?", labels, table, anchor="generic"))
    if findings.explanation is not None:
        about = findings.explanation
        columns = ("edit", "group", "model_percentile", "expected_percentile", "residual_z", "explained", "in_words")
        text = "How much of the model's ranking of genes is known from detection, mean expression and PCA alone."
        shown = (tag("p", text), table_of(about.summary, _SUMMARY), table_of(about.edits, columns))
        drawn = [album.draw(one) for one in of_baselines(findings)]
        parts.append(section("What do the baselines explain?", *shown, *drawn, anchor="explained"))
    if findings.baseline is not None:
        parts.append(_baseline(findings.baseline.effects, findings.baseline.shifts))
    return joined(parts)


def downstream_genes(findings: Findings, album: Album) -> Markup:
    """Show which other genes turn with the edits, and what they have in common."""
    parts: list[object] = []
    if findings.followers is not None and len(findings.followers.table):
        text = (
            f"The {MOST_DOWNSTREAM} genes whose vectors turn most beyond what they do under edits of random genes. "
            "They follow in the model's input, which is no evidence of regulation."
        )
        tables = []
        for (edit, group), rows in findings.followers.table.groupby(["edit", "group"], sort=False):
            tables += [tag("h3", f"{short(edit)} in {short(group)}"), _table_of_genes(rows)]
        drawn = [album.draw(one) for one in downstream(findings)]
        parts.append(section("Which other genes turn?", tag("p", text), *tables, *drawn, anchor="downstream"))
    if findings.enrichment:
        parts.append(_enrichment(findings, album))
    return joined(parts)


def pairs(findings: Findings, album: Album) -> Markup:
    """Show what two edits do beyond the sum of the two."""
    if findings.pairs is None:
        return Markup("")
    text = "What the pair does beyond the sum of the two single edits, beside random pairs."
    table = table_of(findings.pairs.table, _PAIRS)
    drawn = [album.draw(one) for one in of_pairs(findings)]
    return section("Do two edits do more than their sum?", tag("p", text), table, _gallery(drawn), anchor="pairs")


def _card(findings: Findings, row: Row) -> Markup:
    said = findings.card(row)
    *measured, reminder = said.sentences
    held = f"held by {percent(row['share_holding'])} of {int(row['n_cells']):,} cells"
    return tag(
        "article",
        tag("h3", f"{short(row['edit'])} in {short(row['group'])} ", tag("span", f"({held})", class_="note")),
        tag("p", said.headline, class_="headline"),
        *(tag("p", reason, class_="reason") for reason in said.reasons),
        *(tag("p", warning, class_="warning") for warning in said.warnings),
        tag("ul", *(tag("li", sentence) for sentence in measured)) if measured else "",
        tag("p", reminder, class_="note"),
        class_="card" if said.believable else "card doubted",
    )


def _gallery(drawn: list[Markup]) -> Markup:
    """Put figures side by side where the page is wide enough."""
    return tag("div", *drawn, class_="gallery")


def _baseline(effects: pd.DataFrame, shifts: pd.DataFrame) -> Markup:
    text = "The same edits under PCA fitted to this dataset. Sizes are on a scale of its own; compare z and p."
    tables = [table_of(effects, _EFFECTS), table_of(shifts, _SHIFTS) if len(shifts) else ""]
    return section("What does PCA say?", tag("p", text), *tables, anchor="baseline")


def _table_of_genes(rows: pd.DataFrame) -> Markup:
    return table_of(rows.head(MOST_DOWNSTREAM), _DOWNSTREAM)


def _enrichment(findings: Findings, album: Album) -> Markup:
    shown: list[object] = []
    for ((edit, group), one), drawing in zip(findings.enrichment.items(), of_gene_sets(findings), strict=True):
        shown.append(tag("h3", f"{short(edit)} in {short(group)}: {short(one.name)}"))
        shown += [tag("p", remark, class_="warning") for remark in one.remarks]
        shown.append(table_of(one.table.head(20), _ENRICHMENT))
        shown.append(album.draw(drawing))
        left_out = f" {one.n_left_out:,} sets were too small or too large to test." if one.n_left_out else ""
        shown.append(tag("p", f"Source of the sets: {one.source}.{left_out}", class_="note"))
    return section("What do these genes have in common?", *shown, anchor="enrichment")
