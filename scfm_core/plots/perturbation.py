"""Figures of a gene perturbation: the effects beside their null, and the null itself."""

from typing import TYPE_CHECKING

from scfm_core.plots.figure import Figure

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbationEffects


def effect_bars(effects: "PerturbationEffects") -> Figure:
    """Draw the effect of each edit in each group with its interval, beside the null of matched random genes."""
    raise NotImplementedError


def null_histogram(effects: "PerturbationEffects", edit: str, group: str) -> Figure:
    """Draw the effects of the random genes with the tested gene's effect as a line; z and p in the title."""
    raise NotImplementedError
