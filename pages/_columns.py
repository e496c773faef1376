"""How tables are headed and how their numbers are written."""

import pandas as pd
import streamlit as st

_number = st.column_config.NumberColumn
PERCENT = "%.3g %%"
_text = st.column_config.TextColumn

MARKER_COLUMNS = {
    "group": _text("Group"),
    "symbol": _text("Gene"),
    "log2_fold_change": _number(
        "log2 fold change", format="%.3g", help="Of the mean counts per 10,000, with 1 added to both."
    ),
    "share_in": _number("Held in", format=PERCENT, help="Share of the group's cells that hold the gene."),
    "share_out": _number("Held out", format=PERCENT, help="Share of the compared cells that hold the gene."),
    "p_adjusted": _number("Adjusted p", format="%.2g", help="Benjamini-Hochberg over the genes of the group. 0: "
                          "smaller than a computer can write, about 1e-308."),  # fmt: skip
    "score": _number("Score", format="%.3g", help="z of the rank sum, or t: the table is sorted by it."),
    "mean_in": _number("Mean in", format="%.3g", help="Counts per 10,000, mean over the group."),
    "mean_out": _number("Mean out", format="%.3g", help="Counts per 10,000, mean over the compared cells."),
    "n_in": _number("n in", help="Cells of the group."),
    "n_out": _number("n out", help="Cells compared with."),
    "gene_id": _text("Gene id"),
}

_EVIDENCE = {
    "null_mean": _number("Random genes, mean", format="%.3g", help="The same for random genes that as many of these "
                         "cells hold at a like rank."),  # fmt: skip
    "z": _number("z", format="%.3g", help="How many standard deviations of the random genes it lies above them."),
    "p_empirical": _number("p over cells", format="%.2g", help="Share of the random genes that do as much, the tested "
                           "gene counted in."),  # fmt: skip
    "p_donors": _number("p over donors", format="%.2g", help="Paired t-test over donor means, the tested gene minus "
                        "the donor's mean over the random genes. Empty without donors."),  # fmt: skip
    "p": _number("p", format="%.2g", help="The larger one of the two; over cells alone where there are no donors."),
    "p_adjusted": _number("Adjusted p", format="%.2g", help="Benjamini-Hochberg over all rows of the run."),
    "evidence": _text("Replicates", help="donors, or cells: then p is exploratory."),
    "n_donors": _number("Donors"),
    "donors_agree": _number("of them agree", help="Donors in which the gene does more than the mean random gene."),
    "n_null": _number("Random genes"),
}

EFFECT_COLUMNS = {
    "model": _text("Model"),
    "edit": _text("Edited"),
    "group": _text("Cells"),
    "verdict": _text("Beside random genes"),
    "effect": _number("Effect", format="%.3g", help="Mean over the cells that hold the gene of 1 - cosine between a "
                      "cell's vector before and after. 0: nothing moves."),  # fmt: skip
    "ci_low": _number("95 % from", format="%.3g", help="Bootstrap interval of the effect."),
    "ci_high": _number("to", format="%.3g"),
    "ci_over": _text("over"),
    **_EVIDENCE,
    "p_low": _number("p from", format="%.2g", help="p could lie between these two had other cells been drawn for the "
                     "comparison (95 %)."),  # fmt: skip
    "p_high": _number("p to", format="%.2g"),
    "n_cells": _number("n cells"),
    "n_holding": _number("n holding", help="Cells whose input the edit changes. All means are over these."),
    "share_holding": _number("Hold the gene", format=PERCENT, help="Share of the cells whose input the edit changes."),
    "share_switching": _number("Change type", format=PERCENT, help="Share of the holding cells whose 15 nearest "
                               "unperturbed cells are mostly of another type than before."),  # fmt: skip
    "switch_to": _text("mostly to"),
    "null_switching": _number("under random genes", format="%.3g", help="Mean share of cells that change type under "
                              "random genes."),  # fmt: skip
    "null_n_cells": _number("Cells compared", help="On how many cells that hold it each gene was compared."),
    "match_quality": _text("Match", help="How alike the random genes are in abundance: close, one-sided or loose."),
    "gene_ids": _text("Gene ids"),
}

SHIFT_COLUMNS = {
    "model": _text("Model"),
    "edit": _text("Edited"),
    "group": _text("Cells"),
    "state": _text("State"),
    "role": _text("Role"),
    "shift": _number("Shift", format="%.3g", help="Mean over the holding cells of the cosine with the mean vector of "
                     "the state, after minus before. Above 0: toward it."),  # fmt: skip
    "ci_low": _number("95 % from", format="%.3g"),
    "ci_high": _number("to", format="%.3g"),
    "share_toward": _number("Cells that come closer", format=PERCENT),
    **_EVIDENCE,
    "n_cells": _number("n holding"),
}

DONOR_COLUMNS = {
    "donor": _text("Donor"),
    "effect": _number("Effect", format="%.3g", help="Mean of 1 - cosine over this donor's holding cells."),
    "null_mean": _number("Random genes, mean", format="%.3g", help="In the same donor."),
    "above": st.column_config.CheckboxColumn("More than random"),
    "n_holding": _number("n holding"),
    "n_cells": _number("n cells"),
}

CONTROL_COLUMNS = {
    "kind": _text("Control"),
    "symbol": _text("Gene"),
    "expected": _text("Expected"),
    "passed": _text("Came out"),
    "effect": _number("Effect", format="%.3g"),
    "null_mean": _number("Compared with, mean", format="%.3g"),
    "z": _number("z", format="%.3g"),
    "p_empirical": _number("p", format="%.2g"),
    "n_holding": _number("n holding"),
    "n_cells": _number("n cells"),
    "n_null": _number("Random edits"),
    "reason": _text("Why", width="large"),
}

GROUP_COLUMNS = {
    "group": _text("Cells"),
    "asked": st.column_config.CheckboxColumn("Asked about"),
    "effect": _number("Effect", format="%.3g"),
    "typical": _number("Random gene, median", format="%.3g", help="Of random genes in the same cells."),
    "times_typical": _number("Times a random gene", format="%.3g"),
    "n_holding": _number("n holding"),
}

BASELINE_COLUMNS = {
    "group": _text("Cells"),
    "kind": _text("Edit"),
    "explained_identity": _number("Expression and detection", format="%.2g", help="Share of the variance of the "
                                  "model's ranking, cross-validated. At or below 0: nothing."),  # fmt: skip
    "explained_pca": _number("PCA", format="%.2g"),
    "explained_together": _number("Both", format="%.2g"),
    "ci_low": _number("95 % from", format="%.2g"),
    "ci_high": _number("to", format="%.2g"),
    "n_genes": _number("Genes"),
}

SWITCH_COLUMNS = {
    "label_before": _text("Before"),
    "label_after": _text("After"),
    "n_cells": _number("n cells", help="Of the cells that hold the gene."),
}

FOLLOWER_COLUMNS = {
    "symbol": _text("Gene"),
    "specific_z": _number("z", format="%.3g", help="Standard deviations above what the gene does under random edits."),
    "mean_shift": _number("Mean shift", format="%.3g", help="Mean of 1 - cosine of the gene's vector in its cell."),
    "random_mean": _number("Under random edits", format="%.3g"),
    "p_empirical": _number("p", format="%.2g", help="One-sided, against the random edits. Not corrected."),
    "n_cells": _number("n cells", help="Cells in which the gene was measured."),
    "n_random": _number("Random edits"),
    "gene_id": _text("Gene id"),
}

ENRICHMENT_COLUMNS = {
    "term": _text("Gene set"),
    "overlap": _number("Hits in it"),
    "n_set": _number("Tested genes in it"),
    "odds_ratio": _number("Odds ratio", format="%.3g"),
    "p": _number("p", format="%.2g", help="One-sided hypergeometric test."),
    "p_adjusted": _number("Adjusted p", format="%.2g", help="Benjamini-Hochberg over all sets tested."),
    "genes": _text("Hits", width="large"),
}

PAIR_COLUMNS = {
    "edit_a": _text("First"),
    "edit_b": _text("Second"),
    "group": _text("Cells"),
    "kind_of": _text("Together"),
    "size_beyond": _number("Farther than the sum", format="%.3g", help="1 - cosine under both, less that of the two "
                           "single shifts added. Below 0: less far than the sum."),  # fmt: skip
    "ci_low": _number("95 % from", format="%.3g"),
    "ci_high": _number("to", format="%.3g"),
    "null_mean": _number("Random pairs, mean", format="%.3g"),
    "p_empirical": _number("p", format="%.2g", help="Two-sided, among random pairs of like abundance."),
    "p_adjusted": _number("Adjusted p", format="%.2g", help="Benjamini-Hochberg over all rows."),
    "vector_beyond": _number("Elsewhere than the sum", format="%.3g", help="Length of the joint shift less the two "
                             "single ones, over the sum of their lengths. 0: exactly the sum."),  # fmt: skip
    "vector_null_mean": _number("random pairs, mean", format="%.3g"),
    "vector_p_empirical": _number("its p", format="%.2g", help="One-sided, among random pairs of like abundance."),
    "vector_p_adjusted": _number("its adjusted p", format="%.2g"),
    "effect_a": _number("Effect of the first", format="%.3g"),
    "effect_b": _number("of the second", format="%.3g"),
    "effect_both": _number("of both", format="%.3g"),
    "effect_added": _number("of the sum", format="%.3g", help="1 - cosine after the two single shifts, added."),
    "n_measured": _number("n cells", help="Cells that hold both genes and were measured."),
    "n_holding_both": _number("n holding both"),
    "n_null": _number("Random pairs"),
    "match_quality": _text("Match"),
    "reason": _text("Why", width="large"),
}


_SCORES = {
    "auroc": _number("AUROC", format="%.3f", help="The chance that a gene that truly changes ranks above one that does "
                     "not. 0.5: chance, 1: perfect."),  # fmt: skip
    "auroc_low": _number("95 % from", format="%.3f"),
    "auroc_high": _number("to", format="%.3f"),
    "spearman": _number("Rank correlation", format="%.3f", help="With the absolute log2 fold change. 0: chance."),
    "spearman_low": _number("95 % from", format="%.3f"),
    "spearman_high": _number("to", format="%.3f"),
}

TRUTH_COLUMNS = {"method": _text("Method"), "n_targets": _number("Knock-outs"), **_SCORES}

TARGET_COLUMNS = {
    "symbol": _text("Knocked out"),
    "method": _text("Method"),
    **_SCORES,
    "n_changed": _number("Genes that change"),
    "n_genes": _number("Genes scored"),
    "n_cells": _number("n cells", help="Unperturbed cells in which the model deleted it."),
}


def in_percent(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose shares are written as per cent: columns whose names begin with "share", in any case."""
    shares = [name for name in table if str(name).lower().startswith("share")]
    return table.assign(**{name: 100 * table[name] for name in shares})


def percent_columns(table: pd.DataFrame) -> dict[str, object]:
    """Return how the shares of a table without other formats are written."""
    return {str(name): _number(format=PERCENT) for name in table if str(name).lower().startswith("share")}
