"""Small results of edits, for the tests of their figures."""

import numpy as np
import pandas as pd

from scfm_core.analyses.enrich_genes import Enrichment
from scfm_core.analyses.explain_by_baselines import BaselineExplanation
from scfm_core.analyses.perturb_genes import PerturbationEffects
from scfm_core.analyses.perturb_pairs import PairInteractions
from scfm_core.analyses.run_controls import Controls

STATES = ("healthy", "NK")
NAN = float("nan")


def perturbation() -> PerturbationEffects:
    """Three deletions in one group: tested, rarely held, and held by no cell."""
    random = np.random.default_rng(5)
    rows, null = [], []
    for edit, held, status in (("LYZ", 0.9, "tested"), ("CD3D", 0.05, "rarely held"), ("XIST", 0.0, "not held")):
        drawn = random.gamma(4, 0.001, 100) if held else np.empty(0)
        null += [
            {"edit": edit, "group": "NK", "null_edit": f"G{n}", "null_effect": drawn[n]} for n in range(len(drawn))
        ]
        row = {"edit": edit, "kind": "delete", "gene_ids": "ENSG1", "group": "NK", "n_cells": 161, "status": status}
        row |= {"n_holding": round(161 * held), "share_holding": held, "n_expressing": round(161 * held)}
        row |= dict.fromkeys(("effect", "ci_low", "ci_high", "null_effect", "z", "p_empirical", "p_low", "p_high"), NAN)
        row |= {"null_mean": NAN, "null_sd": NAN, "p_donors": NAN, "p": NAN, "p_adjusted": NAN, "share_switching": NAN}
        row |= {"ci_over": "donors" if status == "tested" else "cells", "n_null": len(drawn), "switch_to": ""}
        row |= {"null_n_cells": 16 if held else 0, "n_donors": 4 if status == "tested" else 0, "donors_agree": 3}
        row |= {"evidence": "donors" if status == "tested" else "cells", "match_quality": "one-sided"}
        row |= {"n_switching": 0, "null_switching": NAN, "p_switching": NAN, "match_distance": 0.02}
        if held:
            row |= {"effect": 0.0112 * held, "ci_low": 0.0099 * held, "ci_high": 0.0129 * held, "null_effect": 0.0101}
            row |= {"null_mean": drawn.mean(), "null_sd": drawn.std(ddof=1), "z": 3.2, "p_empirical": 0.0099}
            row |= {"p_low": 0.0099, "p_high": 0.0396, "p_donors": 0.012, "p": 0.012, "p_adjusted": 0.0198}
            row |= {"share_switching": 0.0828, "switch_to": "CD8 T cell", "n_switching": round(161 * held * 0.083)}
            row |= {"null_switching": 0.021, "p_switching": 0.0198}
        rows.append(row)
    return _effects(pd.DataFrame(rows), pd.DataFrame(null))


def _effects(effects: pd.DataFrame, null: pd.DataFrame) -> PerturbationEffects:
    return PerturbationEffects(
        effects=effects,
        shifts=shift_table(40),
        donors=donor_table(),
        switches=switch_table(),
        cells=pd.DataFrame(),
        null=null,
        landing_before=np.zeros((0, 15), np.int32),
        landing_after=np.zeros((3, 0, 15), np.int32),
        chosen=np.zeros(0, np.int64),
        edits=tuple(effects["edit"]),
        states=STATES,
        identity_by="cell type",
        noise_floor=1e-12,
        n_passes=0,
    )


def many_edits(n_edits: int = 60) -> PerturbationEffects:
    """More edits than a figure draws, of all kinds, with long names."""
    base = perturbation()
    rows = pd.concat([base.effects.iloc[:1]] * n_edits, ignore_index=True)
    rows["edit"] = [f"overexpress LONGGENE{place}" for place in range(n_edits)]
    rows["kind"], rows["group"] = "overexpress", "CD14+ monocyte of the lamina propria"
    rows["effect"] = np.linspace(0.02, 0.001, n_edits)
    rows["ci_low"], rows["ci_high"], rows["evidence"] = rows["effect"] * 0.9, rows["effect"] * 1.2, "cells"
    null = pd.concat([base.null[base.null["edit"] == "LYZ"].assign(edit=edit) for edit in rows["edit"]])
    return _effects(rows, null.assign(group=rows["group"].iloc[0]))


def shift_table(n_edits: int) -> pd.DataFrame:
    """Shifts of ``n_edits`` edits toward two states; the first eight strong, every ninth not tested, one not held."""
    from scipy.stats import false_discovery_control

    random = np.random.default_rng(9)
    table = pd.DataFrame(
        {"edit": [*("LYZ", "CD3D", "XIST"), *(f"GENE{place}" for place in range(3, n_edits))] * 2, "group": "NK"}
    )
    table["state"], table["role"] = np.repeat(STATES, n_edits), np.repeat(["goal", "alternative"], n_edits)
    strength = np.where(np.arange(2 * n_edits) % n_edits < 8, 6.0, 1.0)
    table["shift"] = random.normal(0, 1e-3, 2 * n_edits) * strength
    table["ci_low"], table["ci_high"], table["ci_over"] = table["shift"] - 5e-4, table["shift"] + 5e-4, "cells"
    table["n_cells"], table["share_toward"], table["n_null"] = 145, 0.6, 1000
    table["p"] = np.maximum(np.minimum(1.0, 10.0 ** -(600 * table["shift"].abs() + random.random(2 * n_edits))), 1e-3)
    table.loc[table.index % 9 == 5, "p"] = np.nan
    table.loc[2, ["shift", "p"]] = np.nan
    table["p_empirical"], table["p_donors"], table["n_donors"], table["donors_agree"] = table["p"], NAN, 0, 0
    known = table["p"].notna()
    table.loc[known, "p_adjusted"] = false_discovery_control(table.loc[known, "p"])
    return table.assign(evidence="cells", z=2.0, null_effect=0.0, null_mean=0.0, null_sd=1e-3)


def donor_table() -> pd.DataFrame:
    donors = ["donor 10", "donor 2", "donor 3", "donor 4", "donor 5"]
    table = pd.DataFrame({"edit": "LYZ", "group": "NK", "donor": donors, "n_cells": [40, 40, 40, 38, 3]})
    table["n_holding"] = [36, 38, 35, 35, 1]
    table["effect"], table["null_mean"] = [0.011, 0.014, 0.0035, 0.009, NAN], [0.004, 0.0045, 0.004, 0.0038, NAN]
    table["above"] = table["effect"] > table["null_mean"]
    table["shift:healthy"], table["shift:NK"] = [0.002, 0.0011, -0.0004, 0.0031, NAN], 0.001
    return table


def switch_table() -> pd.DataFrame:
    rows = [("NK", "NK", 118), ("NK", "CD8 T cell", 9), ("NK", "plasmacytoid dendritic cell", 1)]
    rows += [("CD8 T cell", "CD8 T cell", 14), ("CD8 T cell", "NK", 2), ("B", "B", 1)]
    table = pd.DataFrame(rows, columns=["label_before", "label_after", "n_cells"])
    return table.assign(edit="LYZ", group="NK")


def many_switches(n_labels: int = 20) -> PerturbationEffects:
    """More labels than a switch diagram draws."""
    from dataclasses import replace

    names = [f"type {place} of the blood" for place in range(n_labels)]
    rows = [(name, name, 3 * place + 1) for place, name in enumerate(names)]
    rows += [(name, names[(3 * place + 1) % n_labels], place + 1) for place, name in enumerate(names)]
    table = pd.DataFrame(rows, columns=["label_before", "label_after", "n_cells"])
    base = perturbation()
    row = base.effects.iloc[[0]].assign(n_holding=int(table["n_cells"].sum()), n_switching=210, share_switching=0.26)
    return replace(base, switches=table.assign(edit="LYZ", group="NK"), effects=row)


def followers(n_edits: int = 3, n_genes: int = 40) -> pd.DataFrame:
    """Genes that follow edits, some of them several; the last one has no z."""
    random = np.random.default_rng(11)
    table = pd.concat(
        [
            pd.DataFrame({"edit": f"HUB{edit}", "symbol": [f"GENE{edit * 9 + place}" for place in range(n_genes)]})
            for edit in range(n_edits)
        ],
        ignore_index=True,
    )
    table["gene_id"] = "ENSG_" + table["symbol"]
    table["group"], table["n_cells"], table["n_random"] = "NK", 60, 20
    table["mean_shift"] = random.gamma(2, 0.002, len(table))
    table["random_mean"], table["random_sd"] = 0.002, 0.0005
    table["specific_z"] = random.gamma(2, 2.0, len(table))
    table.loc[table.index[-1], "specific_z"] = np.nan
    return table.assign(p_empirical=0.0476).sort_values(["edit", "specific_z"], ascending=[True, False])


def pairs(n_genes: int = 6) -> PairInteractions:
    """Pairs of genes, one of them held together by no cell."""
    random = np.random.default_rng(12)
    names = ["GATA4", "MEF2C", "TBX5", "HAND2", "NKX2-5", "ISL1", *(f"LONGGENE{n}" for n in range(15))][:n_genes]
    rows = [
        {"edit_a": a, "edit_b": b, "group": "NK"} for place, a in enumerate(names) for b in names[place + 1 :]
    ]
    table = pd.DataFrame(rows)
    table["n_holding_both"] = random.integers(20, 200, len(table))
    table["effect_a"], table["effect_b"], table["effect_both"] = 0.004, 0.006, 0.011
    table["size_beyond"] = random.normal(0, 0.002, len(table))
    table["vector_beyond"] = random.beta(2, 6, len(table))
    table["p_adjusted"] = np.where(np.arange(len(table)) % 5 == 0, 0.01, 0.4)
    table["vector_p_adjusted"] = np.where(np.arange(len(table)) % 4 == 0, 0.01, 0.4)
    table["n_null"], table["vector_n_null"], table["kind_of"] = 30, 30, "like random pairs"
    table["null_mean"], table["vector_null_mean"] = -0.0004, 0.21
    table.loc[3, ["size_beyond", "vector_beyond", "p_adjusted", "vector_p_adjusted"]] = np.nan
    return PairInteractions(table, pd.DataFrame(), tuple(names), 1e-7, 0)


def controls() -> Controls:
    rows = [
        ("silent gene", "", "KRT5", 0.0, NAN, NAN, True, "No bit changed."),
        ("housekeeping gene", "", "GAPDH", 0.003, 0.0042, 0.0011, True, ""),
        ("housekeeping gene", "", "ACTB", 0.0081, 0.0042, 0.0011, False, "ACTB moves more than 95 % of random genes."),
        ("scrambled edit", "LYZ", "", 0.0101, 0.0046, 0.002, True, ""),
        ("top marker", "", "NKG7", NAN, NAN, NAN, None, "No chosen cell holds NKG7."),
    ]
    names = ["kind", "edit", "symbol", "effect", "null_mean", "null_sd", "passed", "reason"]
    table = pd.DataFrame(rows, columns=names)
    table["passed"] = pd.Series([row[6] for row in rows], dtype=object)
    table["z"] = (table["effect"] - table["null_mean"]) / table["null_sd"]
    table["gene_id"] = np.where(table["symbol"] == "", "", "ENSG_" + table["symbol"])
    table = table.assign(group="NK", n_cells=161, n_holding=120, n_null=20, p_empirical=0.05, expected="as expected")
    return Controls(table, 0)


def explanation(n_genes: int = 90) -> BaselineExplanation:
    random = np.random.default_rng(13)
    expected = random.uniform(2, 98, n_genes)
    genes = pd.DataFrame({"symbol": [f"GENE{place}" for place in range(n_genes)], "expected": expected})
    genes["model_percentile"] = np.clip(expected + random.normal(0, 12, n_genes), 0, 100)
    genes["tested"] = np.arange(n_genes) < 4
    genes.loc[:3, "symbol"] = ["LYZ", "CD3D", "NKG7", "GNLY"]
    genes.loc[1, ["expected", "model_percentile"]] = [35.0, 96.0]
    genes["model_effect"], genes["pca_effect"], genes["detection"] = 0.004, 0.01, 0.5
    genes = genes.assign(group="NK", kind="delete gene", gene_id="ENSG1", mean_expression=1.0, mean_rank=30.0)
    edits = genes[genes["tested"]].rename(columns={"symbol": "edit", "expected": "expected_percentile"})
    edits = edits[["edit", "group", "model_percentile", "expected_percentile"]].assign(residual_z=0.1, in_words="")
    edits["explained"] = pd.Series([True, False, True, None], dtype=object)
    summary = {"group": "NK", "kind": "delete gene", "n_genes": n_genes, "explained_identity": 0.61}
    summary |= {"explained_pca": 0.32, "explained_together": 0.683, "ci_low": 0.55, "ci_high": 0.77}
    return BaselineExplanation(genes, pd.DataFrame([summary]), edits, 0)


def enrichment(n_sets: int = 30) -> Enrichment:
    random = np.random.default_rng(14)
    p = np.sort(10.0 ** -random.gamma(1, 2.0, n_sets))
    table = pd.DataFrame({"term": [f"GO_{place} response to something of the cell" for place in range(n_sets)]})
    table["overlap"], table["n_set"] = random.integers(1, 9, n_sets), random.integers(10, 80, n_sets)
    table.loc[n_sets - 1, "overlap"] = 0
    table["n_hits"], table["n_universe"], table["odds_ratio"] = 40, 1800, random.gamma(3, 2, n_sets)
    table["p"], table["p_adjusted"], table["genes"] = p, np.minimum(1.0, p * 8), "LYZ;CD3D;NKG7"
    return Enrichment(table, "Hallmarks", "a file", 12, ("Only 40 hits.",))


def validation() -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(15)
    methods = {"model, deletion": 0.7, "PCA, deletion": 0.62, "mean expression": 0.55, "random genes": 0.5}
    targets = pd.concat(
        [
            pd.DataFrame({"method": name, "target": [f"T{n}" for n in range(20)], "auroc": random.normal(at, 0.1, 20)})
            for name, at in methods.items()
        ],
        ignore_index=True,
    )
    targets["spearman"] = 1.6 * (targets["auroc"] - 0.5) + random.normal(0, 0.05, len(targets))
    grouped = targets.groupby("method", sort=False)
    table = grouped[["auroc", "spearman"]].mean()
    for measure in ("auroc", "spearman"):
        half = 1.96 * grouped[measure].std() / np.sqrt(20)
        table[f"{measure}_low"], table[f"{measure}_high"] = table[measure] - half, table[measure] + half
    return table.reset_index().assign(n_targets=20), targets
