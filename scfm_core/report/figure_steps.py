"""The lines of a script that draw the figure of an answer, by the class of its question."""

from collections.abc import Mapping, Sequence
from typing import Any

from scfm_core.dataset import Dataset
from scfm_core.request import Request

_PLOTS = "scfm_core.plots"
_ONE_CALL: Mapping[str, tuple[str, str, str]] = {
    "EnrichGenes": ("enrichment", "enrichment_bars", "{answer}"),
    "PerturbGenes": ("perturbation", "effect_bars", "{answer}"),
    "PerturbPairs": ("pair_matrix", "pair_matrix", '{answer}, {answer}.table["group"].iloc[0]'),
    "ScreenGenes": ("gene_screen", "first_genes", "{answer}"),
    "ScreenExactly": ("gene_screen", "first_genes", "{answer}"),
    "ReadAttention": ("attention", "attention_map", "{answer}"),
    "ValidateOnCrispr": ("validation", "validation_bars", "{answer}.summary, {answer}.table"),
    "ValidateOnSimulation": ("validation", "validation_bars", "{answer}.summary, {answer}.table"),
    "SummariseGroups": ("dot_plot", "dot_plot", "{answer}"),
    "CompareModels": (
        "report_card", "report_card", '{answer}.table, ("avg_bio", "avg_batch", "mean_biology", "mean_batch")'
    ),
    "DescribeBatches": ("report_card_batches", "variance_by_column", '{answer}.explained, model="PCA"'),
    "FindMarkers": ("volcano", "volcano", '{answer}.table, {answer}.table["group"].iloc[0]'),
}


def figure_lines(
    request: Request[Any], answer: str, others: Mapping[str, Request[Any]], dataset: Dataset | None
) -> tuple[Sequence[str], Sequence[str]]:
    """Return imports, and lines that end with a variable ``figure``; nothing where a question has no figure.

    Parameters
    ----------
    answer
        The variable that holds the answer.
    others
        Variables that hold other answers of the script, and what they answer.
    """
    kind = type(request).__name__
    if kind in _ONE_CALL:
        module, function, arguments = _ONE_CALL[kind]
        call = f"figure = {function}({arguments.format(answer=answer)})"
        return [f"from {_PLOTS}.{module} import {function}"], [call]
    if kind == "MeasureQuality":
        imports = [
            f"from {_PLOTS}.quality import quality_scatter",
            "from scfm_core.analyses.measure_quality import suggest_thresholds",
        ]
        return imports, [f"figure = quality_scatter({answer}.table, suggest_thresholds({answer}.table))"]
    if kind == "ProjectCells" and dataset is not None:
        return _map_lines(request, answer, others, dataset)
    return [], []


def _map_lines(
    request: Any, answer: str, others: Mapping[str, Request[Any]], dataset: Dataset
) -> tuple[Sequence[str], Sequence[str]]:
    """Colour the map by clusters of the same vectors where they were asked for, else by the column of cell types."""
    imports = ["import pandas as pd", f"from {_PLOTS}.cell_map import cell_map"]
    clusters = next(
        (
            name
            for name, other in others.items()
            if type(other).__name__ == "ClusterCells" and getattr(other, "embedding", None) == request.embedding
        ),
        None,
    )
    column = dataset.roles.get("cell_type")
    if clusters is not None:
        labels, name = f"{clusters}.labels.astype(str)", "cluster"
    elif column is not None:
        labels, name = f"dataset.cells()[{column!r}].astype(str).to_numpy()", str(column)
    else:
        labels, name = '["cell"] * dataset.n_cells', "all cells"
    if request.n_dimensions == 3:
        return ["import pandas as pd", f"from {_PLOTS}.cell_map_3d import cell_map_3d, flat_views"], [
            f"colour = pd.Series({labels}, name={name!r}, dtype=\"category\")",
            f"figure = flat_views(cell_map_3d({answer}.coordinates, colour, method={request.method!r}))",
        ]
    return imports, [
        f"colour = pd.Series({labels}, name={name!r}, dtype=\"category\")",
        f"figure = cell_map({answer}.coordinates, colour, method={request.method!r})",
    ]
