"""Gene sets that hold more hits than expected: bars of their adjusted p with the overlap beside."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.edit_words import ALPHA, BLUE
from scfm_core.plots.figure import (
    INK,
    MUTED,
    NO_VALUE,
    Axis,
    Bars,
    Beside,
    Figure,
    Mark,
    Panel,
    Rule,
    grouped_number,
    one_line,
    plain_number,
)

if TYPE_CHECKING:
    from scfm_core.analyses.enrich_genes import Enrichment

MAX_ROWS = 25
_CAP = 50.0
_CAVEAT = (
    "Over-representation says that the hits share annotations, not that the pathway acts in these cells. Sets overlap "
    "each other, and well-studied genes stand in many of them."
)


def enrichment_bars(enrichment: "Enrichment", *, n_sets: int = 15) -> Figure:
    """Draw the gene sets with the smallest adjusted p, at most 25.

    Raises
    ------
    RequestError
        If no set was tested.
    """
    table = enrichment.table[enrichment.table["p_adjusted"].notna()]
    table, n_all = table[table["overlap"] > 0], len(table)
    if table.empty:
        msg = "No gene set shares a gene with the hits, so none is tested. Choose other sets or more hits."
        raise RequestError(msg, "nothing-to-draw")
    rows = table.sort_values(["p_adjusted", "p"], kind="stable").head(min(n_sets, MAX_ROWS)).reset_index(drop=True)
    at = np.arange(len(rows), dtype=np.float64)
    height = np.minimum(-np.log10(np.maximum(rows["p_adjusted"].to_numpy(dtype=np.float64), 1e-300)), _CAP)
    passed = (rows["p_adjusted"] < ALPHA).to_numpy()
    marks: list[Mark] = [
        Bars(
            at=at[chosen],
            value=height[chosen],
            low=np.full(int(chosen.sum()), np.nan),
            high=np.full(int(chosen.sum()), np.nan),
            colours=(colour,) * int(chosen.sum()),
            label=f"{words} (n = {grouped_number(chosen.sum())} sets)",
            hover=tuple(_hover(row) for _, row in rows[chosen].iterrows()),
        )
        for chosen, colour, words in (
            (passed, BLUE, "adjusted p < 0.05"),
            (~passed, NO_VALUE, "not below 0.05"),
        )
        if chosen.any()
    ]
    texts = tuple(
        f"{grouped_number(row['overlap'])} of {grouped_number(row['n_set'])}\nodds {plain_number(row['odds_ratio'])}"
        for _, row in rows.iterrows()
    )
    marks += [Rule(at=-float(np.log10(ALPHA)), axis="x"), Beside(at=at, texts=texts, colours=_inks(passed))]
    highest = max(float(height.max()), 1.5)
    ticks = tuple((float(place), _tick(term)) for place, term in zip(at, rows["term"], strict=True))
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Adjusted p (-log10, Benjamini-Hochberg)", limits=(0.0, 1.06 * highest), grid=True),
                y=Axis(title="Gene set", limits=(len(rows) - 0.4, -0.6), ticks=ticks),
                marks=tuple(marks),
            ),
        ),
        title=_title(rows, int((table["p_adjusted"] < ALPHA).sum()), n_all),
        caption=_caption(enrichment, rows, float(height.max()), n_left_out=len(table) - len(rows)),
        caveat=_CAVEAT,
        width_mm=150.0,
        height_mm=float(np.clip(36 + 7.5 * len(rows), 70, 230)),
        legend="below",
    )


def _tick(term: object) -> str:
    """Write the name of a set in at most two lines."""
    words, lines = one_line(term, longest=44).replace("_", " ").split(" "), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) >= 22 and len(lines) < 2:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(one_line(line, longest=26) for line in lines)


def _hover(row: "pd.Series[Any]") -> str:
    genes = one_line(str(row["genes"]).replace(";", ", "), longest=120)
    return (
        f"{one_line(row['term'], longest=90)}\n{grouped_number(row['overlap'])} of {grouped_number(row['n_set'])} "
        f"genes of the set are hits\nodds ratio {plain_number(row['odds_ratio'])}\np {plain_number(row['p'])}, "
        f"adjusted {plain_number(row['p_adjusted'])}\n{genes}"
    )


def _inks(passed: Any) -> tuple[str, ...]:
    return tuple(INK if known else MUTED for known in passed)


def _title(rows: pd.DataFrame, n_passed: int, n_all: int) -> str:
    first = f", first of all {one_line(rows['term'].iloc[0], longest=44).replace('_', ' ')}" if n_passed else ""
    return (
        f"{grouped_number(n_passed)} of {grouped_number(n_all)} gene sets hold more of the "
        f"n\u00a0=\u00a0{grouped_number(rows['n_hits'].iloc[0])} hits than expected{first}"
    )


def _caption(enrichment: "Enrichment", rows: pd.DataFrame, highest: float, *, n_left_out: int) -> str:
    sentences = [
        "Bars: one-sided hypergeometric test, corrected over all sets; the dashed line is adjusted "
        "p\u00a0=\u00a00.05. Beside them the hits among the genes of the set, and the odds ratio. Expected: as many "
        f"genes drawn from the n\u00a0=\u00a0{grouped_number(rows['n_universe'].iloc[0])} that could have been hits.",
        f"Sets: {one_line(enrichment.name, longest=60)}.",
        *(f"{one_line(remark, longest=200).rstrip('.')}." for remark in enrichment.remarks),
        f"Bars end at {_CAP:g}." if highest >= _CAP else "",
        f"{grouped_number(n_left_out)} further sets with a hit are not drawn." if n_left_out else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)
