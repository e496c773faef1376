"""Figures of a gene perturbation: the effects beside their null, and the null itself."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.edit_words import (
    ALPHA,
    BLUE,
    EDIT_CAVEAT,
    EFFECT_AXIS,
    ORANGE,
    edit_noun,
    evidence_sentence,
    evidence_words,
    find_row,
    n_cells_words,
    p_words,
    row_name,
)
from scfm_core.plots.figure import (
    INK,
    MUTED,
    NO_VALUE,
    Axis,
    Bars,
    Beside,
    Figure,
    FloatArray,
    Histogram,
    Intervals,
    Mark,
    Panel,
    Points,
    Rule,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbationEffects

MAX_ROWS = 40
_ROOMY = 14  # rows up to which each has room for four lines of words beside it


def effect_bars(effects: "PerturbationEffects") -> Figure:
    """Draw the effect of each edit in each group with its interval, beside the null of matched random genes.

    At most 40 rows are drawn, those with the largest effects, in the order of the table. Rows that were not tested
    are grey and say why.
    """
    table = effects.effects
    kept = np.sort(np.argsort(-table["effect"].fillna(-1).to_numpy(), kind="stable")[:MAX_ROWS])
    rows = table.iloc[kept].reset_index(drop=True)
    at = np.arange(len(rows), dtype=np.float64)
    tested = rows["z"].notna().to_numpy()
    texts = tuple(_beside(row, roomy=len(rows) <= _ROOMY) for _, row in rows.iterrows())
    beside = Beside(at=at, texts=texts, colours=tuple(INK if known else MUTED for known in tested))
    n_lines = max((text.count("\n") + 1 for text in texts), default=1)
    return Figure(
        panels=(
            Panel(
                x=Axis(title=EFFECT_AXIS, limits=(0.0, 1.06 * _reach(rows, effects.null) or 1.0), grid=True),
                y=Axis(title="Edit and cells", limits=(len(rows) - 0.4, -0.6), ticks=_ticks(rows)),
                marks=(*_bars(rows, at, tested), *_null(rows, at, effects.null), beside),
            ),
        ),
        title=_bars_title(table),
        caption=_bars_caption(rows, len(table) - len(rows)),
        caveat=EDIT_CAVEAT,
        width_mm=150.0,
        height_mm=float(np.clip(34 + (2.0 + 2.9 * max(n_lines, 3 if len(rows) <= _ROOMY else 2)) * len(rows), 70, 290)),
        legend="below",
    )


def _bars_caption(rows: pd.DataFrame, left_out: int) -> str:
    n_null = rows["n_null"].max() if len(rows) else 0
    randoms = f"{grouped_number(n_null)} random genes" if n_null and n_null > 0 else "random genes"
    n_measured = grouped_number(np.nan_to_num(rows["null_n_cells"].max()) if len(rows) else 0)
    over = " and ".join(sorted({str(name) for name in rows["ci_over"].dropna()} & {"cells", "donors"})) or "cells"
    sentences = [
        f"Bars: mean over the cells that hold the gene, with its 95 % interval over {over}; cells without the gene do "
        "not count. n: these cells, of all. On the right z and the p adjusted over all rows "
        "(Benjamini-Hochberg).",
        f"Orange: mean and 95 % range of {randoms} of like abundance. Diamond: the gene itself on as many cells as "
        f"they were measured on (at most {n_measured}). Compare the diamond with the orange line.",
        evidence_sentence(rows),
        "Grey rows were not tested." if rows["z"].isna().any() else "",
        f"{grouped_number(left_out)} rows with smaller effects are not drawn." if left_out else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _bars(rows: pd.DataFrame, at: FloatArray, tested: Any) -> list[Mark]:
    marks: list[Mark] = []
    measured = rows["effect"].notna().to_numpy()
    for chosen, colour, label in (
        (tested & measured, BLUE, "effect in the cells that hold the gene, 95 % interval"),
        (~tested & measured, NO_VALUE, "effect, not tested"),
    ):
        if not chosen.any():
            continue
        part = rows[chosen]
        value = part["effect"].to_numpy(dtype=np.float64)
        marks.append(
            Bars(
                at=at[chosen] - 0.17,
                value=value,
                low=np.minimum(part["ci_low"].to_numpy(dtype=np.float64, na_value=np.nan), value),
                high=np.maximum(part["ci_high"].to_numpy(dtype=np.float64, na_value=np.nan), value),
                colours=(colour,) * len(part),
                thickness=0.34,
                label=label,
                hover=tuple(_hover(row) for _, row in part.iterrows()),
            )
        )
    return marks


def _null(rows: pd.DataFrame, at: FloatArray, null: pd.DataFrame) -> list[Mark]:
    """Return the range of the random genes and the tested gene on as many cells, under each bar."""
    ranges = [_null_range(null, row["edit"], row["group"]) for _, row in rows.iterrows()]
    known = np.array([found is not None for found in ranges], dtype=bool)
    if not known.any():
        return []
    low, mean, high = np.array([found for found in ranges if found is not None]).T
    marks: list[Mark] = [
        Intervals(
            at=at[known] + 0.24,
            value=mean,
            low=low,
            high=high,
            colour=ORANGE,
            label="random genes, mean and 95 % range",
            hover=tuple(
                f"{grouped_number(row['n_null'])} random genes on {grouped_number(row['null_n_cells'])} cells each\n"
                f"mean {plain_number(row['null_mean'])}, standard deviation {plain_number(row['null_sd'])}"
                for _, row in rows[known].iterrows()
            ),
        )
    ]
    own = rows["null_effect"].to_numpy(dtype=np.float64)
    shown = np.isfinite(own)
    marks.append(
        Points(
            x=own[shown],
            y=at[shown] + 0.24,
            colour=Solid(BLUE),
            size=9.0,
            symbol="diamond",
            label="the gene on as many cells as a random gene",
            hover=tuple(
                f"{one_line(row['edit'])} on {grouped_number(row['null_n_cells'])} cells that hold it\n"
                f"{plain_number(row['null_effect'])}"
                for _, row in rows[shown].iterrows()
            ),
        )
    )
    return marks


def _null_range(null: pd.DataFrame, edit: str, group: str) -> tuple[float, float, float] | None:
    """Return the 2.5th percentile, the mean and the 97.5th percentile of the random genes' effects."""
    values = _null_effects(null, edit, group)
    if not len(values):
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(values.mean()), float(high)


def _null_effects(null: pd.DataFrame, edit: str, group: str) -> FloatArray:
    if null.empty:
        return np.zeros(0)
    mine = (null["edit"] == edit) & (null["group"].astype(str) == str(group))
    values: FloatArray = null.loc[mine, "null_effect"].to_numpy(dtype=np.float64)
    return values[np.isfinite(values)]


def _reach(rows: pd.DataFrame, null: pd.DataFrame) -> float:
    """Return how far to the right anything is drawn."""
    columns = rows[["effect", "ci_high", "null_effect"]].to_numpy(dtype=np.float64, na_value=np.nan)
    ranges = [_null_range(null, row["edit"], row["group"]) for _, row in rows.iterrows()]
    return float(max(np.nan_to_num(columns).max(initial=0.0), *(found[2] for found in ranges if found), 0.0))


def _beside(row: "pd.Series[Any]", *, roomy: bool) -> str:
    """Say the verdict, or why there is none."""
    if pd.isna(row["z"]):
        if row["status"] == "not held":
            return "not tested:\nno cell holds it"
        return "not compared\nwith random genes"
    evidence = evidence_words(row)
    if not roomy:
        short = "over donors" if row["evidence"] == "donors" else "exploratory"
        return f"z {plain_number(row['z'])}, p {plain_number(row['p_adjusted'])}\n{short}"
    lines = [f"z = {plain_number(row['z'])}", f"adjusted p {p_words(row['p_adjusted'])}", evidence]
    if row["status"] == "rarely held":
        lines.append(f"rarely held: {100 * row['share_holding']:.2g} %")
    elif row.get("match_quality") in ("one-sided", "loose"):
        lines.append({"one-sided": "match: one-sided", "loose": "match: loose"}[row["match_quality"]])
    return "\n".join(lines)


def _hover(row: "pd.Series[Any]") -> str:
    return (
        f"{one_line(row['edit'])} in {one_line(row['group'])}\n"
        f"effect {plain_number(row['effect'])}, 95 % interval {plain_number(row['ci_low'])} to "
        f"{plain_number(row['ci_high'])}\n"
        f"n = {grouped_number(row['n_holding'])} cells hold it, of {grouped_number(row['n_cells'])}\n"
        f"status: {one_line(row['status'])}"
    )


def _ticks(rows: pd.DataFrame) -> tuple[tuple[float, str], ...]:
    roomy, several = len(rows) <= _ROOMY, rows["group"].nunique() > 1
    return tuple(
        (float(place), _tick(row, roomy=roomy, several=several)) for place, (_, row) in enumerate(rows.iterrows())
    )


def _tick(row: "pd.Series[Any]", *, roomy: bool, several: bool) -> str:
    edit, numbers = one_line(row["edit"], longest=22), n_cells_words(row)
    if roomy:
        return f"{edit}\n{one_line(row['group'], longest=20)}\n{numbers}"
    if several:
        return f"{edit}\n{one_line(row['group'], longest=14)}, n = {grouped_number(row['n_holding'])}"
    return f"{edit}\n{numbers}"


def _bars_title(table: pd.DataFrame) -> str:
    tested = table[table["z"].notna()]
    n_moved = int((table["p_adjusted"] < ALPHA).sum())
    noun = edit_noun(table)
    if tested.empty:
        return f"Effects of {grouped_number(table['edit'].nunique())} {noun}, not compared with random genes"
    exploratory = "" if (tested["evidence"] == "donors").any() else ", exploratory"
    n_groups = tested["group"].nunique()
    groups = f" (in {grouped_number(n_groups)} groups)" if n_groups > 1 else ""
    return (
        f"{grouped_number(n_moved)} of {grouped_number(len(tested))} tested {noun}{groups} move the cells that hold "
        f"the gene more than random genes of like abundance do (adjusted p\u00a0<\u00a00.05{exploratory})"
    )


def null_histogram(effects: "PerturbationEffects", edit: str, group: str) -> Figure:
    """Draw the effects of the random genes with the tested gene's effect as a line; z and p in the title.

    Parameters
    ----------
    effects
        Answer of `PerturbGenes`.
    edit, group
        Which row, by the columns ``edit`` and ``group``.

    Raises
    ------
    RequestError
        If there is no such row, or it has no null.
    """
    row = find_row(effects, edit, group)
    values = _null_effects(effects.null, edit, group)
    if not len(values):
        msg = f"There are no random genes to compare {edit!r} with in group {group!r}. Choose a row that was tested."
        raise RequestError(msg, "no-null")
    own = float(row["null_effect"])
    low, high = min(0.0, values.min()), max(float(values.max()), own if np.isfinite(own) else 0.0)
    edges = np.linspace(low, high if high > low else low + 1e-6, 31)
    counts = np.histogram(values, bins=edges)[0]
    label = f"random genes (n = {grouped_number(len(values))})"
    marks: list[Mark] = [Histogram(edges=edges, counts=counts, colour=ORANGE, label=label)]
    if np.isfinite(own):
        words = f"{one_line(edit, longest=24)}: {plain_number(own)}"
        marks.append(Rule(at=own, axis="x", text=words, colour=BLUE, dash="solid"))
    room = 0.4 * (edges[-1] - edges[0])  # for the words beside the line
    end = float(max(edges[-1] * 1.03, own + room if np.isfinite(own) else 0.0))
    return Figure(
        panels=(
            Panel(
                x=Axis(title=EFFECT_AXIS, limits=(float(edges[0]), end)),
                y=Axis(title="Random genes (number)", limits=(0.0, 1.25 * max(int(counts.max()), 1)), grid=True),
                marks=tuple(marks),
            ),
        ),
        title=_null_title(row, int((values < own).sum()), len(values)),
        caption=_null_caption(row, len(values)),
        caveat=EDIT_CAVEAT,
        height_mm=75.0,
        legend="below",
    )


def _null_caption(row: "pd.Series[Any]", n_null: int) -> str:
    range_words = ""
    if np.isfinite([row.get("p_low", np.nan), row.get("p_high", np.nan)]).all():
        range_words = (
            f" Had other comparison cells been drawn, p would lie between {plain_number(row['p_low'])} and "
            f"{plain_number(row['p_high'])} (95 % of draws)."
        )
    donors = f" {evidence_sentence(row.to_frame().T)}".rstrip()
    return (
        f"Mean effects of {grouped_number(n_null)} random genes matched for detection and rank, and of "
        f"{one_line(row['edit'])}, each over the cells that hold the gene (n\u00a0=\u00a0"
        f"{grouped_number(np.nan_to_num(row['null_n_cells']))} cells a gene).{range_words}{donors}"
    )


def _null_title(row: "pd.Series[Any]", n_below: int, n_null: int) -> str:
    start = row_name(row["edit"], row["group"])
    if pd.isna(row["z"]):
        return f"{start}: not tested ({one_line(row['status'])})"
    exploratory = ", exploratory" if row["evidence"] != "donors" else ""
    return (
        f"{start} moves the cells that hold it more than {grouped_number(n_below)} of {grouped_number(n_null)} random "
        f"genes (z\u00a0=\u00a0{plain_number(row['z'])}, empirical p\u00a0{p_words(row['p_empirical'])}{exploratory})"
    )
