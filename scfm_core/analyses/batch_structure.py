"""How do batches show in the data itself, before any model: what explains the variance, and what is confounded?"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from scfm_core.analyses.batch_tables import (
    COMPOSITION,
    EXPLAINED,
    STRONG,
    associations_of,
    composition_table,
    cramers_v,
    explained_row,
)
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.find_neighbors import placed_cells
from scfm_core.analyses.grouping import ByColumn, Grouping, group_codes
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request

_LEAST_GROUPS = 2


@dataclass(frozen=True)
class BatchStructure:
    """What the columns of the cell table have to do with the variance, and with each other.

    Attributes
    ----------
    explained
        One row per column, the strongest first: ``column``, ``n_groups``, ``n_cells`` (with a value and a vector),
        ``explained`` (share of the variance of the vectors between the groups, 0 to 1), ``by_chance`` (what as many
        random groups would explain), ``explained_within`` (of the variance that is left within the labels; NaN without
        labels).
    associations
        One row per pair of columns: ``first``, ``second``, ``n_first``, ``n_second`` (groups), ``n_cells``,
        ``cramers_v`` (bias-corrected, 0: independent, 1: one tells the other), ``in_words``.
    composition
        One row per batch and label: ``batch``, ``label``, ``n_cells``, ``n_batch``, ``n_label``, ``share_of_batch``,
        ``share_of_label``; empty without batches.
    """

    explained: pd.DataFrame
    associations: pd.DataFrame
    composition: pd.DataFrame


@dataclass(frozen=True)
class DescribeBatches(Request[BatchStructure]):
    """Measure how much of the variance of an embedding columns explain, and how far they are confounded.

    Parameters
    ----------
    embedding
        PCA as a rule: a share of the variance of the data.
    columns
        Columns of the cell table with groups.
    labels
        Cell types: variance is also told within them, and batches are counted by them. None where not known.
    batches
        What is counted by labels.

    Raises
    ------
    RequestError
        If there is no column, or one is not in the cell table or has fewer than two groups among cells with a vector.

    References
    ----------
    Share of variance between groups: Buettner et al. 2019, doi:10.1038/s41592-018-0254-1, "PC regression". Cramer's V
    without bias: Bergsma 2013, doi:10.1016/j.jkss.2012.10.002.
    """

    embedding: EmbedCells
    columns: tuple[str, ...]
    labels: Grouping | None = None
    batches: Grouping | None = None

    result_type: ClassVar[type] = BatchStructure

    def __post_init__(self) -> None:
        if not self.columns:
            msg = "Expected at least one column that tells cells apart, found none. Name a batch, donor or condition."
            raise RequestError(msg, "no-columns")

    def run(self, context: Context) -> BatchStructure:
        """See `Request.run`."""
        dataset = self.embedding.dataset
        vectors = np.asarray(context.compute(self.embedding).points)
        placed = np.zeros(len(vectors), dtype=bool)
        placed[placed_cells(vectors)] = True
        points = vectors.astype(np.float64)
        codes = {name: group_codes(context, dataset, ByColumn(name))[1] for name in dict.fromkeys(self.columns)}
        for name, groups in codes.items():
            if len(np.unique(groups[placed & (groups >= 0)])) < _LEAST_GROUPS:
                msg = (
                    f"Expected at least {_LEAST_GROUPS} groups in column {name!r} among cells with a vector, found "
                    "fewer. Leave it out."
                )
                raise RequestError(msg, "one-group")
        named = None if self.labels is None else group_codes(context, dataset, self.labels)
        kinds = None if named is None else np.asarray(named[1])
        of_placed = None if kinds is None else kinds[placed]
        rows = [explained_row(name, points[placed], groups[placed], of_placed) for name, groups in codes.items()]
        explained = pd.DataFrame(rows, columns=list(EXPLAINED)).sort_values("explained", ascending=False, kind="stable")
        composition = pd.DataFrame(columns=list(COMPOSITION))
        if self.batches is not None and named is not None:
            composition = composition_table(group_codes(context, dataset, self.batches), named)
        return BatchStructure(explained.reset_index(drop=True), associations_of(codes), composition)


def condition_caution(dataset: Dataset, batch: str) -> str:
    """Say where mixing the batches would mix a condition too; empty where no condition is known, or it would not.

    Parameters
    ----------
    batch
        Column of the batches; empty for none.
    """
    condition = dataset.roles.get("condition", "")
    if not batch or not condition or {batch, condition} - set(dataset.cell_columns):
        return ""
    if batch == condition:
        return (
            f"The batches are the groups of {batch}, a condition: an embedding that mixes them hides what the "
            "condition does to cells. Take one that mixes them only to name cells, not to compare conditions."
        )
    codes = [pd.factorize(dataset.cell_column(name))[0] for name in (batch, condition)]
    known = (codes[0] >= 0) & (codes[1] >= 0)
    value = cramers_v(codes[0][known], codes[1][known])
    if not value >= STRONG:
        return ""
    return (
        f"{batch} and {condition} go together (Cramer's V {value:.2f}): mixing the batches mixes the conditions too, "
        "and what remains of their difference says little."
    )


def columns_of_groups(dataset: Dataset, *, most_groups: int = 60, most_columns: int = 20) -> tuple[str, ...]:
    """Return the columns of the cell table that part the cells into groups, those with a role first."""
    table = dataset.cells()
    with_role = [column for column in dataset.roles.values() if column in table]
    found = [name for name in dict.fromkeys([*with_role, *table.columns]) if _parts(table[name], most_groups)]
    return tuple(found[:most_columns])


def _parts(column: "pd.Series[Any]", most_groups: int) -> bool:
    named = isinstance(column.dtype, pd.CategoricalDtype) or not pd.api.types.is_float_dtype(column)
    return named and _LEAST_GROUPS <= column.nunique() <= min(most_groups, len(column) // 2)
