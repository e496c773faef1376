"""The matrix of pairs: how far two edits together move the cells beyond what each does alone."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.edit_words import ALPHA, EDIT_CAVEAT
from scfm_core.plots.figure import (
    MUTED,
    Axis,
    Continuous,
    Figure,
    HeatMap,
    Mark,
    Note,
    Panel,
    Points,
    ScaleName,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_pairs import PairInteractions

Measure = Literal["vector", "size"]
_TITLES = {
    "vector": "Part beyond the sum of the two shifts (share of their lengths)",
    "size": "Size beyond the sum of the two shifts (1\u00a0-\u00a0cosine)",
}
_MEANING = {
    "vector": "The colour is the length of the part of the joint shift that adding the two single shifts leaves over, "
    "as a share of the lengths of the two; 0: exactly the sum.",
    "size": "The colour is how much further (red) or less far (blue) both together move the cells than the sum of the "
    "two single shifts would; 0: as far.",
}
_COLUMNS = {"vector": ("vector_p_adjusted", "vector_null_mean", "vector_n_null"),
            "size": ("p_adjusted", "null_mean", "n_null")}  # fmt: skip


def pair_matrix(pairs: "PairInteractions", group: str, by: Measure = "vector") -> Figure:
    """Draw the lower triangle of all pairs in one group.

    Parameters
    ----------
    pairs
        Answer of `PerturbPairs`.
    group
        Which group.
    by
        ``"vector"``: how much of the joint shift is not the sum, never negative; ``"size"``: how much larger it is.

    Raises
    ------
    RequestError
        If there is no pair in that group.
    """
    table = pairs.table
    rows = table[table["group"].astype(str) == str(group)].reset_index(drop=True)
    if rows.empty:
        known = ", ".join(one_line(name) for name in table["group"].astype(str).unique()) or "none"
        msg = f"There is no pair in group {group!r}. Choose one of: {known}."
        raise RequestError(msg, "unknown-group")
    names = list(dict.fromkeys([*rows["edit_a"], *rows["edit_b"]]))
    place = {name: number for number, name in enumerate(names)}
    ends = np.array([sorted((place[a], place[b])) for a, b in zip(rows["edit_a"], rows["edit_b"], strict=True)])
    column, line = ends[:, 0], ends[:, 1] - 1  # the last gene heads no column, the first no line
    n = len(names) - 1
    values, words = np.full((n, n), np.nan), [[""] * n for _ in range(n)]
    measured = rows[f"{by}_beyond"].to_numpy(dtype=np.float64)
    values[line, column] = measured
    for number, (_, row) in enumerate(rows.iterrows()):
        words[line[number]][column[number]] = _hover(row)
    p_name = _COLUMNS[by][0]
    passed = (rows[p_name] < ALPHA).to_numpy()
    marks: list[Mark] = [HeatMap(colour=_colour(values, by, _least(rows, by)), hover=tuple(map(tuple, words)))]
    marks += [
        Note(x=float(x), y=float(y), text="n/a", colour=MUTED)
        for x, y, value in zip(column, line, measured, strict=True)
        if np.isnan(value)
    ]
    if passed.any():
        marks.append(
            Points(
                x=column[passed].astype(np.float64),
                y=line[passed].astype(np.float64),
                colour=Solid("#FFFFFF"),
                outline="#111111",
                size=9.0,
                hover=tuple(words[y][x] for y, x in zip(line[passed], column[passed], strict=True)),
            )
        )
    x_ticks, y_ticks = ([(float(at), one_line(name, longest=16)) for at, name in enumerate(some)]
                        for some in (names[:-1], names[1:]))  # fmt: skip
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Edit", limits=(-0.5, n - 0.5), ticks=tuple(x_ticks)),
                y=Axis(title="Edit", limits=(n - 0.5, -0.5), ticks=tuple(y_ticks)),
                marks=tuple(marks),
            ),
        ),
        title=_title(rows, passed, group, by),
        caption=_caption(rows, passed, np.isnan(measured), by),
        caveat=EDIT_CAVEAT,
        width_mm=float(np.clip(70 + 8 * n, 110, 183)),
        height_mm=float(np.clip(40 + 7.5 * n, 80, 160)),
    )


def _least(rows: pd.DataFrame, by: Measure) -> float:
    """Return what the scale reaches at least, so that rounding errors look like nothing."""
    if by == "vector":
        return 0.1
    largest = float(np.nan_to_num(rows[["effect_a", "effect_b", "effect_both"]].to_numpy(dtype=np.float64)).max())
    return 0.05 * largest or 1e-6


def _colour(values: Any, by: Measure, least: float) -> Continuous:
    reach = float(np.abs(values[np.isfinite(values)]).max(initial=least))
    scale: ScaleName = "viridis" if by == "vector" else "signed"
    limits = (0.0, reach) if by == "vector" else (-reach, reach)
    return Continuous(values=values, scale=scale, limits=limits, title=_TITLES[by])


def _hover(row: "pd.Series[Any]") -> str:
    n_cells = f"n = {grouped_number(row['n_holding_both'])} cells hold both"
    start = f"{one_line(row['edit_a'])} and {one_line(row['edit_b'])}\n{n_cells}"
    if pd.isna(row["vector_beyond"]):
        return f"{start}\nnot measured"
    return (
        f"{start}\neffects {plain_number(row['effect_a'])} and {plain_number(row['effect_b'])}, together "
        f"{plain_number(row['effect_both'])}\nbeyond the sum: size {plain_number(row['size_beyond'])} (adjusted p "
        f"{plain_number(row['p_adjusted'])}), vector {plain_number(row['vector_beyond'])} (adjusted p "
        f"{plain_number(row['vector_p_adjusted'])})\n{one_line(row['kind_of'])}"
    )


def _title(rows: pd.DataFrame, passed: Any, group: str, by: Measure) -> str:
    n_tested = int(rows[_COLUMNS[by][0]].notna().sum())
    measured = rows[rows[f"{by}_beyond"].notna()]
    counts = measured["n_holding_both"] if len(measured) else rows["n_holding_both"]
    least, most = int(counts.min()), int(counts.max())
    n_cells = grouped_number(least) if least == most else f"{grouped_number(least)} to {grouped_number(most)}"
    where = one_line(group, longest=30)
    if not n_tested:
        additive = int((measured["kind_of"] == "additive").sum())
        return (
            f"{additive} of {len(measured)} measured pairs in {where} are additive; none was compared with random "
            f"pairs (n\u00a0=\u00a0{n_cells} cells a pair)"
        )
    what = "add up less well than" if by == "vector" else "go beyond the sum otherwise than"
    return (
        f"{int(passed.sum())} of {n_tested} tested pairs in {where} {what} random pairs (adjusted "
        f"p\u00a0<\u00a00.05, n\u00a0=\u00a0{n_cells} cells a pair)"
    )


def _caption(rows: pd.DataFrame, passed: Any, missing: Any, by: Measure) -> str:
    _, mean, n_null = _COLUMNS[by]
    known = rows[rows[mean].notna()]
    sentences = [
        f"{_MEANING[by]} Means over cells that hold both genes.",
        f"Random pairs of like abundance reach {plain_number(known[mean].median())} (median over "
        f"{grouped_number(known[n_null].min())} or more of them for each pair): it is they that tell, not 0."
        if len(known)
        else "",
        _dots_words(rows, passed, by),
        f"n/a: not measured, too few cells hold both (n\u00a0=\u00a0{grouped_number(missing.sum())} pairs)."
        if missing.any()
        else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _dots_words(rows: pd.DataFrame, passed: Any, by: Measure) -> str:
    if passed.any():
        return "White dots: adjusted p\u00a0<\u00a00.05 against random pairs (empirical, Benjamini-Hochberg)."
    if rows[_COLUMNS[by][0]].notna().any():
        return "No pair has an adjusted p\u00a0<\u00a00.05 against random pairs."
    return "No pair was compared with random pairs."
