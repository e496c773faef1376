"""How much of a model's ranking of genes the baselines foretell: expected against model percentile of each gene."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.edit_words import BLUE, EDIT_CAVEAT, RED
from scfm_core.plots.figure import (
    INK,
    MUTED,
    NO_VALUE,
    Axis,
    Figure,
    Line,
    Mark,
    Panel,
    Points,
    Solid,
    Symbol,
    grouped_number,
    one_line,
    plain_number,
)
from scfm_core.plots.labels import name_points

if TYPE_CHECKING:
    from scfm_core.analyses.explain_by_baselines import BaselineExplanation

_LIMITS = (-4.0, 104.0)
_N_NAMED = 14
_VERDICTS: tuple[tuple[bool | None, str, str, Symbol], ...] = (
    (True, "asked, explained by the baselines", BLUE, "circle"),
    (False, "asked, not explained", RED, "diamond"),
    (None, "asked, cannot tell", MUTED, "square"),
)


def baseline_scatter(explanation: "BaselineExplanation", group: str, *, kind: str = "") -> Figure:
    """Draw the percentile that the baselines expect of each gene against the one that the model gives it.

    Parameters
    ----------
    explanation
        Answer of `ExplainByBaselines`.
    group
        Which group.
    kind
        Which kind of edit, by the column ``kind``; the first one where empty.

    Raises
    ------
    RequestError
        If there is no such group or kind, or too few genes to expect anything.
    """
    genes, summary = (_of_group(table, group, kind) for table in (explanation.genes, explanation.summary))
    genes = genes[genes["expected"].notna() & genes["model_percentile"].notna()].reset_index(drop=True)
    if genes.empty or summary.empty:
        msg = f"Too few genes were measured in group {group!r} for the baselines to expect anything. Ask for more."
        raise RequestError(msg, "too-few-genes")
    tested = genes["tested"].to_numpy(dtype=bool)
    x, y = (genes[name].to_numpy(dtype=np.float64) for name in ("expected", "model_percentile"))
    words = tuple(_hover(row) for _, row in genes.iterrows())
    ends = np.array([0.0, 100.0])
    marks: list[Mark] = [Line(x=ends, y=ends, colour=MUTED, dash="dash", label="model = expected")]
    marks.append(
        Points(
            x=x[~tested],
            y=y[~tested],
            colour=Solid(NO_VALUE),
            size=6.0,
            opacity=0.75,
            hover=tuple(words[place] for place in np.flatnonzero(~tested)),
            label=f"random genes (n = {grouped_number((~tested).sum())})",
        )
    )
    verdicts = _verdicts(explanation.edits, genes, group)
    for verdict, label, colour, symbol in _VERDICTS:
        chosen = tested & np.array([found is verdict for found in verdicts])
        if chosen.any():
            marks.append(
                Points(
                    x=x[chosen],
                    y=y[chosen],
                    colour=Solid(colour),
                    size=10.0,
                    symbol=symbol,
                    outline=INK,
                    hover=tuple(words[place] for place in np.flatnonzero(chosen)),
                    label=f"{label} (n = {grouped_number(chosen.sum())})",
                )
            )
    names = [one_line(symbol, longest=18) for symbol in genes.loc[tested, "symbol"]]
    # random genes are no obstacle: every asked gene is named, on a patch where it stands on grey points
    everyone, limits = np.ones(len(names), dtype=bool), (_LIMITS, _LIMITS)
    labels = name_points(names, x[tested], y[tested], chosen=everyone, limits=limits, n_labels=_N_NAMED)
    labels = [replace(label, backed=True) for label in labels]
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Expected by the baselines (percentile of the effect)", limits=_LIMITS, grid=True),
                y=Axis(title="Model (percentile of the effect)", limits=_LIMITS, grid=True),
                marks=(*marks, *labels),
            ),
        ),
        title=_title(summary.iloc[0], group),
        caption=_caption(summary.iloc[0]),
        caveat=f"{EDIT_CAVEAT} What the baselines explain can still be true; it only needs no such model.",
        height_mm=100.0,
        legend="below",
    )


def _of_group(table: pd.DataFrame, group: str, kind: str) -> pd.DataFrame:
    rows = table[table["group"].astype(str) == str(group)]
    if "kind" in rows and len(rows):
        rows = rows[rows["kind"] == (kind or rows["kind"].iloc[0])]
    return rows.reset_index(drop=True)


def _verdicts(edits: pd.DataFrame, genes: pd.DataFrame, group: str) -> list[bool | None]:
    """Return for each gene whether the baselines explain it, found by its percentile, which its edit shares."""
    rows = edits[edits["group"].astype(str) == str(group)]
    ranked = {(row["model_percentile"], row["expected_percentile"]): row["explained"] for _, row in rows.iterrows()}
    found = [ranked.get(pair) for pair in zip(genes["model_percentile"], genes["expected"], strict=True)]
    return [None if verdict is None or pd.isna(verdict) else bool(verdict) for verdict in found]


def _hover(row: "pd.Series[Any]") -> str:
    return (
        f"{one_line(row['symbol'])}\nmodel: percentile {plain_number(row['model_percentile'])}, effect "
        f"{plain_number(row['model_effect'])}\nexpected: percentile {plain_number(row['expected'])}\n"
        f"held by {100 * row['detection']:.3g} % of cells, effect under PCA {plain_number(row['pca_effect'])}"
    )


def _share(value: float) -> str:
    return "not defined" if np.isnan(value) else f"{100 * max(value, 0.0):.3g} %"


def _title(row: "pd.Series[Any]", group: str) -> str:
    low, high = (_share(float(row[name])) for name in ("ci_low", "ci_high"))
    return (
        f"Simple baselines foretell {_share(float(row['explained_together']))} of the model's ranking of genes in "
        f"{one_line(group, longest=30)} (95 % interval {low} to {high}, n\u00a0=\u00a0"
        f"{grouped_number(row['n_genes'])} genes)"
    )


def _caption(row: "pd.Series[Any]") -> str:
    pca = float(row["explained_pca"])
    by_pca = "" if np.isnan(pca) else f", the same edit under PCA alone {_share(pca)}"
    return (
        "Each point is one gene: its place among the genes by the model's effect, against the place that abundance, "
        "rank and PCA foretell, by a fit that has not seen the gene. Abundance and rank alone foretell "
        f"{_share(float(row['explained_identity']))} of the variance of the ranks{by_pca}. Genes above the dashed line "
        "move the cells more than the baselines expect."
    )
