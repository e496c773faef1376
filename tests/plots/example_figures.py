"""One figure of every kind from small tables, for the tests that hold for all of them."""

import numpy as np
import pandas as pd

from scfm_core.analyses.compare_values import Spread
from scfm_core.analyses.compose_cells import COLUMNS, DONOR_COLUMNS, Composition
from scfm_core.analyses.measure_quality import Thresholds
from scfm_core.analyses.read_attention import Attention
from scfm_core.analyses.screen_genes import GeneScreen
from scfm_core.plots.arrow_field import with_arrow_field
from scfm_core.plots.attention import attention_map
from scfm_core.plots.baseline_share import baseline_scatter
from scfm_core.plots.cell_map import cell_map, with_arrows
from scfm_core.plots.composition import composition_bars
from scfm_core.plots.controls import controls_figure
from scfm_core.plots.donors import donor_effects
from scfm_core.plots.enrichment import enrichment_bars
from scfm_core.plots.figure import Figure
from scfm_core.plots.gene_network import gene_network
from scfm_core.plots.gene_screen import estimate_against_exact, first_genes, screen_volcano
from scfm_core.plots.goal_volcano import goal_volcano
from scfm_core.plots.pair_matrix import pair_matrix
from scfm_core.plots.perturbation import effect_bars, null_histogram
from scfm_core.plots.quality import quality_scatter, quality_violins
from scfm_core.plots.switches import switch_diagram
from scfm_core.plots.validation import validation_bars
from scfm_core.plots.value_spread import value_spread
from tests.plots import example_results as results
from tests.plots.card_figures import card_figures
from tests.plots.example_results import perturbation
from tests.plots.map_figures import map_figures
from tests.plots.marker_figures import marker_figures
from tests.plots.set_figures import set_figures

HOSTILE = ("<img src=x onerror=alert(1)>", "$\\frac{1}{2}$ & <b>bold</b>", "line\nbreak\x00 %{x}", "日本 \u202e")
N_CELLS = 90


def coordinates(n_cells: int = N_CELLS) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n_cells, 2)) * [3.0, 2.0]


def cell_types(n_cells: int = N_CELLS) -> pd.Series:
    return pd.Series([("B", "CD8 T", "NK")[place % 3] for place in range(n_cells)], name="cell type")


def expression(n_cells: int = N_CELLS) -> np.ndarray:
    counts = np.random.default_rng(2).poisson([0.3, 2.0, 5.0], size=(n_cells, 3))
    return np.log1p(counts).astype(np.float32)


def quality_table(n_cells: int = N_CELLS) -> pd.DataFrame:
    random = np.random.default_rng(3)
    counts = np.round(np.exp(random.normal(8, 0.4, n_cells)))
    columns = {
        "sample": pd.Categorical(np.where(np.arange(n_cells) % 2, "donor 10", "donor 2")),
        "total_counts": counts,
        "n_genes": np.round(counts**0.85),
        "mitochondrial_share": random.beta(2, 50, n_cells),
        "ribosomal_share": random.beta(5, 20, n_cells),
        "doublet_score": random.beta(2, 20, n_cells),
    }
    return pd.DataFrame(columns, index=[f"cell {place}" for place in range(n_cells)])


THRESHOLDS = Thresholds(
    min_counts=1500.0,
    max_counts=np.inf,
    min_genes=400.0,
    max_genes=4000.0,
    max_mitochondrial_share=0.08,
    max_doublet_score=0.3,
)


def attention(n_shown: int = 50, n_tokens: int = 60, n_heads: int = 2) -> Attention:
    random = np.random.default_rng(6)
    raised = np.exp(random.normal(0, 1.5, (n_heads, n_tokens, n_tokens)))
    weights = (raised / raised.sum(axis=2, keepdims=True)).astype(np.float32)
    received = weights.mean(axis=1, dtype=np.float64)
    shown = np.sort(np.argsort(-received.mean(axis=0))[:n_shown])
    symbols = ["<cls>", *(f"GENE{place}" for place in range(n_tokens - 2)), "<eos>"]
    return Attention(
        gene_ids=tuple(f"ENSG{place:011d}" for place in shown),
        symbols=tuple(symbols[place] for place in shown),
        positions=shown.astype(np.int32),
        weights=weights[:, shown][:, :, shown],
        received=received[:, shown],
        entropy_bits=-(weights * np.log2(weights)).sum(axis=2).mean(axis=1),
        n_tokens=n_tokens,
    )


def gene_screen(n_genes: int = 60) -> GeneScreen:
    random = np.random.default_rng(8)
    size = np.sort(random.gamma(3, 1e-5, n_genes))[::-1]
    goal = random.normal(0, 1e-3, n_genes)
    exact = np.where(np.arange(n_genes) < 20, 1.0, np.nan)
    table = pd.DataFrame({"gene_id": [f"ENSG{place:011d}" for place in range(n_genes)]})
    table["symbol"] = [*HOSTILE, *(f"GENE{place}" for place in range(n_genes - len(HOSTILE)))]
    table["n_cells"], table["share_holding"] = 30, 0.5
    table["size_estimate"], table["goal_estimate"] = size, goal
    table["rank"] = np.arange(1, n_genes + 1.0)
    table["goal_rank"] = table["goal_estimate"].rank(ascending=False)
    table["n_exact"] = np.where(np.isnan(exact), 0, 25)
    table["size_exact"], table["goal_exact"] = size * exact * random.normal(1, 0.05, n_genes), goal * exact
    random_p = np.clip(10.0 ** -(np.abs(goal) * 2500 + random.random(n_genes)), 1e-4, 1)
    for by in ("size", "goal"):
        table[f"{by}_p"] = np.where(np.arange(n_genes) % 11 == 10, np.nan, random_p)
        table[f"{by}_p_adjusted"] = np.minimum(1.0, table[f"{by}_p"] * 5)
        table[f"{by}_z"] = 2.0
    table["method"] = np.where(np.isnan(exact), "estimated", "exact")
    table["size_estimate_there"], table["goal_estimate_there"] = size * exact, goal * exact * 0.95
    return GeneScreen(
        table=table,
        n_cells=60,
        confirm_cells=25,
        goal="cell type=NK",
        n_goal_cells=40,
        size_agreement=0.93,
        goal_agreement=0.99,
        n_estimated=1800,
        n_passes=900,
        n_backward_passes=180,
    )


def composition(donors: str | None = None) -> Composition:
    kinds = np.repeat(["B", "T", "NK"], [40, 30, 30])
    people = np.tile(["Ada", "Ben"], 50)
    mask = np.arange(100) % 3 == 0
    frame = pd.DataFrame({"group": kinds, "donor": people, "inside": mask})

    def counted(rows: pd.DataFrame) -> pd.DataFrame:
        table = rows.groupby("group", sort=False)["inside"].agg(n_in="sum", n="count").reset_index()
        table["n_out"] = table["n"] - table["n_in"]
        return table.assign(
            share_in=table["n_in"] / table["n_in"].sum(),
            share_out=table["n_out"] / table["n_out"].sum(),
            share_of_group=table["n_in"] / table["n"],
            n_donor_in=table["n_in"].sum(),
            n_donor_out=table["n_out"].sum(),
        )

    per_donor = [counted(rows).assign(donor=name) for name, rows in frame.groupby("donor")] if donors else []
    empty = pd.DataFrame(columns=list(DONOR_COLUMNS))
    return Composition(counted(frame)[list(COLUMNS)], pd.concat(per_donor)[list(DONOR_COLUMNS)] if donors else empty)


def spread() -> Spread:
    rng = np.random.default_rng(0)
    parts = rng.normal(1.0, 1.0, 60), rng.normal(0.0, 1.0, 300)
    edges = np.histogram_bin_edges(np.concatenate(parts), 40)
    rows = [
        {"cells": name, "n": len(part), "n_missing": 2, "mean": part.mean(), "median": np.median(part)}
        for name, part in zip(("selection", "all other cells"), parts, strict=True)
    ]
    return Spread(pd.DataFrame(rows), edges, np.array([np.histogram(part, edges)[0] for part in parts]))


def every_figure() -> dict[str, Figure]:
    places, types, values = coordinates(), cell_types(), expression()
    lyz = pd.Series(values[:, 2], name="LYZ, ln(1 + counts per 10,000)")
    by_type = cell_map(
        places, types, hover=pd.DataFrame({"cell": types.index, "type": types}), selected=places[:, 0] > 0
    )
    return {
        "map of types": by_type,
        "map of a gene": cell_map(places, lyz, method="tsne"),
        "map with arrows": with_arrows(by_type, places[:20], places[:20] + 1.0),
        "hostile map": hostile_map(),
        "quality scatter": quality_scatter(quality_table(), THRESHOLDS),
        "quality violins": quality_violins(quality_table(), "total_counts", THRESHOLDS),
        "shares": quality_violins(quality_table(), "mitochondrial_share", THRESHOLDS),
        "effects": effect_bars(perturbation()),
        "null": null_histogram(perturbation(), "LYZ", "NK"),
        "first genes": first_genes(gene_screen()),
        "first genes toward a goal": first_genes(gene_screen(), by="goal", n_genes=8),
        "estimate and exact": estimate_against_exact(gene_screen()),
        "estimate and exact shift": estimate_against_exact(gene_screen(), by="goal"),
        "screen volcano": screen_volcano(gene_screen(200)),
        "screen volcano of sizes": screen_volcano(gene_screen(200), "size"),
        "composition": composition_bars(composition(), "selection", "all other cells", column="type"),
        "composition over donors": composition_bars(composition("donor"), "selection", "others", column="type"),
        "spread of values": value_spread(spread(), column="score"),
        "attention": attention_map(attention()),
        "attention of a head": attention_map(attention(12, 12), head=2, where="Layer 3, cell AAAC-1"),
    } | edit_figures() | marker_figures() | map_figures() | set_figures() | card_figures()


def edit_figures() -> dict[str, Figure]:
    effects, hubs = perturbation(), ("HUB0", "HUB1", "HUB2")
    table, targets = results.validation()
    places = coordinates(900)
    by_type = cell_map(places, cell_types(900))
    return {
        "many effects": effect_bars(results.many_edits()),
        "shifts": goal_volcano(effects, "healthy"),
        "arrow field": with_arrow_field(by_type, places, places + 0.1 * (np.array([[3.0, 1.0]]) - places)),
        "switches": switch_diagram(effects, "LYZ", "NK"),
        "many switches": switch_diagram(results.many_switches(), "LYZ", "NK"),
        "network": gene_network(results.followers(), hubs, "NK"),
        "network of one": gene_network(results.followers(1), hubs[:1], "NK", most=8),
        "large network": gene_network(results.followers(6), [f"HUB{n}" for n in range(6)], "NK", most=60),
        "pairs": pair_matrix(results.pairs(), "NK"),
        "sizes of pairs": pair_matrix(results.pairs(15), "NK", "size"),
        "donors": donor_effects(effects, "LYZ", "NK"),
        "shift of donors": donor_effects(effects, "LYZ", "NK", state="healthy"),
        "controls": controls_figure(results.controls(), effects.effects.iloc[0], "NK"),
        "baselines": baseline_scatter(results.explanation(), "NK"),
        "gene sets": enrichment_bars(results.enrichment()),
        "validation": validation_bars(table, targets),
    }


def hostile_map() -> Figure:
    labels = pd.Series([HOSTILE[place % 4] for place in range(N_CELLS)], name="<i>type</i> $x$")
    return cell_map(coordinates(), labels, hover=pd.DataFrame({"<b>": labels}), title="Cells of <b>x</b> at $y$")
