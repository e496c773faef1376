"""Figures of a gene perturbation: the effects beside their null, and the null itself."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    INK,
    MUTED,
    Axis,
    Bars,
    Figure,
    FloatArray,
    Histogram,
    Intervals,
    Mark,
    Note,
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
EFFECT_AXIS = "Effect: 1 - cosine similarity before and after (no unit)"
_TESTED, _UNTESTED, _NULL = "#0072B2", "#8C8C8C", "#E69F00"
_CAVEAT = (
    "The effect is a movement of the model's vector after a token was taken out, not a measured response of a cell. "
    "A gene can stand out because the model reads it strongly, without any role in the cell."
)


def effect_bars(effects: "PerturbationEffects") -> Figure:
    """Draw the effect of each edit in each group with its interval, beside the null of matched random genes.

    At most 40 rows are drawn, those with the largest effects, in the order of the table. Rows that were not tested
    are grey and say why.
    """
    table = effects.effects
    kept = np.sort(np.argsort(-table["effect"].fillna(0).to_numpy(), kind="stable")[:MAX_ROWS])
    rows = table.iloc[kept].reset_index(drop=True)
    at = np.arange(len(rows), dtype=np.float64)
    tested = rows["z"].notna().to_numpy()
    reach = _reach(rows, effects.null)
    notes = tuple(
        Note(x=end, y=place, text=_beside(row), anchor="left", shift=(7, 0), colour=INK if known else MUTED)
        for (_, row), place, end, known in zip(rows.iterrows(), at, reach, tested, strict=True)
    )
    left_out = len(table) - len(rows)
    n_measured = grouped_number(rows["null_n_cells"].max() if len(rows) else 0)
    caption = [
        "Bars: mean over all cells of the group with its 95 % interval; a cell that does not hold the gene counts 0.",
        f"Diamond and {_range_words(rows)}: the same mean, estimated for the gene and for random genes of like "
        f"abundance in one way (at most {n_measured} cells that hold it, times the share of such cells). Compare the "
        "diamond with the orange line.",
        "Grey rows were not tested." if not tested.all() else "",
        f"{grouped_number(left_out)} rows with smaller effects are not drawn." if left_out else "",
    ]
    longest = float(reach.max()) if len(reach) else 0.0
    return Figure(
        panels=(
            Panel(
                x=Axis(title=EFFECT_AXIS, limits=(0.0, 1.55 * longest or 1.0), grid=True),
                y=Axis(title="Gene, cells", limits=(len(rows) - 0.4, -0.6), ticks=_ticks(rows)),
                marks=(*_bars(rows, at, tested), *_null(rows, at, effects.null), *notes),
            ),
        ),
        title=_bars_title(table),
        caption=" ".join(sentence for sentence in caption if sentence),
        caveat=_CAVEAT,
        width_mm=150.0,
        height_mm=float(np.clip(40 + 9 * len(rows), 70, 240)),
        legend="below",
    )


def _bars(rows: pd.DataFrame, at: FloatArray, tested: Any) -> list[Mark]:
    marks: list[Mark] = []
    for chosen, colour, label in (
        (tested, _TESTED, "effect in all cells of the group, 95 % interval"),
        (~tested, _UNTESTED, "effect, not tested"),
    ):
        if not chosen.any():
            continue
        part = rows[chosen]
        value = part["effect"].fillna(0).to_numpy(dtype=np.float64)
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
    """Return the range of the random genes and the tested gene on the same cells, under each bar."""
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
            colour=_NULL,
            label="random genes, mean and 95 % range",
            hover=tuple(
                f"{grouped_number(row['n_null'])} random genes on {grouped_number(row['null_n_cells'])} cells\n"
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
            colour=Solid(_TESTED),
            size=9.0,
            symbol="diamond",
            label="the gene on the same cells as the random genes",
            hover=tuple(
                f"{one_line(row['edit'])} on {grouped_number(row['null_n_cells'])} cells\n"
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


def _reach(rows: pd.DataFrame, null: pd.DataFrame) -> FloatArray:
    """Return how far to the right anything is drawn in each row."""
    columns = rows[["effect", "ci_high", "null_effect"]].to_numpy(dtype=np.float64, na_value=np.nan)
    ranges = [_null_range(null, row["edit"], row["group"]) for _, row in rows.iterrows()]
    highest = np.array([0.0 if found is None else found[2] for found in ranges])
    return np.asarray(np.maximum(np.nan_to_num(columns).max(axis=1, initial=0.0), highest))


def _beside(row: "pd.Series[Any]") -> str:
    """Say the verdict, or why there is none."""
    if pd.isna(row["z"]):
        reason = {"not held": "no cell holds it: exactly 0"}.get(row["status"], row["status"])
        return f"not tested ({one_line(reason)})" if row["status"] != "tested" else "not compared with random genes"
    words = f"z = {plain_number(row['z'])}, adjusted p = {plain_number(row['p_adjusted'])}"
    if row["status"] == "rarely held":
        return f"{words}\nheld by {100 * row['share_holding']:.2g} % of cells only"
    match = {"one-sided": "\nmatched from one side only", "loose": "\nloosely matched"}
    return words + match.get(str(row.get("match_quality", "")), "")


def _hover(row: "pd.Series[Any]") -> str:
    return (
        f"{one_line(row['edit'])} in {one_line(row['group'])}\n"
        f"effect {plain_number(row['effect'])}, 95 % interval {plain_number(row['ci_low'])} to "
        f"{plain_number(row['ci_high'])}\n"
        f"n = {grouped_number(row['n_cells'])} cells, {grouped_number(row['n_holding'])} hold it\n"
        f"status: {one_line(row['status'])}"
    )


def _ticks(rows: pd.DataFrame) -> tuple[tuple[float, str], ...]:
    columns = (rows[name].tolist() for name in ("edit", "group", "n_cells"))
    return tuple(
        (float(place), f"{one_line(edit, longest=24)}, {one_line(group, longest=28)} (n = {grouped_number(n)})")
        for place, (edit, group, n) in enumerate(zip(*columns, strict=True))
    )


def _range_words(rows: pd.DataFrame) -> str:
    n = rows["n_null"].max() if len(rows) else 0
    return f"orange line (mean and 95 % range of {grouped_number(n)} random genes)" if n and n > 0 else "orange line"


def _bars_title(table: pd.DataFrame) -> str:
    n_tested = int(table["z"].notna().sum())
    n_moved = int((table["p_adjusted"] < 0.05).sum())
    if not n_tested:
        return f"Effects of {grouped_number(table['edit'].nunique())} deletions, not compared with random genes"
    return (
        f"{grouped_number(n_moved)} of {grouped_number(n_tested)} tested deletions move the cells more than random "
        "genes of like abundance (adjusted p\u00a0<\u00a00.05)"
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
    table = effects.effects
    found = table[(table["edit"] == edit) & (table["group"].astype(str) == str(group))]
    values = _null_effects(effects.null, edit, group)
    if found.empty or not len(values):
        msg = f"There are no random genes to compare {edit!r} with in group {group!r}. Choose a row that was tested."
        raise RequestError(msg, "no-null")
    row = found.iloc[0]
    own = float(row["null_effect"])
    low, high = min(0.0, values.min()), max(float(values.max()), own if np.isfinite(own) else 0.0)
    edges = np.linspace(low, high if high > low else low + 1e-6, 31)
    counts = np.histogram(values, bins=edges)[0]
    label = f"random genes (n = {grouped_number(len(values))})"
    marks: list[Mark] = [Histogram(edges=edges, counts=counts, colour=_NULL, label=label)]
    if np.isfinite(own):
        words = f"{one_line(edit, longest=24)}: {plain_number(own)}"
        marks.append(Rule(at=own, axis="x", text=words, colour=_TESTED, dash="solid"))
    n_below = int((values < own).sum())
    margin = 0.03 * (edges[-1] - edges[0])
    return Figure(
        panels=(
            Panel(
                x=Axis(title=EFFECT_AXIS, limits=(float(edges[0]), float(edges[-1] + 8 * margin))),
                y=Axis(title="Random genes (number)", limits=(0.0, 1.25 * max(int(counts.max()), 1)), grid=True),
                marks=tuple(marks),
            ),
        ),
        title=_null_title(row, n_below, len(values)),
        caption=f"Mean effects over the cells of the group, of {grouped_number(len(values))} random genes matched for "
        f"detection and rank and of {one_line(edit)}, all estimated in one way (on n = "
        f"{grouped_number(row['null_n_cells'])} cells that hold the gene, times the share of such cells).",
        caveat=_CAVEAT,
        height_mm=75.0,
        legend="below",
    )


def _null_title(row: "pd.Series[Any]", n_below: int, n_null: int) -> str:
    start = f"{one_line(row['edit'], longest=30)} in {one_line(row['group'], longest=30)}"
    if pd.isna(row["z"]):
        return f"{start}: not tested ({one_line(row['status'])})"
    return (
        f"{start} moves the cells more than {grouped_number(n_below)} of {grouped_number(n_null)} random genes "
        f"(z\u00a0=\u00a0{plain_number(row['z'])}, empirical p\u00a0=\u00a0{plain_number(row['p_empirical'])})"
    )
