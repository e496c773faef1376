"""What a screen of genes estimates and what it shows, in words that a reader can repeat."""

from scfm_core.model import ModelSpec


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
