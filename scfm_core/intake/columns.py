"""Which columns of a cell table are the batch, the donor, the condition, the cell type, the total count.

Pure functions over tables; knows nothing of files.
"""

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.dataset import Role

_MOST_LEVELS = 1000
_MOST_NUMERIC_LEVELS = 50

# in order of preference, matched against the whole name in small letters with "_" for everything that is no letter
_ROLE_NAMES: dict[Role, tuple[str, ...]] = {
    "batch": (
        r"batch(_?(id|key|name|label))?",
        r"samples?(_?(id|name|label))?",
        r"orig_ident",
        r"library(_?(id|name))?",
        r"gem_?(group|well)|lane|channel|pool",
        r"plate(_?(id|name))?|run(_?id)?|replicate|rep",
        r"dataset|experiment|study",
        r"(seq|sequencing)_batch|batch_.*",
        r"technology|tech|assay|platform|chemistry|protocol",
    ),
    "donor": (
        r"donor(_?(id|name|label))?",
        r"(individual|patient|subject|participant|person|animal|mouse)(_?(id|name|label))?",
    ),
    "condition": (
        r"conditions?",
        r"treatment|treated|stim|stimulation|stimulus",
        r"disease(_?(state|status))?|diagnosis",
        r"perturbations?|genotype",
        r"status|group|time_?point",
    ),
    "cell_type": (
        r"cell_?types?",
        r"author_cell_?type|cell_ontology_class|bulk_labels",
        r"(cell_?)?annotations?|cell_?labels?",
        r"majority_voting|predicted_(cell_?type|labels?).*",
        r"cell_?type_(?!source|confidence|score|prob|colou?r|ontology).*",
        r"cell_identity|cell_class|subclass|cluster_name",
    ),
}
_TOTALS_NAME = re.compile(
    r"n_?counts?(_full|_all|_rna|_total)?|total_?counts?(_full|_all)?|n_?count_rna|n_?umis?|n_molecules|"
    r"(total_?)?umis?(_counts?)?|library_size|lib_?size|n_?counts_full"
)
_CELL_WORDS = re.compile(
    r"cell|\b(cd4|cd8|treg|nk|mono|dc|pdc|hsc|plasma)\b|lympho|monocyt|macrophag|neutro|fibro|endothel|epithel|neuron|"
    r"astro|oligoden|microgl|stroma|myeloid|erythro|megakaryo|platelet|keratino|hepato|myocyt|progenitor|stem",
    re.IGNORECASE,
)


def find_roles(cells: pd.DataFrame) -> dict[Role, str]:
    """Return the columns that look like batch, donor, condition and cell type, by their name and by what they hold.

    Parameters
    ----------
    cells
        Cell table, shape ``(n_cells, n_columns)``.

    Examples
    --------
    >>> find_roles(pd.DataFrame({"orig.ident": ["a", "a", "b", "b"], "barcode": ["p", "q", "r", "s"]}))
    {'batch': 'orig.ident'}
    """
    levels = {str(name): n for name in cells.columns if (n := _n_levels(cells[name])) > 0}
    roles: dict[Role, str] = {}
    for role, patterns in _ROLE_NAMES.items():
        ranked = [
            (n < 2, rank, position, name)
            for position, (name, n) in enumerate(levels.items())
            for rank, pattern in enumerate(patterns)
            if re.fullmatch(pattern, _plain_name(name))
        ]
        if ranked:
            roles[role] = min(ranked)[-1]
    if "cell_type" not in roles:
        alike = [name for name in levels if name not in roles.values() and _holds_cell_types(cells[name])]
        roles |= {"cell_type": alike[0]} if alike else {}
    return roles


def _n_levels(column: "pd.Series[Any]") -> int:
    """Return how many groups a column makes, 0 where it makes none: numbers on a scale, a name for every cell."""
    present = column.dropna()
    n_levels = int(present.nunique())
    if n_levels == 0 or (n_levels > len(present) / 2 and len(present) > 4) or n_levels > _MOST_LEVELS:
        return 0
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return n_levels
    numbers = present.to_numpy(dtype=np.float64)
    whole = bool(np.isfinite(numbers).all() and np.array_equal(numbers, np.rint(numbers)))
    return n_levels if whole and n_levels <= _MOST_NUMERIC_LEVELS else 0


def _holds_cell_types(column: "pd.Series[Any]") -> bool:
    if pd.api.types.is_numeric_dtype(column):
        return False
    names = [str(name) for name in column.dropna().unique()]
    return 2 <= len(names) <= 300 and sum(bool(_CELL_WORDS.search(name)) for name in names) >= 0.5 * len(names)


def confounding(condition: "pd.Series[Any]", batch: "pd.Series[Any]") -> str:
    """Say how conditions lie over batches: ``"crossed"``, ``"nested"`` or ``"confounded"``.

    Nested: every batch holds one condition, and each condition has two batches or more, so batches are replicates.
    Confounded: every batch holds one condition, and some condition has only one batch, so a difference between
    conditions cannot be told from one between batches. With one batch or one condition the answer is "crossed".

    Examples
    --------
    >>> confounding(pd.Series(["ctrl", "ctrl", "stim"]), pd.Series(["1", "2", "3"]))
    'confounded'
    """
    pairs = pd.DataFrame({"condition": condition.astype(str), "batch": batch.astype(str)})
    pairs = pairs[(condition.notna() & batch.notna()).to_numpy()].drop_duplicates()
    if pairs["condition"].nunique() < 2 or pairs["batch"].nunique() < 2:
        return "crossed"
    if pairs["batch"].duplicated().any():
        return "crossed"
    return "nested" if pairs["condition"].value_counts().min() >= 2 else "confounded"


def find_totals(cells: pd.DataFrame, sums: NDArray[np.float64]) -> str | None:
    """Return the column that counts each cell over more genes than the file holds, None where there is none.

    Such a column is at least the sum of the file's own counts in every cell (but for rounding), and more in some.

    Parameters
    ----------
    sums
        Counts of each cell in the file, shape ``(n_cells,)``.
    """
    best: tuple[float, str] | None = None
    for name in cells.columns:
        if not _TOTALS_NAME.fullmatch(_plain_name(str(name))) or not pd.api.types.is_numeric_dtype(cells[name]):
            continue
        values = cells[name].to_numpy(dtype=np.float64, na_value=np.nan)
        if covers(values, sums) and np.any(values > sums * 1.001 + 0.5):
            middle = float(np.median(values))
            best = max(best, (middle, str(name))) if best else (middle, str(name))
    return best[1] if best else None


def covers(totals: NDArray[np.float64], sums: NDArray[np.float64]) -> bool:
    """Whether totals are finite, at least the sums in every cell, and not absurdly larger."""
    if not np.isfinite(totals).all() or np.any(totals < sums * (1 - 1e-4) - 0.5):
        return False
    return bool(np.median(totals) <= 1000 * max(float(np.median(sums)), 1.0))


def _plain_name(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name)  # cellType -> cell_Type
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
