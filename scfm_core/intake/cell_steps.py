"""What the input doctor says about cells: names, total counts, empty ones, and the columns of their table.

Each step takes the counts in hand and the choices, and returns both with what it has to say.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.dataset import Role
from scfm_core.errors import DatasetError
from scfm_core.intake.advice import Advice, CountsInHand
from scfm_core.intake.columns import confounding, covers, find_roles, find_totals
from scfm_core.intake.findings import Choices, Finding
from scfm_core.intake.gene_names import unique_names

_FEW_CELLS = 50
_FEW_GENES = 10_000
_EMPTY_DROPLET = 100  # molecules; Cell Ranger's cells have more

Step = tuple[CountsInHand, Choices, list[Advice]]


def unique_cells(counts: CountsInHand, choices: Choices, wanted: Choices | None) -> Step:
    """Give cells of one name a number."""
    names = [str(name) for name in counts.cells.index]
    n_repeated = len(names) - len(set(names))
    cells = counts.cells.copy()
    cells.index = pd.Index(unique_names(names), dtype=object)
    if not n_repeated:
        return replace(counts, cells=cells), choices, []
    finding = Finding(
        code="cell-names-repeated",
        level="note",
        title=f"{n_repeated:,} cell names were made unique",
        reason="Several cells carried the same name, as when samples are put together. A number was added to each.",
    )
    return replace(counts, cells=cells), choices, [Advice(finding)]


def totals(counts: CountsInHand, choices: Choices, wanted: Choices | None) -> Step:
    """Take the counts over all measured genes from the cell table where the file holds only some of the genes."""
    sums = np.asarray(counts.matrix.sum(axis=1, dtype=np.float64)).ravel()
    if wanted is None:
        column = find_totals(counts.cells, sums)
    else:
        column = wanted.totals_from or find_totals(counts.cells, sums)
    if column is None:
        n_genes = len(counts.gene_ids)
        advice = [Advice(_cut_genes(n_genes))] if n_genes < _FEW_GENES else []
        return counts, replace(choices, totals_from=None), advice
    values = _numbers(counts.cells, column)
    if not covers(values, sums):
        msg = f"Column {column!r} is smaller than the counts of some cells, so it is not their total. Choose another."
        raise DatasetError(msg, "not-totals")
    share = float(sums.sum() / max(values.sum(), 1.0))
    finding = Finding(
        code="totals-from-column",
        level="note",
        title=f'The total count of each cell is taken from column "{column}"',
        reason=(
            f"The file holds {share:.0%} of the molecules that this column counts, so it was cut to fewer genes. "
            "Normalising by the full total keeps values comparable with other files."
        ),
    )
    return replace(counts, totals=np.maximum(values, sums)), replace(choices, totals_from=column), [Advice(finding)]


def _numbers(cells: pd.DataFrame, column: str) -> NDArray[np.float64]:
    if column not in cells.columns or not pd.api.types.is_numeric_dtype(cells[column]):
        msg = f"The cell table has no column of numbers named {column!r}. Choose one of its columns."
        raise DatasetError(msg, "no-such-column")
    return np.asarray(cells[column].to_numpy(dtype=np.float64, na_value=np.nan))


def _cut_genes(n_genes: int) -> Finding:
    return Finding(
        code="cut-genes",
        level="warning",
        title=f"The file holds only {n_genes:,} genes",
        reason=(
            "It seems to have been cut to a selection, and no column tells the full count of each cell. The total of a "
            "cell is then the sum over these genes, and models that rank or normalise genes see a distorted cell. "
            "Bring the full matrix where you can."
        ),
    )


def emptied(counts: CountsInHand, choices: Choices, wanted: Choices | None) -> Step:
    """Report cells and genes without counts, and leave them out where a person wants that."""
    full_cells = np.asarray(counts.matrix.sum(axis=1, dtype=np.float64)).ravel() > 0
    full_genes = np.asarray(counts.matrix.sum(axis=0, dtype=np.float64)).ravel() > 0
    drop_cells = bool(wanted and wanted.drop_empty_cells and not full_cells.all())
    drop_genes = bool(wanted and wanted.drop_empty_genes and not full_genes.all())
    advice = [
        *_empty_advice("cells", int(np.count_nonzero(~full_cells)), dropped=drop_cells),
        *_empty_advice("genes", int(np.count_nonzero(~full_genes)), dropped=drop_genes),
    ]
    kept_cells = np.flatnonzero(full_cells) if drop_cells else np.arange(len(full_cells))
    kept_genes = np.flatnonzero(full_genes) if drop_genes else np.arange(len(full_genes))
    if drop_cells or drop_genes:
        counts = CountsInHand(
            matrix=counts.matrix[kept_cells][:, kept_genes],
            gene_ids=tuple(counts.gene_ids[i] for i in kept_genes),
            symbols=tuple(counts.symbols[i] for i in kept_genes),
            cells=counts.cells.iloc[kept_cells],
            totals=None if counts.totals is None else counts.totals[kept_cells],
        )
    return counts, choices, advice


def _empty_advice(what: str, n_empty: int, *, dropped: bool) -> list[Advice]:
    if not n_empty:
        return []
    if dropped:
        title, reason = f"{n_empty:,} {what} without any count were left out", "You asked for it."
        return [Advice(Finding(code=f"empty-{what}-dropped", level="note", title=title, reason=reason))]
    reasons = {
        "cells": "They are kept, but models give them no vector and maps do not draw them.",
        "genes": "They are kept, so that a gene that was measured and not seen can be told from one not measured.",
    }
    finding = Finding(
        code=f"empty-{what}",
        level="warning" if what == "cells" else "note",
        title=f"{n_empty:,} {what} have no counts",
        reason=reasons[what],
    )
    return [Advice(finding, f"Leave out empty {what}", ((f"drop_empty_{what}", True),))]


def plausible(counts: CountsInHand, choices: Choices, wanted: Choices | None) -> Step:
    """Say what is missing from a file, or too much, for the results to mean something."""
    n_cells, n_genes = counts.matrix.shape
    if n_cells == 0 or n_genes == 0:
        finding = Finding(
            code="empty",
            level="refusal",
            title="Nothing is left",
            reason=f"The file has {n_cells:,} cells and {n_genes:,} genes with counts. Bring a file that holds both.",
        )
        return counts, choices, [Advice(finding)]
    advice = []
    if n_cells < _FEW_CELLS:
        finding = Finding(
            code="few-cells",
            level="warning",
            title=f"Only {n_cells:,} cells",
            reason="Maps, clusters and tests between groups say little with so few cells.",
        )
        advice.append(Advice(finding))
    sums = np.asarray(counts.matrix.sum(axis=1, dtype=np.float64)).ravel()
    if n_cells > 20_000 and float(np.mean(sums < _EMPTY_DROPLET)) > 0.5 and n_genes >= _FEW_GENES:
        finding = Finding(
            code="unfiltered",
            level="warning",
            title="Most of these are empty droplets, not cells",
            reason=(
                f"{float(np.mean(sums < _EMPTY_DROPLET)):.0%} of {n_cells:,} barcodes have fewer than "
                f"{_EMPTY_DROPLET} molecules. This looks like the raw matrix; bring the filtered one."
            ),
        )
        advice.append(Advice(finding, "Leave out empty cells", (("drop_empty_cells", True),)))
    return counts, choices, advice


def columns_chosen(cells: pd.DataFrame, wanted: Choices | None) -> Choices:
    """Return the choices of a person after a check of their columns, or the roles that columns seem to play."""
    if wanted is None:
        roles: dict[Role, str] = find_roles(cells)
        return Choices(
            batch=roles.get("batch"),
            donor=roles.get("donor"),
            condition=roles.get("condition"),
            cell_type=roles.get("cell_type"),
        )
    missing = [column for column in wanted.roles.values() if column not in cells.columns]
    if missing:
        msg = (
            f"The cell table has no column {missing[0]!r}. Choose one of: "
            f"{', '.join(str(name) for name in cells.columns) or 'it has none'}."
        )
        raise DatasetError(msg, "no-such-column")
    return wanted


def columns(counts: CountsInHand, choices: Choices, wanted: Choices | None) -> Step:
    """Say which columns play which part, and whether condition and batch can be told apart."""
    if not choices.roles:
        finding = Finding(
            code="no-columns",
            level="note",
            title="No column names batch, donor, condition or cell type",
            reason="Cells can be coloured and grouped by clusters. To compare samples, bring a cell table with them.",
        )
        return counts, choices, [Advice(finding)]
    words = [
        f'{role.replace("_", " ")} in "{column}" ({counts.cells[column].nunique():,} groups)'
        for role, column in choices.roles.items()
    ]
    finding = Finding(
        code="columns",
        level="good",
        title="Columns: " + ", ".join(words),
        reason="Chosen by name and content. Change them where this is wrong.",
    )
    return counts, choices, [Advice(finding), *_confounding_advice(counts.cells, choices)]


def _confounding_advice(cells: pd.DataFrame, choices: Choices) -> list[Advice]:
    batch = choices.batch or choices.donor
    if choices.condition is None or batch is None or choices.condition == batch:
        return []
    how = confounding(cells[choices.condition], cells[batch])
    if how == "crossed":
        return []
    names = f'"{choices.condition}" and "{batch}"'
    if how == "nested":
        finding = Finding(
            code="condition-nested",
            level="note",
            title=f"Every batch holds one condition ({names})",
            reason="Each condition has several batches, so compare conditions between batches, not between cells.",
        )
        return [Advice(finding)]
    finding = Finding(
        code="condition-confounded",
        level="warning",
        title=f"Condition and batch cannot be told apart ({names})",
        reason=(
            "Every batch holds one condition, and a condition has a single batch. A difference between the conditions "
            "may come from the handling of the samples; correcting for batch would remove the effect as well."
        ),
    )
    return [Advice(finding)]
