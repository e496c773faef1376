"""Rank-value tokens as one would write them for a single cell, without arrays."""


def plain_tokens(counts: dict[str, int], total: float, medians: dict[str, float], max_tokens: int) -> list[str]:
    """Return the genes of one cell, strongest first; equal values in the order of ``medians``."""
    places = {gene: place for place, gene in enumerate(medians)}
    held = [(-(count / total * 10_000.0 / medians[gene]), places[gene], gene)
            for gene, count in counts.items() if count and gene in medians]
    return [gene for _, _, gene in sorted(held)][:max_tokens]
