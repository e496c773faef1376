"""What a screen of genes estimates, what it shows and what that is worth, in words that a reader can repeat."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm_core.model import ModelSpec

if TYPE_CHECKING:
    from scfm_core.analyses.screen_genes import GeneScreen

_ALPHA = 0.05
_DOING = {
    "delete": "Deleting", "overexpress": "Raising", "inhibit": "Lowering", "activate": "Raising (by a quartile)",
}  # fmt: skip


def quality_in_words(model: ModelSpec) -> str:
    """Say what is estimated, what is exact, and what neither proves."""
    screen = model.screen
    if screen is None:
        return f"Deletions are not estimated with {model.title}: how well that works was not measured."
    trial = "random weights of its size, not the trained ones," if screen.random_weights else "its weights"
    return (
        "The estimate predicts, from a few passes per cell, how far deleting each gene alone would move the cell's "
        f"vector; in trials of {model.title} with {trial} its order of the genes agreed with exact deletions with a "
        f"Spearman correlation of {screen.size_spearman:.3f} (size) and {screen.goal_spearman:.3f} (shift toward a "
        "goal). The first genes are then deleted exactly, and only those values are the model's own answer. Neither is "
        "an experiment: a gene can stand out because the model reads it strongly, without any role in the cell."
    )


def treatment_in_words(screens: Sequence["GeneScreen"], *, start: str, n_genes: int = 3) -> tuple[str, ...]:
    """Say which genes, deleted or raised, would move start cells toward the goal in the model: in-silico treatment.

    Parameters
    ----------
    screens
        Of the same cells toward the same goal, one per kind of edit.
    start
        The cells, as a reader calls them: "monocytes".
    n_genes
        How many genes are named at most.

    Returns
    -------
    One sentence per gene, the best supported first, and one on what they are worth; or that no gene moves the cells
    toward the goal, or that there is no goal.
    """
    goal = next((screen.goal for screen in screens if screen.goal), "")
    if not goal:
        return ("No goal was named, so no gene can be said to move the cells toward one.",)
    rows = [_with_best(screen) for screen in screens if screen.goal == goal]
    table = pd.concat(rows, ignore_index=True)
    toward = table[table["goal_rank"].notna() & (table["best"] > 0)]
    beyond = (toward["goal_p_adjusted"] < _ALPHA) & (toward["goal_z"] > 0)  # p is two-sided: like genes may do more
    order = np.lexsort((-toward["best"].to_numpy(), ~beyond.to_numpy()))
    first = toward.iloc[order[:n_genes]]
    if first.empty:
        return (f"None of the {len(table):,} screened edits moves {start} toward {goal} in the model.",)
    found = int(beyond.sum())
    worth = (
        f"{found:,} of {len(table):,} screened edits move {start} toward {goal} more than like genes do (adjusted p "
        f"below {_ALPHA}). These are edits of the model's input, no treatment: they say where to look first."
    )
    return (*(_treatment(row, start, goal) for _, row in first.iterrows()), worth)


def calibration_in_words(screen: "GeneScreen") -> str:
    """Say with what each gene was compared, and what the p-values ask."""
    n_ranked = int(screen.table["rank"].notna().sum())
    if not screen.table["size_p"].notna().any():
        return f"{n_ranked:,} ranked genes are too few to compare each with genes of like abundance."
    others = "the screened genes"
    if screen.n_references:
        others = f"{screen.n_references:,} random genes, edited for this alone,"
    return (
        f"z and p compare each gene with those of {others} that are about as abundant: a small p says that a gene "
        f"stands out among its like, not that the others do nothing. Adjusted after Benjamini and Hochberg over the "
        f"{n_ranked:,} ranked genes. Cells, not donors, are compared: exploratory."
    )


def left_out_in_words(screen: "GeneScreen") -> str:
    """Say how many genes of the list stand in no row; empty where all do."""
    if not screen.n_left_out:
        return ""
    genes = "gene of the list is" if screen.n_left_out == 1 else "genes of the list are"
    return f"{screen.n_left_out:,} {genes} held by none of the chosen cells, or not read by the model."


def _with_best(screen: "GeneScreen") -> pd.DataFrame:
    """Return a screen's table with the best known shift toward the goal, exact before estimated, and the edit."""
    table = screen.table
    exact = table["n_exact"] > 0
    return table.assign(best=table["goal_exact"].where(exact, table["goal_estimate"]), edit=screen.edit)


def _treatment(row: pd.Series, start: str, goal: str) -> str:
    n_exact = int(row["n_exact"])
    how = f"exactly, mean over {n_exact:,} cells" if n_exact else f"estimated, mean over {int(row['n_cells']):,} cells"
    words = f"{_DOING[row['edit']]} {row['symbol']} moves {start} toward {goal}: cosine {row['best']:+.3g}, {how}"
    n_donors = row.get("n_donors", 0)
    if n_exact and n_donors:
        words += f"; {int(row['donors_agree'])} of {int(n_donors)} donors agree"
    p = row["goal_p_adjusted"]
    if np.isfinite(p):
        beyond = "no further than like genes do"
        if p < _ALPHA:
            beyond = "beyond what like genes do" if row["goal_z"] > 0 else "less far than like genes do"
        words += f"; {beyond} (z = {row['goal_z']:.3g}, adjusted p = {p:.2g})"
    return f"{words}."
